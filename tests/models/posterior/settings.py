"""Data, generators and errors that the tests of `models.posterior` share.

Random tests are seeded, so they pass or fail once and for all; the false-alarm rate beside one
is the chance that a right program would have failed it at the seed that was chosen.
"""

import math

import numpy as np
from arviz_stats.base import array_stats

from models import Mixture, MixtureModel
from models.mixture import Floats
from models.sample import Data
from models.solution import Solution

TWO = Mixture([0.3, 0.7], [0.0, 4.0], [1.0, 1.5])
THREE = Mixture([0.3, 0.5, 0.2], [-4.0, 0.0, 5.0], [1.0, 1.0, 1.0])
WEIGHTS_ONLY = MixtureModel(means=[0.0, 2.0], sds=1.0)


def sample(mixture: Mixture, n: int, seed: int = 0, counts: bool = False) -> Data:
    rng = np.random.default_rng(seed)
    x, _ = mixture.sample(n, rng)
    return Data(x, rng.integers(1, 4, n).astype(float) if counts else np.ones(n))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def stacked(solution: Solution) -> Floats:
    """(chains, draws, 3, K), labels as sampled."""
    posterior = solution.draws["posterior"]
    return np.stack([posterior[v].to_numpy() for v in ("weights", "means", "sds")], axis=2)


def z_score(draws: Floats, expected: float, variance: float = 0.0) -> float:
    """Monte Carlo standard errors between the mean of draws (chains, draws) and `expected`."""
    mean, own = mean_and_variance(draws)
    return abs(mean - expected) / math.sqrt(own + variance)


def mean_and_variance(draws: Floats) -> tuple[float, float]:
    """The mean of draws (chains, draws), and its Monte Carlo variance."""
    ess = array_stats.ess(draws, chain_axis=0, draw_axis=1, method="mean")
    return float(draws.mean()), float(draws.var() / ess)
