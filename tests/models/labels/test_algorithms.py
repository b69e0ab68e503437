from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import Mixture, fit, labels
from models.labels import passes
from models.labels.algorithms import LEAST_SHARE
from models.labels.assignment import numbered
from tests.models.labels.draws import draws_near, separated, shuffled

# Orderings by weights and sds are not told apart by the draws of `separated`.
RECOVERING = [
    name for name in labels.ALGORITHMS if name not in ("order by weights", "order by sds")
]


def brute_responsibilities(flat, x):
    """(m, n, K), the array that the passes never hold."""
    z = (x[:, None] - flat[:, None, 1]) / flat[:, None, 2]
    joint = flat[:, None, 0] / flat[:, None, 2] * np.exp(-0.5 * z * z)
    return joint / joint.sum(axis=-1, keepdims=True)


def small(seed, k, n=37, m=11):
    """Overlapping draws (m, 3, K), x with counts, across a block's edge where n is above 128."""
    rng = np.random.default_rng(seed)
    flat = np.stack(
        [rng.dirichlet(np.ones(k), m), rng.normal(0, 1.5, (m, k)), rng.uniform(0.5, 2, (m, k))], 1
    )
    return flat, rng.normal(0, 2, n), rng.integers(1, 4, n).astype(float), rng


@pytest.mark.parametrize("k", [1, 2, 3, 5])
@pytest.mark.parametrize("n", [37, 300])
def test_passes_are_the_sums_over_the_full_array(k, n):
    """To rounding: sums of n terms below 10, of responsibilities right to 1e-14."""
    flat, x, counts, rng = small(k, k, n)
    t = brute_responsibilities(flat, x)
    z = t.argmax(axis=-1)
    one_hot = np.eye(k)[z]
    order = rng.permuted(np.tile(np.arange(k), (len(flat), 1)), axis=-1)
    reference = rng.normal(size=(k, n))
    pivot = rng.integers(0, k, n)
    close = {"rtol": 1e-12, "atol": 1e-10}
    np.testing.assert_allclose(
        passes.costs(flat, x, counts, reference, False),
        -np.einsum("i,dil,ji->djl", counts, t, reference),
        **close,
    )
    np.testing.assert_allclose(
        passes.sums(flat, x, order, False),
        np.take_along_axis(t, order[:, None, :], axis=-1).sum(axis=0).T,
        **close,
    )
    np.testing.assert_array_equal(
        passes.costs(flat, x, counts, np.eye(k)[:, pivot], True),
        -np.einsum("i,dil,ij->djl", counts, one_hot, np.eye(k)[pivot]),
    )
    np.testing.assert_array_equal(
        passes.sums(flat, x, order, True),
        np.take_along_axis(one_hot, order[:, None, :], axis=-1).sum(axis=0).T,
    )
    np.testing.assert_allclose(
        passes.cluster_moments(flat, x, counts),
        np.einsum("i,dil,pi->dpl", counts, one_hot, [x**0, x, x**2]),
        **close,
    )
    loglik, entropy = passes.loglik_and_entropy(flat, x, counts)
    mixtures = [Mixture(*rows) for rows in flat]
    np.testing.assert_allclose(loglik, [counts @ m.log_density(x) for m in mixtures], **close)
    logs = np.log(t, out=np.zeros_like(t), where=t > 0)
    np.testing.assert_allclose(entropy, -np.einsum("i,dil->d", counts, t * logs), **close)


def test_far_observations_and_empty_components_stay_finite():
    flat = np.array([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]])
    x, counts = np.array([-1e3, 0.0, 1e3]), np.ones(3)
    loglik, entropy = passes.loglik_and_entropy(flat, x, counts)
    assert loglik[0] == pytest.approx(Mixture([1.0], [0.0], [1.0]).log_density(x).sum(), rel=1e-14)
    assert entropy[0] == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_allclose(passes.sums(flat, x, np.array([[0, 1]]), False)[0], 1.0)


def test_equal_components_are_allocated_to_the_first():
    flat = np.array([[[0.5, 0.5], [0.0, 0.0], [1.0, 1.0]]])
    found = passes.sums(flat, np.arange(5.0), np.array([[0, 1]]), True)
    np.testing.assert_array_equal(found, [[1.0] * 5, [0.0] * 5])


