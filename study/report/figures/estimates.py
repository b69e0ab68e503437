"""The estimates: true densities of the scenarios; bias, RMSE and coverage over the grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from models import METHODS, Mixture
from models.methods import OPTIMISERS
from models.mixture import Floats
from study.design import Design, Scenario
from study.report import measures
from study.report.figures.style import (
    COMPONENTS,
    DOUBLE,
    GREY,
    LOOKS,
    Look,
    dodge_width,
    dodged,
    legend_above,
    log_ticks,
    names_of,
    nothing,
    separation_axis,
    width_for,
)
from study.report.performance import performance_of, wide
from study.rows import Results

MEASURES = ["bias", "rmse", "coverage", "bound"]
NO_GRID = "This design has no grid."
PARAMETERS = (("weight", 1), ("mean", 1), ("mean", 2), ("sd", 1), ("sd", 2))
Z = NormalDist().inv_cdf(0.975)


def cells(design: Design) -> pd.DataFrame:
    """The grid's cells: scenario, separation, weight, sd_ratio, n, and shape, the (w, r) text."""
    columns = ["scenario", "separation", "weight", "sd_ratio", "n"]
    rows = [
        (s.name, s.separation, s.weight, s.sd_ratio, s.n)
        for grid in design.grids
        for s in grid.scenarios()
    ]
    table = pd.DataFrame(rows, columns=columns)
    table["shape"] = [
        f"$w$ = {w:g}, $r$ = {r:g}" for w, r in zip(table["weight"], table["sd_ratio"], strict=True)
    ]
    return table


