"""Tables of label switching: its numbers, its verdicts and how far relabellings agree."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from study.report import measures
from study.report.measures import Measure
from study.report.table import sorted_rows
from study.rows import AGREEMENTS, CHAIN_WORDS, Results

# Columns of `labels` of which the table has the median over fits.
MEDIANS = (
    *("rhat_raw", "rhat_relabelled", "rhat_invariant", "nested_rhat"),
    *("ess_raw", "ess_relabelled", "ess_invariant"),
    *("ess_tail_raw", "ess_tail_relabelled", "ess_tail_invariant"),
    *("largest_share", "chain_distance", "imbalance", "near_ties", "bfmi"),
)


def switchable(results: Results) -> pd.DataFrame:
    """Rows of labels of the fits whose components nothing known tells apart."""
    return results.labels[results.labels["verdict"].isin(CHAIN_WORDS)]


def label_switching(results: Results) -> pd.DataFrame:
    """Medians over fits of R-hat, ESS and occupancy, means of counts, by scenario and sampler."""

    def found(fits: pd.DataFrame) -> dict[str, Measure]:
        switches = fits["switches"].to_numpy(float)
        return {
            "fits_with_switches": measures.proportion((switches > 0).astype(float)),
            "switches_per_1000": measures.mean(1000.0 * switches / fits["draws"].to_numpy(float)),
            "labellings": measures.mean(fits["labellings"].to_numpy(float)),
            **{name: measures.median(fits[name].to_numpy(float)) for name in MEDIANS},
            "at_max_depth": measures.mean(fits["at_max_depth"].to_numpy(float)),
            "divergences": measures.mean(fits["divergences"].to_numpy(float)),
        }

    return _by_scenario(results, found)


def label_verdicts(results: Results) -> pd.DataFrame:
    """The share of fits with each word of the verdict, by scenario and sampler."""

    def found(fits: pd.DataFrame) -> dict[str, Measure]:
        return {
            word: measures.proportion((fits["verdict"] == word).to_numpy().astype(float))
            for word in CHAIN_WORDS
        }

    return _by_scenario(results, found)


def label_algorithms(results: Results) -> pd.DataFrame:
    """The share of draws that each algorithm labels as Stephens' does, means over fits."""

    def found(fits: pd.DataFrame) -> dict[str, Measure]:
        return {
            name: measures.mean(fits[f"agreement_{name}"].to_numpy(float)) for name in AGREEMENTS
        }

    return _by_scenario(results, found)


def _by_scenario(
    results: Results, found: Callable[[pd.DataFrame], dict[str, Measure]]
) -> pd.DataFrame:
    rows = []
    for (scenario, method), fits in switchable(results).groupby(["scenario", "method"], sort=False):
        row: dict[str, object] = {"scenario": scenario, "method": method, "R": len(fits)}
        for name, measure in found(fits).items():
            column = name.replace(" ", "_")
            row[column], row[f"{column}_mcse"] = measure.value, measure.mcse
            if measure.r < len(fits):  # such as nested R-hat, which needs chains in two labellings
                row[f"R_{column}"] = measure.r
        rows.append(row)
    table = pd.DataFrame(rows, columns=None if rows else ["scenario", "method", "R"])
    for own in [name for name in table if str(name).startswith("R_")]:
        table[own] = table[own].fillna(table["R"]).astype(int)
    return sorted_rows(results, table)
