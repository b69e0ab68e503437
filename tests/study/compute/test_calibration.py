"""The ranks are uniform where they must be, and are seen not to be where something is broken.

A test of uniform ranks gives a false alarm with the probability stated beside it; seeds are fixed.
"""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from models import Mixture
from models.likelihood import moments
from models.priors import Dirichlet, Flat, InverseGamma, Normal, Prior
from study.compute.calibration import (
    autocorrelation,
    calibrate,
    loglik,
    prior_draw,
    quantities,
    rank,
    thinned,
)
from study.design import Calibration, load
from study.report.uniformity import holm, p_value
from study.rows import KINDS, frame, gather

OPTIONS = {"draws": 300, "tune": 150, "chains": 1, "max_draws": None}
SPEC = Calibration(
    replicates=60,
    n=20,
    of=49,
    prior={"weights": 2, "means": (0, 2), "variances": (2, 1)},
    methods=["nuts", "nuts-ordered"],
    options={"nuts": OPTIONS, "nuts-ordered": OPTIONS},
)


def normal_mean(replicates, rng, prior_sd=1.0, of=99, n=4):
    """Ranks of the mean of n standard normals with a N(0, 1) prior, fitted with another sd."""
    found = []
    for _ in range(replicates):
        mean = rng.normal()
        x = rng.normal(mean, 1.0, n)
        precision = n + prior_sd**-2
        draws = rng.normal(x.sum() / precision, precision**-0.5, of)
        found.append(rank(mean, draws, rng))
    return np.array(found)


def test_a_conjugate_model_passes_at_its_false_alarm_rate():
    """500 calibrations of 50 replicates at level .2; the share is within 3.3 standard errors
    of it, but for one seed in a thousand."""
    rng = np.random.default_rng(1)
    alarms = [p_value(normal_mean(50, rng, of=19), 19) <= 0.2 for _ in range(500)]
    assert np.mean(alarms) == pytest.approx(0.2, abs=3.3 * np.sqrt(0.2 * 0.8 / 500))


def test_a_conjugate_model_with_half_the_priors_sd_fails():
    """False alarms below one in a thousand."""
    ranks = normal_mean(500, np.random.default_rng(2), prior_sd=0.5)
    assert p_value(ranks, 99) < 1e-3


def calibration(fitted=None):
    return frame("ranks", calibrate(SPEC, 5, range(SPEC.replicates), fitted=fitted)["ranks"])


def p_values(rows):
    groups = rows.groupby(["method", "quantity"], sort=False)["rank"]
    p = groups.apply(lambda ranks: p_value(ranks.to_numpy(int), SPEC.of))
    return pd.Series(holm(p.to_numpy()), p.index)


@pytest.mark.workflow
def test_the_samplers_pass_under_their_own_prior():
    """All quantities of both samplers at the level .05 together, by Holm's method."""
    p = p_values(calibration())
    assert len(p) == 2 * 10
    assert p.min() > 0.05


@pytest.mark.workflow
@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_a_wrong_scale_of_the_variances_prior_is_found(factor):
    """False alarms below one in a thousand, all quantities of both samplers together."""
    wrong = Prior(Dirichlet(2), Normal(0, 2), InverseGamma(2, factor))
    p = p_values(calibration(wrong))
    assert p["nuts"].min() < 1e-3
    assert p["nuts-ordered"].min() < 1e-3


def test_rows_do_not_depend_on_the_chunks():
    options = {"draws": 60, "tune": 60, "max_draws": None}
    few = SPEC.model_copy(update={"options": dict.fromkeys(SPEC.methods, options)})

    def gathered(*parts: range) -> pd.DataFrame:
        made = [frame("ranks", calibrate(few, 1, part)["ranks"]) for part in parts]
        return gather(load("smoke"), "ranks", made)

    whole, parts = gathered(range(4)), gathered(range(3, 4), range(3))
    pd.testing.assert_frame_equal(whole, parts, check_exact=True)
    assert list(whole.columns) == list(KINDS["ranks"].columns)
    assert len(whole) == 4 * 2 * 10
    assert whole["rank"].between(0, SPEC.of).all()
    truth = whole.pivot(index=["replicate", "quantity"], columns="method", values="truth")
    pd.testing.assert_series_equal(truth["nuts"], truth["nuts-ordered"], check_names=False)


