"""What posteriors say by their prior, on the same data sets: coverage, bias and loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from models.mixture import Floats
from study.report import measures
from study.report.exhibit import Drawing, Table, tabular
from study.report.measures import Measure, Share
from study.report.readers import with_error
from study.report.reasons import no_priors
from study.report.series import Z
from study.report.style import COMPONENTS, DOUBLE, GREY, dodged, drawing, looks
from study.report.table import table_of, with_errors
from study.rows import DATA_SET, Results

FIT = [*DATA_SET, "prior"]
KEYS = ["scenario", "prior"]


def by_fit(results: Results) -> pd.DataFrame:
    """A row a fit: what the measures below are means of.

    coverage: share of its intervals that hold the truth, a missing one counted as a miss.
    log_width: their mean log width. distance: error of the posterior mean of mean 2 - mean 1.
    finished: whether it was sampled to the end. And its losses, convention and divergent draws.
    """
    rows = results.priors
    held = (rows["lower"] <= rows["truth"]) & (rows["truth"] <= rows["upper"])
    with np.errstate(divide="ignore"):
        widths = np.log(rows["upper"] - rows["lower"])
    rows = rows.assign(coverage=held.astype(float), log_width=widths)
    found = rows.groupby(FIT, sort=False)[["coverage", "log_width"]].mean()
    errors = rows.assign(error=rows["mean"] - rows["truth"])
    errors = errors.pivot(index=FIT, columns="parameter", values="error")
    errors = errors.reindex(columns=["mean 1", "mean 2"])
    found["distance"] = errors["mean 2"] - errors["mean 1"]
    fits = results.prior_fits.assign(finished=results.prior_fits["status"] == "ok")
    return fits.merge(found.reset_index(), on=FIT)


def _groups(table: pd.DataFrame) -> Iterator[tuple[dict[str, object], pd.DataFrame]]:
    for key, part in table.groupby(KEYS, sort=False):
        yield dict(zip(KEYS, key, strict=True)), part


def _share(values: pd.Series[Any]) -> Share:
    """Mean of shares of what each replicate has, its error by how these differ."""
    return Share(*measures.mean(values.to_numpy(float)))


def priors(results: Results) -> pd.DataFrame:
    """By scenario and prior: coverage over all parameters, what becomes of the distance, loss."""
    found = []
    for key, part in _groups(by_fit(results)):
        distance, convention = (part[c].to_numpy(float) for c in ("distance", "convention"))
        of: dict[str, Measure] = {
            "coverage": _share(part["coverage"]),
            "distance_bias": measures.mean(distance),
            "distance_rmse": measures.rmse(distance, 0.0),
            "hellinger": measures.mean(part["hellinger"].to_numpy(float)),
            "convention": measures.proportion(convention),
        }
        found.append(key | with_errors(of, len(part)))
    return table_of(found, [*KEYS, "R"])


DIFFERENCES = ("coverage", "log_width", "distance", "hellinger", "kullback_leibler")


def against_the_first(results: Results) -> pd.DataFrame:
    """A row a fit under another prior than the first: what it has more than that on its data."""
    fits = by_fit(results)
    first = "" if results.design.priors is None else results.design.priors.compared[0].name
    base = fits.loc[fits["prior"] == first, [*DATA_SET, *DIFFERENCES]]
    both = fits[fits["prior"] != first].merge(base, on=DATA_SET, suffixes=("", "_first"))
    for name in DIFFERENCES:
        both[name] = both[name] - both[f"{name}_first"]
    return both[[*FIT, *DIFFERENCES]]


def prior_differences(results: Results) -> pd.DataFrame:
    """By scenario and prior: the mean of what it has more than the first prior, paired.

    width: by how many per cent the intervals are wider, from the mean log ratio.
    """
    found = []
    for key, part in _groups(against_the_first(results)):
        of = {name: measures.mean(part[name].to_numpy(float)) for name in DIFFERENCES}
        log, error, r = of.pop("log_width")
        ratio = 100.0 * float(np.exp(log))
        of = {
            "coverage": of.pop("coverage"),
            "width": Measure(ratio - 100.0, ratio * error, r),
        } | of
        found.append(key | with_errors(of, len(part)))
    return table_of(found, [*KEYS, "R"])


def prior_coverage(results: Results) -> pd.DataFrame:
    """Coverage by scenario, prior and parameter."""
    return _by_parameter(
        results, lambda part: measures.coverage(part["lower"], part["upper"], part["truth"])
    )


def prior_bias(results: Results) -> pd.DataFrame:
    """Bias of the posterior mean by scenario, prior and parameter."""
    return _by_parameter(results, lambda part: measures.bias(part["mean"], part["truth"]))


def _by_parameter(
    results: Results, measure: Callable[[Mapping[str, Floats]], Measure]
) -> pd.DataFrame:
    """A row a scenario and prior, a column a parameter."""
    found = []
    for key, rows in _groups(results.priors):
        of = {
            str(name): measure({c: part[c].to_numpy(float) for c in _NUMBERS})
            for name, part in rows.groupby("parameter", sort=False)
        }
        found.append(key | with_errors(of, rows["replicate"].nunique()))
    return table_of(found, [*KEYS, "R"])


_NUMBERS = ("truth", "mean", "lower", "upper")


def prior_chains(results: Results) -> pd.DataFrame:
    """Fits that were not sampled to the end: how many, which, and the measures without them."""
    found = []
    for key, part in _groups(by_fit(results)):
        finished = part[part["finished"]]
        of: dict[str, Measure] = {
            "unfinished": measures.proportion(1.0 - part["finished"].to_numpy(float)),
            "coverage": _share(finished["coverage"]),
            "distance_bias": measures.mean(finished["distance"].to_numpy(float)),
            "hellinger": measures.mean(finished["hellinger"].to_numpy(float)),
        }
        left = part.loc[~part["finished"], "replicate"]
        named = {"data_sets": ", ".join(map(str, left)) or "none"}
        found.append(key | with_errors(of, len(part)) | named)
    return table_of(found, [*KEYS, "R"])


def prior_measures(results: Results) -> Figure:
    """A line a prior, a marker a scenario: coverage, bias of the distance, and paired loss."""
    table, paired = priors(results), prior_differences(results)
    names = list(dict.fromkeys(table["prior"]))
    scenarios = looks(table["scenario"].unique(), COMPONENTS)
    shown = [
        (table, "coverage", f"Coverage of {results.design.level:.0%} intervals"),
        (table, "distance_bias", r"Bias of $\mu_2 - \mu_1$"),
    ]
    if not paired.empty:  # of one prior alone there are no differences
        shown.append((paired, "hellinger", f"Hellinger loss minus that of {names[0]}"))
    figure = Figure(figsize=(DOUBLE, 0.9 + 0.32 * len(names)))
    panels = figure.subplots(1, len(shown), sharey=True)
    for axes, (rows, measure, title) in zip(panels, shown, strict=True):
        axes.axvline(results.design.level if measure == "coverage" else 0.0, color=GREY, lw=0.6)
        for j, (scenario, look) in enumerate(scenarios.items()):
            part = rows[rows["scenario"] == scenario]
            places = part["prior"].map(names.index).to_numpy(float)
            value, ends = _value_and_ends(part, measure)
            axes.errorbar(
                value, dodged(places, j, len(scenarios), 0.5), xerr=ends, **look.points, ms=3.0,
                elinewidth=0.9, label=scenario,
            )  # fmt: skip
        for between in range(1, len(names)):
            axes.axhline(between - 0.5, color="0.9", lw=0.5, zorder=0)
        axes.set_title(title)
        axes.locator_params(axis="x", nbins=5)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    return figure


def _value_and_ends(part: pd.DataFrame, measure: str) -> tuple[Floats, Floats]:
    """Values, and the lengths (2, rows) of error bars: Wilson's of a share without an error."""
    value = part[measure].to_numpy(float)
    half = Z * part[f"{measure}_mcse"].fillna(0.0).to_numpy(float)
    ends = np.stack([half, half])
    if f"{measure}_low" in part:
        low, high = (part[f"{measure}_{end}"].to_numpy(float) for end in ("low", "high"))
        ends = np.where(half > 0.0, ends, np.maximum([value - low, high - value], 0.0))
        ends = np.minimum(ends, [value, 1.0 - value])
    return value, ends


