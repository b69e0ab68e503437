"""Fits, traces and plans as tables on the terminal, for `fit`, `replay` and `plan`."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from rich.console import Console
from rich.table import Table

from models import METHODS, Fit
from models.solution import Trace
from study.workflow.plan import (
    COMPILATION,
    Pilot,
    by_replicates,
    precision,
    replicates_for,
    wall_seconds,
)


def fits_table(fits: Sequence[Fit]) -> None:
    """Print estimates with standard errors, log-likelihood, status and seconds, a block a fit."""
    console = Console(width=None if Console().is_terminal else 110, highlight=False)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("method", "component", "weight", "mean", "sd"):
        table.add_column(heading, justify="left" if heading == "method" else "right", no_wrap=True)
    for heading in ("log-lik.", "status", "seconds", "set-up"):
        table.add_column(heading, justify="left" if heading == "status" else "right", no_wrap=True)
    for one in fits:
        seconds = (f"{one.seconds:.4f}", f"{one.compile_seconds:.1f}")
        tail = [f"{one.loglik:.3f}", one.status, *seconds]
        if one.mixture is None:
            table.add_row(one.method, "–", "–", "–", "–", *tail)
            continue
        values = one.mixture.as_rows()
        for j in range(one.model.k):
            cells = [f"{values[r, j]:.5g} ({one.se[r, j]:.2g})" for r in range(3)]
            table.add_row(
                one.method if j == 0 else "", str(j + 1), *cells, *(tail if j == 0 else [])
            )
    console.print(table)
    console.print(
        "Standard errors in brackets (posterior sds for NUTS; 0 where known). Log-likelihood in "
        "nats, at the estimate. Seconds for the fit alone; set-up: imports and compilation, once."
    )
    for one in fits:
        if one.status != "ok":
            console.print(f"{one.method}: {one.status}: {one.message}")


def trace_table(trace: Trace, rows: int = 40) -> None:
    """Print a trace by iteration; a long one loses its middle."""
    m, _, k = trace.parameters.shape
    table = Table(box=None, header_style="bold", pad_edge=False)
    names = [f"{name}{j + 1}" for name in ("weight", "mean", "sd") for j in range(k)]
    for heading in ("iteration", "log-lik.", *names):
        table.add_column(heading, justify="right", no_wrap=True)
    shown = [*range(m)] if m <= rows else [*range(rows // 2), -1, *range(m - rows // 2, m)]
    for i in shown:
        if i < 0:
            table.add_row("…", *[""] * (1 + 3 * k))
            continue
        values = trace.parameters[i].ravel()
        table.add_row(str(i), f"{trace.loglik[i]:.9g}", *(f"{v:.7g}" for v in values))
    Console(width=None if Console().is_terminal else 120, highlight=False).print(table)


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
        f"Expected: {_duration(wall)} on {cores} cores that do nothing else; {_duration(total)} "
        f"of CPU time. Where nothing has been compiled yet, {_duration(COMPILATION)} more.\n",
    )


def replicates_table(cost: pd.DataFrame, replicates: Sequence[int], level: float) -> None:
    """Print precision and CPU time of the fits at other numbers of replicates."""
    table = _plain(
        "replicates", "bias", "empirical SE", "coverage", "CPU, optimisers and MAP", "CPU, NUTS"
    )
    for count in replicates:
        took = (_duration(seconds) for seconds in by_replicates(cost, count))
        table.add_row(f"{count:,}", *_precise(count, level), *took)
    _print(table, "If every scenario had so many replicates of each method that fits it.\n")


def _plain(*headings: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in headings:
        words = heading in ("method", "stage", "what")
        table.add_column(heading, justify="left" if words else "right", no_wrap=True)
    return table


def _print(table: Table, note: str) -> None:
    console = Console(width=None if Console().is_terminal else 100, highlight=False)
    console.print(table)
    console.print(note)


def _precise(replicates: int, level: float) -> tuple[str, str, str]:
    bias, empirical_se, coverage = precision(replicates, level)
    return f"{bias:.3f}", f"{empirical_se:.1%}", f"{coverage:.2f}"


def _seconds(seconds: float) -> str:
    return f"{1e3 * seconds:.2g} ms" if seconds < 0.1 else f"{seconds:.2g} s"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"
