"""Intervals from draws, of a posterior or a bootstrap, and from a gradient by the delta method.

Plain arrays in, ends out. Wald intervals are in uncertainty.py, profile intervals in profile.py.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit, ndtri

from models.mixture import Floats, Mixture


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


def wald_interval(mixture: Mixture, se: Floats, level: float) -> tuple[Floats, Floats]:
    """Lower and upper ends, each (3, K): Wald on the logit of a weight, a mean, a log sd.

    The transformed scales keep weights in (0, 1) and sds positive. Known parameters get an
    interval of length zero.
    """
    z = ndtri(0.5 + 0.5 * level)
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
    spread = ndtri(0.5 + 0.5 * level) * se
    return mixture.as_rows() - spread, mixture.as_rows() + spread
