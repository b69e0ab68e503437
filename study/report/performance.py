"""Performance of estimates and intervals over replicates: the long tables that others are cut from.

A row a measure, with its Monte Carlo standard error and the number R of replicates behind it. cases
tells which replicates those are: "own", where the method has what the measure needs, or, of
coverage, every one that the design asks for, and an interval that is missing does not hold the
truth; "complete", the same of the data sets of which every method that fitted one has a usable
estimate; "given", the intervals that are there (coverage alone). The last two are given where they
differ. A method without a usable fit has rows as the others, with R = 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models import METHODS
from models.mixture import Floats
from study.report import measures
from study.report.measures import Measure
from study.report.table import sorted_rows
from study.rows import (
    FIT,
    INTERVAL_KINDS,
    PARAMETERS,
    USABLE,
    Results,
    arranged,
    estimated,
    target_of,
    usable,
)

PARAMETER = ["scenario", "parameter", "component"]
INTERVAL = ["scenario", "quantity", "kind", "method"]
MEASURED = ["cases", "measure", "value", "mcse", "R"]
SHARES = ("coverage", "bias_eliminated_coverage")
COUNTS = ("not_believable",)
LOSSES = ("hellinger", "kullback_leibler", "wasserstein")


def performance(results: Results) -> pd.DataFrame:
    """`performance_of` all scenarios."""
    return performance_of(results, tuple(results.scenario_order))


@cache
def performance_of(results: Results, scenarios: tuple[str, ...]) -> pd.DataFrame:
    """By scenario, parameter, component and method: every measure of estimates and intervals.

    Made once for the same results; not to be changed by who asks for it. bound: Cramer and Rao's,
    where the model holds. relative_precision is against `reference`. The last
    weight, one minus the others, is left out.
    """
    rows = usable(results).dropna(subset=["truth"])
    rows = rows[rows["scenario"].isin(scenarios)]
    fits = results.fits[results.fits["scenario"].isin(scenarios)]
    complete, base = _complete(results), reference(results)
    asked = {"own": _sizes(fits), "complete": _sizes(fits[_within(fits, complete)])}
    bounds = results.targets.set_index(PARAMETER)["bound"]
    own = dict(list(rows.groupby(PARAMETER, sort=False)))
    found: list[dict[str, Any]] = []
    for place, truth in _places(results, rows, scenarios).items():
        here = own.get(place, rows.iloc[:0])
        key = dict(zip(PARAMETER, place, strict=True)) | {"truth": truth}
        methods = asked["own"][place[0]]
        failed = len(here) < sum(methods.values())
        for cases in ("own", "complete") if failed else ("own",):
            part = here if cases == "own" else here[_within(here, complete)]
            by_method = dict(list(part.groupby("method", sort=False)))
            others = by_method.get(base, part.iloc[:0]).set_index("replicate")["estimate"]
            for method in methods:
                group = by_method.get(method, part.iloc[:0])
                r = asked[cases].get(place[0], {}).get(method, 0)
                paired = others.reindex(group["replicate"]).to_numpy() if method != base else None
                by_name = _of_parameter(group, truth, r, bounds.get(place, np.nan), paired)
                found += _long(key | {"method": method, "cases": cases}, by_name)
                ends = group["lower"].to_numpy(float), group["upper"].to_numpy(float)
                if cases == "own" and measures.given(*ends) < r:
                    there = measures.coverage_given(*ends, truth)
                    found += _long(key | {"method": method, "cases": "given"}, {"coverage": there})
    columns = [*PARAMETER, "method", "truth", *MEASURED]
    return sorted_rows(results, pd.DataFrame(found, columns=columns))


def _sizes(fits: pd.DataFrame) -> dict[str, dict[str, int]]:
    """By scenario and method: the number of fits."""
    found: dict[str, dict[str, int]] = {}
    for scenario, own in fits.groupby("scenario", sort=False)["method"]:
        found[str(scenario)] = {m: int((own == m).sum()) for m in own.unique()}
    return found


type _Place = tuple[str, str, int]


def _places(results: Results, rows: pd.DataFrame, scenarios: Iterable[str]) -> dict[_Place, float]:
    """By scenario, parameter and component of all that the scenarios' fits estimate: the truth.

    By the targets too, for a scenario without a usable fit.
    """
    fitted = set(scenarios) & set(results.fits["scenario"])
    targets = results.targets[results.targets["scenario"].isin(fitted)]
    known = targets[[*PARAMETER, "target"]].rename(columns={"target": "truth"})
    both = pd.concat([rows[[*PARAMETER, "truth"]], known[_free(results, known)]])
    both = both.drop_duplicates(PARAMETER)
    last = both.groupby("scenario")["component"].transform("max")
    kept = both[(both["parameter"] != "weight") | (both["component"] < last) | (last == 1)]
    return {(s, p, c): t for s, p, c, t in kept[[*PARAMETER, "truth"]].to_numpy()}


def _free(results: Results, targets: pd.DataFrame) -> NDArray[np.bool_]:
    """Which of the targets' rows are of a parameter that the scenario's fits estimate."""
    free = {str(name): _of_targets(results, str(name)) for name in targets["scenario"].unique()}
    places = zip(*(targets[name] for name in PARAMETER), strict=True)
    return np.array(
        [p in PARAMETERS and free[s][PARAMETERS.index(p), c - 1] for s, p, c in places], dtype=bool
    )


def _of_targets(results: Results, scenario: str) -> NDArray[np.bool_]:
    """(3, K): which of a scenario's targets its model estimates."""
    model = results.design.scenario(scenario).model.build()
    return estimated(arranged(model, target_of(results, scenario)) if model.partly_known else model)


