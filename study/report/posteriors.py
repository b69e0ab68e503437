"""Posteriors that were sampled to the end and those that were not, and what the latter do."""

from __future__ import annotations

import pandas as pd

from models.methods import SAMPLERS
from study.report import measures
from study.report.exhibit import Drawing, Table, tabular
from study.report.grid import gridded
from study.report.measures import Measure
from study.report.reasons import no_grid, no_samplers
from study.report.table import sorted_rows, table_of, with_errors
from study.report.verdicts import with_verdict
from study.rows import FIT, Results


def posteriors(results: Results) -> pd.DataFrame:
    """Of the named scenarios and the real data."""
    grid = {s.name for g in results.design.grids for s in g.scenarios()}
    table = _posteriors(results)
    return table[~table["scenario"].isin(grid)].reset_index(drop=True)


def posteriors_grid(results: Results) -> pd.DataFrame:
    """Of the grid."""
    return gridded(results, _posteriors(results))


def _posteriors(results: Results) -> pd.DataFrame:
    """How many fits of each sampler are sampled to the end, and what their intervals cover with
    and without the others, which are named with their reasons.

    coverage: of the equal-tailed intervals, the mean over the parameters; its error is that of a
    mean over data sets. A fit without intervals counts as a miss.
    """
    fits = with_verdict(results)
    fits = fits[fits["method"].isin(SAMPLERS)]
    fits = fits.merge(_covered(results), on=FIT, how="left")
    fits = fits.merge(results.labels[[*FIT, "convention", "draws"]], on=FIT, how="left")
    simulated = {s.name for s in results.design.all_scenarios()}
    rows = []
    for (scenario, method), group in fits.groupby(["scenario", "method"], sort=False):
        good = (group["verdict"] == "sampled").to_numpy(bool)
        covered = group["covered"].fillna(0.0).to_numpy(float)
        found: dict[str, Measure] = {"sampled": measures.proportion(good.astype(float))}
        if scenario in simulated:
            found["coverage"] = measures.mean(covered)
            found["coverage_sampled"] = measures.mean(covered[good])
        found["draws"] = measures.median(group["draws"].to_numpy(float))
        found["convention"] = measures.proportion(
            group["convention"].fillna(False).to_numpy(bool).astype(float)
        )
        row = {"scenario": scenario, "method": method} | with_errors(found, len(group))
        rows.append(row | {"not_sampled": _named(group[~good])})
    return sorted_rows(results, table_of(rows, ["scenario", "method", "R"]))


def _covered(results: Results) -> pd.DataFrame:
    """By fit of a sampler, the share of its parameters whose intervals hold the truth."""
    rows = results.estimates[results.estimates["method"].isin(SAMPLERS)]
    last = rows.groupby(FIT)["component"].transform("max")
    # The last weight is one minus the others.
    rows = rows[(rows["parameter"] != "weight") | (rows["component"] < last)]
    rows = rows.dropna(subset=["truth"])
    holds = (rows["lower"] <= rows["truth"]) & (rows["truth"] <= rows["upper"])
    return rows.assign(covered=holds.astype(float)).groupby(FIT)["covered"].mean().reset_index()


def _named(fits: pd.DataFrame) -> str:
    named = [
        f"replicate {replicate}: {message.partition('; ')[0]}"
        for replicate, message in zip(fits["replicate"], fits["message"], strict=True)
    ]
    return "; ".join(named) or "none"


TABLES: tuple[Table, ...] = (
    tabular(
        "posteriors", "Sampled to the end, named scenarios", "Uncertainty", posteriors, no_samplers,
        none="All are of the grid.",
    ),
    tabular(
        "posteriors-grid", "Sampled to the end, grid", "Uncertainty", posteriors_grid, no_samplers,
        no_grid, none="None is of the grid.",
    ),
)  # fmt: skip
FIGURES: tuple[Drawing, ...] = ()
