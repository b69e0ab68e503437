"""EM's stops and its rate, on the replicates that are followed closely."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from study.report import measures
from study.report.exhibit import Drawing, Table, tabular
from study.report.grid import group_looks, groups
from study.report.reasons import not_followed
from study.report.style import DOUBLE, GREY, drawing
from study.report.table import sorted_rows, table_of, with_errors
from study.rows import STOPPING_RULES, Results

EARLY = 0.1  # standard errors from the maximum
TRUSTED_RATE = 0.995


def stops(results: Results) -> pd.DataFrame:
    """Where each stopping rule ends EM: iterations, and what is left in nats and standard errors.

    early: the share of runs that it ends more than a tenth of a standard error from the maximum.
    """
    rows = results.stops.assign(group=results.stops["scenario"].map(groups(results.design)))
    found = []
    for (group, rule), part in rows.groupby(["group", "rule"], sort=False):
        distance = part["distance"].to_numpy(float)
        measured = {
            "stopped": measures.proportion(part["stopped"].to_numpy(float)),
            "iterations": measures.median(part["iteration"].to_numpy(float)),
            "gap": measures.median(part["gap"].to_numpy(float)),
            "distance": measures.median(distance),
            "distance_90": measures.quantile(distance, 0.9),
            "early": measures.proportion((distance > EARLY).astype(float)),
        }
        found.append({"group": group, "rule": rule} | with_errors(measured, len(part)))
    return table_of(found, ["group", "rule", "R"])


def rates(results: Results) -> pd.DataFrame:
    """EM's rate by scenario: at the truth by quadrature, at the maximum, and seen in its steps.

    largest_error: of the observed rate over the predicted one, minus 1, where the latter is below
    TRUSTED_RATE; R_trusted, how many that are.
    """
    found, at_truth = [], rate_at_truth(results)
    for scenario, part in results.rates.groupby("scenario", sort=False):
        compared = part[(part["predicted"] < TRUSTED_RATE) & part["observed"].notna()]
        error = (compared["observed"] / compared["predicted"] - 1.0).abs()
        of = {
            name: measures.median(part[name].to_numpy(float)) for name in ("predicted", "observed")
        }
        row: dict[str, Any] = {"scenario": scenario, "R": len(part)}
        row |= {"rate_at_truth": at_truth.get(str(scenario), np.nan)} | with_errors(of)
        found.append(row | {"R_trusted": len(compared), "largest_error": error.max()})
    columns = ["scenario", "R", "rate_at_truth", "predicted", "observed"]
    return sorted_rows(results, table_of(found, columns))


def rate_at_truth(results: Results) -> dict[str, float]:
    """By scenario: EM's rate at what its estimates tend to, where that is identified."""
    rates = results.em_rates
    return dict(zip(rates["scenario"], rates["rate"], strict=True))


def stopping(results: Results) -> Figure:
    """What each stopping rule leaves, in standard errors and in nats, by separation."""
    rows = results.stops.assign(group=results.stops["scenario"].map(groups(results.design)))
    names = [g for g in dict.fromkeys(rows["group"]) if str(g).startswith("separation")]
    names = sorted(names) or list(dict.fromkeys(rows["group"]))[:4]
    figure = Figure(figsize=(DOUBLE, 3.0))
    left, right = figure.subplots(1, 2, sharey=True)
    place = np.arange(len(STOPPING_RULES))
    for axes, column, least in ((left, "distance", 1e-9), (right, "gap", 1e-11)):
        for j, name in enumerate(names):
            part = rows[rows["group"] == name].groupby("rule")[column]
            table = part.quantile(np.array([0.25, 0.5, 0.75])).unstack().reindex(STOPPING_RULES)
            low, middle, high = (np.maximum(table[q].to_numpy(float), least) for q in table)
            look = group_looks(results.design)[name]
            axes.errorbar(
                middle,
                place + 0.16 * (j - 0.5 * (len(names) - 1)),
                xerr=[middle - low, high - middle],
                **look.points,
                elinewidth=0.7,
                label=name,
            )
        axes.set_xscale("log")
        for edge in place[1:]:
            axes.axhline(edge - 0.5, color="0.9", lw=0.5, zorder=0)
    left.set_yticks(place, list(STOPPING_RULES))
    left.tick_params(axis="y", length=0)
    left.set_ylim(len(STOPPING_RULES) - 0.5, -0.5)
    left.axvline(0.1, color=GREY, lw=0.8, ls="--")
    left.set_xlabel("Distance left (standard errors)")
    right.set_xlabel("Log-likelihood left (nats)")
    return figure


def stopping_found(results: Results) -> str:
    """How many of the rules end the median run early, where it is hardest and easiest."""
    table = stops(results)
    if table.empty:
        return ""
    table = table[table["group"].str.startswith("separation")]
    counts = (table["distance"] > EARLY).groupby(table["group"]).agg(["sum", "size"])
    counts = counts.sort_index()
    if counts.empty:
        return ""
    ends = [
        f"{own['sum']} of {own['size']} at {group}"
        for group, own in counts.iloc[[0, -1]].iterrows()
    ]
    return (
        f"Rules that leave the median run more than {EARLY:g} standard errors from the maximum: "
        f"{', '.join(dict.fromkeys(ends))}."
    )


TABLES: tuple[Table, ...] = (
    tabular("stops", "Stopping rules", "Optimisation", stops, not_followed),
    tabular("rates", "EM's rate", "Optimisation", rates, not_followed),
)
FIGURES: tuple[Drawing, ...] = (
    drawing(
        "stopping", "Stopping rules", "Optimisation", stopping, not_followed, finding=stopping_found
    ),
)
