"""Models that know some means, sds or weights of some components, by every numeric method."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import chi2, norm

from models import Mixture, MixtureModel, fit
from models.inference.bootstrap import bootstrap
from models.inference.profile import profile_interval, profile_intervals
from models.labels.algorithms import stephens
from models.likelihood import score, score_and_information
from models.mixture import draws_by_mean
from models.posterior.sampling import labellings_within
from models.priors import Dirichlet, InverseGamma, Normal, Prior, SharedScale
from models.sample import as_data
from models.starts import candidates
from models.verdicts import believable
from tests.models.strategies import NUMERIC

# A null that is known, and an alternative that is not.
NULL = MixtureModel(2, means=[0, None], sds=[1, None])
GROUPS = Mixture([0.8, 0.2], [0.0, 2.5], [1.0, 0.7])
THREE = Mixture([0.5, 0.3, 0.2], [0.0, -3.0, 4.0], [1.0, 0.8, 1.3])
X = GROUPS.sample(600, np.random.default_rng(1))[0]
X3 = THREE.sample(500, np.random.default_rng(2))[0]
MODELS = {
    "null": (X, NULL),
    "null with a known weight": (X, MixtureModel(2, [0, None], [1, None], weights=[0.8, None])),
    "one sd": (X, MixtureModel(2, sds=[None, 0.7])),
    "one mean, common sd": (X3, MixtureModel(3, means=[None, -3, None], equal_sds=True)),
    "one weight": (X3, MixtureModel(3, weights=[None, 0.3, None])),
    "all weights": (X3, MixtureModel(3, weights=[0.5, 0.3, 0.2])),
    "the last weight and some of all": (
        X3,
        MixtureModel(3, [0, None, None], [1, 0.8, None], weights=[None, None, 0.2]),
    ),
}
PARTLY = [pytest.param(*case, id=name) for name, case in MODELS.items()]


def test_nothing_known_is_the_free_model_to_the_bit():
    named = MixtureModel(2, means=[None, None], sds=[None, None], weights=[None, None])
    assert (named.means, named.sds, named.weights) == (None, None, None)
    for method in ("em", "newton"):
        one, other = fit(method, X), fit(method, X, named)
        assert one.mixture == other.mixture
        assert one.loglik == other.loglik
        np.testing.assert_array_equal(one.covariance, other.covariance)


def test_all_known_is_the_model_of_known_components():
    given = MixtureModel(3, [0, -3, 4], [1, 0.8, 1.3], weights=[0.5, None, 0.2])
    assert given.n_free == 0
    np.testing.assert_allclose(given.weights, [0.5, 0.3, 0.2], rtol=1e-15)
    found = fit("em", X3, given)
    assert found.loglik == pytest.approx(THREE.log_density(X3).sum(), rel=1e-13)
    assert (np.asarray(found.se) == 0).all()


@pytest.mark.parametrize(("x", "model"), PARTLY)
def test_score_and_information_are_the_derivatives_in_the_models_coordinates(x, model):
    truth = GROUPS if model.k == 2 else THREE
    data = as_data(x, None, model)
    eta = model.pack(model.admit(truth)) + 0.1
    found = score_and_information(model.unpack(eta), model, data.second_moments(model.unpack(eta)))

    def slope(at):
        mixture = model.unpack(at)
        return model.jacobian(mixture).T @ score(mixture, data.moments(mixture).t)

    step = 1e-5  # errors of order step^2 n and eps n/step, both below 1e-5
    for j in range(model.n_free):
        move = step * np.eye(model.n_free)[j]
        ahead, behind = eta + move, eta - move
        rise = data.moments(model.unpack(ahead)).loglik - data.moments(model.unpack(behind)).loglik
        assert found[0][j] == pytest.approx(rise / (2 * step), abs=1e-4)
        turn = (slope(ahead) - slope(behind)) / (2 * step)
        np.testing.assert_allclose(-found[1][j], turn, atol=1e-4)


@pytest.mark.parametrize(("x", "model"), PARTLY)
def test_the_optimisers_agree_where_the_score_of_the_free_parameters_vanishes(x, model):
    found = [fit(method, x, model) for method in NUMERIC]
    data = as_data(x, None, model)
    for one in found:
        assert (one.status, one.verdict()) == ("ok", "certified"), one.method
        at = one.mixture.as_rows()
        np.testing.assert_array_equal(at[~one.model.free], one.model.known[~one.model.free])
        np.testing.assert_array_equal(np.asarray(one.se)[~one.model.free], 0.0)
        assert (np.asarray(one.se)[one.model.free] > 0).all()
        # The certificate is at most 1e-4 standard errors, the scores at most that times sqrt(J).
        slope = one.model.jacobian(one.mixture).T @ score(one.mixture, data.moments(one.mixture).t)
        assert np.abs(slope).max() < 1e-4 * np.sqrt(4 * data.n)
        np.testing.assert_allclose(at, found[3].mixture.as_rows(), atol=2e-5)
        assert one.loglik == pytest.approx(found[3].loglik, abs=1e-7)


@pytest.mark.parametrize("method", ["em", "em-squarem", "lbfgs", "newton"])
def test_a_penalty_is_of_the_sds_that_are_free(method):
    found = fit(method, X, NULL, penalty="chen")
    a, s, sd = 1 / 600, X.std(), found.mixture.sds[1]
    expected = found.loglik - a * ((s / sd) ** 2 + 2 * np.log(sd))
    prior = Prior.penalised(as_data(X, None, NULL))
    constant = prior.log_density(found.mixture, NULL) + a * ((s / sd) ** 2 + 2 * np.log(sd))
    assert found.verdict() == "certified"
    assert found.objective == pytest.approx(expected + constant, rel=1e-12)


@pytest.mark.parametrize("prior", [
    Prior(Dirichlet(2.0), Normal(1.0, 3.0), InverseGamma(2.0, 1.0)),
    Prior(Dirichlet(0.7), Normal((1.0, 2.0, 3.0), 2.0), SharedScale(2.0, 0.2, 0.01, 4.0)),
])  # fmt: skip
@pytest.mark.parametrize(("x", "model"), PARTLY[3:])
def test_a_priors_derivatives_are_those_of_its_density(x, model, prior):
    eta = model.pack(model.admit(THREE))

    def log_density(at):
        return prior.log_density(model.unpack(at), model)

    step = 1e-4  # errors of order step^2
    gradient = prior.score(model.unpack(eta), model)
    curvature = prior.information(model.unpack(eta), model)
    for j, move in enumerate(step * np.eye(model.n_free)):
        rise = log_density(eta + move) - log_density(eta - move)
        assert gradient[j] == pytest.approx(rise / (2 * step), abs=1e-6)
        ahead, behind = (model.unpack(eta + s * move) for s in (1, -1))
        turn = (prior.score(ahead, model) - prior.score(behind, model)) / (2 * step)
        np.testing.assert_allclose(-curvature[j], turn, atol=1e-6)


def test_two_groups_are_told_apart_and_so_are_their_local_false_discovery_rates():
    """Five estimates within 4 standard errors: a false alarm in 1 of 5,000."""
    truth = Mixture([0.9, 0.1], [0.0, 3.0], [1.0, 0.8])
    x = truth.sample(5_000, np.random.default_rng(3))[0]
    found = fit("newton", x, NULL)
    assert found.verdict() == "certified"
    errors = np.abs(found.mixture.as_rows() - truth.as_rows())
    assert (errors <= 4 * np.asarray(found.se)).all()
    rates = found.mixture.responsibilities(x)[:, 0], truth.responsibilities(x)[:, 0]
    assert np.abs(rates[0] - rates[1]).mean() < 0.01


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(("x", "model"), PARTLY[:2])
def test_the_alternative_is_found_on_either_side(x, model, sign):
    found = fit("em", sign * x, model)
    null = int(np.argmin(np.abs(found.mixture.means)))
    assert null == (sign < 0)
    assert found.mixture.means[null] == 0.0
    assert found.loglik == pytest.approx(fit("newton", x, model).loglik, abs=1e-7)


def test_starts_leave_known_means_where_they_are():
    """The free centre is the farther quantile, and in k-means that of what is nearer to it."""
    for x in (X, -X):
        split, means, *_ = candidates(as_data(x, None, NULL), NULL, np.random.default_rng(0))
        quartiles = np.quantile(x, [0.25, 0.75])
        assert split.means[0] == means.means[0] == 0.0
        assert abs(split.means[1] - quartiles[np.argmax(np.abs(quartiles))]) < 0.1
        own = x[np.abs(x - means.means[1]) < np.abs(x)]
        assert means.means[1] == pytest.approx(own.mean(), abs=1e-9)


def test_a_narrow_component_needs_no_evidence_where_its_sd_is_known():
    x = np.append(np.linspace(-2, 2, 60), [3.0, 3.01])
    narrow = Mixture([60 / 62, 2 / 62], [0, 3.005], [1.2, 0.005])
    data = as_data(x, None, MixtureModel())
    assert not believable(narrow, MixtureModel(), data)
    assert not believable(narrow, MixtureModel(2, sds=[1.2, None]), data)
    assert believable(narrow, MixtureModel(2, sds=[None, 0.005]), data)


def test_known_values_follow_the_data_into_the_frame():
    far = fit("newton", X + 2.0**30, MixtureModel(2, [2.0**30, None], [1, None]))
    near = fit("newton", X, NULL)
    assert far.verdict() == "certified"
    assert far.mixture.means[0] == 2.0**30
    np.testing.assert_allclose(far.mixture.sds, near.mixture.sds, rtol=1e-6)
    small = fit("newton", X * 2.0**-400, MixtureModel(2, [0, None], [2.0**-400, None]))
    np.testing.assert_allclose(np.ldexp(small.mixture.means, 400), near.mixture.means, rtol=1e-9)


def test_a_compressed_sample_gives_the_same():
    x = GROUPS.sample(3_000, np.random.default_rng(4))[0]
    exact, nodes = (fit("em", x, NULL, compress=compress) for compress in (False, True))
    np.testing.assert_allclose(nodes.mixture.as_rows(), exact.mixture.as_rows(), atol=1e-7)


@pytest.mark.parametrize("method", ["em", "em-squarem", "lbfgs", "newton"])
@pytest.mark.parametrize("alternative", [(2, 1), (None, 3)])
def test_a_null_that_is_all_there_is_ends_on_the_boundary(alternative, method):
    """Quantiles of the null drawn together, so that the likelihood wants no alternative of sd 1
    or 3."""
    mean, sd = alternative
    x = 0.97 * norm.ppf((np.arange(300) + 0.5) / 300) + 0.05
    found = fit(method, x, MixtureModel(2, means=[0, mean], sds=[1, sd]))
    assert (found.verdict(), found.status) == ("boundary", "ok")
    null = np.nanargmin(np.abs(found.model.known[1]))
    assert found.mixture.weights[null] == 1.0
    assert found.loglik == pytest.approx(norm.logpdf(x).sum(), abs=1e-9)


@pytest.mark.parametrize("sd", [1, None])
def test_an_alternative_that_can_be_the_null_takes_its_place(sd):
    """And the weight of the known null is 0, on the boundary: the fit of one normal is better."""
    x = 0.97 * norm.ppf((np.arange(300) + 0.5) / 300) + 0.05
    found = fit("newton", x, MixtureModel(2, means=[0, None], sds=[1, sd]))
    assert (found.verdict(), found.mixture.weights.tolist()) == ("boundary", [0.0, 1.0])
    spread = x.std() if sd is None else 1.0
    assert found.loglik == pytest.approx(norm.logpdf(x, x.mean(), spread).sum(), abs=1e-6)


def test_the_boundary_holds_where_one_of_the_weights_is_known():
    """Half are said to be the first's, though fewer are; of the rest none are the third's.

    The third's gradient is above n, and below the multiplier of the second's weight.
    """
    x = Mixture([0.3, 0.7], [0, 4], [1, 1]).sample(300, np.random.default_rng(5))[0]
    model = MixtureModel(3, [0, 4, 3.2], 1.0, weights=[0.5, None, None])
    first, second, third = (norm.pdf(x, mean) for mean in (0, 4, 3.2))
    density = 0.5 * first + 0.5 * second
    assert 300 < (third / density).sum() < (second / density).sum()
    fall = 0.5 * chi2.ppf(0.95, 1)
    ratio = (third - second) / density
    end = brentq(lambda w: np.log1p(w * ratio).sum() + fall, 0, 0.5)
    for method in ("em", "newton"):
        found = fit(method, x, model)
        assert found.verdict() == "boundary"
        assert found.mixture.weights.tolist() == [0.5, 0.0, 0.5]
        lower, upper = found.interval(0.95)
        np.testing.assert_allclose(lower.weights, [0.5, 0, 0.5 - end], atol=1e-6)
        np.testing.assert_allclose(upper.weights, [0.5, end, 0.5], atol=1e-6)
        data = as_data(x, None, model)
        low, high = profile_interval(data, found.model, found.mixture, "weights", 0)
        assert (low.kind, high.kind, low.value) == ("known", "known", 0.5)


def test_a_known_weight_of_less_than_an_observation_is_not_taken_for_a_vanished_one():
    model = MixtureModel(2, means=[0, 9], sds=[None, 1], weights=[0.999, None])
    found = fit("newton", X, model)
    assert found.verdict() == "certified"
    np.testing.assert_array_equal(found.mixture.weights, found.model.weights)


def test_profile_intervals_end_where_the_likelihood_has_fallen():
    data, found = as_data(X, None, NULL), fit("newton", X, NULL)
    ends = profile_intervals(data, NULL, found.mixture)
    assert ends.lower_kind.tolist() == [["found"] * 2, ["known", "found"], ["known", "found"]]
    fall = 0.5 * chi2.ppf(0.95, 1)
    for value in (ends.lower.means[1], ends.upper.means[1]):
        there = fit("newton", X, MixtureModel(2, means=[0, value], sds=[1, None]))
        assert found.loglik - there.loglik == pytest.approx(fall, abs=1e-6)
    model = MODELS["one weight"][1]
    found, data = fit("newton", X3, model), as_data(X3, None, model)
    names = [j for j in range(3) if found.model.free[0, j]]
    for end in profile_interval(data, found.model, found.mixture, "weights", names[0]):
        known = np.where(found.model.free[0], np.nan, found.model.known[0])
        known[names[0]] = end.value
        there = fit("newton", X3, MixtureModel.of_known(
            np.stack([known, [np.nan] * 3, [np.nan] * 3]), False), start=found.mixture)  # fmt: skip
        assert found.loglik - there.loglik == pytest.approx(fall, abs=1e-6)


def test_only_components_that_nothing_known_tells_apart_change_places():
    model = MixtureModel(3, means=[None, 0, None], sds=[None, 1, None])
    assert model.kinds.tolist() == [1, 0, 1]
    assert (model.exchangeable, model.partly_exchangeable) == (False, True)
    assert MixtureModel(2, weights=[0.3, 0.7]).exchangeable is False
    assert MixtureModel(2, weights=[0.5, 0.5]).exchangeable is True
    assert MixtureModel(3, weights=[0.4, 0.4, None]).kinds.tolist() == [1, 1, 0]
    rng = np.random.default_rng(6)
    orders = labellings_within(model.kinds, 4, rng)
    assert sorted(orders.tolist()) == [[0, 1, 2]] * 2 + [[2, 1, 0]] * 2
    rows = np.stack([[0.2, 0.5, 0.3], [4.0, 0.0, -3.0], [1.3, 1.0, 0.8]])
    draws = np.broadcast_to(rows, (2, 40, 3, 3)) + 0.01 * rng.standard_normal((2, 40, 3, 3))
    draws[..., 0, :] /= draws[..., 0, :].sum(axis=-1, keepdims=True)
    assert (np.diff(draws_by_mean(draws, model.kinds)[..., 1, ::2]) > 0).all()
    np.testing.assert_array_equal(draws_by_mean(draws, model.kinds)[..., 1], draws[..., 1])
    switched = draws.copy()
    switched[0] = switched[0][..., [2, 1, 0]]
    found = stephens(switched, X3, pivot=rows, kinds=model.kinds).permutations
    assert (found[0] == [2, 1, 0]).all()
    assert (found[1] == [0, 1, 2]).all()
    # Where the known one is nearer to the others' places it stays all the same.
    apart = np.array([0, 1, 2])
    np.testing.assert_array_equal(
        stephens(draws[..., [1, 0, 2]], X3, pivot=rows, kinds=apart).permutations[0, 0], apart
    )
    near = MixtureModel(3, means=[None, 0, None], sds=1.0)
    refits = bootstrap(near, Mixture([0.3, 0.4, 0.3], [-0.5, 0.0, 3.0], [1, 1, 1]), 50, 20, rng)
    assert len(refits.draws) > 10
    assert (refits.draws[:, 1, 1] == 0.0).all()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"means": [0, None, None]}, "means: has 3 values; the model has 2 components, one each"),
        ({"sds": [0, None]}, "sds: 0 is not positive; known sds must be > 0"),
        ({"sds": [1, None], "equal_sds": True}, "equal_sds: True with known sds; give one or"),
        ({"weights": [0.3, 0.3]}, "weights: sum to 0.6; they must sum to 1"),
        ({"weights": [1, None]}, "weights: sum to 1, which leaves nothing for the others"),
        ({"weights": [0, None]}, "weights: 0 is not positive; known weights must be > 0"),
        ({"means": [0, "b"]}, "means: holds text"),
        ({"means": [None, float("nan")]}, "means: 1 of 2 values are not finite"),
    ],
)
def test_bad_known_values_are_named(arguments, says):
    with pytest.raises(ValueError, match=says):
        MixtureModel(2, **arguments)


def test_a_bound_between_sds_is_refused_where_some_are_known():
    with pytest.raises(ValueError, match="sd_ratio: bounds sds that are all free; give penalty"):
        fit("lbfgs", X, NULL, sd_ratio=0.1)
