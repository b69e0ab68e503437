import numpy as np
import pytest
from scipy.optimize import brentq, minimize
from scipy.special import expit
from scipy.stats import chi2, norm

from models import Mixture, MixtureModel, fit
from models.direct import Objective
from models.inference.intervals import natural_wald_interval
from models.inference.profile import NAMES, _evaluate, profile_interval, profile_intervals
from models.sample import as_data
from tests.models.strategies import SECOND_ARTICLE

X, _ = SECOND_ARTICLE.sample(500, np.random.default_rng(21))
THREE = Mixture([0.2, 0.5, 0.3], [0.0, 5.0, 10.0], [1.0, 1.5, 1.0])
X3, _ = THREE.sample(300, np.random.default_rng(3))
MODELS = {
    "all free": (X, MixtureModel()),
    "equal sds": (X, MixtureModel(equal_sds=True)),
    "known means": (X, MixtureModel(means=[9.0, 1.0])),
    "known components": (X, MixtureModel(means=[1.0, 9.0], sds=[2.0, 3.0])),
    "three": (X3, MixtureModel(3)),
    "three, equal sds": (X3, MixtureModel(3, equal_sds=True)),
}


def highest_at(x, model, top, row, component, value):
    """The log-likelihood maximised by SciPy with one parameter held by its natural value."""
    objective = Objective(as_data(x, None, model), model)

    def constrained(theta):
        rows = objective.mixture(theta).as_rows()
        if row == 0:
            others = np.arange(model.k) != component
            rows[0, others] *= (1.0 - value) / rows[0, others].sum()
        rows[row, slice(None) if row == 2 and model.equal_sds else component] = value
        return -objective.data.moments(Mixture.trusted(*rows)).loglik

    theta = objective.theta(top)
    for _ in range(3):
        theta = minimize(constrained, theta, method="BFGS", options={"gtol": 1e-7}).x
    return -constrained(theta)


@pytest.mark.parametrize("name", MODELS)
def test_at_its_ends_the_profile_is_half_a_chi_squared_quantile_below_the_maximum(name):
    """The oracle is SciPy's BFGS with numerical derivatives, good to 1e-5 nats; it can only end
    below the true profile, and both ends must be found."""
    x, model = MODELS[name]
    top = fit("newton", x, model)
    found = profile_intervals(as_data(x, None, model), top.model, top.mixture, 0.9)
    drop = 0.5 * chi2.ppf(0.9, 1)
    rows = top.mixture.as_rows()
    for row in range(3):
        for j in range(model.k):
            known = (False, model.means is not None, model.sds is not None)[row]
            for ends, kinds in ((found.lower, found.lower_kind), (found.upper, found.upper_kind)):
                assert kinds[row, j] == ("known" if known else "found")
                if known:
                    assert ends[row, j] == rows[row, j]
                    continue
                at = highest_at(x, top.model, top.mixture, row, j, ends[row, j])
                assert top.loglik - at == pytest.approx(drop, abs=2e-5)
            if not known:
                assert found.lower[row, j] < rows[row, j] < found.upper[row, j]


def test_one_component_has_closed_forms():
    """Of the mean m -+ s sqrt(exp(2D/n) - 1); of the sd where n (log(t) + 1/(2 t^2) - 1/2) = D."""
    x, model = X[:40], MixtureModel(1)
    data, estimate = as_data(x, None, model), fit("newton", x, model).mixture
    found = profile_intervals(data, model, estimate, 0.95)
    drop = 0.5 * chi2.ppf(0.95, 1)
    half = x.std() * np.sqrt(np.expm1(2 * drop / x.size))
    assert found.lower[1, 0] == pytest.approx(x.mean() - half, abs=1e-7)
    assert found.upper[1, 0] == pytest.approx(x.mean() + half, abs=1e-7)
    for end, (low, high) in zip((found.lower, found.upper), ((0.1, 1), (1, 10)), strict=True):
        t = brentq(lambda t: x.size * (np.log(t) + 0.5 / t**2 - 0.5) - drop, low, high)
        assert end[2, 0] == pytest.approx(x.std() * t, rel=1e-7)
    assert found.lower_kind[0, 0] == "known"
    assert found.lower[0, 0] == found.upper[0, 0] == 1.0


