"""Losses against closed forms, and inequalities between them."""

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.stats import wasserstein_distance_nd

from models import Mixture
from models.losses import hellinger, kullback_leibler, losses, wasserstein
from tests.models.strategies import mixtures

TWO = Mixture([0.3, 0.7], [1.0, 4.0], [1.0, 1.0])
LOSSES = (hellinger, kullback_leibler, wasserstein)


def normal(mean: float, sd: float) -> Mixture:
    return Mixture([1.0], [mean], [sd])


@pytest.mark.parametrize(
    ("mean", "sd"), [(0.0, 1.0), (1.0, 2.0), (3.0, 0.01), (1e-7, 1.0), (60.0, 1.0)]
)
def test_two_normals_have_closed_forms(mean, sd):
    one, other = normal(0.0, 1.0), normal(mean, sd)
    squares = 1.0 + sd**2
    affinity = np.sqrt(2 * sd / squares) * np.exp(-0.25 * mean**2 / squares)
    expected = -0.5 * np.log(sd**2) + 0.5 * (sd**2 + mean**2) - 0.5
    assert hellinger(other, one) ** 2 == pytest.approx(1 - affinity, rel=1e-9, abs=1e-15)
    assert kullback_leibler(other, one) == pytest.approx(expected, rel=1e-9, abs=1e-15)
    assert wasserstein(other, one) == pytest.approx(np.hypot(mean, sd - 1), rel=1e-12)


def test_nothing_cancels_between_densities_that_are_hardly_different():
    """To first order KL = d^2/2 and H^2 = d^2/8 for two normals at distance d = 1e-7."""
    one, other = normal(0.0, 1.0), normal(1e-7, 1.0)
    assert kullback_leibler(one, other) == pytest.approx(5e-15, rel=1e-5)
    assert hellinger(one, other) ** 2 == pytest.approx(1.25e-15, rel=1e-5)


def test_losses_between_densities_are_those_of_the_density_that_is_given():
    """The truth itself, written as 40 components, is at no distance; the estimate's place stays."""
    estimate = normal(0.0, 2.0)
    many = Mixture(np.tile(TWO.weights, 20) / 20, np.tile(TWO.means, 20), np.tile(TWO.sds, 20))
    found = losses(TWO, estimate, many)
    assert found.hellinger == pytest.approx(0.0, abs=1e-7)
    assert found.kullback_leibler == pytest.approx(0.0, abs=1e-14)
    assert found.wasserstein == wasserstein(TWO, estimate)


@given(mixtures(), mixtures())
@settings(max_examples=40)
def test_laws_of_distances(one, other):
    h, kl, w = (loss(one, other) for loss in LOSSES)
    assert 0 <= h <= 1 + 1e-12
    assert 2 * h * h <= kl + 1e-9
    assert hellinger(other, one) == pytest.approx(h, abs=1e-9)
    assert wasserstein(other, one) == pytest.approx(w, abs=1e-6)
    for loss in LOSSES:
        turned = loss(one.permuted(one.order()[::-1]), other.by_mean())
        assert turned == pytest.approx(loss(one, other), rel=1e-6, abs=1e-6)
        assert loss(one, one.by_mean()) == pytest.approx(0.0, abs=1e-7)


@given(mixtures(max_k=2), mixtures(max_k=2))
def test_the_closed_form_for_two_components_is_the_linear_programme(one, other):
    """A third component without weight changes nothing but the way it is computed."""
    padded = Mixture(np.append(one.weights, 0), np.append(one.means, 0), np.append(one.sds, 1))
    assert wasserstein(one, other) == pytest.approx(wasserstein(padded, other), abs=1e-6)


@given(mixtures(), mixtures())
def test_wasserstein_is_at_least_scipys_of_the_first_order(one, other):
    """By Jensen's inequality; equal where all of the mass goes one way."""
    points = (np.stack([m.means, m.sds], axis=1) for m in (one, other))
    first = wasserstein_distance_nd(*points, one.weights, other.weights)
    assert wasserstein(one, other) >= first - 1e-6
    if one.k == 1 and other.k == 1:
        assert wasserstein(one, other) == pytest.approx(first, abs=1e-6)


def test_kullback_leibler_and_hellinger_against_simulation():
    """Means over 400,000 draws, within five of their standard errors (false alarms 1e-6)."""
    one = Mixture([0.3, 0.7], [1.0, 9.0], [2.0, 3.0])
    other = Mixture([0.5, 0.4, 0.1], [0.0, 8.0, 12.0], [3.0, 2.0, 4.0])
    x, _ = one.sample(400_000, np.random.default_rng(0))
    ratio = other.log_density(x) - one.log_density(x)
    for value, draws in (
        (kullback_leibler(one, other), -ratio),
        (1 - hellinger(one, other) ** 2, np.exp(0.5 * ratio)),
    ):
        assert abs(draws.mean() - value) < 5 * draws.std() / np.sqrt(x.size)
