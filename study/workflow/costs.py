"""CPU seconds of the workflow's jobs: each leaves a record, a JSON file, in one folder.

Records are timings, which differ from run to run; nothing but the table of `stages.py`
reads them. Only standard modules are imported here, for every job imports this.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Names in the environment: the folder of the records, and the process that runs the workflow.
FOLDER, RUN = "STUDY_COSTS", "STUDY_RUN"

# CPU seconds by part: of this job so far, and of the server that it is a fork of.
JOB: dict[str, float] = defaultdict(float)
SERVER: dict[str, float] = defaultdict(float)


def cpu() -> float:
    """CPU seconds of this process and of its children that have ended."""
    children = os.times()
    return time.process_time() + children.children_user + children.children_system


@contextmanager
def part(name: str, of: dict[str, float] = JOB) -> Iterator[None]:
    """Count the CPU seconds spent inside as a part of the job's, or of another count."""
    before = cpu()
    try:
        yield
    finally:
        of[name] += cpu() - before


def keep(folder: str) -> None:
    """Have the jobs that this process starts leave their records in a folder."""
    os.environ[FOLDER] = folder


@contextmanager
def recorded(options: argparse.Namespace) -> Iterator[None]:
    """Leave a record of the job done inside, if records are kept and it comes to its end.

    Its name is made of the command and its arguments, paths and design apart.
    """
    JOB["start"] += cpu()  # in a fork of the server next to nothing
    yield
    if not os.environ.get(FOLDER):
        return
    words = [str(v) for k, v in vars(options).items() if isinstance(v, str | int) and k != "design"]
    path = Path(os.environ[FOLDER], "-".join(words).replace("/", "_") + ".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record(options.command, words[1:])) + "\n", encoding="utf-8")


def record(command: str, arguments: list[str]) -> dict[str, Any]:
    """What this process has taken: CPU seconds by part, the largest memory in megabytes.

    With it go the seconds of the server and, so far, of Snakemake itself, which many records
    share: `server` and `run` tell whose they are.
    """
    import resource

    seconds = cpu()
    inside = sum(v for k, v in JOB.items() if k not in ("start", "client"))
    started = JOB["start"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "command": command,
        "arguments": arguments,
        "seconds": {
            "start": started + JOB["client"],
            **{k: v for k, v in JOB.items() if k not in ("start", "client")},
            "work": seconds - started - inside,
        },
        "megabytes": peak / (1 << 20 if sys.platform == "darwin" else 1 << 10),
        "server": {"process": os.getppid(), **SERVER} if SERVER else None,
        "run": _snakemake(),
    }


def _snakemake() -> dict[str, Any] | None:
    """Snakemake's process and its CPU seconds so far, without its jobs'; None if elsewhere."""
    import psutil

    host, _, process = os.environ.get(RUN, "").rpartition(":")
    if host != platform.node():
        return None
    try:
        times = psutil.Process(int(process)).cpu_times()
    except psutil.NoSuchProcess:
        return None
    return {"process": os.environ[RUN], "seconds": times.user + times.system}


def read(folder: Path) -> list[dict[str, Any]]:
    """The records in a folder, by name."""
    return [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))]
