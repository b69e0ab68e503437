"""The estimates: bias, RMSE, efficiency and coverage, and where fits failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models import METHODS
from models.methods import OPTIMISERS
from models.mixture import Floats
from study.report import measures
from study.report.exhibit import Drawing, Table, tabular
from study.report.grid import cells, gridded, middle, named
from study.report.performance import (
    LOSSES,
    losses,
    performance,
    performance_of,
    reference,
    wide,
    with_given,
    with_one_r,
)
from study.report.reasons import no_grid, no_intervals, no_named
from study.report.series import Series, Z, draw_lines, edges, measured, only, series, wilson_lengths
from study.report.style import (
    DOUBLE,
    GREY,
    LOOKS,
    dodge_width,
    dodged,
    drawing,
    log_ticks,
    nothing,
    width_for,
)
from study.rows import Results

ESTIMATES = [
    "bias",
    "median_error",
    "empirical_se",
    "efficiency",
    "rmse",
    "largest_share",
    "model_se",
    "model_se_error",
    "coverage",
    "bias_eliminated_coverage",
    "interval_width",
    "median_width",
    "relative_precision",
    "not_believable",
]
NO_BOUND = "No named scenario of this design has an efficiency bound."


def estimates(results: Results) -> pd.DataFrame:
    """Performance of the named scenarios' estimates, a column a measure."""
    return named(results, _estimates(results))


def grid(results: Results) -> pd.DataFrame:
    """Performance over the grid, a column a measure."""
    return gridded(results, _estimates(results))


def _estimates(results: Results) -> pd.DataFrame:
    """Every measure; dominated: whether one replicate is more than half of the squared errors."""
    long = performance(results)
    return with_given(long, with_one_r(_marked(wide(long, ESTIMATES))))


def _marked(table: pd.DataFrame) -> pd.DataFrame:
    share, r = table.pop("largest_share"), table.pop("R_largest_share")
    table = table.drop(columns="largest_share_mcse")
    marks = np.where(measures.dominated(share, r), "yes", "no")
    table.insert(list(table.columns).index("rmse") + 2, "dominated", marks)
    return table


def complete(results: Results) -> pd.DataFrame:
    """Where fits failed: bias, RMSE and coverage over the replicates on which none did, and
    coverage over all, with failures as misses."""
    long = performance(results)
    names = ["bias", "median_error", "rmse", "largest_share", "coverage"]
    table = with_one_r(_marked(wide(long, names, "complete")))
    every = with_one_r(wide(long, ["coverage"])).drop(columns="truth")
    every = every.rename(columns=lambda c: f"all_{c}" if "coverage" in c or c == "R" else c)
    keys = ["scenario", "parameter", "component", "method"]
    return table.merge(every, on=keys, how="left")


def label_free_losses(results: Results) -> pd.DataFrame:
    """Mean distances of the estimate from the truth as a whole."""
    return with_one_r(wide(losses(results), list(LOSSES)))


SHOWN = (("weight", 1), ("mean", 1), ("mean", 2), ("sd", 1), ("sd", 2))


def bias(results: Results) -> Figure:
    """Bias against separation, a row a parameter, a column a (w, r), at the middle n."""
    return _by_parameter(results, "bias", "Bias", _zero_line, _bias_errors)


def rmse(results: Results) -> Figure:
    """RMSE against separation on a log axis, laid out as `bias`."""
    return _by_parameter(results, "rmse", "RMSE", _log_axis, _rmse_errors)


def _zero_line(axes: Axes) -> None:
    axes.axhline(0.0, color=GREY, lw=0.6, zorder=0)


def _log_axis(axes: Axes) -> None:
    axes.set_yscale("log")


