"""Chains that go on until the criterion holds, and what it is asked of."""

from typing import Any

import numpy as np
import pytest

from models import Fit, Mixture, MixtureModel, fit, labels
from models.inference.chains import MAX_RHAT, MIN_ESS, Convergence
from models.kernels import Floats
from models.mixture import draws_by_mean
from models.posterior import sampling
from models.posterior.density import Posterior
from models.posterior.sampling import Chains, Judgement
from models.priors import Flat, HalfNormal, Normal, Prior
from models.sample import Data
from tests.models.posterior.settings import rng

pytestmark = pytest.mark.filterwarnings("error")

CLOSE = Mixture([0.5, 0.5], [0.0, 2.0], [1.0, 1.0])


def drawn(truth: Mixture, n: int, seed: int = 0) -> Floats:
    return truth.sample(n, rng(seed))[0]


def nuts(x: Floats, model: MixtureModel | None = None, **options: Any) -> Fit:
    return fit("nuts", x, model, rng=1, **{"draws": 100, "tune": 200} | options)


def test_chains_go_on_until_the_criterion_holds_and_say_so():
    found = nuts(drawn(CLOSE, 200))
    assert found.status == "ok"
    assert "; sampled to the end" in found.message
    numbers = found.diagnostics
    assert numbers["rhat"] < MAX_RHAT
    assert min(numbers["ess"], numbers["ess_tail"]) > MIN_ESS
    length = found.relabelled_draws.shape[1]
    assert 100 < length == numbers["draws"]
    assert found.n_iter > 200 + length  # the warm-up of each stretch is no part of the chain
    assert f"4 x {length:,} draws" in found.message
    stats = found.draws["sample_stats"]
    assert stats["n_steps"].shape == (4, length)
    assert found.evaluations["gradients"] > int(stats["n_steps"].sum())


@pytest.mark.parametrize(("most", "length"), [(None, 100), (60, 100), (130, 130)])
def test_chains_go_no_further_than_they_may(most, length):
    found = nuts(drawn(CLOSE, 200), max_draws=most)
    assert found.relabelled_draws.shape[1] == length
    assert found.status == "not-converged"
    assert "; not sampled to the end: " in found.message


def test_a_chain_that_goes_on_starts_where_it_was():
    """The first draw of a stretch is near its chain's last one, in each of four far places."""
    ends = [sampling._at(np.full(2, end)) for end in (0.0, 10.0)]
    assert [end(7).tolist() for end in ends] == [[0.0, 0.0], [10.0, 10.0]]
    parts = [Chains(np.full((2, 3, 1), i), {"lp": np.full((2, 3), i)}, 5, 7) for i in (0.0, 1.0)]
    both = parts[0].followed_by(parts[1])
    np.testing.assert_array_equal(both.points[..., 0], [[0.0] * 3 + [1.0] * 3] * 2)
    np.testing.assert_array_equal(both.stats["lp"], both.points[..., 0])
    assert (both.iterations, both.gradients) == (10, 14)


def test_chains_that_diverge_are_dropped_and_made_anew_with_shorter_steps(monkeypatch):
    calls = []

    def run(starts, tune, draws, accept):
        calls.append((tune, draws, accept))
        diverging = np.zeros((2, draws), dtype=bool)
        diverging[:, :3] = len(calls) == 2
        return Chains(np.full((2, draws, 1), len(calls)), {"diverging": diverging}, tune + draws, 7)

    def judge(found):
        divergent, enough = found.stats["diverging"].mean(), len(calls) > 3
        worst = Convergence(1.0 if enough else 1.1, 500.0, 500.0)
        return Judgement(found.points, np.zeros(0, dtype=int), False, worst, worst, divergent)

    monkeypatch.setattr(sampling, "_Runner", lambda *given: run)
    monkeypatch.setattr(sampling, "_Judge", lambda *given: judge)
    x = drawn(CLOSE, 50)
    data = Data(x, np.ones(50))
    posterior = Posterior(data, MixtureModel(), Prior.default(data))
    settings = sampling.Settings(100, 300, 2, 1, 0.8, 1000)
    found, judged = sampling.sample(posterior, None, CLOSE, rng(0), settings, ordered=False)
    assert calls == [(300, 100, 0.8), (200, 60, 0.8), (300, 256, 0.95), (200, 153, 0.95)]
    assert judged.good
    np.testing.assert_array_equal(np.unique(found.points), [3, 4])
    assert found.points.shape[1] == 256 + 153
    assert (found.iterations, found.gradients) == (400 + 260 + 556 + 353, 28)


def test_the_ordered_posterior_is_all_of_it():
    """N(0, 1) and N(0, 9) in equal parts, n = 200: which sd comes first is open.

    The share of the draws with the smaller sd first, against exchangeable chains five times as
    long and sorted; false-alarm rate at 4 standard errors 6e-5.
    """
    x = drawn(Mixture([0.5, 0.5], [0.0, 0.0], [1.0, 3.0]), 200, seed=3)
    ordered = fit("nuts-ordered", x, rng=1, tune=300)
    long = fit("nuts", x, rng=2, draws=5000, tune=300, max_draws=None)
    shares, variances = [], []
    for draws in (ordered.relabelled_draws, draws_by_mean(labels.component_draws(long.draws))):
        assert np.all(np.diff(draws[:, :, 1]) >= 0)
        first = (draws[:, :, 2, 0] < draws[:, :, 2, 1]).astype(float)
        shares.append(first.mean())
        variances.append(first.var() / labels.convergence(first[..., None]).ess_bulk)
    assert 0.6 < shares[1] < 0.9
    assert abs(shares[0] - shares[1]) < 4 * np.sqrt(sum(variances))
    assert ordered.status == "ok"
    assert ordered.convention
    assert ordered.message.endswith("which is which is a convention")


