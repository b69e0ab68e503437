"""Weights of 0: the conditions of a maximum there, its errors and intervals, and what is none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import chi2, norm

from models import METHODS, Mixture, MixtureModel, fit
from models.inference.boundary import Boundary, gradient, highest, in_errors
from models.inference.ends import judged
from models.likelihood import score_and_information
from models.methods import OPTIMISERS
from models.sample import as_data
from models.starts import Start

# The likelihood falls from a weight of 0 on: its slope there is -77, -49 and -51.
NORMAL = [np.random.default_rng(seed).normal(size=200) for seed in range(3)]
KNOWN = MixtureModel(2, [0, 2], [1, 1])
PAIR = Mixture([0.4, 0.6], [0, 4], [1, 0.8]).sample(300, np.random.default_rng(5))[0]


def end_of(x, model, mixture):
    data = as_data(x, None, model)
    second = data.second_moments(mixture)
    return judged(data, model, mixture, second, *score_and_information(mixture, model, second))


def test_the_gradient_is_lindsays_with_its_derivatives():
    mixture, means, sds = Mixture([0.3, 0.7], [0, 4], [1, 2]), np.array([-1, 2, 9]), [1, 0.1, 3]
    found = gradient(as_data(PAIR, None, KNOWN), mixture, means, np.array(sds))
    ratios = norm.pdf(PAIR[:, None], means, sds) / mixture.density(PAIR)[:, None]
    z = (PAIR[:, None] - means) / sds
    np.testing.assert_allclose(found.value, ratios.sum(axis=0) - 300, rtol=1e-12, atol=1e-10)
    np.testing.assert_allclose(found.by_mean, (ratios * z / sds).sum(axis=0), rtol=1e-10)
    np.testing.assert_allclose(found.by_log_sd, (ratios * (z**2 - 1)).sum(axis=0), rtol=1e-10)
    bend = (ratios * (z**2 - 1) / np.square(sds)).sum(axis=0)
    np.testing.assert_allclose(found.bend, bend, rtol=1e-10)


@pytest.mark.parametrize(("mean", "sd"), [(None, 0.5), (None, 1e-3), (1.3, None), (1.3, 0.7)])
def test_the_highest_gradient_is_that_of_a_fine_grid(mean, sd):
    mixture, data = Mixture([1.0], [2.0], [2.0]), as_data(PAIR, None, KNOWN)
    found = highest(data, mixture, mean, sd)
    means = np.linspace(-4, 8, 200_001) if mean is None else np.array([mean])
    sds = np.exp(np.linspace(-9, 3, 5_000)) if sd is None else np.array([sd])
    least = max(
        (norm.pdf(PAIR[:, None], m, sds) / mixture.density(PAIR)[:, None]).sum(axis=0).max()
        for m in (means[:: 1 if means.size == 1 else 200])
    )
    assert found.gradient >= least - 300 - 1e-6
    own = norm.pdf(PAIR, found.mean, found.sd) / mixture.density(PAIR)
    assert found.gradient == pytest.approx(own.sum() - 300, rel=1e-9, abs=1e-8)
    assert found.distance == pytest.approx((own - 1).sum() / np.sqrt(((own - 1) ** 2).sum()))


@pytest.mark.parametrize("method", OPTIMISERS)
@pytest.mark.parametrize("x", NORMAL)
def test_a_weight_that_the_likelihood_falls_in_is_0_with_an_interval_by_its_ratio(method, x):
    found = fit(method, x, KNOWN)
    assert (found.verdict(), found.status) == ("boundary", "ok")
    assert found.mixture.weights.tolist() == [1.0, 0.0]
    assert np.isnan(found.se.weights).all()
    ratio = norm.pdf(x, 2) / norm.pdf(x) - 1
    for level in (0.5, 0.95):
        fall = 0.5 * chi2.ppf(level, 1)
        end = brentq(lambda w, fall=fall: np.log1p(w * ratio).sum() + fall, 0, 0.5)
        lower, upper = found.interval(level)
        np.testing.assert_allclose(lower.weights, [1 - end, 0], atol=1e-6)
        np.testing.assert_allclose(upper.weights, [1, end], atol=1e-6)


@pytest.mark.parametrize("method", ["em", "newton"])
def test_the_others_have_the_errors_of_the_model_without(method):
    """Of five known means two are needed; a common sd is estimated."""
    means = [-3.0, 0.0, 2.0, 4.0, 8.0]
    found = fit(method, PAIR, MixtureModel(5, means, equal_sds=True))
    there = found.mixture.weights > 0
    assert found.verdict() == "boundary"
    assert 2 <= there.sum() < 5
    smaller = fit("newton", PAIR, MixtureModel(there.sum(), np.array(means)[there], equal_sds=True))
    np.testing.assert_allclose(found.se.weights[there], smaller.se.weights, rtol=1e-4)
    np.testing.assert_allclose(found.se.sds, smaller.se.sds[0], rtol=1e-4)
    assert np.isnan(found.se.weights[~there]).all()
    slopes = (
        norm.pdf(PAIR[:, None], means, found.mixture.sds) / found.mixture.density(PAIR)[:, None]
    )
    assert (slopes.sum(axis=0) - 300 < 1e-3).all()  # Karush, Kuhn and Tucker
    lower, upper = found.interval()
    assert (lower.weights <= found.mixture.weights).all()
    assert (upper.weights[~there] < 0.1).all()


def test_what_is_free_of_a_component_without_weight_has_no_error():
    model = MixtureModel(2, sds=[1.3, 1.0])
    x = NORMAL[0] / NORMAL[0].std()
    found = end_of(x, model, Mixture([1e-9, 1 - 1e-9], [0.5, x.mean()], [1.3, 1.0]))
    assert found.certificate.place == "boundary"
    se = np.sqrt(np.diag(found.covariance)).reshape(3, 2)
    np.testing.assert_allclose(se, [[np.nan, np.nan], [np.nan, 200**-0.5], [0, 0]], rtol=1e-6)


@pytest.mark.parametrize(
    ("model", "mixture", "place"),
    [
        # A component is needed, and its weight stuck near 0: no maximum, though logs look so.
        (MixtureModel(2, [0, 4], [2, 0.8]), ([1 - 1e-12, 1e-12], [0, 4], [2, 0.8]), "vanished"),
        # Its mean is where it does not gain, but it would elsewhere.
        (MixtureModel(2, sds=[2, 0.8]), ([1 - 1e-12, 1e-12], [2.4, 30], [2, 0.8]), "vanished"),
        # A free mean and sd: some component always gains, this one not.
        (MixtureModel(), ([1 - 4.5e-17, 4.5e-17], [2.4, 3], [2.1, 80]), "not needed"),
        (MixtureModel(2, equal_sds=True), ([1 - 1e-9, 1e-9], [2.4, 60], [2, 2]), "not needed"),
    ],
)
def test_a_component_that_has_vanished_off_the_maximum_is_never_certified(model, mixture, place):
    certificate = end_of(PAIR, model, Mixture(*mixture)).certificate
    assert certificate.place == place
    assert certificate.nowhere
    assert not certificate.certified
    if place == "vanished":
        assert certificate.distance > 1e-3


def test_a_vanished_component_is_not_ok_and_other_starts_are_tried(monkeypatch):
    away = Mixture([1 - 1e-17, 1e-17], [2.4, 60], [2.0, 1.0])
    alone = fit("em", PAIR, start=away)
    assert (alone.verdict(), alone.status) == ("component not needed", "not-converged")
    assert np.isnan(alone.se).all()
    monkeypatch.setattr("models.methods.shared_start", lambda *_: Start(away, 0))
    found = fit("em", PAIR)
    assert found.verdict() == "certified"
    assert found.evaluations["starts"] > 1
    assert found.evaluations["moments"] > alone.evaluations["moments"]


@given(st.integers(1, 10**6), st.integers(-8, 8), st.integers(-8, 8))
def test_a_component_that_is_the_mixture_itself_is_no_distance_away(n, first, second):
    """Its sums are n each, give or take some last digits."""
    eps = np.finfo(float).eps
    assert abs(in_errors(n * (1 + first * eps), n * (1 + second * eps), n, n)) <= 1e-4


@pytest.mark.parametrize("weight", [1e-3, 2e-3, 4e-3])
@pytest.mark.parametrize("apart", [0.0, 1e-12, 1e-9, 7e-9, 1e-8])
def test_a_light_component_in_the_place_of_the_other_is_not_needed(weight, apart):
    """Fewer than one of 200 observations; sds larger than the sample's."""
    x = norm.ppf((np.arange(200) + 0.5) / 200)
    mixture = Mixture([1 - weight, weight], [-weight * apart, (1 - weight) * apart], [1.2, 1.2])
    found = end_of(x, MixtureModel(2, sds=1.2), mixture)
    assert found.certificate.place in ("boundary", "not identified")
    assert found.certificate.distance <= 1e-4


