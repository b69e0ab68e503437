"""Which intervals to trust where: the worst parameter of each cell, and how far it may be chance.

Of many cells some look bad by luck. What is said of single ones is held against all of them, by
Holm's adjustment, and shares of cells are drawn towards their mean (`measures.shrunk`).
"""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from study.report import measures, uniformity
from study.report.exhibit import Drawing, Table, tabular
from study.report.grid import cells
from study.report.held import NAMES, THREE, held, kinds_of, together
from study.report.measures import Measure
from study.report.reasons import no_grid, no_simulation
from study.report.style import DOUBLE, FEW, drawing, nothing
from study.report.table import table_of, with_errors
from study.rows import INTERVAL_KINDS, Results

NONE = "No fit of the grid is usable."
FAMILY = 0.05  # chance of any wrong word, over all that is looked at
LOWEST = 0.5  # coverage below which the colours of the map do not change
# From what covers too little, dark, to white at the level and a light tint above it, so that the
# map reads the same in grey.
COLOURS = LinearSegmentedColormap.from_list(
    "trust", [(0.0, "#6B1F00"), (0.25, "#C4622D"), (0.5, "#FFFFFF"), (1.0, "#9CC9E8")]
)


def places(results: Results, kind: str) -> pd.DataFrame:
    """By scenario and quantity: held, R, coverage, and p, the chance of so few by exact intervals;
    adjusted for all of the kind's places."""
    rows = held(results, kind)
    groups = rows.groupby(["scenario", "quantity"], sort=False)["held"]
    table = groups.agg(held="sum", R="size").reset_index()
    table["coverage"] = table["held"] / table["R"]
    p = measures.below(table["held"], table["R"], results.design.level)
    return table.assign(p=p, adjusted=uniformity.holm(p))


def trust(results: Results) -> pd.DataFrame:
    """By kind of interval, over all simulated scenarios and parameters, each a place.

    coverage: over all intervals of all places, on R_coverage data sets. too_low: places below the
    level by Holm's adjustment. least: the smallest share, and p_all: that of exact intervals in so
    many places some would show as small a one. shrunk: the least of the places' shares after each
    is drawn towards their mean.
    """
    found = []
    for kind in kinds_of(results):
        table = places(results, kind)
        lowest = table.iloc[int(table["p"].to_numpy(float).argmin())]
        drawn = measures.shrunk(table["held"].to_numpy(float), table["R"].to_numpy(float))
        least = int(drawn.share.argmin())
        share = measures.of_count(int(lowest["held"]), int(lowest["R"]))
        of: dict[str, Measure] = {
            "coverage": together(held(results, kind)),
            # Over places that the design fixes: no replicates, so no Monte Carlo error.
            "too_low": Measure(int((table["adjusted"] < FAMILY).sum()), np.nan, len(table)),
            "least": share,
        }
        row: dict[str, Any] = {"kind": INTERVAL_KINDS[kind]}
        row |= {"R": len(table)} | with_errors(of)
        row |= {"R_coverage": of["coverage"].r, "R_least": share.r}
        row["p_all"] = float(-np.expm1(len(table) * np.log1p(-min(lowest["p"], 1 - 1e-16))))
        half = 0.25 * (drawn.high[least] - drawn.low[least])
        row |= {"shrunk": drawn.share[least], "shrunk_mcse": half}
        row |= {"shrunk_low": drawn.low[least], "shrunk_high": drawn.high[least]}
        found.append(row)
    return table_of(found, ["kind", "R", "coverage", "too_low", "least"])


def worst(results: Results, kind: str) -> pd.DataFrame:
    """By cell of the grid: the parameter that is covered least, of those of that many replicates.

    low: whether it is below the level by Holm's adjustment over all cells and parameters.
    """
    grid = cells(results.design)
    table = places(results, kind)
    table = table[table["scenario"].isin(grid["scenario"])].copy()
    if table.empty:
        return table.assign(low=False)
    table["low"] = uniformity.holm(table["p"].to_numpy(float)) < FAMILY
    least = table.groupby("scenario", sort=False)["coverage"].idxmin()
    return table.loc[least].merge(grid, on="scenario")


