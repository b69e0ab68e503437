import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import norm

from models import Mixture, MixtureModel, fit
from models.likelihood import moments, second_moments
from models.uncertainty import certify, score_and_information, wald_interval
from tests.models.strategies import NUMERIC, SECOND_ARTICLE

X, _ = SECOND_ARTICLE.sample(1000, np.random.default_rng(21))
ONES = np.ones(X.size)


def test_the_certificate_predicts_what_is_left_to_gain():
    """A point a tenth of a standard error off: the gap is quadratic up to terms of third order,
    which are smaller by a factor of the distance times the skewness, below 1 in 10 here."""
    best, model = fit("newton", X), MixtureModel(2)
    rng = np.random.default_rng(4)
    for _ in range(20):
        off = best.mixture.as_rows()[1:] + 0.1 * best.se[1:] * rng.standard_normal((2, 2))
        point = Mixture(best.mixture.weights, *off)
        second = second_moments(point, X, ONES)
        found = certify(*score_and_information(point, model, second))
        left = best.loglik - moments(point, X, ONES).loglik
        assert found.gap == pytest.approx(left, rel=0.15)
        assert found.distance == pytest.approx(np.sqrt(2 * found.gap))
        assert not found.certified


def test_the_certificate_does_not_depend_on_coordinates():
    rng = np.random.default_rng(0)
    gradient, root = rng.standard_normal(5), rng.standard_normal((5, 5))
    curvature = root @ root.T + np.eye(5)
    scale = np.diag(10.0 ** rng.uniform(-4, 4, 5))
    one, other = certify(gradient, curvature), certify(scale @ gradient, scale @ curvature @ scale)
    assert other.distance == pytest.approx(one.distance, rel=1e-9)


@pytest.mark.parametrize("diagonal", [[1.0, -1.0], [0.0, 0.0], [1.0, np.nan]])
def test_a_saddle_or_a_flat_place_is_no_maximum(diagonal):
    found = certify(np.zeros(2), np.diag(diagonal))
    assert not found.positive_definite
    assert not found.certified
    assert np.isnan(found.gap)


def test_the_interval_of_a_weight_is_symmetric_in_its_logit():
    model = MixtureModel(2, SECOND_ARTICLE.means, SECOND_ARTICLE.sds)
    result = fit("em", X, model)
    second = second_moments(result.mixture, X, ONES)
    curvature = score_and_information(result.mixture, model, second)[1][0, 0]
    half = norm.ppf(0.95) / np.sqrt(curvature)
    middle = logit(result.mixture.weights[0])
    lower, upper = result.interval(0.9)
    assert lower[0, 0] == pytest.approx(expit(middle - half), rel=1e-9)
    assert upper[0, 0] == pytest.approx(expit(middle + half), rel=1e-9)
    np.testing.assert_array_equal(lower[1:], result.mixture.as_rows()[1:])  # known: no width


def test_intervals_stay_inside_the_parameter_space():
    mixture = Mixture([0.02, 0.98], [0.0, 1.0], [0.1, 1.0])
    lower, upper = wald_interval(mixture, np.full((3, 2), 0.05), 0.99)
    assert np.all((lower[0] > 0) & (upper[0] < 1))
    assert np.all(lower[2] > 0)
    assert np.all(lower < mixture.as_rows())
    assert np.all(upper > mixture.as_rows())


@pytest.mark.parametrize("method", NUMERIC)
def test_standard_errors_stay_with_their_components(method):
    """From a start with the labels the other way round."""
    start = Mixture([0.3, 0.7], [1.0, 9.0], [2.0, 3.0])
    one, other = fit(method, X, start=start), fit(method, X, start=start.permuted([1, 0]))
    assert abs(one.se[1, 0] / one.se[1, 1] - 1) > 0.05
    np.testing.assert_allclose(other.se, one.se, rtol=1e-4)


def test_model_standard_errors_are_the_spread_of_the_estimates():
    """200 data sets of 1,000: an empirical SD has a relative error of 5%; five of them (25%)."""
    found = []
    for seed in range(200):
        x, _ = SECOND_ARTICLE.sample(1000, np.random.default_rng(seed))
        result = fit("newton", x, start=SECOND_ARTICLE)
        found.append((result.mixture.as_rows(), result.se))
    estimates, errors = (np.stack(v) for v in zip(*found, strict=True))
    np.testing.assert_allclose(errors.mean(axis=0), estimates.std(axis=0, ddof=1), rtol=0.25)
