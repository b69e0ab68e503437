"""What a calibration would have seen: its power against priors of the sampler that are wrong.

Parameters of a narrower or wider prior than the sampler's are a part of those that the calibration
drew: a data set is kept with probability proportional to the ratio of the two densities at its
parameters, so that the kept ones are a sample of the other prior whose posteriors were made under
the sampler's. The share of such parts whose ranks leave the bands is the test's power, and needs no
posterior more (rejection sampling; von Neumann 1951).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models import Mixture, MixtureModel
from models.mixture import Floats
from models.priors import Normal, Prior
from study.design import Calibration
from study.report import uniformity
from study.report.exhibit import Drawing, Table, tabular
from study.report.reasons import no_calibration
from study.report.table import sorted_rows, table_of
from study.rows import PARAMETERS, Results

LEVEL = 0.95
# How many times as wide the sampler's prior is as that of the parameters.
FACTORS = (0.5, 1 / 1.4, 1.4, 2.0)
NOTHING = "nothing"
PARTS = ("means' sd", "variances' scale")
SIZES = (100, 200, 500, 1_000, 2_000)
REPEATS = 400


def calibration_power(results: Results) -> pd.DataFrame:
    """Which wrong priors of a sampler would its ranks have told? Rows: method, wrong, factor,
    data_sets.

    factor: how many times as large the sampler's is as that of the parameters. power: share of
    parts of so many data sets of which any quantity leaves the bands of all of them together.
    R_power: how many data sets are a sample of the other prior, in the mean. power_mcse: at most,
    for parts overlap (Hoeffding 1948): that of as many as share no data set, the share moved a
    little from 0 and 1 (Agresti and Coull 1998).
    """
    rows: list[dict[str, object]] = []
    spec = results.design.calibration
    for method, ranks in results.ranks.groupby("method", sort=False):
        by = {"index": "replicate", "columns": "quantity"}
        places = ranks.pivot(**by, values="rank").dropna()
        truths = _mixtures(ranks.pivot(**by, values="truth").loc[places.index].dropna(), spec)
        if spec is None or not truths:
            continue
        own, table = spec.prior.build(), places.to_numpy(int)
        for wrong, factor, other in _others(own):
            ratio = _ratio(other, own, truths)
            for r, power, parts, available in _powers(table, int(ranks["of"].iloc[0]), ratio):
                near = (power * parts + 1.0) / (parts + 2.0)
                found = {"power": power, "power_mcse": np.sqrt(near * (1.0 - near) / parts)}
                key = {"method": method, "wrong": wrong, "factor": factor, "data_sets": r}
                rows.append(key | found | {"R_power": available})
    return sorted_rows(results, table_of(rows, ["method", "wrong", "factor", "data_sets"]))


def _mixtures(truths: pd.DataFrame, spec: Calibration | None) -> list[Mixture]:
    """The parameters by data set; none where the rows do not have them."""
    k = 1 if spec is None else spec.k
    known = [f"{p} {j + 1}" for p in PARAMETERS for j in range(k - 1 if p == "weight" else k)]
    if not set(known) <= set(truths):
        return []
    values = truths[known].to_numpy(float)
    rows = np.insert(values, k - 1, 1.0 - values[:, : k - 1].sum(axis=1), axis=1)
    return [Mixture(*row) for row in rows.reshape(-1, 3, k)]


def _others(own: Prior) -> list[tuple[str, float, Prior]]:
    """Priors of the parameters under which the sampler's own is wrong; itself comes first."""
    assert isinstance(own.means, Normal)  # as `PriorSpec` has it
    found = [(NOTHING, 1.0, own)]
    for factor in FACTORS:
        means = replace(own.means, sd=own.means.sd / factor)
        found.append((PARTS[0], factor, replace(own, means=means)))
    for factor in FACTORS:
        variances = own.sds.standardised(0.0, math.sqrt(factor))
        found.append((PARTS[1], factor, replace(own, sds=variances)))
    return found


def _ratio(other: Prior, own: Prior, truths: list[Mixture]) -> Floats:
    """Of the densities at the parameters, the largest 1."""
    model = MixtureModel(truths[0].k)
    logs = np.array([other.log_density(m, model) - own.log_density(m, model) for m in truths])
    return np.exp(logs - logs.max())


def _powers(
    ranks: NDArray[np.int_], of: int, ratio: Floats
) -> list[tuple[int, float, float, float]]:
    """By R: the share that is seen, how many parts share no data set, and how many are kept."""
    available = float(ratio.sum())
    # Of one part alone little is known.
    sizes = [r for r in SIZES if 2 * r <= available]
    if not sizes and ratio.size < 2 * SIZES[0]:  # of a small calibration halves are taken
        sizes = [max(int(available / 2.0), 1)]
    rng = np.random.default_rng(0)
    seen = np.zeros((len(sizes), REPEATS))
    bands = [_counts(r, of, ranks.shape[1]) for r in sizes]
    for i in range(REPEATS):
        kept = rng.permutation(np.flatnonzero(rng.random(ratio.size) < ratio))
        while sizes and kept.size < sizes[-1]:
            kept = rng.permutation(np.flatnonzero(rng.random(ratio.size) < ratio))
        for at, (r, (low, high)) in enumerate(zip(sizes, bands, strict=True)):
            cells = np.stack([np.bincount(own, minlength=of + 1) for own in ranks[kept[:r]].T])
            below = np.cumsum(cells, axis=1)[:, :-1]
            seen[at, i] = ((below < low) | (below > high)).any()
    shares = seen.mean(axis=1).tolist()
    return [(r, share, available / r, available) for r, share in zip(sizes, shares, strict=True)]


def _counts(r: int, of: int, lines: int) -> tuple[Floats, Floats]:
    """The least and the greatest counts within the bands of all lines together."""
    z = np.arange(1, of + 1) / (of + 1)
    low, high = uniformity.band(r, of, 1.0 - (1.0 - LEVEL) / lines)
    return np.rint((low + z) * r), np.rint((high + z) * r)


TABLES: tuple[Table, ...] = (
    tabular(
        "calibration-power",
        "What the calibration would have seen",
        "Calibration",
        calibration_power,
        no_calibration,
    ),
)
FIGURES: tuple[Drawing, ...] = ()