def test_profile_intervals_move_with_the_data():
    """y = 3 - 2x: the components change places, and so do the ends of the means."""
    model = MixtureModel()
    one, other = fit("newton", X), fit("newton", 3 - 2 * X)
    a = profile_intervals(as_data(X, None, model), model, one.mixture)
    b = profile_intervals(as_data(3 - 2 * X, None, model), model, other.mixture)
    np.testing.assert_allclose(b.lower.weights, a.lower.weights[::-1], atol=1e-6)
    np.testing.assert_allclose(b.lower.means, 3 - 2 * a.upper.means[::-1], atol=1e-6)
    np.testing.assert_allclose(b.upper.sds, 2 * a.upper.sds[::-1], atol=1e-6)


@pytest.mark.parametrize(
    "model", [MixtureModel(2), MixtureModel(3), MixtureModel(4, equal_sds=True)]
)
def test_score_and_information_in_the_coordinates_of_a_profile(model):
    """Central differences with steps of 1e-4 of the log-likelihood and of the score: errors of
    their square times third derivatives of the order of n, and of rounding, below 1e-5 n."""
    data = as_data(X, None, model)
    start = Mixture(
        np.arange(1, model.k + 1) / sum(range(model.k + 1)),
        np.linspace(0, 10, model.k),
        [2.0] * model.k,
    )
    at = model.pack(start)
    point = _evaluate(data, model, at)
    assert point.mixture.weights[0] == pytest.approx(expit(at[0]), rel=1e-12)
    for j, step in enumerate(1e-4 * np.eye(at.size)):
        ahead, behind = (_evaluate(data, model, at + s) for s in (step, -step))
        slope = (ahead.loglik - behind.loglik) / 2e-4
        assert point.score[j] == pytest.approx(slope, abs=1e-5 * X.size)
        bend = (behind.score - ahead.score) / 2e-4
        np.testing.assert_allclose(point.information[j], bend, atol=1e-5 * X.size)


def test_the_two_weights_mirror_each_other():
    model = MixtureModel()
    found = profile_intervals(as_data(X, None, model), model, fit("newton", X).mixture)
    np.testing.assert_allclose(found.lower.weights, 1 - found.upper.weights[::-1], atol=1e-8)


def test_wald_and_profile_intervals_agree_to_the_order_of_one_over_n():
    """On samples that are the mixture's own quantiles, so that there is no noise: four times the
    sample, a quarter of the distance between their ends, give or take what is of higher order."""
    grid = np.linspace(-12.0, 25.0, 200_001)
    below = norm.cdf((grid[:, None] - SECOND_ARTICLE.means) / SECOND_ARTICLE.sds)
    gaps = []
    for n in (1000, 4000, 16000):
        x = np.interp((np.arange(n) + 0.5) / n, below @ SECOND_ARTICLE.weights, grid)
        top = fit("newton", x, start=SECOND_ARTICLE, compress=False)
        lower, upper = natural_wald_interval(top.mixture, np.asarray(top.se), 0.95)
        found = profile_intervals(as_data(x, None, top.model), top.model, top.mixture)
        gaps.append(np.abs(np.stack([found.lower - lower, found.upper - upper])).max())
    assert gaps[0] < 0.2
    np.testing.assert_allclose(np.divide(gaps[:-1], gaps[1:]), 4.0, rtol=0.3)


