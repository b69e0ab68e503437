"""Verdicts of a study's fits: which reached the best maximum that is known of, and which did not.

The best of a data set is over all methods, and over the many starts of those replicates that are
followed closely (starts.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from models import METHODS
from models.verdicts import VERDICTS, judge
from study.report import measures
from study.report.exhibit import Drawing, Exhibit, Table
from study.report.grid import groups
from study.report.style import (
    DOUBLE,
    legend_above,
    styled,
)
from study.report.table import sorted_rows
from study.rows import (
    DATA_SET,
    Results,
)


def with_verdict(results: Results) -> pd.DataFrame:
    """fits with `behind`, nats behind the best of the data set, and `verdict`.

    Only maxima of the likelihood that are believable set the best; an end that is not believable
    has no `behind`.
    """
    fits = results.fits.copy()
    fits["kind"] = fits["method"].map({name: method.kind for name, method in METHODS.items()})
    trusted = (fits["believable"] & fits["distance"].notna()).to_numpy(bool)
    alive = fits["status"].isin(["ok", "not-converged"])
    certified = fits["certified"].fillna(False).to_numpy(bool)
    maxima = (fits["kind"] == "likelihood") & alive & trusted
    ends = pd.concat(
        [fits.loc[maxima, [*DATA_SET, "loglik"]], results.optima[[*DATA_SET, "loglik"]]]
    )
    best = ends.groupby(DATA_SET)["loglik"].max().rename("best")
    fits = fits.merge(best, on=DATA_SET, how="left")
    # Differences at the level of rounding of a sum of n terms are no differences.
    rounding = 1e-13 * fits["best"].abs()
    behind = (fits["best"] - fits["loglik"]).where(maxima.to_numpy())
    fits["behind"] = behind.where(behind.isna() | (behind > rounding), 0.0)
    fits["verdict"] = judge(
        fits["status"], fits["kind"], certified, trusted, fits["behind"].fillna(0.0)
    )
    return fits.drop(columns=["kind", "best"])


def verdicts(results: Results) -> pd.DataFrame:
    """How many fits came to each verdict, by scenario and method, zeros included."""
    fits = with_verdict(results)
    rows: list[dict[str, object]] = []
    for (scenario, method), group in fits.groupby(["scenario", "method"], sort=False):
        verdict = group["verdict"].to_numpy()
        found = {name: measures.count((verdict == name).astype(float)) for name in VERDICTS[::-1]}
        good = np.isin(verdict, ["certified", "sampled"])
        found["share_good"] = measures.proportion(good.astype(float))
        rows.append({"scenario": scenario, "method": method, "R": len(group)})
        for name, measure in found.items():
            rows[-1] |= {name: measure.value, f"{name}_mcse": measure.mcse}
    columns = None if rows else ["scenario", "method", "R", *VERDICTS[::-1], "share_good"]
    return sorted_rows(results, pd.DataFrame(rows, columns=columns))


def claims(results: Results) -> pd.DataFrame:
    """Every scenario and method that says converged of fits whose verdict says otherwise.

    And how far off these were: in standard errors, and in nats behind the best. Optimisers only.
    """
    fits = with_verdict(results)
    optimisers = [name for name, method in METHODS.items() if method.kind != "posterior"]
    said_so = fits[fits["method"].isin(optimisers) & fits["converged"].fillna(False).astype(bool)]
    wrong = said_so[said_so["verdict"].to_numpy() != "certified"]
    rows = []
    for (scenario, method, verdict), group in wrong.groupby(["scenario", "method", "verdict"]):
        said = int(((said_so["scenario"] == scenario) & (said_so["method"] == method)).sum())
        events = (np.arange(said) < len(group)).astype(float)
        share, number = measures.proportion(events), measures.count(events)
        rows.append(
            {
                "scenario": scenario,
                "method": method,
                "verdict": verdict,
                "R": said,
                "wrong": number.value,
                "wrong_mcse": number.mcse,
                "share": share.value,
                "share_mcse": share.mcse,
            }
        )
        for name in ("distance", "behind"):
            middle = measures.median(group[name].to_numpy(float))
            rows[-1] |= {f"median_{name}": middle.value, f"median_{name}_mcse": middle.mcse}
    columns = ["scenario", "method", "verdict", "R", "wrong", "share", "share_mcse"]
    return sorted_rows(results, pd.DataFrame(rows, columns=None if rows else columns))


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


TABLES: tuple[Table, ...] = (
    Exhibit("verdicts", "Verdicts", "Optimisation", verdicts),
    Exhibit("claims", "Convergence claimed and not certified", "Optimisation", claims),
)
FIGURES: tuple[Drawing, ...] = (
    Exhibit("verdict-shares", "Verdicts", "Optimisation", styled(verdict_shares)),
)
