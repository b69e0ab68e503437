"""The optimisation: how fits ended, how near the best log-likelihood, in how many passes."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models import METHODS
from models.methods import OPTIMISERS
from models.mixture import Floats
from study.report import measures
from study.report.exhibit import Drawing, Table, tabular
from study.report.grid import cells
from study.report.reasons import no_grid, no_optimisers, not_followed
from study.report.series import present
from study.report.style import DOUBLE, GREY, LOOKS, drawing, log_ticks, nothing
from study.report.table import POINT_ESTIMATORS, sorted_rows, table_of, with_errors
from study.report.verdicts import with_verdict
from study.rows import DATA_SET, FIT, STATUSES, USABLE, Results, equivalent_passes, passes

NOTHING_BROKE = "All that was to be computed of the fits was."
NO_RATE = "No data set that is followed has a certified maximum with an EM rate below one."


def failures(results: Results) -> pd.DataFrame:
    """How many fits ended in each status, by scenario and method, zeros included."""
    rows = []
    for (scenario, method), group in results.fits.groupby(["scenario", "method"], sort=False):
        status = group["status"].to_numpy()
        found = {name: measures.count((status == name).astype(float)) for name in STATUSES}
        found["not_ok"] = measures.proportion((status != "ok").astype(float))
        rows.append({"scenario": scenario, "method": method} | with_errors(found, len(group)))
    return sorted_rows(results, table_of(rows, ["scenario", "method", "R", *STATUSES, "not_ok"]))


def optimisation(results: Results) -> pd.DataFrame:
    """Gap to the best log-likelihood, certificates, iterations and passes, optimisers only."""
    fits = with_verdict(results)
    fits = fits[fits["method"].isin(POINT_ESTIMATORS)]
    rows = []
    for (scenario, method), group in fits.groupby(["scenario", "method"], sort=False):
        regular = group[group["status"].isin(USABLE)]
        behind = regular["behind"].to_numpy(dtype=float)
        found = {
            "at_best": measures.of_count(int((behind < 1e-6).sum()), len(group)),
            "mean_gap": measures.mean(behind),
            "gap_90": measures.quantile(behind, 0.9),
            "says_converged": measures.of_count(_count(group["converged"]), len(group)),
            "certified": measures.of_count(_count(regular["certified"]), len(group)),
            "iterations": measures.mean(regular["n_iter"].to_numpy(dtype=float)),
            "passes": measures.mean(passes(regular).to_numpy(float)),
            "equivalent": measures.mean(equivalent_passes(regular).to_numpy(float)),
        }
        row: dict[str, object] = {"scenario": scenario, "method": method}
        row |= with_errors(found, len(group)) | {"R_gap": found["mean_gap"].r}
        rows.append(row | {"R_passes": found["passes"].r})
    return sorted_rows(results, table_of(rows, ["scenario", "method", "R"]))


def _count(events: pd.Series[Any]) -> int:
    return int(events.fillna(False).astype(bool).sum())


# Kinds of rows that say why where there was nothing to say, and what they are of.
BROKEN = {
    "intervals": ["scenario", "method"],
    "losses": ["scenario", "method"],
    "labels": ["scenario", "method"],
    "reaches": ["scenario", "method"],
    "optima": ["scenario", "method"],
    "barriers": ["scenario"],
    "remedies": ["scenario", "remedy"],
    "priors": ["scenario", "prior"],
    "references": ["scenario"],
    "ranks": ["method"],
    "targets": ["scenario"],
}

_AS_METHOD = {"remedy": "method", "prior": "method"}


def broken(results: Results) -> pd.DataFrame:
    """What was to be computed and broke off, and why: on how many data sets, by kind of row.

    reason: what the message begins with; message: the first of those.
    """
    rows = []
    for kind, keys in BROKEN.items():
        table = getattr(results, kind)
        said = table["message"].fillna("")
        lost = table.assign(reason=said.map(_beginning))[said != ""]
        replicates = "replicate" if "replicate" in table else "scenario"
        for key, part in lost.groupby([*keys, "reason"], sort=False):
            same = (table[keys] == pd.Series(key[:-1], index=keys)).all(axis=1)
            r, number = table.loc[same, replicates].nunique(), part[replicates].nunique()
            row = {"what": kind, "scenario": "all", "method": "all"}
            row |= dict(zip((_AS_METHOD.get(k, k) for k in keys), key, strict=False))
            row |= {"reason": key[-1], "message": shortened(part["message"].iloc[0])}
            events = (np.arange(r) < number).astype(float)
            rows.append(row | with_errors({"lost": measures.count(events)}, r))
    return table_of(rows, ["what", "scenario", "method", "reason", "message", "R", "lost"])


def shortened(message: str) -> str:
    """A message on one line of a table."""
    return textwrap.shorten(message, 80, placeholder=" …")


def _beginning(message: str) -> str:
    return message.partition(":")[0]


def efforts(results: Results) -> pd.DataFrame:
    """Usable fits by optimisers, with the passes that each took, as counted and equivalent ones."""
    fits = results.fits
    kept = fits["status"].isin(USABLE) & fits["method"].isin(POINT_ESTIMATORS)
    own = fits[kept]
    return own.assign(passes=passes(own), equivalent=equivalent_passes(own))


def by_rate(results: Results) -> pd.DataFrame:
    """Usable fits by optimisers on the data sets that are followed, with what they took.

    slowness: 1/(1 - r), r EM's rate by the information at the data set's own maximum. Columns
    of `rates` and seconds go with it.
    """
    fits = efforts(results)
    fits = fits[fits["method"].isin(OPTIMISERS)]
    rates = results.rates[results.rates["certified"] & (results.rates["predicted"] < 1.0)]
    table = fits.merge(rates[[*DATA_SET, "predicted", "observed"]], on=DATA_SET)
    table = table.merge(results.timings[[*FIT, "seconds"]], on=FIT, how="left")
    # Where a step leaves no error there is nothing that EM would be slow in.
    return table.assign(slowness=1.0 / (1.0 - table["predicted"].clip(lower=0.0)))


# Decades from the start to EM's stop, about: its steps fall from a tenth of an sd to 1e-9.
DECADES = 8.0


def theory(slowness: Floats) -> Floats:
    """Passes that EM takes where its error falls by 1 - 1/slowness a pass, over DECADES."""
    with np.errstate(divide="ignore"):
        rate = np.log1p(-1.0 / slowness)
    return -DECADES * np.log(10.0) / rate


def break_even(table: pd.DataFrame, cost: str, method: str) -> float:
    """The slowness that best parts data sets on which EM is cheaper from those on which it is not.

    The cut that puts fewest on the wrong side, halfway to the next; NaN where one side is empty.
    """
    wide = table.pivot_table(index=[*DATA_SET, "slowness"], columns="method", values=cost)
    if not {"em", method} <= set(wide):
        return np.nan
    wide = wide[["em", method]].dropna().sort_index(level="slowness")
    dearer = (wide["em"] > wide[method]).to_numpy(bool)
    if not dearer.any() or dearer.all():
        return np.nan
    x = wide.index.get_level_values("slowness").to_numpy(float)
    wrong = np.cumsum(dearer) + np.cumsum(~dearer[::-1])[::-1] - ~dearer
    at = int(wrong[:-1].argmin())
    return float(np.sqrt(x[at] * x[at + 1]))


def missing_information(results: Results) -> Figure:
    """Equivalent passes, and milliseconds, against 1/(1 - r), a point a fit; and r itself."""
    table = by_rate(results)
    if table.empty:
        return nothing(NO_RATE)
    figure = Figure(figsize=(DOUBLE, 3.0))
    left, right, last = figure.subplots(1, 3, width_ratios=[5, 5, 3])
    ends = np.geomspace(max(table["slowness"].min(), 1.001), table["slowness"].max(), 200)
    left.plot(ends, theory(ends), color=GREY, lw=1.4, zorder=0, label="EM, in theory")
    for axes, cost, scale in ((left, "equivalent", 1.0), (right, "seconds", 1e3)):
        for method in present(table):
            own = table[table["method"] == method]
            axes.plot(
                own["slowness"], scale * own[cost], **LOOKS[method].points, ms=2.2, mew=0.4,
                mfc="none", label=METHODS[method].label,
            )  # fmt: skip
        at = break_even(table, cost, "newton")
        if np.isfinite(at):
            axes.axvline(at, color="0.3", lw=0.7, ls=(0, (4, 2)))
            axes.annotate(
                f"EM = Newton at {at:.3g}", (at, 1.0), (0, 2), ("data", "axes fraction"),
                "offset points", ha="center", va="bottom", annotation_clip=False,
            )  # fmt: skip
        axes.set_xscale("log")
        axes.set_yscale("log")
        log_ticks(axes.xaxis)
        log_ticks(axes.yaxis)
        axes.set_xlabel("$1/(1 - r)$")
    left.set_ylabel("Equivalent passes, start apart")
    right.set_ylabel("Milliseconds")
    _rates(last, table)
    return figure


def _rates(axes: Axes, table: pd.DataFrame) -> None:
    """The rate that EM's last steps have against the one predicted, as 1 - r."""
    seen = table.drop_duplicates(DATA_SET).dropna(subset=["observed"])
    if seen.empty:
        axes.set_visible(False)
        return
    x, y = 1.0 - seen["predicted"], 1.0 - seen["observed"]
    ends = [0.5 * min(x.min(), y.min()), 1.2]
    axes.plot(ends, ends, color=GREY, lw=0.6)
    axes.plot(x, y, "o", color="black", ms=1.5)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_box_aspect(1.0)
    log_ticks(axes.xaxis)
    log_ticks(axes.yaxis)
    axes.set_xlabel("$1 - r$, predicted")
    axes.set_ylabel("$1 - r$, observed")


