"""Performance of estimates and intervals over replicates: the long tables that others are cut from.

A row a measure, with its Monte Carlo standard error and the number R of replicates behind it. cases
tells which replicates those are: "own", where the method has what the measure needs; "complete",
where every method that fitted the data set has a usable estimate; "all", every one, and an interval
that is missing does not hold the truth (coverage alone). The last two are given where they differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
from study.rows import FIT, INTERVAL_KINDS, USABLE, Results, usable

PARAMETER = ["scenario", "parameter", "component"]
INTERVAL = ["scenario", "quantity", "kind", "method"]
MEASURED = ["cases", "measure", "value", "mcse", "R"]
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
    last = rows.groupby("scenario")["component"].transform("max")
    rows = rows[(rows["parameter"] != "weight") | (rows["component"] < last) | (last == 1)]
    counts: dict[Any, int] = results.fits.groupby(["scenario", "method"]).size().to_dict()
    totals: dict[Any, int] = results.fits.groupby("scenario")["method"].size().to_dict()
    complete = _complete(results)
    base = reference(results)
    bounds = results.targets.set_index(PARAMETER)["bound"]
    found: list[dict[str, Any]] = []
    for place, here in rows.groupby(PARAMETER, sort=False):
        key: dict[str, Any] = dict(zip(PARAMETER, place, strict=True))
        scenario = key["scenario"]
        limit = bounds.get(place, np.nan)
        failed = len(here) < totals[scenario]
        truth = float(here["truth"].iloc[0])
        for cases in ("own", "complete") if failed else ("own",):
            part = here if cases == "own" else here[_within(here, complete)]
            others = part[part["method"] == base].set_index("replicate")["estimate"]
            for method, group in part.groupby("method", sort=False):
                paired = others.reindex(group["replicate"]).to_numpy()
                by_name = _of_parameter(group, float(limit), paired if method != base else None)
                found += _long(key | {"method": method, "truth": truth, "cases": cases}, by_name)
        for method, group in here.groupby("method", sort=False):
            if len(group) < (r := counts[scenario, method]):
                every = measures.proportion((np.arange(r) < _held(group).sum()).astype(float))
                found += _long(
                    key | {"method": method, "truth": truth, "cases": "all"}, {"coverage": every}
                )
    columns = [*PARAMETER, "method", "truth", *MEASURED]
    return sorted_rows(results, pd.DataFrame(found, columns=columns))


def _of_parameter(group: pd.DataFrame, bound: float, paired: Floats | None) -> dict[str, Measure]:
    estimate, se, lower, upper = (
        group[name].to_numpy() for name in ("estimate", "se", "lower", "upper")
    )
    truth = float(group["truth"].iloc[0])
    found = {
        "bias": measures.bias(estimate, truth),
        "relative_bias": measures.relative_bias(estimate, truth),
        "empirical_se": measures.empirical_se(estimate),
        "mse": measures.mse(estimate, truth),
        "rmse": measures.rmse(estimate, truth),
        "model_se": measures.model_se(se),
        "model_se_error": measures.relative_error_of_model_se(estimate, se),
        "coverage": measures.coverage(lower, upper, truth),
        "bias_eliminated_coverage": measures.bias_eliminated_coverage(lower, upper, estimate),
        "interval_width": measures.interval_width(lower, upper),
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


def _held(group: pd.DataFrame) -> NDArray[np.bool_]:
    lower, truth, upper = (group[name].to_numpy() for name in ("lower", "truth", "upper"))
    return (lower <= truth) & (truth <= upper)


@cache
def intervals(results: Results) -> pd.DataFrame:
    """By scenario, quantity, kind of interval and method: coverage, width, error of the SEs."""
    rows = results.intervals.dropna(subset=["truth"])
    found: list[dict[str, Any]] = []
    for place, group in rows.groupby(INTERVAL, sort=False):
        truth = float(group["truth"].iloc[0])
        key: dict[str, Any] = dict(zip(INTERVAL, place, strict=True))
        key |= {"truth": truth, "cases": "own"}
        estimate, se, lower, upper = (
            group[name].to_numpy() for name in ("estimate", "se", "lower", "upper")
        )
        by_name = {
            "coverage": measures.coverage(lower, upper, truth),
            "bias_eliminated_coverage": measures.bias_eliminated_coverage(lower, upper, estimate),
            "interval_width": measures.interval_width(lower, upper),
        }
        if np.isfinite(se).any():
            by_name["model_se_error"] = measures.relative_error_of_model_se(estimate, se)
        found += _long(key, by_name)
        if by_name["coverage"].r < len(group):
            every = measures.proportion(_held(group).astype(float))
            found += _long(key | {"cases": "all"}, {"coverage": every})
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


@cache
def losses(results: Results) -> pd.DataFrame:
    """By scenario and method: the mean of each of LOSSES; long."""
    found: list[dict[str, Any]] = []
    kept = results.losses.merge(results.fits.loc[results.fits["status"].isin(USABLE), FIT], on=FIT)
    totals: dict[Any, int] = results.losses.groupby("scenario").size().to_dict()
    complete = _complete(results)
    for scenario, here in kept.groupby("scenario", sort=False):
        failed = len(here) < totals[scenario]
        for cases in ("own", "complete") if failed else ("own",):
            part = here if cases == "own" else here[_within(here, complete)]
            for method, group in part.groupby("method", sort=False):
                key = {"scenario": scenario, "method": method, "cases": cases}
                by_name = {name: measures.mean(group[name].to_numpy()) for name in LOSSES}
                found += _long(key, by_name)
    return sorted_rows(results, pd.DataFrame(found, columns=["scenario", "method", *MEASURED]))


def wide(long: pd.DataFrame, names: list[str], cases: str = "own") -> pd.DataFrame:
    """A column a measure of these names, its Monte Carlo error in NAME_mcse, its R in R_NAME."""
    part = long[(long["cases"] == cases) & long["measure"].isin(names)].drop(columns="cases")
    keys = [c for c in part.columns if c not in ("measure", "value", "mcse", "R")]
    table = part[keys].drop_duplicates()
    for name in names:
        own = part[part["measure"] == name].drop(columns="measure")
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


def all_cases(long: pd.DataFrame) -> pd.DataFrame:
    """Coverage over all replicates, in columns all_coverage, all_coverage_mcse and all_R."""
    every = with_one_r(wide(long, ["coverage"], "all")).drop(columns="truth")
    return every.rename(columns=lambda c: f"all_{c}" if "coverage" in c or c == "R" else c)


# Everything of a kind in one long table, a number a row: CSV alone, for machines.
LONG: dict[str, Callable[[Results], pd.DataFrame]] = {
    "measures-estimates": performance,
    "measures-intervals": intervals,
    "measures-losses": losses,
}
