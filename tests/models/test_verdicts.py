"""Each verdict on purpose, and exactly one of them whatever a fit comes to."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import Mixture, MixtureModel, fit
from models.verdicts import VERDICTS, believable, judge, sd_ratio
from tests.models.strategies import mixtures

RNG = np.random.default_rng(2)
APART = Mixture([0.4, 0.6], [0, 6], [1, 1]).sample(300, RNG)[0]


@given(
    st.sampled_from(["ok", "not-converged", "singular", "failed"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.floats(0, 10),
)
def test_every_combination_of_evidence_has_one_verdict(status, draws, certified, trusted, behind):
    verdict = str(judge(status, draws, certified, trusted, behind))
    assert verdict in VERDICTS
    assert (verdict == "failed") == (status == "failed")
    assert (verdict == "singular") == (status == "singular")
    if verdict == "certified":
        assert certified
        assert trusted
        assert not draws


def test_certified():
    for method in ("em", "em-squarem", "lbfgs", "newton", "nelder-mead"):
        found = fit(method, APART)
        assert found.verdict() == "certified"
        assert found.verdict(best=found.loglik + 1e-8) == "certified"


def test_stopped_early():
    early = fit("em", APART, start=Mixture([0.5, 0.5], [1, 4], [2, 2]), min_gain=1.0)
    assert early.converged
    assert early.verdict() == "stopped early"
    assert early.certificate.distance > 1e-3


def test_other_local_maximum():
    """Three clusters by two components: either pair may be joined, and one way is better."""
    x = np.concatenate([RNG.normal(m, 0.5, n) for m, n in ((0, 50), (10, 60), (20, 50))])
    ends = [
        fit("newton", x, start=start)
        for start in (
            Mixture([0.7, 0.3], [5, 20], [4, 4]),
            Mixture([0.3, 0.7], [0, 15], [4, 4]),
        )
    ]
    best = max(f.loglik for f in ends)
    assert sorted(f.verdict(best) for f in ends) == ["certified", "other local maximum"]


def test_spurious():
    x = np.append(APART, [3.0, 3.0005, 3.001])
    found = fit("newton", x, start=Mixture([0.01, 0.99], [3.0005, 3.5], [5e-4, 3]))
    assert found.verdict() == "spurious"
    assert found.status == "ok"
    assert sd_ratio(found.mixture, found.model) < 0.02


def test_a_saddle_is_no_maximum():
    found = fit("em", APART, start=Mixture([0.5, 0.5], [3, 3], [2, 2]))
    assert found.converged
    assert found.verdict() == "spurious"
    assert not found.certificate.positive_definite


def test_singular():
    x = np.append(APART, 50.0)
    found = fit("em", x, start=Mixture([0.01, 0.99], [50.0, 3.5], [0.1, 3]))
    assert found.verdict() == "singular"


def test_failed(monkeypatch):
    def broken(data, model, start, rng, *, trace=False):
        raise RuntimeError("on purpose")

    monkeypatch.setattr("models.em.em", broken)
    assert fit("em", APART).verdict() == "failed"


def test_sampled_and_undersampled():
    assert fit("nuts", APART, draws=500, tune=300).verdict() == "sampled"
    assert fit("nuts", APART, draws=10, tune=20, max_draws=None).verdict() == "undersampled"


@settings(max_examples=50)
@given(mixtures(), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_units_and_order_do_not_matter(mixture, scale, shift):
    model = MixtureModel(mixture.k)
    moved = Mixture(mixture.weights, shift + scale * mixture.means, scale * mixture.sds)
    first = believable(mixture, model, 100.0)
    assert believable(mixture.permuted(np.arange(mixture.k)[::-1]), model, 100.0) == first
    ratios = mixture.sds / mixture.sds.max()
    if np.all(np.abs(ratios[:, None] / [0.02, 0.1] - 1.0) > 1e-9):
        assert believable(moved, model, 100.0) == first


@pytest.mark.parametrize(
    ("mixture", "n", "answer"),
    [
        (Mixture([0.0366, 0.9634], [33, 21], [0.92, 2.2]), 82, True),  # three galaxies apart
        (Mixture([0.0366, 0.9634], [33, 21], [0.2, 2.2]), 82, False),  # small and narrow
        (Mixture([0.5, 0.5], [33, 21], [0.2, 2.2]), 82, True),  # narrow, but not small
        (Mixture([0.5, 0.5], [33, 21], [0.04, 2.2]), 82, False),  # too narrow at any size
    ],
)
def test_narrow_for_its_size(mixture, n, answer):
    assert believable(mixture, MixtureModel(), n) is answer
    assert believable(mixture, MixtureModel(equal_sds=True), n)
