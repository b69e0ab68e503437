"""The optimisation: how fits ended, how near the best log-likelihood, in how many passes."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from models import METHODS
from models.methods import OPTIMISERS
from study.report import measures
from study.report.exhibit import Drawing, Table, tabular
from study.report.grid import cells, middle
from study.report.reasons import no_grid, no_optimisers, no_simulation
from study.report.series import present, quartiles_against
from study.report.style import (
    LOOKS,
    drawing,
    log_ticks,
    nested_widths,
    nothing,
    separation_axis,
    width_for,
)
from study.report.table import POINT_ESTIMATORS, sorted_rows, table_of, with_errors
from study.report.verdicts import with_verdict
from study.rows import STATUSES, USABLE, Results, passes

NOTHING_BROKE = "All that was to be computed of the fits was."
NO_GAP = "Every optimiser reached the best log-likelihood on every data set."


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


GAPS = (1e-8, 1e2)  # nats


def gap(results: Results) -> Figure:
    """Share of data sets on which a method ends more than g nats behind the best, against g."""
    grid, fits = cells(results.design), with_verdict(results)
    fits = fits[fits["method"].isin(OPTIMISERS)]
    panels = [
        (f"separation {d:g}", fits[fits["scenario"].isin(part["scenario"])])
        for d, part in grid.groupby("separation")
    ]
    panels += [(s.name, fits[fits["scenario"] == s.name]) for s in results.design.scenarios]
    panels = [(title, part) for title, part in panels if not part.empty]
    none = [title for title, part in panels if part["behind"].max(skipna=False) <= GAPS[0]]
    panels = [(title, part) for title, part in panels if title not in none]
    if not panels:
        return nothing(NO_GAP)
    columns = min(len(panels), 4)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(width_for(columns), 0.9 + 1.55 * rows))
    all_axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat
    for axes, (title, part) in zip(all_axes, panels, strict=False):
        _shares(axes, part)
        axes.set_title(title)
    for axes in all_axes[len(panels) :]:
        axes.set_visible(False)
    for axes in all_axes[len(panels) - columns : len(panels)]:
        axes.tick_params(labelbottom=True)
    top = max(0.05, all_axes[0].get_ylim()[1])
    all_axes[0].set_ylim(-0.03 * top, top)
    words = f"no gap on any data set: {', '.join(none)}" if none else ""
    lines = textwrap.wrap(words, int(15 * figure.get_figwidth()), break_on_hyphens=False)
    all_best = "".join(f"\n{line}" for line in lines)
    figure.supxlabel(f"Gap to the best log-likelihood (nats){all_best}", fontsize=7)
    figure.supylabel("Share of data sets with a larger gap", fontsize=7)
    return figure


def _shares(axes: Axes, fits: pd.DataFrame) -> None:
    methods = present(fits)
    for method, width in zip(methods, nested_widths(len(methods)), strict=True):
        behind = fits.loc[fits["method"] == method, "behind"].fillna(np.inf).to_numpy(float)
        edges = np.unique(np.clip(behind[np.isfinite(behind)], *GAPS))
        x = np.unique(np.concatenate([[GAPS[0]], edges, [GAPS[1]]]))
        y = [(behind > g).mean() for g in x]
        look = LOOKS[method]
        axes.step(x, y, where="post", **look.stroke, lw=width, label=METHODS[method].label)
    axes.set_xscale("log")
    axes.set_xlim(*GAPS)
    axes.set_xticks([1e-6, 1e-3, 1.0])
    axes.xaxis.set_minor_locator(NullLocator())


def effort(results: Results) -> Figure:
    """Passes over the data against separation, a panel a (w, r), at the middle n."""
    grid = cells(results.design)
    n = middle(grid["n"])
    fits = efforts(results).merge(grid[grid["n"] == n].drop(columns="n"), on="scenario")
    if fits.empty:
        return nothing("No fit of the grid is usable.")
    shapes = list(grid["shape"].unique())
    columns = min(len(shapes), 4)
    rows = -(-len(shapes) // columns)
    figure = Figure(figsize=(width_for(columns), 0.8 + 1.8 * rows))
    all_axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat
    for axes, shape in zip(all_axes, shapes, strict=False):
        quartiles_against(axes, fits[fits["shape"] == shape], "separation", "passes", present(fits))
        axes.set_yscale("log")
        axes.set_title(shape)
    log_ticks(all_axes[0].yaxis)
    for axes in all_axes[len(shapes) :]:
        axes.set_visible(False)
    separations = sorted(grid["separation"].unique())
    separation_axis(all_axes[0], separations)
    figure.supxlabel(f"Separation of the means (root-mean-square sds); $n$ = {n:,}", fontsize=7)
    figure.supylabel("Passes over the data", fontsize=7)
    return figure


def efforts(results: Results) -> pd.DataFrame:
    """Usable fits by optimisers, with the passes over the data that each took."""
    fits = results.fits
    kept = fits["status"].isin(USABLE) & fits["method"].isin(POINT_ESTIMATORS)
    return fits[kept].assign(passes=passes(fits[kept]))


TABLES: tuple[Table, ...] = (
    tabular("failures", "Fits by status", "Optimisation", failures),
    tabular("broken", "What broke off", "Optimisation", broken, none=NOTHING_BROKE),
    tabular(
        "optimisation", "Gap, certificates, iterations", "Optimisation", optimisation, no_optimisers
    ),
)
FIGURES: tuple[Drawing, ...] = (
    drawing(
        "gap",
        "Gap to the best log-likelihood",
        "Optimisation",
        gap,
        no_simulation,
        no_optimisers,
        none=NO_GAP,
    ),
    drawing("effort", "Passes over the data", "Optimisation", effort, no_grid, no_optimisers),
)
