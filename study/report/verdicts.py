"""Verdicts of a study's fits: which reached the best maximum that is known of, and which did not.

The best of a data set is over all methods, and over the many starts of those replicates that are
followed closely (starts.py).
"""

from __future__ import annotations

from functools import cache
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models import METHODS
from models.inference.certificate import CERTIFIED_DISTANCE, NOWHERE
from models.methods import OPTIMISERS, SAMPLERS
from models.verdicts import GOOD, NARROW, SAME, VERDICTS, judge
from study.report import measures
from study.report.exhibit import Drawing, Table, tabular
from study.report.reasons import no_pairs
from study.report.table import POINT_ESTIMATORS, sorted_rows, table_of, with_errors
from study.rows import DATA_SET, FIT, USABLE, Results, equivalent_passes


class Thresholds(NamedTuple):
    """What verdicts hang on: standard errors that a certified end is within, nats between maxima
    that are not the same, and the ratio of sds below which a component needs evidence."""

    distance: float = CERTIFIED_DISTANCE
    same: float = SAME
    narrow: float = NARROW


AS_THEY_ARE = Thresholds()


@cache
def with_verdict(results: Results, at: Thresholds = AS_THEY_ARE) -> pd.DataFrame:
    """fits with `behind`, nats behind the best of the data set, and `verdict`; not to be changed.

    Only maxima of the likelihood that are believable set the best; an end that is not believable,
    or where a component has vanished, has no `behind`.
    """
    return judged(results, results.fits, at)


def judged(results: Results, fits: pd.DataFrame, at: Thresholds = AS_THEY_ARE) -> pd.DataFrame:
    """`with_verdict` of rows that are as those of fits, by other thresholds too.

    Ends that are certified beyond the distance are so to rounding, at any threshold. Of narrow
    components the rows do not hold the evidence, so that only a smaller ratio can be tried.
    """
    fits = fits.merge(best(results), on=DATA_SET, how="left")
    if at.narrow < NARROW:
        fits["believable"] |= (fits["sd_ratio"] >= at.narrow) & (fits["status"] == "ok")
    draws = fits["method"].isin(SAMPLERS)
    # Differences at the level of rounding of a sum of n terms are no differences.
    rounding = 1e-13 * fits["best"].abs()
    behind = (fits["best"] - fits["loglik"]).where(_maxima(fits))
    fits["behind"] = behind.where(behind.isna() | (behind > rounding), 0.0)
    certified = fits["certified"].fillna(False).to_numpy(bool)
    if at.distance != CERTIFIED_DISTANCE:
        by_rounding = certified & (fits["distance"] > CERTIFIED_DISTANCE).to_numpy(bool)
        regular = ~fits["place"].isin(NOWHERE) & fits["distance"].notna()
        certified = by_rounding | (regular & (fits["distance"] <= at.distance)).to_numpy(bool)
    behind = fits["behind"].fillna(0.0) * (SAME / at.same)
    place = fits["place"].fillna("interior")
    fits["verdict"] = judge(fits["status"], draws, certified, _trusted(fits), behind, place)
    return fits.drop(columns="best")


@cache
def best(results: Results) -> pd.Series[float]:
    """`best` by data set: the highest log-likelihood of its fits' maxima and from other starts."""
    fits = [rows[_maxima(rows)] for rows in (results.fits, results.beginnings)]
    ends = pd.concat([*fits, results.optima])
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


def thresholds(results: Results) -> pd.DataFrame:
    """Share of the simulated fits that end certified at the best maximum, by optimiser, with each
    threshold of the verdicts as it is, at a tenth and at ten times."""
    simulated = [scenario.name for scenario in results.design.all_scenarios()]
    rows = []
    for name, words in WORDS.items():
        for factor, times in ((0.1, "a tenth"), (1.0, "as it is"), (10.0, "ten times")):
            value = factor * getattr(AS_THEY_ARE, name)
            if name == "narrow" and factor > 1.0:
                continue
            fits = with_verdict(results, AS_THEY_ARE._replace(**{name: value}))
            fits = fits[fits["scenario"].isin(simulated)]
            good = fits["verdict"].isin(GOOD).groupby(fits["method"])
            of = {
                m.replace("-", "_"): measures.proportion(good.get_group(m).to_numpy(float))
                for m in OPTIMISERS
                if m in good.groups
            }
            if of:
                row: dict[str, Any] = {"threshold": words, "at": times}
                row |= with_errors(of, next(iter(of.values())).r)
                rows.append(row | {f"R_{m}": share.r for m, share in of.items()})
    return table_of(rows, ["threshold", "at", "R"])


