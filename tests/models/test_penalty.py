"""Laws of the penalised likelihood (Chen, Tan and Zhang 2008), one function for every route."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from models import Mixture, MixtureModel, fit
from models.em import e_step, m_step
from models.inference.certificate import certify
from models.likelihood import score_and_information
from models.mixture import Floats
from models.priors import LogInverseGamma, Prior
from models.sample import Data
from tests.models.strategies import NUMERIC, SECOND_ARTICLE, mixtures, samples

ROUTES = (*NUMERIC, "map")
TIED = np.concatenate([np.zeros(5), np.random.default_rng(0).normal(5.0, 1.0, 50)])
routes = pytest.mark.parametrize("method", ROUTES)
weights = st.sampled_from(["chen", 0.05, 3.0])


def penalised_loglik(mixture: Mixture, x: Floats, a: float, common: bool = False) -> float:
    """As the paper writes it; a common sd has one term."""
    variances = mixture.sds[:1] ** 2 if common else mixture.sds**2
    ratio = np.var(x) / variances
    return float(np.log(mixture.density(x)).sum() - a * np.sum(ratio - np.log(ratio)))


def data_set(seed: int) -> tuple[Floats, MixtureModel]:
    """30 to 500 observations, separations of 1 to 5; half of the data sets have ties."""
    rng = np.random.default_rng([7, seed])
    n, k = int(rng.integers(30, 501)), 2 if seed % 5 else 3
    means = rng.uniform(1.0, 5.0) * np.arange(k)
    truth = Mixture(rng.dirichlet(np.full(k, 4.0)), means, rng.uniform(0.5, 2.0, k))
    x, _ = truth.sample(n, rng)
    if seed % 4 == 1:
        x = np.round(x)
    if seed % 4 == 2:
        x[: n // 10] = x[0]
    return x, MixtureModel(k)


@pytest.mark.workflow
def test_every_route_ends_at_the_same_parameters_on_50_data_sets():
    """To 1e-6 in each, certified. All start where 100 steps of EM end: from the shared start they
    climb different hills on one of these data sets.

    EM's remaining error is tol r/(1 - r) with r up to .9999, hence its tolerance.
    """
    options = {
        "em": {"tol": 1e-12, "max_iter": 10**6},
        "em-squarem": {"tol": 1e-12},
        "lbfgs": {},
        "newton": {},
        "map": {},
    }
    for seed in range(50):
        x, model = data_set(seed)
        start = fit("em", x, model, penalty="chen", max_iter=100, rng=seed).mixture
        fits = [fit(m, x, model, penalty="chen", start=start, **o) for m, o in options.items()]
        for result in fits:
            assert result.status == "ok"
            assert result.certificate.certified
            np.testing.assert_allclose(
                result.mixture.as_rows(), fits[0].mixture.as_rows(), rtol=0, atol=1e-6
            )
            np.testing.assert_allclose(result.se, fits[0].se, rtol=1e-4, atol=1e-10)


KINDS = {
    "common sd": MixtureModel(3, equal_sds=True),
    "known means": MixtureModel(2, means=[1.0, 9.0]),
    "known sds": MixtureModel(2, sds=[2.0, 3.0]),
    "weights only": MixtureModel(2, [1.0, 9.0], [2.0, 3.0]),
    "one component": MixtureModel(1),
}


def furthest_from_em(model: MixtureModel, *methods: str) -> float:
    """The largest difference of a parameter from EM's, of certified ends; inf if one is not."""
    x, _ = SECOND_ARTICLE.sample(300, np.random.default_rng(4))
    start = fit("em", x, model, penalty=0.5, max_iter=100).mixture
    exact = fit("em", x, model, penalty=0.5, start=start, tol=1e-13, max_iter=10**6).mixture
    assert exact is not None
    largest = 0.0
    for method in methods:
        result = fit(method, x, model, penalty=0.5, start=start)
        if result.mixture is None or not (result.certificate and result.certificate.certified):
            return np.inf
        largest = max(largest, float(np.abs(result.mixture.as_rows() - exact.as_rows()).max()))
    return largest


@pytest.mark.parametrize("kind", KINDS)
def test_every_route_agrees_on_every_kind_of_model(kind):
    assert furthest_from_em(KINDS[kind], "em-squarem", "lbfgs", "newton") < 1e-6


@pytest.mark.workflow
@pytest.mark.parametrize("kind", KINDS)
def test_map_agrees_too_which_compiles_for_each_kind(kind):
    assert furthest_from_em(KINDS[kind], "map") < 1e-6


@routes
def test_the_optimum_is_that_of_the_papers_formula(method):
    """The value of every route is the highest about it, by finite differences of 1e-4: the slope
    of a quadratic with curvature J is then off by rounding alone."""
    x, _ = SECOND_ARTICLE.sample(200, np.random.default_rng(8))
    model, a = MixtureModel(), 2.0
    result = fit(method, x, penalty=a)
    eta = model.pack(result.mixture)
    steps = 1e-4 * np.eye(5)

    def value(at: Floats) -> float:
        return penalised_loglik(model.unpack(at), x, a)

    slope = np.array([(value(eta + h) - value(eta - h)) / 2e-4 for h in steps])
    se = np.sqrt([2e-8 / (2 * value(eta) - value(eta + h) - value(eta - h)) for h in steps])
    assert np.all(np.abs(slope) * se < 1e-3)