def measures_found(results: Results) -> str:
    """Coverage under each prior, in the mean over scenarios."""
    table, said = priors(results), []
    for prior, own in table.groupby("prior", sort=False):
        rows = own[["coverage", "coverage_mcse", "R"]].to_numpy(float)
        share = measures.mean_of([Measure(*row) for row in rows])
        said.append(f"{prior} {with_error(100 * share.value, 100 * share.mcse)}")
    if not said:
        return ""
    return (
        f"Posterior intervals hold these per cent of the truths, by prior, in the mean of "
        f"{table['scenario'].nunique()} scenarios: {', '.join(said)}."
    )


CATEGORY = "Priors"
TABLES: tuple[Table, ...] = (
    tabular("priors", "What posteriors say by prior", CATEGORY, priors, no_priors),
    tabular("prior-differences", "Differences by prior", CATEGORY, prior_differences, no_priors),
    tabular("prior-coverage", "Coverage by prior", CATEGORY, prior_coverage, no_priors),
    tabular("prior-bias", "Bias by prior", CATEGORY, prior_bias, no_priors),
    tabular("prior-chains", "Chains by prior", CATEGORY, prior_chains, no_priors),
)
FIGURES: tuple[Drawing, ...] = (
    drawing(
        "prior-measures", "Coverage, bias and loss by prior", CATEGORY, prior_measures, no_priors,
        finding=measures_found,
    ),
)  # fmt: skip
