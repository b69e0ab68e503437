"""The Gibbs sampler: against the law that its joint distribution obeys, and known posteriors."""

import numpy as np
import pytest

from models.posterior import gibbs
from models.priors import Dirichlet, Flat, InverseGamma, Normal, Prior, SharedScale
from models.sample import Data
from tests.models.galaxies import GALAXIES

PRIOR = Prior(Dirichlet(1.0), Normal(0.0, 2.0), InverseGamma(3.0, 2.0))
SHARED = Prior(Dirichlet(2.0), Normal(0.0, 2.0), SharedScale(2.0, 1.5, 0.05, 1.0))


@pytest.mark.parametrize("prior", [PRIOR, SHARED], ids=["inverse gamma", "shared scale"])
def test_with_data_drawn_anew_at_each_step_the_draws_are_the_priors(prior):
    """Geweke (2004): of parameters and data by turns the parameters have their prior.

    400 chains of 12 turns from the prior; means of five functions within 4.5 errors, which a
    right sampler fails once in 15,000 runs.
    """
    rng = np.random.default_rng(1)
    k, n, found, expected = 2, 6, [], []
    for _ in range(400):
        w = rng.dirichlet(np.full(k, prior.weights.concentration))
        mean, v = rng.normal(prior.means.mean, prior.means.sd, k), prior.sds.sample(k, rng)
        expected.append(np.stack([w, mean, v]))
        rows = np.stack([w, mean, np.sqrt(v)])
        for _ in range(12):
            labels = rng.choice(k, size=n, p=rows[0])
            x = rows[1, labels] + rows[2, labels] * rng.standard_normal(n)
            data = np.empty((1, 3, k))
            gibbs.kernels.gibbs(
                gibbs.kernels.fixed(x), gibbs.conjugate(prior), labels.astype(np.int64), data, rng
            )
            rows = data[0].copy()
            rows[2] = np.sqrt(rows[2])
        found.append(data[0])

    def functions(draws):
        w, mean, v = np.moveaxis(np.array(draws), 1, 0)
        return np.stack(
            [w[:, 0] ** 2, mean[:, 0] ** 2, mean.prod(axis=1), np.log(v[:, 0]), v[:, 0] ** -1],
            axis=1,
        )

    one, other = functions(found), functions(expected)
    z = (one.mean(axis=0) - other.mean(axis=0)) / np.sqrt(
        (one.var(axis=0) + other.var(axis=0)) / 400
    )
    assert np.abs(z).max() < 4.5


def test_one_component_has_its_conjugate_posterior():
    x = np.random.default_rng(0).normal(1.0, 1.0, 30)
    found = gibbs.sample(Data(x, np.ones(30)), PRIOR, 1, np.random.default_rng(0), draws=2000)
    assert found.rows.shape == (4, 2000, 3, 1)
    assert np.all(found.occupied == 1.0)
    precision = found.rows[:, :, 2, 0] ** -2
    # E(1/v | mean) = (shape + n/2)/(scale + SS/2), averaged over the draws of the mean.
    squares = ((x[:, None, None] - found.rows[None, :, :, 1, 0]) ** 2).sum(axis=0)
    expected = (3.0 + 15.0) / (2.0 + 0.5 * squares)
    error = (precision - expected).std() / np.sqrt(8000)
    assert abs((precision - expected).mean()) < 4.5 * error


def test_counts_are_repetitions():
    x, counts = np.array([0.0, 1.0, 4.0]), np.array([3.0, 2.0, 4.0])
    one = gibbs.sample(Data(x, counts), PRIOR, 2, np.random.default_rng(0), draws=20)
    other = gibbs.sample(
        Data(np.repeat(x, counts.astype(int)), np.ones(9)), PRIOR, 2,
        np.random.default_rng(0), draws=20,
    )  # fmt: skip
    np.testing.assert_array_equal(one.rows, other.rows)
    with pytest.raises(ValueError, match="counts: are not whole numbers"):
        gibbs.sample(Data(x, counts + 0.5), PRIOR, 2, np.random.default_rng(0))


def test_components_that_are_not_needed_empty_where_the_weights_prior_is_small():
    data, rng = Data(GALAXIES, np.ones(82)), np.random.default_rng(0)
    few = gibbs.overfitted(data, rng, 0.01, draws=500)
    many = gibbs.overfitted(data, rng, 0.5, draws=500)
    assert few.probability.sum() == pytest.approx(1.0)
    assert few.probability[:5].sum() > 0.95  # of the galaxies' 3 to 5
    assert many.probability[5:].sum() > 0.8
    assert np.all(few.error >= 0.0)


def test_only_conjugate_priors():
    with pytest.raises(ValueError, match="is not of Dirichlet, one Normal, and InverseGamma"):
        gibbs.conjugate(Prior(Dirichlet(), Flat(), InverseGamma(1.0, 1.0)))
