"""Choice of K by refits: cross-validated log-likelihood, bootstrap likelihood ratio tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from models.mixture import Floats, Mixture
from models.model import MixtureModel
from models.sample import Data
from models.search import highest

# Screened starts of a refit, beside the estimates that it starts from.
REFIT_STARTS = 2
# Of each fit of a test, of the data's own and of each sample's, so that they are the same function.
TEST_STARTS = 4


class Fold(NamedTuple):
    """What is fitted, and what is held out: of each observation once."""

    kept: Data
    held: Data


def folds(data: Data, count: int, rng: np.random.Generator) -> list[Fold]:
    """So many folds of like size, at random.

    Raises ValueError for counts that are not whole numbers, which cannot be divided.
    """
    whole = data.counts.astype(int)
    if not np.array_equal(whole, data.counts):
        raise ValueError(
            f"counts: {data.counts[whole != data.counts][0]:g} is no whole number; "
            "cross-validation divides observations into folds"
        )
    rows = np.repeat(np.arange(data.x.size), whole)
    own = rng.permutation(rows.size) % count
    made = []
    for fold in range(count):
        held = np.bincount(rows[own == fold], minlength=data.x.size).astype(float)
        made.append(Fold(_of(data, data.counts - held), _of(data, held)))
    return made


def _of(data: Data, counts: Floats) -> Data:
    there = counts > 0
    return Data(data.x[there], counts[there])


class CrossValidated(NamedTuple):
    """value: log-likelihood of what was held out, summed; NaN if a fold has no believable fit.

    error: its standard error, from the spread over observations. passes: over the folds.
    """

    value: float
    error: float
    passes: int


def cross_validated(
    parts: Sequence[Fold], model: MixtureModel, estimate: Mixture, rng: np.random.Generator
) -> CrossValidated:
    """Smyth (2000): each fold by the fit of the others, from the estimate and REFIT_STARTS more."""
    found, weights, passes = [], [], 0
    for kept, held in parts:
        if np.unique(kept.x).size < model.k:
            return CrossValidated(np.nan, np.nan, passes)
        top = highest(kept, model, rng, REFIT_STARTS if model.k > 1 else 0, [estimate])
        passes += top.passes
        if top.mixture is None:
            return CrossValidated(np.nan, np.nan, passes)
        found.append(top.mixture.log_density(held.x))
        weights.append(held.counts)
    logs, counts = np.concatenate(found), np.concatenate(weights)
    n, total = counts.sum(), float(counts @ logs)
    spread = float(counts @ (logs - total / n) ** 2) / (n - 1.0)
    return CrossValidated(total, float(np.sqrt(n * spread)), passes)


class RatioTest(NamedTuple):
    """The bootstrap test of K components against K + 1.

    p: (1 + number of samples whose ratio is at least the data's) / (samples + 1).
    error: its Monte Carlo standard error.
    ratio: 2 (l_(K+1) - l_K) of the data.
    samples: (B,), the ratios of samples from the K components; inf where these had no fit.
    behind: fits of K + 1 components, the data's among them, that ended below those of K: the
        ratio counts as 0, and more starts would be better.
    passes: over the data and the samples.
    """

    p: float
    error: float
    ratio: float
    samples: Floats
    behind: int
    passes: int


def ratio_test(
    data: Data,
    models: tuple[MixtureModel, MixtureModel],
    estimate: Mixture,
    replicates: int,
    rng: np.random.Generator,
    starts: int = TEST_STARTS,
) -> RatioTest:
    """Whether one component more gains what samples without it gain by chance: McLachlan (1987).

    The data and the samples are fitted in the same way, which is what gives the test its level:
    K components from the estimate and so many starts, K + 1 from that fit with each component split
    and so many starts. Maxima that are not believed count in neither.

    estimate: of models[0], from the data.
    """
    ratio, lost, passes = _ratio(data, models, estimate, rng, starts)
    behind = int(lost)
    found = np.empty(replicates)
    ones = np.ones(round(data.n))
    for i in range(replicates):
        sample = Data(estimate.sample(ones.size, rng)[0], ones)
        found[i], lost, taken = _ratio(sample, models, estimate, rng, starts)
        behind += lost
        passes += taken
    p = (1 + int((found >= ratio).sum())) / (replicates + 1)
    error = float(np.sqrt(p * (1.0 - p) / (replicates + 1)))
    return RatioTest(p, error, ratio, found, behind, passes)


def _ratio(
    data: Data,
    models: tuple[MixtureModel, MixtureModel],
    estimate: Mixture,
    rng: np.random.Generator,
    starts: int,
) -> tuple[float, bool, int]:
    """The ratio, whether K + 1 components ended below K, and passes."""
    small = highest(data, models[0], rng, starts if models[0].k > 1 else 0, [estimate])
    if small.mixture is None:
        return np.inf, False, small.passes
    large = highest(data, models[1], rng, starts, [small.mixture])
    gained = 2.0 * (large.loglik - small.loglik)
    return max(gained, 0.0), gained < 0.0, small.passes + large.passes