@given(mixtures(), samples(), weights)
@settings(max_examples=50)
def test_penalised_em_never_falls(mixture, sample, a):
    """By more than 8 eps of the sums' absolute terms, for every kind of model."""
    data = Data(*sample)
    penalty = LogInverseGamma.penalty(data, a)
    prior = Prior.penalised(data, a)
    k = mixture.k
    for model in (
        MixtureModel(k),
        MixtureModel(k, equal_sds=True),
        MixtureModel(k, means=mixture.means),
        MixtureModel(k, sds=mixture.sds),
    ):
        current, before = model.admit(mixture), -np.inf
        for _ in range(10):
            expected = e_step(current, data)
            added = prior.log_density(current, model)
            after = expected.loglik + added
            rounding = 8 * np.finfo(float).eps * (abs(expected.loglik) + abs(added))
            assert after >= before - rounding
            before = after
            current = m_step(current, expected, model, penalty)


@given(mixtures(), samples(), weights)
@settings(max_examples=50)
def test_each_step_keeps_the_mean_and_what_is_left_of_the_variance(mixture, sample, a):
    """n (fitted variance) + 2 a sum sd_k^2 = n s^2 + 2 a K s^2, by summing the M step's sds.

    Errors: rounding of sums of n terms about components that may lie far from the data.
    """
    data = Data(*sample)
    penalty = LogInverseGamma.penalty(data, a)
    after = m_step(mixture, e_step(mixture, data), MixtureModel(mixture.k), penalty)
    reach = max(np.abs(mixture.means - data.mean).max(), data.sd) + mixture.sds.max()
    assert abs(after.mean - data.mean) <= 1e-13 * reach
    added = 2.0 * penalty.shape * np.sum(data.sd**2 - after.sds**2) / data.n
    assert abs(after.variance - data.sd**2 - added) <= 1e-12 * reach**2


@pytest.mark.parametrize("a", ["chen", 5.0])
@pytest.mark.parametrize(
    "model", [MixtureModel(), MixtureModel(equal_sds=True), MixtureModel(2, means=[0.0, 8.0])]
)
def test_the_m_step_maximises_the_expected_loglik_and_the_penalty(model, a):
    x, _ = SECOND_ARTICLE.sample(200, np.random.default_rng(1))
    data, prior = Data(x, np.ones(x.size)), Prior.penalised(Data(x, np.ones(x.size)), a)
    start = model.admit(Mixture([0.5, 0.5], [0.0, 8.0], [2.0, 2.5]))
    t = start.responsibilities(x)

    def loss(eta: Floats) -> float:
        at = model.unpack(eta)
        z = (x[:, None] - at.means) / at.sds
        complete = np.sum(t * (np.log(at.weights / at.sds) - 0.5 * z**2))
        return -(complete + prior.log_density(at, model)) / x.size

    found = m_step(start, e_step(start, data), model, LogInverseGamma.penalty(data, a))
    best = minimize(loss, model.pack(start), method="BFGS", options={"gtol": 1e-9})
    assert loss(model.pack(found)) <= best.fun + 1e-13
    np.testing.assert_allclose(model.pack(found), best.x, atol=1e-5)


def test_a_component_without_responsibility_gets_the_sd_of_the_data():
    """Where the penalty is highest."""
    x = np.random.default_rng(2).normal(0.0, 3.0, 40)
    data, start = Data(x, np.ones(40)), Mixture([0.5, 0.5], [0.0, 1e6], [1.0, 1.0])
    after = m_step(start, e_step(start, data), MixtureModel(), LogInverseGamma.penalty(data))
    assert after.sds[1] == pytest.approx(data.sd, rel=1e-14)
    assert after.means[1] == 1e6


@pytest.mark.parametrize("options", [{}, {"min_gain": 1e-3}, {"max_iter": 7}])
@pytest.mark.parametrize("model", [MixtureModel(), MixtureModel(equal_sds=True)])
def test_the_compiled_loop_is_the_written_one_to_the_bit(model, options):
    x, _ = SECOND_ARTICLE.sample(400, np.random.default_rng(2))
    fast = fit("em", x, model, penalty=1.0, **options)
    slow = fit("em", x, model, penalty=1.0, trace=True, **options)
    np.testing.assert_array_equal(fast.mixture.as_rows(), slow.mixture.as_rows())
    assert (fast.n_iter, fast.message) == (slow.n_iter, slow.message)
    np.testing.assert_array_equal(fast.certificate.distance, slow.certificate.distance)


