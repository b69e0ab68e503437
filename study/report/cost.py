"""Seconds by method."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from models import METHODS
from models.methods import OPTIMISERS
from study.report import measures
from study.report.exhibit import Drawing, Table, tabular
from study.report.grid import cells, middle
from study.report.reasons import no_grid, no_remedies
from study.report.series import present, quartiles_against
from study.report.style import SINGLE, drawing, log_ticks, nothing
from study.report.table import sorted_rows, table_of, with_errors
from study.rows import DATA_SET, FIT, Results


def remedy_costs(results: Results) -> pd.DataFrame:
    """Seconds, and effective draws a second of the worst parameter, by scenario and remedy.

    Medians over data sets; the effective draws are the smaller of bulk and tail.
    """
    least = results.remedies.assign(ess=results.remedies[["ess", "ess_tail"]].min(axis=1))
    worst = least.groupby([*DATA_SET, "remedy"], sort=False)["ess"].min()
    timed = results.remedy_timings.merge(worst.reset_index(), on=[*DATA_SET, "remedy"])
    timed["rate"] = timed["ess"] / timed["seconds"]
    found = []
    for (scenario, remedy), part in timed.groupby(["scenario", "remedy"], sort=False):
        of = {
            name: measures.median(part[column].to_numpy(float))
            for name, column in (("seconds", "seconds"), ("ess", "ess"), ("ess_per_second", "rate"))
        }
        found.append({"scenario": scenario, "remedy": remedy} | with_errors(of, len(part)))
    return table_of(found, ["scenario", "remedy", "R"])


def timings(results: Results) -> pd.DataFrame:
    """Seconds by scenario and method: median and quartiles, compilation apart, ratio to the fastest
    method of the scenario (medians of paired ratios), bulk effective draws a second for NUTS."""
    timed = results.timings.merge(results.labels[[*FIT, "ess_relabelled"]], on=FIT, how="left")
    medians = timed.groupby(["scenario", "method"])["seconds"].median()
    fastest = medians.groupby("scenario").idxmin().map(lambda pair: pair[1])
    base = timed[timed["method"] == timed["scenario"].map(fastest)]
    base = base[["scenario", "replicate", "seconds"]].rename(columns={"seconds": "base"})
    timed = timed.merge(base, on=["scenario", "replicate"], how="left")
    timed["ratio"] = timed["seconds"] / timed["base"]
    timed["ess_per_second"] = timed["ess_relabelled"] / timed["seconds"]
    rows = []
    for (scenario, method), group in timed.groupby(["scenario", "method"], sort=False):
        seconds = group["seconds"].to_numpy(float)
        found = {
            "q25": measures.quantile(seconds, 0.25),
            "median": measures.median(seconds),
            "q75": measures.quantile(seconds, 0.75),
            "ratio": measures.median(group["ratio"].to_numpy(float)),
            "start": measures.median(group["start_seconds"].to_numpy(float)),
            "ess_per_second": measures.median(group["ess_per_second"].to_numpy(float)),
        }
        row = {"scenario": scenario, "method": method} | with_errors(found, found["q25"].r)
        rows.append(row | {"compile": group["compile_seconds"].max()})
    return sorted_rows(results, table_of(rows, ["scenario", "method", "R", "median", "ratio"]))


def seconds(results: Results) -> Figure:
    """Seconds per fit against n, over the grid."""
    grid, timings = cells(results.design), results.timings
    gridded = timings.drop(columns="n").merge(grid, on="scenario")
    if gridded.empty:
        return nothing("No fit of the grid was timed.")
    figure = Figure(figsize=(SINGLE, 3.0))
    axes = figure.subplots()
    logged = gridded.assign(log_n=np.log10(gridded["n"]))
    quartiles_against(axes, logged, "log_n", "seconds", present(timings))
    sizes = sorted(grid["n"].unique())
    axes.set_xticks(list(np.log10(sizes)), [f"{n:,}" for n in sizes])
    axes.set_yscale("log")
    log_ticks(axes.yaxis)
    axes.set_xlabel("Observations in a data set")
    axes.set_ylabel("Seconds per fit")
    return figure


def seconds_found(results: Results) -> str:
    """What the fastest optimiser and NUTS take at the grid's middle n."""
    grid = cells(results.design)
    here = grid[grid["n"] == middle(grid["n"])] if len(grid) else grid
    rows = results.timings[results.timings["scenario"].isin(here["scenario"])]
    medians = rows.groupby("method")["seconds"].median()
    medians = medians[medians.index.isin([*OPTIMISERS, "nuts"])]
    if "nuts" not in medians or len(medians) < 2:
        return ""
    fastest = str(medians.drop("nuts").idxmin())
    n, least, most = here["n"].iloc[0], medians[fastest], medians["nuts"]
    return (
        f"At n = {n:,} a fit by {METHODS[fastest].label} takes {1e3 * least:.2g} ms and one by "
        f"NUTS {most / least:,.0f} times as long, medians over the grid."
    )


TABLES: tuple[Table, ...] = (
    tabular("remedy-costs", "What remedies cost", "Cost", remedy_costs, no_remedies, timed=True),
    tabular("timings", "Seconds by method", "Cost", timings, timed=True),
)
FIGURES: tuple[Drawing, ...] = (
    drawing("time", "Seconds by method", "Cost", seconds, no_grid, finding=seconds_found),
)
