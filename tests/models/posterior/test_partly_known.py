"""Posteriors of models that know some components in part: sampled, and held against a grid."""

import numpy as np
import pytest
from scipy.stats import norm

from models import Mixture, MixtureModel, fit
from models.posterior import methods as bayes
from models.priors import Dirichlet, Flat, InverseGamma, Normal, Prior
from tests.models.posterior.settings import rng, sample, stacked, z_score

# One number is not known, the mean of the second component.
ONE = MixtureModel(2, means=[0, None], sds=1.0, weights=[0.6, None])
WIDE = Prior(Dirichlet(2.0), Normal(1.0, 3.0), InverseGamma(2.0, 1.0))
GRID = np.linspace(-6.0, 8.0, 4_001)


def posterior_on_the_grid(x: np.ndarray) -> np.ndarray:
    likelihood = 0.6 * norm.pdf(x[:, None]) + 0.4 * norm.pdf(x[:, None] - GRID)
    logs = np.log(likelihood).sum(axis=0) + norm.logpdf(GRID, 1.0, 3.0)
    density = np.exp(logs - logs.max())
    return density / density.sum()


@pytest.mark.workflow
def test_the_posterior_of_one_free_mean_is_that_of_a_grid():
    """Mean and mean square within 4 Monte Carlo errors: a false alarm in 1 of 8,000."""
    data = sample(Mixture([0.6, 0.4], [0.0, 2.0], [1.0, 1.0]), 20, seed=3)
    exact = posterior_on_the_grid(data.x)
    found = bayes.nuts(data, ONE, ONE.admit(Mixture([0.6, 0.4], [0, 2], [1, 1])), rng(), prior=WIDE)
    draws = stacked(found)
    np.testing.assert_array_equal(draws[:, :, 0], np.broadcast_to([0.6, 0.4], draws[:, :, 0].shape))
    np.testing.assert_array_equal(draws[:, :, 1, 0], 0.0)
    mean = draws[:, :, 1, 1]
    assert z_score(mean, exact @ GRID) < 4
    assert z_score(mean**2, exact @ GRID**2) < 4
    assert found.exchangeable is False
    np.testing.assert_array_equal(np.asarray(found.se) > 0, ONE.free)


@pytest.mark.workflow
def test_the_mode_is_the_maximum_of_the_penalised_likelihood():
    x = sample(Mixture([0.8, 0.2], [0.0, 2.5], [1.0, 0.7]), 300, seed=1).x
    null = MixtureModel(2, means=[0, None], sds=[1, None])
    mode, em = (fit(method, x, null, penalty="chen") for method in ("map", "em"))
    assert (mode.verdict(), em.verdict()) == ("certified", "certified")
    assert mode.objective == pytest.approx(em.objective, rel=1e-12)
    np.testing.assert_allclose(mode.mixture.as_rows(), em.mixture.as_rows(), atol=1e-5)
    np.testing.assert_allclose(mode.se, em.se, rtol=1e-4)


@pytest.mark.workflow
def test_the_others_of_a_known_null_are_relabelled_among_themselves():
    """Chains start in both labellings of the two, so that sampled labels have not converged."""
    truth = Mixture([0.5, 0.3, 0.2], [0.0, -5.0, 6.0], [1.0, 1.0, 1.0])
    x = sample(truth, 150, seed=2).x
    model = MixtureModel(3, means=[None, 0, None], sds=1.0)
    for method in ("nuts", "nuts-ordered"):
        found = fit(method, x, model, prior=Prior(Dirichlet(2.0), Normal(0.0, 6.0), Flat()))
        assert found.status == "ok"
        assert found.model.known[1].tolist()[1] == 0.0
        assert (found.relabelled_draws[..., 1, 1] == 0.0).all()
        assert (found.relabelled_draws[..., 1, 0] < -2).all()
        errors = found.mixture.as_rows() - truth.by_mean().as_rows()
        assert (np.abs(errors) <= 4 * np.asarray(found.se)).all()  # false alarm: 1 in 3,000
    raw = found.draws["posterior"]["means"].to_numpy()
    assert (raw[..., 1] == 0.0).all()
