"""Marginal likelihoods against quadrature and other samplers; LOO and WAIC against definitions."""

import math

import numpy as np
import pytest
from scipy.special import gammaln, logsumexp, ndtri

from models import MixtureModel, fit
from models.inference.chains import effective
from models.mixture import Mixture
from models.posterior import gibbs
from models.posterior.evidence import (
    Evidence,
    bridge,
    laplace,
    pointwise,
    posterior_of_k,
    predictions,
)
from models.priors import Dirichlet, InverseGamma, Normal, Prior
from models.sample import Data
from tests.models.galaxies import GALAXIES

DATA = Data(GALAXIES, np.ones(82))
PRIOR = Prior(Dirichlet(1.0), Normal(20.0, 10.0), InverseGamma(3.0, 20.0))
# By quadrature over the mean, in closed form given it over the variance, to 1e-9.
ONE = -246.024655


def posterior(k, seed=0, draws=1000):
    rng = np.random.default_rng(seed)
    return gibbs.sample(DATA, PRIOR, k, rng, draws=draws, tune=300).rows


def of_one_component(x):
    """The log marginal likelihood of one component.

    Over the variance, given the mean, the integral is an inverse gamma's constant; over the mean it
    is a sum on a grid, whose ends the density does not reach.
    """
    n, shape, scale = x.size, 3.0 + 0.5 * x.size, 20.0
    centre, step = x.mean(), 0.01 * x.std() / math.sqrt(n)
    mean = centre + step * np.arange(-1500, 1501)
    squares = ((x - centre) ** 2).sum() + n * (mean - centre) ** 2
    logs = -shape * np.log(scale + 0.5 * squares) - 0.5 * ((mean - 20) / 10) ** 2
    constant = 3.0 * math.log(scale) - gammaln(3.0) + gammaln(shape)
    constant -= 0.5 * (n + 1) * math.log(2 * math.pi) + math.log(10)
    return logsumexp(logs) + math.log(step) + constant


def test_one_component_by_quadrature():
    value = of_one_component(GALAXIES)
    assert value == pytest.approx(ONE, abs=1e-5)
    rng = np.random.default_rng(0)
    found = bridge(DATA, MixtureModel(1), PRIOR, posterior(1), rng)
    # Seed fixed; 4 errors: one run in 16,000 would fail.
    assert abs(found.value - value) < 4 * found.error < 0.05
    start = [Mixture([1], [20], [4])]
    assert laplace(DATA, MixtureModel(1), PRIOR, start).value == pytest.approx(value, abs=0.02)


def test_known_components_by_quadrature_in_one_dimension():
    """Draws of the weight from its posterior by inversion on a grid."""
    model = MixtureModel(2, means=[0, 2], sds=[1, 1])
    x, _ = Mixture([0.7, 0.3], [0, 2], [1, 1]).sample(60, np.random.default_rng(3))
    prior = Prior(Dirichlet(2.0), PRIOR.means, PRIOR.sds)
    w = (np.arange(200_000) + 0.5) / 200_000
    parts = Mixture([0.5, 0.5], [0, 2], [1, 1]).log_joint(x) + math.log(2)
    first, second = np.exp(parts).T
    step = range(0, w.size, 20_000)
    logs = np.concatenate(
        [np.log(np.outer(w[i : i + 20_000], first - second) + second).sum(axis=1) for i in step]
    )
    logs += np.log(6 * w * (1 - w))
    value = logsumexp(logs) - math.log(w.size)
    rng = np.random.default_rng(0)
    weights = np.exp(logs - logsumexp(logs))
    drawn = rng.choice(w, size=(4, 1000), p=weights / weights.sum())
    rows = np.empty((4, 1000, 3, 2))
    rows[:, :, 0] = np.stack([drawn, 1 - drawn], axis=-1)
    rows[:, :, 1], rows[:, :, 2] = [0, 2], [1, 1]
    found = bridge(Data(x, np.ones(60)), model, prior, rows, rng)
    assert abs(found.value - value) < 4 * found.error < 0.05
    start = [Mixture([0.7, 0.3], [0, 2], [1, 1])]
    near = laplace(Data(x, np.ones(60)), model, prior, start).value
    assert near == pytest.approx(value, abs=0.1)


