"""Verdicts of a study's fits: which reached the best maximum that is known of, and which did not.

The best of a data set is over all methods, and over the many starts of those replicates that are
followed closely (starts.py).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from models import METHODS
from models.inference.certificate import NOWHERE
from models.methods import OPTIMISERS, SAMPLERS
from models.verdicts import GOOD, VERDICTS, judge
from study.report import measures
from study.report.exhibit import Drawing, Table, tabular
from study.report.grid import groups
from study.report.style import DOUBLE, VERDICT_FILLS, drawing
from study.report.table import POINT_ESTIMATORS, sorted_rows, table_of, with_errors
from study.rows import DATA_SET, USABLE, Results


def with_verdict(results: Results) -> pd.DataFrame:
    """fits with `behind`, nats behind the best of the data set, and `verdict`.

    Only maxima of the likelihood that are believable set the best; an end that is not believable,
    or where a component has vanished, has no `behind`.
    """
    fits = results.fits.merge(best(results), on=DATA_SET, how="left")
    draws = fits["method"].isin(SAMPLERS)
    # Differences at the level of rounding of a sum of n terms are no differences.
    rounding = 1e-13 * fits["best"].abs()
    behind = (fits["best"] - fits["loglik"]).where(_maxima(fits))
    fits["behind"] = behind.where(behind.isna() | (behind > rounding), 0.0)
    certified = fits["certified"].fillna(False).to_numpy(bool)
    behind = fits["behind"].fillna(0.0)
    place = fits["place"].fillna("interior")
    fits["verdict"] = judge(fits["status"], draws, certified, _trusted(fits), behind, place)
    return fits.drop(columns="best")


def best(results: Results) -> pd.Series[float]:
    """`best` by data set: the highest log-likelihood of its fits' maxima and from many starts."""
    ends = pd.concat([results.fits[_maxima(results.fits)], results.optima])
    return ends.groupby(DATA_SET)["loglik"].max().rename("best")


def _trusted(fits: pd.DataFrame) -> NDArray[np.bool_]:
    return (fits["believable"] & fits["distance"].notna()).to_numpy(bool)


def _maxima(fits: pd.DataFrame) -> NDArray[np.bool_]:
    alive = fits["status"].isin(USABLE) & fits["method"].isin(OPTIMISERS)
    alive &= ~fits["place"].isin(NOWHERE)
    return alive.to_numpy(bool) & _trusted(fits)


def verdicts(results: Results) -> pd.DataFrame:
    """How many fits came to each verdict, by scenario and method, zeros included."""
    fits = with_verdict(results)
    rows = []
    for (scenario, method), group in fits.groupby(["scenario", "method"], sort=False):
        verdict = group["verdict"].to_numpy()
        found = {name: measures.count((verdict == name).astype(float)) for name in VERDICTS[::-1]}
        good = np.isin(verdict, GOOD)
        found["share_good"] = measures.proportion(good.astype(float))
        rows.append({"scenario": scenario, "method": method} | with_errors(found, len(group)))
    columns = ["scenario", "method", "R", *VERDICTS[::-1], "share_good"]
    return sorted_rows(results, table_of(rows, columns))


def claims(results: Results) -> pd.DataFrame:
    """Every scenario and method that says converged of fits whose verdict says otherwise.

    And how far off these were: in standard errors, and in nats behind the best. Optimisers only.
    """
    fits = with_verdict(results)
    said_so = fits[
        fits["method"].isin(POINT_ESTIMATORS) & fits["converged"].fillna(False).astype(bool)
    ]
    wrong = said_so[~said_so["verdict"].isin(GOOD)]
    rows = []
    for (scenario, method, verdict), group in wrong.groupby(["scenario", "method", "verdict"]):
        said = int(((said_so["scenario"] == scenario) & (said_so["method"] == method)).sum())
        events = (np.arange(said) < len(group)).astype(float)
        found = {
            "wrong": measures.count(events),
            "share": measures.proportion(events),
            "median_distance": measures.median(group["distance"].to_numpy(float)),
            "median_behind": measures.median(group["behind"].to_numpy(float)),
        }
        key = {"scenario": scenario, "method": method, "verdict": verdict}
        rows.append(key | with_errors(found, said))
    columns = ["scenario", "method", "verdict", "R", "wrong", "share"]
    return sorted_rows(results, table_of(rows, columns))


def verdict_shares(results: Results) -> Figure:
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
    return figure


def _shares_of_verdicts(axes: Axes, fits: pd.DataFrame, methods: list[str]) -> None:
    counts = fits.groupby("method")["verdict"].value_counts(normalize=True).unstack(fill_value=0)
    places = np.arange(len(methods))
    left = np.zeros(len(methods))
    for verdict in VERDICT_FILLS:
        share = np.array([counts.get(verdict, pd.Series()).get(m, 0.0) for m in methods])
        if share.any():
            look = VERDICT_FILLS[verdict] | {"edgecolor": "black", "linewidth": 0.3}
            axes.barh(places, share, 0.75, left, label=verdict, **look)
        left += share
    axes.set_yticks(places, [METHODS[m].label for m in methods])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(methods) - 0.5, -0.5)
    axes.set_xlim(0.0, 1.0)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))


TABLES: tuple[Table, ...] = (
    tabular("verdicts", "Verdicts", "Optimisation", verdicts),
    tabular(
        "claims",
        "Convergence claimed and not certified",
        "Optimisation",
        claims,
        none="Every claim of convergence was right.",
    ),
)
FIGURES: tuple[Drawing, ...] = (
    drawing("verdict-shares", "Verdicts", "Optimisation", verdict_shares),
)
