"""Performance measures of an estimator over replicates, each with its Monte Carlo SE and its R.

Arrays (R,) in, a Measure out. Formulas: Morris, White and Crowther (2019), Statistics in
Medicine 38, 2074-2102, table 6. Replicates whose value is NaN are left out and R says so.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from scipy.special import betainc

from models.mixture import Floats


class Measure(NamedTuple):
    """value, its Monte Carlo standard error, and the number of replicates behind it."""

    value: float
    mcse: float
    r: int


def _usable(*arrays: Floats) -> tuple[list[Floats], int]:
    stacked = np.broadcast_arrays(*(np.asarray(a, dtype=float) for a in arrays))
    keep = np.all([np.isfinite(a) for a in stacked], axis=0)
    return [a[keep] for a in stacked], int(keep.sum())


def mean(values: Floats) -> Measure:
    """Mean over replicates; MCSE sd/sqrt(R)."""
    (v,), r = _usable(values)
    if r < 2:
        return Measure(float(v.mean()) if r else np.nan, np.nan, r)
    return Measure(float(v.mean()), float(v.std(ddof=1) / np.sqrt(r)), r)


def median(values: Floats) -> Measure:
    """Median over replicates; MCSE by Maritz and Jarrett (1978), JASA 73, 194-196.

    For odd R that is the bootstrap's, whose every resample has a replicate for its median.
    """
    return quantile(values, 0.5)


def quantile(values: Floats, level: float) -> Measure:
    """Quantile over replicates; MCSE as that of `median`, NaN below three.

    The bootstrap's weights of the order statistics, whose parameters need be no whole numbers.
    """
    (v,), r = _usable(values)
    if r < 3:
        return Measure(float(np.quantile(v, level)) if r else np.nan, np.nan, r)
    below, above = level * (r + 1), (1.0 - level) * (r + 1)
    weights = np.diff(betainc(below, above, np.arange(r + 1) / r))
    ordered = np.sort(v)
    centre = float(weights @ ordered)
    value = float(np.quantile(v, level))
    return Measure(value, float(np.sqrt(weights @ (ordered - centre) ** 2)), r)


def count(events: Floats) -> Measure:
    """How many replicates have the event (0 or 1); MCSE sqrt(R p(1 - p))."""
    share, mcse, r = proportion(events)
    return Measure(share * r, mcse * r, r)


def bias(estimates: Floats, truth: Floats | float) -> Measure:
    """Mean error."""
    return mean(np.asarray(estimates) - truth)


def relative_bias(estimates: Floats, truth: Floats | float) -> Measure:
    """Mean error as a share of the truth; replicates whose truth is 0 have none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return mean((np.asarray(estimates) - truth) / truth)


def empirical_se(estimates: Floats) -> Measure:
    """Standard deviation of the estimates; MCSE EmpSE/sqrt(2(R - 1))."""
    (v,), r = _usable(estimates)
    if r < 2:
        return Measure(np.nan, np.nan, r)
    value = float(v.std(ddof=1))
    return Measure(value, value / np.sqrt(2.0 * (r - 1)), r)


def mse(estimates: Floats, truth: Floats | float) -> Measure:
    """Mean squared error."""
    return mean((np.asarray(estimates) - truth) ** 2)


def rmse(estimates: Floats, truth: Floats | float) -> Measure:
    """Root of the mean squared error; MCSE by the delta method."""
    value, mcse, r = mse(estimates, truth)
    root = float(np.sqrt(value))
    return Measure(root, mcse / (2.0 * root) if root > 0 else np.nan, r)


def model_se(se: Floats) -> Measure:
    """Root mean square of the standard errors; MCSE sqrt(var(se^2)/(4 R ModSE^2))."""
    (v,), r = _usable(se)
    if r < 2:
        return Measure(float(v[0]) if r else np.nan, np.nan, r)
    value = float(np.sqrt(np.mean(v**2)))
    if value == 0:
        return Measure(0.0, 0.0, r)
    return Measure(value, float(np.sqrt(np.var(v**2, ddof=1) / (4.0 * r * value**2))), r)