@pytest.mark.parametrize(
    ("k", "value", "error"), [(2, -232.79, 0.05), (3, -226.55, 0.15), (4, -226.37, 0.13)]
)
def test_more_components_by_tempered_smc(k, value, error):
    """By 4 x 4,000 particles, with the standard error of their mean."""
    found = bridge(DATA, MixtureModel(k), PRIOR, posterior(k), np.random.default_rng(1))
    assert found.error < 0.1
    assert abs(found.value - value) < 4 * np.hypot(found.error, error)


def test_it_does_not_matter_which_labellings_the_draws_visit():
    rows = posterior(3, draws=300)
    one = np.take_along_axis(rows, np.argsort(rows[:, :, 1], axis=-1)[:, :, None], axis=-1)
    order = np.random.default_rng(1).permuted(np.tile(np.arange(3), (4, 300, 1)), axis=-1)
    spread = np.take_along_axis(rows, order[:, :, None], axis=-1)
    found = [
        bridge(DATA, MixtureModel(3), PRIOR, own, np.random.default_rng(0))
        for own in (one, spread, rows)
    ]
    assert found[0] == found[1] == found[2]


def test_a_common_sd_and_another_prior_scale():
    """K = 1, where a common sd is the same model."""
    rows = posterior(1)
    one, other = (
        bridge(DATA, MixtureModel(1, equal_sds=equal), PRIOR, rows, np.random.default_rng(0))
        for equal in (False, True)
    )
    assert one.value == pytest.approx(other.value, abs=1e-9)


def test_units_shift_the_evidence_by_their_log_a_datum():
    moved = Data(10.0 * GALAXIES, np.ones(82))
    rows = posterior(2, draws=300)
    scaled = rows * np.array([1.0, 10.0, 10.0])[:, None]
    prior = PRIOR.standardised(0.0, 0.1)
    one = bridge(DATA, MixtureModel(2), PRIOR, rows, np.random.default_rng(0))
    other = bridge(moved, MixtureModel(2), prior, scaled, np.random.default_rng(0))
    assert other.value == pytest.approx(one.value - 82 * math.log(10), abs=1e-6)
    starts = [fit("newton", GALAXIES).mixture]
    near = laplace(DATA, MixtureModel(2), PRIOR, starts).value
    start = Mixture(starts[0].weights, 10 * starts[0].means, 10 * starts[0].sds)
    far = laplace(moved, MixtureModel(2), prior, [start]).value
    assert far == pytest.approx(near - 82 * math.log(10), abs=1e-6)


def test_laplaces_error_falls_like_one_over_n():
    """Of one component, where the evidence is exact; the data are a normal's quantiles."""
    scaled = []
    for n in (50, 200, 800):
        x = 20.0 + 4.0 * ndtri((np.arange(n) + 0.5) / n)
        near = laplace(Data(x, np.ones(n)), MixtureModel(1), PRIOR, [Mixture([1], [20], [4])])
        scaled.append(n * (near.value - of_one_component(x)))
    assert abs(scaled[-1]) > 0.5
    np.testing.assert_allclose(np.diff(scaled)[1] / np.diff(scaled)[0], 0.25, atol=0.05)


