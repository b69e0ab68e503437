"""Peers and this project end at the same estimates; where one is not installed, it says so."""

import contextlib
import sys
from dataclasses import replace

import numpy as np
import pytest

from models import Mixture, MixtureModel, fit
from models.likelihood import moments
from models.mixture import draws_by_mean
from study.benchmarks.measure import (
    ARTICLE_1,
    ARTICLE_2,
    crude_start,
    distance,
    peers,
    posterior_summary,
)
from study.benchmarks.peers import OURS, PEERS, Absent, Job, logaddexp_moments
from study.benchmarks.peers.samplers import MODES, SAMPLERS, Sampling
from study.simulate import generator

N = 400
KNOWN = MixtureModel(2, ARTICLE_1.means, ARTICLE_1.sds)


def job(known):
    truth, model = (ARTICLE_1, KNOWN) if known else (ARTICLE_2, MixtureModel())
    x = truth.sample(N, generator(1, "peers"))[0]
    start = model.admit(crude_start(x))
    best = fit("newton", x, model, start=start)
    return Job(x, model, start, best.loglik), best


@contextlib.contextmanager
def opened(name, what):
    with contextlib.ExitStack() as stack:
        try:
            ready = stack.enter_context(PEERS[name].open(what))
        except Absent as reason:
            pytest.skip(str(reason))
        yield ready


@pytest.mark.parametrize(
    ("name", "known"),
    [(n, True) for n, peer in PEERS.items() if peer.does(KNOWN)]
    + [(n, False) for n, peer in PEERS.items() if peer.does(MixtureModel())],
)
def test_every_peer_ends_at_the_maximum(name, known):
    what, best = job(known)
    with opened(name, what) as ready:
        if ready.warm_up is not None:
            ready.warm_up()
        answer, again = ready.run(), ready.run()
    assert np.array_equal(answer.mixture.as_rows(), again.mixture.as_rows())
    assert answer.passes >= answer.iterations > 1 or "NUTS" in name
    assert ready.version
    # A gap of g nats is a distance of sqrt(2 g) standard errors; at EM's rate here (at most
    # .95 an iteration, so .9 a gain) what is left after a gain of 1e-5 is below 1e-4 nats.
    # NUTS gives a posterior mean, which is off by its prior and its skewness.
    bound = 0.5 if "NUTS" in name else np.sqrt(2e-4)
    assert distance(answer.mixture, best) < bound


@pytest.mark.parametrize("known", [True, False], ids=["weights only", "five parameters"])
def test_the_same_steps_where_the_algorithm_is_the_same(known):
    what, _ = job(known)
    answers = {}
    for name in (OURS, f"{OURS}, compressed", "NumPy, logaddexp", "dplyr", "mclust"):
        if PEERS[name].does(what.model):
            with contextlib.suppress(Absent), PEERS[name].open(what) as ready:
                answers[name] = ready.run()
    assert len(answers) >= 3
    assert len({answer.iterations for answer in answers.values()}) == 1
    for answer in answers.values():
        # Rounding in sums of N terms, over a hundred contracting steps.
        ours = answers[OURS].mixture.as_rows()
        assert answer.mixture.as_rows() == pytest.approx(ours, rel=1e-10)


def test_the_numpy_pass_is_the_kernels():
    what, _ = job(False)
    found = logaddexp_moments(what.start, what.x)
    compiled = moments(what.start, what.x, np.ones(N))
    # Sums of N terms, each to rounding.
    assert found.loglik == pytest.approx(compiled.loglik, rel=1e-13)
    assert found.t == pytest.approx(compiled.t, rel=1e-12, abs=1e-11)


R_PEERS = ("dplyr", "mclust", "mixtools")


