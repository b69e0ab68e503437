"""Simulation-based calibration: the ECDF of the ranks minus the uniform's, with its bands."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models import METHODS
from study.report import uniformity
from study.report.figures.style import DOUBLE, LOOKS, legend_above, nothing
from study.rows import Results

LEVEL = 0.95
COLUMNS = 5

type Line = str | tuple[float, tuple[float, ...]]
# Ragged lines need plainer dashes than the methods' own.
LINES: tuple[Line, ...] = ("solid", (0, (2.5, 1)), (0, (1, 1)))


def calibration(results: Results) -> Figure:
    """A panel a quantity, a line a sampler; bands of one line, and of all lines together."""
    ranks = results.ranks.dropna(subset=["rank"])
    if ranks.empty:
        return nothing("This design has no calibration of the samplers.")
    names = list(dict.fromkeys(ranks["quantity"]))
    methods = [method for method in METHODS if (ranks["method"] == method).any()]
    lines = ranks.groupby(["quantity", "method"]).ngroups
    columns = min(COLUMNS, len(names))
    rows = math.ceil(len(names) / columns)
    figure = Figure(figsize=(DOUBLE, 0.7 + 1.35 * rows))
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axes, name in zip(panels, names, strict=False):
        own = ranks[ranks["quantity"] == name]
        _bands(axes, own, lines)
        for method, line in zip(methods, itertools.cycle(LINES)):
            _line(axes, own[own["method"] == method], method, line)
        axes.set_title(name)
    for axes in panels[len(names) :]:
        axes.remove()
    figure.supxlabel("Rank among the posterior draws, 0 to 1", fontsize=7)
    figure.supylabel("ECDF minus uniform", fontsize=7)
    legend_above(figure)
    return figure


def _bands(axes: Axes, ranks: pd.DataFrame, lines: int) -> None:
    """For the most replicates that any sampler has, which is all of them unless fits failed."""
    r, of = ranks.groupby("method").size().max(), int(ranks["of"].iloc[0])
    z = np.arange(of + 2) / (of + 1)
    for level, shade, label in (
        (1.0 - (1.0 - LEVEL) / lines, "0.93", f"{LEVEL:.0%} of all {lines} lines together"),
        (LEVEL, "0.84", f"{LEVEL:.0%} of one line"),
    ):
        low, high = (np.pad(end, 1) for end in uniformity.band(int(r), of, level))
        axes.fill_between(z, low, high, color=shade, lw=0, label=label, zorder=0)
    axes.axhline(0, color="0.6", lw=0.5, zorder=1)


def _line(axes: Axes, ranks: pd.DataFrame, method: str, line: Line) -> None:
    z, off = uniformity.difference(ranks["rank"].to_numpy(int), int(ranks["of"].iloc[0]))
    color, label = LOOKS[method].color, METHODS[method].label
    axes.plot([0, *z, 1], [0, *off, 0], color=color, ls=line, lw=0.9, label=label)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
