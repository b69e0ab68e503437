"""Intervals from draws, of a posterior or a bootstrap, and from a gradient by the delta method.

Plain arrays in, ends out. Wald intervals are in uncertainty.py, profile intervals in profile.py.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from models.mixture import Floats


class Ends(NamedTuple):
    """Lower and upper ends of intervals, arrays of one shape."""

    lower: Floats
    upper: Floats


def equal_tailed(draws: Floats, level: float) -> Ends:
    """The middle `level` of draws (R, ...) of each quantity; NaN where a draw is NaN."""
    return Ends(*np.quantile(draws, [0.5 - 0.5 * level, 0.5 + 0.5 * level], axis=0))


def highest_density(draws: Floats, level: float) -> Ends:
    """The shortest interval with the share `level` of draws (R, ...), by ArviZ; NaN as above."""
    from arviz_stats.base import array_stats

    found = array_stats.hdi(draws, level, axis=0)
    return Ends(found[..., 0], found[..., 1])


def basic(estimate: Floats, draws: Floats, level: float) -> Ends:
    """2 estimate - quantiles of the bootstrap's draws (R, ...)."""
    lower, upper = equal_tailed(draws, level)
    return Ends(2.0 * estimate - upper, 2.0 * estimate - lower)


def wald(estimate: Floats | float, se: Floats | float, level: float) -> Ends:
    """estimate -+ z se, as for a functional by the delta method."""
    spread = float(ndtri(0.5 + 0.5 * level)) * np.asarray(se)
    return Ends(estimate - spread, estimate + spread)
