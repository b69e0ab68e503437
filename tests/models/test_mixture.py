import numpy as np
import pytest
from hypothesis import given
from scipy import integrate, stats

from models import Mixture
from models.mixture import draws_by_mean
from tests.models.strategies import SECOND_ARTICLE, mixtures


@given(mixtures())
def test_density_is_the_weighted_sum_of_normal_densities(mixture):
    x = np.linspace(-20, 20, 41)
    direct = sum(
        w * stats.norm.pdf(x, m, s)
        for w, m, s in zip(mixture.weights, mixture.means, mixture.sds, strict=True)
    )
    np.testing.assert_allclose(mixture.density(x), direct, rtol=1e-11, atol=1e-300)


@given(mixtures())
def test_moments_agree_with_quadrature(mixture):
    low = (mixture.means - 12 * mixture.sds).min()
    high = (mixture.means + 12 * mixture.sds).max()
    x = np.linspace(low, high, 20_001)
    density = mixture.density(x)
    mean = integrate.simpson(x * density, x=x)
    variance = integrate.simpson((x - mean) ** 2 * density, x=x)
    assert mean == pytest.approx(mixture.mean, abs=1e-8)
    assert variance == pytest.approx(mixture.variance, rel=1e-8)


@given(mixtures())
def test_permutation_changes_nothing_but_the_order(mixture):
    x = np.linspace(-15, 15, 31)
    order = np.arange(mixture.k)[::-1]
    flipped = mixture.permuted(order)
    np.testing.assert_allclose(flipped.log_density(x), mixture.log_density(x), rtol=1e-13)
    np.testing.assert_allclose(
        flipped.responsibilities(x), mixture.responsibilities(x)[:, order], rtol=1e-12
    )
    assert np.all(np.diff(mixture.by_mean().means) >= 0)


@given(mixtures())
def test_responsibilities_sum_to_one(mixture):
    total = mixture.responsibilities(np.linspace(-1e3, 1e3, 101)).sum(axis=1)
    np.testing.assert_allclose(total, 1.0, rtol=1e-12)


def test_sample_follows_the_distribution():
    """Kolmogorov-Smirnov and a chi-square on the labels; false-alarm rate 1e-3 each, fixed seed."""
    x, labels = SECOND_ARTICLE.sample(20_000, np.random.default_rng(1))

    def cdf(v):
        return sum(
            w * stats.norm.cdf(v, m, s) for w, m, s in zip(*SECOND_ARTICLE.as_rows(), strict=True)
        )

    assert stats.kstest(x, cdf).pvalue > 1e-3
    assert stats.binomtest(int((labels == 0).sum()), labels.size, 0.3).pvalue > 1e-3


@pytest.mark.parametrize(
    ("weights", "means", "sds", "says"),
    [
        ([0.5, 0.4], [0, 1], [1, 1], "weights: sum to 0.9; they must sum to 1"),
        ([1.5, -0.5], [0, 1], [1, 1], "weights: -0.5 is negative"),
        ([0.5, 0.5], [0, 1], [1, 0], "sds: 0 is not positive"),
        ([0.5, 0.5], [0, np.nan], [1, 1], "means: .* not finite"),
        ([0.5, 0.5], [0, 1, 2], [1, 1], "means: has 3 values, weights has 2"),
        ([], [], [], "weights: are none"),
        ([0.5, 0.5], "ab", [1, 1], "means: holds text; give numbers"),
        ([0.5, 0.5], np.ma.masked_equal([0, 1], 1), [1, 1], "means: 1 of 2 values are missing"),
        ([0.5, 0.5], [0, 1j], [1, 1], "means: holds complex numbers"),
    ],
)
def test_bad_parameters_are_named(weights, means, sds, says):
    with pytest.raises(ValueError, match=says):
        Mixture(weights, means, sds)


@pytest.mark.parametrize("name", ["responsibilities", "density", "log_density", "log_joint"])
@pytest.mark.parametrize(
    ("x", "says"),
    [
        ([[1.0], [2.0]], r"has shape \(2, 1\); give one dimension"),
        (1.0, r"has shape \(\)"),
        ([1.0, np.nan], "1 of 2 values are not finite"),
        (np.ma.masked_equal([1.0, -9.0], -9.0), "1 of 2 values are missing"),
        ([1j], "holds complex numbers"),
    ],
)
def test_what_a_density_cannot_be_taken_of_is_named(name, x, says):
    with pytest.raises(ValueError, match=f"^x: {says}"):
        getattr(SECOND_ARTICLE, name)(x)


def test_far_away_densities_are_zero_and_shares_are_refused():
    with np.errstate(all="raise", under="ignore"):
        assert SECOND_ARTICLE.density([1e160]) == 0.0
        np.testing.assert_array_equal(SECOND_ARTICLE.responsibilities([1e150]), [[0.0, 1.0]])
        with pytest.raises(ValueError, match=r"^x: 1e\+160 is too far from all components"):
            SECOND_ARTICLE.responsibilities([1.0, 1e160])


def test_a_mixture_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        SECOND_ARTICLE.means[0] = 5.0


def test_draws_by_mean_moves_the_rows_of_a_draw_together():
    draws = np.array([[[[0.3, 0.7], [5.0, 1.0], [2.0, 3.0]], [[0.4, 0.6], [1.0, 5.0], [4.0, 6.0]]]])
    expected = [[[[0.7, 0.3], [1.0, 5.0], [3.0, 2.0]], [[0.4, 0.6], [1.0, 5.0], [4.0, 6.0]]]]
    np.testing.assert_array_equal(draws_by_mean(draws), expected)


def test_draws_of_equal_means_are_ordered_by_sd_and_then_by_weight():
    draws = np.array([[[0.3, 0.7], [1.0, 1.0], [3.0, 2.0]], [[0.6, 0.4], [1.0, 1.0], [2.0, 2.0]]])
    np.testing.assert_array_equal(draws_by_mean(draws), draws[..., ::-1])
