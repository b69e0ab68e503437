"""The level is exact: by enumeration where that is possible, by simulation where it is not."""

from itertools import product

import numpy as np
import pytest
from arviz_stats.ecdf_utils import simulate_confidence_bands

from study.report.uniformity import Counts, _coverage, band, counts, difference, holm, p_value


def outside(ranks: Counts, of: int, level: float) -> bool:
    low, high = band(ranks.size, of, level)
    _, off = difference(ranks, of)
    return bool(np.any((off < low - 1e-12) | (off > high + 1e-12)))


def test_p_values_are_the_share_of_all_samples_that_are_as_far_out() -> None:
    """All 4^5 samples of five ranks among 0, ..., 3: by brute force."""
    r, of = 5, 3
    samples = [np.array(s) for s in product(range(of + 1), repeat=r)]
    p = np.array([p_value(s, of) for s in samples])
    for value in np.unique(p.round(9)):
        assert np.mean(p <= value + 1e-8) == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_ranks_leave_the_band_where_their_p_value_says_so(level: float) -> None:
    """The narrowest band that holds the level, all 4^5 samples."""
    samples = [np.array(s) for s in product(range(4), repeat=5)]
    left = np.array([outside(s, 3, level) for s in samples])
    small = np.array([p_value(s, 3) for s in samples]) <= 1 - level + 1e-9
    np.testing.assert_array_equal(left, small)
    assert left.mean() <= 1 - level + 1e-12


def test_the_band_of_500_ranks_among_99_draws_holds_its_level() -> None:
    """4,000 samples: a share off by 3.3 of its standard errors, once in a thousand seeds."""
    rng, shots = np.random.default_rng(1), 4000
    low, high = band(500, 99)
    ranks = rng.integers(0, 100, (shots, 500))
    z, _ = difference(ranks[0], 99)
    off = np.stack([counts(sample, 99) for sample in ranks]) / 500 - z
    share = np.mean(np.any((off < low - 1e-12) | (off > high + 1e-12), axis=1))
    assert share == pytest.approx(0.05, abs=3.3 * np.sqrt(0.05 * 0.95 / shots))


def test_arviz_simulates_the_level_that_is_computed_here() -> None:
    """Its pointwise level of the band, from 2,000 simulated samples, has that simultaneous level.

    At R = 500, where its counts do not lose one to rounding; three Monte Carlo errors.
    """
    cuts = np.arange(1, 100) / 100
    pointwise = simulate_confidence_bands(500, 1, cuts, 0.95, 2000, np.random.default_rng(3))
    found = _coverage(500, 99, (1 - pointwise) / 2)
    assert found == pytest.approx(0.95, abs=3 * np.sqrt(0.05 * 0.95 / 2000))


def test_shifted_narrow_and_wide_ranks_are_found() -> None:
    grid = (np.arange(200) + 0.5) / 200
    shapes = {
        "uniform": grid,
        "shifted": grid**1.6,
        "narrow": 0.5 + 0.7 * (grid - 0.5),
        "wide": np.sin(0.5 * np.pi * grid) ** 2,
    }
    p = {name: p_value((100 * u).astype(int), 99) for name, u in shapes.items()}
    assert p.pop("uniform") == pytest.approx(1.0)
    assert max(p.values()) < 1e-3


def test_mirrored_ranks_have_the_same_p_value() -> None:
    ranks = np.random.default_rng(2).integers(0, 31, 60)
    assert p_value(ranks, 30) == pytest.approx(p_value(30 - ranks, 30), rel=1e-9)


def test_ranks_outside_are_refused() -> None:
    with pytest.raises(ValueError, match="ranks: 10 is not between 0 and of = 9"):
        p_value(np.array([3, 10]), 9)


def test_holm() -> None:
    """Sorted p times m, m - 1, ..., made increasing: his example's arithmetic."""
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.9, 0.02])), [0.08, 0.04, 0.9, 0.06])
