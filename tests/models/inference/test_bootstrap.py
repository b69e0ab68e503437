import numpy as np
import pytest

from models import Mixture, MixtureModel, fit
from models.inference.bootstrap import bootstrap
from models.inference.newton import DECREMENT, ascend, derivatives
from models.mixture import aligned, draws_by_mean
from models.sample import Data
from models.theory import efficiency_bound
from tests.models.strategies import SECOND_ARTICLE

MODELS = {
    "all free": MixtureModel(),
    "equal sds": MixtureModel(equal_sds=True),
    "known means": MixtureModel(means=[1.0, 9.0]),
    "known components": MixtureModel(means=[1.0, 9.0], sds=[2.0, 2.0]),
}
TRUTH = Mixture([0.3, 0.7], [1.0, 9.0], [2.0, 2.0])


def rng():
    return np.random.default_rng(5)


@pytest.mark.parametrize("name", MODELS)
def test_standard_errors_are_the_efficiency_bound_in_large_samples(name):
    """400 refits at n = 5,000: a standard deviation has a relative error of 1/sqrt(800) = 3.5%;
    five of them, over at most five free parameters (false-alarm rate below 3e-6), for the refits
    and for the single steps, which differ from them by less than the refits' own third order."""
    bound = efficiency_bound(TRUTH, MODELS[name], 5000)
    for one_step in (False, True):
        found = bootstrap(MODELS[name], TRUTH, 5000, 400, rng(), one_step=one_step)
        assert found.failures.total() == 0
        np.testing.assert_allclose(found.se, bound, rtol=5 * 0.0354, atol=1e-15)


def test_one_step_comes_close_to_the_refit_of_the_same_sample():
    """The step's error is quadratic in the refit's own: between n = 500 and n = 50,000 it falls
    by 100, and as a share of the spread by 10; within a factor of two."""
    shares = []
    for n in (500, 50_000):
        steps, refits = (
            bootstrap(MixtureModel(), TRUTH, n, 50, rng(), one_step=one).draws
            for one in (True, False)
        )
        shares.append(np.sqrt(((steps - refits) ** 2).mean(axis=0)) / refits.std(axis=0))
    assert shares[1].max() < 0.1
    assert 5 < shares[0].mean() / shares[1].mean() < 20


def test_refits_are_the_maxima_that_other_methods_find():
    found = bootstrap(MixtureModel(), TRUTH, 500, 20, rng())
    generator = rng()
    for draw in found.draws:
        x, _ = TRUTH.sample(500, generator)
        best = fit("lbfgs", x, start=TRUTH)
        np.testing.assert_allclose(draw, best.mixture.as_rows(), atol=1e-4 * best.se.max())


def test_labels_that_change_places_would_pass_for_sampling_error():
    """Two components about one mean: in the order of their means, half of the refits are the wrong
    way round. Assigned to the estimate, the spread is that of the bound: 200 refits, 5% error of a
    standard deviation, bound 25% (five of them)."""
    truth = Mixture([0.4, 0.6], [0.0, 0.0], [0.5, 3.0])
    found = bootstrap(MixtureModel(), truth, 2000, 200, rng())
    bound = efficiency_bound(truth, MixtureModel(), 2000)
    np.testing.assert_allclose(found.se, bound, rtol=0.25)
    by_mean = draws_by_mean(found.draws).std(axis=0, ddof=1)
    assert by_mean[2].min() > 10 * found.se[2].max()


def test_refits_that_change_places_are_put_back():
    """Where components overlap a refit may end the other way round, here a few in two hundred;
    assigned once, they stay where they are."""
    truth = Mixture([0.5, 0.5], [0.0, 1.0], [1.0, 1.3])
    found = bootstrap(MixtureModel(), truth, 100, 200, rng())
    np.testing.assert_array_equal(aligned(found.draws, truth), found.draws)
    turned, generator = 0, rng()
    for _ in range(200):
        data = Data(truth.sample(100, generator)[0], np.ones(100))
        end = ascend(data, MixtureModel(), truth)[0].mixture.as_rows()
        turned += not np.array_equal(aligned(end, truth), end)
    assert turned > 0


def test_alignment_undoes_any_permutation():
    generator = rng()
    pivot = Mixture([0.2, 0.5, 0.3], [0.0, 5.0, 5.5], [1.0, 1.5, 0.3])
    draws = pivot.as_rows() + 0.01 * generator.standard_normal((4, 10, 3, 3))
    mixed = np.stack([d[:, generator.permutation(3)] for d in draws.reshape(-1, 3, 3)]).reshape(
        draws.shape
    )
    assert not np.array_equal(mixed, draws)
    np.testing.assert_array_equal(aligned(mixed, pivot), draws)


def test_failures_are_counted_by_their_reason():
    """A component of two observations in a hundred: many a sample has one of it, on which the
    component collapses, or none, and then there is no maximum."""
    rare = Mixture([0.02, 0.98], [-6.0, 0.0], [0.3, 1.0])
    found = bootstrap(MixtureModel(), rare, 100, 60, rng())
    assert found.failures["singular"] > 5
    assert set(found.failures) <= {"singular", "not-converged"}
    assert len(found.draws) + found.failures.total() == 60
    assert np.all(np.isfinite(found.draws))