def test_a_fit_that_breaks_is_rows_without_ranks(monkeypatch):
    def broken(*arguments, **options):
        raise KeyError("lost")

    monkeypatch.setattr("study.compute.calibration.fit", broken)
    said = []
    rows = frame("ranks", calibrate(SPEC, 1, range(2), said.append)["ranks"])
    assert len(rows) == 2 * 2 * 10
    assert rows["rank"].isna().all()
    assert all("lost" in line for line in said)


def test_prior_draws_have_the_priors_distribution():
    """Kolmogorov and Smirnov; three tests at one in a thousand."""
    prior, rng = SPEC.prior.build(), np.random.default_rng(3)
    draws = np.stack([prior_draw(prior, 3, rng).as_rows() for _ in range(2000)])
    assert np.all(np.diff(draws[:, 1], axis=-1) > 0)
    one = rng.permuted(draws.swapaxes(1, 2), axis=1)[:, 0]  # of the components, at random
    for values, law in (
        (one[:, 0], stats.beta(2, 4)),
        (one[:, 1], stats.norm(0, 2)),
        (one[:, 2] ** 2, stats.invgamma(2, scale=1)),
    ):
        assert stats.kstest(values, law.cdf).pvalue > 1e-3


def test_a_prior_that_cannot_be_drawn_from_is_refused():
    with pytest.raises(ValueError, match=r"prior: .* is not of Dirichlet, Normal and InverseGamma"):
        prior_draw(Prior(Dirichlet(2), Flat(), InverseGamma(2, 1)), 2, np.random.default_rng(0))


def test_ties_are_broken_evenly():
    rng = np.random.default_rng(4)
    found = np.bincount([rank(1.0, np.array([0.0, 1, 1, 2]), rng) for _ in range(3000)])
    assert found[0] == 0
    assert stats.chisquare(found[1:]).pvalue > 1e-3


def test_the_log_likelihood_is_the_kernels():
    rng = np.random.default_rng(5)
    x = rng.normal(size=40)
    mixtures = [Mixture([w, 1 - w], [-1, 2], [0.5, 3]) for w in (0.1, 0.6)]
    found = loglik(np.stack([m.as_rows() for m in mixtures]), x)
    expected = [moments(m, x, np.ones(40)).loglik for m in mixtures]
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_quantities_are_named_and_shaped_for_any_number_of_components():
    rows = Mixture([0.2, 0.3, 0.5], [0, 1, 2], [1, 1, 1]).as_rows()
    found = quantities(np.stack([rows] * 5), np.zeros(3), 0.0)
    assert all(values.shape == (5,) for values in found.values())
    assert sum(name.split()[0] in ("weight", "mean", "sd") for name in found) == 2 + 3 + 3


def test_thinning_spreads_over_all_chains():
    draws = np.arange(40).reshape(2, 20)
    np.testing.assert_array_equal(thinned(draws, 4), [0, 13, 26, 39])
    with pytest.raises(ValueError, match="of: 41 is more than the 40 draws"):
        thinned(draws, 41)


def test_autocorrelation_of_white_noise_and_of_a_walk():
    rng = np.random.default_rng(6)
    white = [autocorrelation(rng.normal(size=20)) for _ in range(2000)]
    assert np.mean(white) == pytest.approx(-1 / 20, abs=4 * np.std(white) / np.sqrt(2000))
    assert autocorrelation(np.cumsum(rng.normal(size=400))) > 0.9
