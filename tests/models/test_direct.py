"""Laws of models/direct.py: the objective's derivatives, where methods stop, the sds' ratio."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import check_grad, minimize

from models import Mixture, MixtureModel, fit
from models.direct import DECREMENT, EPS, Objective, RatioBounded, lbfgs, nelder_mead, newton
from models.inference.certificate import certify
from models.likelihood import Moments, score_and_information
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


def regular(seed: int) -> tuple[Floats, MixtureModel, str | None]:
    """A sample of 1 to 3 components at least 2.5 sds apart, in any unit, from 0 to 10^5 sds off;
    a penalty or none."""
    rng = np.random.default_rng([5, seed])
    k, n = int(rng.integers(1, 4)), int(rng.choice([200, 1000, 5000, 20_000]))
    truth = Mixture(
        rng.dirichlet(np.full(k, 8.0)),
        rng.uniform(2.5, 6.0) * np.arange(k),
        rng.uniform(0.7, 1.0, k),
    )
    offset, unit = rng.choice([0.0, 1e2, 1e5]), rng.choice([1e-6, 1.0, 1e6])
    x, _ = truth.sample(n, rng)
    return unit * (x + offset), MixtureModel(k), "chen" if rng.random() < 0.3 else None


@pytest.mark.parametrize(
    ("method", "count"), [("newton", 100), ("lbfgs", 100), ("nelder-mead", 20)]
)
def test_every_certified_fit_says_that_it_converged(method, count):
    """And no other: these samples' fits are all certified."""
    for seed in range(count):
        x, model, penalty = regular(seed)
        result = fit(method, x, model, penalty=penalty, rng=seed)
        assert result.certificate.certified, seed
        assert result.converged, (seed, result.message)
        assert "ABNORMAL" not in result.message
        assert "bad approximation" not in result.message


def test_newton_ends_at_the_decrement_that_it_is_given():
    """Or, asked for none at all, where rounding of the parameters leaves it: eps times 10^5 sds
    times sqrt(20,000) is 3e-9 standard errors, and ten times that is below DECREMENT."""
    for seed in range(20):
        x, model, penalty = regular(seed)
        for decrement in (1e-3, DECREMENT, 0.0):
            result = fit("newton", x, model, penalty=penalty, rng=seed, decrement=decrement)
            assert result.certificate.distance <= max(decrement, DECREMENT)
            assert result.message.startswith("The Newton decrement is ")
            assert result.converged
            assert result.n_iter <= 30


def test_newton_stops_after_max_iter_whatever_kind_of_step_is_next():
    for seed in range(10):
        x, model, _ = regular(seed)
        whole = fit("newton", x, model, decrement=0.0, rng=seed)
        for most in range(1, whole.n_iter):
            part = fit("newton", x, model, decrement=0.0, max_iter=most, rng=seed)
            assert (part.n_iter, part.converged) == (most, False)


@dataclass(frozen=True, eq=False)
class Elsewhere(Data):
    """Data on a processor that rounds otherwise: errors of the log-likelihood at random, of the
    size that an ordinary sum of n terms has."""

    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def moments(self, mixture: Mixture) -> Moments:
        exact = super().moments(mixture)
        error = 2.0**-52 * (1.0 + 0.05 * self.n**0.5) * self.rng.standard_normal()
        return exact._replace(loglik=exact.loglik * (1.0 + error))


@pytest.mark.parametrize("n", [100, 2000, 50_000])
@pytest.mark.parametrize("run", [newton, lbfgs, nelder_mead])
def test_no_processors_rounding_keeps_a_method_from_its_end(run, n):
    """Newton in few steps. A certificate lies beyond what n = 50,000 values that are good to
    1e-9 nats can show to L-BFGS-B and the simplex for sure: a decrement of 5e-5, here doubled."""
    start, model = Mixture([0.4, 0.6], [2.0, 8.0], [2.0, 2.0]), MixtureModel()
    for seed in range(10):
        rng = np.random.default_rng([n, seed])
        x, _ = SECOND_ARTICLE.sample(n, rng)
        data = Elsewhere(x, np.ones(n), rng)
        end = run(data, model, start, rng)
        second = data.second_moments(end.mixture)
        distance = certify(*score_and_information(end.mixture, model, second)).distance
        assert end.converged, end.message
        assert distance <= (DECREMENT if run is newton else 1e-4)
        assert run is not newton or end.n_iter <= 15


@pytest.mark.parametrize("n", [100, 1000, 10_000, 100_000])
def test_values_are_as_good_as_rounding_says(n):
    """Against an exact sum of log densities that are good to an eps or two each."""
    rng = np.random.default_rng(n)
    x, _ = SECOND_ARTICLE.sample(n, rng)
    objective = Objective(Data(x, np.ones(n)), MixtureModel())
    centre = objective.theta(SECOND_ARTICLE)
    for _ in range(10):
        theta = centre + 1e-3 * rng.standard_normal(5)
        exact = math.fsum(objective.mixture(theta).log_density(x))
        assert abs(n * objective.value(theta) + exact) <= objective.rounding


