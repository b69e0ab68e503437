from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from models import Mixture, MixtureModel, fit, labels
from tests.models.labels.draws import draws_near, separated, shuffled


def as_fit(draws, model=None):
    """What `diagnose` reads of a Fit, of draws (chains, draws, 3, K) with two divergences.

    It reports them relabelled by mean.
    """
    from models.posterior.methods import _draws

    shape = draws.shape[:2]
    rng = np.random.default_rng(0)
    diverging = np.zeros(shape, dtype=bool)
    diverging[0, :2] = True
    stats = {
        "diverging": diverging,
        "reached_max_treedepth": np.zeros(shape, dtype=bool),
        "energy": rng.standard_normal(shape),
        "lp": rng.standard_normal(shape),
    }
    model = MixtureModel(draws.shape[-1]) if model is None else model
    return SimpleNamespace(
        draws=_draws(draws, stats),
        model=model,
        exchangeable=model.exchangeable,
        convention=False,
        permutations=labels.ordering(draws).permutations,
    )


def test_a_condensed_sample_has_the_total_and_the_sums_of_the_sample():
    x = np.random.default_rng(0).standard_t(3, 1001)
    points, counts = labels.condensed(x, size=64)
    assert points.size == 64
    assert counts.sum() == 1001
    assert np.ptp(counts) == 1
    assert points @ counts == pytest.approx(x.sum(), abs=1e-10)
    assert np.all(np.diff(points) > 0)
    values, times = np.unique(np.round(x, 1), return_counts=True)
    weighted, totals = labels.condensed(values, times, size=20)
    assert weighted.size <= 20
    assert totals.sum() == 1001
    assert weighted @ totals == pytest.approx(values @ times, abs=1e-10)
    assert totals.max() <= times.max() + 1001 / 20
    few, ones = labels.condensed(x[:50])
    np.testing.assert_array_equal(few, np.sort(x[:50]))
    assert np.all(ones == 1)


def test_the_row_of_a_fit_has_the_numbers_of_the_draws():
    """Two chains in each of two labellings and one switch: independent draws of 8 sds apart."""
    rng = np.random.default_rng(2)
    truth = separated(2)
    x, _ = truth.sample(300, rng)
    draws = draws_near(truth, rng, (4, 1000))
    draws[1], draws[3] = draws[1][..., ::-1], draws[3][..., ::-1]
    draws[0, 900:] = draws[0, 900:, :, ::-1]
    found = labels.diagnose(as_fit(draws), x)
    row = found.row
    assert row["verdict"] == "labels only"
    assert row["rhat_raw"] > 1.5
    assert max(row[f"rhat_{which}"] for which in ("relabelled", "invariant")) < 1.01
    assert (row["switches"], row["labellings"], row["divergences"]) == (1, 2, 2)
    assert row["largest_share"] == pytest.approx((2 * 1000 + 100) / 4000)
    assert row["agreement_order_by_means"] == 1.0
    assert row["agreement_ecr"] == 1.0
    assert row["chain_distance"] == 1.0
    shares = pd.DataFrame(found.occupancy).set_index(["chain", "labelling"])["share"]
    assert shares.to_dict() == {
        (0, "1 2"): 0.9,
        (0, "2 1"): 0.1,
        (1, "2 1"): 1.0,
        (2, "1 2"): 1.0,
        (3, "2 1"): 1.0,
    }


def test_the_labelling_says_which_raw_component_comes_first():
    rng = np.random.default_rng(0)
    truth = separated(3)
    x, _ = truth.sample(90, rng)
    draws = draws_near(truth, rng, (2, 30))[..., [2, 0, 1]]  # the lowest mean has label 2
    found = labels.diagnose(as_fit(draws), x).occupancy
    assert [row["labelling"] for row in found] == ["2 3 1", "2 3 1"]


def test_known_components_have_no_labels_to_judge():
    rng = np.random.default_rng(0)
    truth = separated(2)
    x, _ = truth.sample(100, rng)
    draws = draws_near(truth, rng, (2, 50))
    draws[:, :, 1:] = truth.as_rows()[1:]
    model = MixtureModel(2, means=truth.means, sds=truth.sds)
    row, occupancy, _ = labels.diagnose(as_fit(draws, model), x)
    assert row["verdict"] == labels.NOT_EXCHANGEABLE
    assert row["rhat_raw"] == row["rhat_relabelled"]
    assert "near_ties" not in row
    assert occupancy == []


@pytest.mark.parametrize(("gap", "n"), [(1.0, 500), (2.0, 1000), (4.0, 1000)])
def test_128_points_say_of_the_labels_what_the_sample_says(gap, n):
    """Posterior draws from overlapping to separate: the same permutations but for one draw in a
    hundred, near ties and agreements to that, and the same word."""
    x, _ = Mixture([0.4, 0.6], [0.0, gap], [1.0, 1.0]).sample(n, np.random.default_rng(3))
    draws = labels.component_draws(fit("nuts", x, rng=1, draws=500, tune=300).draws)
    draws, _ = shuffled(draws, np.random.default_rng(4))
    whole, part = labels.judge(draws, x), labels.judge(draws, *labels.condensed(x))
    same = labels.agreement(whole.relabelling.permutations, part.relabelling.permutations)
    assert same > 0.99
    assert part.near_ties == pytest.approx(whole.near_ties, abs=0.01)
    for name, share in whole.disagreement.items():
        assert part.disagreement[name] == pytest.approx(share, abs=0.02)
    assert part.word == whole.word
