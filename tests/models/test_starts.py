import numpy as np
import pytest

from models import Mixture, MixtureModel, fit
from models.em import e_step
from models.methods import best_of
from models.sample import Data
from models.starts import (
    by_moments,
    candidates,
    k_means_plus_plus,
    random_assignment,
    several_starts,
    shared_start,
)
from models.verdicts import BELIEVED

CLOSE = Mixture([0.2, 0.5, 0.3], [0.0, 3.0, 6.0], [0.7, 1.0, 1.5])
BIMODAL, _ = Mixture([0.5, 0.5], [0.0, 8.0], [1.0, 1.0]).sample(300, np.random.default_rng(0))


def as_data(x):
    return Data(np.asarray(x, dtype=float), np.ones(len(x)))


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_candidates_are_valid_and_never_have_equal_components(k):
    data = as_data(BIMODAL)
    for mixture in candidates(data, MixtureModel(k), np.random.default_rng(1)):
        Mixture(*mixture.as_rows())
        rows = mixture.as_rows()[1:].T
        assert len({tuple(row) for row in rows.tolist()}) == k


def test_heavy_ties_still_give_different_components():
    data = as_data([0.0] * 90 + [1.0] * 10)
    for mixture in candidates(data, MixtureModel(3), np.random.default_rng(1)):
        assert len({tuple(row) for row in mixture.as_rows()[1:].T.tolist()}) == 3


def test_the_start_depends_on_the_data_and_the_seed_alone():
    data = as_data(BIMODAL)
    one, other = (shared_start(data, MixtureModel(2), np.random.default_rng(3)) for _ in range(2))
    assert one.mixture == other.mixture
    assert one.passes == other.passes > 0


def test_the_start_is_the_best_of_the_short_runs():
    data, model = as_data(BIMODAL), MixtureModel(2)
    start = shared_start(data, model, np.random.default_rng(3))
    value = e_step(start.mixture, data).loglik
    raw = [e_step(m, data).loglik for m in candidates(data, model, np.random.default_rng(3))]
    assert value >= max(raw) - 1e-9


def test_known_parameters_and_a_common_sd_are_in_every_start():
    data, rng = as_data(BIMODAL), np.random.default_rng(0)
    known = MixtureModel(2, means=[0, 8], sds=[1, 2])
    for mixture in candidates(data, known, rng):
        np.testing.assert_array_equal(mixture.means, [0, 8])
        np.testing.assert_array_equal(mixture.sds, [1, 2])
    for mixture in candidates(data, MixtureModel(2, equal_sds=True), rng):
        assert mixture.sds[0] == mixture.sds[1]


def test_scaling_the_data_scales_the_start():
    one = shared_start(as_data(BIMODAL), MixtureModel(2), np.random.default_rng(3)).mixture
    other = shared_start(
        as_data(1e3 * BIMODAL + 5), MixtureModel(2), np.random.default_rng(3)
    ).mixture
    np.testing.assert_allclose(other.means, 1e3 * one.means + 5, rtol=1e-9)
    np.testing.assert_allclose(other.sds, 1e3 * one.sds, rtol=1e-9)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 100])
def testquartiles_are_the_same_with_and_without_sorting(n):
    x = np.random.default_rng(n).normal(0, 1, n)
    equal = as_data(x)
    low, high = equal.quantiles([0.25, 0.75])
    assert equal.quartiles == (low, high)
    assert Data(x, 2.0 * np.ones(n)).quartiles == (low, high)


def test_several_starts_begin_with_the_shared_one_and_are_all_different():
    data = as_data(CLOSE.sample(200, np.random.default_rng(3))[0])
    model = MixtureModel(3)
    several = several_starts(data, model, np.random.default_rng(1), 5)
    assert len(several) == 5
    logliks = [data.moments(one.mixture).loglik for one in several]
    assert logliks == sorted(set(logliks), reverse=True)
    one = several_starts(data, model, np.random.default_rng(1), 1)[0]
    assert one.mixture == shared_start(data, model, np.random.default_rng(1)).mixture


def test_the_start_that_is_taken_alone_is_among_the_many(monkeypatch):
    """However low it ranks among those that a longer list adds."""
    data, model = as_data(BIMODAL), MixtureModel(2)
    poor = [Mixture([0.5, 0.5], [3.9 + i / 100, 4.0], [9.0, 9.1]) for i in range(9)]
    good = [Mixture([0.5, 0.5], [0.0, 8.0 + i / 10], [1.0, 1.0]) for i in range(9)]
    monkeypatch.setattr(
        "models.starts.candidates", lambda data, model, rng, n: (poor + good)[: 3 + n]
    )
    alone = shared_start(data, model, np.random.default_rng(0)).mixture
    for count in (3, 5):
        several = [
            one.mixture for one in several_starts(data, model, np.random.default_rng(0), count)
        ]
        assert len(several) == count
        assert several[-1] == alone
        assert several[0] != alone


