"""Passes and seconds to a gap: performance profiles, descents, and where EM catches up."""

from __future__ import annotations

from collections.abc import Sequence

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
from study.report.measures import Measure
from study.report.reasons import no_grid, no_race, not_traced
from study.report.style import DOUBLE, LOOKS, drawing, nested_widths, nothing
from study.report.table import table_of, with_errors
from study.rows import DATA_SET, FIT, USABLE, Results, equivalent_passes, passes

NO_DESCENT = "No optimiser comes near the best log-likelihood on half of the data sets."
SHAPE = ["weight", "sd_ratio", "n"]  # of a cell, its separation apart


def costs(results: Results, target: float) -> pd.DataFrame:
    """By data set and method: passes and seconds to within `target` nats of the best; inf if never.

    seconds: the passes times the seconds a pass of the same method's untraced fit took.
    """
    rows = results.reaches[np.isclose(results.reaches["target"], target, rtol=1e-6)]
    fits = results.fits.merge(results.timings[[*FIT, "seconds"]], on=FIT)
    fits["a_pass"] = fits["seconds"] / passes(fits).clip(lower=1)
    costs = rows.merge(fits[[*FIT, "a_pass"]], on=FIT, how="left")
    costs["seconds"] = costs["passes"] * costs["a_pass"].fillna(np.inf)
    return costs[[*FIT, "passes", "seconds"]]


def profile(costs: pd.DataFrame, cost: str) -> pd.DataFrame:
    """Performance ratios (problems, methods): a method's cost over the least of the problem.

    Dolan and More (2002). Failures are inf; problems that no method solves are left out.
    """
    wide = costs.pivot_table(index=DATA_SET, columns="method", values=cost)
    wide = wide.reindex(columns=[m for m in METHODS if m in wide]).fillna(np.inf)
    best = wide.min(axis=1)
    solved = np.isfinite(best)
    return wide[solved].div(best[solved], axis=0)


def profiles(results: Results) -> pd.DataFrame:
    """`_profiles` by passes over the data."""
    return _profiles(results, "passes")


def profiles_in_seconds(results: Results) -> pd.DataFrame:
    """`_profiles` by seconds."""
    return _profiles(results, "seconds")


def _profiles(results: Results, cost: str) -> pd.DataFrame:
    """By target and method: the share of problems solved, solved at the least cost, and within
    2, 5 and 10 times of it."""
    found = []
    for target in (1e-2, 1e-6):
        ratios = profile(costs(results, target), cost)
        for method in ratios:
            own = ratios[method].to_numpy(float)
            within = {"best": own <= 1.0, "in_2": own <= 2.0, "in_5": own <= 5.0}
            within |= {"in_10": own <= 10.0, "solved": np.isfinite(own)}
            of = {name: measures.proportion(w.astype(float)) for name, w in within.items()}
            found.append({"target": target, "method": method} | with_errors(of, own.size))
    return table_of(found, ["target", "method", "R"])


def overtaking(results: Results) -> pd.DataFrame:
    """By shape of the mixture and n: the separation from which EM needs no more equivalent passes.

    Where the median over data sets of the log ratio of EM's passes to the method's, paired, falls
    through zero, linear between separations. -inf: EM needs no more at any; inf: at none.
    """
    fits = results.fits[results.fits["status"].isin(USABLE)]
    spent = fits.assign(passes=equivalent_passes(fits)).pivot(
        index=DATA_SET, columns="method", values="passes"
    )
    table = spent.reset_index().merge(cells(results.design), on="scenario")
    others = [m for m in OPTIMISERS if m in table and m != "em" and "em" in table]
    found = []
    for key, part in table.groupby(SHAPE):
        separations = np.sort(part["separation"].unique())
        for method in others:
            excess = np.log(part["em"] / part[method])
            medians = [measures.median(excess[part["separation"] == d]) for d in separations]
            at = {"separation": crossing(separations, medians)}
            row = dict(zip(SHAPE, key, strict=True)) | {"method": method}
            found.append(row | with_errors(at, at["separation"].r))
    return table_of(found, [*SHAPE, "method", "R", "separation"])


def crossing(x: Floats, y: Sequence[Measure]) -> Measure:
    """The last x where independent y fall through zero; MCSE by the delta method, R the least.

    inf if the last y is above zero, -inf if none is; no error then.
    """
    value, r = np.array([measure.value for measure in y]), min(measure.r for measure in y)
    above = np.flatnonzero(value > 0)
    if not above.size or above[-1] == x.size - 1:
        return Measure(np.inf if above.size else -np.inf, np.nan, r)
    i = above[-1]
    high, low, step = value[i], value[i + 1], x[i + 1] - x[i]
    slopes = step * np.array([-low, high]) / (high - low) ** 2
    error = np.hypot(*(slopes * [y[i].mcse, y[i + 1].mcse]))
    return Measure(float(x[i] + step * high / (high - low)), float(error), r)


