"""The optimisation: how near the best log-likelihood, how many passes, how many seconds."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from models import METHODS
from models.methods import OPTIMISERS, SAMPLERS
from models.mixture import Floats
from study.report.figures.estimates import NO_GRID, cells, middle
from study.report.figures.style import (
    DOUBLE,
    LOOKS,
    dodge_width,
    dodged,
    legend_above,
    log_ticks,
    nested_widths,
    nothing,
    separation_axis,
    width_for,
)
from study.report.verdicts import with_verdict
from study.rows import Results

GAPS = (1e-8, 1e2)  # nats
QUARTILES = np.array([0.25, 0.5, 0.75])


def gap(results: Results) -> Figure:
    """Share of data sets on which a method ends more than g nats behind the best, against g."""
    grid, fits = cells(results.design), with_verdict(results)
    fits = fits[fits["method"].isin(OPTIMISERS)]
    panels = [
        (f"separation {d:g}", fits[fits["scenario"].isin(part["scenario"])])
        for d, part in grid.groupby("separation")
    ]
    panels += [(s.name, fits[fits["scenario"] == s.name]) for s in results.design.scenarios]
    panels = [(title, part) for title, part in panels if not part.empty]
    if not panels:
        return nothing("No data set of this design is simulated.")
    none = [title for title, part in panels if part["behind"].max(skipna=False) <= GAPS[0]]
    panels = [(title, part) for title, part in panels if title not in none]
    if not panels:
        return nothing("Every optimiser reached the best log-likelihood on every data set.")
    columns = min(len(panels), 4)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(width_for(columns), 0.9 + 1.55 * rows))
    all_axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat
    for axes, (title, part) in zip(all_axes, panels, strict=False):
        _shares(axes, part)
        axes.set_title(title)
    for axes in all_axes[len(panels) :]:
        axes.set_visible(False)
    for axes in all_axes[len(panels) - columns : len(panels)]:
        axes.tick_params(labelbottom=True)
    top = max(0.05, all_axes[0].get_ylim()[1])
    all_axes[0].set_ylim(-0.03 * top, top)
    words = f"no gap on any data set: {', '.join(none)}" if none else ""
    lines = textwrap.wrap(words, int(15 * figure.get_figwidth()), break_on_hyphens=False)
    all_best = "".join(f"\n{line}" for line in lines)
    figure.supxlabel(f"Gap to the best log-likelihood (nats){all_best}", fontsize=7)
    figure.supylabel("Share of data sets with a larger gap", fontsize=7)
    legend_above(figure)
    return figure


def _shares(axes: Axes, fits: pd.DataFrame) -> None:
    methods = present(fits)
    for method, width in zip(methods, nested_widths(len(methods)), strict=True):
        behind = fits.loc[fits["method"] == method, "behind"].fillna(np.inf).to_numpy(float)
        edges = np.unique(np.clip(behind[np.isfinite(behind)], *GAPS))
        x = np.unique(np.concatenate([[GAPS[0]], edges, [GAPS[1]]]))
        y = [(behind > g).mean() for g in x]
        look = LOOKS[method]
        axes.step(
            x,
            y,
            where="post",
            color=look.color,
            ls=look.line,
            lw=width,
            label=METHODS[method].label,
        )
    axes.set_xscale("log")
    axes.set_xlim(*GAPS)
    axes.set_xticks([1e-6, 1e-3, 1.0])
    axes.xaxis.set_minor_locator(NullLocator())


def effort(results: Results) -> Figure:
    """Passes over the data against separation, a panel a (w, r), at the middle n."""
    grid = cells(results.design)
    if grid.empty:
        return nothing(NO_GRID)
    n = middle(grid["n"])
    fits = passes(results).merge(grid[grid["n"] == n].drop(columns="n"), on="scenario")
    if fits.empty:
        return nothing("No optimiser fitted the grid.")
    shapes = list(grid["shape"].unique())
    columns = min(len(shapes), 4)
    rows = -(-len(shapes) // columns)
    figure = Figure(figsize=(width_for(columns), 0.8 + 1.8 * rows))
    all_axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat
    for axes, shape in zip(all_axes, shapes, strict=False):
        quartiles_against(axes, fits[fits["shape"] == shape], "separation", "passes", present(fits))
        axes.set_yscale("log")
        axes.set_title(shape)
    log_ticks(all_axes[0].yaxis)
    for axes in all_axes[len(shapes) :]:
        axes.set_visible(False)
    separations = sorted(grid["separation"].unique())
    separation_axis(all_axes[0], separations)
    figure.supxlabel(f"Separation of the means (root-mean-square sds); $n$ = {n:,}", fontsize=7)
    figure.supylabel("Passes over the data", fontsize=7)
    legend_above(figure)
    return figure


def passes(results: Results) -> pd.DataFrame:
    """Usable fits by optimisers, with the passes over the data that each took."""
    fits = results.fits[results.fits["status"].isin(["ok", "not-converged"])]
    optimisers = [name for name in METHODS if name not in SAMPLERS]
    fits = fits[fits["method"].isin(optimisers)].copy()
    fits["passes"] = fits["moments"] + fits["second_moments"] + fits["gradients"]
    return fits


def seconds(results: Results) -> Figure:
    """Seconds a fit: against n over the grid, and by scenario for all that is not in it."""
    grid, timings = cells(results.design), results.timings
    gridded = timings.drop(columns="n").merge(grid, on="scenario")
    others = [name for name in results.scenario_order if not (grid["scenario"] == name).any()]
    others = [name for name in others if (timings["scenario"] == name).any()]
    wide = [not gridded.empty, bool(others)]
    if not any(wide):
        return nothing("No fit was timed.")
    figure = Figure(figsize=(DOUBLE, max(3.2, 0.8 + 0.36 * len(others))))
    areas = list(figure.subplots(1, sum(wide), squeeze=False)[0])
    methods = present(timings)
    if wide[0]:
        axes = areas.pop(0)
        logged = gridded.assign(log_n=np.log10(gridded["n"]))
        quartiles_against(axes, logged, "log_n", "seconds", methods)
        sizes = sorted(grid["n"].unique())
        axes.set_xticks(list(np.log10(sizes)), [f"{n:,}" for n in sizes])
        axes.set_yscale("log")
        log_ticks(axes.yaxis)
        axes.set_xlabel("Observations in a data set, grid")
        axes.set_ylabel("Seconds a fit")
    if wide[1]:
        _by_scenario(areas[0], timings, others, methods)
    legend_above(figure)
    return figure


def present(rows: pd.DataFrame) -> list[str]:
    """The methods that the rows have, in the registry's order."""
    return [m for m in METHODS if (rows["method"] == m).any()]