@pytest.mark.parametrize(
    "method", ["em", "newton", pytest.param("map", marks=pytest.mark.workflow)]
)
def test_more_starts_never_end_lower_in_silence_and_count_all_that_they_took(method):
    """Three close components, where starts end apart, and some in spurious maxima."""
    model, silent = MixtureModel(3), 0
    for seed in range(5):
        x = CLOSE.sample(100, np.random.default_rng(seed))[0]
        one, ten = (fit(method, x, model, starts=n, rng=seed) for n in (1, 10))
        if ten.objective < one.objective - 1e-6:
            assert one.verdict() not in BELIEVED
            assert "nats higher" in ten.message
        silent += "nats higher" not in ten.message
        assert ten.evaluations["starts"] > 1
        assert ten.evaluations["start"] > one.evaluations["start"]
        assert ten.start == ten.start.by_mean()
    assert silent > 0


def test_the_highest_end_that_is_believed_is_given_and_a_higher_one_told_of():
    """A pair of values close together makes a spurious maximum that is higher."""
    x = np.append(BIMODAL, [4.0, 4.0 + 1e-7])
    start = Mixture([0.01, 0.99], [4.0, 4.0], [1e-7, 4])
    spurious, regular = fit("em", x, start=start), fit("em", x)
    early = fit("em", x, start=Mixture([0.5, 0.5], [1, 7], [2, 2]), min_gain=1.0)
    assert spurious.verdict() == "spurious"
    assert best_of([early, spurious, regular]) is regular
    assert best_of([regular, regular]) is regular
    assert best_of([spurious]) is spurious
    assert best_of([early, spurious]) is early


@pytest.mark.parametrize(
    ("options", "word"),
    [({"starts": 0}, "starts: 0"), ({"starts": 2.5}, "starts: 2.5"),
     ({"starts": 3, "start": Mixture([1.0], [0.0], [1.0])}, "not both")],
)  # fmt: skip
def test_wrong_numbers_of_starts_are_refused(options, word):
    with pytest.raises(ValueError, match=word):
        fit("em", [1.0, 2.0, 3.0], MixtureModel(1), **options)
    with pytest.raises(ValueError, match="a start for each chain"):
        fit("nuts", [1.0, 2.0, 3.0], starts=2)


def test_a_start_by_moments_has_the_first_three_of_the_data():
    rng = np.random.default_rng(5)
    data = as_data(np.where(rng.random(400) < 0.2, 5.0, 0.0) + rng.standard_normal(400))
    start = by_moments(data, MixtureModel(2))
    w, m, s = start.as_rows()
    assert start.mean == pytest.approx(data.mean, abs=1e-13)
    assert start.variance == pytest.approx(data.sd**2, rel=1e-13)
    third = w @ ((m - data.mean) ** 3 + 3 * (m - data.mean) * s**2)
    assert third == pytest.approx(((data.x - data.mean) ** 3).mean(), rel=1e-12)
    with pytest.raises(ValueError, match="model: has 3 components"):
        by_moments(data, MixtureModel(3))


@pytest.mark.parametrize("guess", [k_means_plus_plus, random_assignment])
@pytest.mark.parametrize("x", [BIMODAL, [0.0] * 90 + [1.0] * 10])
def test_one_guess_is_a_mixture_without_equal_components(guess, x):
    for k in (2, 3):
        start = guess(as_data(x), MixtureModel(k), np.random.default_rng(2))
        Mixture(*start.as_rows())
        assert np.all(np.diff(start.means) > 0)
    parts = [guess(as_data(BIMODAL), MixtureModel(2), np.random.default_rng(i)) for i in range(2)]
    if guess is k_means_plus_plus:  # two lumps: k-means ends in them wherever it begins
        assert parts[0].means == pytest.approx([0, 8], abs=0.3)
    else:  # parts at random are all alike: 8 mean errors of 4.1 sqrt(2/300) apart at most
        assert np.diff(parts[0].means) < 8 * 4.1 * np.sqrt(2 / 300)
        assert parts[0].means.tolist() != parts[1].means.tolist()