WORDS = {
    "distance": "certified within 0.0001 standard errors",
    "same": "another maximum beyond a millionth of a nat",
    "narrow": "narrow below 0.1, ratio of sds",
}
PAIRED = ["method", "against", "R", "difference", "only_this", "only_other", "passes", "seconds"]


def paired(results: Results) -> pd.DataFrame:
    """Every two optimisers on the simulated data sets that both have: this one less the other.

    difference: of the shares that end certified at the best maximum, in points. only_this,
    only_other: data sets on which one of the two does. passes, seconds: logs to base 2 of the ratio
    of equivalent passes and of seconds, where both are usable, means: 1 is twice as many.
    """
    simulated = [scenario.name for scenario in results.design.all_scenarios()]
    fits = with_verdict(results)
    fits = fits[fits["scenario"].isin(simulated) & fits["method"].isin(OPTIMISERS)]
    fits = fits.merge(results.timings[[*FIT, "seconds"]], on=FIT, how="left")
    fits["good"] = fits["verdict"].isin(GOOD).astype(float)
    ended = fits["status"].isin(USABLE)
    fits["spent"] = np.log2(equivalent_passes(fits).clip(lower=1.0)).where(ended)
    fits["seconds"] = np.log2(fits["seconds"]).where(ended)
    wide = {name: fits.pivot(index=DATA_SET, columns="method", values=name)
            for name in ("good", "spent", "seconds")}  # fmt: skip
    present = [m for m in OPTIMISERS if m in wide["good"]]
    rows = []
    for method, other in combinations(present[::-1], 2):
        good = wide["good"][[method, other]].dropna()
        difference = 100.0 * (good[method] - good[other])
        of = {
            "difference": measures.mean(difference.to_numpy(float)),
            "only_this": measures.count((difference > 0).to_numpy(float)),
            "only_other": measures.count((difference < 0).to_numpy(float)),
        }
        for name, column in (("passes", "spent"), ("seconds", "seconds")):
            ratio = (wide[column][method] - wide[column][other]).reindex(good.index)
            of[name] = measures.mean(ratio.to_numpy(float))
        row = {"method": method, "against": other} | with_errors(of, len(good))
        rows.append(row | {"R_passes": of["passes"].r})
    return table_of(rows, PAIRED)


def paired_found(results: Results) -> str:
    """The largest of the differences, beside its Monte Carlo error, and of how many it is one."""
    table = paired(results)
    table = table[table["difference_mcse"] > 0] if len(table) else table
    if table.empty:
        return ""
    most = table.iloc[int(table["difference"].abs().to_numpy(float).argmax())]
    sign = "more" if most["difference"] > 0 else "less"
    return (
        f"On the {most['R']:,} data sets that both have {METHODS[most['method']].label} ends at "
        f"the best maximum {abs(most['difference']):.2g} points {sign} often than "
        f"{METHODS[most['against']].label} (Monte Carlo error {most['difference_mcse']:.2g}), the "
        f"largest of {len(table)} differences."
    )


TABLES: tuple[Table, ...] = (
    tabular("verdicts", "Verdicts", "Optimisation", verdicts),
    tabular(
        "claims",
        "Convergence claimed and not certified",
        "Optimisation",
        claims,
        none="Every claim of convergence was right.",
    ),
    tabular("thresholds", "Verdicts by other thresholds", "Optimisation", thresholds, no_pairs),
    tabular(
        "paired", "Optimisers against each other", "Optimisation", paired, no_pairs, timed=True,
        finding=paired_found,
    ),
)  # fmt: skip
FIGURES: tuple[Drawing, ...] = ()
