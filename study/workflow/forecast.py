"""What a study holds, how precise it will be and what it will cost: the commands check and plan."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import Annotated

import pandas as pd
from rich.console import Console
from rich.table import Table

from models import METHODS
from study.design import Design, externals
from study.simulate import check_data
from study.workflow import plan as planning
from study.workflow.chunks import packed
from study.workflow.pieces import STEPS
from study.workflow.plan import (
    COMPILATION,
    Pilot,
    by_replicates,
    precision,
    replicates_for,
    wall_seconds,
)
from study.workflow.progress import duration
from study.workflow.run import say


def check(design: Design) -> None:
    """Check a design and print what it holds."""
    check_data(design, say)
    fits = sum(
        sum(counts(unit).values())
        for unit in design.units()
        for counts in (design.replicates_of, partial(externals, design))
    )
    jobs = sum(len(packed(design, step)) for step in STEPS)
    print(
        f"{design.name}: {len(design.all_scenarios())} scenarios, {len(design.data)} data sets, "
        f"{fits} fits, {jobs} jobs of computing, digest {design.digest()}"
    )


def plan(
    design: Design,
    *,
    cores: Annotated[int, "that do nothing else"] = os.cpu_count() or 1,
    replicates: Annotated[tuple[int, ...], "others to try"] = (),
    seconds: Annotated[float, "CPU time of the pilot"] = 75.0,
) -> None:
    """Print how precise a study will be and what it will cost."""
    for name, values in (("cores", [cores]), ("seconds", [seconds]), ("replicates", replicates)):
        for value in values:
            if value <= 0:
                raise ValueError(f"--{name}: {value} is not a positive number")
    check_data(design)
    precision_table(planning.replicates_by_method(design), design.level)
    made = planning.pilot(design, seconds, say)
    cost = planning.expected(made)
    cost_table(planning.overheads(cost), made, cores)
    if replicates:
        replicates_table(cost, replicates, design.level)


def precision_table(counts: dict[str, dict[int, int]], level: float) -> None:
    """Print the expected Monte Carlo SEs by method at its numbers of replicates.

    counts: by method, how many scenarios have so many replicates.
    """
    table = _plain("method", "replicates", "scenarios", "bias", "empirical SE", "coverage")
    for method, scenarios in counts.items():
        for place, (replicates, number) in enumerate(scenarios.items()):
            name = METHODS[method].label if place == 0 else ""
            table.add_row(name, f"{replicates:,}", str(number), *_precise(replicates, level))
    _print(
        table,
        "Expected Monte Carlo standard errors: of the bias, in empirical SEs; of the empirical SE, "
        f"in per cent of it; of the coverage of {100 * level:g}% intervals, in points. For one of "
        f"1 point {replicates_for(1, level):,} replicates are needed, for 2 points "
        f"{replicates_for(2, level):,}.\n",
    )


def cost_table(cost: pd.DataFrame, made: Pilot, cores: int) -> None:
    """Print the expected CPU seconds by stage and by what is done in it, and the time they take."""
    table = _plain("stage", "what", "times", "each", "CPU seconds", "share", "pilot")
    total = cost["seconds"].sum()
    for stage, rows in cost.groupby("stage", sort=False):
        kinds = rows.groupby("kind", sort=False).agg(
            times=("times", "sum"),
            seconds=("seconds", "sum"),
            cells=("replicates", "size"),
            reached=("replicates", lambda r: int((r > 0).sum())),
        )
        for place, (kind, row) in enumerate(kinds.iterrows()):
            seconds, times = row["seconds"], int(row["times"])
            table.add_row(
                str(stage) if place == 0 else "",
                METHODS[kind].label if kind in METHODS else str(kind),
                f"{times:,}",
                _seconds(seconds / max(times, 1)),
                f"{seconds:,.1f}",
                f"{seconds / total:.1%}",
                f"{row['reached']:.0f} of {row['cells']:.0f}" if row["reached"] else "",
            )
    wall = wall_seconds(cost, cores)
    ready = "compiled, and kept on the disk" if made.compiled else "loaded from the disk"
    _print(
        table,
        "each: seconds for one replicate. pilot: in how many cells (scenarios by method) it was "
        f"measured; others are judged by those of the nearest n. Compiled code was {ready} in "
        f"{made.ready:.1f} CPU seconds, imports included.\n\n"
        f"Expected: {duration(wall)} on {cores} cores that do nothing else; {duration(total)} "
        f"of CPU time. Where nothing has been compiled yet, {duration(COMPILATION)} more.\n",
    )


def replicates_table(cost: pd.DataFrame, replicates: Sequence[int], level: float) -> None:
    """Print precision and CPU time of the fits at other numbers of replicates."""
    table = _plain(
        "replicates", "bias", "empirical SE", "coverage", "CPU, optimisers and MAP", "CPU, NUTS"
    )
    for count in replicates:
        took = (duration(seconds) for seconds in by_replicates(cost, count))
        table.add_row(f"{count:,}", *_precise(count, level), *took)
    _print(table, "If every scenario had so many replicates of each method that fits it.\n")


def _plain(*headings: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in headings:
        words = heading in ("method", "stage", "what")
        table.add_column(heading, justify="left" if words else "right", no_wrap=True)
    return table


def _print(table: Table, note: str) -> None:
    console = Console(width=None if Console().is_terminal else 100, highlight=False, markup=False)
    console.print(table)
    console.print(note)


def _precise(replicates: int, level: float) -> tuple[str, str, str]:
    bias, empirical_se, coverage = precision(replicates, level)
    return f"{bias:.3f}", f"{empirical_se:.1%}", f"{coverage:.2f}"


def _seconds(seconds: float) -> str:
    return f"{1e3 * seconds:.2g} ms" if seconds < 0.1 else f"{seconds:.2g} s"
