"""The posterior mode: the MLE under flat priors, stationary, and free of units and labels."""

import numpy as np
import pytest

from models.em import em
from models.likelihood import moments
from models.mixture import Floats, Mixture
from models.model import MixtureModel
from models.posterior import density as pymc_model_of
from models.posterior import methods as bayes
from models.posterior import sampling
from models.priors import (
    Dirichlet,
    InverseGamma,
    Normal,
    Prior,
)
from models.sample import Data
from models.solution import Collapse
from tests.models.posterior.settings import TWO, rng, sample
from tests.models.strategies import SECOND_ARTICLE

pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize(
    ("truth", "model"),
    [(TWO, MixtureModel()), (SECOND_ARTICLE, MixtureModel()), (TWO, MixtureModel(1))],
)
def test_map_under_flat_priors_is_the_mle(truth: Mixture, model: MixtureModel):
    data = sample(truth, 400, seed=2)
    one = Mixture([1.0], [truth.mean], [1.0])
    start = model.admit(truth if model.k == truth.k else one)
    mode = bayes.map_estimate(data, model, start, rng(), prior=Prior.flat())
    mle = em(data, model, start, rng(), tol=1e-13, max_iter=5000).mixture
    np.testing.assert_allclose(mode.mixture.as_rows(), mle.as_rows(), rtol=1e-8, atol=1e-8)
    assert mode.converged


@pytest.mark.parametrize("asymmetric", [False, True])
def test_map_is_where_the_log_posterior_is_stationary_and_concave(asymmetric):
    data, model = sample(TWO, 300, counts=True), MixtureModel()
    prior = Prior.asymmetric(data, 2, 0.1) if asymmetric else Prior.default(data)
    found = bayes.map_estimate(data, model, TWO, rng(), prior=prior)
    eta = model.pack(found.mixture)

    def log_posterior(e: Floats) -> float:
        mixture = model.unpack(e)
        return moments(mixture, data.x, data.counts).loglik + prior.log_density(mixture, model)

    steps = 1e-4 * np.eye(model.n_free)
    score = [(log_posterior(eta + h) - log_posterior(eta - h)) / 2e-4 for h in steps]
    second = [
        log_posterior(eta + h) - 2 * log_posterior(eta) + log_posterior(eta - h) for h in steps
    ]
    assert found.prior == prior
    gradient, information = prior.derivatives(found.mixture, model, data)
    np.testing.assert_allclose(score, 0.0, atol=1e-4)
    np.testing.assert_allclose(np.diag(information), -np.array(second) / 1e-8, rtol=1e-3)
    assert gradient @ np.linalg.solve(information, gradient) < 1e-12


def test_map_of_counts_is_the_map_of_repeated_data():
    counted = sample(TWO, 200, counts=True)
    repeated = np.repeat(counted.x, counted.counts.astype(int))
    pair = [counted, Data(repeated, np.ones(repeated.size))]
    one, other = (bayes.map_estimate(d, MixtureModel(), TWO, rng()).mixture for d in pair)
    np.testing.assert_allclose(one.as_rows(), other.as_rows(), rtol=1e-7)


def test_map_moves_with_the_units_of_the_data():
    data = sample(TWO, 300)
    moved = Data(1e4 - 1e3 * data.x, data.counts)
    start = Mixture(TWO.weights, 1e4 - 1e3 * TWO.means, 1e3 * TWO.sds)
    a = bayes.map_estimate(data, MixtureModel(), TWO, rng()).mixture
    b = bayes.map_estimate(moved, MixtureModel(), start, rng()).mixture
    np.testing.assert_allclose(b.weights, a.weights, rtol=1e-8)
    np.testing.assert_allclose(b.means, 1e4 - 1e3 * a.means, rtol=1e-8)
    np.testing.assert_allclose(b.sds, 1e3 * a.sds, rtol=1e-8)


def test_map_keeps_the_labels_of_its_start():
    data, swap = sample(TWO, 300), [1, 0]
    a = bayes.map_estimate(data, MixtureModel(), TWO, rng()).mixture
    b = bayes.map_estimate(data, MixtureModel(), TWO.permuted(swap), rng()).mixture
    np.testing.assert_allclose(b.as_rows(), a.permuted(swap).as_rows(), rtol=1e-8)


def test_map_raises_collapse_where_the_likelihood_is_unbounded():
    data = sample(TWO, 100)
    start = Mixture([0.01, 0.99], [data.x[0], 3.0], [1e-3, 2.0])
    with pytest.raises(Collapse):
        bayes.map_estimate(data, MixtureModel(), start, rng(), prior=Prior.flat())
    bounded = bayes.map_estimate(data, MixtureModel(), start, rng())
    assert bounded.converged
    assert bounded.mixture.sds.min() > 0.01 * data.sd


def test_map_trace_climbs_from_the_start_to_the_mode():
    data = sample(TWO, 200)
    found = bayes.map_estimate(data, MixtureModel(), TWO, rng(), trace=True, prior=Prior.flat())
    path = found.trace
    np.testing.assert_array_equal(path.parameters[0], TWO.as_rows())
    np.testing.assert_array_equal(path.parameters[-1], found.mixture.as_rows())
    assert len(path.loglik) == found.n_iter + 1
    assert path.loglik[-1] == pytest.approx(path.loglik.max(), abs=1e-9)


def test_an_asymmetric_prior_starts_its_methods_where_it_likes_best():
    data, model = sample(TWO, 100), MixtureModel()
    prior = Prior(Dirichlet(2.0), Normal((4.0, 0.0), 1.0), InverseGamma(2.0, 1.0))
    swapped = TWO.permuted([1, 0])
    modes = [bayes.map_estimate(data, model, m, rng(), prior=prior) for m in (TWO, swapped)]
    np.testing.assert_array_equal(*(mode.mixture.as_rows() for mode in modes))
    assert modes[0].mixture.means[0] > modes[0].mixture.means[1]
    posterior = pymc_model_of.Posterior(data, model, prior)
    starts = [sampling.starting_points(posterior, TWO)(seed) for seed in range(8)]
    np.testing.assert_allclose(starts, np.tile(posterior.point(swapped), (8, 1)), atol=0.5)
