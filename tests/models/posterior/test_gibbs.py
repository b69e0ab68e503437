"""NUTS against Gibbs samplers of the same posteriors: means, sds and 2.5% points."""

import numpy as np
import pytest

from models import Mixture, fit, labels
from models.kernels import Floats
from models.mixture import draws_by_mean
from models.priors import Prior
from models.sample import Data
from tests.models.posterior.gibbs import gibbs
from tests.models.posterior.settings import rng


def quantities(draws: Floats) -> list[Floats]:
    """(chains, draws) each: parameters by the order of the means, sds by size, two moments."""
    weights, means, sds = np.moveaxis(draws_by_mean(draws), 2, 0)
    mean = (weights * means).sum(axis=-1)
    variance = (weights * (sds**2 + (means - mean[..., None]) ** 2)).sum(axis=-1)
    by_size = np.sort(sds, axis=-1)
    rows = (weights[..., :1], means, sds, by_size)
    return [*np.concatenate(rows, axis=-1).transpose(2, 0, 1), mean, variance]


CASES = {
    "apart": (Mixture([0.3, 0.7], [0.0, 4.0], [1.0, 1.5]), None, 300),
    "rounded": (Mixture([0.4, 0.6], [0.0, 4.0], [1.0, 1.2]), 1.0, 1000),
    "unequal": (Mixture([0.9, 0.1], [0.0, 0.0], [0.1, 1.0]), None, 300),
}
# Of the default design's hard set, as far as two components are fitted to normal ones: minutes.
HARD = {
    "close": (Mixture([0.5, 0.5], [0.0, 2.0], [1.0, 1.0]), None, 6000),
    "mw4": (Mixture([2 / 3, 1 / 3], [0.0, 0.0], [1.0, 0.1]), None, 3000),
    "mw5": (Mixture([0.1, 0.9], [0.0, 0.0], [1.0, 0.1]), None, 3000),
    "equal-means": (Mixture([0.5, 0.5], [0.0, 0.0], [1.0, 3.0]), None, 3000),
    "one-with-two": (Mixture([1.0], [0.0], [1.0]), None, 6000),
    "rounded-coarse": (Mixture([0.4, 0.6], [0.0, 4.0], [1.0, 1.2]), 1.0, 3000),
}


def compared(truth: Mixture, unit: float | None, draws: int, n: int) -> Floats:
    """The differences, in Monte Carlo errors of both together."""
    x = truth.sample(n, rng(4))[0]
    x = x if unit is None else unit * np.round(x / unit)
    found = fit("nuts", x, rng=1, draws=2000, tune=500)
    assert found.status == "ok"
    assert found.mixture is not None
    prior = Prior.default(Data(x, np.ones(n)))
    other = gibbs(x, prior, found.mixture.as_rows(), draws, rng(2), chains=16)
    differences = []
    for pair in zip(*map(quantities, (labels.component_draws(found.draws), other)), strict=True):
        centre, low = pair[1].mean(), np.quantile(pair[1], 0.025)
        for of in (lambda v: v, lambda v, c=centre: (v - c) ** 2, lambda v, c=low: 1.0 * (v <= c)):
            values = [of(v) for v in pair]
            errors = [v.var() / labels.convergence(v[..., None]).ess_bulk for v in values]
            differences.append((values[0].mean() - values[1].mean()) / np.sqrt(sum(errors)))
    return np.array(differences)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_nuts_agrees_with_gibbs(case):
    """False-alarm rate of 27 tests at 4 Monte Carlo errors: below 2e-3."""
    assert np.abs(compared(*case, n=150)).max() < 4


@pytest.mark.workflow
@pytest.mark.parametrize("case", HARD.values(), ids=HARD.keys())
def test_nuts_agrees_with_gibbs_where_it_is_hard(case):
    """The same at n = 500."""
    assert np.abs(compared(*case, n=500)).max() < 4
