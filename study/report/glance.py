"""The study at a glance: which method to use where, which interval, and what it covers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from models import METHODS
from models.methods import OPTIMISERS
from models.verdicts import GOOD
from study.report import measures
from study.report.exhibit import Drawing, Table, tabular
from study.report.grid import cells, middle
from study.report.held import NAMES, THREE, by_data_set, held, pooled
from study.report.measures import Measure
from study.report.optimisation import efforts
from study.report.reasons import no_grid, no_optimisers
from study.report.series import (
    Z,
    draw_lines,
    measured,
    nominal_level,
    only,
    present,
    quartiles_against,
    series,
    wilson_lengths,
)
from study.report.style import (
    DOUBLE,
    FEW,
    dodge_width,
    drawing,
    log_ticks,
    nothing,
    separation_axis,
)
from study.report.table import table_of, with_errors
from study.report.verdicts import with_verdict
from study.rows import DATA_SET, FIT, Results, equivalent_passes

# What an interval may fall short of its level by and still be recommended.
SLACK = 0.02
FEWEST = 20  # data sets
GUIDE = ["by_passes", "by_seconds", "interval", "holds", "R", "coverage", "bayes"]
SUMMARY = ["n", "separation", "R", "certified", "passes_em", "ms_em", "passes_newton", "ms_newton"]


def guide(results: Results) -> pd.DataFrame:
    """By n and separation, all shapes of the grid together: which optimiser, and which interval.

    by_passes, by_seconds: the cheapest of the optimisers that end at the best maximum as often as
    any. interval: the simplest of three whose coverage of all parameters is not below the level by
    more than SLACK beyond its Monte Carlo error, or else, where holds is "no", the one that covers
    most; coverage: its, on R data sets. bayes: whether the posterior covers more than Wald's on the
    same data sets.
    """
    by = ["n", "separation"]
    grid = cells(results.design)
    fits = with_verdict(results)
    fits = fits[fits["method"].isin(OPTIMISERS)].drop(columns="n")
    fits = fits.merge(grid, on="scenario").merge(
        results.timings[[*FIT, "seconds"]], on=FIT, how="left"
    )
    fits["good"] = fits["verdict"].isin(GOOD).astype(float)
    fits["passes"] = equivalent_passes(fits.assign(n=fits["n"].astype(float)))
    intervals = {kind: held(results, kind).merge(grid, on="scenario") for kind in THREE}
    rows = []
    for key, part in fits.groupby(by, sort=False):
        place = dict(zip(by, key, strict=True))
        here = {kind: _where(table, place) for kind, table in intervals.items()}
        row: dict[str, Any] = place | {
            "by_passes": METHODS[cheapest(part, "passes")].label,
            "by_seconds": METHODS[cheapest(part, "seconds")].label,
        }
        kind = recommended(here, results.design.level)
        covered = pooled(here[kind])
        holds = "yes" if enough(covered, results.design.level) else "no"
        row |= {"interval": NAMES[kind], "holds": holds}
        row |= with_errors({"coverage": covered}, covered.r)
        rows.append(row | {"bayes": _pays(here, results.design.level)})
    table = table_of(rows, [*by, *GUIDE])
    return table.sort_values(by, kind="stable", ignore_index=True)


def _where(table: pd.DataFrame, place: Mapping[str, Any]) -> pd.DataFrame:
    kept = np.ones(len(table), dtype=bool)
    for column, value in place.items():
        kept &= (table[column] == value).to_numpy(bool)
    return table[kept]


def cheapest(fits: pd.DataFrame, cost: str) -> str:
    """The optimiser with the least mean cost among those whose share of data sets that end at the
    best maximum is not below the best one's by more than 1.96 Monte Carlo errors of the paired
    difference."""
    good = fits.pivot(index=DATA_SET, columns="method", values="good")
    order = list(fits.groupby("method")[cost].mean().sort_values(kind="stable").index)
    best = good[order].mean().idxmax()
    for method in order:
        lost = measures.mean((good[best] - good[method]).to_numpy(float))
        if not lost.value > Z * np.nan_to_num(lost.mcse):
            return str(method)
    return str(best)


def recommended(intervals: Mapping[str, pd.DataFrame], level: float) -> str:
    """The first kind that covers enough, on FEW data sets or more; else what covers most, on
    FEWEST or more."""
    found = {kind: pooled(rows) for kind, rows in intervals.items() if len(rows)}
    for kind, m in found.items():
        if enough(m, level):
            return kind
    some = {kind: m.value for kind, m in found.items() if m.r >= FEWEST} or {THREE[0]: 0.0}
    return max(some, key=lambda kind: some[kind])


def enough(covered: Measure, level: float) -> bool:
    """Whether a coverage may be SLACK below the level or more, on FEW data sets or more."""
    return covered.r >= FEW and covered.value + Z * np.nan_to_num(covered.mcse) >= level - SLACK


def _pays(intervals: Mapping[str, pd.DataFrame], level: float) -> str:
    """Of the posterior against Wald's: "pays", "no need" or "unsure", from what both have."""
    wald, posterior = (by_data_set(intervals[kind]) for kind in (THREE[0], THREE[2]))
    gain = measures.mean((posterior - wald).dropna().to_numpy(float))
    if gain.r < 2:
        return "not asked"
    half = Z * np.nan_to_num(gain.mcse)
    short = pooled(intervals[THREE[0]])
    if gain.value - half > 0 and short.value < level - SLACK:
        return "pays"
    if gain.value + half < 0 or short.value - Z * np.nan_to_num(short.mcse) >= level - SLACK:
        return "no need"
    return "unsure"