def relative_error_of_model_se(estimates: Floats, se: Floats) -> Measure:
    """100 (ModSE/EmpSE - 1), per cent, over replicates that have both.

    MCSE 100 (ModSE/EmpSE) sqrt(var(se^2)/(4 R ModSE^4) + 1/(2(R - 1))).
    """
    (e, s), r = _usable(estimates, se)
    spread, model = empirical_se(e), model_se(s)
    if r < 2 or not spread.value > 0 or not model.value > 0:
        return Measure(np.nan, np.nan, r)
    ratio = 100.0 * model.value / spread.value
    relative = np.hypot(model.mcse / model.value, spread.mcse / spread.value)
    return Measure(ratio - 100.0, ratio * float(relative), r)


def relative_precision(estimates: Floats, reference: Floats) -> Measure:
    """100 ((EmpSE of the reference/EmpSE)^2 - 1), per cent: precision gained, on the same data.

    Over replicates that both methods have; MCSE 200 (ratio)^2 sqrt((1 - rho^2)/(R - 1)), rho the
    correlation of the two over replicates.
    """
    (e, base), r = _usable(estimates, reference)
    if r < 3 or not e.std() > 0 or not base.std() > 0:
        return Measure(np.nan, np.nan, r)
    squared = 100.0 * float(base.var() / e.var())
    unshared = max(1.0 - float(np.corrcoef(e, base)[0, 1]) ** 2, 0.0)
    return Measure(squared - 100.0, 2.0 * squared * float(np.sqrt(unshared / (r - 1))), r)


def efficiency(estimates: Floats, bound: float) -> Measure:
    """(bound/EmpSE)^2, the share of the information that the estimator uses; MCSE delta method."""
    value, mcse, r = empirical_se(estimates)
    if not value > 0:
        return Measure(np.nan, np.nan, r)
    share = (bound / value) ** 2
    return Measure(share, 2.0 * share * mcse / value, r)


def proportion(events: Floats) -> Measure:
    """Share of replicates with the event (0 or 1); MCSE sqrt(p(1 - p)/R)."""
    (v,), r = _usable(events)
    if r == 0:
        return Measure(np.nan, np.nan, 0)
    p = float(v.mean())
    return Measure(p, float(np.sqrt(p * (1.0 - p) / r)), r)


def wilson(share: Floats | float, r: Floats | float, level: float = 0.95) -> tuple[Any, Any]:
    """Ends of Wilson's interval around a share of r replicates; not empty at shares of 0 and 1.

    Wilson (1927), Journal of the American Statistical Association 22, 209-212. NaN where r is 0.
    """
    p, r = np.asarray(share, dtype=float), np.asarray(r, dtype=float)
    z = NormalDist().inv_cdf(0.5 + 0.5 * level)
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = (p + z**2 / (2 * r)) / (1 + z**2 / r)
        half = z / (1 + z**2 / r) * np.sqrt(p * (1 - p) / r + z**2 / (4 * r**2))
    return centre - half, centre + half


def coverage(lower: Floats, upper: Floats, truth: Floats | float) -> Measure:
    """Share of the intervals that hold the truth; ends may be infinite, intervals open."""
    low, high, true = np.broadcast_arrays(lower, upper, truth)
    held = ((low <= true) & (true <= high)).astype(float)
    return proportion(np.where(np.isnan(low) | np.isnan(high) | np.isnan(true), np.nan, held))


def bias_eliminated_coverage(lower: Floats, upper: Floats, estimates: Floats) -> Measure:
    """Share of the intervals that hold the mean of the estimates, over replicates with all three.

    MCSE as of a proportion, which takes that mean for known.
    """
    known = ~(np.isnan(lower) | np.isnan(upper))
    (e,), r = _usable(np.where(known, estimates, np.nan))
    if r == 0:
        return Measure(np.nan, np.nan, 0)
    return coverage(np.where(np.isfinite(estimates), lower, np.nan), upper, float(e.mean()))


def interval_width(lower: Floats, upper: Floats) -> Measure:
    """Mean width of the intervals that have two finite ends; R says how many those are."""
    (low, high), _ = _usable(lower, upper)
    return mean(high - low)
