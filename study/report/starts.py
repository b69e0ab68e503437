"""How many starts it takes to find the best maximum, and what of a method's end is its start's."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from models import METHODS
from models.mixture import Floats
from models.verdicts import GOOD, SAME
from study.report import measures
from study.report.exhibit import Drawing, Table, tabular
from study.report.grid import groups
from study.report.measures import Measure
from study.report.readers import per_cent
from study.report.reasons import no_starts, not_followed
from study.report.style import SINGLE, START_LOOKS, dodged, drawing, nothing
from study.report.table import table_of, with_errors
from study.report.verdicts import best, judged
from study.rows import DATA_SET, STARTS, Results, equivalent_passes

RESAMPLES = 200  # of the bootstrap behind a Monte Carlo error
COUNTS = (1, 2, 5, 10, 20)  # starts


def hits(results: Results) -> pd.DataFrame:
    """optima with `hit`: whether a start ended at the best believable maximum of its data set."""
    rows = results.optima.copy()
    rows = rows.merge(best(results), on=DATA_SET)
    slack = SAME + 1e-13 * rows["best"].abs()
    rows["hit"] = (rows["best"] - rows["loglik"]) <= slack
    return rows


def chance(hit: int, of: int, draws: int) -> float:
    """That `draws` different starts of `of`, of which `hit` reach the best, hold one that does."""
    k = np.arange(min(draws, of))
    return float(1.0 - np.prod(np.clip((of - hit - k) / (of - k), 0.0, None)))


def starts(results: Results) -> pd.DataFrame:
    """By group and method: the probability of the best maximum against the number of starts.

    starts_95: the fewest with a probability of .95 over the group's data sets (inf if 20 are not
    enough); passes_95: what they take.
    """
    rows = hits(results)
    rows["group"] = rows["scenario"].map(groups(results.design))
    found = []
    for (group, method), part in rows.groupby(["group", "method"], sort=False):
        sets = part.groupby(["scenario", "replicate"])["hit"].agg(["sum", "size"])
        by_count = {
            s: np.array([chance(hit, of, s) for hit, of in sets.to_numpy()])
            for s in range(1, int(sets["size"].max()) + 1)
        }
        of = {f"p_{s}": measures.mean(by_count[s]) for s in COUNTS if s in by_count}
        row = {"group": group, "method": method} | with_errors(of, len(sets))
        spent = part.groupby(["scenario", "replicate"])["passes"].mean().to_numpy(float)
        found.append(row | _enough(np.stack(list(by_count.values()), axis=1), spent))
    return table_of(found, ["group", "method", "R"])


def _enough(chances: Floats, passes: Floats) -> dict[str, float]:
    """starts_95 and passes_95 with Monte Carlo errors, from data sets resampled.

    chances: (sets, starts), of the best maximum with 1, 2, ... starts. passes: (sets,), of one. An
    error is NaN where some resample finds no number of starts enough.
    """
    r = len(chances)
    rows = np.vstack([np.arange(r), np.random.default_rng(0).integers(r, size=(RESAMPLES, r))])
    good = chances[rows].mean(axis=1) >= 0.95
    starts = np.where(good.any(axis=1), 1.0 + good.argmax(axis=1), np.inf)
    spent = np.where(np.isfinite(starts), starts, 1.0) * passes[rows].mean(axis=1)
    found = {"starts_95": starts, "passes_95": np.where(np.isfinite(starts), spent, np.inf)}
    errors = {
        name: values[1:].std(ddof=1) if np.isfinite(values).all() else np.nan
        for name, values in found.items()
    }
    return with_errors(
        {name: Measure(float(found[name][0]), float(error), r) for name, error in errors.items()}
    )


BEGUN = ["start", "method", "R", "at_best", "collapsed", "equivalent"]


def beginnings(results: Results) -> pd.DataFrame:
    """By start and optimiser, over the data sets that are fitted from each: where the fits end.

    at_best: certified at the best maximum known. collapsed: on a point, or at a maximum without
    evidence. equivalent: passes, the start's own apart.
    """
    fits = judged(results, results.beginnings)
    fits["spent"] = equivalent_passes(fits)
    rows = []
    for start in STARTS:
        for method in (m for m in METHODS if (fits["method"] == m).any()):
            part = fits[(fits["start"] == start) & (fits["method"] == method)]
            of = {
                "at_best": measures.proportion(part["verdict"].isin(GOOD).to_numpy(float)),
                "collapsed": measures.proportion(part["verdict"].isin(LOST).to_numpy(float)),
                "equivalent": measures.mean(part["spent"].to_numpy(float)),
            }
            rows.append({"start": start, "method": method} | with_errors(of, len(part)))
    return table_of(rows, BEGUN)


LOST = ("singular", "spurious", "failed")


def from_starts(results: Results) -> Figure:
    """The share of fits at the best maximum, a row an optimiser, a look a start."""
    table = beginnings(results)
    table = table[table["R"] > 0]
    if table.empty:
        return nothing("No fit from several starts is there.")
    methods = list(dict.fromkeys(table["method"]))
    figure = Figure(figsize=(SINGLE, 0.9 + 0.3 * len(methods)))
    axes = figure.subplots()
    for place, start in enumerate(STARTS):
        own = table[table["start"] == start].set_index("method").reindex(methods)
        value = own["at_best"].to_numpy(float)
        ends = np.stack([value - own["at_best_low"], own["at_best_high"] - value])
        axes.errorbar(
            value,
            dodged(np.arange(len(methods), dtype=float), place, len(STARTS), 0.55),
            xerr=np.maximum(np.nan_to_num(ends), 0.0),
            **START_LOOKS[start].points,
            elinewidth=0.7,
            label=start,
        )
    for edge in range(1, len(methods)):
        axes.axhline(edge - 0.5, color="0.92", lw=0.5, zorder=0)
    axes.set_yticks(range(len(methods)), [METHODS[m].label for m in methods])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(methods) - 0.5, -0.5)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel("Fits at the best maximum known")
    return figure


def starts_found(results: Results) -> str:
    """What of the ends is the shared start's doing, by method."""
    table = beginnings(results).dropna(subset=["at_best"])
    if table.empty:
        return ""
    # All methods see the same data sets, so that the mean over them has no less error than one.
    by = table.groupby("start", sort=False)[["at_best", "at_best_mcse", "R"]].mean()
    if len(by) < 2:
        return ""
    said = [
        f"{start} {per_cent(Measure(*row))}"
        for start, row in zip(by.index, by.to_numpy(), strict=True)
    ]
    return (
        f"Fits that end at the best maximum, by start, in the mean of {table['method'].nunique()} "
        f"optimisers: {', '.join(said)}."
    )


TABLES: tuple[Table, ...] = (
    tabular("starts", "Starts needed", "Optimisation", starts, not_followed),
    tabular("beginnings", "Starts and methods", "Optimisation", beginnings, no_starts),
)
FIGURES: tuple[Drawing, ...] = (
    drawing(
        "beginnings-ends", "Starts and methods", "Optimisation", from_starts, no_starts,
        finding=starts_found,
    ),
)  # fmt: skip