def rate_found(results: Results) -> str:
    """Where EM and Newton cost the same, in passes and in seconds."""
    table = by_rate(results)
    if table.empty or not {"em", "newton"} <= set(table["method"]):
        return ""
    at = {cost: break_even(table, cost, "newton") for cost in ("equivalent", "seconds")}
    parts = [
        f"in {'equivalent passes' if cost == 'equivalent' else cost} "
        + (f"until 1/(1 - r) is {x:.3g}" if np.isfinite(x) else "nowhere or everywhere")
        for cost, x in at.items()
    ]
    sets = table.drop_duplicates(DATA_SET).shape[0]
    return f"EM is cheaper than Newton {', '.join(parts)}; {sets} data sets."


COSTS = ["separation", "method", "R", "equivalent", "with_start", "passes", "ms", "us_a_pass"]


def costs(results: Results) -> pd.DataFrame:
    """By separation and optimiser, over the grid: what a usable fit takes, means over data sets.

    equivalent: passes, one with a Hessian by what it costs (`rows.HESSIAN_PASS`); with_start: with
    those of the start that all share; passes: as they are counted; ms: milliseconds, and us_a_pass
    microseconds a pass, the method's own steps included.
    """
    fits = efforts(results).merge(cells(results.design)[["scenario", "separation"]], on="scenario")
    fits = fits.merge(results.timings[[*FIT, "seconds"]], on=FIT, how="left")
    fits["with_start"] = fits["equivalent"] + fits["start_passes"]
    fits["ms"] = 1e3 * fits["seconds"]
    fits["us_a_pass"] = 1e6 * fits["seconds"] / fits["passes"].clip(lower=1)
    rows = []
    for (d, method), group in fits.groupby(["separation", "method"]):
        of = {name: measures.mean(group[name].to_numpy(float)) for name in COSTS[3:]}
        row = {"separation": d, "method": method} | with_errors(of, len(group))
        rows.append(row | {"R_ms": of["ms"].r})
    table = sorted_rows(results, table_of(rows, COSTS))
    return table.sort_values("separation", kind="stable", ignore_index=True)


TABLES: tuple[Table, ...] = (
    tabular("failures", "Fits by status", "Optimisation", failures),
    tabular(
        "costs", "Passes and seconds", "Optimisation", costs, no_grid, no_optimisers, timed=True
    ),
    tabular("broken", "What broke off", "Optimisation", broken, none=NOTHING_BROKE),
    tabular(
        "optimisation", "Gap, certificates, iterations", "Optimisation", optimisation, no_optimisers
    ),
)
FIGURES: tuple[Drawing, ...] = (
    drawing(
        "missing-information", "Cost and missing information", "Optimisation", missing_information,
        not_followed, no_optimisers, none=NO_RATE, finding=rate_found,
    ),
)  # fmt: skip