def test_intervals_are_order_statistics_and_their_mirror_images():
    found = bootstrap(MixtureModel(), TRUTH, 200, 99, rng())
    lower, upper = found.percentile(0.9)
    inside = (found.draws >= lower) & (found.draws <= upper)
    np.testing.assert_array_equal(inside.sum(axis=0), 91)  # ranks 5 to 95 of 99
    low, high = found.basic(0.9)
    np.testing.assert_allclose(low.means + upper.means, 2 * TRUTH.means, rtol=1e-12)
    np.testing.assert_allclose(high.sds * lower.sds, TRUTH.sds**2, rtol=1e-12)
    odds = TRUTH.weights / (1 - TRUTH.weights)
    np.testing.assert_allclose(
        low.weights / (1 - low.weights) * upper.weights / (1 - upper.weights), odds**2, rtol=1e-12
    )


def test_known_parameters_and_a_single_component_have_no_spread():
    found = bootstrap(MODELS["known components"], TRUTH, 100, 39, rng())
    for lower, upper in (found.percentile(), found.basic()):
        np.testing.assert_allclose(lower[1:], TRUTH.as_rows()[1:], rtol=1e-15)
        np.testing.assert_allclose(upper[1:], TRUTH.as_rows()[1:], rtol=1e-15)
    single = bootstrap(MixtureModel(1), Mixture([1.0], [0.0], [1.0]), 100, 39, rng())
    lower, upper = single.basic()
    assert lower.weights[0] == upper.weights[0] == 1.0


def test_the_ascent_never_falls_and_ends_at_a_regular_maximum():
    """From starts far off, among them ones where the information is not positive definite."""
    x, _ = SECOND_ARTICLE.sample(500, rng())
    data, model, generator = Data(x, np.ones(500)), MixtureModel(), rng()
    indefinite = 0
    for _ in range(30):
        start = Mixture([0.5, 0.5], generator.normal(5, 5, 2), np.exp(generator.normal(1, 0.5, 2)))
        first = derivatives(data, model, model.pack(start))
        indefinite += bool(np.linalg.eigvalsh(first.information)[0] < 0)
        point, regular = ascend(data, model, start)
        assert point.loglik >= first.loglik
        if regular:
            gap = point.score @ np.linalg.solve(point.information, point.score)
            assert 0 <= gap <= DECREMENT**2
    assert indefinite > 5


@pytest.mark.parametrize(("n", "replicates", "start"), [(1, 10, "n: 1"), (10, 1, "replicates: 1")])
def test_too_few_of_anything_is_named(n, replicates, start):
    with pytest.raises(ValueError, match=start):
        bootstrap(MixtureModel(), TRUTH, n, replicates, rng())


def test_a_step_onto_a_point_is_a_failure_with_its_reason():
    """Small samples of components that overlap: some Newton steps take an sd to nothing."""
    estimate = Mixture([0.5, 0.5], [0.0, 1.0], [1.0, 0.05])
    found = bootstrap(MixtureModel(), estimate, 20, 200, np.random.default_rng(0), one_step=True)
    assert found.failures["singular"] > 0
    assert len(found.draws) + found.failures.total() == 200
    assert np.all(np.isfinite(found.draws))
    assert found.draws[:, 2].min() > 0


def test_studentised_ends_are_those_of_the_t_statistics():
    estimate = fit("newton", TRUTH.sample(400, rng())[0]).mixture
    se = np.full((3, 2), 0.1)
    found = bootstrap(MixtureModel(), estimate, 400, 99, rng())
    lower, upper = found.studentised(se, 0.9)
    t = (found.draws[:, 1, 0] - estimate.means[0]) / found.errors[:, 1, 0]
    assert t.size == 99
    low, high = np.sort(t)[[4, -5]]
    assert lower.means[0] == pytest.approx(estimate.means[0] - 0.1 * high)
    assert upper.means[0] == pytest.approx(estimate.means[0] - 0.1 * low)
    assert np.all((lower.weights > 0) & (upper.weights < 1) & (lower.sds > 0))
    assert lower.weights == pytest.approx(1 - upper.weights[::-1])


def test_studentised_ends_are_walds_in_large_samples():
    """t statistics are normal then; 5 standard errors of a 90% quantile of 400 are .43."""
    model, n = MixtureModel(), 4_000
    estimate = fit("newton", TRUTH.sample(n, rng())[0]).mixture
    found = bootstrap(model, estimate, n, 400, rng())
    bound = efficiency_bound(estimate, model, n)
    ends = np.stack(found.studentised(bound, 0.8)) - estimate.as_rows()
    quantile = 1.2816
    for row, scale in ((1, bound[1]), (2, bound[2])):
        assert ends[1, row] / scale == pytest.approx(quantile, abs=0.45)
        assert ends[0, row] / scale == pytest.approx(-quantile, abs=0.45)