def quartiles_against(
    axes: Axes, rows: pd.DataFrame, x: str, y: str, methods: Sequence[str]
) -> None:
    """Median and quartiles of y at each x, a line a method."""
    width = dodge_width(rows[x])
    for place, method in enumerate(methods):
        found = rows[rows["method"] == method].groupby(x)[y].quantile(QUARTILES).unstack()
        if found.empty:
            continue
        look, centre = LOOKS[method], found[0.5].to_numpy(float)
        axes.errorbar(
            dodged(found.index.to_numpy(float), place, len(methods), width),
            centre,
            _lengths(found),
            color=look.color,
            marker=look.marker,
            ls=look.line,
            lw=0.7,
            elinewidth=0.7,
            label=METHODS[method].label,
        )


def _lengths(quartiles: pd.DataFrame) -> Floats:
    return np.stack(
        [
            (quartiles[0.5] - quartiles[0.25]).to_numpy(float),
            (quartiles[0.75] - quartiles[0.5]).to_numpy(float),
        ]
    )


def _by_scenario(
    axes: Axes, timings: pd.DataFrame, names: Sequence[str], methods: Sequence[str]
) -> None:
    sizes = timings.groupby("scenario")["n"].first()
    rows = timings[timings["scenario"].isin(names)]
    for place, method in enumerate(methods):
        own = rows[rows["method"] == method].groupby("scenario")["seconds"]
        found = own.quantile(QUARTILES).unstack()
        if found.empty:
            continue
        look = LOOKS[method]
        axes.errorbar(
            found[0.5].to_numpy(float),
            dodged(
                np.array([float(names.index(str(s))) for s in found.index]),
                place,
                len(methods),
                0.7,
            ),
            xerr=_lengths(found),
            color=look.color,
            marker=look.marker,
            ls="none",
            elinewidth=0.7,
            label=METHODS[method].label,
        )
    for edge in range(1, len(names)):
        axes.axhline(edge - 0.5, color="0.85", lw=0.5, zorder=0)
    axes.set_yticks(range(len(names)), [f"{s}\n$n$ = {sizes[s]:,.0f}" for s in names])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xscale("log")
    log_ticks(axes.xaxis)
    axes.set_xlabel("Seconds a fit")
