"""Where a study's numbers come from: design, seed, versions, git revision, machine, start, end."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from numba.core.registry import cpu_target

from study.design import Design
from study.workflow.chunks import finished, plan
from study.workflow.pieces import RECORD, STEPS

PACKAGES = (
    "arviz",
    "matplotlib",
    "numba",
    "numpy",
    "nutpie",
    "pandas",
    "pymc",
    "pytensor",
    "scipy",
    "snakemake",
)


# Instructions that decide how sums are rounded: what code for a processor is told apart by.
INSTRUCTIONS = ("sse4.2", "avx", "avx2", "fma", "avx512f", "avx10.1", "neon", "sve", "sve2")


def without_places(design: Design) -> dict[str, Any]:
    """A design's values, without where its data files and scripts lie."""
    apart = {"data": {"__all__": {"file"}}, "external": {"__all__": {"script"}}}
    return design.model_dump(mode="json", exclude=apart)


def provenance(design: Design, timings: pd.DataFrame) -> dict[str, Any]:
    """A JSON-ready record of all that a study's numbers depend on, and of when they were made.

    timings: the gathered rows, for the start of the first fit and the end of the last one, in UTC;
    what was kept from an earlier run counts.
    """
    return {
        "seed": design.seed,
        "design": without_places(design) | {"digest": design.digest()},
        "data_files": {unit.name: unit.file.name for unit in design.data},
        "scripts": {external.name: external.script.name for external in design.external},
        "sources": {name: step.digest() for name, step in STEPS.items()},
        "fits": {
            "started": _moment((timings["ended"] - timings["seconds"]).min()),
            "ended": _moment(timings["ended"].max()),
        },
    } | environment()


def write_provenance(
    design: Design,
    *,
    rows: Annotated[Path, "folder that gather wrote"],
    out: Annotated[Path, "file"],
    results: Annotated[Path, "folder of all designs' results"] = Path("results"),
) -> None:
    """Write design, versions, git revision and machine."""
    out.parent.mkdir(parents=True, exist_ok=True)
    record = provenance(design, pd.read_parquet(rows / "timings.parquet"))
    if parts := of_parts(design, results):
        record["parts"] = parts
    out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def of_parts(design: Design, results: Path) -> list[dict[str, Any]]:
    """What `environment` was where the parts were kept that rows are from, each once; see parts.py.

    The rest of a record is of where the study was ended.
    """
    used = plan(design, finished(results, design.name)).used
    files = [one.folder / RECORD for one, _ in used if one.is_part]
    found = [json.loads(file.read_text(encoding="utf-8"))["made_by"] for file in files]
    return [one for i, one in enumerate(found) if one not in found[:i]]


def environment() -> dict[str, Any]:
    """Of that, what is no design's: versions, git revision, machine, threads."""
    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "git": {
            "revision": _git("rev-parse", "HEAD"),
            "clean": _git("status", "--porcelain") == "",
        },
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "processor": _processor(),
            **_compiled_for(),
            "cores": os.cpu_count(),
        },
        "threads_a_process": os.environ.get("OPENBLAS_NUM_THREADS"),
    }


def _compiled_for() -> dict[str, Any]:
    """The processor that Numba compiles for, and which of INSTRUCTIONS it may use."""
    _, name, features = cpu_target.target_context.codegen().magic_tuple()
    given = set(features.split(","))
    return {
        "compiled_for": name,
        "instructions": [one for one in INSTRUCTIONS if f"+{one}" in given],
    }


def _moment(seconds: float) -> str | None:
    """Seconds since 1970 as UTC, such as 2026-11-20T09:30:00+00:00; None if there are none."""
    if pd.isna(seconds):
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":")[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor()
