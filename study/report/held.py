"""Whether each interval holds the truth: a row an interval, so that misses can be pooled.

An interval that was asked for and is not there does not hold the truth. Of simulated scenarios
whose target is identified alone.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from models.methods import SAMPLERS
from study.report import measures
from study.report.measures import Measure, Share
from study.report.performance import reference
from study.rows import DATA_SET, INTERVAL_KINDS, Results, usable

# Of the three routes to an interval, one each: what is drawn where there is room for few.
THREE = ("wald", "profile", "equal-tailed")
NAMES = {"wald": "Wald", "profile": "profile likelihood", "equal-tailed": "posterior (NUTS)"}
COLUMNS = [*DATA_SET, "quantity", "held", "width", "open", "there"]


@cache
def held(results: Results, kind: str) -> pd.DataFrame:
    """A row a parameter and data set: quantity such as "mean 1", and how its interval did.

    held: whether the truth lies between its ends. width: NaN where an end is missing, inf where one
    is infinite. open: whether an end is a bound of the parameter, so that the data do not bound it.
    there: whether it has both ends. Wald's are of the optimiser that stands for all, and the
    posterior's of the first sampler, on all their data sets; others where the design asks for them.
    """
    by_kind = _of_estimates(results, kind)
    table = by_kind if by_kind is not None else _of_intervals(results, kind)
    low, high, true = (table[c].to_numpy(float) for c in ("lower", "upper", "truth"))
    table["held"] = (low <= true) & (true <= high)
    table["width"] = high - low
    part = table["quantity"].astype("string").str.split(" ").str[0]
    least = part.map({"weight": 0.0, "sd": 0.0}).fillna(-np.inf).to_numpy(float)
    most = part.map({"weight": 1.0}).fillna(np.inf).to_numpy(float)
    table["open"] = (low <= least) | (high >= most)
    table["there"] = ~(np.isnan(low) | np.isnan(high))
    return table[COLUMNS].reset_index(drop=True)


def _of_estimates(results: Results, kind: str) -> pd.DataFrame | None:
    """Of the kinds that every fit has; None of others."""
    fits = results.fits[results.fits["scenario"].isin(_simulated(results))]
    present = [m for m in SAMPLERS if (fits["method"] == m).any()]
    method = {"wald": reference(results), "laplace": "map"}.get(kind, "")
    if kind == "equal-tailed":
        method = next(iter(present), "")
    if not method:
        return None
    rows = usable(results)
    rows = rows[rows["method"] == method].dropna(subset=["truth"])
    rows = rows.assign(quantity=rows["parameter"] + " " + rows["component"].astype(str))
    rows = _without_last_weight(rows)
    truths = rows.drop_duplicates(["scenario", "quantity"])[["scenario", "quantity", "truth"]]
    every = fits.loc[fits["method"] == method, DATA_SET].merge(truths, on="scenario")
    ends = rows[[*DATA_SET, "quantity", "lower", "upper"]]
    return every.merge(ends, on=[*DATA_SET, "quantity"], how="left")


def _of_intervals(results: Results, kind: str) -> pd.DataFrame:
    rows = results.intervals
    rows = rows[(rows["kind"] == kind) & rows["scenario"].isin(_simulated(results))]
    samplers = [m for m in SAMPLERS if m in set(rows["method"])]
    rows = rows[~rows["method"].isin(samplers[1:])].dropna(subset=["truth"])
    return rows[rows["quantity"].str.fullmatch(r"(weight|mean|sd) \d+")].copy()


def _simulated(results: Results) -> list[str]:
    return [scenario.name for scenario in results.design.all_scenarios()]


def _without_last_weight(rows: pd.DataFrame) -> pd.DataFrame:
    """The last weight is one minus the others, and its interval tells nothing more."""
    weights = rows["parameter"] == "weight"
    last = rows.groupby("scenario")["component"].transform("max")
    return rows[~weights | (rows["component"] < last) | (last == 1)]


def by_data_set(rows: pd.DataFrame) -> pd.Series[float]:
    """The share of a data set's parameters whose intervals hold the truth, by DATA_SET.

    Intervals of one data set miss together, so that data sets and not intervals are what is counted
    where several parameters are pooled.
    """
    return rows.groupby(DATA_SET)["held"].mean()


def pooled(rows: pd.DataFrame) -> Share:
    """Coverage over all parameters and data sets; its Monte Carlo error goes by data set."""
    return Share(*measures.mean(by_data_set(rows).to_numpy(float)))


def together(rows: pd.DataFrame) -> Share:
    """Of all intervals those that hold the truth; its Monte Carlo error goes by data set, and so
    does its R, for intervals of one data set miss together.
    """
    by = rows.groupby(DATA_SET)["held"].agg(["sum", "size"])
    held, sizes = by["sum"].to_numpy(float), by["size"].to_numpy(float)
    share, r = held.sum() / sizes.sum(), len(by)
    apart = held - share * sizes
    error = np.sqrt(r / max(r - 1, 1) * (apart @ apart)) / sizes.sum()
    return Share(float(share), float(error), r)


def worst(rows: pd.DataFrame) -> tuple[str, Measure]:
    """The parameter that is covered least, and its coverage; the least of several is below what it
    estimates."""
    by = rows.groupby("quantity", sort=False)["held"]
    quantity = str(by.mean().idxmin())
    return quantity, measures.proportion(by.get_group(quantity).to_numpy(float))


def kinds_of(results: Results) -> list[str]:
    """The kinds of intervals that the rows have, in the order of tables."""
    there = set(results.intervals["kind"])
    found = [k for k in INTERVAL_KINDS if k in there or k in ("wald", "equal-tailed")]
    return [k for k in found if not held(results, k).empty]


def of_fits(results: Results) -> pd.DataFrame:
    """What a reader of one fit of two components sees, by DATA_SET.

    apart: the estimated separation, over the root-mean-square sd. relative: the largest standard
    error of an sd, over that sd. condition: of the estimates. closed: whether the profile
    likelihood bounds every parameter on both sides, where that was asked.
    """
    method = reference(results)
    fits = results.fits[results.fits["method"] == method]
    rows = usable(results)
    rows = rows[(rows["method"] == method) & (rows["component"] <= 2)]
    rows = rows[rows["parameter"] != "weight"].astype({"parameter": "object"})
    wide = rows.pivot(
        index=DATA_SET, columns=["parameter", "component"], values=["estimate", "se"]
    ).reindex(pd.MultiIndex.from_frame(fits[DATA_SET]))
    names = [
        (number, p, j) for number in ("estimate", "se") for p in ("mean", "sd") for j in (1, 2)
    ]
    value = {
        name: wide[name].to_numpy(float) if name in wide else np.full(len(fits), np.nan)
        for name in names
    }
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = (value["estimate", "sd", j] for j in (1, 2))
        gap = value["estimate", "mean", 2] - value["estimate", "mean", 1]
        apart = np.abs(gap) / np.sqrt(0.5 * (first**2 + second**2))
        relative = np.maximum(value["se", "sd", 1] / first, value["se", "sd", 2] / second)
    found = fits[[*DATA_SET, "condition"]].assign(apart=apart, relative=relative)
    profile = held(results, "profile")
    closed = (~profile["open"] & profile["there"]).groupby([profile[c] for c in DATA_SET]).all()
    return found.merge(closed.rename("closed"), on=DATA_SET, how="left")