def _by_parameter(
    results: Results,
    measure: str,
    name: str,
    prepare: Callable[[Axes], None],
    errors: Callable[[pd.DataFrame], Floats],
) -> Figure:
    grid = cells(results.design)
    n = middle(grid["n"])
    table = measured(results, grid[grid["n"] == n])
    if table.empty:
        return nothing("No fit of the grid is usable.")
    shapes = list(grid["shape"].unique())
    figure = Figure(figsize=(width_for(len(shapes)), 7.4))
    panels = figure.subplots(len(SHOWN), len(shapes), squeeze=False, sharex=True, sharey="row")
    lines, separations = series(table, measure), sorted(grid["separation"].unique())
    for (parameter, component), row in zip(SHOWN, panels, strict=True):
        for shape, axes in zip(shapes, row, strict=True):
            prepare(axes)
            here = [only(s, parameter, component, shape=shape) for s in lines]
            draw_lines(axes, here, measure, errors, dodge_width(separations))
            if measure == "rmse":
                _draw_bound(axes, here[0].table)
                _mark_dominated(axes, here, dodge_width(separations))
        row[0].set_ylabel(f"{name}, {parameter} {component}")
        if row[0].get_yscale() == "log":
            log_ticks(row[0].yaxis)
    edges(figure, panels, shapes, separations, f"; $n$ = {n:,}")
    return figure


def _draw_bound(axes: Axes, table: pd.DataFrame) -> None:
    label = "Cramér–Rao bound"
    axes.plot(table["separation"], table["bound"], color=GREY, lw=1.6, zorder=0, label=label)


def _mark_dominated(axes: Axes, lines: Sequence[Series], width: float) -> None:
    """A cross over each RMSE that one replicate makes up."""
    for place, (_, _, table) in enumerate(lines):
        own = table[measures.dominated(table["largest_share"], table["R_largest_share"])]
        x = dodged(own["separation"].to_numpy(float), place, len(lines), width)
        label = "one replicate is over half" if len(own) else None
        axes.plot(x, own["rmse"].to_numpy(float), "x", color="black", ms=4.5, mew=0.8, label=label)


def _bias_errors(table: pd.DataFrame) -> Floats:
    half = Z * table["bias_mcse"].to_numpy(dtype=float)
    return np.stack([half, half])


def _rmse_errors(table: pd.DataFrame) -> Floats:
    """(2, rows): of the log by the delta method, so that bars on a log axis stay above zero."""
    value = table["rmse"].to_numpy(dtype=float)
    factor = np.exp(Z * table["rmse_mcse"].to_numpy(dtype=float) / value)
    return np.stack([value - value / factor, value * factor - value])


MEASURES = ["bias", "empirical_se", "rmse", "model_se_error", "coverage", "bound", "efficiency"]


def of_scenarios(results: Results, names: list[str]) -> pd.DataFrame:
    """The wide measures of these scenarios; bias and RMSE also in units of the bound."""
    table = wide(performance_of(results, tuple(names)), MEASURES)
    for name in ("bias", "rmse"):
        table[f"scaled_{name}"] = table[name] / table["bound"]
        table[f"scaled_{name}_mcse"] = table[f"{name}_mcse"] / table["bound"]
    return table


COLUMNS = (
    ("scaled_bias", "Bias (efficiency bounds)", 0.0),
    ("efficiency", "Efficiency", 1.0),
    ("model_se_error", "Error of the standard error (%)", 0.0),
    ("coverage", "Coverage", None),
)


