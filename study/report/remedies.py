"""What remedies for label switching answer and cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.inference.chains import MAX_RHAT
from models.mixture import Floats
from study.design import Scenario
from study.report import measures
from study.report.exhibit import Drawing, Table, tabular
from study.report.measures import Measure
from study.report.reasons import no_remedies
from study.report.series import Z
from study.report.style import (
    DOUBLE,
    GREY,
    REMEDY_LOOKS,
    dodge_width,
    dodged,
    drawing,
    separation_axis,
)
from study.report.table import table_of, with_errors
from study.rows import DATA_SET, DISTANCE, REMEDIES, Results


def remedies(results: Results) -> pd.DataFrame:
    """Bias, RMSE, coverage and width by scenario, remedy and parameter.

    from_stephens: mean difference of the posterior mean from that after Stephens' relabelling, on
    the same data. unconverged: share of fits whose R-hat of the parameter is not below MAX_RHAT.
    """
    rows = results.remedies
    base = rows.loc[rows["remedy"] == "Stephens", [*DATA_SET, "parameter", "mean"]]
    rows = rows.merge(base.rename(columns={"mean": "stephens"}), on=[*DATA_SET, "parameter"])
    found = []
    for key, part in rows.groupby(["scenario", "remedy", "parameter"], sort=False):
        mean, truth, stephens, lower, upper, rhat = (
            part[c].to_numpy(float) for c in ("mean", "truth", "stephens", "lower", "upper", "rhat")
        )
        of: dict[str, Measure] = {
            "bias": measures.bias(mean, truth),
            "median_error": measures.median_error(mean, truth),
            "rmse": measures.rmse(mean, truth),
            "coverage": measures.coverage(lower, upper, truth),
            "width": measures.interval_width(lower, upper),
            "median_width": measures.median_width(lower, upper),
            "from_stephens": measures.mean(mean - stephens),
            "unconverged": measures.proportion((~(rhat < MAX_RHAT)).astype(float)),
        }
        row = dict(zip(("scenario", "remedy", "parameter"), key, strict=True))
        share = measures.largest_share(mean, truth)
        marked = {"dominated": "yes" if measures.dominated(share.value, share.r) else "no"}
        found.append(row | {"R": len(part), "truth": truth[0]} | with_errors(of) | marked)
    return table_of(found, ["scenario", "remedy", "parameter", "R"])


def folding(results: Results) -> pd.DataFrame:
    """Two runs of one posterior, in the order of the means: a check of the errors by ESS.

    Ordered means as a prior are sampled as the exchangeable posterior, and put in order; by mean is
    the same of another run.

    difference: of the posterior means, in posterior sds, mean over data sets. squared_z: mean of
    its square over the Monte Carlo variance of both, 1 if that is right.
    """
    wide = {
        name: results.remedies[results.remedies["remedy"] == name].set_index(
            ["scenario", "replicate", "parameter"]
        )
        for name in ("ordered", "by mean")
    }
    one, other = wide["ordered"], wide["by mean"].reindex(wide["ordered"].index)
    gap = one["mean"] - other["mean"]
    both = pd.DataFrame(
        {
            "difference": gap / other["sd"],
            "squared_z": gap**2 / (one["sd"] ** 2 / one["ess"] + other["sd"] ** 2 / other["ess"]),
        }
    )
    found = []
    for key, part in both.groupby(["scenario", "parameter"], sort=False):
        of = {str(name): measures.mean(part[name].to_numpy(float)) for name in part}
        row = dict(zip(("scenario", "parameter"), key, strict=True))
        found.append(row | with_errors(of, len(part)))
    return table_of(found, ["scenario", "parameter", "R"])


MEASURES = {
    "bias": "Bias",
    "from_stephens": "Posterior mean minus Stephens'",
    "coverage": "Coverage",
}
LABELS = {"by mean": "relabelled by mean", "Stephens": "Stephens", "ordered": "ordered means"}


def remedies_bias(results: Results) -> Figure:
    """The distance between the means by remedy: bias, against Stephens, and coverage."""
    table = remedies(results)
    place, ticks = _places(results, list(table["scenario"].unique()))
    table = table[table["parameter"] == DISTANCE].assign(place=table["scenario"].map(place))
    shown = [r for r in REMEDIES if r != "none"]
    figure = Figure(figsize=(DOUBLE, 2.6))
    panels = figure.subplots(1, 3, sharex=True)
    bases = (0.0, 0.0, results.design.level)
    width = dodge_width(place.values())
    for j, remedy in enumerate(shown):
        part = table[table["remedy"] == remedy]
        x = dodged(part["place"].to_numpy(float), j, len(shown), width)
        look = REMEDY_LOOKS[remedy]
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
    axes.vlines(x, base, y, color="0.8", lw=0.6, zorder=0)
    axes.errorbar(x, y, ends, ls="none", elinewidth=0.9, capsize=1.5, **style)


TABLES: tuple[Table, ...] = (
    tabular("remedies", "What remedies answer", "Label switching", remedies, no_remedies),
    tabular("folding", "Do Monte Carlo errors hold?", "Label switching", folding, no_remedies),
)
FIGURES: tuple[Drawing, ...] = (
    drawing("remedies-bias", "Bias by remedy", "Label switching", remedies_bias, no_remedies),
)
