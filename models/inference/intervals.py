"""Intervals from draws, of a posterior or a bootstrap, and from a gradient by the delta method.

Plain arrays in, ends out. Wald intervals are in uncertainty.py, profile intervals in profile.py.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit, ndtri

from models import checks
from models.mixture import Floats, Mixture


class Ends(NamedTuple):
    """Lower and upper ends of intervals, arrays of one shape."""

    lower: Floats
    upper: Floats


def equal_tailed(draws: Floats, level: float) -> Ends:
    """The middle `level` of a posterior's draws (R, ...) of each quantity; NaN where one is NaN."""
    level = checks.probability("level", level)
    return Ends(*np.quantile(draws, [0.5 - 0.5 * level, 0.5 + 0.5 * level], axis=0))


def percentile(draws: Floats, level: float) -> Ends:
    """The bootstrap's draws (R, ...) of the ranks (R + 1) p, p = (1 -+ level)/2; NaN as above.

    With these, and not with interpolated quantiles, the ends hold a further draw with probability
    `level` (Davison and Hinkley 1997, section 5.2.1). They are whole numbers for R = 199 or 999
    and the usual levels; others are rounded outwards, and without rank 1 both ends are NaN.
    """
    tail = (len(draws) + 1) * (0.5 - 0.5 * checks.probability("level", level))
    rank = math.floor(tail * (1.0 + 1e-9))
    if rank < 1:
        nothing = np.full(draws.shape[1:], np.nan)
        return Ends(nothing, nothing)
    ascending = np.sort(draws, axis=0)
    whole = ~np.isnan(ascending[-1])
    return Ends(*(np.where(whole, ascending[i], np.nan) for i in (rank - 1, -rank)))


def highest_density(draws: Floats, level: float) -> Ends:
    """The shortest interval with the share `level` of draws (R, ...), by ArviZ; NaN as above."""
    from arviz_stats.base import array_stats

    level = checks.probability("level", level)
    found = array_stats.hdi(draws, level, axis=0)
    return Ends(found[..., 0], found[..., 1])


def basic(estimate: Floats, draws: Floats, level: float) -> Ends:
    """2 estimate - ends of `percentile` of the bootstrap's draws (R, ...)."""
    lower, upper = percentile(draws, level)
    return Ends(2.0 * estimate - upper, 2.0 * estimate - lower)


def wald(estimate: Floats | float, se: Floats | float, level: float) -> Ends:
    """estimate -+ z se, as for a functional by the delta method."""
    spread = float(ndtri(0.5 + 0.5 * checks.probability("level", level))) * np.asarray(se)
    return Ends(estimate - spread, estimate + spread)


def wald_interval(mixture: Mixture, se: Floats, level: float) -> tuple[Floats, Floats]:
    """Lower and upper ends, each (3, K): Wald on the logit of a weight, a mean, a log sd.

    The transformed scales keep weights in (0, 1) and sds positive. Known parameters get an
    interval of length zero.
    """
    z = ndtri(0.5 + 0.5 * checks.probability("level", level))
    with np.errstate(divide="ignore", invalid="ignore"):
        w, sd = mixture.weights, mixture.sds
        spread_w = np.where(se[0] == 0, 0.0, z * se[0] / (w * (1.0 - w)))
        spread_sd = z * se[2] / sd
        lower = [expit(logit(w) - spread_w), mixture.means - z * se[1], sd * np.exp(-spread_sd)]
        upper = [expit(logit(w) + spread_w), mixture.means + z * se[1], sd * np.exp(spread_sd)]
    return np.stack(lower), np.stack(upper)


def natural_wald_interval(mixture: Mixture, se: Floats, level: float) -> tuple[Floats, Floats]:
    """Lower and upper ends, each (3, K): Wald on the parameters as they are.

    They may leave the parameter space.
    """
    spread = ndtri(0.5 + 0.5 * checks.probability("level", level)) * se
    return mixture.as_rows() - spread, mixture.as_rows() + spread