def _of_parameter(
    group: pd.DataFrame, truth: float, asked: int, bound: float, paired: Floats | None
) -> dict[str, Measure]:
    estimate, se, lower, upper = (
        group[name].to_numpy(float) for name in ("estimate", "se", "lower", "upper")
    )
    found = {
        "bias": measures.bias(estimate, truth),
        "median_error": measures.median_error(estimate, truth),
        "relative_bias": measures.relative_bias(estimate, truth),
        "empirical_se": measures.empirical_se(estimate),
        "mse": measures.mse(estimate, truth),
        "rmse": measures.rmse(estimate, truth),
        "largest_share": measures.largest_share(estimate, truth),
        "model_se": measures.model_se(se),
        "model_se_error": measures.relative_error_of_model_se(estimate, se),
        "coverage": measures.coverage(lower, upper, truth, asked),
        "bias_eliminated_coverage": measures.bias_eliminated_coverage(
            lower, upper, estimate, asked
        ),
        "interval_width": measures.interval_width(lower, upper),
        "median_width": measures.median_width(lower, upper),
        "not_believable": measures.count(~group["believable"].to_numpy(bool)),
    }
    if np.isfinite(bound):
        found["bound"] = Measure(bound, 0.0, found["empirical_se"].r)
        found["efficiency"] = measures.efficiency(estimate, bound)
    if paired is not None:
        found["relative_precision"] = measures.relative_precision(estimate, paired)
    return found


def _long(key: dict[str, Any], by_name: dict[str, Measure]) -> Iterator[dict[str, Any]]:
    for name, (value, mcse, r) in by_name.items():
        yield key | {"measure": name, "value": value, "mcse": mcse, "R": r}


def reference(results: Results) -> str:
    """The method that relative precision is against: Newton, or else the first optimiser."""
    present = [m for m in METHODS if (results.fits["method"] == m).any()]
    return "newton" if "newton" in present else next(iter(present), "")


def _complete(results: Results) -> pd.DataFrame:
    """scenario and replicate of the data sets of which every fit is usable."""
    good = results.fits["status"].isin(USABLE)
    every = good.groupby([results.fits["scenario"], results.fits["replicate"]]).all()
    return every[every].index.to_frame(index=False)


def _within(rows: pd.DataFrame, kept: pd.DataFrame) -> NDArray[np.bool_]:
    names = ["scenario", "replicate"]
    return pd.MultiIndex.from_frame(rows[names]).isin(pd.MultiIndex.from_frame(kept[names]))


@cache
def intervals(results: Results) -> pd.DataFrame:
    """By scenario, quantity, kind of interval and method: coverage, width, error of the SEs."""
    rows = results.intervals.dropna(subset=["truth"])
    asked = _asked_for_intervals(results)
    found: list[dict[str, Any]] = []
    for place, group in rows.groupby(INTERVAL, sort=False):
        truth = float(group["truth"].iloc[0])
        key: dict[str, Any] = dict(zip(INTERVAL, place, strict=True))
        r = max(asked.get((key["scenario"], key["method"]), 0), len(group))
        key |= {"truth": truth, "cases": "own"}
        estimate, se, lower, upper = (
            group[name].to_numpy(float) for name in ("estimate", "se", "lower", "upper")
        )
        by_name: dict[str, Measure] = {
            "coverage": measures.coverage(lower, upper, truth, r),
            "bias_eliminated_coverage": measures.bias_eliminated_coverage(
                lower, upper, estimate, r
            ),
            "interval_width": measures.interval_width(lower, upper),
            "median_width": measures.median_width(lower, upper),
        }
        if np.isfinite(se).any():
            by_name["model_se_error"] = measures.relative_error_of_model_se(estimate, se)
        found += _long(key, by_name)
        if measures.given(lower, upper) < r:
            there = measures.coverage_given(lower, upper, truth)
            found += _long(key | {"cases": "given"}, {"coverage": there})
    table = pd.DataFrame(found, columns=[*INTERVAL, "truth", *MEASURED])
    places = {
        "scenario": results.scenario_order,
        "quantity": list(dict.fromkeys(rows["quantity"])),
        "kind": list(INTERVAL_KINDS),
        "method": list(METHODS),
    }
    by = {name: {value: i for i, value in enumerate(values)} for name, values in places.items()}
    ordered = table.sort_values(
        list(by), key=lambda column: column.map(by[str(column.name)]), kind="stable"
    )
    return ordered.reset_index(drop=True)