@routes
@pytest.mark.parametrize("sd", [1e-3, 1e-9], ids=["near", "below the floor"])
def test_a_start_on_a_point_does_not_collapse(method, sd):
    """Five tied observations and a start on them, where the likelihood itself is unbounded.

    The optimum keeps all five, whose sd is then sqrt(2 a s^2/(5 + 2 a)) but for the others' share.
    """
    start = Mixture([0.1, 0.9], [0.0, 5.0], [sd, 1.0])
    result = fit(method, TIED, start=start, penalty="chen")
    assert result.status == "ok"
    assert result.certificate.certified
    a = 1.0 / TIED.size
    alone = np.sqrt(2.0 * a * np.var(TIED) / (5.0 + 2.0 * a))
    assert result.mixture.sds[0] == pytest.approx(alone, rel=1e-3)
    assert np.all(np.isfinite(result.se))


@routes
def test_units_do_not_matter(method):
    x, _ = SECOND_ARTICLE.sample(400, np.random.default_rng(11))
    start = Mixture([0.4, 0.6], [2.0, 8.0], [2.0, 2.5])
    there = Mixture([0.4, 0.6], [-5e3, 1e3], [2e3, 2.5e3])
    base = fit(method, x, start=start, penalty=0.3)
    moved = fit(method, 1e3 * x - 7e3, start=there, penalty=0.3).mixture
    back = np.stack([moved.weights, (moved.means + 7e3) / 1e3, moved.sds / 1e3])
    assert np.all(np.abs(back - base.mixture.as_rows()) <= 3e-4 * base.se)


@routes
def test_one_component_is_the_mle_with_more_information(method):
    """Its penalty is highest at the MLE, sd = s, where it adds 4 a to the 2 n of a log sd."""
    x, a = np.random.default_rng(3).normal(2.0, 3.0, 50), 4.0
    result = fit(method, x, MixtureModel(1), penalty=a)
    assert result.mixture.means[0] == pytest.approx(x.mean(), abs=1e-6)
    assert result.mixture.sds[0] == pytest.approx(x.std(), abs=1e-6)
    assert result.se.sds[0] == pytest.approx(x.std() / np.sqrt(100.0 + 4.0 * a), rel=1e-6)


@routes
def test_where_nothing_is_estimated_there_is_nothing_to_penalise(method):
    result = fit(method, TIED, MixtureModel(1, means=0.0, sds=1.0), penalty="chen")
    assert (result.status, result.certificate.distance) == ("ok", 0.0)


@routes
def test_the_loglik_is_the_datas_own_and_the_certificate_the_penalised_ones(method):
    x, _ = SECOND_ARTICLE.sample(400, np.random.default_rng(5))
    result = fit(method, x, penalty=5.0, trace=True)
    assert result.loglik == pytest.approx(np.log(result.mixture.density(x)).sum(), rel=1e-12)
    assert result.trace.loglik[-1] == pytest.approx(result.loglik, rel=1e-12)
    data, model = Data(x, np.ones(x.size)), MixtureModel()
    plain = score_and_information(result.mixture, model, data.second_moments(result.mixture))
    assert result.certificate.certified
    assert certify(*plain).distance > 0.1


@pytest.mark.parametrize("method", ["em", "em-squarem", "newton", "map"])
def test_compressed_samples_and_counts_have_the_same_penalty(method):
    """n and s^2 are those of the sample, not of its nodes or its distinct values."""
    x, _ = SECOND_ARTICLE.sample(2000, np.random.default_rng(6))
    x = np.round(x, 1)
    values, counts = np.unique(x, return_counts=True)
    whole = fit(method, x, penalty="chen", compress=False)
    for other in (
        fit(method, x, penalty="chen", compress=True),
        fit(method, values, counts=counts, penalty="chen"),
    ):
        distance = np.abs(other.mixture.as_rows() - whole.mixture.as_rows())
        assert np.all(distance <= 3e-4 * whole.se)


@routes
@pytest.mark.parametrize("penalty", [0.0, -1.0, np.nan, np.inf, "paper", True])
def test_a_bad_penalty_is_named(method, penalty):
    with pytest.raises(ValueError, match=r"^penalty: .* is neither 'chen' nor a number > 0$"):
        fit(method, TIED, penalty=penalty)


def test_a_penalty_and_a_prior_are_one_too_many():
    with pytest.raises(ValueError, match=r"^penalty: is a prior itself"):
        fit("map", TIED, penalty="chen", prior=Prior.flat())


def test_an_objective_is_of_the_model_whatever_the_method(data_folder):
    """All constants in: the log-likelihood and the log density of log sds, of Old Faithful."""
    x = np.loadtxt(data_folder / "faithful.csv", delimiter=",", skiprows=1)[:, 1]
    data = Data(x, np.ones(x.size))
    prior = Prior.penalised(data)
    for method in (*NUMERIC, "map"):
        found = fit(method, x, penalty="chen")
        expected = found.loglik + prior.log_density(found.mixture, MixtureModel())
        assert found.objective == pytest.approx(expected, rel=1e-12)
        assert found.objective == pytest.approx(-1043.891, abs=5e-4)


def test_verdicts_compare_what_is_maximised():
    """Of two penalised maxima the one of lower likelihood may be the higher one."""
    result = fit("newton", TIED, penalty="chen", starts=5)
    assert result.objective < result.loglik
    assert result.verdict(best=result.objective) == result.verdict()
    assert result.verdict(best=result.objective + 1.0) == "other local maximum"
