"""CPU time of a study by stage, as a table: from the records that the jobs left (see costs.py)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import pandas as pd

from study.design import Design, chunks
from study.report.exhibit import Exhibit

type Records = Sequence[dict[str, Any]]

# What readers call a command's work, where that is another word.
NAMES = {"chunk": "fit", "figures": "draw"}
# What a study is for; the time of all other stages is overhead.
WORK = ("fit", "follow", "calibrate", "remedies", "refer")
FIRST = ("workflow", "start", "import", "compile", *WORK)
APART = ("benchmark", "benchmark-exhibits")


def of_design(design: Design, records: Records) -> list[dict[str, Any]]:
    """The records of the design's jobs: not of the benchmarks, nor of chunks of another size."""
    own = {(c.scenario, c.engine, str(c.first), str(c.last)) for c in chunks(design)}
    return [
        one
        for one in records
        if one["command"] not in APART
        and (one["command"] != "chunk" or tuple(one["arguments"]) in own)
    ]


def stages(records: Records) -> pd.DataFrame:
    """Jobs, CPU seconds, their share and the largest memory by stage, then of overhead and all."""
    seconds: dict[str, float] = defaultdict(float)
    jobs: Counter[str] = Counter()
    megabytes: dict[str, float] = {}
    runs: dict[str, float] = {}
    servers: dict[int, dict[str, float]] = {}
    for one in records:
        stage = NAMES.get(str(one["command"]), str(one["command"]))
        jobs[stage] += 1
        megabytes[stage] = max(megabytes.get(stage, 0.0), one["megabytes"])
        for part, value in one["seconds"].items():
            seconds[stage if part == "work" else part] += value
        if one["run"]:
            process = one["run"]["process"]
            runs[process] = max(runs.get(process, 0.0), one["run"]["seconds"])
        if one["server"]:
            servers[one["server"]["process"]] = one["server"]
    seconds["workflow"] = sum(runs.values())
    for server in servers.values():
        seconds["import"] += server["import"]
        seconds["compile"] += server["compile"]
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