def _asked_for_intervals(results: Results) -> dict[tuple[str, str], int]:
    """By scenario and method: how many fits were to have intervals of every kind."""
    found: dict[tuple[str, str], int] = {}
    for key, replicates in results.fits.groupby(["scenario", "method"])["replicate"]:
        scenario, method = map(str, key)
        wanted = results.design.intervals_of(results.design.scenario(scenario))
        if method in wanted.methods:
            found[scenario, method] = int((replicates < wanted.replicates).sum())
    return found


@cache
def losses(results: Results) -> pd.DataFrame:
    """By scenario and method: the mean of each of LOSSES; long."""
    found: list[dict[str, Any]] = []
    kept = results.losses.merge(results.fits.loc[results.fits["status"].isin(USABLE), FIT], on=FIT)
    complete = _complete(results)
    for scenario, asked in results.losses.groupby("scenario", sort=False):
        here = kept[kept["scenario"] == scenario]
        failed = len(here) < len(asked)
        for cases in ("own", "complete") if failed else ("own",):
            part = here if cases == "own" else here[_within(here, complete)]
            for method in asked["method"].unique():
                group = part[part["method"] == method]
                key = {"scenario": scenario, "method": method, "cases": cases}
                by_name = {name: measures.mean(group[name].to_numpy()) for name in LOSSES}
                found += _long(key, by_name)
    return sorted_rows(results, pd.DataFrame(found, columns=["scenario", "method", *MEASURED]))


def wide(long: pd.DataFrame, names: list[str], cases: str = "own") -> pd.DataFrame:
    """A column a measure of these names, its Monte Carlo error in NAME_mcse, its R in R_NAME.

    Of shares the ends of Wilson's 95% interval as well, NAME_low and NAME_high.
    """
    part = long[(long["cases"] == cases) & long["measure"].isin(names)].drop(columns="cases")
    keys = [c for c in part.columns if c not in ("measure", "value", "mcse", "R")]
    table = part[keys].drop_duplicates()
    for name in names:
        own = part[part["measure"] == name].drop(columns="measure")
        if name in SHARES:
            share, r = own["value"].to_numpy(float), own["R"].to_numpy(float)
            own[f"{name}_low"], own[f"{name}_high"] = measures.wilson(share, r)
        if name in COUNTS:
            own["value"] = own["value"].astype("Int64")
        own = own.rename(columns={"value": name, "mcse": f"{name}_mcse", "R": f"R_{name}"})
        table = table.merge(own.astype({f"R_{name}": "Int64"}), on=keys, how="left")
    return table


def with_one_r(table: pd.DataFrame) -> pd.DataFrame:
    """A wide table with the R of its first measure as R, and R_NAME where a measure has another."""
    counts = [c for c in table.columns if str(c).startswith("R_")]
    if not counts:
        return table
    first = table[counts[0]]
    same = [c for c in counts if (table[c].isna() | (table[c] == first)).all()]
    found = table.drop(columns=[*same, counts[0]], errors="ignore")
    found.insert(list(found.columns).index(counts[0].removeprefix("R_")), "R", first)
    return found


def with_given(long: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """The table with coverage by the intervals that are there, where there are not all.

    In columns given_coverage and given_R, with the ends and errors of the former.
    """
    given = with_one_r(wide(long, ["coverage"], "given"))
    given = given.rename(columns=lambda c: f"given_{c}" if "coverage" in c or c == "R" else c)
    keys = [c for c in given.columns if not c.startswith("given_")]
    return table.merge(given, on=keys, how="left")


# Everything of a kind in one long table, a number a row: CSV alone, for machines.
LONG: dict[str, Callable[[Results], pd.DataFrame]] = {
    "measures-estimates": performance,
    "measures-intervals": intervals,
    "measures-losses": losses,
}
