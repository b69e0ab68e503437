from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import ndtr

from models import Fit, Mixture, MixtureModel, fit
from models.inference.functionals import (
    crossing,
    crossings,
    cutoff_at,
    delta_method,
    density_at,
    functionals,
    gradient,
    mean,
    misclassification,
    quantile_at,
    variance,
)
from models.inference.intervals import basic, equal_tailed, highest_density, percentile, wald
from tests.models.strategies import SECOND_ARTICLE, mixtures

TABLE = functionals(points=(0.0, 5.0))
THREE = Mixture([0.2, 0.5, 0.3], [0.0, 2.0, 3.0], [1.0, 0.4, 2.0])


@given(mixtures(), st.floats(0.01, 0.99))
def test_they_are_what_their_names_say(mixture, level):
    rows = mixture.as_rows()
    assert mean(rows) == pytest.approx(mixture.mean, abs=1e-13)
    assert variance(rows) == pytest.approx(mixture.variance, rel=1e-12)
    assert density_at(1.0)(rows) == pytest.approx(mixture.density([1.0])[0], rel=1e-11, abs=1e-300)
    q = float(quantile_at(level)(rows))
    breaks = np.sort(np.append(mixture.means, q))
    pieces = [-np.inf, *breaks[breaks < q], q]
    below = sum(
        quad(lambda x: mixture.density([x])[0], a, b, epsabs=1e-11)[0] for a, b in pairwise(pieces)
    )
    assert below == pytest.approx(level, abs=1e-8)


@given(mixtures())
def test_misclassification_is_the_integral_of_all_but_the_largest_term(mixture):
    """On a grid of 40,001 points, by the trapezoidal rule: the integrand is continuous, with kinks,
    so that the error is of the order of the spacing squared, 1e-6, times some slopes."""
    low = (mixture.means - 9 * mixture.sds).min()
    x = np.linspace(low, (mixture.means + 9 * mixture.sds).max(), 40_001)
    terms = np.exp(mixture.log_joint(x))
    expected = np.trapezoid(terms.sum(axis=1) - terms.max(axis=1), x)
    assert misclassification(mixture.as_rows()) == pytest.approx(expected, abs=1e-5)


@given(mixtures())
def test_components_are_equal_at_the_crossing_and_it_exists_where_they_change_places(mixture):
    c = float(crossing(mixture.as_rows()))
    ordered = mixture.by_mean()
    at_means = ordered.log_joint(ordered.means)
    if mixture.k != 2:
        assert np.isnan(c)
    elif at_means[0, 0] > at_means[0, 1] and at_means[1, 0] < at_means[1, 1]:
        assert ordered.means[0] <= c <= ordered.means[1]
        first, second = ordered.log_joint([c])[0]
        assert first == pytest.approx(second, abs=1e-8 * (1 + abs(first)))
    else:
        assert np.isnan(c)


def test_equal_components_are_told_apart_by_nothing_but_their_distance():
    """Two equal weights and sds: the crossing in the middle, the error that of a normal tail."""
    rows = Mixture([0.5, 0.5], [0.0, 2.0], [1.0, 1.0]).as_rows()
    assert crossing(rows) == pytest.approx(1.0, abs=1e-15)
    assert misclassification(rows) == pytest.approx(0.15865525393145707, abs=1e-15)
    twins = Mixture([0.4, 0.6], [1.0, 1.0], [1.0, 1.0]).as_rows()
    assert misclassification(twins) == pytest.approx(0.4, abs=1e-15)
    assert np.isnan(crossing(twins))


@pytest.mark.parametrize("mixture", [SECOND_ARTICLE, THREE, THREE.permuted([2, 0, 1])])
@pytest.mark.parametrize("name", TABLE)
def test_gradients_are_central_differences_in_the_models_coordinates(name, mixture):
    """Steps of 1e-5: an error of their square and of rounding over the step, 1e-10 of values and
    third derivatives that are below a thousand."""
    model = MixtureModel(mixture.k)
    eta, functional = model.pack(mixture), TABLE[name]
    found = gradient(functional, mixture).ravel() @ model.natural_jacobian(mixture)
    for j, step in enumerate(1e-5 * np.eye(eta.size)):
        ahead, behind = (functional(model.unpack(eta + s).as_rows()) for s in (step, -step))
        np.testing.assert_allclose(found[j], (ahead - behind) / 2e-5, atol=1e-7)


@pytest.mark.parametrize("name", TABLE)
def test_labels_do_not_matter_and_draws_go_through_at_once(name):
    rng = np.random.default_rng(0)
    many = [
        Mixture(rng.dirichlet([5, 5]), rng.normal(0, 3, 2), rng.uniform(0.5, 2, 2))
        for _ in range(6)
    ]
    rows = np.stack([m.as_rows() for m in many]).reshape(2, 3, 3, 2)
    together = TABLE[name](rows)
    assert together.shape == (2, 3)
    alone = [TABLE[name](m.as_rows()) for m in many]
    turned = TABLE[name](rows[..., ::-1])
    np.testing.assert_allclose(together.ravel(), alone, rtol=1e-12)
    np.testing.assert_allclose(turned, together, rtol=1e-12)


