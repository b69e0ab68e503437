"""Seconds by method."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models import METHODS
from study.report import measures
from study.report.exhibit import Drawing, Table, tabular
from study.report.grid import cells
from study.report.reasons import no_remedies
from study.report.series import QUARTILES, present, quartile_lengths, quartiles_against
from study.report.style import DOUBLE, LOOKS, dodged, drawing, log_ticks, nothing
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
    """Seconds a fit: against n over the grid, and by scenario for all that is not in it."""
    grid, timings = cells(results.design), results.timings
    gridded = timings.drop(columns="n").merge(grid, on="scenario")
    others = [name for name in results.scenario_order if not (grid["scenario"] == name).any()]
    others = [name for name in others if (timings["scenario"] == name).any()]
    wide = [not gridded.empty, bool(others)]
    if not any(wide):
        return nothing("No fit was timed.")
    figure = Figure(figsize=(DOUBLE, max(3.2, 0.8 + 0.36 * len(others))))
    areas = list(figure.subplots(1, sum(wide), squeeze=False)[0])
    methods = present(timings)
    if wide[0]:
        axes = areas.pop(0)
        logged = gridded.assign(log_n=np.log10(gridded["n"]))
        quartiles_against(axes, logged, "log_n", "seconds", methods)
        sizes = sorted(grid["n"].unique())
        axes.set_xticks(list(np.log10(sizes)), [f"{n:,}" for n in sizes])
        axes.set_yscale("log")
        log_ticks(axes.yaxis)
        axes.set_xlabel("Observations in a data set, grid")
        axes.set_ylabel("Seconds a fit")
    if wide[1]:
        _by_scenario(areas[0], timings, others, methods)
    return figure


def _by_scenario(
    axes: Axes, timings: pd.DataFrame, names: Sequence[str], methods: Sequence[str]
) -> None:
    sizes = timings.groupby("scenario")["n"].first()
    rows = timings[timings["scenario"].isin(names)]
    for place, method in enumerate(methods):
        own = rows[rows["method"] == method].groupby("scenario")["seconds"]
        found = own.quantile(QUARTILES).unstack()
        if found.empty:
            continue
        look = LOOKS[method]
        axes.errorbar(
            found[0.5].to_numpy(float),
            dodged(
                np.array([float(names.index(str(s))) for s in found.index]),
                place,
                len(methods),
                0.7,
            ),
            xerr=quartile_lengths(found),
            **look.points,
            elinewidth=0.7,
            label=METHODS[method].label,
        )
    for edge in range(1, len(names)):
        axes.axhline(edge - 0.5, color="0.85", lw=0.5, zorder=0)
    axes.set_yticks(range(len(names)), [f"{s}\n$n$ = {sizes[s]:,.0f}" for s in names])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xscale("log")
    log_ticks(axes.xaxis)
    axes.set_xlabel("Seconds a fit")


TABLES: tuple[Table, ...] = (
    tabular("remedy-costs", "What remedies cost", "Cost", remedy_costs, no_remedies, timed=True),
    tabular("timings", "Seconds by method", "Cost", timings, timed=True),
)
FIGURES: tuple[Drawing, ...] = (drawing("time", "Seconds by method", "Cost", seconds),)