def test_an_end_that_the_likelihood_does_not_bound_is_no_number():
    """Known sds and 42 observations of hardly two components: either weight can go to 0 with a
    smaller fall of the log-likelihood than the threshold at 99.9%, and its mean then anywhere;
    at 50% all ends are numbers."""
    x = np.append(np.linspace(-2, 2, 41), 3.5)
    model = MixtureModel(sds=[1.0, 1.0])
    data, top = as_data(x, None, model), fit("newton", x, model)
    one = fit("newton", x, MixtureModel(1, sds=[1.0]))
    assert top.loglik - one.loglik < 0.5 * chi2.ppf(0.999, 1)
    found = profile_intervals(data, model, top.mixture, 0.999)
    np.testing.assert_array_equal(found.lower.weights, [0, 0])
    np.testing.assert_array_equal(found.upper.weights, [1, 1])
    assert (found.lower.means[0], found.upper.means[1]) == (-np.inf, np.inf)
    assert found.lower_kind[1].tolist() == ["boundary", "found"]
    assert found.upper_kind[1].tolist() == ["found", "boundary"]
    narrow = profile_intervals(data, model, top.mixture, 0.5)
    assert np.all(narrow.lower_kind[:2] == "found")
    assert np.all(narrow.upper_kind[:2] == "found")


def test_ends_are_lost_where_there_is_no_regular_maximum():
    saddle = Mixture([0.5, 0.5], [X.mean()] * 2, [X.std()] * 2)
    for end in profile_interval(
        as_data(X, None, MixtureModel()), MixtureModel(), saddle, "means", 0
    ):
        assert end.kind == "lost"
        assert np.isnan(end.value)


@pytest.mark.parametrize(
    ("name", "component", "level", "start"),
    [
        ("mean", 0, 0.9, "name: 'mean'"),
        ("means", 2, 0.9, "component: 2"),
        ("sds", 0, 1.0, "level: 1"),
    ],
)
def test_bad_arguments_are_named(name, component, level, start):
    with pytest.raises(ValueError, match=start):
        profile_interval(
            as_data(X, None, MixtureModel()), MixtureModel(), SECOND_ARTICLE, name, component, level
        )


def test_names_are_the_rows_of_a_mixture():
    assert [getattr(SECOND_ARTICLE, name)[1] for name in NAMES] == [0.7, 9.0, 3.0]


def test_on_the_boundary_weights_by_the_ratio_and_the_rest_from_the_model_without():
    x = np.random.default_rng(0).normal(size=200)
    model = MixtureModel(3, [-1.0, 0.0, 2.0], equal_sds=True)
    estimate = fit("newton", x, model).mixture
    assert estimate.weights.tolist() == [0.0, 1.0, 0.0]
    data = as_data(x, None, model)
    lower, upper = profile_interval(data, model, estimate, "weights", 2)
    assert (lower.value, lower.kind, upper.kind) == (0.0, "boundary", "found")

    def fall(rest):  # a weight of the first component too gives the third one more room
        w = np.array([rest[0], 1 - rest[0] - upper.value, upper.value])
        return -np.log(norm.pdf(x[:, None], model.means, rest[1]) @ w).sum()

    held = minimize(fall, [0.01, 1.0], bounds=[(0, 0.5), (0.5, 2)], tol=1e-12)
    assert held.x[0] > 0.01
    assert 2 * (held.fun + data.moments(estimate).loglik) == pytest.approx(chi2.ppf(0.95, 1), 1e-5)
    lower, upper = profile_interval(data, model, estimate, "weights", 1)
    assert (lower.kind, upper) == ("found", (1.0, "boundary"))
    alone = MixtureModel(1, [0.0])
    smaller = profile_interval(data, alone, fit("newton", x, alone).mixture, "sds", 0)
    for component in range(3):
        ends = profile_interval(data, model, estimate, "sds", component)
        np.testing.assert_allclose([e.value for e in ends], [e.value for e in smaller], rtol=1e-6)
    free = profile_interval(
        data, MixtureModel(2, means=[0, 5]), Mixture([1, 0], [0, 5], [1, 3]), "sds", 1
    )
    assert free == ((0.0, "boundary"), (np.inf, "boundary"))
