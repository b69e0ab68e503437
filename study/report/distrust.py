"""When to distrust a Wald interval, by what a reader of one fit can see, and a rule made of it.

The rule is chosen on the even replicates and judged on the odd ones, so that its performance is not
that of the data that it was chosen for.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.mixture import Floats
from study.report import measures
from study.report.exhibit import Drawing, Table, tabular
from study.report.held import NAMES, THREE, by_data_set, held, of_fits, pooled, worst
from study.report.measures import Share
from study.report.readers import with_error
from study.report.reasons import no_intervals, no_optimisers, no_simulation
from study.report.series import Z, nominal_level
from study.report.style import DOUBLE, FEW, INTERVAL_LOOKS, drawing, faded, nothing
from study.report.table import table_of, with_errors
from study.rows import DATA_SET, Results

NONE = "No fit of two components that a design simulates is usable."
APART = np.array([0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, np.inf])
RELATIVE = np.array([0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, np.inf])
CONDITION = np.array([1.0, 10.0, 100.0, 1000.0, np.inf])
# Of coverage, what a rule may lose.
SLACK = 0.01
WALD, PROFILE, POSTERIOR = THREE


def seen(results: Results) -> pd.DataFrame:
    """`of_fits` of the simulated scenarios with two components whose model holds, with the share of
    each data set's parameters that each of THREE covers, NaN where it was not asked for."""
    fits = of_fits(results)
    fits = fits[fits["scenario"].isin(_plain(results))]
    for kind in THREE:
        fits = fits.merge(by_data_set(held(results, kind)).rename(kind), on=DATA_SET, how="left")
    return fits


def _plain(results: Results) -> list[str]:
    """Scenarios of two free normal components, which are what is fitted."""
    found = []
    for scenario in results.design.all_scenarios():
        model = scenario.model
        free = model.k == 2 and model.build().exchangeable and not model.equal_sds
        plain = scenario.family == "normal" and not scenario.round_to
        if free and plain and len(scenario.weights) == 2:
            found.append(scenario.name)
    return found


def _bins(fits: pd.DataFrame) -> list[tuple[str, list[str], list[pd.Series[Any]]]]:
    """What can be seen, in words, with the names of its bins and which fits are in each."""
    found = []
    for name, column, edges in (
        ("relative error of an sd", "relative", RELATIVE),
        ("estimated separation", "apart", APART),
        ("condition number", "condition", CONDITION),
    ):
        names = [_between(a, b) for a, b in itertools.pairwise(edges)]
        masks = [(fits[column] >= a) & (fits[column] < b)
                 for a, b in itertools.pairwise(edges)]  # fmt: skip
        names, masks = [*names, "none"], [*masks, fits[column].isna()]
        found.append((name, names, masks))
    sides = [("closed", True), ("open", False)]
    masks = [fits["closed"].eq(value).fillna(False).astype(bool) for _, value in sides]
    found.append(("profile", [name for name, _ in sides], masks))
    return found


def _between(low: float, high: float) -> str:
    if np.isinf(high):
        return f"≥ {low:,g}"
    return f"{low:,g}–{high:,g}"


def distrust(results: Results) -> pd.DataFrame:
    """Coverage of all parameters by each of three intervals, by what is seen of a fit."""
    fits = seen(results)
    found = []
    for what, names, masks in _bins(fits):
        for name, mask in zip(names, masks, strict=True):
            part = fits[mask]
            of = {
                k.replace("-", "_"): Share(*measures.mean(part[k].to_numpy(float))) for k in THREE
            }
            if of["wald"].r:
                row: dict[str, Any] = {"seen": what, "value": name}
                row |= with_errors(of, of["wald"].r)
                found.append(
                    row | {"R_profile": of["profile"].r, "R_equal_tailed": of["equal_tailed"].r}
                )
    return table_of(found, ["seen", "value", "R", "wald", "profile", "equal_tailed"])


