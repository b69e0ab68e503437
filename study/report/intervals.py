"""Intervals by kind: their coverage, named and over the grid, and interval by interval as a zip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from models.methods import SAMPLERS
from models.mixture import Floats
from study.report.exhibit import Drawing, Table, tabular
from study.report.grid import cells, gridded, group_looks, named
from study.report.performance import intervals, wide, with_given, with_one_r
from study.report.reasons import no_grid, no_grid_intervals, no_named_intervals
from study.report.series import (
    Series,
    draw_lines,
    edges,
    measured,
    nominal_level,
    only,
    series,
    wilson_lengths,
)
from study.report.style import (
    GREY,
    INTERVAL_LOOKS,
    MISS,
    dodge_width,
    dodged,
    drawing,
    nothing,
    separation_axis,
    width_for,
)
from study.rows import INTERVAL_KINDS, Results


def interval_kinds(results: Results) -> pd.DataFrame:
    """Coverage and width by kind of interval, named scenarios."""
    return named(results, _by_kind(results))


def interval_kinds_grid(results: Results) -> pd.DataFrame:
    """Coverage and width by kind of interval, grid."""
    return gridded(results, _by_kind(results))


def _by_kind(results: Results) -> pd.DataFrame:
    long = intervals(results)
    names = ["coverage", "bias_eliminated_coverage", "interval_width", "median_width"]
    return with_given(long, with_one_r(wide(long, names)))


def coverage(results: Results) -> Figure:
    """Coverage of the intervals for the first mean."""
    return _coverage(results, "mean")


def coverage_weight(results: Results) -> Figure:
    """Coverage of the intervals for the first weight."""
    return _coverage(results, "weight")


def _coverage(results: Results, parameter: str) -> Figure:
    grid = cells(results.design)
    table = measured(results, grid)
    if not table.empty:
        table = table[(table["parameter"] == parameter) & (table["component"] == 1)]
    if table.empty:
        return nothing("No fit of the grid is usable.")
    shapes, sizes = list(grid["shape"].unique()), sorted(grid["n"].unique())
    figure = Figure(figsize=(width_for(len(sizes)), 0.9 + 1.4 * len(shapes)))
    panels = figure.subplots(len(shapes), len(sizes), squeeze=False, sharex=True, sharey=True)
    level, lines = results.design.level, series(table, "coverage")
    separations = sorted(grid["separation"].unique())
    width = dodge_width(separations)
    for shape, row in zip(shapes, panels, strict=True):
        for n, axes in zip(sizes, row, strict=True):
            here = [only(s, parameter, 1, shape=shape, n=n) for s in lines]
            nominal_level(axes, level, max((s.table["R_coverage"].max() for s in here), default=0))
            draw_lines(axes, here, "coverage", wilson_lengths, width)
        row[0].set_ylabel(f"Coverage\n{shape}")
    edges(figure, panels, [f"$n$ = {n:,}" for n in sizes], separations)
    return figure


NONE = "No fit that was to have intervals is usable."
SHOWN = (
    "weight 1",
    "mean 1",
    "sd 1",
    "mixture mean",
    "quantile 0.1",
    "density at 50% point",
    "crossing",
    "misclassification",
)
GRID_QUANTITIES = ("weight 1", "mean 1", "sd 1", "density at 50% point")
GRID_KINDS = ("wald", "sandwich", "profile", "laplace", "equal-tailed")
ZIPPED = ("wald", "profile", "percentile", "equal-tailed")


def coverages(results: Results) -> pd.DataFrame:
    """Coverage with Monte Carlo error and R_coverage, by scenario, quantity, kind and method.

    Of the samplers, the first that has intervals stands for both: they have one posterior.
    """
    table = wide(intervals(results), ["coverage"])
    samplers = [m for m in SAMPLERS if m in set(table["method"])]
    return table[~table["method"].isin(samplers[1:])]


def kinds(results: Results) -> Figure:
    """Coverage by kind of interval, a panel a quantity, for the scenarios with most kinds."""
    table = coverages(results)
    names = most_kinds(results, table)
    if not names:
        return nothing(NONE)
    quantities = [q for q in SHOWN if (table["quantity"] == q).any()]
    here = [k for k in INTERVAL_KINDS if (table["kind"] == k).any()]
    columns = min(4, len(quantities))
    rows = -(-len(quantities) // columns)
    figure = Figure(figsize=(width_for(columns), 0.6 + (0.5 + 0.155 * len(here)) * rows))
    areas = list(figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat)
    low = 1.0
    for axes, quantity in zip(areas, quantities, strict=False):
        for place, name in enumerate(names):
            own = table[(table["scenario"] == name) & (table["quantity"] == quantity)]
            own = own[own["R_coverage"] > 0].set_index("kind").reindex(here).reset_index()
            low = min(low, float((own["coverage"] - wilson_lengths(own)[0]).min()))
            look = group_looks(results.design)[name]
            axes.errorbar(
                own["coverage"].to_numpy(float),
                dodged(np.arange(len(here), dtype=float), place, len(names), 0.5),
                xerr=wilson_lengths(own),
                **look.points,
                ms=2.8,
                elinewidth=0.6,
                label=name,
            )
        axes.axvline(results.design.level, color=GREY, lw=0.7, zorder=0)
        for edge in range(1, len(here)):
            axes.axhline(edge - 0.5, color="0.92", lw=0.5, zorder=0)
        axes.set_title(quantity)
    for axes in areas[len(quantities) :]:
        axes.set_visible(False)
    areas[0].set_yticks(range(len(here)), [INTERVAL_KINDS[k] for k in here])
    areas[0].set_ylim(len(here) - 0.5, -0.5)
    areas[0].set_xlim(max(low - 0.03, 0.0), 1.01)
    for axes in areas:
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    figure.supxlabel("Coverage", fontsize=7)
    return figure


def most_kinds(results: Results, table: pd.DataFrame) -> list[str]:
    """Up to three named scenarios: those with most kinds of intervals, then most replicates."""
    named = [s.name for s in results.design.scenarios]
    part = table[table["scenario"].isin(named) & (table["quantity"] == "mean 1")]
    if part.empty:
        return []
    found = part.groupby("scenario").agg(kinds=("kind", "nunique"), most=("R_coverage", "max"))
    order = found.sort_values(["kinds", "most"], ascending=False, kind="stable")
    return [name for name in named if name in set(order.index[:3])]


def kinds_grid(results: Results) -> Figure:
    """Coverage against separation by kind of interval, at the n with most replicates."""
    grid, table = cells(results.design), coverages(results)
    table = table[table["kind"].isin(GRID_KINDS)].merge(
        grid.drop(columns=["weight"]), on="scenario"
    )
    if table.empty:
        return nothing(NONE)
    n = table.groupby("n")["R_coverage"].sum().idxmax()
    table = table[table["n"] == n]
    shapes = list(table["shape"].unique())
    quantities = [q for q in GRID_QUANTITIES if (table["quantity"] == q).any()]
    figure = Figure(figsize=(width_for(len(shapes)), 0.8 + 1.35 * len(quantities)))
    panels = figure.subplots(len(quantities), len(shapes), squeeze=False, sharex=True, sharey=True)
    separations = sorted(table["separation"].unique())
    present = [k for k in GRID_KINDS if (table["kind"] == k).any()]
    for quantity, row in zip(quantities, panels, strict=True):
        for shape, axes in zip(shapes, row, strict=True):
            part = table[(table["quantity"] == quantity) & (table["shape"] == shape)]
            part = part.sort_values("separation")
            nominal_level(axes, results.design.level, float(part["R_coverage"].max()))
            lines = [
                Series(INTERVAL_KINDS[kind], INTERVAL_LOOKS[kind], part[part["kind"] == kind])
                for kind in present
            ]
            draw_lines(axes, lines, "coverage", wilson_lengths, dodge_width(separations))
        row[0].set_ylabel(f"Coverage,\n{quantity}")
    for axes, shape in zip(panels[0], shapes, strict=True):
        axes.set_title(shape)
    separation_axis(panels[0, 0], separations)
    figure.align_ylabels(panels[:, 0])
    figure.supxlabel(f"Separation of the means (root-mean-square sds); $n$ = {n:,}", fontsize=7)
    return figure


def zipped(results: Results) -> Figure:
    """Every interval for the first mean of the scenario with most kinds, ranked, by kind."""
    names = most_kinds(results, coverages(results))
    if not names:
        return nothing(NONE)
    rows = results.intervals[results.intervals["quantity"] == "mean 1"].dropna(subset=["truth"])
    counts = rows[rows["scenario"].isin(names)].groupby("scenario")["kind"].agg(["nunique", "size"])
    name = str(counts.sort_values(["nunique", "size"], ascending=False).index[0])
    rows = rows[(rows["scenario"] == name) & (rows["method"] != "nuts-ordered")]
    here: Sequence[str] = [k for k in ZIPPED if (rows["kind"] == k).any()]
    figure = Figure(figsize=(width_for(len(here)), 3.3))
    panels = figure.subplots(1, len(here), squeeze=False, sharex=True, sharey=True)[0]
    spread = rows[rows["kind"].isin(here)]
    ends = spread[["lower", "upper"]].to_numpy(float)
    for axes, kind in zip(panels, here, strict=True):
        _zip(axes, rows[rows["kind"] == kind], results.design.level)
        axes.set_title(INTERVAL_KINDS[kind])
    finite = ends[np.isfinite(ends)]
    if finite.size:
        panels[0].set_xlim(*np.quantile(finite, [0.005, 0.995]))
    panels[0].set_ylabel("Centile of the distance from the truth")
    figure.supxlabel(f"Interval for mean 1, {name}", fontsize=7)
    return figure


def _zip(axes: Axes, rows: pd.DataFrame, level: float) -> None:
    values: list[Floats] = [
        rows[c].to_numpy(float) for c in ("truth", "estimate", "lower", "upper")
    ]
    kept = np.isfinite(np.stack(values)).all(axis=0)
    truth, estimate, lower, upper = (v[kept] for v in values)
    if not truth.size:
        return
    y = centiles(truth, estimate, lower, upper)
    misses = (truth < lower) | (truth > upper)
    looks: list[tuple[Any, str, str]] = [
        (~misses, "0.7", "holds the truth"),
        (misses, MISS, "does not"),
    ]
    for chosen, color, label in looks:
        axes.hlines(y[chosen], lower[chosen], upper[chosen], color=color, lw=0.7, label=label)
    axes.axvline(truth[0], color="black", lw=0.8)
    axes.axhline(level, color="black", lw=0.6, ls=(0, (4, 2)))
    axes.set_ylim(0.0, 1.0)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))


def centiles(truth: Floats, estimate: Floats, lower: Floats, upper: Floats) -> Floats:
    """(R,): ranks in (0, 1] of the truth's distance from the estimate, in lengths of that side.

    Of |z| for Wald intervals, as Morris, White and Crowther (2019) rank them; an interval holds
    the truth where the distance is at most 1.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        below, above = (
            (estimate - truth) / (estimate - lower),
            (truth - estimate) / (upper - estimate),
        )
    distance = np.nan_to_num(np.fmax(below, above), nan=0.0, posinf=np.inf)
    return (np.argsort(np.argsort(distance, kind="stable"), kind="stable") + 1.0) / distance.size


TABLES: tuple[Table, ...] = (
    tabular(
        "intervals",
        "Intervals by kind, named scenarios",
        "Uncertainty",
        interval_kinds,
        no_named_intervals,
    ),
    tabular(
        "intervals-grid",
        "Intervals by kind, grid",
        "Uncertainty",
        interval_kinds_grid,
        no_grid_intervals,
    ),
)
FIGURES: tuple[Drawing, ...] = (
    drawing("coverage", "Coverage, first mean, grid", "Uncertainty", coverage, no_grid),
    drawing("coverage-weight", "Coverage, weight, grid", "Uncertainty", coverage_weight, no_grid),
    drawing("kinds", "Coverage by kind of interval", "Uncertainty", kinds, no_named_intervals),
    drawing("kinds-grid", "The same over the grid", "Uncertainty", kinds_grid, no_grid_intervals),
    drawing("zip", "Interval by interval", "Uncertainty", zipped, no_named_intervals),
)