def test_two_components_of_one_density_are_not_identified():
    """Known equal sds larger than the sample's: no second component gains."""
    x = norm.ppf((np.arange(200) + 0.5) / 200)
    for method in ("em", "newton", "lbfgs"):
        found = fit(method, x, MixtureModel(2, sds=1.2), start=Mixture([0.4, 0.6], [-1, 1], [1, 1]))
        assert found.verdict() in ("not identified", "boundary")
        assert np.isnan(found.se.weights).all()
    same = end_of(x, MixtureModel(2, sds=1.2), Mixture([0.4, 0.6], [x.mean()] * 2, [1.2, 1.2]))
    assert same.certificate.place == "not identified"
    assert same.certificate.distance <= 1e-4


def test_a_penalty_bounds_what_free_sds_leave_unbounded():
    """With Chen's penalty a component that is as wide as the data may be one too many."""
    found = fit("em", PAIR, MixtureModel(3), penalty="chen", tol=1e-12, max_iter=100_000)
    assert found.verdict() in ("boundary", "certified")
    if found.verdict() == "boundary":
        data = as_data(PAIR, None, MixtureModel(3))
        gone = int(np.argmin(found.mixture.weights))
        top = highest(data, found.mixture, None, float(found.mixture.sds[gone]))
        assert top.distance <= 1e-4