@pytest.mark.parametrize("penalty", [None, "chen"])
def test_from_its_end_a_method_goes_nowhere(penalty):
    """Newton needs one pass to see that; L-BFGS-B and the simplex look about first."""
    for seed in range(5):
        x, _ = SECOND_ARTICLE.sample(500, np.random.default_rng(seed))
        end = fit("newton", x, penalty=penalty).mixture
        again = fit("newton", x, penalty=penalty, start=end)
        assert (again.converged, again.n_iter) == (True, 0)
        # To coordinates and back: a rounding of the logs, at most 10 in size, and of their exp.
        np.testing.assert_allclose(again.mixture.as_rows(), end.as_rows(), rtol=20 * EPS)
        assert (again.evaluations["moments"], again.evaluations["second_moments"]) == (0, 1)
        for method in ("lbfgs", "nelder-mead"):
            again = fit(method, x, penalty=penalty, start=end)
            assert again.converged
            assert again.certificate.certified


def test_newton_passes_once_over_the_data_for_each_hessian():
    """One at the start, one at each point that is tried, taken or not: from components far from
    the data's, some are not."""
    turned_down = 0
    for seed in range(20):
        x, model, penalty = regular(seed)
        k = model.k
        start = Mixture(np.full(k, 1 / k), x.mean() + x.std() * np.arange(k), np.full(k, x.std()))
        used = fit("newton", x, model, penalty=penalty, trace=True, start=start)
        tried = used.n_iter + 1
        assert used.trace.loglik.size == tried
        assert used.evaluations["moments"] <= tried
        assert used.evaluations["second_moments"] <= tried + 1
        turned_down += np.any(np.all(np.diff(used.trace.parameters, axis=0) == 0, axis=(1, 2)))
    assert turned_down > 0


@pytest.mark.parametrize("method", ["newton", "lbfgs", "nelder-mead"])
def test_a_method_that_is_stopped_does_not_say_that_it_converged(method):
    x, _ = SECOND_ARTICLE.sample(500, np.random.default_rng(1))
    result = fit(method, x, max_iter=3, start=Mixture([0.5, 0.5], [4.0, 6.0], [1.0, 1.0]))
    assert not result.converged
    assert result.status == "not-converged"


def test_a_line_search_that_fails_far_from_a_maximum_does_not_say_that_it_converged():
    """Values that rise along the gradient, as those of a wrong gradient would."""

    class Wrong(Data):
        def moments(self, mixture: Mixture) -> Moments:
            exact = super().moments(mixture)
            return exact._replace(loglik=-exact.loglik)

    x, _ = SECOND_ARTICLE.sample(500, np.random.default_rng(1))
    start = Mixture([0.5, 0.5], [4.0, 6.0], [1.0, 1.0])
    end = lbfgs(Wrong(x, np.ones(500)), MixtureModel(), start, np.random.default_rng(0))
    assert not end.converged
    assert end.message.startswith("ABNORMAL")


def test_newton_does_not_take_equal_components_for_a_maximum():
    """The score is zero there, the information singular: Newton leaves, or says that it cannot."""
    for seed in range(10):
        x, _ = SECOND_ARTICLE.sample(500, np.random.default_rng(seed))
        result = fit("newton", x, start=Mixture([0.5, 0.5], [x.mean()] * 2, [x.std()] * 2))
        assert result.converged == result.certificate.certified
        assert result.converged or "information is not positive definite" in result.message


def test_the_gain_that_labels_would_give_is_less_than_there_is():
    """From a tenth of a standard error off, for two components, whose labelled information is
    diagonal; in the bounded coordinates it is the same."""
    for seed in range(20):
        rng = np.random.default_rng([3, seed])
        x, _ = SECOND_ARTICLE.sample(2000, rng)
        data, model = Data(x, np.ones(x.size)), MixtureModel()
        objective, bounded = Objective(data, model), RatioBounded(data, model, None, 0.1)
        end = fit("newton", x).mixture
        theta = objective.theta(end) + 0.1 / x.size**0.5 * rng.standard_normal(5)
        point = objective.mixture(theta)
        gain = objective.gain(theta, objective.value_and_gradient(theta)[1])
        gap = certify(*score_and_information(point, model, data.second_moments(point))).gap
        assert 0.0 < gain <= gap
        coordinates = bounded.theta(point)
        other = bounded.gain(coordinates, bounded.value_and_gradient(coordinates)[1])
        assert other == pytest.approx(gain, rel=1e-9)


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
    with pytest.raises(ValueError, match=r"^sd_ratio: .* is not a finite number above 0 and at m"):
        fit("lbfgs", TIED, sd_ratio=ratio)


@pytest.mark.parametrize("error", [UnboundLocalError("p"), ValueError("infs or NaNs")])
def test_a_subproblem_that_scipy_cannot_solve_is_no_error(monkeypatch, error):
    """Its trust region falls over a variable of its own, or over an overflow."""

    def broken(*arguments, **settings):
        raise error

    monkeypatch.setattr("models.direct.minimize", broken)
    result = fit("newton", TIED, start=Mixture([0.5, 0.5], [0.0, 9.0], [3.0, 3.0]))
    assert result.status == "not-converged"
    assert result.message.startswith("The trust region's subproblem was not solved.")
