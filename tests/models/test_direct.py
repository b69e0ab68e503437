"""Laws of models/direct.py: the objective's derivatives, and the bound on the sds' ratio."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import check_grad, minimize

from models import Mixture, MixtureModel, fit
from models.direct import Objective, RatioBounded
from models.mixture import Floats
from models.sample import Data
from tests.models.strategies import SECOND_ARTICLE, mixtures, samples

TIED = np.concatenate([np.zeros(5), np.random.default_rng(0).normal(5.0, 1.0, 50)])
ON_A_POINT = Mixture([0.1, 0.9], [0.0, 5.0], [1e-3, 1.0])
RATIO = 0.6


def example(seed: int) -> tuple[Data, MixtureModel, str | None]:
    """300 observations of 2 to 4 components, most of which break RATIO; a penalty or none."""
    rng, k = np.random.default_rng(seed), 2 + seed % 3
    truth = Mixture(rng.dirichlet(np.full(k, 4.0)), 3.0 * np.arange(k), rng.uniform(0.3, 3.0, k))
    x, _ = truth.sample(300, rng)
    return Data(x, np.ones(300)), MixtureModel(k), "chen" if seed % 2 else None


@given(mixtures(), st.integers(5, 300), st.sampled_from([None, "chen", 2.0]), st.booleans())
@settings(max_examples=50)
def test_gradient_and_hessian_are_derivatives_of_the_value(mixture, n, penalty, equal_sds):
    """Of samples of the mixture: elsewhere responsibilities jump within a difference's step."""
    data = Data(mixture.sample(n, np.random.default_rng(n))[0], np.ones(n))
    model = MixtureModel(mixture.k, equal_sds=equal_sds)
    mixture = model.admit(mixture)
    objective = Objective(data, model, penalty)
    theta = objective.theta(mixture)
    value, gradient = objective.value_and_gradient(theta)
    assert value == objective.value(theta)
    # Differences of the fourth order: where two components share an observation, its distance is
    # some 10 sds at most, its log-odds move by 100 h, and h^4 100^5/30 = 3e-8 is left.
    h, eye = 1e-4, np.eye(theta.size)

    def slope(function: Callable[[Floats], Any], direction: Floats) -> Any:
        f = [function(theta + i * h * direction) for i in (-2, -1, 1, 2)]
        return (f[0] - 8.0 * f[1] + 8.0 * f[2] - f[3]) / (12.0 * h)

    size = 1.0 + np.abs(gradient).max() + abs(value)
    numeric = [slope(objective.value, direction) for direction in eye]
    np.testing.assert_allclose(gradient, numeric, rtol=0, atol=1e-7 * size)
    hessian = [slope(lambda t: objective.value_and_gradient(t)[1], d) for d in eye]
    size = 1.0 + np.abs(hessian).max()
    np.testing.assert_allclose(objective.hessian(theta), hessian, rtol=0, atol=1e-6 * size)


@given(mixtures().filter(lambda m: m.k > 1), samples(), st.floats(0.01, 1.0))
@settings(max_examples=50)
def test_bounded_coordinates_hold_every_mixture_within_the_bound_and_no_other(
    mixture, sample, ratio
):
    """To rounding of a log sd. What they hold comes back as it was; the rest comes nearer."""
    objective = RatioBounded(Data(*sample), MixtureModel(mixture.k), None, ratio)
    coordinates = objective.theta(mixture)
    low, high = np.array(objective.bounds()).T
    assert np.all((low <= coordinates) & (coordinates <= high))
    back = objective.mixture(coordinates)
    assert back.sds.min() / back.sds.max() >= ratio * (1.0 - 1e-13)
    if mixture.sds.min() / mixture.sds.max() >= ratio:
        np.testing.assert_allclose(back.sds, mixture.sds, rtol=1e-12)
    error = check_grad(
        objective.value, lambda t: objective.value_and_gradient(t)[1], coordinates, epsilon=1e-7
    )
    _, gradient = objective.value_and_gradient(coordinates)
    assert error <= 1e-3 * (1.0 + np.abs(gradient).max())


