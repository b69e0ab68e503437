"""The study at a glance: effort, coverage and seconds in one row of panels."""

from __future__ import annotations

from matplotlib.figure import Figure

from study.report.figures.estimates import (
    NO_GRID,
    cells,
    draw_lines,
    measured,
    middle,
    nominal_level,
    only,
    series,
    wilson,
)
from study.report.figures.optimisation import passes, present, quartiles_against
from study.report.figures.style import (
    DOUBLE,
    dodge_width,
    legend_above,
    log_ticks,
    nothing,
    separation_axis,
)
from study.rows import Results


def overview(results: Results) -> Figure:
    """Passes, coverage of the first mean and seconds against separation, at the grid's first
    (w, r) and its middle n."""
    grid = cells(results.design)
    if grid.empty:
        return nothing(NO_GRID)
    shape, n = grid["shape"].iloc[0], middle(grid["n"])
    here = grid[(grid["shape"] == shape) & (grid["n"] == n)]
    effort = passes(results).merge(here.drop(columns="n"), on="scenario")
    timings = results.timings.merge(here.drop(columns="n"), on="scenario")
    table = measured(results, here)
    if effort.empty or timings.empty or table.empty:
        return nothing("No fit of the grid is usable.")
    separations = sorted(here["separation"].unique())
    figure = Figure(figsize=(DOUBLE, 2.7))
    left, centre, right = figure.subplots(1, 3)
    quartiles_against(left, effort, "separation", "passes", present(effort))
    lines = [only(line, "mean", 1) for line in series(table, "coverage")]
    nominal_level(centre, results.design.level, table["R_coverage"].max())
    draw_lines(centre, lines, "coverage", wilson, dodge_width(separations))
    quartiles_against(right, timings, "separation", "seconds", present(timings))
    for axes, title in (
        (left, "Passes over the data"),
        (centre, f"Coverage of {results.design.level:.0%} intervals, mean 1"),
        (right, "Seconds a fit"),
    ):
        axes.set_title(title)
        separation_axis(axes, separations)
    for axes in (left, right):
        axes.set_yscale("log")
        log_ticks(axes.yaxis)
    figure.supxlabel(
        f"Separation of the means (root-mean-square sds); {shape}, $n$ = {n:,}", fontsize=7
    )
    legend_above(figure)
    return figure
