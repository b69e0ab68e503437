"""R-hat and ESS against ArviZ's own."""

import numpy as np
import pytest
from arviz_stats.base import array_stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from models.inference.chains import (
    TAILS,
    _split,
    autocorrelations,
    convergence,
    nested_rhat,
    rhat_and_ess,
)

AXES = {"chain_axis": 0, "draw_axis": 1}


def autoregressive(rng, shape, correlation):
    """(chains, draws): normal chains of a lag-one correlation, that start at a draw."""
    values = rng.standard_normal(shape)
    for t in range(1, shape[1]):
        values[:, t] = correlation * values[:, t - 1] + np.sqrt(1 - correlation**2) * values[:, t]
    return values


def rounding_decides(values):
    """Whether a sum that Geyer's sequence ends at, as of indicators in few draws, is 0 but for it.

    Where that is so the ESS of one and of another way to sum differ.
    """
    split = _split(values[None])
    for end in np.quantile(values, TAILS):
        rho = autocorrelations((split <= end).astype(float))[0]
        sums = rho[: rho.size // 2 * 2 : 2] + rho[1::2]
        if np.abs(sums).min() < 1e-12:
            return True
    return False


@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 5),
    st.integers(4, 90),
    st.floats(-0.95, 0.99),
    st.floats(0, 2),
    st.booleans(),
)
@settings(max_examples=150)
def test_r_hat_and_ess_are_arviz_own(seed, chains, draws, correlation, apart, rounded):
    """Of chains that agree or not, with and without ties, odd numbers of draws and very few."""
    rng = np.random.default_rng(seed)
    values = autoregressive(rng, (chains, draws), correlation)
    values += apart * rng.standard_normal((chains, 1))
    if rounded:
        values = np.round(values)
    assume(np.ptp(values) > 0)
    found = convergence(np.stack([values, -(values**3)], axis=-1))
    both = [values, -(values**3)]
    assume(not any(map(rounding_decides, both)))
    expected = (
        max(array_stats.rhat(v, **AXES) for v in both),
        min(array_stats.ess(v, **AXES) for v in both),
        min(array_stats.ess(v, method="tail", prob=0.05, **AXES) for v in both),
    )
    np.testing.assert_allclose(found[:3], expected, rtol=1e-9)


def test_each_quantity_by_itself_is_arviz_own():
    """To rounding at 1,000 draws a chain; also one that never varies, and a single chain."""
    rng = np.random.default_rng(3)
    values = np.stack([autoregressive(rng, (4, 1000), r) for r in (0.0, 0.5, 0.9, -0.5)], axis=-1)
    expected = (
        array_stats.rhat(values, **AXES),
        array_stats.ess(values, **AXES),
        array_stats.ess(values, method="tail", prob=0.05, **AXES),
    )
    for found, wanted in zip(rhat_and_ess(values), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12)
    still = rhat_and_ess(np.ones((4, 100, 1)))
    assert np.isnan(still.rhat).all()
    assert still.ess_bulk == still.ess_tail == array_stats.ess(np.ones((4, 100))) == 400
    alone = rhat_and_ess(values[:1])
    assert np.isnan(alone.rhat).all()
    np.testing.assert_allclose(alone.ess_bulk, array_stats.ess(values[:1], **AXES), rtol=1e-12)


def test_convergence_of_independent_draws():
    """4,000 independent normal draws: R-hat near 1, ESS near 4,000 (five SDs of either)."""
    values = np.random.default_rng(1).standard_normal((4, 1000, 1))
    found = convergence(values)
    assert found.rhat == pytest.approx(1.0, abs=0.005)
    assert found.ess_bulk == pytest.approx(4000, rel=0.2)
    assert found.good
    assert np.isnan(convergence(np.ones((4, 100, 2))).rhat)


@given(st.integers(0, 2**32 - 1), st.floats(0, 2))
@settings(max_examples=20)
def test_nested_rhat_is_arviz_own_for_groups_of_equal_size(seed, apart):
    rng = np.random.default_rng(seed)
    groups = np.array([0, 1, 1, 0, 2, 2])
    values = rng.standard_normal((6, 41)) + apart * groups[:, None]
    expected = float(array_stats.rhat_nested(values, superchain_ids=groups))
    assert nested_rhat(values, groups) == pytest.approx(expected, rel=1e-12)


def test_nested_rhat_takes_groups_of_any_size():
    values = np.random.default_rng(0).standard_normal((4, 500))
    groups = np.array([0, 0, 0, 1])
    assert nested_rhat(values, groups) < 1.02
    values[3] += 5.0
    assert nested_rhat(values, groups) > 2.0
    assert np.isnan(nested_rhat(values, np.zeros(4, dtype=int)))
