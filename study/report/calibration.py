"""Simulation-based calibration: are ranks uniform, and their ECDF with its bands."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models import METHODS
from study.report import measures, uniformity
from study.report.exhibit import Drawing, Table, tabular
from study.report.measures import Measure
from study.report.reasons import no_calibration
from study.report.style import DOUBLE, LOOKS, drawing, nothing
from study.report.table import sorted_rows, table_of, with_errors
from study.rows import Results


def calibration(results: Results) -> pd.DataFrame:
    """Are the ranks of the calibration uniform? By sampler and quantity, with the exact p-value.

    mean and spread: of the ranks, put between 0 and 1; spread is their root mean square distance
    from 1/2 as a share of the uniform's. difference: the ECDF's largest, sign kept. p_all: p
    adjusted for all rows by Holm's method. autocorrelation: of neighbouring draws. seen: what the
    middle of an ECDF may be off before it leaves the bands of all rows together.
    """
    rows: list[dict[str, object]] = []
    of = 0
    keys = ["method", "quantity"]
    for key, group in results.ranks.groupby(keys, sort=False):
        ranked = group.dropna(subset=["rank"])
        row: dict[str, object] = dict(zip(keys, key, strict=True))
        lost = {"failed": measures.count(np.asarray(group["rank"].isna(), dtype=float))}
        rows.append(row | with_errors(lost, len(ranked)))
        if ranked.empty:
            continue
        ranks, of = ranked["rank"].to_numpy(int), int(ranked["of"].iloc[0])
        z, off = uniformity.difference(ranks, of)
        worst = int(np.argmax(np.abs(off)))
        between = (ranks + 0.5) / (of + 1)
        spread, uniform = measures.rmse(between, 0.5), np.sqrt((1 - (of + 1) ** -2) / 12)
        found = {
            "mean": measures.mean(between),
            "spread": Measure(spread.value / uniform, spread.mcse / uniform, spread.r),
            "difference": Measure(
                off[worst], np.sqrt(z[worst] * (1 - z[worst]) / ranks.size), ranks.size
            ),
            "autocorrelation": measures.mean(ranked["autocorrelation"].to_numpy()),
        }
        rows[-1] |= with_errors(found) | {"p": uniformity.p_value(ranks, of)}
    table = table_of(rows, [*keys, "R"])
    if "p" in table:
        table["p_all"] = uniformity.holm(table["p"].fillna(1.0).to_numpy())
        table["uniform"] = np.where(table["p_all"] > 0.05, "yes", "no")
        level = 1.0 - (1.0 - LEVEL) / int(table["p"].notna().sum())
        table["seen"] = [
            float(uniformity.band(int(r), of, level)[1][of // 2]) if r else np.nan
            for r in table["R"]
        ]
    return sorted_rows(results, table)


def calibration_chains(results: Results) -> pd.DataFrame:
    """Did the calibration's chains converge? Shares of replicates, none left out, by sampler."""
    rows = []
    fits = results.ranks.drop_duplicates(["replicate", "method"])
    for method, group in fits.groupby("method", sort=False):
        found = {
            "failed": measures.proportion(np.asarray(group["rank"].isna(), dtype=float)),
            "rhat_above_1.01": _share(group["rhat"] > 1.01),
            "rhat_above_1.05": _share(group["rhat"] > 1.05),
            "ess_below_draws": _share(group["ess"] < group["of"]),
            "ess": measures.mean(group["ess"].to_numpy(float)),
            "divergent": _share(group["divergences"].fillna(0) > 0),
        }
        rows.append({"method": method} | with_errors(found, len(group)))
    return sorted_rows(results, table_of(rows, ["method", "R"]))


def _share(events: pd.Series[bool]) -> Measure:
    """Of all replicates; what is not known of a failed fit is no event."""
    return measures.proportion(events.to_numpy(bool).astype(float))


LEVEL = 0.95
COLUMNS = 5


def calibration_bands(results: Results) -> Figure:
    """A panel a quantity, a line a sampler; bands of one line, and of all lines together."""
    ranks = results.ranks.dropna(subset=["rank"])
    if ranks.empty:
        return nothing("Every fit of the calibration failed.")
    names = list(dict.fromkeys(ranks["quantity"]))
    methods = [method for method in METHODS if (ranks["method"] == method).any()]
    lines = ranks.groupby(["quantity", "method"]).ngroups
    columns = min(COLUMNS, len(names))
    rows = math.ceil(len(names) / columns)
    figure = Figure(figsize=(DOUBLE, 0.7 + 1.35 * rows))
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axes, name in zip(panels, names, strict=False):
        own = ranks[ranks["quantity"] == name]
        _bands(axes, own, lines)
        for method in methods:
            _line(axes, own[own["method"] == method], method)
        axes.set_title(name)
    for axes in panels[len(names) :]:
        axes.remove()
    figure.supxlabel("Rank among the posterior draws, 0 to 1", fontsize=7)
    figure.supylabel("ECDF minus uniform", fontsize=7)
    return figure


def _bands(axes: Axes, ranks: pd.DataFrame, lines: int) -> None:
    """For the most replicates that any sampler has, which is all of them unless fits failed."""
    r, of = ranks.groupby("method").size().max(), int(ranks["of"].iloc[0])
    z = np.arange(of + 2) / (of + 1)
    for level, shade, label in (
        (1.0 - (1.0 - LEVEL) / lines, "0.93", f"{LEVEL:.0%} of all {lines} lines together"),
        (LEVEL, "0.84", f"{LEVEL:.0%} of one line"),
    ):
        low, high = (np.pad(end, 1) for end in uniformity.band(int(r), of, level))
        axes.fill_between(z, low, high, color=shade, lw=0, label=label, zorder=0)
    axes.axhline(0, color="0.6", lw=0.5, zorder=1)


def _line(axes: Axes, ranks: pd.DataFrame, method: str) -> None:
    z, off = uniformity.difference(ranks["rank"].to_numpy(int), int(ranks["of"].iloc[0]))
    look, label = LOOKS[method], METHODS[method].label
    axes.plot([0, *z, 1], [0, *off, 0], **look.stroke, lw=0.9, label=label)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])


def calibration_found(results: Results) -> str:
    """How many of the lines chance alone explains."""
    table = calibration(results)
    if "uniform" not in table:
        return ""
    own = table.dropna(subset=["p"])
    good, r = int((own["uniform"] == "yes").sum()), own["R"].max()
    return (
        f"Of {len(own)} quantities and samplers {good} have ranks that exact tests, adjusted for "
        f"all of them, do not tell from uniform ({r:,} data sets each)."
    )


TABLES: tuple[Table, ...] = (
    tabular("calibration", "Ranks of the calibration", "Calibration", calibration, no_calibration),
    tabular(
        "calibration-chains",
        "Chains of the calibration",
        "Calibration",
        calibration_chains,
        no_calibration,
    ),
)
FIGURES: tuple[Drawing, ...] = (
    drawing(
        "calibration-bands",
        "Ranks against uniform",
        "Calibration",
        calibration_bands,
        no_calibration,
        finding=calibration_found,
    ),
)