@pytest.mark.parametrize("name", R_PEERS)
def test_without_r_a_peer_says_so(name, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    what, _ = job(name == "dplyr")
    with pytest.raises(Absent, match=r"^Rscript is not installed$"), PEERS[name].open(what):
        pass


@pytest.mark.parametrize("name", R_PEERS)
def test_without_its_r_package_a_peer_says_so(name, monkeypatch, tmp_path):
    what, _ = job(name == "dplyr")
    with opened(name, what):
        pass  # R is there
    text = (peers.HERE / f"{name}_em.R").read_text(encoding="utf-8")
    text = text.replace(f'require_package("{name}")', 'require_package("no.such.package")')
    text = text.replace("timed.R", str(peers.HERE / "timed.R"))
    (tmp_path / f"{name}_em.R").write_text(text, encoding="utf-8")
    monkeypatch.setattr(peers, "HERE", tmp_path)
    expected = r"^the R package no\.such\.package is not installed$"
    with pytest.raises(Absent, match=expected), PEERS[name].open(what):
        pass


def test_r_that_breaks_says_its_last_words(monkeypatch, tmp_path):
    what, _ = job(True)
    with opened("dplyr", what):
        pass
    (tmp_path / "dplyr_em.R").write_text('stop("no such luck")', encoding="utf-8")
    monkeypatch.setattr(peers, "HERE", tmp_path)
    with pytest.raises(Absent, match=r"^R ended early: .+"), PEERS["dplyr"].open(what):
        pass


def test_without_scikit_learn_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.mixture", None)
    what, _ = job(False)
    expected = r"^scikit-learn is not installed$"
    with pytest.raises(Absent, match=expected), PEERS["scikit-learn"].open(what):
        pass


def setting(**changes):
    x = ARTICLE_2.sample(1000, generator(1, "samplers"))[0]
    return replace(Sampling(x, ARTICLE_2, 400, 300), **changes)


def test_without_numpyro_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "numpyro", None)
    with pytest.raises(Absent, match=r"^NumPyro is not installed$"):
        SAMPLERS["NumPyro"](setting())


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != OURS])
def test_every_sampler_has_the_same_posterior(name):
    here = setting()
    summaries = []
    for sampler in (OURS, name):
        try:
            compiled = SAMPLERS[sampler](here)
        except Absent as reason:
            pytest.skip(str(reason))
        compiled.warm_up()
        sampled = compiled.sample(5 if sampler == OURS else 6)
        assert sampled.draws.shape == (4, 400, 3, 2)
        assert np.all(draws_by_mean(sampled.draws)[..., 1, 0] < 6)
        summaries.append(list(posterior_summary(sampled.draws)))
    for ours, theirs in zip(*summaries, strict=True):
        # Five standard errors of a difference of two Monte Carlo means: one in a million.
        error = np.hypot(ours["se"] / ours["ess"] ** 0.5, theirs["se"] / theirs["ess"] ** 0.5)
        assert abs(ours["estimate"] - theirs["estimate"]) < 5 * error
        error = np.hypot((2 * ours["ess"]) ** -0.5, (2 * theirs["ess"]) ** -0.5)
        # The bulk ESS may overstate that of the sd by half.
        assert abs(np.log(ours["se"] / theirs["se"])) < 7 * error


@pytest.mark.parametrize("name", MODES)
def test_every_search_has_the_same_mode(name):
    here = setting()
    best = fit("map", here.x, start=here.start, compress=False)
    found = MODES[name](here).find()
    # find_MAP stops at a relative change of 2e-9 of the objective (about 3,000 nats): 6e-6 nats,
    # and what is left may be ten times that.
    assert distance(found.mixture, best) < np.sqrt(2 * 6e-5)
    assert found.passes >= found.iterations > 1


def test_the_priors_are_the_projects_own():
    weights, means, variances = setting().priors
    x = setting().x
    assert weights.concentration == 2
    assert (means.mean, means.sd) == pytest.approx((x.mean(), 2 * x.std()))
    assert (variances.shape, variances.scale) == pytest.approx((2, (x.std() / 2) ** 2))


def test_mixtures_for_scripts_keep_every_bit():
    start = Mixture([1 / 3, 2 / 3], [0.1, np.pi], [1e-3, 1e3])
    for value in start.as_rows().ravel():
        assert float(repr(float(value))) == value
