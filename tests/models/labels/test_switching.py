import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logit

from models import Mixture, MixtureModel, fit, labels
from models.sample import Data
from tests.models.labels.draws import draws_near, separated, shuffled


def test_switches_and_occupancy_are_counted():
    order = np.array([[[0, 1], [0, 1], [1, 0], [1, 0], [0, 1]], [[1, 0]] * 5])
    np.testing.assert_array_equal(labels.switches(order), [2, 0])
    found, shares = labels.occupancy(order)
    np.testing.assert_array_equal(found, [[0, 1], [1, 0]])
    np.testing.assert_allclose(shares, [[0.6, 0.4], [0.0, 1.0]])
    assert labels.imbalance(shares, 2) == pytest.approx(0.5)
    assert labels.chain_distance(shares) == pytest.approx(0.6)


def test_a_labelling_that_no_chain_meets_counts_for_the_imbalance():
    assert labels.imbalance(np.full((4, 5), 0.2), 3) == pytest.approx(1 / 6)
    assert labels.imbalance(np.full((4, 6), 1 / 6), 3) == 0.0


@given(st.integers(2, 4), st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_labels_cannot_touch_the_invariants(k, seed):
    rng = np.random.default_rng(seed)
    draws = draws_near(separated(k, gap=2.0), rng, spread=0.3)
    x = rng.normal(0, 3, 40)
    pairs = zip(
        labels.invariants(draws, x).items(),
        labels.invariants(shuffled(draws, rng)[0], x).values(),
        strict=True,
    )
    for (name, first), second in pairs:
        np.testing.assert_allclose(first, second, rtol=1e-11, atol=1e-11, err_msg=name)


def test_invariants_are_those_of_the_mixture():
    rng = np.random.default_rng(0)
    draws = draws_near(separated(3, gap=2.0), rng)
    x = rng.normal(0, 3, 41)
    found = labels.invariants(draws, x)
    mixture = Mixture(*draws[1, 7])
    t = mixture.responsibilities(x)
    expected = {
        "loglik": mixture.log_density(x).sum(),
        "entropy": -(t * np.log(t)).sum(),
        "mean": mixture.mean,
        "variance": mixture.variance,
        "density at the 50% point": mixture.density([np.median(x)])[0],
    }
    for name, value in expected.items():
        assert found[name][1, 7] == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("k", [2, 3])
def test_chains_stuck_in_different_labellings_differ_only_in_labels(k):
    """Independent draws, a labelling a chain. R-hat of 4 x 1,000 independent draws is 1.000 with
    sd below .001, so that 1.01 for the worst of some twenty is missed less than once in 1e6."""
    rng = np.random.default_rng(k)
    truth = separated(k)
    x, _ = truth.sample(200, rng)
    draws = draws_near(truth, rng, (4, 1000))
    draws[1] = draws[1][..., ::-1]
    draws[3] = draws[3][..., ::-1]
    verdict = labels.judge(draws, x)
    assert verdict.word == "labels only"
    assert verdict.raw.rhat > 1.5
    assert verdict.relabelled.rhat < 1.01
    assert verdict.invariant.rhat < 1.01
    assert verdict.nested_rhat < 1.01
    assert verdict.switches == (0, 0, 0, 0)
    assert verdict.chain_distance == 1.0
    assert verdict.near_ties == 0.0
    in_one = labels.judge(draws[[0, 2]], x)
    assert in_one.word == "mixes"
    assert np.isnan(in_one.nested_rhat)


def test_sampled_chains_in_different_labellings_differ_only_in_labels():
    """Four chains of NUTS that started in both labellings, components 4 sds apart, n = 300."""
    x, _ = Mixture([0.4, 0.6], [0.0, 4.0], [1.0, 1.0]).sample(300, np.random.default_rng(2))
    result = fit("nuts", x, rng=3, draws=1000, tune=300)
    verdict = labels.judge(
        labels.component_draws(result.draws),
        x,
        log_posterior=result.draws["sample_stats"]["lp"].values,
        sampler=labels.sampler_numbers(result.draws),
    )
    assert len(verdict.labellings) == 2
    assert verdict.word == "labels only"
    assert verdict.raw.rhat > 1.5
    assert verdict.relabelled.rhat < 1.01
    assert verdict.invariant.rhat < 1.01
    assert verdict.sampler is not None
    assert verdict.sampler.divergences == 0
    assert verdict.sampler.bfmi > 0.3


def test_draws_that_switch_at_random_mix():
    rng = np.random.default_rng(5)
    truth = separated(2)
    x, _ = truth.sample(200, rng)
    draws, _ = shuffled(draws_near(truth, rng, (4, 1000)), rng)
    verdict = labels.judge(draws, x)
    assert verdict.word == "mixes"
    assert verdict.imbalance < 0.1  # six SDs of a share of 1,000 draws at one half
    assert min(verdict.switches) > 400


def test_two_modes_that_are_no_label_switch_do_not_mix():
    """Data of three groups and two components: a chain a way to pair the groups."""
    rng = np.random.default_rng(6)
    x, _ = separated(3).sample(300, rng)
    left = Mixture([0.55, 0.45], [4.0, 16.0], [4.2, 1.3])
    right = Mixture([0.25, 0.75], [0.0, 12.5], [1.0, 4.2])
    draws = np.concatenate([draws_near(mode, rng, (2, 1000)) for mode in (left, right)])
    verdict = labels.judge(draws, x)
    assert verdict.word == "does not mix"
    assert verdict.invariant.rhat > 1.5
    assert verdict.relabelled.rhat > 1.5


def test_overlapping_components_make_relabelling_a_convention():
    """Components one sd apart, n = 500; the barrier between the labellings is a few nats."""
    x, _ = Mixture([0.5, 0.5], [0.0, 1.0], [1.0, 1.0]).sample(500, np.random.default_rng(1))
    draws = labels.component_draws(fit("nuts", x, rng=1, draws=2000, tune=500).draws)
    verdict = labels.judge(draws, x)
    assert verdict.word == "modes overlap"
    assert verdict.near_ties > 0.05
    assert min(verdict.switches) > 50


def test_ordering_by_what_all_components_share_is_meaningless():
    """Even if no chain ever switches, and the order as sampled happens to be right."""
    truth = Mixture([0.3, 0.7], [0.0, 8.0], [1.0, 1.0])
    rng = np.random.default_rng(0)
    x, _ = truth.sample(100, rng)
    draws = draws_near(truth, rng, (2, 50), spread=0.02)
    draws[:, :, 2] = 1.0
    assert labels.judge(draws, x).meaningless_orderings == ("sds",)


def test_one_chain_is_refused_in_one_line():
    draws = draws_near(separated(2), np.random.default_rng(0))
    with pytest.raises(ValueError, match="R-hat needs 2 chains of 4 draws"):
        labels.judge(draws[:1], np.arange(5.0))


def test_with_equal_sds_the_ridge_is_one_normal():
    x, _ = Mixture([0.5, 0.5], [0.0, 3.0], [1.0, 1.0]).sample(100, np.random.default_rng(0))
    model = MixtureModel(2, equal_sds=True)
    best = fit("newton", x, model)
    found = labels.barrier(Data(x, np.ones(x.size)), model, best.mixture)
    one = Mixture([1.0], [x.mean()], [x.std()]).log_density(x).sum()
    assert found == pytest.approx(best.loglik - one, abs=1e-7)


def test_the_ridge_is_the_highest_of_a_grid_of_equal_means():
    """Skewed data, whose ridge is off the mean. The best of a grid over both sds, the mean and
    the weight, polished by a simplex to 1e-9 nats. The ridge of equal sds is higher, and no bar."""
    x, _ = Mixture([0.7, 0.3], [0.0, 3.0], [0.6, 1.4]).sample(100, np.random.default_rng(0))
    best = fit("newton", x)
    data, model = Data(x, np.ones(x.size)), MixtureModel()
    found = best.loglik - labels.ridge(data, model, best.mixture, "means")
    other = best.loglik - labels.ridge(data, model, best.mixture, "sds")
    assert labels.barrier(data, model, best.mixture) == pytest.approx(max(found, other), abs=1e-9)
    assert other < found - 1.0

    def fall(theta):
        w = expit(theta[0])
        mixture = Mixture([w, 1 - w], [theta[1], theta[1]], np.exp(theta[2:]))
        return best.loglik - mixture.log_density(x).sum()

    grid = [
        np.array([logit(w), mean, *np.log(x.std() * np.array([first, second]))])
        for w in (0.2, 0.5, 0.8)
        for mean in np.quantile(x, [0.2, 0.35, 0.5, 0.65])
        for first in (0.3, 0.6, 1.0)
        for second in (0.6, 1.0, 1.5)
    ]
    start = min(grid, key=fall)
    options = {"xatol": 1e-9, "fatol": 1e-9, "maxiter": 10_000, "maxfev": 10_000}
    lowest = minimize(fall, start, method="Nelder-Mead", options=options)
    assert abs(lowest.x[1] - x.mean()) > 0.1 * x.std()
    assert found == pytest.approx(lowest.fun, abs=1e-6)


def test_the_ridge_of_equal_sds_is_the_fit_with_a_common_sd():
    """Where the sds alone tell the components apart, that ridge is the barrier."""
    x, _ = Mixture([0.7, 0.3], [0.0, 1.0], [1.0, 3.0]).sample(200, np.random.default_rng(3))
    data, model = Data(x, np.ones(x.size)), MixtureModel()
    best = fit("newton", x)
    common = fit("newton", x, MixtureModel(equal_sds=True), starts=10)
    found = labels.barrier(data, model, best.mixture)
    assert found == pytest.approx(best.loglik - common.loglik, abs=1e-6)
    assert best.loglik - labels.ridge(data, model, best.mixture, "means") < 3 < 10 < found


def test_the_barrier_rises_with_separation_and_with_n():
    heights = []
    for gap, n in ((1.0, 200), (3.0, 200), (3.0, 800)):
        truth = Mixture([0.5, 0.5], [0.0, gap], [1.0, 1.0])
        x, _ = truth.sample(n, np.random.default_rng(0))
        best = fit("newton", x).mixture
        heights.append(labels.barrier(Data(x, np.ones(n)), MixtureModel(), best))
    assert 0 <= heights[0] < 8 < heights[1] < heights[2]


def test_nothing_is_between_the_labellings_of_weights_alone():
    """Known equal means and a common sd: both components are the same normal."""
    x = np.random.default_rng(0).normal(size=50)
    model = MixtureModel(2, means=[0, 0], equal_sds=True)
    best = Mixture([0.3, 0.7], [0, 0], [1, 1])
    assert labels.barrier(Data(x, np.ones(50)), model, best) == 0.0


def test_the_barrier_needs_two_components_that_can_switch():
    x = Data(np.arange(9.0), np.ones(9))
    for model in (MixtureModel(3), MixtureModel(2, means=[0.0, 8.0])):
        with pytest.raises(ValueError, match="model: has k = "):
            labels.barrier(x, model, separated(model.k))