@pytest.mark.parametrize("name", TABLE)
def test_delta_method_errors_are_the_spread_over_samples(name):
    """200 samples of 2,000: a standard deviation has a relative error of 5%; five of them, and 2%
    for what is of second order; nine functionals, false-alarm rate 5e-6."""
    values, errors = [], []
    for seed in range(200):
        x, _ = SECOND_ARTICLE.sample(2000, np.random.default_rng(seed))
        top = fits(seed, x)
        value, se = delta_method(TABLE[name], top.mixture, top.covariance)
        values.append(value)
        errors.append(se)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(values, ddof=1), rel=0.27)


_FITS: dict[int, Fit] = {}


def fits(seed, x):
    if seed not in _FITS:
        _FITS[seed] = fit("newton", x, start=SECOND_ARTICLE)
    return _FITS[seed]


def test_the_error_of_the_mean_is_the_one_that_everybody_knows():
    """The fitted mean is the sample's, and its error s/sqrt(n) up to the model's own variance."""
    x, _ = SECOND_ARTICLE.sample(2000, np.random.default_rng(0))
    top = fit("newton", x, start=SECOND_ARTICLE)
    value, se = delta_method(mean, top.mixture, top.covariance)
    assert value == pytest.approx(x.mean(), abs=1e-6)
    assert se == pytest.approx(x.std() / np.sqrt(x.size), rel=1e-6)


def test_known_parameters_and_labels_do_not_get_lost_in_the_covariance():
    """Known means given in descending order: the covariance, as the mixture, is in ascending."""
    x, _ = SECOND_ARTICLE.sample(500, np.random.default_rng(0))
    one = fit("newton", x, MixtureModel(means=[1.0, 9.0]))
    other = fit("newton", x, MixtureModel(means=[9.0, 1.0]))
    np.testing.assert_allclose(other.covariance, one.covariance, rtol=1e-6, atol=1e-12)
    np.testing.assert_array_equal(other.model.means, other.mixture.means)
    assert delta_method(variance, one.mixture, one.covariance)[1] > 0
    np.testing.assert_allclose(np.sqrt(np.diag(one.covariance)).reshape(3, 2), one.se)


def test_intervals_from_draws():
    """Of an exponential, the shortest interval begins at its mode, 0; both hold their share."""
    draws = np.random.default_rng(0).exponential(size=(20_000, 2, 1))
    for interval in (equal_tailed, highest_density):
        lower, upper = interval(draws, 0.9)
        assert lower.shape == (2, 1)
        np.testing.assert_allclose(
            ((draws >= lower) & (draws <= upper)).mean(axis=0), 0.9, atol=1e-3
        )
    np.testing.assert_allclose(equal_tailed(draws, 0.9)[0], -np.log(0.95), atol=0.01)
    np.testing.assert_allclose(highest_density(draws, 0.9)[0], 0.0, atol=0.01)
    np.testing.assert_allclose(highest_density(draws, 0.9)[1], -np.log(0.1), atol=0.15)
    ends = percentile(draws, 0.9)
    np.testing.assert_allclose(ends, equal_tailed(draws, 0.9), atol=0.01)
    np.testing.assert_allclose(basic(1.0, draws, 0.9), 2.0 - np.stack(ends)[::-1], rtol=1e-14)
    np.testing.assert_allclose(wald(1.0, 2.0, 0.95), [1 - 3.919928, 1 + 3.919928], atol=1e-6)


@pytest.mark.parametrize("level", [0.0, 1.0, -1.0])
def test_a_level_that_is_none_is_named(level):
    with pytest.raises(ValueError, match="level:"):
        quantile_at(level)


@given(mixtures())
def test_crossings_are_where_two_components_are_as_probable(mixture):
    if mixture.k != 2:
        with pytest.raises(ValueError, match="2"):
            crossings(mixture.as_rows())
        return
    found = crossings(mixture.as_rows())
    for x in found[np.isfinite(found)]:
        first, second = mixture.log_joint([x])[0]
        # The terms of the quadratic that cancel there bound its rounding.
        terms = 1 + np.abs(mixture.log_joint([x])[0]).max()
        assert first == pytest.approx(second, abs=1e-7 * terms)
    one = float(crossing(mixture.as_rows()))
    if np.isfinite(one):
        assert np.nanmin(np.abs(found - one)) <= 1e-8 * (1 + abs(one))


@pytest.mark.parametrize(
    ("mixture", "number"),
    [
        (Mixture([0.5, 0.5], [0, 2], [1, 1]), 1),  # equal sds
        (Mixture([0.5, 0.5], [0, 2], [1, 2]), 2),
        (Mixture([0.999, 0.001], [0, 1], [2, 1]), 0),  # one is above the other everywhere
        (Mixture([0.1, 0.9], [0, 0.5], [2, 1]), 2),  # none of the two is between the means
    ],
)
def test_how_many_crossings_there_are(mixture, number):
    rows = mixture.as_rows()
    assert np.isfinite(crossings(rows)).sum() == number
    np.testing.assert_array_equal(crossings(rows[..., ::-1]), crossings(rows))


@given(mixtures(), st.floats(0.01, 0.99))
def test_above_a_cutoff_the_lower_component_has_its_rate(mixture, rate):
    c = cutoff_at(rate)(mixture.as_rows())
    j = int(np.argmin(mixture.means))
    z = (c - mixture.means[j]) / mixture.sds[j]
    assert 1 - ndtr(z) == pytest.approx(rate, abs=1e-9)
    slope = gradient(cutoff_at(rate), mixture)
    assert slope[1:, j] == pytest.approx([1, z], abs=1e-12)
    assert np.count_nonzero(np.delete(slope, j, axis=1)) == 0
