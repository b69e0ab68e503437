"""CPU time of a study by stage, as a table: from the records that the jobs left (see costs.py)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd

from study.design import Design
from study.report.exhibit import Exhibit
from study.report.write import write
from study.workflow import costs
from study.workflow.chunks import finished, plan
from study.workflow.parts import costs_of
from study.workflow.pieces import STEPS as COMPUTED

type Records = Sequence[dict[str, Any]]

# What readers call a command's work, where that is another word.
NAMES = {step: what.makes for step, what in COMPUTED.items()} | {"figures": "draw"}
# What a study is for; the time of all other stages is overhead.
WORK = tuple(dict.fromkeys(what.makes for what in COMPUTED.values()))
FIRST = ("workflow", "start", "import", "compile", *WORK)


def write_stages(
    design: Design,
    *,
    results: Annotated[Path, "folder of all designs' folders"],
    out: Annotated[Path, "folder"],
) -> None:
    """Make the table of CPU time by stage."""
    out.mkdir(parents=True, exist_ok=True)
    records = [*of_design(design, results), costs.record("stages")]
    write(STAGES.make(records), STAGES.caption, out / STAGES.name)


def of_design(design: Design, results: Path) -> Iterator[dict[str, Any]]:
    """The records of the jobs behind the design's rows, whichever design they were done for."""
    for one, _ in plan(design, finished(results, design.name)).used:
        yield from costs_of(one)
    for record in costs.read(results / design.name / "costs"):
        if record["command"] not in COMPUTED:
            yield record


def stages(records: Records) -> pd.DataFrame:
    """Jobs, CPU seconds, their share and the largest memory by stage, then of overhead and all."""
    seconds: dict[str, float] = defaultdict(float)
    jobs: Counter[str] = Counter()
    megabytes: dict[str, float] = {}
    runs: dict[str, float] = {}
    for one in records:
        stage = NAMES.get(str(one["command"]), str(one["command"]))
        jobs[stage] += 1
        megabytes[stage] = max(megabytes.get(stage, 0.0), one["megabytes"] or 0.0)
        for part, value in one["seconds"].items():
            seconds[stage if part == "work" else part] += value
        if one["run"]:
            process = one["run"]["process"]
            runs[process] = max(runs.get(process, 0.0), one["run"]["seconds"])
    seconds["workflow"] = sum(runs.values())
    order = [*FIRST, *(stage for stage in seconds if stage not in FIRST)]
    table = pd.DataFrame({"stage": order})
    table["jobs"] = table["stage"].map(jobs).fillna(0).astype(int)
    table["cpu_seconds"] = table["stage"].map(seconds).fillna(0.0)
    table["megabytes"] = table["stage"].map(megabytes)
    table = table[(table["jobs"] > 0) | (table["cpu_seconds"] > 0)]
    over = table[~table["stage"].isin(WORK)]
    sums = [
        {"stage": name, "jobs": part["jobs"].sum(), "cpu_seconds": part["cpu_seconds"].sum()}
        for name, part in (("overhead", over), ("all", table))
    ]
    table = pd.concat([table, pd.DataFrame(sums)], ignore_index=True)
    table.insert(3, "share", table["cpu_seconds"] / table["cpu_seconds"].iloc[-1])
    return table


STAGES: Exhibit[Records, pd.DataFrame] = Exhibit("stages", "CPU time by stage", "Cost", stages)