def figure(results: Results) -> Figure:
    """Coverage of three kinds of interval against what is seen of a fit."""
    fits = seen(results)
    if fits.empty or fits[WALD].isna().all():
        return nothing(NONE)
    made = Figure(figsize=(DOUBLE, 2.7))
    panels = made.subplots(1, 4, sharey=True, width_ratios=[9, 9, 5, 2.5])
    for axes, (what, names, masks) in zip(panels, _bins(fits), strict=True):
        if names[-1] == "none" and masks[-1].sum() < FEW:
            names, masks = names[:-1], masks[:-1]
        nominal_level(axes, results.design.level, 0)
        _coverages(axes, [fits[mask] for mask in masks])
        axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
        axes.set_xlim(-0.6, len(names) - 0.4)
        axes.set_xlabel(f"{what[0].upper()}{what[1:]}")
    panels[0].set_ylabel("Coverage, all parameters")
    panels[0].set_ylim(top=1.02)
    return made


def _coverages(axes: Axes, parts: Sequence[pd.DataFrame]) -> None:
    """Points a bin and kind, faded where they are of few; lines join what is not."""
    for place, kind in enumerate(THREE):
        found = [measures.mean(part[kind].to_numpy(float)) for part in parts]
        look, shift = INTERVAL_LOOKS[kind], 0.18 * (place - 1)
        x = np.arange(len(parts)) + shift
        solid = np.array([faded(m.r) == 1.0 for m in found])
        value = np.array([m.value for m in found])
        axes.plot(x, np.where(solid, value, np.nan), **look.stroke, lw=0.7)
        for at, m in zip(x, found, strict=True):
            if m.r:
                axes.errorbar(
                    at, m.value, Z * np.nan_to_num(m.mcse), **look.points, elinewidth=0.7,
                    alpha=faded(m.r), label=NAMES[kind] if faded(m.r) == 1.0 else None,
                )  # fmt: skip


