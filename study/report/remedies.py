"""What remedies for label switching answer and cost."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.inference.chains import MAX_RHAT
from study.design import Scenario
from study.report import measures
from study.report.exhibit import Drawing, Table, tabular
from study.report.measures import Measure, Share
from study.report.readers import number, with_error
from study.report.reasons import no_remedies
from study.report.series import Z
from study.report.style import (
    DOUBLE,
    GREY,
    REMEDY_LOOKS,
    dodge_width,
    dodged,
    drawing,
    faded,
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


MEASURES = {"bias": "Bias", "from_stephens": "Posterior mean minus Stephens'"}
LABELS = {"by mean": "relabelled by mean", "Stephens": "Stephens", "ordered": "ordered means"}


def remedies_bias(results: Results) -> Figure:
    """The distance between the means by remedy: bias, against Stephens, and coverage.

    Coverage over all scenarios together, for those of one are few.
    """
    table = remedies(results)
    place, ticks = _places(results, list(table["scenario"].unique()))
    table = table[table["parameter"] == DISTANCE].assign(place=table["scenario"].map(place))
    shown = [r for r in REMEDIES if r != "none"]
    figure = Figure(figsize=(DOUBLE, 2.6))
    *panels, last = figure.subplots(1, 3, width_ratios=[5, 5, 3])
    width = dodge_width(place.values())
    for j, remedy in enumerate(shown):
        part = table[table["remedy"] == remedy]
        x = dodged(part["place"].to_numpy(float), j, len(shown), width)
        look = REMEDY_LOOKS[remedy]
        style: dict[str, Any] = {"color": look.color, "marker": look.marker, "ms": 3.0}
        style["label"] = LABELS.get(remedy, remedy)
        for axes, measure in zip(panels, MEASURES, strict=True):
            half = Z * part[f"{measure}_mcse"].fillna(0.0).to_numpy(float)
            y = part[measure].to_numpy(float)
            axes.vlines(x, 0.0, y, color="0.85", lw=0.6, zorder=0)
            for bar in zip(x, y, half, part["R"], strict=True):
                _bar(axes, *bar, style)
        covered = _covered(results, remedy)
        if covered.r:
            value, (low, high) = covered.value, covered.ends
            _bar(last, float(j), value, [[value - low], [high - value]], covered.r, style)
    for axes, name in zip(panels, MEASURES.values(), strict=True):
        axes.set_title(name)
        axes.axhline(0.0, color=GREY, lw=0.6, zorder=0)
        if ticks is None:
            separation_axis(axes, sorted(place.values()))
            axes.set_xlabel("Separation of the means")
        else:
            axes.set_xticks(range(len(ticks)), ticks)
    last.set_title("Coverage, all scenarios")
    last.axhline(results.design.level, color=GREY, lw=0.6, zorder=0)
    last.set_xlim(-0.7, len(shown) - 0.3)
    last.set_xticks([])
    panels[0].set_ylabel(r"$\mu_2 - \mu_1$")
    return figure


def _bar(axes: Axes, x: float, y: float, ends: Any, r: float, style: dict[str, Any]) -> None:
    axes.errorbar(x, y, ends, ls="none", elinewidth=0.8, alpha=faded(r), **style)


def _covered(results: Results, remedy: str) -> Share:
    """Of the intervals for the distance, over all scenarios."""
    own = results.remedies
    own = own[(own["remedy"] == remedy) & (own["parameter"] == DISTANCE)]
    low, high, true = (own[c].to_numpy(float) for c in ("lower", "upper", "truth"))
    return measures.coverage(low, high, true)


def remedies_found(results: Results) -> str:
    """The bias of the distance by remedy where the means are nearest one another."""
    table = remedies(results)
    table = table[(table["parameter"] == DISTANCE) & (table["remedy"] != "none")]
    if table.empty:
        return ""
    truth = table["truth"].abs().min()
    here = table[(table["truth"].abs() == truth) & table["bias_mcse"].notna()]
    if here.empty:
        return ""
    here = here[here["scenario"] == here["scenario"].iloc[0]]
    names = here["remedy"].map(lambda remedy: str(LABELS.get(remedy, remedy)).replace(", ", " "))
    said = [
        f"{name} {with_error(row.bias, row.bias_mcse)}"
        for name, row in zip(names, here.itertuples(), strict=True)
    ]
    return (
        f"Where the means are {number(truth)} apart the bias of their distance is, by remedy "
        f"(R = {here['R'].max()}): {', '.join(said)}."
    )


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


TABLES: tuple[Table, ...] = (
    tabular("remedies", "What remedies answer", "Label switching", remedies, no_remedies),
    tabular("folding", "Do Monte Carlo errors hold?", "Label switching", folding, no_remedies),
)
FIGURES: tuple[Drawing, ...] = (
    drawing(
        "remedies-bias", "Bias by remedy", "Label switching", remedies_bias, no_remedies,
        finding=remedies_found,
    ),
)  # fmt: skip
