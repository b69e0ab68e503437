import numpy as np
import pytest

from models import Mixture, fit
from study.labels import diagnose, ess_bulk, orders, rhat, switches


def draws_with(labelling):
    """(chains, draws, 3, 2) with well separated means in the given labellings, plus noise."""
    rng = np.random.default_rng(0)
    base = np.array([[0.3, 0.7], [0.0, 5.0], [1.0, 2.0]])
    draws = np.where(labelling[..., None, None] == 0, base, base[:, ::-1])
    return draws + 0.01 * rng.standard_normal(draws.shape)


def test_labellings_and_switches_are_counted():
    labelling = np.array([[0, 0, 1, 1, 0], [1, 1, 1, 1, 1]])
    found = orders(draws_with(labelling))
    np.testing.assert_array_equal(found, labelling)
    np.testing.assert_array_equal(switches(found), [2, 0])


def test_three_components_have_a_number_for_each_labelling():
    means = np.array([[[1.0, 2, 3], [2, 1, 3], [3, 2, 1], [1, 2, 3]]])
    draws = np.stack([np.full_like(means, 1 / 3), means, np.ones_like(means)], axis=2)
    found = orders(draws)[0]
    assert found[0] == found[3] == 0
    assert len(set(found.tolist())) == 3


def test_rhat_and_ess_of_independent_draws():
    """4,000 independent normal draws: R-hat near 1, bulk ESS near 4,000 (five SDs of either)."""
    values = np.random.default_rng(1).standard_normal((4, 1000))
    assert rhat(values) == pytest.approx(1.0, abs=0.005)
    assert ess_bulk(values) == pytest.approx(4000, rel=0.2)


def test_chains_stuck_in_different_labellings_differ_only_in_labels():
    truth = Mixture([0.4, 0.6], [0.0, 8.0], [1.0, 1.0])
    x, _ = truth.sample(200, np.random.default_rng(2))
    for seed in range(20):  # starts permute the components at random: find one with both
        result = fit("nuts", x, rng=seed, draws=300, tune=300)
        found = diagnose(result)
        if found["labellings"] == 2:
            break
    assert found["labellings"] == 2
    assert found["switches"] == 0
    assert found["rhat_raw"] > 1.5
    assert found["rhat_relabelled"] < 1.03
    assert found["rhat_invariant"] < 1.03
    lower, upper = result.interval(0.99)
    assert np.all(lower[1] < truth.means + 0.5)
    assert np.all(upper[1] > truth.means - 0.5)