def lollipops(results: Results) -> Figure:
    """Bias, efficiency, error of the SE and coverage by parameter and method, named scenarios."""
    table = of_scenarios(results, [s.name for s in results.design.scenarios])
    table = table[table["bound"].notna()] if not table.empty else table
    if table.empty:
        return nothing(NO_BOUND)
    most = table.groupby("scenario", sort=False).agg(size=("method", "size"), r=("R_bias", "max"))
    kinds = results.intervals.groupby("scenario")["kind"].nunique()
    most["kinds"] = kinds.reindex(most.index).fillna(0)
    chosen = set(most.sort_values(["kinds", "r", "size"], ascending=False, kind="stable").index[:3])
    names = [s.name for s in results.design.scenarios if s.name in chosen]
    shown = [m for m in METHODS if m == reference(results) or m not in OPTIMISERS]
    lines = {name: _by_method(table[table["scenario"] == name], shown) for name in names}
    heights = [
        len(table.loc[table["scenario"] == n, ["parameter", "component"]].drop_duplicates())
        * (0.09 * len(lines[n]) + 0.14)
        for n in names
    ]
    figure = Figure(figsize=(DOUBLE, 0.9 + sum(heights) + 0.25 * len(names)))
    panels = figure.subplots(
        len(names), len(COLUMNS), squeeze=False, sharex="col", height_ratios=heights
    )
    for name, row in zip(names, panels, strict=True):
        own = table[table["scenario"] == name]
        places = own[["parameter", "component"]].drop_duplicates().to_numpy().tolist()
        for axes, (measure, label, zero) in zip(row, COLUMNS, strict=True):
            centre = results.design.level if zero is None else zero
            axes.axvline(centre, color=GREY, lw=0.7, zorder=0)
            for place, line in enumerate(lines[name]):
                _stems(axes, line, measure, places, place, len(lines[name]), centre)
            axes.set_ylim(len(places) - 0.5, -0.5)
            axes.set_yticks([])
            for edge in range(1, len(places)):
                axes.axhline(edge - 0.5, color="0.92", lw=0.5, zorder=0)
            if name == names[-1]:
                axes.set_xlabel(label)
        row[0].set_yticks(range(len(places)), [f"{p} {int(c)}" for p, c in places])
        row[0].tick_params(axis="y", length=0)
        row[0].set_title(name, loc="left")
    return figure


def _by_method(table: pd.DataFrame, methods: list[str]) -> list[Series]:
    """A series a method that the table has; the one optimiser stands for maximum likelihood."""
    found = []
    for method in methods:
        own = table[table["method"] == method]
        label = f"ML ({METHODS[method].label})" if method in OPTIMISERS else METHODS[method].label
        if not own.empty:
            found.append(Series(label, LOOKS[method], own))
    return found


def _stems(
    axes: Axes,
    line: Series,
    measure: str,
    places: list[list[object]],
    place: int,
    of: int,
    centre: float,
) -> None:
    label, look, table = line
    index = table.set_index(["parameter", "component"])
    own = index.reindex(pd.MultiIndex.from_tuples([tuple(p) for p in places]))
    y = dodged(np.arange(len(places), dtype=float), place, of, 0.62)
    values = own[measure].to_numpy(float)
    half = Z * own[f"{measure}_mcse"].to_numpy(float)
    errors = np.stack([half, half])
    if measure == "coverage":
        errors = wilson_lengths(own)
    axes.hlines(y, centre, values, color=look.color, lw=0.7, zorder=1)
    axes.errorbar(
        values,
        y,
        xerr=errors,
        color=look.color,
        marker=look.marker,
        ms=2.8,
        ls="none",
        elinewidth=0.5,
        ecolor=look.color,
        label=label,
    )


FACTORS = (("n", "$n$"), ("weight", "$w$"), ("sd_ratio", "$r$"), ("separation", "$d$"))


def nested_loop(results: Results) -> Figure:
    """RMSE over its bound and coverage of the first mean in every cell of the grid, nested."""
    grid = cells(results.design)
    table = of_scenarios(results, list(grid["scenario"]))
    table = table[(table["parameter"] == "mean") & (table["component"] == 1)]
    if table.empty:
        return nothing("No fit of the grid is usable.")
    order = grid.sort_values([name for name, _ in FACTORS]).reset_index(drop=True)
    order["place"] = np.arange(len(order), dtype=float)
    table = table.merge(order[["scenario", "place"]], on="scenario").sort_values("place")
    figure = Figure(figsize=(DOUBLE, 4.6))
    top, centre, bottom = figure.subplots(3, 1, sharex=True, height_ratios=[3, 3, 1.5])
    lines = series(table, "rmse")
    for axes, measure in ((top, "scaled_rmse"), (centre, "coverage")):
        for line in lines:
            at = np.append(line.table["place"], line.table["place"].max() + 1)
            y = np.append(line.table[measure], line.table[measure].iloc[-1])
            axes.step(
                at, y, where="post", **line.look.stroke, lw=0.9,
                label=line.label,
            )  # fmt: skip
    top.set_yscale("log")
    log_ticks(top.yaxis)
    top.axhline(1.0, color=GREY, lw=0.7, zorder=0)
    top.set_ylabel("RMSE over\nthe bound")
    centre.axhline(results.design.level, color=GREY, lw=0.7, zorder=0)
    centre.set_ylabel("Coverage")
    _factor_steps(bottom, order)
    bottom.set_xlim(0.0, len(order))
    bottom.set_xticks([])
    figure.supxlabel("Cells of the grid, one after another; intervals for mean 1", fontsize=7)
    figure.align_ylabels([top, centre])
    return figure