def trust_map(results: Results) -> Figure:
    """The worst parameter's coverage in each cell of the grid, a panel a kind of interval."""
    grid = cells(results.design)
    tables = {kind: worst(results, kind) for kind in THREE}
    tables = {kind: table for kind, table in tables.items() if not table.empty}
    if not tables:
        return nothing(NONE)
    columns = grid[["separation", "n"]].drop_duplicates().sort_values(["separation", "n"])
    rows = grid[["weight", "sd_ratio", "shape"]].drop_duplicates()
    rows = rows.sort_values(["weight", "sd_ratio"], ascending=[False, True])
    height = 0.8 + len(tables) * (0.3 + 0.19 * len(rows))
    figure = Figure(figsize=(DOUBLE, height))
    panels = figure.subplots(len(tables), 1, squeeze=False, sharex=True)[:, 0]
    norm = TwoSlopeNorm(results.design.level, LOWEST, 1.0)
    for (kind, table), axes in zip(tables.items(), panels, strict=True):
        _cells(axes, table, columns.to_numpy().tolist(), list(rows["shape"]), norm)
        axes.set_title(
            f"{NAMES[kind][0].upper()}{NAMES[kind][1:]}: coverage of the worst parameter (%)",
            loc="left",
        )
    ticks = [f"{n:,g}" for _, n in columns.to_numpy()]
    panels[-1].set_xticks(range(len(columns)), ticks)
    sizes = columns.groupby("separation").size()
    for i, d in enumerate(sizes.index):
        middle = sizes.iloc[:i].sum() + 0.5 * (sizes.iloc[i] - 1)
        panels[-1].annotate(
            f"$d$ = {d:g}", (middle, 0), (0, -12), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha="center", va="top", annotation_clip=False,
        )  # fmt: skip
    bar = figure.colorbar(ScalarMappable(norm, COLOURS), ax=list(panels), pad=0.01, aspect=30)
    bar.set_ticks([0.5, 0.7, 0.9, results.design.level, 1.0])
    bar.ax.set_yticklabels(["≤ 50", "70", "90", f"{100 * results.design.level:g}", "100"])
    panels[-1].set_xlabel("Sample size $n$, by separation $d$ of the means", labelpad=12)
    return figure


def _cells(
    axes: Axes, table: pd.DataFrame, columns: list[list[float]], shapes: list[str], norm: Any
) -> None:
    for one in table.to_dict("records"):
        x, y = columns.index([one["separation"], one["n"]]), shapes.index(str(one["shape"]))
        few, share = one["R"] < FEW, float(one["coverage"])
        color = mpl.colors.to_rgb(COLOURS(norm(share)))
        if few:  # faded
            red, green, blue = (0.4 * c + 0.6 for c in color)
            color = (red, green, blue)
        known: dict[str, Any] = {"ec": "none"}
        if few:
            known = {"ec": "0.75", "hatch": "////", "label": f"fewer than {FEW} data sets"}
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fc=color, lw=0, **known))
        dark = float(np.dot(color, (0.3, 0.59, 0.11))) < 0.5
        part, number = str(one["quantity"]).split(" ")
        words = f"{100 * share:.0f} {SYMBOLS[part]}$_{number}$"
        axes.text(
            x, y, words, ha="center", va="center",
            color="white" if dark else "black", weight="bold" if one["low"] else "normal",
            bbox={"fc": color, "ec": "none", "pad": 0.6} if few else None,
        )  # fmt: skip
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(shapes) - 0.5, -0.5)
    axes.set_yticks(range(len(shapes)), shapes)
    axes.tick_params(length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    for x in range(1, len(columns)):
        apart = columns[x][0] != columns[x - 1][0]
        axes.axvline(x - 0.5, color="0.3" if apart else "white", lw=0.8 if apart else 0.5)


SYMBOLS = {"weight": "$w$", "mean": r"$\mu$", "sd": r"$\sigma$"}


def trust_found(results: Results) -> str:
    """In how many cells the worst parameter is below the level, by kind."""
    found = []
    for kind in THREE:
        table = worst(results, kind)
        table = table[table["R"] >= FEW]
        if len(table):
            found.append(f"{NAMES[kind]} in {table['low'].sum()} of {len(table)} cells")
    if not found:
        return ""
    return (
        f"Some parameter is covered below {results.design.level:.0%}, beyond what chance does in "
        f"that many cells: {', '.join(found)} with {FEW} data sets or more."
    )


TABLES: tuple[Table, ...] = (
    tabular("trust", "Coverage, and what chance does", "Uncertainty", trust, no_simulation),
)
FIGURES: tuple[Drawing, ...] = (
    drawing(
        "trust-map", "Which intervals to trust", "Uncertainty", trust_map, no_grid,
        finding=trust_found,
    ),
)  # fmt: skip