@pytest.mark.workflow
def test_laplace_comes_near_bridge_sampling_like_one_over_n():
    """Of two components; beside 4 errors a quarter for the next order."""
    scaled, errors = [], []
    for n in (100, 400):
        parts = [ndtri((np.arange(m) + 0.5) / m) for m in (2 * n // 5, 3 * n // 5)]
        x = np.concatenate([10.0 + 3.0 * parts[0], 25.0 + 4.0 * parts[1]])
        data, rng = Data(x, np.ones(n)), np.random.default_rng(0)
        rows = gibbs.sample(data, PRIOR, 2, rng, draws=2000, tune=200).rows
        found = bridge(data, MixtureModel(2), PRIOR, rows, rng)
        start = [Mixture([0.4, 0.6], [10, 25], [3, 4])]
        near = laplace(data, MixtureModel(2), PRIOR, start)
        scaled.append(n * (near.value - found.value))
        errors.append(n * found.error)
        assert abs(scaled[-1]) > 5 * errors[-1]
    assert abs(scaled[1] - scaled[0]) < 4 * np.hypot(*errors) + 0.25 * abs(scaled[0])


def test_an_improper_prior_has_no_evidence():
    with pytest.raises(ValueError, match="prior: is flat on the weights, and leaves no marginal"):
        laplace(DATA, MixtureModel(2), Prior.flat(), [])


def test_models_that_know_a_part_are_refused():
    with pytest.raises(ValueError, match="knows a part of its parameters"):
        laplace(DATA, MixtureModel(2, means=[0, None]), PRIOR, [])


def test_probabilities_are_those_of_the_evidence_and_their_errors_by_the_delta_method():
    p, error = posterior_of_k([Evidence(-10.0, 0.1), Evidence(-11.0, 0.2), Evidence(np.nan)])
    expected = 1 / (1 + np.exp(-1.0))
    np.testing.assert_allclose(p, [expected, 1 - expected, 0.0])
    np.testing.assert_allclose(
        error[:2], expected * (1 - expected) * np.hypot(0.1, 0.2), rtol=1e-12
    )


def test_pointwise_terms_and_waic_by_definition():
    rows, x = posterior(2, draws=100), GALAXIES[::8]
    logs = pointwise(rows, x)
    assert logs.shape == (4, 100, x.size)
    one = Mixture.of_rows(rows[2, 7]).log_density(x)
    np.testing.assert_allclose(logs[2, 7], one, rtol=1e-12)
    loo, waic = predictions(rows, x)
    flat = logs.reshape(400, x.size)
    by = np.log(np.exp(flat).mean(axis=0)) - flat.var(axis=0, ddof=1)
    assert waic.value == pytest.approx(by.sum())
    assert waic.error == pytest.approx(np.sqrt(x.size) * by.std(ddof=1))
    twice, _ = predictions(rows, x, np.full(x.size, 2.0))
    assert twice.value == pytest.approx(2.0 * loo.value)


def test_loo_of_one_component_against_exact_refits():
    """Each observation left out by a sampler run of its own, its density averaged: 1e4 draws."""
    x = GALAXIES[:12]
    data = Data(x, np.ones(12))
    rows = gibbs.sample(data, PRIOR, 1, np.random.default_rng(0), draws=1000, tune=200).rows
    found, _ = predictions(rows, x)
    exact = []
    for i in range(12):
        rest = Data(np.delete(x, i), np.ones(11))
        own = gibbs.sample(rest, PRIOR, 1, np.random.default_rng(i), draws=1000, tune=200).rows
        logs = pointwise(own, x[i : i + 1])
        exact.append(logsumexp(logs) - math.log(logs.size))
    np.testing.assert_allclose(found.by, exact, atol=0.1)
    assert found.value == pytest.approx(sum(exact), abs=0.3)


@pytest.mark.workflow
def test_loo_of_three_components_against_exact_refits_of_the_galaxies():
    """Each of the 82 left out by a sampler of its own: 4.5 errors, one false alarm in 1,800.

    LOO's own error is that of a mean of 1/density, the refits' that of a mean density.
    """
    rows = posterior(3, draws=2000)
    found, _ = predictions(rows, GALAXIES)
    assert found.high == 0

    def relative(draws):
        return draws.var(axis=(0, 1)) / draws.mean(axis=(0, 1)) ** 2 / effective(draws)

    variance = relative(np.exp(-pointwise(rows, GALAXIES)))
    exact = np.empty(82)
    for i in range(82):
        rest, rng = Data(np.delete(GALAXIES, i), np.ones(81)), np.random.default_rng(i)
        own = gibbs.sample(rest, PRIOR, 3, rng, draws=500, tune=200).rows
        density = np.exp(pointwise(own, GALAXIES[i : i + 1]))
        exact[i] = np.log(density.mean())
        variance[i] += relative(density)[0]
    assert np.all(np.abs(found.by - exact) < 4.5 * np.sqrt(variance))
    assert np.sqrt(variance).max() < 0.1
    assert found.value == pytest.approx(exact.sum(), abs=4.0 * np.sqrt(82 * variance.sum()))


def test_arviz_compares_by_the_pointwise_terms():
    """Its own reading of the tree against ours: the same terms, but for the relative efficiency."""
    import arviz_stats

    x = GALAXIES[::4]
    one = fit("nuts", x, draws=100, tune=200, chains=2, max_draws=None)
    tree = one.pointwise(x)
    assert "log_likelihood" not in one.draws
    np.testing.assert_allclose(
        tree["log_likelihood"]["x"].values, pointwise(one.relabelled_draws, x), rtol=1e-12
    )
    theirs = arviz_stats.loo(tree, reff=1.0)
    ours, _ = predictions(one.relabelled_draws, x)
    assert theirs.elpd == pytest.approx(ours.value, abs=0.5)
    with pytest.raises(ValueError, match="draws: newton keeps none"):
        fit("newton", x).pointwise(x)
