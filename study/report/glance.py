"""The study at a glance: which method to use where, and what its intervals cover.

A kind of interval is a table of coverages in the columns of COVERAGE.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from models.methods import OPTIMISERS
from models.verdicts import GOOD
from study.report import measures
from study.report.exhibit import Drawing, Table, tabular
from study.report.grid import cells, middle
from study.report.measures import wilson
from study.report.optimisation import efforts
from study.report.performance import intervals, performance_of, wide
from study.report.reasons import no_grid, no_optimisers
from study.report.series import (
    Z,
    draw_lines,
    measured,
    nominal_level,
    only,
    present,
    quartiles_against,
    series,
    wilson_lengths,
)
from study.report.style import DOUBLE, dodge_width, drawing, log_ticks, nothing, separation_axis
from study.report.table import with_errors
from study.report.verdicts import with_verdict
from study.rows import Results, passes

ENDS = ("", "_mcse", "_low", "_high")
COVERAGE = ("scenario", "parameter", "component", "coverage", "coverage_mcse", "R_coverage")
# Sides of an error for the worst of five parameters: 1 in 100 each.
SURE = 0.99
# Intervals of which we know no better than this much below their level are not said to hold.
SLACK = 0.10


def recommended(results: Results) -> pd.DataFrame:
    """The optimiser to use in each cell, with how sure and how cheap it is.

    Columns scenario, method, R, at_best, passes and their Monte Carlo standard errors. It is the
    one with the fewest mean passes over the data among the optimisers whose share of data sets that
    end certified at the best maximum known is not below the best optimiser's by more than 1.96
    standard errors of the difference, which is paired by data set.
    """
    names = list(cells(results.design)["scenario"])
    fits = with_verdict(results)
    fits = fits[fits["method"].isin(OPTIMISERS) & fits["scenario"].isin(names)]
    fits["good"] = fits["verdict"].isin(GOOD).astype(float)
    fits["passes"] = passes(fits).astype(float)
    found = {name: _best(group) for name, group in fits.groupby("scenario", sort=False)}
    rows = [{"scenario": name} | found[name] for name in names if name in found]
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
    return {"method": method} | with_errors({"at_best": at_best, "passes": cost}, at_best.r)


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
            ends = (np.nan, np.nan)
            if found is not None:
                ends = wilson(found["coverage"], found["R_coverage"])
            row |= {f"{kind}_{name}_low": float(ends[0]), f"{kind}_{name}_high": float(ends[1])}
        row[f"{kind}_worst_of"] = f"{worst['parameter']} {worst['component']}"
        row[f"{kind}_says"] = verdict(worst["coverage"], worst["R_coverage"], level)
        rows.append(row)
    shares = [f"{name}{end}" for name in ("mean_1", "worst") for end in ENDS]
    names = ["R", *shares, "worst_of", "says"]
    return pd.DataFrame(rows, columns=["scenario", *(f"{kind}_{name}" for name in names)])


def verdict(coverage: float, replicates: float, level: float) -> str:
    """Of the worst coverage: "too low", "too high", "unsure" from too few data sets, or "holds"."""
    low, high = wilson(coverage, replicates, SURE)
    if high < level:
        return "too low"
    if low > level:
        return "too high"
    return "unsure" if low < level - SLACK else "holds"


def guide(results: Results) -> pd.DataFrame:
    """A row a cell of the grid: the optimiser to use and what each kind of interval covers."""
    names = list(cells(results.design)["scenario"])
    wald = wide(performance_of(results, tuple(names)), ["coverage"])
    kinds = wide(intervals(results), ["coverage"])
    profile = kinds[(kinds["kind"] == "profile") & kinds["scenario"].isin(names)]
    profile = profile[profile["quantity"].str.match(r"(weight|mean|sd) \d")]
    parts = profile["quantity"].str.split(" ", expand=True).reindex(columns=[0, 1])
    profile = profile.assign(parameter=parts[0], component=parts[1].astype(int))
    chosen = recommended(results)
    coverages_of: Mapping[str, pd.DataFrame] = {
        "wald": wald.merge(chosen[["scenario", "method"]], on=["scenario", "method"]),
        "profile": profile,
        "nuts": wald[wald["method"] == "nuts"],
    }
    sizes = cells(results.design)[["scenario", "n", "separation", "weight", "sd_ratio"]]
    table = sizes.merge(chosen, on="scenario")
    for kind, coverages in coverages_of.items():
        found = covered(kind, coverages.reindex(columns=list(COVERAGE)), results.design.level)
        table = table.merge(found, on="scenario", how="left")
    order = ["n", "separation", "weight", "sd_ratio"]
    ascending = [True, True, False, True]
    return table.sort_values(order, ascending=ascending, kind="stable").reset_index(drop=True)


def overview(results: Results) -> Figure:
    """Passes, coverage of the first mean and seconds against separation, at the grid's first
    (w, r) and its middle n."""
    grid = cells(results.design)
    shape, n = grid["shape"].iloc[0], middle(grid["n"])
    here = grid[(grid["shape"] == shape) & (grid["n"] == n)]
    effort = efforts(results).merge(here.drop(columns="n"), on="scenario")
    timings = results.timings.merge(here.drop(columns="n"), on="scenario")
    table = measured(results, here)
    if effort.empty or timings.empty or table.empty:
        return nothing("No fit of the grid is usable.")
    separations = sorted(here["separation"].unique())
    figure = Figure(figsize=(DOUBLE, 2.7))
    left, centre, right = figure.subplots(1, 3)
    quartiles_against(left, effort, "separation", "passes", present(effort))
    lines = [only(line, "mean", 1) for line in series(table, "coverage")]
    nominal_level(centre, results.design.level, table["R_coverage"].max())
    draw_lines(centre, lines, "coverage", wilson_lengths, dodge_width(separations))
    quartiles_against(right, timings, "separation", "seconds", present(timings))
    for axes, title in (
        (left, "Passes over the data"),
        (centre, f"Coverage of {results.design.level:.0%} intervals, mean 1"),
        (right, "Seconds a fit"),
    ):
        axes.set_title(title)
        separation_axis(axes, separations)
    for axes in (left, right):
        axes.set_yscale("log")
        log_ticks(axes.yaxis)
    figure.supxlabel(
        f"Separation of the means (root-mean-square sds); {shape}, $n$ = {n:,}", fontsize=7
    )
    return figure


TABLES: tuple[Table, ...] = (
    tabular(
        "guide",
        "Which method, and what its intervals cover",
        "At a glance",
        guide,
        no_grid,
        no_optimisers,
    ),
)
FIGURES: tuple[Drawing, ...] = (
    drawing("overview", "At a glance", "At a glance", overview, no_grid, no_optimisers),
)
