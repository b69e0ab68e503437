"""Survey weights: a weighted likelihood, and errors that do not know the weights' scale."""

import numpy as np
import pytest

from models import Mixture, MixtureModel, fit
from models.inference.certificate import errors, sandwich_covariance
from models.sample import Data
from tests.models.strategies import NUMERIC

TWO = Mixture([0.4, 0.6], [0.0, 5.0], [1.0, 1.5])
RNG = np.random.default_rng(2)
X, _ = TWO.sample(300, RNG)
WEIGHTS = RNG.exponential(size=X.size)


@pytest.mark.parametrize("method", NUMERIC)
def test_the_scale_of_the_weights_changes_nothing(method):
    found = fit(method, X, survey_weights=WEIGHTS)
    for scale in (2.0, 1e-9, 1.0 / WEIGHTS.sum(), 1e300):
        other = fit(method, X, survey_weights=scale * WEIGHTS)
        assert other.n == pytest.approx(X.size, rel=1e-12)
        np.testing.assert_allclose(other.se, found.se, rtol=1e-4)
        distance = np.abs(other.mixture.as_rows() - found.mixture.as_rows())
        assert np.all(distance <= 3e-4 * found.se)
        assert other.loglik == pytest.approx(found.loglik, rel=1e-9)


def test_estimates_are_those_of_counts_and_errors_are_not():
    scaled = WEIGHTS * X.size / WEIGHTS.sum()
    for squeeze in (False, True):
        found = fit("newton", X, survey_weights=WEIGHTS, compress=squeeze)
        counted = fit("newton", X, counts=scaled)
        distance = np.abs(found.mixture.as_rows() - counted.mixture.as_rows())
        assert np.all(distance <= 3e-4 * found.se)
        assert found.se[1, 0] > 1.2 * counted.se[1, 0]
        np.testing.assert_allclose(errors(found.covariance), found.se)


def test_with_equal_weights_errors_are_the_sandwichs():
    found = fit("newton", X, survey_weights=np.full(X.size, 7.0))
    plain = fit("newton", X)
    second = Data(X, np.ones(X.size)).second_moments(plain.mixture)
    expected = sandwich_covariance(plain.mixture, MixtureModel(), second)
    np.testing.assert_allclose(found.covariance, expected, atol=1e-6 * np.abs(expected).max())


def test_errors_are_those_of_a_weighted_mean():
    """One component: the mean's linearised variance is sum w^2 (x - m)^2 / (sum w)^2."""
    found = fit("newton", X, MixtureModel(1), survey_weights=WEIGHTS)
    mean = WEIGHTS @ X / WEIGHTS.sum()
    assert found.mixture.means[0] == pytest.approx(mean, rel=1e-8)
    error = np.sqrt(WEIGHTS**2 @ (X - mean) ** 2) / WEIGHTS.sum()
    assert found.se.means[0] == pytest.approx(error, rel=1e-6)


def test_zero_weights_leave_observations_out():
    kept = WEIGHTS > 0.5
    left_out = fit("newton", X, survey_weights=np.where(kept, WEIGHTS, 0.0))
    without = fit("newton", X[kept], survey_weights=WEIGHTS[kept])
    assert left_out.mixture == without.mixture
    assert left_out.n == kept.sum()


def test_counts_that_are_weights_are_told_where_to_go():
    with pytest.raises(ValueError, match=r"^counts: sum to 1, .* frequencies.* survey_weights$"):
        fit("em", X, counts=WEIGHTS / WEIGHTS.sum())
    with pytest.raises(ValueError, match=r"^survey_weights: are in the place of counts"):
        fit("em", X, counts=WEIGHTS, survey_weights=WEIGHTS)
    with pytest.raises(ValueError, match=r"^survey_weights: -1 is negative"):
        fit("em", X, survey_weights=-np.ones(X.size))
    with pytest.raises(ValueError, match=r"^survey_weights: has 2 values, x has 300"):
        fit("em", X, survey_weights=[1.0, 2.0])
    with pytest.raises(ValueError, match=r"^survey_weights: give no likelihood to nuts"):
        fit("nuts", X, survey_weights=WEIGHTS)