@pytest.mark.parametrize("seed", range(12))
def test_the_bounded_maximum_is_that_of_linear_constraints(seed):
    """SLSQP on log sd_i - log sd_j >= log ratio, from near the end, gains nothing."""
    data, model, penalty = example(seed)
    result = fit("lbfgs", data.x, model, sd_ratio=RATIO, penalty=penalty)
    assert result.mixture.sds.min() / result.mixture.sds.max() >= RATIO * (1.0 - 1e-13)
    objective = Objective(data, model, penalty)
    end, k = objective.theta(result.mixture), model.k
    pairs = [(i - k, j - k) for i in range(k) for j in range(k) if i != j]
    constraints = [
        {"type": "ineq", "fun": lambda t, i=i, j=j: t[i] - t[j] - np.log(RATIO)} for i, j in pairs
    ]
    other = minimize(
        objective.value_and_gradient,
        end + 1e-3 * np.random.default_rng(seed).standard_normal(end.size),
        jac=True,
        method="SLSQP",
        constraints=constraints,
        options={"ftol": 1e-15, "maxiter": 500},
    )
    assert data.n * (objective.value(end) - other.fun) < 1e-8


@pytest.mark.parametrize("penalty", [None, "chen"])
def test_a_bound_that_is_not_active_changes_nothing(penalty):
    x, _ = SECOND_ARTICLE.sample(400, np.random.default_rng(0))
    free, bounded = (fit("lbfgs", x, penalty=penalty, **o) for o in ({}, {"sd_ratio": 0.1}))
    assert bounded.certificate.certified
    assert bounded.status == "ok"
    np.testing.assert_allclose(bounded.mixture.as_rows(), free.mixture.as_rows(), atol=1e-6)
    np.testing.assert_allclose(bounded.se, free.se, rtol=1e-5)


def test_a_bound_of_one_is_a_common_sd():
    """Without its standard errors: the sds move together because the bound holds them."""
    x, _ = SECOND_ARTICLE.sample(400, np.random.default_rng(0))
    bounded, equal = fit("lbfgs", x, sd_ratio=1.0), fit("lbfgs", x, MixtureModel(equal_sds=True))
    np.testing.assert_allclose(bounded.mixture.as_rows(), equal.mixture.as_rows(), atol=1e-6)
    assert bounded.loglik == pytest.approx(equal.loglik, abs=1e-9)


@pytest.mark.parametrize("ratio", [0.5, 1e-2, 1e-4])
def test_an_active_bound_is_reported(ratio):
    """On five tied observations, where the likelihood goes up by 5 log(1/sd): the multiplier is 5
    but for the share of the others."""
    result = fit("lbfgs", TIED, start=ON_A_POINT, sd_ratio=ratio)
    assert result.mixture.sds.min() / result.mixture.sds.max() == pytest.approx(ratio, rel=1e-12)
    assert result.status == "not-converged"
    assert not result.certificate.certified
    assert result.message.startswith(f"the bound sd_ratio = {ratio:g} is active: ")
    assert float(result.message.split("rise by ")[1].split()[0]) == pytest.approx(5.0, abs=0.01)
    assert np.all(np.isnan(result.se))


@pytest.mark.parametrize("model", [MixtureModel(1), MixtureModel(2, sds=[2.0, 3.0])])
def test_where_no_two_sds_are_estimated_there_is_nothing_to_bound(model):
    free, bounded = (fit("lbfgs", TIED, model, **o) for o in ({}, {"sd_ratio": 0.9}))
    np.testing.assert_array_equal(bounded.mixture.as_rows(), free.mixture.as_rows())


@pytest.mark.parametrize("ratio", [0.0, 1.5, -1.0, np.nan])
def test_a_bad_ratio_is_named(ratio):
    with pytest.raises(ValueError, match=r"^sd_ratio: .* is not a ratio; give one above 0"):
        fit("lbfgs", TIED, sd_ratio=ratio)
