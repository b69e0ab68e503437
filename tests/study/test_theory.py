"""Known numbers of two settings, the integrals behind them against simulation, and the targets."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from models import Mixture, MixtureModel, fit
from models.mixture import LOG_2PI
from models.theory import (
    efficiency_bound,
    expected_information,
    labelled_bound,
    missing_information,
    quadrature,
)
from models.truth import Normal, SkewNormal, StudentT, Truth
from study.design import load
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
MISSED = {
    "outliers": (Truth(Mixture([0.388, 0.582, 0.03], [0, 4, 2], [1, 1, 5])), MixtureModel(2)),
    "tails": (Truth(TWO, StudentT(3)), MixtureModel(2)),
    "skew": (Truth(TWO, SkewNormal(4)), MixtureModel(2)),
    "common sd": (Truth(TWO), MixtureModel(2, equal_sds=True)),
    "weights only": (Truth(TWO, StudentT(3)), MixtureModel(2, TWO.means, TWO.sds)),
    "fewer": (Truth(Mixture([0.2, 0.3, 0.5], [0, 3, 9], [1, 1, 1])), MixtureModel(2)),
    "one t": (Truth(Mixture([1.0], [2.0], [1.0]), StudentT(3)), MixtureModel(2)),
    "three": (Truth(Mixture([0.3, 0.3, 0.4], [0, 5, 10], [1, 1, 1]), SkewNormal(-3)),
              MixtureModel(3)),
}  # fmt: skip


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


@given(mixtures())
def test_where_the_model_holds_the_target_is_the_truth(truth):
    distinct = len({*zip(truth.means, truth.sds, strict=True)}) == truth.k
    wanted = truth.by_mean() if distinct else None
    assert target(Truth(truth), MixtureModel(truth.k)) == wanted
    order = np.arange(truth.k)[::-1]
    known = MixtureModel(truth.k, truth.means[order], truth.sds[order])
    assert target(Truth(truth), known) == wanted


@pytest.mark.parametrize("name", MISSED)
def test_at_the_target_the_expected_score_is_zero(name):
    """By SciPy's adaptive quadrature, over responsibilities from the textbook's formula."""
    truth, model = MISSED[name]
    found = target(truth, model)
    k = found.k

    def score(x):
        t = found.responsibilities(np.array([x]))[0]
        z = (x - found.means) / found.sds
        full = np.concatenate([(t - found.weights)[:-1], t * z / found.sds, t * (z * z - 1)])
        return model.selection.T @ full * truth.density(np.array([x]))[0]

    inner = np.array([-30.0, *np.sort(np.r_[truth.components.means, found.means]), 40.0])
    cells = [(-np.inf, -30.0), *pairwise(inner), (40.0, np.inf)]
    for j in range(model.n_free):
        total = sum(quad(lambda x, j=j: score(x)[j], *cell, limit=200)[0] for cell in cells)
        assert total == pytest.approx(0.0, abs=1e-7)
    assert k == model.k
    assert np.all(np.diff(found.means) >= 0)


@pytest.mark.parametrize(
    "name", [name for name in MISSED if name not in ("common sd", "weights only")]
)
def test_the_target_has_the_mean_and_the_variance_of_the_truth(name):
    """As every fixed point of EM has, all parameters free."""
    truth, model = MISSED[name]
    found = target(truth, model)
    assert found.mean == pytest.approx(truth.components.mean, abs=1e-8)
    assert found.variance == pytest.approx(truth.components.variance, rel=1e-8)


@given(st.floats(0.1, 0.8))
@settings(max_examples=10)
def test_rounding_adds_sheppards_correction_to_the_variances(step):
    """To the third derivatives that the correction leaves out, at steps below the sds."""
    found = target(Truth(TWO, round_to=step), MixtureModel(2))
    np.testing.assert_allclose(found.sds**2, TWO.sds**2 + step**2 / 12, rtol=1e-3)
    np.testing.assert_allclose(found.means, TWO.means, atol=1e-3)


@pytest.mark.parametrize("name", MISSED)
def test_the_target_moves_with_the_units(name):
    truth, model = MISSED[name]
    if model.means is not None:
        model = MixtureModel(2, 50 + 10 * model.means, 10 * model.sds)
    own = truth.components
    moved = Truth(Mixture(own.weights, 50 + 10 * own.means, 10 * own.sds), truth.family)
    found, there = target(truth, MISSED[name][1]), target(moved, model)
    np.testing.assert_allclose(there.weights, found.weights, atol=1e-6)
    np.testing.assert_allclose(there.means, 50 + 10 * found.means, atol=1e-5)
    np.testing.assert_allclose(there.sds, 10 * found.sds, rtol=1e-6)


def highest_of_many(scenario, rng, starts=25):
    """The highest expected log-likelihood at certified ends of Newton's method."""
    nodes, model = quadrature(scenario.truth()), scenario.model.build()
    x, counts = nodes.x, 1e6 * nodes.counts
    ends = []
    for _ in range(starts):
        means = rng.choice(x, model.k, p=nodes.counts / nodes.n) + 0.01 * rng.random(model.k)
        sds = nodes.sd * rng.uniform(0.2, 1.5, model.k)
        start = Mixture(rng.dirichlet(np.full(model.k, 2.0)), means, sds)
        near = fit("em", x, model, counts=counts, start=start, max_iter=100, compress=False)
        if near.status != "singular":
            end = fit("newton", x, model, counts=counts, start=near.mixture, compress=False)
            ends += (
                [end.loglik] if end.certificate is not None and end.certificate.certified else []
            )
    return max(ends)


@pytest.mark.parametrize("name", ["contaminated", "t3", "skew-normal", "rounded", "rounded-coarse"])
def test_no_search_from_other_starts_ends_above_a_shipped_target(name):
    scenario = load("default").scenario(name)
    nodes = quadrature(scenario.truth())
    reached = 1e6 * nodes.moments(scenario.target()).loglik
    assert highest_of_many(scenario, np.random.default_rng(0)) <= reached + 1e-3


@pytest.mark.parametrize(
    ("truth", "k"),
    [
        (Truth(Mixture([1.0], [0.0], [1.0])), 2),
        (Truth(Mixture([0.5, 0.5], [0.0, 0.0], [1.0, 1.0])), 2),
        (Truth(Mixture([0.0, 1.0], [0.0, 4.0], [1.0, 1.0])), 2),
        (Truth(Mixture([1.0], [0.0], [1.0]), SkewNormal(0.0)), 2),
        # Two of three equal components merge, and either two do.
        (Truth(Mixture([1, 1, 1] / np.array(3), [-8.0, 0.0, 8.0], [1.0, 1.0, 1.0])), 2),
    ],
)
def test_where_many_mixtures_are_as_near_there_is_no_target(truth, k):
    assert target(truth, MixtureModel(k)) is None


def test_means_that_symmetry_makes_equal_are_equal():
    found = target(*MISSED["one t"])
    assert found.means[0] == found.means[1]
    assert found.sds[0] < found.sds[1]
