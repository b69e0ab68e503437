"""NUTS against exact posteriors, other samplers and itself; labels, orders and options."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from arviz_stats.base import array_stats
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from models import fit
from models.em import em
from models.likelihood import moments
from models.mixture import Floats, Mixture, draws_by_mean
from models.model import MixtureModel
from models.posterior import methods as bayes
from models.posterior import sampling
from models.priors import (
    Dirichlet,
    Flat,
    InverseGamma,
    LogInverseGamma,
    Normal,
    Prior,
)
from models.sample import Data
from tests.models.posterior.settings import THREE, TWO, WEIGHTS_ONLY, rng, sample, stacked, z_score
from tests.models.strategies import SECOND_ARTICLE

pytestmark = pytest.mark.filterwarnings("error")


def quadrature(data: Data, prior: Prior, model: MixtureModel) -> tuple[float, float]:
    """Posterior mean and variance of the first weight, the components known, on a fine grid."""
    assert model.means is not None
    assert model.sds is not None
    grid = (np.arange(4000) + 0.5) / 4000
    mixtures = [Mixture([w, 1 - w], model.means, model.sds) for w in grid]
    logs = np.array(
        [moments(m, data.x, data.counts).loglik + prior.log_density(m, model) for m in mixtures]
    )
    p = np.exp(logs - logs.max())
    p /= p.sum()
    mean = float(p @ grid)
    return mean, float(p @ (grid - mean) ** 2)


def test_nuts_with_known_components_agrees_with_quadrature():
    """False-alarm rate: two normal tests at 4 standard errors, 1.3e-4."""
    data = sample(Mixture([0.8, 0.2], [0.0, 2.0], [1.0, 1.0]), 100)
    start = Mixture([0.5, 0.5], WEIGHTS_ONLY.means, WEIGHTS_ONLY.sds)
    found = bayes.nuts(data, WEIGHTS_ONLY, start, rng(1), draws=2000)
    mean, variance = quadrature(data, Prior.default(data), WEIGHTS_ONLY)
    w = stacked(found)[:, :, 0, 0]
    assert z_score(w, mean) < 4
    assert z_score((w - mean) ** 2, variance) < 4
    assert found.converged
    np.testing.assert_array_equal(found.mixture.means, WEIGHTS_ONLY.means)
    np.testing.assert_allclose(found.se, [[w.std(ddof=1)] * 2, [0, 0], [0, 0]], rtol=1e-6)


def metropolis(
    log_density: Callable[[Floats], float], start: Floats, covariance: Floats, n: int
) -> Floats:
    """(4, n, d): random-walk draws of 4 chains, after as many again / 10 to warm up."""
    random = rng(11)
    factor = 2.38 / math.sqrt(start.size) * np.linalg.cholesky(covariance)
    warm_up = n // 10
    chains = np.empty((4, warm_up + n, start.size))
    for chain in chains:
        at, value = start, log_density(start)
        for i, move in enumerate(random.standard_normal(chain.shape) @ factor.T):
            proposed = log_density(at + move)
            if math.log(random.random()) < proposed - value:
                at, value = at + move, proposed
            chain[i] = at
    return chains[:, warm_up:]


def test_nuts_agrees_with_metropolis():
    """Means and second moments of five parameters; false-alarm rate: 10 tests at 4, 6e-4."""
    data, model = sample(SECOND_ARTICLE, 300), MixtureModel()
    prior = Prior.default(data)
    mode = bayes.map_estimate(data, model, SECOND_ARTICLE, rng())

    def log_density(eta: Floats) -> float:
        mixture = model.unpack(eta)
        loglik = moments(mixture, data.x, data.counts).loglik
        jacobian = np.log(mixture.weights).sum() + 2 * np.log(mixture.sds).sum()
        return loglik + prior.log_density(mixture, model) + float(jacobian)

    covariance = np.linalg.inv(mode.prior.derivatives(mode.mixture, model, data)[1])
    reference = metropolis(log_density, model.pack(mode.mixture), covariance, 10_000)
    found = bayes.nuts(data, model, SECOND_ARTICLE, rng(3))
    draws = draws_by_mean(stacked(found)).reshape(4, -1, 6)[:, :, 1:]
    rows = np.array([model.unpack(eta).as_rows() for eta in reference.reshape(-1, 5)])
    for j, truth in enumerate(np.moveaxis(rows.reshape(4, -1, 6)[:, :, 1:], 2, 0)):
        for power in (1, 2):
            own, other = ((d - truth.mean()) ** power for d in (draws[:, :, j], truth))
            ess = array_stats.ess(other, chain_axis=0, draw_axis=1, method="mean")
            assert z_score(own, other.mean(), other.var() / ess) < 4
    np.testing.assert_allclose(found.mixture.as_rows().ravel()[1:], draws.mean(axis=(0, 1)))
    np.testing.assert_allclose(found.se.ravel()[1:], draws.std(axis=(0, 1)), rtol=1e-3)


@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_chains_are_spread_evenly_over_the_labellings(chains, k, seed):
    found = sampling.labellings(chains, k, np.random.default_rng(seed))
    assert found.shape == (chains, k)
    np.testing.assert_array_equal(np.sort(found, axis=1), np.tile(np.arange(k), (chains, 1)))
    _, times = np.unique(found, axis=0, return_counts=True)
    assert len(times) == min(chains, math.factorial(k))
    assert times.max() <= -(-chains // math.factorial(k))


def test_nuts_draws_have_all_parameters_in_data_units():
    data = sample(TWO, 300)
    found = bayes.nuts(data, MixtureModel(), TWO, rng(), draws=200, tune=200, max_draws=None)
    draws = stacked(found)
    assert found.draws["posterior"]["weights"].dims == ("chain", "draw", "component")
    assert set(found.draws.children) == {"posterior", "sample_stats"}
    np.testing.assert_allclose(draws[:, :, 0].sum(axis=-1), 1.0, rtol=1e-12)
    assert draws.shape == (4, 200, 3, 2)
    first_is_lower = (draws[:, :, 1, 0] < draws[:, :, 1, 1]).mean(axis=1)
    assert sorted(first_is_lower) == [0.0, 0.0, 1.0, 1.0]  # two chains in each labelling
    stats = found.draws["sample_stats"]
    assert {"diverging", "n_steps", "tree_depth", "energy"} <= set(stats.data_vars)
    assert found.evaluations["gradients"] > stats["n_steps"].sum()


def test_nuts_under_a_prior_on_log_sds_agrees_with_the_conjugate_posterior():
    """One component with a known mean: the variance is InverseGamma(shape + n/2, scale + SS/2).

    False-alarm rate of the two means 1e-4 at |z| < 4.1.
    """
    data, shape, scale = sample(Mixture([1.0], [0.0], [2.0]), 6, seed=3), 3.0, 5.0
    prior = Prior(Flat(), Flat(), LogInverseGamma(shape, scale))
    found = bayes.nuts(
        data, MixtureModel(1, means=0.0), Mixture([1.0], [0.0], [2.0]), rng(2), prior=prior
    )
    sds = stacked(found)[:, :, 2, 0]
    posterior = stats.invgamma(shape + 3.0, scale=scale + 0.5 * float(data.x @ data.x))
    assert z_score(sds**2, posterior.mean()) < 4.1
    assert z_score(np.log(sds), 0.5 * posterior.expect(np.log)) < 4.1
    # One component needs no order.
    ordered = bayes.nuts_ordered(
        data, MixtureModel(1, means=0.0), Mixture([1.0], [0.0], [2.0]), rng(2), prior=prior
    )
    np.testing.assert_array_equal(stacked(ordered), stacked(found))


def test_ordered_means_ascend_and_agree_with_the_exchangeable_model(capfd):
    """Well separated, so that the order cuts nothing; 5 tests at 4: false-alarm rate 3e-4."""
    data, model = sample(TWO, 300), MixtureModel()
    free = bayes.nuts(data, model, TWO, rng(5))
    ordered = bayes.nuts_ordered(data, model, TWO.permuted([1, 0]), rng(6))
    draws = stacked(ordered)
    assert np.all(draws[:, :, 1, 0] < draws[:, :, 1, 1])
    other = draws_by_mean(stacked(free)).reshape(4, -1, 6)
    for j, own in enumerate(np.moveaxis(draws.reshape(4, -1, 6), 2, 0)):
        ess = array_stats.ess(other[:, :, j], chain_axis=0, draw_axis=1, method="mean")
        assert z_score(own, other[:, :, j].mean(), other[:, :, j].var() / ess) < 4
    assert capfd.readouterr() == ("", "")


def test_labels_stay_as_sampled_where_the_prior_tells_the_components_apart():
    """The prior's order is against that of the means, and components overlap, so that draws cross.

    The labelled posterior of a narrow prior is the exchangeable one, reweighted by the ratio of
    the two priors over both labellings of each draw; false-alarm rate: 3 tests at 4, 2e-4.
    """
    data, model = sample(Mixture([0.5, 0.5], [0.0, 1.0], [1.0, 1.0]), 100), MixtureModel()
    sds = InverseGamma(50.0, 50.0)  # near 1
    flat, narrow = (Prior(Dirichlet(2.0), Normal(m, 1.0), sds) for m in (0.5, (1.0, 0.0)))
    found = bayes.nuts(data, model, Mixture([0.5, 0.5], [0.0, 1.0], [1, 1]), rng(1), prior=narrow)
    draws = stacked(found)
    assert not found.exchangeable
    assert 0.02 < np.mean(draws[:, :, 1, 0] < draws[:, :, 1, 1]) < 0.4
    np.testing.assert_allclose(found.mixture.as_rows(), draws.mean(axis=(0, 1)), rtol=1e-12)
    np.testing.assert_allclose(found.se, draws.std(axis=(0, 1), ddof=1), rtol=1e-12)

    free = stacked(bayes.nuts(data, model, TWO, rng(2), prior=flat, draws=4000))
    both = np.stack([free, free[..., ::-1]])
    gain = [stats.norm(m, 1.0).logpdf(both[..., 1, :]).sum(axis=-1) for m in ((1.0, 0.0), 0.5)]
    weights = np.exp(gain[0] - gain[1])
    for row, component in ((0, 0), (1, 0), (1, 1)):
        expected = float((weights * both[..., row, component]).sum() / weights.sum())
        influence = (weights * (both[..., row, component] - expected)).mean(axis=0)
        influence /= weights.mean()
        ess = array_stats.ess(influence, chain_axis=0, draw_axis=1, method="mean")
        assert z_score(draws[:, :, row, component], expected, influence.var() / ess) < 4


def test_a_fit_under_an_asymmetric_prior_has_its_draws_labels():
    x = sample(Mixture([0.5, 0.5], [0.0, 1.0], [1.0, 1.0]), 100).x
    prior = Prior(Dirichlet(2.0), Normal((1.0, 0.0), 1.0), InverseGamma(2.0, 0.5))
    found = fit("nuts", x, rng=1, prior=prior, draws=200, tune=200, max_draws=None)
    whole = found.relabelled_draws
    np.testing.assert_allclose(whole.mean(axis=(0, 1)), found.mixture.as_rows(), rtol=1e-12)
    assert not np.all(np.diff(whole[:, :, 1]) > 0)
    assert not found.exchangeable
    assert not fit("map", x, prior=prior).exchangeable


def test_three_components_with_equal_sds():
    data, model = sample(THREE, 300), MixtureModel(3, equal_sds=True)
    found = bayes.nuts(data, model, THREE, rng(), draws=300, tune=500)
    mle = em(data, model, THREE, rng())
    assert np.all(np.diff(found.mixture.means) > 0)
    assert np.ptp(found.mixture.sds) < 1e-12
    assert np.all(np.abs(found.mixture.as_rows() - mle.mixture.as_rows()) < found.se)


def test_what_sampling_needs_is_checked():
    data, model = sample(TWO, 50), MixtureModel()
    bad = {
        "draws": 0,
        "tune": 0,
        "chains": 0.5,
        "cores": True,
        "target_accept": 1.0,
        "prior": "flat",
    }
    for name, value in bad.items():
        with pytest.raises(ValueError, match=rf"^{name}: "):
            bayes.nuts(data, model, TWO, rng(), **{name: value})
    for name, value in {"max_iter": 0, "prior": Flat()}.items():
        with pytest.raises(ValueError, match=rf"^{name}: "):
            bayes.map_estimate(data, model, TWO, rng(), **{name: value})


def test_ordering_is_nuts_itself_where_known_parameters_tell_the_components_apart():
    data, model = sample(TWO, 100), MixtureModel(means=TWO.means)
    few = {"draws": 50, "tune": 100, "max_draws": None}
    one = bayes.nuts(data, model, TWO, rng(2), **few)
    other = bayes.nuts_ordered(data, model, TWO, rng(2), **few)
    np.testing.assert_array_equal(stacked(one), stacked(other))


def test_nothing_to_estimate():
    data, model = sample(TWO, 50), MixtureModel(1, means=[0.0], sds=[1.0])
    start = Mixture([1.0], [0.0], [1.0])
    for method in (bayes.map_estimate, bayes.nuts, bayes.nuts_ordered):
        assert method(data, model, start, rng()).mixture == start


@pytest.mark.parametrize("exponent", [0, -500])
def test_draws_are_in_data_units_whatever_frame_the_fit_ran_in(exponent):
    """An offset of 1e12 sds, or a scale whose squares underflow: the same draws, moved."""
    offset = 2.0**42 if exponent == 0 else 0.0
    x = np.round(TWO.sample(60, rng())[0] * 2**10) / 2**10
    few = {"draws": 30, "tune": 30, "chains": 2}
    here, there = fit("nuts", x, **few), fit("nuts", np.ldexp(x, exponent) + offset, **few)
    means, sds = (there.draws["posterior"][name].values for name in ("means", "sds"))
    first = here.draws["posterior"]
    np.testing.assert_allclose(
        np.ldexp(means - offset, -exponent), first["means"].values, atol=2e-3, rtol=1e-6
    )
    np.testing.assert_allclose(np.ldexp(sds, -exponent), first["sds"].values, rtol=1e-4)
    np.testing.assert_allclose(np.ldexp(there.se[2], -exponent), here.se[2], rtol=1e-4)
    low, high = there.interval(0.5)
    assert np.all((low.means < there.mixture.means) & (there.mixture.means < high.means))


def test_a_panic_of_the_sampler_is_a_failed_fit(monkeypatch):
    """As where the gradient at the start is no number; anything else that is no error goes on."""

    class PanicException(BaseException):
        pass

    def broken(error):
        def sample(*arguments, **settings):
            raise error

        return sample

    x = TWO.sample(60, rng())[0]
    monkeypatch.setattr("nutpie.sample", broken(PanicException("Poisoned")))
    result = fit("nuts", x, draws=30, tune=30, chains=2)
    assert result.status == "failed"
    assert "the sampler cannot go on from here: Poisoned" in result.message
    monkeypatch.setattr("nutpie.sample", broken(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        fit("nuts", x, draws=30, tune=30, chains=2)
