import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import norm

from models import Mixture, MixtureModel, fit
from models.em import e_step, m_step
from models.inference.certificate import certify, condition, covariance, errors, sandwich_covariance
from models.inference.intervals import (
    basic,
    natural_wald_interval,
    percentile,
    wald_interval,
)
from models.likelihood import complete_information, moments, score_and_information, second_moments
from models.priors import Prior
from models.sample import as_data
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


@pytest.mark.parametrize(
    "model",
    [
        MixtureModel(),
        MixtureModel(equal_sds=True),
        MixtureModel(means=[1.0, 9.0]),
        MixtureModel(means=[1.0, 9.0], sds=[2.0, 3.0]),
    ],
)
def test_supplemented_em_gives_the_observed_information(model):
    """I = Ic (I - DM) at the maximum, DM the derivative of an EM step (Meng and Rubin 1991, eq.
    2.3.6), here by central differences of 1e-5, good to 1e-8 of Ic's entries."""
    top = fit("newton", X, model)
    data, eta = as_data(X, None, model), model.pack(top.mixture)
    second = data.second_moments(top.mixture)

    def step(at):
        mixture = model.unpack(at)
        return model.pack(m_step(mixture, e_step(mixture, data), model))

    steps = 1e-5 * np.eye(eta.size)
    dm = np.stack([(step(eta + s) - step(eta - s)) / 2e-5 for s in steps], axis=1)
    s = model.selection
    complete = s.T @ complete_information(top.mixture, second) @ s
    observed = score_and_information(top.mixture, model, second)[1]
    found = complete @ (np.eye(eta.size) - dm)
    np.testing.assert_allclose(found, observed, atol=1e-7 * np.abs(complete).max())


def test_the_sandwich_of_one_normal_is_the_textbooks():
    """Of the mean s/sqrt(n) whatever the data; of the sd sqrt((m4 - s^4)/n)/(2 s)."""
    x = np.random.default_rng(0).exponential(size=300)
    model = MixtureModel(1)
    top = fit("newton", x, model)
    second = as_data(x, None, model).second_moments(top.mixture)
    found = errors(sandwich_covariance(top.mixture, model, second))
    s, m4 = x.std(), ((x - x.mean()) ** 4).mean()
    assert found[1, 0] == pytest.approx(s / np.sqrt(300), rel=1e-6)
    assert found[2, 0] == pytest.approx(np.sqrt((m4 - s**4) / 300) / (2 * s), rel=1e-6)
    assert top.se.sds[0] == pytest.approx(s / np.sqrt(600), rel=1e-6)
    assert found[2, 0] > 1.3 * top.se.sds[0]


def test_the_sandwich_agrees_with_the_information_where_the_model_holds():
    """At n = 200,000: an entry of V has a relative error of the order of 1/sqrt(n), 0.2%, times the
    kurtosis of the scores; 5%."""
    x, _ = SECOND_ARTICLE.sample(200_000, np.random.default_rng(8))
    top = fit("newton", x, start=SECOND_ARTICLE)
    second = second_moments(top.mixture, x, np.ones(x.size))
    found = errors(sandwich_covariance(top.mixture, top.model, second))
    np.testing.assert_allclose(found, top.se, rtol=0.05)


def test_natural_wald_intervals_are_symmetric_and_known_parameters_have_none():
    result = fit("em", X, MixtureModel(means=[1.0, 9.0]))
    lower, upper = natural_wald_interval(result.mixture, np.asarray(result.se), 0.95)
    np.testing.assert_allclose(0.5 * (lower + upper), result.mixture.as_rows(), rtol=1e-14)
    np.testing.assert_allclose(upper[2] - lower[2], 2 * 1.959964 * result.se.sds, rtol=1e-6)
    np.testing.assert_array_equal(lower[1], [1.0, 9.0])
    np.testing.assert_array_equal(upper[1], [1.0, 9.0])


def test_the_covariance_of_a_posterior_mode_is_laplaces():
    """Information of the likelihood plus that of the prior; with flat priors the likelihood's."""
    model, data = MixtureModel(), as_data(X, None, MixtureModel())
    for prior in (Prior.default(data), Prior.flat()):
        top = fit("map", X, model, prior=prior)
        second = data.second_moments(top.mixture)
        observed = score_and_information(top.mixture, model, second)[1]
        observed = observed + prior.information(top.mixture, model)
        expected = covariance(top.mixture, model, observed)
        np.testing.assert_allclose(top.covariance, expected, rtol=1e-6, atol=1e-15)
        np.testing.assert_allclose(errors(top.covariance), top.se, rtol=1e-12)


@pytest.mark.parametrize("draws", [39, 199, 999])
def test_percentile_intervals_hold_a_further_draw_as_often_as_they_say(draws):
    """Its rank among them is uniform: of the R + 1 gaps between them .95 are inside."""
    ranks = np.arange(1.0, draws + 1)
    ends = percentile(np.random.default_rng(0).permutation(ranks), 0.95)
    gaps = np.arange(draws + 1) + 0.5
    inside = np.mean((gaps > ends.lower) & (gaps < ends.upper))
    assert inside == 0.95
    mirrored = basic(np.array(0.0), ranks, 0.95)
    assert (mirrored.lower, mirrored.upper) == (-ends.upper, -ends.lower)


def test_ranks_that_are_no_whole_numbers_are_rounded_outwards():
    ranks = np.arange(1.0, 151.0)  # (150 + 1) .025 = 3.775
    assert percentile(ranks, 0.95) == (3.0, 148.0)
    assert np.isnan(percentile(np.arange(30.0), 0.95)).all()
    assert np.isnan(percentile(np.append(ranks, np.nan), 0.95)).all()
    both = percentile(np.stack([ranks, -ranks], axis=1), 0.9)
    np.testing.assert_array_equal(both, [[7.0, -144.0], [144.0, -7.0]])


def test_the_condition_is_that_of_the_correlations_of_what_is_estimated():
    """Of a common sd and known means: what is known, what follows and units do not count."""
    model = MixtureModel(2, means=[0, 3], equal_sds=True)
    jacobian = np.array([[1, -1, 0, 0, 0, 0], [0, 0, 0, 0, 2, 2]])  # w1, w2, means, sds
    correlated = np.array([[1, 0.6], [0.6, 1]])
    assert condition(jacobian.T @ correlated @ jacobian, model) == pytest.approx(1.6 / 0.4)
    assert np.isnan(condition(np.full((6, 6), np.nan), model))
    assert np.isnan(condition(np.zeros((6, 6)), MixtureModel(2, means=[0, 3], sds=[1, 1])))