def descent(results: Results) -> Figure:
    """Median passes, and seconds, to each gap to the best log-likelihood, by separation."""
    grid = cells(results.design)
    targets = np.sort(results.reaches["target"].unique())[::-1]
    reached = pd.concat([costs(results, t).assign(target=t) for t in targets])
    rows = reached.merge(grid, on="scenario")
    separations = sorted(grid["separation"].unique())
    figure = Figure(figsize=(DOUBLE, 3.6))
    panels = figure.subplots(2, len(separations), squeeze=False, sharey=True, sharex="row")
    methods = [m for m in METHODS if (rows["method"] == m).any()]
    medians = rows.groupby(["separation", "method", "target"])[["passes", "seconds"]].median()
    if not np.isfinite(medians.to_numpy(float)).any():
        return nothing(NO_DESCENT)
    for row, cost in zip(panels, ("passes", "seconds"), strict=True):
        for axes, d in zip(row, separations, strict=True):
            part = rows[rows["separation"] == d]
            for method, width in zip(methods, nested_widths(len(methods)), strict=True):
                own = part[part["method"] == method].groupby("target")[cost].median()
                own = own[np.isfinite(own)].sort_index(ascending=False)
                look = LOOKS[method]
                axes.plot(
                    own, own.index, **look.stroke, lw=width,
                    label=METHODS[method].label,
                )  # fmt: skip
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xlabel("Passes" if cost == "passes" else "Seconds")
            if cost == "passes":
                axes.set_title(f"separation {d:g}")
        row[0].set_ylabel("Gap (nats)")
    return figure


def profile_curves(results: Results) -> Figure:
    """Performance profiles on passes and seconds at two gaps, and data profiles on passes."""
    figure = Figure(figsize=(DOUBLE, 3.8))
    panels = figure.subplots(2, 3, sharey=True)
    for row, target, said in zip(panels, (1e-2, 1e-6), ("0.01", "1e−6"), strict=True):
        reached = costs(results, target)
        for axes, cost in zip(row[:2], ("passes", "seconds"), strict=True):
            _profile(axes, profile(reached, cost), (1.0, 100.0))
            axes.set_xlabel(f"{cost.capitalize()}, ratio to the least")
            axes.set_title(f"to {said} nats, {cost}")
        wide = reached.pivot_table(
            index=["scenario", "replicate"], columns="method", values="passes"
        ).fillna(np.inf)
        _profile(row[2], wide[[m for m in METHODS if m in wide]], (1.0, 10_000.0))
        row[2].set_xlabel("Passes")
        row[2].set_title(f"to {said} nats, within a budget")
        row[0].set_ylabel("Share of data sets")
    panels[0, 0].set_ylim(-0.02, 1.02)
    return figure


def _profile(axes: Axes, ratios: pd.DataFrame, ends: tuple[float, float]) -> None:
    for method, width in zip(ratios, nested_widths(ratios.shape[1]), strict=True):
        own = np.sort(ratios[method].to_numpy(float))
        own = own[np.isfinite(own)]
        x = np.concatenate([[ends[0]], own, [max(ends[1], own.max(initial=1.0))]])
        y = np.concatenate([[0.0], np.arange(1, own.size + 1), [own.size]]) / max(len(ratios), 1)
        look = LOOKS[str(method)]
        axes.step(
            x, y, where="post", **look.stroke, lw=width,
            label=METHODS[str(method)].label,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlim(*ends)


def descent_found(results: Results) -> str:
    """Median passes to a millionth of a nat where components are closest."""
    rows = costs(results, 1e-6).merge(cells(results.design), on="scenario")
    rows = rows[rows["separation"] == rows["separation"].min()]
    medians = rows.groupby("method")["passes"].median()
    shown = [m for m in OPTIMISERS if np.isfinite(medians.get(m, np.inf))]
    if not shown:
        return ""
    said = ", ".join(f"{METHODS[m].label} {medians[m]:,.0f}" for m in shown)
    d, sets = rows["separation"].iloc[0], rows[DATA_SET].drop_duplicates().shape[0]
    return (
        f"At separation {d:g} the median of {sets} runs comes within 1e-6 nats of the best in as "
        f"many passes: {said}."
    )


def profile_found(results: Results) -> str:
    """Which optimiser is cheapest most often, by passes and by seconds."""
    said = []
    for cost in ("passes", "seconds"):
        ratios = profile(costs(results, 1e-6), cost)
        if ratios.empty:
            return ""
        first = (ratios <= 1.0).mean()
        best = str(first.idxmax())
        share = measures.proportion((ratios[best] <= 1.0).to_numpy(float))
        error = f"({100 * share.mcse:.1f})"
        said.append(f"by {cost} {METHODS[best].label} on {100 * share.value:.1f}% {error}")
    return f"Cheapest to 1e-6 nats is {', '.join(said)} of {len(ratios)} data sets."


TABLES: tuple[Table, ...] = (
    tabular("overtaking", "Where EM catches up", "Optimisation", overtaking, no_grid, no_race),
    tabular("profiles", "Performance profiles", "Optimisation", profiles, not_traced),
    tabular(
        "profiles-seconds",
        "Performance profiles in seconds",
        "Cost",
        profiles_in_seconds,
        not_traced,
        timed=True,
    ),
)
FIGURES: tuple[Drawing, ...] = (
    drawing(
        "descent",
        "Gap by passes and seconds",
        "Optimisation",
        descent,
        no_grid,
        not_traced,
        none=NO_DESCENT,
        finding=descent_found,
    ),
    drawing(
        "profile",
        "Performance profiles",
        "Optimisation",
        profile_curves,
        not_traced,
        finding=profile_found,
    ),
)
