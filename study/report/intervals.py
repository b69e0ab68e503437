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
from study.report import measures
from study.report.exhibit import Drawing, Table, tabular
from study.report.grid import cells, gridded, group_looks, named
from study.report.held import NAMES, THREE, held, kinds_of, pooled
from study.report.performance import intervals, wide, with_given, with_one_r
from study.report.reasons import no_grid_intervals, no_named_intervals
from study.report.series import (
    Z,
    nominal_level,
    wilson_lengths,
)
from study.report.style import (
    GREY,
    INTERVAL_LOOKS,
    MISS,
    dodged,
    drawing,
    faded,
    nothing,
    width_for,
)
from study.report.table import table_of, with_errors
from study.rows import CROSSING, CUTOFF, DATA_SET, INTERVAL_KINDS, Results


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


NONE = "No fit that was to have intervals is usable."
SHOWN = (
    "weight 1",
    "mean 1",
    "sd 1",
    "mixture mean",
    "quantile 0.1",
    "density at 50% point",
    CROSSING,
    CUTOFF,
)
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
    columns = min(4, len(quantities))
    together = [quantities[i : i + columns] for i in range(0, len(quantities), columns)]
    of_row = [_kinds_of(table[table["quantity"].isin(row)]) for row in together]
    heights = [0.5 + 0.155 * len(kinds) for kinds in of_row]
    figure = Figure(figsize=(width_for(columns), 0.6 + sum(heights)))
    panels = figure.subplots(
        len(together), columns, squeeze=False, sharex=True, sharey="row", height_ratios=heights
    )
    areas, low = list(panels.flat), 1.0
    for i, (axes, quantity) in enumerate(zip(areas, quantities, strict=False)):
        here = of_row[i // columns]
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
    for axes, here in zip(panels[:, 0], of_row, strict=True):
        axes.set_yticks(range(len(here)), [INTERVAL_KINDS[k] for k in here])
        axes.set_ylim(len(here) - 0.5, -0.5)
    areas[0].set_xlim(max(low - 0.03, 0.0), 1.01)
    for axes in areas:
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    figure.supxlabel("Coverage", fontsize=7)
    return figure


def _kinds_of(table: pd.DataFrame) -> list[str]:
    return [k for k in INTERVAL_KINDS if (table["kind"] == k).any()]


def most_kinds(results: Results, table: pd.DataFrame) -> list[str]:
    """Up to three named scenarios: those with most kinds of intervals, then most replicates."""
    named = [s.name for s in results.design.scenarios]
    part = table[table["scenario"].isin(named) & (table["quantity"] == "mean 1")]
    if part.empty:
        return []
    found = part.groupby("scenario").agg(kinds=("kind", "nunique"), most=("R_coverage", "max"))
    order = found.sort_values(["kinds", "most"], ascending=False, kind="stable")
    return [name for name in named if name in set(order.index[:3])]


WIDTHS = ["n", "separation", "kind", "R", "coverage", "width"]
# Kinds that every fit of a method has, whether or not the design asks for intervals.
EVERYWHERE = ("wald", "laplace", "equal-tailed")


def widths(results: Results) -> pd.DataFrame:
    """By separation and kind of interval, over the grid at the n with most of them: coverage of all
    parameters, and width over Wald's, on the data sets that have every kind but the posterior's.

    coverage: a data set counts once, by the share of its intervals that hold the truth. width: the
    median over data sets of the median ratio to Wald's interval of the same parameter; an open
    interval is wider than any.
    """
    grid = cells(results.design)
    tables = {kind: held(results, kind).merge(grid, on="scenario") for kind in kinds_of(results)}
    asked = [t for kind, t in tables.items() if kind not in EVERYWHERE and len(t)]
    if not asked or "wald" not in tables:
        return table_of([], WIDTHS)
    n = pd.concat(asked).groupby("n").size().idxmax()
    shared = pd.MultiIndex.from_frame(asked[0].loc[asked[0]["n"] == n, DATA_SET].drop_duplicates())
    wald = tables["wald"].set_index([*DATA_SET, "quantity"])["width"]
    found = []
    for kind, table in tables.items():
        here = table[pd.MultiIndex.from_frame(table[DATA_SET]).isin(shared)]
        for d, part in here.groupby("separation"):
            keys = pd.MultiIndex.from_frame(part[[*DATA_SET, "quantity"]])
            with np.errstate(invalid="ignore", divide="ignore"):
                ratio = part["width"].to_numpy(float) / wald.reindex(keys).to_numpy(float)
            one = pd.Series(ratio).groupby([part[c].to_numpy() for c in DATA_SET]).median()
            of = {"coverage": pooled(part), "width": measures.median_of_open(one.to_numpy(float))}
            key = {"n": n, "separation": d, "kind": kind}
            found.append(key | with_errors(of, of["coverage"].r) | {"R_width": of["width"].r})
    return table_of(found, WIDTHS)


def coverage_and_width(results: Results) -> Figure:
    """Coverage against width over Wald's, a point a kind of interval, a panel a separation."""
    table = widths(results)
    table = table[np.isfinite(table["width"])]
    if table.empty:
        return nothing(NONE)
    separations = sorted(table["separation"].unique())
    figure = Figure(figsize=(width_for(len(separations)), 2.6))
    panels = figure.subplots(1, len(separations), squeeze=False, sharey=True, sharex=True)[0]
    for d, axes in zip(separations, panels, strict=True):
        nominal_level(axes, results.design.level, 0)
        here = table[table["separation"] == d].set_index("kind")
        for kind in (k for k in INTERVAL_KINDS if k in here.index):
            one = here.loc[kind]
            axes.errorbar(
                one["width"], one["coverage"], Z * one["coverage_mcse"],
                Z * np.nan_to_num(one["width_mcse"], posinf=0.0),
                **INTERVAL_LOOKS[kind].points, alpha=faded(one["R"]), elinewidth=0.6,
                label=INTERVAL_KINDS[kind],
            )  # fmt: skip
        axes.axvline(1.0, color=GREY, lw=0.6, zorder=0)
        axes.set_title(f"separation {d:g}")
    panels[0].set_ylabel("Coverage, all parameters")
    figure.supxlabel(f"Width relative to Wald's; $n$ = {table['n'].iloc[0]:,}", fontsize=7)
    return figure


def widths_found(results: Results) -> str:
    """What the profile's and the posterior's intervals gain on Wald's where it is hardest."""
    table = widths(results)
    here = table[table["separation"] == table["separation"].min()].set_index("kind")
    others = [k for k in THREE[1:] if k in here.index and np.isfinite(here["width"][k])]
    if "wald" not in here.index or not others:
        return ""
    said = {
        k: f"{100 * one.coverage:.0f}% ({100 * one.coverage_mcse:.1f}; R = {one.R})"
        for k, one in zip(here.index, here.itertuples(), strict=True)
    }
    parts = [
        f"those by {NAMES[k]} {said[k]} at {here['width'][k]:.2g} times the width" for k in others
    ]
    return (
        f"At separation {here['separation'].iloc[0]:g} Wald intervals hold {said['wald']} of the "
        f"truths, {', '.join(parts)}, where an open interval is "
        "wider than any; Monte Carlo errors in points."
    )


def kinds_found(results: Results) -> str:
    """What three kinds hold of the first mean of the scenario with most of them."""
    table = coverages(results)
    names = most_kinds(results, table)
    own = table[table["scenario"].isin(names[:1]) & (table["quantity"] == "mean 1")]
    own = own[own["kind"].isin(THREE)].drop_duplicates("kind").set_index("kind")
    said = [
        f"{NAMES[k]} in {share(own['coverage'][k], own['R_coverage'][k])}"
        for k in THREE
        if k in own.index and own["R_coverage"][k] > 0
    ]
    if not said:
        return ""
    return f"For mean 1 of {names[0]} intervals hold the truth: {', '.join(said)} of the data sets."


def share(value: float, r: float) -> str:
    """In per cent, with its Monte Carlo error or, of 0 and 1, Wilson's interval, and R."""
    own = measures.of_count(round(value * r), int(r))
    error = f"{100 * own.mcse:.1f}"
    if not own.mcse > 0:
        error = " to ".join(f"{100 * end:.0f}" for end in own.ends)
    return f"{100 * own.value:.0f}% ({error}; R = {own.r:,})"


def _zipped(results: Results) -> pd.DataFrame:
    """The intervals for the first mean of the scenario with most of them."""
    names = most_kinds(results, coverages(results))
    rows = results.intervals[results.intervals["quantity"] == "mean 1"].dropna(subset=["truth"])
    rows = rows[rows["scenario"].isin(names)]
    if rows.empty:
        return rows
    counts = rows.groupby("scenario")["kind"].agg(["nunique", "size"])
    name = str(counts.sort_values(["nunique", "size"], ascending=False).index[0])
    rows = rows[(rows["scenario"] == name) & (rows["method"] != "nuts-ordered")]
    return rows[rows["kind"].isin(ZIPPED)]


def zip_found(results: Results) -> str:
    """How many intervals of each kind miss the truth, and on which side."""
    rows, parts = _zipped(results), []
    for kind in ZIPPED:
        own = rows[rows["kind"] == kind]
        if own.empty:
            continue
        above = int((own["lower"] > own["truth"]).sum())
        below = int((own["upper"] < own["truth"]).sum())
        lost = int((own["lower"].isna() | own["upper"].isna()).sum())
        missed = share((above + below + lost) / len(own), len(own))
        name = INTERVAL_KINDS[kind].replace(", ", " ")
        text = f"{name} {missed}, {above} above and {below} below it"
        parts.append(f"{text}, {lost} missing" if lost else text)
    if not parts:
        return ""
    scenario = rows["scenario"].iloc[0]
    return f"Intervals for mean 1 of {scenario} that miss the truth: {'; '.join(parts)}."


def zipped(results: Results) -> Figure:
    """Every interval for the first mean of the scenario with most kinds, ranked, by kind."""
    rows = _zipped(results)
    if rows.empty:
        return nothing(NONE)
    here: Sequence[str] = [k for k in ZIPPED if (rows["kind"] == k).any()]
    figure = Figure(figsize=(width_for(len(here)), 3.3))
    panels = figure.subplots(1, len(here), squeeze=False, sharex=True, sharey=True)[0]
    ends = rows[["lower", "upper"]].to_numpy(float)
    for axes, kind in zip(panels, here, strict=True):
        _zip(axes, rows[rows["kind"] == kind], results.design.level)
        axes.set_title(INTERVAL_KINDS[kind])
    finite = ends[np.isfinite(ends)]
    if finite.size:
        panels[0].set_xlim(*np.quantile(finite, [0.005, 0.995]))
    panels[0].set_ylabel("Centile of the distance from the truth")
    figure.supxlabel(f"Interval for mean 1, {rows['scenario'].iloc[0]}", fontsize=7)
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
        (misses, MISS, "misses it"),
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
    tabular("widths", "Coverage against width", "Uncertainty", widths, no_grid_intervals),
    tabular(
        "intervals-grid",
        "Intervals by kind, grid",
        "Uncertainty",
        interval_kinds_grid,
        no_grid_intervals,
    ),
)
FIGURES: tuple[Drawing, ...] = (
    drawing(
        "kinds",
        "Coverage by kind of interval",
        "Uncertainty",
        kinds,
        no_named_intervals,
        finding=kinds_found,
    ),
    drawing(
        "coverage-width",
        "Coverage against width",
        "Uncertainty",
        coverage_and_width,
        no_grid_intervals,
        finding=widths_found,
    ),
    drawing(
        "zip",
        "Interval by interval",
        "Uncertainty",
        zipped,
        no_named_intervals,
        finding=zip_found,
    ),
)
