import numpy as np
import pytest
from hypothesis import given, settings

from models import Mixture, MixtureModel, fit
from models.em import _log_penalty, e_step, em, em_squarem, m_step, squarem
from models.likelihood import complete_information, information, second_moments
from models.priors import LogInverseGamma
from models.sample import Data, unit_free
from tests.models.strategies import SECOND_ARTICLE, mixtures, samples


@given(mixtures(), samples())
@settings(max_examples=50)
def test_em_never_falls(mixture, sample):
    """By more than 8 eps |loglik|, for every kind of model."""
    data = Data(*sample)
    k = mixture.k
    for model in (
        MixtureModel(k),
        MixtureModel(k, equal_sds=True),
        MixtureModel(k, means=mixture.means),
        MixtureModel(k, sds=mixture.sds),
        MixtureModel(k, mixture.means, mixture.sds),
    ):
        current, before = model.admit(mixture), -np.inf
        for _ in range(10):
            expected = e_step(current, data)
            assert expected.loglik >= before - 8 * np.finfo(float).eps * abs(expected.loglik)
            before = expected.loglik
            current = m_step(current, expected, model)
            if current.sds.min() < data.sd_floor:
                break


@given(mixtures(), samples())
@settings(max_examples=50)
def test_each_step_keeps_the_first_two_moments_of_the_data(mixture, sample):
    """Errors: rounding of sums of n terms about components that may lie far from the data."""
    data = Data(*sample)
    after = m_step(mixture, e_step(mixture, data), MixtureModel(mixture.k))
    reach = max(np.abs(mixture.means - data.mean).max(), data.sd) + mixture.sds.max()
    assert abs(after.mean - data.mean) <= 1e-13 * reach
    assert abs(after.variance - data.sd**2) <= 1e-12 * reach**2


def test_an_em_step_is_the_weighted_maximum_likelihood_fit():
    x, _ = SECOND_ARTICLE.sample(500, np.random.default_rng(0))
    start = Mixture([0.5, 0.5], [0.0, 8.0], [2.0, 2.0])
    after = m_step(start, e_step(start, Data(x, np.ones(500))), MixtureModel(2))
    t = start.responsibilities(x)
    for j in range(2):
        mean = np.average(x, weights=t[:, j])
        assert after.weights[j] == pytest.approx(t[:, j].mean(), rel=1e-13)
        assert after.means[j] == pytest.approx(mean, rel=1e-13)
        sd = np.sqrt(np.average((x - mean) ** 2, weights=t[:, j]))
        assert after.sds[j] == pytest.approx(sd, rel=1e-12)


def test_the_rate_is_that_of_the_missing_information():
    """Steps shrink by the largest eigenvalue of I - Ic^-1 Io (Dempster, Laird and Rubin 1977)."""
    x, _ = SECOND_ARTICLE.sample(5000, np.random.default_rng(3))
    result = fit("em", x, trace=True, tol=1e-11)
    model, second = MixtureModel(2), second_moments(result.mixture, x, np.ones(x.size))
    observed = information(result.mixture, second)
    complete = complete_information(result.mixture, second)
    rate = np.linalg.eigvals(np.eye(5) - np.linalg.solve(complete, observed)).real.max()
    path = np.stack([model.pack(Mixture(*row)) for row in result.trace.parameters])
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    late = steps[-30:-10]
    np.testing.assert_allclose(late[1:] / late[:-1], rate, rtol=2e-3)
    assert rate == pytest.approx(0.898, abs=0.01)


def test_squarem_reaches_the_fixed_point_of_any_map():
    """A linear contraction towards (1, 2) with rates .99 and .5, objective its distance."""
    target, rates = np.array([1.0, 2.0]), np.array([0.99, 0.5])

    def step(theta):
        error = theta - target
        return -float(error @ error), target + rates * error

    theta, cycles, moved = squarem(step, np.array([5.0, -5.0]), tol=1e-10, max_iter=200)
    np.testing.assert_allclose(theta, target, atol=1e-7)
    assert moved <= 1e-10
    assert cycles < 60  # the map alone would need 2,400 steps


def test_squarem_takes_em_far_fewer_passes_to_the_same_place():
    truth = Mixture([0.5, 0.5], [0.0, 2.0], [1.0, 1.0])
    x, _ = truth.sample(2000, np.random.default_rng(5))
    slow, fast = fit("em", x), fit("em-squarem", x)
    np.testing.assert_allclose(fast.mixture.as_rows(), slow.mixture.as_rows(), atol=1e-5)
    assert fast.evaluations["moments"] < slow.evaluations["moments"] / 4


def test_the_trace_is_whole_and_rises():
    x, _ = SECOND_ARTICLE.sample(300, np.random.default_rng(1))
    result = fit("em", x, trace=True)
    assert result.trace.loglik.shape == (result.n_iter + 1,)
    assert np.all(np.diff(result.trace.loglik) >= -8 * 2.3e-16 * abs(result.loglik))
    np.testing.assert_array_equal(result.trace.parameters[-1], result.mixture.as_rows())
    np.testing.assert_array_equal(result.trace.parameters[0], result.start.as_rows())