@given(st.integers(1, 7), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_assignments_are_the_best_and_second_best_of_all_permutations(k, seed):
    """K = 7 takes the way by linear_sum_assignment, the others that by enumeration."""
    costs = np.random.default_rng(seed).normal(size=(3, k, k))
    found, margins = labels.assign(costs)
    every = np.array(list(permutations(range(k))))
    for cost, best, margin in zip(costs, found, margins, strict=True):
        totals = np.sort(cost[np.arange(k), every].sum(axis=1))
        assert cost[np.arange(k), best].sum() == pytest.approx(totals[0], abs=1e-12)
        assert margin == pytest.approx(totals[1] - totals[0] if k > 1 else np.inf, abs=1e-11)


@given(st.integers(2, 6), st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_known_permutations_of_separated_components_are_found_by_all(k, seed):
    rng = np.random.default_rng(seed)
    truth = separated(k)
    x, _ = truth.sample(40 * k, rng)
    draws, back = shuffled(draws_near(truth, rng), rng)
    for name, found in labels.relabel_by_all(draws, x).items():
        assert found.converged
        if name in RECOVERING:
            np.testing.assert_array_equal(found.permutations, back, err_msg=name)
            assert np.all(found.margins > 0)
    found = labels.to_mixture(draws, x, truth)
    np.testing.assert_array_equal(found.permutations, back)


@given(st.integers(2, 6), st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_where_all_parameters_differ_every_algorithm_recovers_them(k, seed):
    """Weights, means and sds are each apart, by 12 sds of the draws or more, and in different
    orders: up to one relabelling of all draws, every algorithm finds the known permutations."""
    rng = np.random.default_rng(seed)
    weights, sds = 1.2 ** rng.permutation(k), 1.2 ** rng.permutation(k)
    truth = Mixture(weights / weights.sum(), 20.0 * np.arange(k), sds)
    x, _ = truth.sample(60 * k, rng)
    draws, back = shuffled(draws_near(truth, rng, spread=0.01), rng)
    for name, found in labels.relabel_by_all(draws, x).items():
        assert labels.agreement(found.permutations, back) == 1.0, name


@given(st.integers(2, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_labels_as_sampled_change_nothing_but_the_permutations(k, seed):
    """Overlapping components; draws whose margin is rounding may go either way."""
    rng = np.random.default_rng(seed)
    truth = separated(k, gap=2.0)
    x, _ = truth.sample(60, rng)
    draws = draws_near(truth, rng, spread=0.3)
    other, _ = shuffled(draws, rng)
    for name, found in labels.relabel_by_all(draws, x).items():
        again = labels.relabel_by_all(other, x)[name]
        assert (again.iterations, again.converged) == (found.iterations, found.converged), name
        clear = found.margins > 1e-8
        np.testing.assert_allclose(again.margins, found.margins, atol=1e-8, err_msg=name)
        np.testing.assert_array_equal(
            again.apply(other)[clear], found.apply(draws)[clear], err_msg=name
        )


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100), st.floats(-50, 50))
@settings(max_examples=15)
def test_units_of_the_data_do_not_matter(seed, scale, shift):
    rng = np.random.default_rng(seed)
    truth = separated(3, gap=2.0)
    x, _ = truth.sample(60, rng)
    draws, _ = shuffled(draws_near(truth, rng, spread=0.2), rng)
    moved = draws * np.array([1.0, scale, scale])[:, None]
    moved[:, :, 1] += shift
    pairs = zip(
        labels.relabel_by_all(draws, x).items(),
        labels.relabel_by_all(moved, shift + scale * x).values(),
        strict=True,
    )
    for (name, first), second in pairs:
        clear = first.margins > 1e-6
        np.testing.assert_array_equal(
            first.permutations[clear], second.permutations[clear], err_msg=name
        )


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_counts_are_repeated_observations(seed):
    rng = np.random.default_rng(seed)
    truth = separated(3, gap=2.0)
    x, _ = truth.sample(25, rng)
    counts = rng.integers(1, 4, 25)
    draws, _ = shuffled(draws_near(truth, rng, spread=0.2), rng)
    pivot = labels.pivot_of(draws, x, counts)
    np.testing.assert_array_equal(pivot, labels.pivot_of(draws, np.repeat(x, counts)))
    for run in (labels.stephens, labels.ecr, labels.ecr_iterative_1, labels.data_based):
        once = run(draws, x, counts, pivot=pivot)
        each = run(draws, np.repeat(x, counts), pivot=pivot)
        np.testing.assert_allclose(once.margins, each.margins, atol=1e-8)


def test_stephens_ends_at_a_fixed_point_of_the_divergence_and_descends_to_it():
    """No permutation of one draw lowers the divergence from the mean; checked over all K!."""
    rng = np.random.default_rng(3)
    truth = separated(3, gap=1.5)
    x, _ = truth.sample(50, rng)
    draws, _ = shuffled(draws_near(truth, rng, spread=0.4), rng)
    every = np.array(list(permutations(range(3))))
    t = brute_responsibilities(draws.reshape(-1, 3, 3), x)

    def aligned(found):
        return np.take_along_axis(t, found.permutations.reshape(-1, 1, 3), axis=-1)

    def divergence(p):
        mixed = (p + LEAST_SHARE) / (1 + 3 * LEAST_SHARE)
        return (mixed * np.log(mixed / mixed.mean(axis=0))).sum()

    path = [divergence(aligned(labels.stephens(draws, x, max_iter=m))) for m in range(1, 12)]
    assert np.all(np.diff(path) <= 1e-9)
    found = labels.stephens(draws, x)
    assert found.converged
    assert divergence(aligned(found)) == pytest.approx(path[-1])
    log_mean = np.log(aligned(found).mean(axis=0) + LEAST_SHARE)
    costs = -np.einsum("dilp,il->dp", t[:, :, every].swapaxes(2, 3), log_mean)
    ranked = np.sort(costs, axis=1)
    own = (every == found.permutations.reshape(-1, 1, 3)).all(axis=-1).argmax(axis=1)
    np.testing.assert_allclose(np.take_along_axis(costs, own[:, None], 1)[:, 0], ranked[:, 0])
    np.testing.assert_allclose(found.margins.ravel(), ranked[:, 1] - ranked[:, 0], atol=1e-9)


def test_data_based_ends_where_no_permutation_brings_observations_nearer_to_the_centres():
    """Centres, spreads and costs written out over draws and observations; all K! permutations."""
    rng = np.random.default_rng(7)
    truth = separated(3, gap=2.0)
    x, _ = truth.sample(60, rng)
    counts = rng.integers(1, 4, 60)
    draws, _ = shuffled(draws_near(truth, rng, spread=0.2), rng)
    found = labels.data_based(draws, x, counts)
    assert found.converged
    xs = np.repeat(x, counts)
    z = brute_responsibilities(draws.reshape(-1, 3, 3), xs).argmax(axis=-1)
    order = found.permutations.reshape(-1, 3)
    clusters = [[xs[z[d] == order[d, j]] for d in range(len(z))] for j in range(3)]
    centre = np.array([np.mean([c.mean() for c in own if c.size > 1]) for own in clusters])
    spread = np.array([np.mean([c.std() for c in own if c.size > 1]) for own in clusters])
    every = np.array(list(permutations(range(3))))
    squares = ((xs[:, None] - centre) / spread) ** 2
    one_hot = np.eye(3)[z]
    costs = np.einsum("dil,ij->djl", one_hot, squares)
    totals = costs[:, np.arange(3), every].sum(axis=-1)
    ranked = np.sort(totals, axis=1)
    np.testing.assert_array_equal(every[totals.argmin(axis=1)], order)
    np.testing.assert_allclose(found.margins.ravel(), ranked[:, 1] - ranked[:, 0], rtol=1e-9)


def test_for_two_components_stephens_and_ecr_are_sign_tests():
    """Kept iff sum_i (2 p_i - 1) logit(q_i) >= 0; kept iff at least n/2 allocations agree."""
    rng = np.random.default_rng(4)
    truth = separated(2, gap=1.5)
    x, _ = truth.sample(51, rng)
    draws, _ = shuffled(draws_near(truth, rng, spread=0.3), rng)
    found = labels.stephens(draws, x)
    p = brute_responsibilities(draws.reshape(-1, 3, 2), x)
    q = np.take_along_axis(p, found.permutations.reshape(-1, 1, 2), axis=-1).mean(axis=0)
    logit = np.log(q[:, 0] + LEAST_SHARE) - np.log(q[:, 1] + LEAST_SHARE)
    keep = (2.0 * p[:, :, 0] - 1.0) @ logit >= 0
    np.testing.assert_array_equal(found.permutations.reshape(-1, 2)[:, 0] == 0, keep)
    pivot = labels.pivot_of(draws, x)
    allocation = Mixture(*pivot).responsibilities(x).argmax(axis=1)
    agree = (p.argmax(axis=-1) == allocation).mean(axis=1) >= 0.5
    order = labels.ecr(draws, x).permutations.reshape(-1, 2)
    np.testing.assert_array_equal(order[:, 0] == 0, agree)


def test_a_symmetric_posterior_is_relabelled_into_the_ordered_one():
    """Two components 4 sds apart, n = 100, chains in both labellings: all algorithms give every
    draw the permutation that orders its means (the means' gap is 20 posterior sds)."""
    truth = Mixture([0.4, 0.6], [0.0, 4.0], [1.0, 1.0])
    x, _ = truth.sample(100, np.random.default_rng(5))
    result = fit("nuts", x, rng=1, draws=250, tune=300)
    draws = labels.component_draws(result.draws)
    assert len(labels.occupancy(labels.ordering(draws).permutations)[0]) == 2
    for name in RECOVERING:
        found = labels.ALGORITHMS[name](draws, x, np.ones(x.size), labels.pivot_of(draws, x))
        np.testing.assert_array_equal(found.apply(draws), result.relabelled_draws, err_msg=name)


def test_equal_means_are_told_apart_by_sds_and_not_by_ordering_means():
    """Posterior of sds 1 and 3 at one mean, n = 500: Stephens, both ECR, PRA and the order of the
    sds agree on all draws but at most 1%; ordering by means is at odds with them on over 10%."""
    truth = Mixture([0.5, 0.5], [0.0, 0.0], [1.0, 3.0])
    x, _ = truth.sample(500, np.random.default_rng(1))
    draws = labels.component_draws(fit("nuts", x, rng=1, draws=250, tune=300).draws)
    found = labels.relabel_by_all(draws, x)
    table = labels.agreements(found)
    for name in ("Stephens", "ECR", "ECR iterative 1", "ECR iterative 2", "PRA"):
        assert table.loc[name, "order by sds"] >= 0.99
        assert table.loc[name, "order by means"] < 0.9
    verdict = labels.judge(draws, x)
    assert "means" in verdict.meaningless_orderings
    assert "sds" not in verdict.meaningless_orderings


def test_pra_counts_a_telling_parameter_more_than_a_silent_one():
    """Means 8 sds apart among weights and sds that are equal: every draw is put right, where
    units of the sd over all components, draws as they come, would lose a fifth of them."""
    rng = np.random.default_rng(0)
    truth = Mixture([0.5, 0.5], [0.0, 8.0], [1.0, 1.0])
    draws, back = shuffled(draws_near(truth, rng, (2, 500)), rng)
    pivot = draws_near(truth, rng, (1, 1))[0, 0]
    np.testing.assert_array_equal(labels.pra(draws, pivot).permutations, back)


def test_pra_and_ordering_take_any_parameters():
    rng = np.random.default_rng(1)
    rates = np.array([[1.0, 5.0, 9.0]]) + 0.1 * rng.standard_normal((2, 30, 1, 3))
    draws, back = shuffled(rates, rng)
    np.testing.assert_array_equal(labels.ordering(draws, 0).permutations, back)
    found = labels.pra(draws, np.array([[5.0, 1.0, 9.0]]))
    np.testing.assert_array_equal(found.permutations, back[..., [1, 0, 2]])


@pytest.mark.parametrize("k", [1, 4, 15, 16, 20])
def test_permutations_are_numbered_in_lexicographic_order(k):
    rng = np.random.default_rng(k)
    order = rng.permuted(np.tile(np.arange(k), (2, 40, 1)), axis=-1)
    order[1, :5] = order[0, :5]
    found = numbered(order)
    ranks = [sorted(map(tuple, order.reshape(-1, k))).index(tuple(p)) for p in order.reshape(-1, k)]
    assert found.shape == (2, 40)
    np.testing.assert_array_equal(
        np.argsort(found, axis=None, kind="stable"), np.argsort(ranks, kind="stable")
    )
    np.testing.assert_array_equal(found[1, :5], found[0, :5])
    assert len(np.unique(found)) == len(set(ranks))


def test_agreement_is_up_to_one_relabelling_of_all_draws():
    rng = np.random.default_rng(2)
    order = rng.permuted(np.tile(np.arange(4), (2, 50, 1)), axis=-1)
    assert labels.agreement(order, order[..., [2, 0, 3, 1]]) == 1.0
    other = order.copy()
    other[0, :10] = other[0, :10][:, ::-1]
    assert labels.agreement(order, other) == pytest.approx(0.9)
    assert labels.agreement(other, order) == pytest.approx(0.9)


def test_ordering_margins_are_the_smallest_gap():
    draws = np.zeros((1, 2, 3, 3))
    draws[0, :, 1] = [[3.0, 1.0, 2.5], [2.0, 2.0, 0.0]]
    found = labels.ordering(draws)
    np.testing.assert_array_equal(found.permutations[0, 0], [1, 2, 0])
    np.testing.assert_allclose(found.margins, [[0.5, 0.0]])


def test_an_algorithm_that_is_stopped_early_says_so():
    rng = np.random.default_rng(3)
    truth = separated(3, gap=1.5)
    x, _ = truth.sample(50, rng)
    draws, _ = shuffled(draws_near(truth, rng, spread=0.4), rng)
    stopped = labels.stephens(draws, x, max_iter=1)
    assert (stopped.iterations, stopped.converged) == (1, False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d[0], r"draws: have shape \(20, 3, 2\)"),
        (
            lambda d: np.where(d == d[0, 0, 0, 0], np.nan, d),
            "draws: 1 of 240 values are not finite",
        ),
        (lambda d: d[:, :, ::-1] - 10.0, "draws: rows must be weights"),
    ],
)
def test_bad_draws_are_named(change, message):
    draws = draws_near(separated(2), np.random.default_rng(0))
    with pytest.raises(ValueError, match=message):
        labels.stephens(change(draws), np.zeros(5))


def test_bad_pivots_and_mixtures_are_named():
    draws, x = draws_near(separated(2), np.random.default_rng(0)), np.arange(5.0)
    with pytest.raises(ValueError, match=r"pivot: has shape \(3, 3\)"):
        labels.ecr(draws, x, pivot=separated(3).as_rows())
    with pytest.raises(ValueError, match=r"pivot: has shape \(2, 2\)"):
        labels.pra(draws, np.ones((2, 2)))
    with pytest.raises(ValueError, match="mixture: has 3 components; the draws have 2"):
        labels.to_mixture(draws, x, separated(3))


def test_the_names_of_old_are_there():
    """What `from study import labels` gave when the README said so."""
    old = (
        "ALGORITHMS NOT_EXCHANGEABLE Convergence Diagnosis Relabelling Sampler Verdict agreement "
        "agreements assign barrier chain_distance component_draws condensed convergence data_based "
        "diagnose ecr ecr_iterative_1 ecr_iterative_2 imbalance invariants invert judge near_ties "
        "nested_rhat occupancy ordering permuted pivot_of pra relabel relabel_by_all ridge "
        "sampler_numbers stephens switches to_mixture"
    )
    assert set(old.split()) <= set(labels.__all__)
    assert all(hasattr(labels, name) for name in labels.__all__)


def test_any_scale_is_relabelled_alike():
    rng = np.random.default_rng(0)
    truth = separated(2)
    draws, back = shuffled(draws_near(truth, rng), rng)
    x = truth.sample(80, rng)[0]
    large = draws * np.array([1.0, 2.0**400, 2.0**400])[:, None]
    for name, found in labels.relabel_by_all(large, x * 2.0**400).items():
        if name not in ("order by weights", "order by sds"):
            np.testing.assert_array_equal(found.permutations, back, err_msg=name)
