"""Gibbs sampling with conjugate priors, and the overfitted mixture, which needs it.

Where weights vanish NUTS crawls; data augmentation does not (Diebolt and Robert 1994).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models import kernels
from models.inference.chains import RhatAndEss, rhat_and_ess
from models.mixture import Floats
from models.priors import Dirichlet, InverseGamma, Normal, Prior, SharedScale
from models.sample import Data


class Draws(NamedTuple):
    """Of a posterior.

    rows: (chains, draws, 3, K) of weights, means and sds. occupied: (chains, draws), how many
    components hold observations.
    """

    rows: Floats
    occupied: Floats


def sample(
    data: Data,
    prior: Prior,
    k: int,
    rng: np.random.Generator,
    *,
    chains: int = 4,
    draws: int = 1000,
    tune: int = 1000,
    thin: int = 1,
) -> Draws:
    """Draws of the posterior of k free components; chains start from 1, 2, ... of them in use.

    Raises ValueError for priors that are not conjugate, and for counts that are not whole.
    """
    given = conjugate(prior)
    whole = data.counts.astype(int)
    if not np.array_equal(whole, data.counts):
        raise ValueError("counts: are not whole numbers; the sampler allocates observations")
    x = np.repeat(data.x, whole)
    order = np.argsort(np.argsort(x, kind="stable"), kind="stable")
    rows, occupied = [], []
    for chain in range(chains):
        used = 1 + chain * (k - 1) // max(chains - 1, 1)
        labels = (order * used // x.size).astype(np.int64)
        found = np.empty((tune + draws * thin, 3, k))
        held = kernels.gibbs(kernels.fixed(x), given, labels, found, rng)
        rows.append(found[tune::thin])
        occupied.append(held[tune::thin])
    stacked = np.stack(rows)
    stacked[..., 2, :] = np.sqrt(stacked[..., 2, :])
    return Draws(stacked, np.stack(occupied).astype(float))


def conjugate(prior: Prior) -> kernels.Conjugate:
    """The prior as the sampler takes it; ValueError for what it cannot take."""
    weights, means, sds = prior.weights, prior.means, prior.sds
    if not (
        isinstance(weights, Dirichlet)
        and isinstance(means, Normal)
        and not isinstance(means.mean, tuple)
        and isinstance(sds, InverseGamma | SharedScale)
    ):
        raise ValueError(
            f"prior: {prior!r} is not of Dirichlet, one Normal, and InverseGamma or SharedScale"
        )
    start = float(weights.concentration), float(means.mean), float(means.sd), float(sds.shape)
    if isinstance(sds, InverseGamma):
        return kernels.Conjugate(*start, float(sds.scale), 0.0, 1.0)
    return kernels.Conjugate(*start, float(sds.finest), float(sds.tail), 1.0 / float(sds.widest))


class Occupied(NamedTuple):
    """The posterior of the number of components that hold observations.

    probability: (K,), of 1, ..., K. error: (K,), Monte Carlo standard errors. rhat, ess: of the
    number itself; NaN if it never varies.
    """

    probability: Floats
    error: Floats
    rhat: float
    ess: float


def overfitted(
    data: Data,
    rng: np.random.Generator,
    concentration: float,
    *,
    k: int = 10,
    prior: Prior | None = None,
    draws: int = 2500,
    tune: int = 1000,
) -> Occupied:
    """Rousseau and Mengersen (2011): what too many components with Dirichlet(concentration) leave.

    Components that are not needed empty where the concentration is small (Malsiner-Walli,
    Fruehwirth-Schnatter and Gruen 2016). prior: whose weights' part is replaced; default
    Prior.default.
    """
    prior = Prior.default(data, k) if prior is None else prior
    chosen = Prior(Dirichlet(concentration), prior.means, prior.sds)
    held = sample(data, chosen, k, rng, draws=draws, tune=tune).occupied
    return occupied(held, k)


def occupied(held: Floats, k: int) -> Occupied:
    """Of numbers (chains, draws) from 1 to k."""
    there = held[..., None] == np.arange(1, k + 1)
    probability = there.mean(axis=(0, 1))
    found = rhat_and_ess(np.concatenate([there.astype(float), held[..., None]], axis=-1))
    error = np.sqrt(probability * (1.0 - probability) / found.ess_bulk[:k])
    return Occupied(probability, error, *_of_number(found))


def _of_number(found: RhatAndEss) -> tuple[float, float]:
    return float(found.rhat[-1]), float(found.ess_bulk[-1])
