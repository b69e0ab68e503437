"""Which method to use where, and what its intervals cover: a row a cell of the grid.

A kind of interval is a table of coverages in the columns of COVERAGE; one more kind is one more
entry in the mapping that `guide` takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from models.methods import OPTIMISERS
from study.report import measures
from study.report.measures import wilson
from study.report.verdicts import with_verdict
from study.rows import Results

COVERAGE = ("scenario", "parameter", "component", "coverage", "coverage_mcse", "R_coverage")
# Sides of an error: 5 in 100 for a comparison, and for the worst of five parameters 1 in 100 each.
Z, SURE = 1.959964, 0.99
# Intervals of which we know no better than this much below their level are not said to hold.
SLACK = 0.10


def recommended(results: Results) -> pd.DataFrame:
    """The optimiser to use in each cell, with how sure and how cheap it is.

    Columns scenario, method, R, at_best, passes and their Monte Carlo standard errors. It is the
    one with the fewest mean passes over the data among the optimisers whose share of data sets that
    end certified at the best maximum known is not below the best optimiser's by more than 1.96
    standard errors of the difference, which is paired by data set.
    """
    cells = [s.name for grid in results.design.grids for s in grid.scenarios()]
    fits = with_verdict(results)
    fits = fits[fits["method"].isin(OPTIMISERS) & fits["scenario"].isin(cells)]
    fits["good"] = (fits["verdict"] == "certified").astype(float)
    fits["passes"] = (fits["moments"] + fits["second_moments"] + fits["gradients"]).astype(float)
    found = {name: _best(group) for name, group in fits.groupby("scenario", sort=False)}
    rows = [{"scenario": name} | found[name] for name in cells if name in found]
    columns = ["scenario", "method", "R", "at_best", "at_best_mcse", "passes", "passes_mcse"]
    return pd.DataFrame(rows, columns=columns)


def _best(fits: pd.DataFrame) -> dict[str, object]:
    good = fits.pivot(index="replicate", columns="method", values="good")
    passes = fits.groupby("method")["passes"].mean()
    order = list(passes.sort_values(kind="stable").index)
    best = good[order].mean().idxmax()
    missed = good[order].rsub(good[best], axis=0)
    losses = {m: measures.mean(missed[m].to_numpy()) for m in order}
    method = next(m for m in order if not losses[m].value > Z * np.nan_to_num(losses[m].mcse))
    chosen = fits[fits["method"] == method]
    at_best = measures.proportion(chosen["good"].to_numpy())
    cost = measures.mean(chosen["passes"].to_numpy())
    return {
        "method": method,
        "R": at_best.r,
        "at_best": at_best.value,
        "at_best_mcse": at_best.mcse,
        "passes": cost.value,
        "passes_mcse": cost.mcse,
    }


def covered(kind: str, coverages: pd.DataFrame, level: float) -> pd.DataFrame:
    """What intervals of a kind cover, by scenario: the first mean, the worst parameter, in words.

    coverages: in the columns of COVERAGE. Columns start with the kind's name; the last says whether
    the intervals hold, by Wilson's 99% interval around the worst parameter's coverage.
    """
    rows = []
    for scenario, group in coverages.dropna(subset=["coverage"]).groupby("scenario", sort=False):
        first = group[(group["parameter"] == "mean") & (group["component"] == 1)]
        worst = group.sort_values("coverage", kind="stable").iloc[0]
        row: dict[str, Any] = {"scenario": scenario, f"{kind}_R": worst["R_coverage"]}
        for name, found in (("mean_1", first.iloc[0] if len(first) else None), ("worst", worst)):
            row[f"{kind}_{name}"] = np.nan if found is None else found["coverage"]
            row[f"{kind}_{name}_mcse"] = np.nan if found is None else found["coverage_mcse"]
        row[f"{kind}_worst_of"] = f"{worst['parameter']} {worst['component']}"
        row[f"{kind}_says"] = verdict(worst["coverage"], worst["R_coverage"], level)
        rows.append(row)
    names = ["R", "mean_1", "mean_1_mcse", "worst", "worst_mcse", "worst_of", "says"]
    return pd.DataFrame(rows, columns=["scenario", *(f"{kind}_{name}" for name in names)])


def verdict(coverage: float, replicates: float, level: float) -> str:
    """Of the worst coverage: "too low", "too high", "unsure" from too few data sets, or "holds"."""
    low, high = wilson(coverage, replicates, SURE)
    if high < level:
        return "too low"
    if low > level:
        return "too high"
    return "unsure" if low < level - SLACK else "holds"


def guide(results: Results, performance: pd.DataFrame, profile: pd.DataFrame) -> pd.DataFrame:
    """A row a cell of the grid: sizes, the optimiser to use, and what each kind of interval covers.

    performance: of the grid's cells, with coverage by parameter and method; profile: coverage of
    profile likelihood intervals by parameter.
    """
    chosen = recommended(results)
    of_chosen = performance.merge(chosen[["scenario", "method"]], on=["scenario", "method"])
    kinds: Mapping[str, pd.DataFrame] = {
        "wald": of_chosen,
        "profile": profile,
        "nuts": performance[performance["method"] == "nuts"],
    }
    cells = pd.DataFrame(
        [
            (s.name, s.n, s.separation, s.weight, s.sd_ratio)
            for grid in results.design.grids
            for s in grid.scenarios()
        ],
        columns=["scenario", "n", "separation", "weight", "sd_ratio"],
    )
    table = cells.merge(chosen, on="scenario")
    for kind, coverages in kinds.items():
        found = covered(kind, coverages.reindex(columns=list(COVERAGE)), results.design.level)
        table = table.merge(found, on="scenario", how="left")
    order = ["n", "separation", "weight", "sd_ratio"]
    ascending = [True, True, False, True]
    return table.sort_values(order, ascending=ascending, kind="stable").reset_index(drop=True)
