"""The estimates: bias, RMSE, efficiency and coverage, and where fits failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.mixture import Floats
from study.report import measures
from study.report.exhibit import Drawing, Table, tabular
from study.report.grid import cells, gridded, middle, named
from study.report.measures import Measure
from study.report.performance import (
    LOSSES,
    losses,
    performance,
    reference,
    wide,
    with_given,
    with_one_r,
)
from study.report.readers import per_cent
from study.report.reasons import no_grid, no_intervals, no_named
from study.report.series import Series, Z, draw_lines, edges, measured, only, series
from study.report.style import (
    GREY,
    dodge_width,
    dodged,
    drawing,
    log_ticks,
    nothing,
    width_for,
)
from study.rows import Results, usable

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
        label = "one replicate is more than half" if len(own) else None
        axes.plot(x, own["rmse"].to_numpy(float), "x", color="black", ms=4.5, mew=0.8, label=label)


def _bias_errors(table: pd.DataFrame) -> Floats:
    half = Z * table["bias_mcse"].to_numpy(dtype=float)
    return np.stack([half, half])


def _rmse_errors(table: pd.DataFrame) -> Floats:
    """(2, rows): of the log by the delta method, so that bars on a log axis stay above zero."""
    value = table["rmse"].to_numpy(dtype=float)
    factor = np.exp(Z * table["rmse_mcse"].to_numpy(dtype=float) / value)
    return np.stack([value - value / factor, value * factor - value])


def bias_found(results: Results) -> str:
    """What of maximum likelihood's mean squared error is bias, by separation, as drawn."""
    grid = cells(results.design)
    if grid.empty:
        return ""
    n = middle(grid["n"])
    table = measured(results, grid[grid["n"] == n])
    table = table[(table["method"] == reference(results)) & (table["rmse"] > 0)]
    found = {float(str(d)): _of_bias(part) for d, part in table.groupby("separation")}
    found = {d: share for d, share in found.items() if share.r > 1}
    if not found:
        return ""
    said = [f"{per_cent(share)} at separation {d:g}" for d, share in found.items()]
    return (
        f"Of maximum likelihood's mean squared error bias makes up {', '.join(said)}, in the mean "
        f"over cells and parameters at n = {n:,}."
    )


def _of_bias(table: pd.DataFrame) -> Measure:
    """The share of squared bias in mean squared errors, the mean over cells and parameters.

    The squared bias is freed of its own noise. MCSE by the delta method, for the errors of the
    biases; those of a cell's parameters are taken to go together.
    """
    bias, error, square = (
        table["bias"].to_numpy(float), table["bias_mcse"].to_numpy(float),
        table["rmse"].to_numpy(float) ** 2,
    )  # fmt: skip
    shares = pd.DataFrame(
        {
            "share": (bias**2 - error**2) / square,
            "error": 2.0 * np.abs(bias) * error / square,
            "r": table["R_bias"].to_numpy(float),
        }
    )
    by = shares.groupby(table["scenario"].to_numpy()).mean()
    cells_ = [Measure(*row) for row in by[["share", "error", "r"]].to_numpy(float)]
    return measures.mean_of(cells_)


def rmse_found(results: Results) -> str:
    """The posterior mode's root mean square error beside maximum likelihood's, by separation."""
    grid, base = cells(results.design), reference(results)
    rows = usable(results).dropna(subset=["truth"])
    rows = rows[rows["method"].isin(("map", base)) & rows["scenario"].isin(grid["scenario"])]
    found: dict[float, list[Measure]] = {}
    for d, scenario in grid[["separation", "scenario"]].itertuples(index=False):
        ratio = _log_ratio(rows[rows["scenario"] == scenario], "map", base)
        if np.isfinite(ratio.mcse):
            found.setdefault(d, []).append(ratio)
    by = {d: measures.mean_of(found[d]) for d in sorted(found)}
    if not by:
        return ""
    said = [
        f"{np.exp(by[d].value):.3f} ({np.exp(by[d].value) * by[d].mcse:.3f}) at separation {d:g}"
        for d in dict.fromkeys((min(by), max(by)))
    ]
    return (
        "The posterior mode's error over maximum likelihood's, the geometric mean over cells and "
        f"parameters, on the same data sets, is {' and '.join(said)}."
    )


def _log_ratio(rows: pd.DataFrame, method: str, base: str) -> Measure:
    """Of two methods' root mean square errors in a scenario, the mean over its parameters.

    Over the data sets that both have estimates of; MCSE by the jackknife over them.
    """
    squares = rows.assign(square=(rows["estimate"] - rows["truth"]) ** 2).pivot_table(
        index="replicate", columns=["method", "parameter", "component"], values="square"
    )
    squares = squares.dropna()
    r, made = len(squares), set(squares.columns.get_level_values(0))
    if r < 2 or not {method, base} <= made:
        return Measure(np.nan, np.nan, r)
    both = [squares[one].to_numpy(float) for one in (method, base)]
    without = [measures.without_each(one) for one in both]
    with np.errstate(invalid="ignore", divide="ignore"):  # of errors that are all 0
        logs = 0.5 * np.log(without[0] / without[1]).mean(axis=1)
        whole = 0.5 * np.log(both[0].sum(axis=0) / both[1].sum(axis=0)).mean()
    error = np.sqrt((r - 1) / r * ((logs - logs.mean()) ** 2).sum())
    return Measure(float(whole), float(error), r)


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
    drawing("bias", "Bias, grid", "Estimates", bias, no_grid, finding=bias_found),
    drawing(
        "rmse", "Root mean squared error, grid", "Estimates", rmse, no_grid, finding=rmse_found
    ),
)