def test_the_stop_is_on_the_parameters_not_on_the_loglik():
    """A stop on mean gains below 1e-3 ends tens of nats short here; this one ends certified."""
    x, _ = SECOND_ARTICLE.sample(5000, np.random.default_rng(1))
    start = Mixture([0.5, 0.5], [4.0, 6.0], [3.0, 3.0])
    result = fit("em", x, start=start, trace=True)
    gains = np.diff(result.trace.loglik) / 5000
    early = result.trace.loglik[1 + np.argmax(gains < 1e-3)]
    assert result.loglik - early > 10
    assert result.certificate.certified


@pytest.mark.parametrize(
    "model", [MixtureModel(), MixtureModel(equal_sds=True), MixtureModel(2, [1.0, 9.0], [2.0, 3.0])]
)
@pytest.mark.parametrize("options", [{}, {"min_gain": 1e-3}, {"max_iter": 7}])
def test_the_compiled_loop_is_the_written_one_to_the_bit(model, options):
    x, _ = SECOND_ARTICLE.sample(400, np.random.default_rng(2))
    counts = np.random.default_rng(3).integers(1, 4, x.size)
    fast = fit("em", x, model, counts=counts, **options)
    slow = fit("em", x, model, counts=counts, trace=True, **options)
    np.testing.assert_array_equal(fast.mixture.as_rows(), slow.mixture.as_rows())
    assert (fast.n_iter, fast.message, fast.converged) == (
        slow.n_iter,
        slow.message,
        slow.converged,
    )
    assert fast.evaluations == slow.evaluations


@pytest.mark.parametrize("model", [MixtureModel(), MixtureModel(equal_sds=True)])
@pytest.mark.parametrize("penalty", [None, "chen"])
def test_the_path_of_the_loop_is_m_steps_of_e_steps(model, penalty):
    """Up to what another compilation of the same step may round differently, a few eps."""
    x, _ = SECOND_ARTICLE.sample(400, np.random.default_rng(2))
    data = Data(x, np.ones(x.size))
    pull = None if penalty is None else LogInverseGamma.penalty(data, penalty)
    path = fit("em", x, model, trace=True, penalty=penalty, max_iter=20).trace
    for i, rows in enumerate(path.parameters[:-1]):
        expected = e_step(Mixture(*rows), data)
        assert path.loglik[i] == expected.loglik
        after = m_step(Mixture(*rows), expected, model, pull)
        np.testing.assert_allclose(path.parameters[i + 1], after.as_rows(), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("model", [MixtureModel(), MixtureModel(equal_sds=True)])
@pytest.mark.parametrize("penalty", [None, "chen"])
def test_compiled_squarem_is_squarem_around_the_em_map(model, penalty):
    """Three cycles of it: each lengthens differences of rounding by a step length, at most 64."""
    x, _ = SECOND_ARTICLE.sample(400, np.random.default_rng(2))
    data, start = Data(x, np.ones(x.size)), Mixture([0.5, 0.5], [1.0, 8.0], [2.0, 2.0])
    pull = None if penalty is None else LogInverseGamma.penalty(data, penalty)
    shift, scale = unit_free(data, model)

    def step(theta):
        mixture = model.unpack(shift + scale * theta)
        expected = e_step(mixture, data)
        objective = expected.loglik + _log_penalty(pull, mixture, model)
        return objective, (model.pack(m_step(mixture, expected, model, pull)) - shift) / scale

    theta = (model.pack(start) - shift) / scale
    theta, cycles, _ = squarem(step, theta, tol=1e-9, max_iter=3)
    result = em_squarem(data, model, start, np.random.default_rng(0), max_iter=3, penalty=penalty)
    assert result.n_iter == cycles == 3
    np.testing.assert_allclose(
        result.mixture.as_rows(), model.unpack(shift + scale * theta).as_rows(), rtol=1e-9
    )


def test_a_stop_on_the_gain_ends_at_the_first_iterate_that_gains_less():
    x, _ = SECOND_ARTICLE.sample(2000, np.random.default_rng(2))
    start = Mixture([0.5, 0.5], [4.0, 6.0], [3.0, 3.0])
    result = fit("em", x, start=start, min_gain=1e-5, trace=True)
    gains = np.diff(result.trace.loglik)
    assert gains[-1] < 1e-5 <= gains[:-1].min()
    assert result.converged
    assert result.n_iter == gains.size == result.evaluations["moments"] - 1
    whole = fit("em", x, start=start, trace=True)
    np.testing.assert_array_equal(
        whole.trace.parameters[: result.n_iter + 1], result.trace.parameters
    )


def test_collapse_ends_em():
    data = Data(np.array([0.0, 0.0, 0.0, 1.0, 2.0, 3.0]), np.ones(6))
    start = Mixture([0.5, 0.5], [0.0, 2.0], [1e-3, 1.0])
    with pytest.raises(ArithmeticError, match="collapsed"):
        em(data, MixtureModel(2), start, np.random.default_rng(0))