@pytest.mark.parametrize("model", [MixtureModel(), MixtureModel(means=[0.0, 0.0])])
def test_components_that_differ_in_their_sds_alone_are_told_apart_by_these(model):
    x = drawn(Mixture([0.7, 0.3], [0.0, 0.0], [1.0, 6.0]), 500)
    found = nuts(x, model, draws=500)
    assert found.status == "ok"
    assert not found.convention
    assert found.mixture is not None
    assert sorted(found.mixture.sds) == pytest.approx([1.0, 6.0], rel=0.2)
    assert np.all(np.abs(np.diff(found.mixture.means)) < 3 * np.hypot(*found.se.means) + 1e-12)
    if model.means is None:
        assert np.all(np.diff(found.mixture.means) > 0)
        assert fit("nuts-ordered", x, rng=1, tune=200, draws=500).convention
    else:
        assert np.all(found.se.means == 0)


def test_means_and_sds_of_draws_do_not_hang_on_an_offset():
    """At 1.7e15, where doubles are a quarter apart, data with an sd of 1,000 are as good."""
    x = np.round(drawn(Mixture([0.4, 0.6], [0.0, 4.0], [1.0, 1.0]), 200), 3)
    one, other = nuts(x, draws=500), nuts(1.7e15 + 1000 * x, draws=500)
    assert one.mixture is not None
    assert other.mixture is not None
    shift = (other.mixture.means - 1.7e15) / 1000 - one.mixture.means
    assert np.all(np.abs(shift) < 0.25 * one.se.means)
    np.testing.assert_allclose(other.se.means, 1000 * one.se.means, rtol=0.2)
    np.testing.assert_allclose(other.mixture.sds, 1000 * one.mixture.sds, rtol=0.05)


def test_an_order_and_a_prior_that_tells_components_apart_are_one_too_many():
    x = drawn(CLOSE, 100)
    prior = Prior.asymmetric(Data(x, np.ones(100)))
    with pytest.raises(ValueError, match=r"prior: means .* fit with nuts"):
        fit("nuts-ordered", x, prior=prior)


@pytest.mark.parametrize("method", ["nuts", "nuts-ordered"])
@pytest.mark.parametrize(
    ("prior", "name"),
    [
        (Prior(Flat(), Flat(), HalfNormal(1.0)), "means"),
        (Prior(Flat(), Normal(0.0, 1.0), Flat()), "sds"),
    ],
    ids=["means", "sds"],
)
def test_there_is_no_posterior_under_a_flat_prior(method, prior, name):
    with pytest.raises(ValueError, match=f"prior: is Flat on {name}, .* give a proper one"):
        fit(method, drawn(CLOSE, 100), prior=prior)


def test_the_predictive_density_and_its_loglik_are_averages_over_draws():
    """At most 250 draws, evenly spaced, of 4 x 50: all of them."""
    x = drawn(CLOSE, 100)
    found = nuts(x, draws=50, max_draws=None)
    assert found.density is not None
    rows = found.relabelled_draws.reshape(-1, 3, 2)
    expected = np.mean([Mixture.of_rows(row.copy()).density(x) for row in rows], axis=0)
    np.testing.assert_allclose(found.density.density(x), expected, rtol=1e-12)
    assert found.loglik == pytest.approx(np.log(expected).sum(), rel=1e-12)
    through_nodes = nuts(x, draws=50, max_draws=None, compress=True)
    assert through_nodes.density is not None
    direct = through_nodes.density.log_density(x).sum()
    assert through_nodes.loglik == pytest.approx(direct, abs=1e-6)
    mode = fit("map", x)
    assert mode.density is mode.mixture


def test_the_default_prior_suits_components_of_unequal_scale_and_one_of_one_scale_does_not():
    """N(0, 1) and N(3, 1/60): a prior on the scale of the data doubles the smaller sd, and the fits
    say that it conflicts with the data."""
    x = drawn(Mixture([0.5, 0.5], [0.0, 3.0], [1.0, 1 / 60]), 1000)
    of_one_scale = Prior.of_one_scale(Data(x, np.ones(1000)))
    for method in ("map", "nuts"):
        suited = fit(method, x, rng=1)
        assert suited.mixture is not None
        assert suited.mixture.sds[1] == pytest.approx(1 / 60, rel=0.1)
        assert suited.diagnostics["pull"] < 1.0
        assert "conflict" not in suited.message
        wrong = fit(method, x, rng=1, prior=of_one_scale)
        assert wrong.mixture is not None
        assert wrong.mixture.sds[1] > 2 / 60
        assert wrong.diagnostics["pull"] > 5.0
        assert "; prior and data conflict: " in wrong.message


def test_a_posterior_of_tied_data_is_proper_and_about_the_components():
    """500 values rounded to whole numbers: no chain falls onto one of them."""
    x = np.round(drawn(Mixture([0.4, 0.6], [0.0, 4.0], [1.0, 1.2]), 500))
    found = nuts(x, draws=500)
    assert found.status == "ok"
    assert found.relabelled_draws[:, :, 2].min() > 0.5
    assert found.mixture is not None
    assert found.mixture.sds == pytest.approx([1.0, 1.2], rel=0.2)
