"""Peers and this project end at the same estimates; where one is not installed, it says so."""

import contextlib
import sys

import numpy as np
import pytest

from models import Mixture, MixtureModel, fit
from models.likelihood import moments
from study.benchmarks import peers as packages
from study.benchmarks.measure import (
    ARTICLE_1,
    ARTICLE_2,
    crude_start,
    distance,
)
from study.benchmarks.peers import OURS, PEERS, Absent, Job, logaddexp_moments
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


def each_job():
    """Names and whether components are known; NUTS compiles for each of the two."""
    for known in (True, False):
        for name, peer in PEERS.items():
            if peer.does(KNOWN if known else MixtureModel()):
                marks = [pytest.mark.workflow] if "NUTS" in name else []
                yield pytest.param(name, known, marks=marks)


@pytest.mark.parametrize(("name", "known"), list(each_job()))
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
    text = (packages.HERE / f"{name}_em.R").read_text(encoding="utf-8")
    text = text.replace(f'require_package("{name}")', 'require_package("no.such.package")')
    text = text.replace("timed.R", str(packages.HERE / "timed.R"))
    (tmp_path / f"{name}_em.R").write_text(text, encoding="utf-8")
    monkeypatch.setattr(packages, "HERE", tmp_path)
    expected = r"^the R package no\.such\.package is not installed$"
    with pytest.raises(Absent, match=expected), PEERS[name].open(what):
        pass


def test_r_that_breaks_says_its_last_words(monkeypatch, tmp_path):
    what, _ = job(True)
    with opened("dplyr", what):
        pass
    (tmp_path / "dplyr_em.R").write_text('stop("no such luck")', encoding="utf-8")
    monkeypatch.setattr(packages, "HERE", tmp_path)
    with pytest.raises(Absent, match=r"^R ended early: .+"), PEERS["dplyr"].open(what):
        pass


def test_without_scikit_learn_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.mixture", None)
    what, _ = job(False)
    expected = r"^scikit-learn is not installed$"
    with pytest.raises(Absent, match=expected), PEERS["scikit-learn"].open(what):
        pass


def test_mixtures_for_scripts_keep_every_bit():
    start = Mixture([1 / 3, 2 / 3], [0.1, np.pi], [1e-3, 1e3])
    for value in start.as_rows().ravel():
        assert float(repr(float(value))) == value
