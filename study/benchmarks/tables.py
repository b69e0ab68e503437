"""Tables of the benchmarks: each a function from the measured rows to a DataFrame.

`ratio` is always to this project with the exact pass, in pairs of the same round: how many times
as long the other took. `slope` is the power of n by which the median seconds grow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from study.benchmarks.measure import SCHEMA, SUITES
from study.benchmarks.peers import OURS
from study.benchmarks.timing import slope, summary
from study.report.exhibit import Exhibit


@dataclass(frozen=True)
class Measured:
    """The rows of all suites, by kind."""

    timings: pd.DataFrame
    estimates: pd.DataFrame


def read_measured(folder: Path) -> Measured:
    """The rows that the suites left in the folders of their names."""
    return Measured(
        *(
            pd.concat(
                [pd.read_parquet(folder / suite / f"{kind}.parquet") for suite in SUITES],
                ignore_index=True,
            )
            for kind in SCHEMA
        )
    )


def passes(measured: Measured) -> pd.DataFrame:
    """Nanoseconds an observation of one pass, by K, n and implementation."""
    rows = _suite(measured, "passes")
    rows["ns"] = 1e9 * rows["seconds"] / rows["n"]
    return _summed(rows, ["task", "k", "n"], "ns", base=OURS)


def fits(measured: Measured) -> pd.DataFrame:
    """Seconds a fit by separation, n and method; the ratio is to EM on the exact sample."""
    rows = _suite(measured, "fits")
    return _summed(
        rows, ["separation", "n"], "seconds", base="EM", also=("passes", "iterations", "distance")
    )


def peers(measured: Measured) -> pd.DataFrame:
    """Seconds an EM fit by job, n and package, and how far from the maximum each ended."""
    rows = _suite(measured, "peers")
    rows["ns"] = 1e9 * rows["seconds"] / rows["n"] / rows["passes"]
    return _summed(
        rows, ["task", "n"], "seconds", base=OURS, also=("iterations", "passes", "ns", "distance")
    )


def modes(measured: Measured) -> pd.DataFrame:
    """Seconds to the posterior mode by n and implementation."""
    rows = _suite(measured, "posterior")
    rows = rows[rows["task"] == "MAP"]
    return _summed(rows, ["n"], "seconds", base=OURS, also=("passes", "distance"))


def nuts(measured: Measured) -> pd.DataFrame:
    """Sampling seconds, least bulk ESS and seconds an effective draw, by n and implementation."""
    rows = _suite(measured, "posterior")
    rows = rows[rows["task"] == "NUTS"].copy()
    rows["seconds_per_draw"] = rows["seconds"] / rows["ess"]
    keys = ["n", "draws", "tune"]
    table = _summed(
        rows,
        keys,
        "seconds_per_draw",
        base=OURS,
        also=("seconds", "passes", "ess"),
        grows="seconds_per_draw",
    )
    table.insert(len(keys) + 3, "ess_per_second", 1.0 / table["median"])
    table = table.merge(agreement(measured), on=[*keys, "implementation"], how="left")
    return _last(table, ("version", "note"))


def agreement(measured: Measured) -> pd.DataFrame:
    """By n and sampler, how far its posterior is from the exact pass's, in Monte Carlo errors.

    z_mean, z_sd: the largest over the parameters, of posterior means and of posterior sds.
    """
    keys = ["n", "draws", "tune"]
    rows = measured.estimates[measured.estimates["suite"] == "posterior"]
    groups = rows.groupby([*keys, "implementation", "parameter", "component"])
    pooled = groups[["estimate", "se", "ess"]].apply(_pooled).reset_index()
    # The exact pass of the same n; where it was not run at these draws, that at others.
    base = pooled[pooled["implementation"] == OURS].drop(
        columns=["implementation", "draws", "tune"]
    )
    on = ["n", "parameter", "component"]
    both = pooled.merge(base, on=on, suffixes=("", "_base"))
    error = np.hypot(both["mean_error"], both["mean_error_base"])
    both["z_mean"] = (both["mean"] - both["mean_base"]).abs() / error
    error = np.hypot(both["log_sd_error"], both["log_sd_error_base"])
    both["z_sd"] = (both["log_sd"] - both["log_sd_base"]).abs() / error
    both.loc[both["implementation"] == OURS, ["z_mean", "z_sd"]] = np.nan
    return both.groupby([*keys, "implementation"])[["z_mean", "z_sd"]].max().reset_index()


def _pooled(repeats: pd.DataFrame) -> pd.Series:
    """Posterior mean and log sd over the repeats, each with its Monte Carlo error."""
    r = len(repeats)
    return pd.Series(
        {
            "mean": repeats["estimate"].mean(),
            "mean_error": np.sqrt((repeats["se"] ** 2 / repeats["ess"]).sum()) / r,
            "log_sd": np.log(repeats["se"]).mean(),
            # Of the sd of about ess normal draws.
            "log_sd_error": np.sqrt((0.5 / repeats["ess"]).sum()) / r,
        }
    )


def _suite(measured: Measured, suite: str) -> pd.DataFrame:
    return measured.timings[measured.timings["suite"] == suite].copy()


def _summed(
    rows: pd.DataFrame,
    keys: Sequence[str],
    value: str,
    base: str,
    also: Sequence[str] = (),
    grows: str = "seconds",
) -> pd.DataFrame:
    """By keys and implementation in order of appearance: median and quartiles of `value`, the
    median of its ratio to `base` in the same round, medians of `also`, the slope of `grows`."""
    found = []
    reference = rows[rows["implementation"] == base].set_index([*keys, "repeat"])[value]
    for key, group in rows.groupby([*keys, "implementation"], sort=False):
        same = pd.MultiIndex.from_frame(group[[*keys, "repeat"]])
        middle = summary(group[value].to_numpy(float))
        paired = group[value].to_numpy(float) / reference.reindex(same).to_numpy(float)
        row: dict[str, object] = dict(zip([*keys, "implementation"], key, strict=True))
        row |= {"R": middle.size, "median": middle.median, "q25": middle.q25, "q75": middle.q75}
        row["ratio"] = summary(paired).median
        row |= {name: summary(group[name].to_numpy(float)).median for name in also}
        row |= {name: max(group[name]) for name in ("version", "note") if any(group[name])}
        found.append(row)
    table = pd.DataFrame(found)
    apart = [name for name in keys if name not in ("n", "draws", "tune")]
    slopes = slopes_of(rows, [*apart, "implementation"], grows)
    table = table.merge(slopes, on=[*apart, "implementation"], how="left")
    return _last(table, ("version", "note"))


def _last(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The table with the columns of words, where it has them, at its end."""
    words = [name for name in names if name in table]
    numbers = [name for name in table if name not in words]
    return table[numbers + words].fillna(dict.fromkeys(words, ""))


def slopes_of(rows: pd.DataFrame, keys: Sequence[str], value: str) -> pd.DataFrame:
    """By keys: the slope of the log median of `value` against log n."""
    medians = rows.groupby([*keys, "n"])[value].median().dropna().reset_index()
    found = [
        dict(zip(keys, key, strict=True))
        | {"slope": slope(group["n"].to_numpy(float), group[value].to_numpy(float))}
        for key, group in medians.groupby(list(keys))
    ]
    return pd.DataFrame(found, columns=[*keys, "slope"])


BENCHMARK_TABLES: tuple[Exhibit[Measured, pd.DataFrame], ...] = (
    Exhibit("benchmark-passes", "A pass over the data", "Benchmarks", passes),
    Exhibit("benchmark-fits", "Fits by n and separation", "Benchmarks", fits),
    Exhibit("benchmark-peers", "EM by other packages", "Benchmarks", peers),
    Exhibit("benchmark-modes", "Posterior modes", "Benchmarks", modes),
    Exhibit("benchmark-nuts", "Samplers", "Benchmarks", nuts),
)
