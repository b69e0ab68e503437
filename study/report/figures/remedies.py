"""What remedies for label switching answer, and how well warnings tell wrong answers from right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.mixture import Floats
from study.design import Scenario
from study.report import measures, remedy_tables
from study.report.figures.estimates import Z
from study.report.figures.style import (
    DOUBLE,
    GREY,
    LOOKS,
    dodge_width,
    dodged,
    legend_above,
    nothing,
    separation_axis,
)
from study.report.remedy_tables import RELABELLED, SAMPLED
from study.rows import DISTANCE, REMEDIES, Results

MEASURES = {
    "bias": "Bias",
    "from_stephens": "Posterior mean minus Stephens'",
    "coverage": "Coverage",
}
LABELS = {"by mean": "relabelled by mean", "Stephens": "Stephens", "ordered": "ordered means"}


def remedies(results: Results) -> Figure:
    """The distance between the means by remedy: bias, against Stephens, and coverage."""
    table = remedy_tables.remedies(results)
    if table.empty:
        return nothing("This design compares no remedies.")
    place, ticks = _places(results, list(table["scenario"].unique()))
    table = table[table["parameter"] == DISTANCE].assign(place=table["scenario"].map(place))
    shown = [r for r in REMEDIES if r != "none"]
    figure = Figure(figsize=(DOUBLE, 2.6))
    panels = figure.subplots(1, 3, sharex=True)
    bases = (0.0, 0.0, results.design.level)
    width = dodge_width(place.values())
    for j, (remedy, look) in enumerate(zip(shown, LOOKS.values(), strict=False)):
        part = table[table["remedy"] == remedy]
        x = dodged(part["place"].to_numpy(float), j, len(shown), width)
        style: dict[str, Any] = {"color": look.color, "marker": look.marker, "ms": 3.0}
        style["label"] = LABELS.get(remedy, remedy)
        for axes, base, measure in zip(panels, bases, MEASURES, strict=True):
            _lollipops(axes, x, *_value_and_ends(part, measure), base, style)
    for axes, base, name in zip(panels, bases, MEASURES.values(), strict=True):
        axes.set_title(name)
        axes.axhline(base, color=GREY, lw=0.6, zorder=0)
        if ticks is None:
            separation_axis(axes, sorted(place.values()))
        else:
            axes.set_xticks(range(len(ticks)), ticks)
    panels[-1].set_ylim(top=1.02)
    figure.supylabel(r"$\mu_2 - \mu_1$", fontsize=7)
    if ticks is None:
        figure.supxlabel("Separation of the means (root-mean-square sds)", fontsize=7)
    legend_above(figure)
    return figure


def _value_and_ends(part: pd.DataFrame, measure: str) -> tuple[Floats, Floats]:
    """The values and the lengths (2, rows) of their error bars."""
    value = part[measure].to_numpy(float)
    if measure == "coverage":
        low, high = measures.wilson(value, part["R"].to_numpy(float))
        return value, np.maximum(np.stack([value - low, high - value]), 0.0)
    half = Z * part[f"{measure}_mcse"].fillna(0.0).to_numpy(float)
    return value, np.stack([half, half])


def _places(results: Results, names: list[str]) -> tuple[dict[str, float], list[str] | None]:
    """Where each scenario stands: by its separation, or, where they do not tell them apart, one
    after the other, with their names as ticks."""
    found: dict[str, float] = {}
    for name in names:
        unit = results.design.scenario(name)
        if isinstance(unit, Scenario) and unit.separation is not None:
            found[name] = unit.separation
    if len(set(found.values())) == len(names) > 1:
        return found, None
    return {name: float(i) for i, name in enumerate(names)}, names


def _lollipops(axes: Axes, x: Any, y: Any, ends: Any, base: float, style: dict[str, Any]) -> None:
    axes.vlines(x, base, y, color=style["color"], lw=0.6, alpha=0.6)
    axes.errorbar(x, y, ends, ls="none", elinewidth=0.9, capsize=1.5, **style)


def warnings(results: Results) -> Figure:
    """Sensitivity and specificity of each diagnostic with Wilson's intervals, by answer."""
    table = remedy_tables.warnings(results)
    table = table[table["R"] > 0] if not table.empty else table
    if table.empty:
        return nothing("No fit of this design is held against a reference.")
    panels = [a for a in (RELABELLED, SAMPLED) if (table["answer"] == a).any()]
    names = list(dict.fromkeys(table["diagnostic"]))
    figure = Figure(figsize=(DOUBLE, 0.9 + 0.19 * len(names)))
    axes_of = figure.subplots(1, len(panels), squeeze=False, sharex=True, sharey=True)[0]
    for axes, answer in zip(axes_of, panels, strict=True):
        _rates(axes, table[table["answer"] == answer], names)
        counts = table.loc[table["answer"] == answer, ["wrong", "R"]].max()
        axes.set_title(f"Answers {answer}: {counts['wrong']:.0f} of {counts['R']:.0f} wrong")
    axes_of[0].set_yticks(range(len(names)), names)
    axes_of[0].set_ylim(len(names) - 0.5, -0.5)
    figure.supxlabel("Share of fits", fontsize=7)
    legend_above(figure)
    return figure


def _rates(axes: Axes, table: pd.DataFrame, names: list[str]) -> None:
    place = np.array([names.index(name) for name in table["diagnostic"]], dtype=float)
    for measure, label, fill, shift in (
        ("sensitivity", "fires where the answer is wrong", "black", -0.14),
        ("specificity", "is silent where the answer is right", "white", 0.14),
    ):
        value = table[measure].to_numpy(float)
        ends = [value - table[f"{measure}_low"], table[f"{measure}_high"] - value]
        axes.errorbar(
            value,
            place + shift,
            xerr=np.maximum(np.nan_to_num(np.stack(ends)), 0.0),
            ls="none",
            marker="o" if fill == "black" else "s",
            color="black" if fill == "black" else "0.45",
            mfc=fill,
            ms=3.5,
            elinewidth=0.8,
            label=label,
        )
    for edge in range(1, len(names)):
        axes.axhline(edge - 0.5, color="0.92", lw=0.5, zorder=0)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(-0.02, 1.02)
