"""Figures of verdicts and of the replicates that are followed closely."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from models import METHODS
from models.verdicts import VERDICTS
from study.report.convergence_tables import chance, costs, groups, hits, profile, rate_at_truth
from study.report.figures.estimates import cells
from study.report.figures.style import (
    COMPONENTS,
    DOUBLE,
    GREY,
    LOOKS,
    SINGLE,
    legend_above,
    log_ticks,
    nested_widths,
    nothing,
    separation_axis,
)
from study.report.verdicts import with_verdict
from study.rows import STOPPING_RULES, Results

NOT_FOLLOWED = "No data set of this design is followed closely."
# From what is good to what is not: light to dark, the bad ones hatched.
FILLS: dict[str, dict[str, Any]] = {
    "certified": {"color": "0.92"},
    "sampled": {"color": "0.92"},
    "other local maximum": {"color": "#56B4E9"},
    "stopped early": {"color": "#E69F00", "hatch": "//"},
    "undersampled": {"color": "#E69F00", "hatch": "//"},
    "spurious": {"color": "#D55E00", "hatch": "xx"},
    "singular": {"color": "#7F7F7F", "hatch": ".."},
    "failed": {"color": "black"},
}


def verdicts(results: Results) -> Figure:
    """Shares of the verdicts by method, a panel a separation and one for all that is not grid."""
    fits = with_verdict(results)
    place = groups(results.design)
    separations = {g for s, g in place.items() if g != s}
    fits["panel"] = fits["scenario"].map(
        lambda s: place[s] if place[s] in separations else "other scenarios and data"
    )
    panels = sorted(fits["panel"].unique(), key=lambda p: (p not in separations, p))
    methods = [m for m in METHODS if (fits["method"] == m).any()]
    figure = Figure(figsize=(DOUBLE, 0.9 + 0.17 * len(methods) * -(-len(panels) // 3)))
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    axes_of = list(figure.subplots(rows, columns, squeeze=False, sharey=True).flat)
    for axes, panel in zip(axes_of, panels, strict=False):
        _shares_of_verdicts(axes, fits[fits["panel"] == panel], methods)
        axes.set_title(panel)
    for axes in axes_of[len(panels) :]:
        axes.set_visible(False)
    figure.supxlabel("Share of fits", fontsize=7)
    legend_above(figure)
    return figure


def _shares_of_verdicts(axes: Axes, fits: pd.DataFrame, methods: list[str]) -> None:
    counts = fits.groupby("method")["verdict"].value_counts(normalize=True).unstack(fill_value=0)
    places = np.arange(len(methods))
    left = np.zeros(len(methods))
    for verdict in FILLS:
        share = np.array([counts.get(verdict, pd.Series()).get(m, 0.0) for m in methods])
        if share.any():
            look = FILLS[verdict] | {"edgecolor": "black", "linewidth": 0.3}
            axes.barh(places, share, 0.75, left, label=verdict, **look)
        left += share
    axes.set_yticks(places, [METHODS[m].label for m in methods])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(methods) - 0.5, -0.5)
    axes.set_xlim(0.0, 1.0)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))


assert set(FILLS) == set(VERDICTS)


def stopping(results: Results) -> Figure:
    """What each stopping rule leaves, in standard errors and in nats, by separation."""
    rows = results.stops.assign(group=results.stops["scenario"].map(groups(results.design)))
    if rows.empty:
        return nothing(NOT_FOLLOWED)
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
            look = list(LOOKS.values())[j]
            axes.errorbar(
                middle,
                place + 0.16 * (j - 0.5 * (len(names) - 1)),
                xerr=[middle - low, high - middle],
                color=look.color,
                marker=look.marker,
                ls="none",
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
    legend_above(figure)
    return figure


def rate(results: Results) -> Figure:
    """EM's iterations a decade against separation: theory's lines, observed medians."""
    grid = cells(results.design)
    if grid.empty or results.rates.empty:
        return nothing(NOT_FOLLOWED if grid.empty else "No EM run of the grid was followed.")
    rows = results.rates.merge(grid, on="scenario")
    figure = Figure(figsize=(SINGLE, 2.9))
    axes = figure.subplots()
    separations = sorted(grid["separation"].unique())
    shapes = list(grid["shape"].unique())
    for j, shape in enumerate(shapes):
        look = list(LOOKS.values())[j]
        part = grid[grid["shape"] == shape].drop_duplicates("separation").sort_values("separation")
        theory = part["scenario"].map(rate_at_truth(results)).to_numpy(float)
        axes.plot(
            part["separation"],
            _decade(theory),
            color=look.color,
            ls=look.line,
            label=f"{shape}",
        )
        seen = rows[(rows["shape"] == shape) & rows["observed"].between(0.0, 1.0)]
        for k, (_, own) in enumerate(seen.groupby("n")):
            medians = own.groupby("separation")["observed"].median()
            axes.plot(
                medians.index.to_numpy(float) + 0.05 * (j - 1.5) + 0.015 * k,
                _decade(medians.to_numpy(float)),
                ls="none",
                marker=look.marker,
                ms=2.2 + 0.9 * k,
                color=look.color,
                mfc="white",
            )
    axes.set_yscale("log")
    log_ticks(axes.yaxis)
    separation_axis(axes, separations)
    axes.set_xlabel("Separation of the means (root-mean-square sds)")
    axes.set_ylabel("EM iterations a decimal digit")
    legend_above(figure)
    return figure


def _decade(rates: np.ndarray) -> np.ndarray:
    return -1.0 / np.log10(rates)


def descent(results: Results) -> Figure:
    """Median passes, and seconds, to each gap to the best log-likelihood, by separation."""
    grid = cells(results.design)
    if grid.empty or results.reaches.empty:
        return nothing(NOT_FOLLOWED)
    targets = np.sort(results.reaches["target"].unique())[::-1]
    reached = pd.concat([costs(results, t).assign(target=t) for t in targets])
    rows = reached.merge(grid, on="scenario")
    separations = sorted(grid["separation"].unique())
    figure = Figure(figsize=(DOUBLE, 3.6))
    panels = figure.subplots(2, len(separations), squeeze=False, sharey=True, sharex="row")
    methods = [m for m in METHODS if (rows["method"] == m).any()]
    for row, cost in zip(panels, ("passes", "seconds"), strict=True):
        for axes, d in zip(row, separations, strict=True):
            part = rows[rows["separation"] == d]
            for method, width in zip(methods, nested_widths(len(methods)), strict=True):
                own = part[part["method"] == method].groupby("target")[cost].median()
                own = own[np.isfinite(own)].sort_index(ascending=False)
                look = LOOKS[method]
                axes.plot(
                    own, own.index, color=look.color, ls=look.line, lw=width,
                    label=METHODS[method].label,
                )  # fmt: skip
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xlabel("Passes" if cost == "passes" else "Seconds")
            if cost == "passes":
                axes.set_title(f"separation {d:g}")
        row[0].set_ylabel("Gap (nats)")
    legend_above(figure)
    return figure


def profiles(results: Results) -> Figure:
    """Performance profiles on passes and seconds at two gaps, and data profiles on passes."""
    if results.reaches.empty:
        return nothing(NOT_FOLLOWED)
    figure = Figure(figsize=(DOUBLE, 3.8))
    panels = figure.subplots(2, 3, sharey=True)
    for row, target in zip(panels, (1e-2, 1e-6), strict=True):
        reached = costs(results, target)
        for axes, cost in zip(row[:2], ("passes", "seconds"), strict=True):
            _profile(axes, profile(reached, cost), (1.0, 100.0))
            axes.set_xlabel(f"{cost.capitalize()}, times the least")
            axes.set_title(f"to {target:g} nats, {cost}")
        wide = reached.pivot_table(
            index=["scenario", "replicate"], columns="method", values="passes"
        ).fillna(np.inf)
        _profile(row[2], wide[[m for m in METHODS if m in wide]], (1.0, 10_000.0))
        row[2].set_xlabel("Passes")
        row[2].set_title(f"to {target:g} nats, within a budget")
        row[0].set_ylabel("Share of data sets")
    panels[0, 0].set_ylim(-0.02, 1.02)
    legend_above(figure)
    return figure


def _profile(axes: Axes, ratios: pd.DataFrame, ends: tuple[float, float]) -> None:
    for method, width in zip(ratios, nested_widths(ratios.shape[1]), strict=True):
        own = np.sort(ratios[method].to_numpy(float))
        own = own[np.isfinite(own)]
        x = np.concatenate([[ends[0]], own, [max(ends[1], own.max(initial=1.0))]])
        y = np.concatenate([[0.0], np.arange(1, own.size + 1), [own.size]]) / len(ratios)
        look = LOOKS[str(method)]
        axes.step(
            x, y, where="post", color=look.color, ls=look.line, lw=width,
            label=METHODS[str(method)].label,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlim(*ends)


def many_starts(results: Results) -> Figure:
    """The probability of the best maximum against starts, and against passes, by group."""
    if results.optima.empty:
        return nothing(NOT_FOLLOWED)
    rows = hits(results)
    rows["group"] = rows["scenario"].map(groups(results.design))
    sets = rows.groupby(["group", "method", "scenario", "replicate"], sort=False)["hit"]
    counts = sets.agg(["sum", "size"]).reset_index()
    cost = rows.groupby(["group", "method"])["passes"].mean()
    hard = counts[counts["sum"] < counts["size"]]["group"].value_counts()
    chosen = sorted(g for g in hard.index[:6])
    if not chosen:
        return nothing("Every start reached the best maximum of its data set.")
    methods = list(dict.fromkeys(counts["method"]))
    figure = Figure(figsize=(DOUBLE, 2.7))
    left, right = figure.subplots(1, 2, sharey=True)
    for j, group in enumerate(chosen):
        for method in methods:
            own = counts[(counts["group"] == group) & (counts["method"] == method)]
            most = int(own["size"].max())
            p = [
                np.mean([chance(h, of, s) for h, of in own[["sum", "size"]].to_numpy()])
                for s in range(1, most + 1)
            ]
            look = {"color": (*COMPONENTS, GREY)[j], "ls": "-" if method == methods[0] else "--"}
            name = f"{group}, {METHODS[method].label}"
            left.plot(np.arange(1, most + 1), p, label=name, **look)
            right.plot(cost[group, method] * np.arange(1, most + 1), p, **look)
    left.set_xlabel("Starts")
    left.set_xscale("log")
    log_ticks(left.xaxis)
    right.set_xlabel("Passes over the data")
    right.set_xscale("log")
    left.set_ylabel("Probability of the best maximum")
    left.set_ylim(0.0, 1.02)
    legend_above(figure)
    return figure
