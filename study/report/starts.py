"""How many starts it takes to find the best maximum."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from models import METHODS
from models.mixture import Floats
from models.verdicts import SAME
from study.report import measures
from study.report.exhibit import Drawing, Table, tabular
from study.report.grid import group_looks, groups
from study.report.measures import Measure
from study.report.reasons import not_followed
from study.report.style import DOUBLE, LOOKS, drawing, log_ticks, nothing
from study.report.table import table_of, with_errors
from study.report.verdicts import best
from study.rows import DATA_SET, Results

RESAMPLES = 200  # of the bootstrap behind a Monte Carlo error
COUNTS = (1, 2, 5, 10, 20)  # starts
NO_MISS = "Every start reached the best maximum of its data set."


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


def many_starts(results: Results) -> Figure:
    """The probability of the best maximum against starts, and against passes, by group."""
    rows = hits(results)
    rows["group"] = rows["scenario"].map(groups(results.design))
    sets = rows.groupby(["group", "method", "scenario", "replicate"], sort=False)["hit"]
    counts = sets.agg(["sum", "size"]).reset_index()
    cost = rows.groupby(["group", "method"])["passes"].mean()
    hard = counts[counts["sum"] < counts["size"]]["group"].value_counts()
    chosen = sorted(g for g in hard.index[:6])
    if not chosen:
        return nothing(NO_MISS)
    methods = list(dict.fromkeys(counts["method"]))
    figure = Figure(figsize=(DOUBLE, 2.7))
    left, right = figure.subplots(1, 2, sharey=True)
    for group in chosen:
        color = group_looks(results.design)[group].color
        for method in methods:
            own = counts[(counts["group"] == group) & (counts["method"] == method)]
            most = int(own["size"].max())
            p = [
                np.mean([chance(h, of, s) for h, of in own[["sum", "size"]].to_numpy()])
                for s in range(1, most + 1)
            ]
            look = {"color": color, "ls": LOOKS[method].line}
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
    return figure


TABLES: tuple[Table, ...] = (
    tabular("starts", "Starts needed", "Optimisation", starts, not_followed),
)
FIGURES: tuple[Drawing, ...] = (
    drawing(
        "many-starts", "Starts needed", "Optimisation", many_starts, not_followed, none=NO_MISS
    ),
)
