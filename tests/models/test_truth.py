"""Families against SciPy's own, and draws against the distribution functions they come from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from models import Mixture
from models.truth import Normal, SkewNormal, StudentT, Truth

COMPONENTS = Mixture([0.3, 0.7], [-2.0, 3.0], [0.5, 2.0])
FAMILIES = [Normal(), StudentT(3), StudentT(30), SkewNormal(4), SkewNormal(-1)]


def standardised(law, z):
    """SciPy's density and distribution function at mean 0 and sd 1."""
    mean, sd = law.mean(), law.std()
    return sd * law.pdf(mean + sd * z), law.cdf(mean + sd * z)


@given(st.floats(2.1, 1000), st.floats(-20, 20))
def test_families_are_scipys_at_mean_0_and_sd_1(df, slant):
    z = np.linspace(-8, 8, 33)
    for family, law in (
        (Normal(), stats.norm()),
        (StudentT(df), stats.t(df)),
        (SkewNormal(slant), stats.skewnorm(slant)),
    ):
        density, cdf = standardised(law, z)
        np.testing.assert_allclose(family.density(z), density, rtol=1e-9, atol=1e-14)
        np.testing.assert_allclose(family.cdf(z), cdf, atol=1e-9)


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_the_density_is_the_derivative_of_the_distribution_function(family):
    truth = Truth(COMPONENTS, family)
    x, h = np.linspace(-6, 12, 181), 1e-5
    slope = (truth.cdf(x + h) - truth.cdf(x - h)) / (2 * h)
    # Central differences: h^2 times third derivatives, and rounding over h.
    np.testing.assert_allclose(truth.density(x), slope, atol=1e-8)
    np.testing.assert_allclose(truth.parts(x).sum(axis=1), truth.density(x), rtol=1e-15)


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_draws_follow_the_distribution_function(family):
    """Kolmogorov and Smirnov's test of 20,000 draws: five tests, false alarms 5e-6."""
    truth = Truth(COMPONENTS, family)
    x = truth.sample(20_000, np.random.default_rng(5))
    assert stats.kstest(x, truth.cdf).pvalue > 1e-6


def test_normal_draws_are_the_mixtures_own_to_the_bit():
    x = Truth(COMPONENTS).sample(1000, np.random.default_rng(2))
    np.testing.assert_array_equal(x, COMPONENTS.sample(1000, np.random.default_rng(2))[0])


def test_rounded_draws_are_the_nearest_multiples():
    rng = np.random.default_rng
    exact = Truth(COMPONENTS).sample(500, rng(1))
    rounded = Truth(COMPONENTS, round_to=0.25).sample(500, rng(1))
    assert np.all(np.abs(rounded - exact) <= 0.125)
    np.testing.assert_array_equal(4 * rounded, np.rint(4 * rounded))
