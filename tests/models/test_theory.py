"""Known numbers of two settings, the integrals behind them against simulation"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from models import Mixture, MixtureModel
from models.kernels import LOG_2PI
from models.theory import (
    efficiency_bound,
    expected_information,
    labelled_bound,
    missing_information,
    quadrature,
)
from models.truth import Normal, SkewNormal, StudentT, Truth
from tests.models.strategies import mixtures

FIRST = Mixture([0.8, 0.2], [0.0, 2.0], [1.0, 1.0])
KNOWN = MixtureModel(2, means=[0.0, 2.0], sds=[1.0, 1.0])
SECOND = Mixture([0.3, 0.7], [1.0, 9.0], [2.0, 3.0])
SPIKE = Mixture([0.01, 0.5, 0.49], [0.0, 1e-3, 50.0], [1e-4, 1.0, 30.0])


@pytest.mark.parametrize("truth", [FIRST, SECOND, SPIKE])
def test_quadrature_holds_the_mass_the_mean_and_the_variance(truth):
    nodes = quadrature(truth)
    assert nodes.n == pytest.approx(1.0, abs=1e-13)
    assert nodes.mean == pytest.approx(truth.mean, abs=1e-12 * truth.variance**0.5)
    assert nodes.sd == pytest.approx(truth.variance**0.5, rel=1e-12)


def test_the_entropy_of_one_normal():
    one = Mixture([1.0], [3.0], [2.0])
    expected = -0.5 * (LOG_2PI + 1.0) - np.log(2.0)
    assert quadrature(one).moments(one).loglik == pytest.approx(expected, rel=1e-13)


def test_the_first_articles_known_numbers():
    """To the digits that they were computed to."""
    assert efficiency_bound(FIRST, KNOWN, 500_000)[0] == pytest.approx(0.00080806, abs=5e-9)
    (rate,) = missing_information(FIRST, KNOWN, quadrature(FIRST))
    assert rate == pytest.approx(0.50992, abs=5e-6)
    assert rate**2 == pytest.approx(0.26002, abs=5e-6)


def test_the_second_articles_known_numbers():
    bound = efficiency_bound(SECOND, MixtureModel(), 5000)
    np.testing.assert_allclose(bound[0], 0.010812, atol=5e-7)
    np.testing.assert_allclose(bound[1], [0.094909, 0.083546], atol=5e-7)
    np.testing.assert_allclose(bound[2], [0.062343, 0.060517], atol=5e-7)
    rates = missing_information(SECOND, MixtureModel(), quadrature(SECOND))
    assert rates[0] == pytest.approx(0.89841, abs=5e-6)
    assert np.all((rates[:3] > 0.01) & (rates[:3] < 1))
    # An EM step keeps the data's mean and second moment, so two directions need but one step.
    np.testing.assert_allclose(rates[3:], 0.0, atol=1e-13)


@pytest.mark.parametrize(
    ("w", "ratio", "d", "rate", "spread"),
    [(0.5, 1, 2, 0.9949, 4.68), (0.5, 1, 3, 0.932, 0.98), (0.5, 1, 4, 0.725, 0.56),
     (0.5, 2, 2, 0.973, 1.92), (0.1, 1, 2, 0.9970, 3.80), (0.1, 1, 3, 0.953, 0.74)],
)  # fmt: skip
def test_known_rates_and_spreads_over_a_grid(w, ratio, d, rate, spread):
    """To half a unit of the last published digit."""
    sd = (2.0 / (1.0 + ratio**2)) ** 0.5
    truth, model = Mixture([w, 1 - w], [0, d], [sd, ratio * sd]), MixtureModel()
    found = missing_information(truth, model, quadrature(truth))[0]
    digits = 4 if rate > 0.99 else 3
    assert found == pytest.approx(rate, abs=0.51 * 10.0**-digits)
    assert efficiency_bound(truth, model, 1)[0, 0] == pytest.approx(spread, abs=0.0051)


def test_labels_give_the_textbook_bounds():
    bound = labelled_bound(SECOND, MixtureModel(), 5000)
    w, sd = SECOND.weights, SECOND.sds
    np.testing.assert_allclose(bound[0], np.sqrt(w[0] * w[1] / 5000), rtol=1e-10)
    np.testing.assert_allclose(bound[1], sd / np.sqrt(5000 * w), rtol=1e-10)
    np.testing.assert_allclose(bound[2], sd / np.sqrt(2 * 5000 * w), rtol=1e-10)


def test_known_labels_never_inform_less():
    difference = labelled_bound(SPIKE, MixtureModel(3), 10) / efficiency_bound(
        SPIKE, MixtureModel(3), 10
    )
    assert np.all(difference <= 1.0 + 1e-9)


def test_information_is_the_variance_of_the_score():
    """Over 200,000 draws: each entry within 5 Monte Carlo errors; 15 tests, false alarms 9e-6."""
    from models.likelihood import score_and_information
    from models.sample import Data

    model = MixtureModel()
    x = SECOND.sample(200_000, np.random.default_rng(3))[0]
    scores = np.empty((2000, 5))
    for i, part in enumerate(x.reshape(2000, 100)):
        second = Data(part, np.ones(100)).second_moments(SECOND)
        scores[i] = score_and_information(SECOND, model, second)[0]
    products = np.einsum("ij,ik->ijk", scores, scores) / 100.0
    error = products.std(axis=0) / np.sqrt(2000)
    z = (products.mean(axis=0) - expected_information(SECOND, model)) / error
    assert np.abs(z).max() < 5.0


FAMILIES = st.one_of(
    st.just(Normal()),
    st.builds(StudentT, st.floats(2.1, 50)),
    st.builds(SkewNormal, st.floats(-50, 50)),
)
TWO = Mixture([0.4, 0.6], [0.0, 4.0], [1.0, 1.2])


@given(mixtures(), FAMILIES)
def test_quadrature_holds_two_moments_of_every_family(components, family):
    """Of tails as well, whose second moments are algebraic integrals out to infinity."""
    nodes = quadrature(Truth(components, family))
    assert nodes.n == pytest.approx(1.0, abs=1e-10)
    assert nodes.mean == pytest.approx(components.mean, abs=1e-10 * components.variance**0.5)
    assert nodes.sd == pytest.approx(components.variance**0.5, rel=1e-10)


@given(mixtures(), FAMILIES, st.floats(0.1, 2))
def test_rounded_observations_have_the_probabilities_of_their_cells(components, family, step):
    truth = Truth(components, family, step)
    nodes = quadrature(truth)
    assert nodes.n == pytest.approx(1.0, abs=1e-12)
    middle = np.abs(nodes.x - components.mean) < 20 * components.variance**0.5
    x = nodes.x[middle]
    np.testing.assert_allclose(x / step, np.rint(x / step), atol=1e-9)
    for i in np.linspace(0, x.size - 1, 3).astype(int):
        mass = quad(lambda v: truth.density(np.array([v]))[0], x[i] - step / 2, x[i] + step / 2)[0]
        assert nodes.counts[middle][i] == pytest.approx(mass, abs=1e-9)