def threshold(fits: pd.DataFrame, kind: str, level: float) -> float:
    """The largest relative error of an sd up to which a kind of interval covers, by parts of fits.

    From the smallest on, in twentieths or in parts of 75, until those of one part cover less than
    the level by more than SLACK beyond 1.96 Monte Carlo errors; 0 if the first do.
    """
    known = fits.dropna(subset=["relative", kind])
    if known.empty:
        return 0.0
    parts = max(min(20, len(known) // 75), 1)
    edges = np.quantile(known["relative"], np.linspace(0.0, 1.0, parts + 1))
    edges[0], found = -np.inf, 0.0
    for low, high in itertools.pairwise(edges):
        part = known[(known["relative"] > low) & (known["relative"] <= high)]
        covered = measures.mean(part[kind].to_numpy(float))
        if covered.value + Z * np.nan_to_num(covered.mcse) < level - SLACK:
            break
        found = float(high)
    return found


def _rounded(value: float) -> float:
    """To two digits, downwards."""
    if not 0 < value < np.inf:
        return value
    unit = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(np.floor(value / unit) * unit)


class Limits(NamedTuple):
    """Relative errors of an sd up to which the rule takes Wald's and the profile's intervals."""

    wald: float
    profile: float


def chosen(results: Results) -> Limits:
    """On the even replicates; the profile's of those that it bounds on both sides."""
    fits, level = seen(results), results.design.level
    even = fits[fits["replicate"] % 2 == 0]
    wald = _rounded(threshold(even, WALD, level))
    profile = _rounded(threshold(even[even["closed"].eq(True)], PROFILE, level))
    return Limits(wald, max(wald, profile))


def advised(fits: pd.DataFrame, limits: Limits) -> Floats:
    """(fits,): 0, 1 or 2, the place in THREE of the interval that the rule takes."""
    well, better = ((fits["relative"] <= limit).to_numpy(bool) for limit in limits)
    closed = fits["closed"].eq(True).fillna(False).to_numpy(bool)
    return np.where(well, 0.0, np.where(better & closed, 1.0, 2.0))


RULE = "the rule"


def rule(results: Results) -> pd.DataFrame:
    """The rule and each interval alone, on the odd replicates that have all three.

    limit, limit_profile: of the largest relative standard error of an sd, up to which the rule
    takes Wald's and, where that is closed, the profile's; chosen on the even replicates.
    wald, profile, equal_tailed: how many data sets it takes each for. coverage: of all parameters.
    gain: the rule's coverage less this interval's on the same data sets, in points. width: over
    Wald's of the same parameter, median over data sets of medians; an open interval is wider than
    any.
    """
    fits = seen(results)
    limits = chosen(results)
    test = fits[(fits["replicate"] % 2 == 1)].dropna(subset=list(THREE)).reset_index(drop=True)
    if test.empty:
        return table_of([], RULES)
    ways = {NAMES[k]: np.full(len(test), float(i)) for i, k in enumerate(THREE)}
    ways = {RULE: advised(test, limits)} | ways
    by_kind = {kind: held(results, kind) for kind in THREE}
    covered = test[list(THREE)].to_numpy(float)
    own = covered[np.arange(len(test)), ways[RULE].astype(int)]
    found = []
    for name, way in ways.items():
        taken = [by_kind[k].merge(test.loc[way == i, DATA_SET], on=DATA_SET)
                  for i, k in enumerate(THREE)]  # fmt: skip
        rows = pd.concat(taken)
        each = covered[np.arange(len(test)), way.astype(int)]
        of = {
            "coverage": pooled(rows),
            "gain": measures.mean(100.0 * (own - each)),
            "worst": worst(rows)[1],
            "width": _width(results, rows),
        }
        of |= {
            k.replace("-", "_"): measures.count((way == i).astype(float))
            for i, k in enumerate(THREE)
        }
        row: dict[str, Any] = {
            "interval": name,
            "limit": limits.wald,
            "limit_profile": limits.profile,
        }
        found.append(row | with_errors(of, of["coverage"].r) | {"R_worst": of["worst"].r})
        found[-1]["R_width"] = of["width"].r
    return table_of(found, RULES)


RULES = ["interval", "limit", "limit_profile", "R", "coverage", "gain", "worst", "width"]


def _width(results: Results, rows: pd.DataFrame) -> measures.Measure:
    wald = held(results, WALD).set_index([*DATA_SET, "quantity"])["width"]
    keys = pd.MultiIndex.from_frame(rows[[*DATA_SET, "quantity"]])
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = pd.Series(rows["width"].to_numpy(float) / wald.reindex(keys).to_numpy(float))
    each = ratio.groupby([rows[c].to_numpy() for c in DATA_SET]).median()
    return measures.median_of_open(each.to_numpy(float))


def rule_found(results: Results) -> str:
    """What the rule covers on replicates that it was not chosen on, beside Wald alone."""
    table = rule(results)
    if table.empty:
        return ""
    own = table.iloc[0]
    others = [
        f"{name} {with_error(gain, error)}"
        for name, gain, error in table.iloc[1:][["interval", "gain", "gain_mcse"]].to_numpy()
    ]
    return (
        f"Wald if no sd has a standard error above {own['limit']:g} of it, else profile likelihood "
        f"if none is above {own['limit_profile']:g} and it is closed on both sides, else the "
        "posterior: together they held "
        f"{own['coverage']:.1%} ({100 * own['coverage_mcse']:.1f}) of the truths on {own['R']:,} "
        "data sets of the same scenarios on which the rule was not chosen. Its lead over each "
        f"alone on these, in points: {', '.join(others)}."
    )


def distrust_found(results: Results) -> str:
    """Coverage of Wald's intervals where the sds are known well and badly."""
    fits = seen(results)
    well = measures.mean(fits.loc[fits["relative"] < 0.1, WALD].to_numpy(float))
    ill = measures.mean(fits.loc[fits["relative"] >= 0.3, WALD].to_numpy(float))
    if not min(well.r, ill.r):
        return ""
    shares = [f"{100 * m.value:.1f}% ({100 * m.mcse:.1f}; R = {m.r:,})" for m in (well, ill)]
    return (
        f"Where every sd is known to a tenth Wald intervals hold {shares[0]} of the truths; where "
        f"one is known to three tenths or worse {shares[1]}, Monte Carlo errors in points."
    )


TABLES: tuple[Table, ...] = (
    tabular(
        "distrust", "When to distrust Wald", "Uncertainty", distrust, no_simulation, no_optimisers,
        none=NONE,
    ),
    tabular(
        "rule", "A rule for one fit, on held-out replicates", "At a glance", rule, no_intervals,
        none="No data set has intervals of all three kinds.", finding=rule_found,
    ),
)  # fmt: skip
FIGURES: tuple[Drawing, ...] = (
    drawing(
        "when-to-distrust", "When to distrust Wald", "Uncertainty", figure, no_simulation,
        no_optimisers, none=NONE, finding=distrust_found,
    ),
)  # fmt: skip
