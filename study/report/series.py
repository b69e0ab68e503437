"""Measures as lines: a method a line, optimisers that agree as one, error bars around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from models import METHODS
from models.methods import OPTIMISERS
from models.mixture import Floats
from study.report import measures
from study.report.performance import performance_of, wide
from study.report.style import (
    FEW,
    GREY,
    LOOKS,
    ML,
    Look,
    dodge_width,
    dodged,
    faded,
    names_of,
    separation_axis,
)
from study.rows import Results

MEASURES = ["bias", "rmse", "largest_share", "coverage", "bound"]
Z = NormalDist().inv_cdf(0.975)
QUARTILES = np.array([0.25, 0.5, 0.75])


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
    # Of those that as many agree with, the one that has most to draw.
    known = table[table[measure].notna()].groupby("method").size()
    drawn = max(optimisers, key=lambda o: (len(alike[o]), known.get(o, 0)), default="")
    found = []
    for method in present:
        label, look = METHODS[method].label, LOOKS[method]
        if method == drawn and len(alike[drawn]) > 1:
            everyone = len(alike[drawn]) == len(optimisers)
            look = ML
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
        y, r = (table[name].to_numpy(float) for name in (measure, f"R_{measure}"))
        points(axes, x, y, errors(table), r, look, label)


def points(
    axes: Axes, x: Floats, y: Floats, errors: Floats, r: ArrayLike, look: Look, label: str
) -> None:
    """Points with error bars, joined; those of fewer than FEW replicates are faded and not joined.

    errors: (2, points), lengths below and above.
    """
    many = np.asarray(r, dtype=float) >= FEW
    for solid in (True, False):
        kept = many == solid
        if not kept.any():
            continue
        style = look.both if solid else look.points
        axes.errorbar(
            x[kept], y[kept], errors[:, kept], **style, lw=0.7,
            elinewidth=0.7, alpha=faded(FEW if solid else 0), label=label,
        )  # fmt: skip


def nominal_level(axes: Axes, level: float, replicates: float) -> None:
    """The nominal level, and the band in which a right coverage lies 95 times in 100."""
    axes.axhline(level, color=GREY, lw=0.6, zorder=0)
    if replicates > 0:
        noise = Z * np.sqrt(level * (1.0 - level) / replicates)
        axes.axhspan(level - noise, min(level + noise, 1.0), color="0.9", zorder=-1, lw=0)


def wilson_lengths(table: pd.DataFrame) -> Floats:
    """(2, rows): Wilson's interval around a share, as lengths; not empty at shares of 0 and 1."""
    p, r = table["coverage"].to_numpy(float), table["R_coverage"].to_numpy(float)
    low, high = measures.wilson(p, r)
    return np.maximum(np.stack([p - low, high - p]), 0.0)


def edges(
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
        counts = rows[rows["method"] == method].groupby(x)[y].count()
        points(
            axes,
            dodged(found.index.to_numpy(float), place, len(methods), width),
            found[0.5].to_numpy(float),
            quartile_lengths(found),
            counts.reindex(found.index).astype(float).to_numpy(float),
            LOOKS[method],
            METHODS[method].label,
        )


def quartile_lengths(quartiles: pd.DataFrame) -> Floats:
    return np.stack(
        [
            (quartiles[0.5] - quartiles[0.25]).to_numpy(float),
            (quartiles[0.75] - quartiles[0.5]).to_numpy(float),
        ]
    )