@pytest.mark.parametrize("method", OPTIMISERS)
def test_far_from_0_a_maximum_is_certified_as_near_as_numbers_go(method):
    """An offset of 1e12 sds: a last digit is up to .0054 standard errors here."""
    found = fit(method, 1e12 + PAIR)
    near = fit(method, PAIR)
    assert found.verdict() == "certified"
    assert found.status == "ok"
    assert found.certificate.distance <= max(found.certificate.rounding, 1e-4)
    np.testing.assert_allclose(found.mixture.means - 1e12, near.mixture.means, atol=2e-3)


def test_the_certificate_knows_what_a_last_digit_of_the_means_is():
    """At the maximum of data far from 0, its means rounded to what there is."""
    best = fit("newton", PAIR).mixture
    there = Mixture(best.weights, best.means + 1e12, best.sds)
    certificate = end_of(1e12 + PAIR, MixtureModel(), there).certificate
    assert 1e-4 < certificate.distance <= certificate.rounding < 0.02
    assert certificate.certified


def test_the_boundary_costs_regular_fits_nothing(monkeypatch):
    def never(*_):
        raise AssertionError

    monkeypatch.setattr("models.inference.ends._with_few", never)
    for method in ("em", "newton"):
        assert METHODS[method].maximises_likelihood
        assert fit(method, PAIR).verdict() == "certified"


def test_intervals_move_with_their_components():
    data, model = as_data(NORMAL[0], None, KNOWN), KNOWN
    one = Boundary(data, model, Mixture([1.0, 0.0], [0, 2], [1, 1]))
    other = one.permuted(np.array([1, 0]))
    np.testing.assert_allclose(np.array(other.weights())[:, ::-1], one.weights(), atol=1e-9)
