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
from study.compute.intervals import KINDS
from study.report.figures.estimates import NO_GRID, Series, cells, draw_lines, nominal_level, wilson
from study.report.figures.style import (
    COMPONENTS,
    GREY,
    LOOKS,
    dodge_width,
    dodged,
    legend_above,
    nothing,
    separation_axis,
    width_for,
)
from study.report.performance import intervals, wide
from study.rows import Results

NONE = "No data set of this design has intervals of every kind."
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
    here = [k for k in KINDS if (table["kind"] == k).any()]
    columns = min(4, len(quantities))
    rows = -(-len(quantities) // columns)
    figure = Figure(figsize=(width_for(columns), 0.6 + (0.5 + 0.155 * len(here)) * rows))
    areas = list(figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat)
    low = 1.0
    for axes, quantity in zip(areas, quantities, strict=False):
        for place, name in enumerate(names):
            own = table[(table["scenario"] == name) & (table["quantity"] == quantity)]
            own = own[own["R_coverage"] > 0].set_index("kind").reindex(here).reset_index()
            low = min(low, float((own["coverage"] - wilson(own)[0]).min()))
            look = list(LOOKS.values())[place]
            axes.errorbar(
                own["coverage"].to_numpy(float),
                dodged(np.arange(len(here), dtype=float), place, len(names), 0.5),
                xerr=wilson(own),
                color=look.color,
                marker=look.marker,
                ls="none",
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
    areas[0].set_yticks(range(len(here)), [KINDS[k] for k in here])
    areas[0].set_ylim(len(here) - 0.5, -0.5)
    areas[0].set_xlim(max(low - 0.03, 0.0), 1.01)
    for axes in areas:
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    figure.supxlabel("Coverage", fontsize=7)
    legend_above(figure)
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
    if grid.empty:
        return nothing(NO_GRID)
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
            nominal_level(axes, results.design.level, float(part["R_coverage"].max()))
            lines = [
                Series(KINDS[kind], look, part[part["kind"] == kind].sort_values("separation"))
                for kind, look in zip(present, LOOKS.values(), strict=False)
            ]
            draw_lines(axes, lines, "coverage", wilson, dodge_width(separations))
        row[0].set_ylabel(f"Coverage,\n{quantity}")
    for axes, shape in zip(panels[0], shapes, strict=True):
        axes.set_title(shape)
    separation_axis(panels[0, 0], separations)
    figure.align_ylabels(panels[:, 0])
    figure.supxlabel(f"Separation of the means (root-mean-square sds); $n$ = {n:,}", fontsize=7)
    legend_above(figure)
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
        axes.set_title(KINDS[kind])
    finite = ends[np.isfinite(ends)]
    if finite.size:
        panels[0].set_xlim(*np.quantile(finite, [0.005, 0.995]))
    panels[0].set_ylabel("Centile of the distance from the truth")
    figure.supxlabel(f"Interval for mean 1, {name}", fontsize=7)
    legend_above(figure)
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
        (misses, COMPONENTS[5], "does not"),
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