def _factor_steps(axes: Axes, order: pd.DataFrame) -> None:
    """The levels of the factors by cell, each as a staircase of its own."""
    at = np.append(order["place"], len(order))
    for row, (name, symbol) in enumerate(FACTORS):
        levels = sorted(order[name].unique())
        rank = order[name].map({v: i for i, v in enumerate(levels)}).to_numpy(float)
        y = -row + 0.6 * rank / max(len(levels) - 1, 1)
        axes.step(at, np.append(y, y[-1]), where="post", color="0.3", lw=0.8)
        text = ", ".join(f"{v:,g}" for v in levels)
        axes.text(-0.5, -row + 0.3, f"{symbol}: {text}", ha="right", va="center", fontsize=6)
    axes.set_ylim(-len(FACTORS) + 0.85, 0.75)
    axes.set_yticks([])
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)


def bias_rmse(results: Results) -> Figure:
    """RMSE against the size of the bias, both over the bound, a panel a separation."""
    grid = cells(results.design)
    n = middle(grid["n"])
    grid = grid[grid["n"] == n]
    table = of_scenarios(results, list(grid["scenario"]))
    table = table.merge(grid[["scenario", "separation"]], on="scenario")
    if table.empty:
        return nothing("No fit of the grid is usable.")
    separations = sorted(table["separation"].unique())
    figure = Figure(figsize=(width_for(len(separations)), 2.6))
    panels = figure.subplots(1, len(separations), squeeze=False, sharex=True, sharey=True)[0]
    for axes, d in zip(panels, separations, strict=True):
        axes.set_xscale("log")
        axes.set_yscale("log")
        ends = np.array([1e-2, 1e2])
        axes.plot(ends, ends, color=GREY, lw=0.7, zorder=0)
        for line in series(table, "rmse"):
            own = line.table[line.table["separation"] == d]
            axes.plot(
                own["scaled_bias"].abs(),
                own["scaled_rmse"],
                ls="none",
                color=line.look.color,
                marker=line.look.marker,
                mfc="none",
                ms=3,
                label=line.label,
            )
        axes.set_title(f"separation {d:g}")
    y = table["scaled_rmse"].to_numpy(float)
    y = y[np.isfinite(y)]
    if y.size:
        panels[0].set_ylim(0.7 * y.min(), 1.5 * y.max())
        panels[0].set_xlim(1e-2, 1.5 * y.max())
    figure.supxlabel(f"Size of the bias (efficiency bounds); $n$ = {n:,}", fontsize=7)
    panels[0].set_ylabel("RMSE (efficiency bounds)")
    return figure


TABLES: tuple[Table, ...] = (
    tabular(
        "estimates", "Estimates against truth, named scenarios", "Estimates", estimates, no_named
    ),
    tabular("grid", "Estimates against truth, grid", "Estimates", grid, no_grid),
    tabular(
        "losses", "Distance from the truth as a whole", "Estimates", label_free_losses, no_intervals
    ),
    tabular("complete", "Where fits failed", "Estimates", complete, none="No fit failed."),
)
FIGURES: tuple[Drawing, ...] = (
    drawing("bias", "Bias, grid", "Estimates", bias, no_grid),
    drawing("rmse", "Root mean squared error, grid", "Estimates", rmse, no_grid),
    drawing(
        "lollipops", "Bias, efficiency, coverage", "Estimates", lollipops, no_named, none=NO_BOUND
    ),
    drawing("nested-loop", "The grid at once", "Estimates", nested_loop, no_grid),
    drawing("bias-rmse", "Bias against RMSE", "Estimates", bias_rmse, no_grid),
)