def guide_found(results: Results) -> str:
    """How often the two ways of counting name the same optimiser, and where Wald's are enough."""
    table = guide(results)
    if table.empty:
        return ""
    same = int((table["by_passes"] == table["by_seconds"]).sum())
    holds = table["holds"] == "yes"
    wald = int((holds & (table["interval"] == NAMES[THREE[0]])).sum())
    pays = int((table["bayes"] == "pays").sum())
    first = table["by_passes"].mode()[0], table["by_seconds"].mode()[0]
    return (
        f"By passes it is mostly {first[0]}, by seconds {first[1]}: the two agree in {same} of "
        f"{len(table)} rows; Wald intervals are enough in {wald}, none is in "
        f"{int((~holds).sum())}, and the posterior covers more than Wald's in {pays}."
    )


def summary(results: Results) -> pd.DataFrame:
    """Table 1: by n and separation, all shapes of the grid together, the four routes.

    certified: Newton's ends at the best maximum known; passes: equivalent ones, and ms:
    milliseconds, means; wald, profile, posterior: coverage of all parameters.
    """
    grid = cells(results.design)
    fits = with_verdict(results).drop(columns="n").merge(grid, on="scenario")
    fits = fits.merge(results.timings[[*FIT, "seconds"]], on=FIT, how="left")
    fits["spent"] = equivalent_passes(fits.assign(n=fits["n"].astype(float)))
    intervals = {kind: held(results, kind).merge(grid, on="scenario") for kind in THREE}
    rows = []
    for (n, d), part in fits.groupby(["n", "separation"]):
        own = {m: part[part["method"] == m] for m in ("em", "newton", "map", "nuts")}
        ends = own["newton"] if len(own["newton"]) else part[part["method"].isin(OPTIMISERS)]
        of: dict[str, Measure] = {
            "certified": measures.proportion(ends["verdict"].isin(GOOD).to_numpy(float)),
        }
        for m in ("em", "newton"):
            of[f"passes_{m}"] = measures.mean(own[m]["spent"].to_numpy(float))
        for m in own:
            of[f"ms_{m}"] = measures.mean(1e3 * own[m]["seconds"].to_numpy(float))
        here = {kind: _where(table, {"n": n, "separation": d}) for kind, table in intervals.items()}
        for kind, name in zip(THREE, ("wald", "profile", "posterior"), strict=True):
            of[name] = pooled(here[kind])
        row: dict[str, Any] = {"n": n, "separation": d}
        row |= with_errors(of, of["certified"].r)
        rows.append(row | {f"R_{name}": m.r for name, m in of.items() if m.r != of["certified"].r})
    return table_of(rows, SUMMARY)


def overview(results: Results) -> Figure:
    """Equivalent passes, coverage of the first mean and seconds against separation, at the grid's
    first (w, r) and its middle n."""
    grid = cells(results.design)
    shape, n = grid["shape"].iloc[0], middle(grid["n"])
    here = grid[(grid["shape"] == shape) & (grid["n"] == n)]
    effort = efforts(results).merge(here.drop(columns="n"), on="scenario")
    timings = results.timings.merge(here.drop(columns="n"), on="scenario")
    table = measured(results, here)
    if effort.empty or timings.empty or table.empty:
        return nothing("No fit of the grid is usable.")
    separations = sorted(here["separation"].unique())
    figure = Figure(figsize=(DOUBLE, 2.7))
    left, centre, right = figure.subplots(1, 3)
    quartiles_against(left, effort, "separation", "equivalent", present(effort))
    lines = [only(line, "mean", 1) for line in series(table, "coverage")]
    nominal_level(centre, results.design.level, table["R_coverage"].max())
    draw_lines(centre, lines, "coverage", wilson_lengths, dodge_width(separations))
    quartiles_against(right, timings, "separation", "seconds", present(timings))
    for axes, title in (
        (left, "Equivalent passes"),
        (centre, f"Coverage of {results.design.level:.0%} intervals, mean 1"),
        (right, "Seconds per fit"),
    ):
        axes.set_title(title)
        separation_axis(axes, separations)
    for axes in (left, right):
        axes.set_yscale("log")
        log_ticks(axes.yaxis)
    figure.supxlabel(
        f"Separation of the means (root-mean-square sds); {shape}, $n$ = {n:,}", fontsize=7
    )
    return figure


TABLES: tuple[Table, ...] = (
    tabular(
        "guide", "Which method, which interval", "At a glance", guide, no_grid, no_optimisers,
        timed=True, finding=guide_found,
    ),
    tabular(
        "summary", "The four routes", "At a glance", summary, no_grid, no_optimisers, timed=True
    ),
)  # fmt: skip
FIGURES: tuple[Drawing, ...] = (
    drawing(
        "overview",
        "At a glance",
        "At a glance",
        overview,
        no_grid,
        no_optimisers,
        finding=guide_found,
    ),
)