def middle(values: pd.Series[Any]) -> Any:
    """The middle one of the distinct values, the larger of two."""
    distinct = sorted(values.unique())
    return distinct[len(distinct) // 2]


def densities(results: Results) -> Figure:
    """The mixtures that were simulated, with their weighted components."""
    named = results.design.scenarios
    grid = cells(results.design).drop_duplicates(["separation", "shape"])
    if not named and grid.empty:
        return nothing("This design simulates nothing.")
    simulated = {s.name: s for s in results.design.all_scenarios()}
    rows = -(-len(named) // 4) * 1.35, grid["shape"].nunique() * 1.05 + 0.3
    figure = Figure(figsize=(DOUBLE, sum(h for h in rows if h > 0.3) + 0.35))
    parts = [h for h in rows if h > 0.3]
    areas = list(figure.subfigures(len(parts), 1, height_ratios=parts, squeeze=False)[:, 0])
    if named:
        panels = areas.pop(0).subplots(-(-len(named) // 4), min(len(named), 4), squeeze=False)
        for axes, scenario in zip(panels.flat, named, strict=False):
            _density(axes, scenario)
            axes.set_title(scenario.name)
        for axes in panels.flat[len(named) :]:
            axes.set_visible(False)
    if not grid.empty:
        shapes, distances = grid["shape"].unique(), sorted(grid["separation"].unique())
        panels = areas[0].subplots(
            len(shapes), len(distances), squeeze=False, sharex="col", sharey="row"
        )
        for row in grid.itertuples():
            place = list(shapes).index(row.shape), distances.index(row.separation)
            _density(panels[place], simulated[str(row.scenario)])
        for axes, d in zip(panels[0], distances, strict=True):
            axes.set_title(f"separation {d:g}")
        for axes, shape in zip(panels[:, 0], shapes, strict=True):
            axes.set_ylabel(shape)
        for axes in panels[-1]:
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        areas[0].supxlabel("Observation", fontsize=7)
    figure.supylabel("Density", fontsize=7)
    return figure


def _density(axes: Axes, scenario: Scenario) -> None:
    truth = scenario.truth()
    x = span(truth.components)
    axes.plot(x, truth.density(x), color="black", lw=1.1)
    for part, color in zip(truth.parts(x).T, COMPONENTS, strict=False):
        axes.plot(x, part, color=color, lw=0.9, ls=(0, (4, 1.5)))
    axes.set_ylim(bottom=0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def span(mixture: Mixture) -> Floats:
    """(400,): an even grid over all components, four sds to each side."""
    low = (mixture.means - 4.0 * mixture.sds).min()
    high = (mixture.means + 4.0 * mixture.sds).max()
    return np.linspace(low, high, 400)


class Series(NamedTuple):
    """What is drawn as one line: a method, or all optimisers that agree."""

    label: str
    look: Look
    table: pd.DataFrame


def series(table: pd.DataFrame, measure: str) -> list[Series]:
    """The methods of the table, the optimisers that agree as one.

    Two agree if the measure differs nowhere in the table by more than one Monte Carlo standard
    error, about half of an error bar's arm. The line is that of the optimiser which most others
    agree with, and stands for those.
    """
    present = [m for m in METHODS if (table["method"] == m).any()]
    optimisers = [m for m in present if m in OPTIMISERS]
    alike = {o: [m for m in optimisers if _agree(table, measure, o, m)] for o in optimisers}
    drawn = max(optimisers, key=lambda o: len(alike[o]), default="")
    found = []
    for method in present:
        label, look = METHODS[method].label, LOOKS[method]
        if method == drawn and len(alike[drawn]) > 1:
            everyone = len(alike[drawn]) == len(optimisers)
            look = LOOKS[optimisers[0]] if everyone else look
            label = f"ML ({'all optimisers' if everyone else names_of(alike[drawn])})"
        elif method in alike.get(drawn, []) and method != drawn:
            continue
        found.append(Series(label, look, table[table["method"] == method]))
    return found


def _agree(table: pd.DataFrame, measure: str, one: str, other: str) -> bool:
    keys, error = ["scenario", "parameter", "component"], f"{measure}_mcse"
    first, second = (
        table.loc[table["method"] == method, [*keys, measure, error]] for method in (one, other)
    )
    both = first.merge(second, on=keys, suffixes=("", "_other"))
    difference = (both[measure] - both[f"{measure}_other"]).abs()
    allowed = both[[error, f"{error}_other"]].max(axis=1).fillna(0.0) + 1e-6 * both[measure].abs()
    return bool((difference.fillna(0.0) <= allowed).all())


def measured(results: Results, scenarios: pd.DataFrame) -> pd.DataFrame:
    """`performance` of the given cells, with their columns."""
    table = wide(performance_of(results, tuple(scenarios["scenario"])), MEASURES)
    return table.merge(scenarios.drop(columns="weight"), on="scenario")


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
    if grid.empty:
        return nothing(NO_GRID)
    n = middle(grid["n"])
    table = measured(results, grid[grid["n"] == n])
    if table.empty:
        return nothing("No fit of the grid is usable.")
    shapes = list(grid["shape"].unique())
    figure = Figure(figsize=(width_for(len(shapes)), 7.4))
    panels = figure.subplots(len(PARAMETERS), len(shapes), squeeze=False, sharex=True, sharey="row")
    lines, separations = series(table, measure), sorted(grid["separation"].unique())
    for (parameter, component), row in zip(PARAMETERS, panels, strict=True):
        for shape, axes in zip(shapes, row, strict=True):
            prepare(axes)
            here = [only(s, parameter, component, shape=shape) for s in lines]
            draw_lines(axes, here, measure, errors, dodge_width(separations))
            if measure == "rmse":
                _draw_bound(axes, here[0].table)
        row[0].set_ylabel(f"{name}, {parameter} {component}")
        if row[0].get_yscale() == "log":
            log_ticks(row[0].yaxis)
    _edges(figure, panels, shapes, separations, f"; $n$ = {n:,}")
    return figure


def _draw_bound(axes: Axes, table: pd.DataFrame) -> None:
    label = "Cramér–Rao bound"
    axes.plot(table["separation"], table["bound"], color=GREY, lw=1.6, zorder=0, label=label)


def coverage(results: Results) -> Figure:
    """Coverage of the intervals for the first mean."""
    return _coverage(results, "mean")


def coverage_weight(results: Results) -> Figure:
    """Coverage of the intervals for the first weight."""
    return _coverage(results, "weight")


def _coverage(results: Results, parameter: str) -> Figure:
    grid = cells(results.design)
    if grid.empty:
        return nothing(NO_GRID)
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
            draw_lines(axes, here, "coverage", wilson, width)
        row[0].set_ylabel(f"Coverage\n{shape}")
    _edges(figure, panels, [f"$n$ = {n:,}" for n in sizes], separations)
    return figure


def nominal_level(axes: Axes, level: float, replicates: float) -> None:
    """The nominal level, and the band in which a right coverage lies 95 times in 100."""
    axes.axhline(level, color=GREY, lw=0.6, zorder=0)
    if replicates > 0:
        noise = Z * np.sqrt(level * (1.0 - level) / replicates)
        axes.axhspan(level - noise, min(level + noise, 1.0), color="0.9", zorder=-1, lw=0)


def wilson(table: pd.DataFrame) -> Floats:
    """(2, rows): Wilson's interval around a share, as lengths; not empty at shares of 0 and 1."""
    p, r = table["coverage"].to_numpy(float), table["R_coverage"].to_numpy(float)
    low, high = measures.wilson(p, r)
    return np.maximum(np.stack([p - low, high - p]), 0.0)


def _bias_errors(table: pd.DataFrame) -> Floats:
    half = Z * table["bias_mcse"].to_numpy(dtype=float)
    return np.stack([half, half])


def _rmse_errors(table: pd.DataFrame) -> Floats:
    """(2, rows): of the log by the delta method, so that bars on a log axis stay above zero."""
    value = table["rmse"].to_numpy(dtype=float)
    factor = np.exp(Z * table["rmse_mcse"].to_numpy(dtype=float) / value)
    return np.stack([value - value / factor, value * factor - value])


def only(line: Series, parameter: str, component: int, **where: object) -> Series:
    """The series of one parameter, where columns have the values given."""
    table = line.table
    kept = (table["parameter"] == parameter) & (table["component"] == component)
    for column, value in where.items():
        kept &= table[column] == value
    return line._replace(table=table[kept].sort_values("separation"))


def draw_lines(
    axes: Axes,
    lines: Sequence[Series],
    measure: str,
    errors: Callable[[pd.DataFrame], Floats],
    width: float,
) -> None:
    for place, (label, look, table) in enumerate(lines):
        x = dodged(table["separation"].to_numpy(float), place, len(lines), width)
        axes.errorbar(
            x,
            table[measure].to_numpy(float),
            errors(table),
            color=look.color,
            marker=look.marker,
            ls=look.line,
            lw=0.7,
            elinewidth=0.7,
            label=label,
        )


def _edges(
    figure: Figure,
    panels: np.ndarray[Any, Any],
    titles: Sequence[str],
    separations: Sequence[float],
    more: str = "",
) -> None:
    for axes, title in zip(panels[0], titles, strict=True):
        axes.set_title(title)
    separation_axis(panels[0, 0], separations)
    figure.align_ylabels(panels[:, 0])
    figure.supxlabel(f"Separation of the means (root-mean-square sds){more}", fontsize=7)
    legend_above(figure)
