"""CPU seconds of the workflow's jobs: each leaves a record, a JSON file, in one folder.

Records are timings, which differ from run to run; nothing but the table of `stages.py`
reads them. Only standard modules are imported here, for every job imports this.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from study.workflow import run

# The environment's name for the folder of the records.
FOLDER = "STUDY_COSTS"

# CPU seconds of this job so far, by part.
JOB: dict[str, float] = defaultdict(float)


def cpu() -> float:
    """CPU seconds of this process and of its children that have ended."""
    children = os.times()
    return time.process_time() + children.children_user + children.children_system


@contextmanager
def part(name: str) -> Iterator[None]:
    """Count the CPU seconds spent inside as a part of the job's."""
    before = cpu()
    try:
        yield
    finally:
        JOB[name] += cpu() - before


def keep(folder: str) -> None:
    """Have the jobs that this process starts leave their records in a folder."""
    os.environ[FOLDER] = folder


@contextmanager
def recorded(command: str, out: Path | None) -> Iterator[None]:
    """Leave a record of the job done inside, if records are kept and it comes to its end.

    out: where the job writes, which its record is named after.
    """
    JOB["start"] += cpu() - sum(JOB.values())
    yield
    if out is None or not os.environ.get(FOLDER):
        return
    path = Path(os.environ[FOLDER], named(out))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record(command)) + "\n", encoding="utf-8")


def named(out: Path) -> str:
    """The file name of the record of the job that writes there."""
    return out.as_posix().replace("/", "_") + ".json"


def record(command: str) -> dict[str, Any]:
    """What this process has taken: CPU seconds by part, the largest memory in megabytes.

    With it go the seconds of Snakemake so far, which many records share: `run` tells whose they
    are.
    """
    inside = dict(JOB)
    return {
        "command": command,
        "seconds": inside | {"work": cpu() - sum(inside.values())},
        "megabytes": _peak(),
        "run": _snakemake(),
    }


def _peak() -> float | None:
    """The largest memory of this process so far, in megabytes; None where no one keeps count."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _snakemake() -> dict[str, Any] | None:
    """Snakemake's process and its CPU seconds so far, without its jobs'; None if there is none."""
    process = run.process()
    if process is None:
        return None
    times = process.cpu_times()
    return {"process": os.environ[run.RUN], "seconds": times.user + times.system}


def read(folder: Path, name: str = "*.json") -> list[dict[str, Any]]:
    """The records in a folder of that name, or all of them, by name."""
    return [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob(name))]
