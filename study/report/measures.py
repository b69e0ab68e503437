"""Performance measures of an estimator over replicates, each with its Monte Carlo SE and its R.

Arrays (R,) in, a Measure out. Formulas: Morris, White and Crowther (2019), Statistics in
Medicine 38, 2074-2102, table 6. Those of roots and ratios of mean squares are for normal estimates
or to first order, and say nothing where one estimate far from all others makes up the measure: the
jackknife's stands in their place where the two differ (`_error`). Replicates whose value is NaN are
left out and R says so, but for an interval: one that was asked for and is not there does not hold
the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, betaincinv, betaln
from scipy.stats import binom

from models.mixture import Floats


class Measure(NamedTuple):
    """value, its Monte Carlo standard error, and the number of replicates behind it."""

    value: float
    mcse: float
    r: int


class Share(Measure):
    """Of a measure that is a share of the replicates."""

    __slots__ = ()

    @property
    def ends(self) -> tuple[float, float]:
        """Of Wilson's 95% interval around it."""
        low, high = wilson(self.value, self.r)
        return float(low), float(high)


def of_count(number: int, r: int) -> Share:
    """So many of r replicates, as a share; MCSE sqrt(p(1 - p)/R)."""
    p = number / r if r else np.nan
    return Share(p, float(np.sqrt(p * (1.0 - p) / r)) if r else np.nan, r)


def _usable(*arrays: ArrayLike) -> tuple[list[Floats], int]:
    stacked = np.broadcast_arrays(*(np.asarray(a, dtype=float) for a in arrays))
    keep = np.all([np.isfinite(a) for a in stacked], axis=0)
    return [a[keep] for a in stacked], int(keep.sum())


def mean(values: ArrayLike) -> Measure:
    """Mean over replicates; MCSE sd/sqrt(R)."""
    (v,), r = _usable(values)
    if r < 2:
        return Measure(float(v.mean()) if r else np.nan, np.nan, r)
    return Measure(float(v.mean()), float(v.std(ddof=1) / np.sqrt(r)), r)


def mean_of(measures: Sequence[Measure]) -> Measure:
    """Of independent measures, such as of scenarios; those that are not finite are left out.

    MCSE the root of the sum of their squares over how many there are; R the least.
    """
    known = [measure for measure in measures if np.isfinite(measure.value)]
    if not known:
        return Measure(np.nan, np.nan, 0)
    value, mcse, r = (np.array(column, dtype=float) for column in zip(*known, strict=True))
    return Measure(float(value.mean()), float(np.hypot.reduce(mcse) / value.size), int(r.min()))


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


# Of the bootstrap's resamples, those whose median may be infinite before its error is.
OPEN = 0.005


def median_of_open(values: Floats) -> Measure:
    """Median of values of which some are infinite: larger than any other, and counted in R.

    MCSE as that of `median`, inf where more than OPEN of the resamples have an infinite one.
    """
    known = np.asarray(values, dtype=float)
    known = known[~np.isnan(known)]
    r, closed = known.size, known[np.isfinite(known)]
    middle = float(np.median(known)) if r else np.nan
    if r < 3 or not np.isfinite(middle):
        return Measure(middle, np.nan, r)
    half = 0.5 * (r + 1)
    beyond = 1.0 - float(betainc(half, half, closed.size / r))
    error = median(np.minimum(known, closed.max())).mcse
    return Measure(middle, error if beyond <= OPEN else np.inf, r)


def count(events: ArrayLike) -> Measure:
    """How many replicates have the event (0 or 1), a whole number; MCSE sqrt(R p(1 - p))."""
    (v,), r = _usable(events)
    number = int(np.count_nonzero(v))
    return Measure(number, float(np.sqrt(number * (r - number) / r)) if r else np.nan, r)


def bias(estimates: Floats, truth: Floats | float) -> Measure:
    """Mean error."""
    return mean(np.asarray(estimates) - truth)


def relative_bias(estimates: Floats, truth: Floats | float) -> Measure:
    """Mean error as a share of the truth; replicates whose truth is 0 have none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return mean((np.asarray(estimates) - truth) / truth)


def median_error(estimates: Floats, truth: Floats | float) -> Measure:
    """Median error, which a few estimates far from all others leave where it is."""
    return median(np.asarray(estimates) - truth)


def without_each(values: Floats) -> Floats:
    """(R, ...): the sum of all values (R, ...) but one, for each; nothing cancels."""
    nothing = np.zeros_like(values[:1])
    ahead = np.concatenate([nothing, np.cumsum(values, axis=0)[:-1]])
    behind = np.concatenate([np.cumsum(values[::-1], axis=0)[-2::-1], nothing])
    return ahead + behind


def _variances(values: Floats) -> Floats:
    """(R,): the variance of the values (R,), R >= 3, without each one of them."""
    centred, rest = values - np.median(values), values.size - 1
    sums, squares = without_each(centred), without_each(centred**2)
    return np.maximum(squares - sums**2 / rest, 0.0) / (rest - 1)


# Of the jackknife's standard error of a root mean square of normals, the relative standard error
# times the root of R: half that of the kurtosis, whose variance is 24/R, over 2.
NOISE = 1.22
# Replicates below which the jackknife of a root or a ratio is noise.
FEWEST = 10


def _error(formula: float, without: Floats) -> float:
    """A measure's MCSE by its formula, or by the jackknife where the two differ.

    That is by more than three standard errors that the jackknife's has where the formula holds.
    without: (R,), the measure without each of the replicates. Efron and Stein (1981), Annals of
    Statistics 9, 586-596.
    """
    r = without.size
    if r < FEWEST:
        return formula
    if not np.isfinite(without).all():
        return np.inf
    spread = without - without.mean()
    jackknife = float(np.sqrt((r - 1) / r * (spread @ spread)))
    alike = abs(jackknife - formula) <= 3.0 * NOISE / np.sqrt(r) * formula
    return formula if alike else jackknife


def empirical_se(estimates: Floats) -> Measure:
    """Standard deviation of the estimates; MCSE EmpSE/sqrt(2(R - 1)), or by the jackknife."""
    (v,), r = _usable(estimates)
    if r < 2:
        return Measure(np.nan, np.nan, r)
    value = float(v.std(ddof=1))
    return Measure(value, _error(value / np.sqrt(2.0 * (r - 1)), _roots(v)), r)


def _roots(values: Floats) -> Floats:
    """(R,): the standard deviation of the values (R,) without each one; none below three."""
    return np.sqrt(_variances(values)) if values.size > 2 else values


def mse(estimates: Floats, truth: Floats | float) -> Measure:
    """Mean squared error."""
    return mean((np.asarray(estimates) - truth) ** 2)


def rmse(estimates: Floats, truth: Floats | float) -> Measure:
    """Root of the mean squared error; MCSE by the delta method, or by the jackknife."""
    (squares,), r = _usable((np.asarray(estimates) - truth) ** 2)
    value, mcse, _ = mean(squares)
    root = float(np.sqrt(value))
    if r < 2 or root == 0:
        return Measure(root, 0.0 if r > 1 else np.nan, r)
    without = np.sqrt(without_each(squares) / (r - 1))
    return Measure(root, _error(mcse / (2.0 * root), without), r)


# Of the sum of squared errors: where one replicate has more, tables and figures say so.
HALF = 0.5


def largest_share(estimates: Floats, truth: Floats | float) -> Measure:
    """The share of one replicate in the sum of the squared errors, of the one that has most.

    Above one half a table's number is that replicate's rather than the estimator's. A maximum
    over the replicates, it has no standard error.
    """
    (squares,), r = _usable((np.asarray(estimates) - truth) ** 2)
    total = squares.sum()
    return Measure(float(squares.max() / total) if r and total > 0 else np.nan, np.nan, r)


def dominated(share: ArrayLike, r: ArrayLike) -> NDArray[np.bool_]:
    """Whether one of r replicates has more than HALF of the sum, by `largest_share` (...).

    Of fewer than FEWEST one often has by chance, and none is said to.
    """
    return (np.asarray(share) > HALF) & (np.asarray(r) >= FEWEST)


def model_se(se: Floats) -> Measure:
    """Root mean square of the standard errors; MCSE sqrt(var(se^2)/(4 R ModSE^2)), or jackknife."""
    return rmse(se, 0.0)


def relative_error_of_model_se(estimates: Floats, se: Floats) -> Measure:
    """100 (ModSE/EmpSE - 1), per cent, over replicates that have both.

    MCSE 100 (ModSE/EmpSE) sqrt(var(se^2)/(4 R ModSE^4) + 1/(2(R - 1))), or by the jackknife.
    """
    (e, s), r = _usable(estimates, se)
    if r < 2 or not e.std() > 0 or not np.any(s > 0):
        return Measure(np.nan, np.nan, r)
    squares = s**2
    model, spread = float(np.sqrt(squares.mean())), float(e.std(ddof=1))
    relative = np.hypot(
        squares.std(ddof=1) / (2.0 * np.sqrt(r) * model**2), 1.0 / np.sqrt(2.0 * (r - 1))
    )
    ratio = 100.0 * model / spread
    with np.errstate(divide="ignore"):
        without = 100.0 * np.sqrt(without_each(squares) / (r - 1)) / _roots(e)
    return Measure(ratio - 100.0, _error(ratio * float(relative), without), r)


def relative_precision(estimates: Floats, reference: Floats) -> Measure:
    """100 ((EmpSE of the reference/EmpSE)^2 - 1), per cent: precision gained, on the same data.

    Over replicates that both methods have; MCSE 200 (ratio)^2 sqrt((1 - rho^2)/(R - 1)), rho the
    correlation of the two over replicates, or by the jackknife.
    """
    (e, base), r = _usable(estimates, reference)
    if r < 3 or not e.std() > 0 or not base.std() > 0:
        return Measure(np.nan, np.nan, r)
    squared = 100.0 * float(base.var() / e.var())
    unshared = max(1.0 - float(np.corrcoef(e, base)[0, 1]) ** 2, 0.0)
    formula = 2.0 * squared * float(np.sqrt(unshared / (r - 1)))
    with np.errstate(divide="ignore", invalid="ignore"):
        without = 100.0 * _variances(base) / _variances(e)
    return Measure(squared - 100.0, _error(formula, without), r)


def efficiency(estimates: Floats, bound: float) -> Measure:
    """(bound/EmpSE)^2, the share of the information that is used; MCSE as of its square root."""
    (v,), r = _usable(estimates)
    value = empirical_se(v).value
    if not value > 0:
        return Measure(np.nan, np.nan, r)
    share = (bound / value) ** 2
    with np.errstate(divide="ignore"):
        without = (bound / _roots(v)) ** 2
    return Measure(share, _error(2.0 * share / np.sqrt(2.0 * (r - 1)), without), r)


def proportion(events: ArrayLike) -> Share:
    """Share of replicates with the event (0 or 1); MCSE sqrt(p(1 - p)/R)."""
    (v,), r = _usable(events)
    return of_count(int(np.count_nonzero(v)), r)


def wilson(share: Floats | float, r: Floats | float, level: float = 0.95) -> tuple[Any, Any]:
    """Ends of Wilson's interval around a share of r replicates; not empty at shares of 0 and 1.

    Wilson (1927), Journal of the American Statistical Association 22, 209-212. NaN where r is 0.
    """
    p, r = np.asarray(share, dtype=float), np.asarray(r, dtype=float)
    z = NormalDist().inv_cdf(0.5 + 0.5 * level)
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = (p + z**2 / (2 * r)) / (1 + z**2 / r)
        half = z / (1 + z**2 / r) * np.sqrt(p * (1 - p) / r + z**2 / (4 * r**2))
    return np.where(p == 0, 0.0, centre - half), np.where(p == 1, 1.0, centre + half)


def below(held: ArrayLike, r: ArrayLike, level: float) -> Floats:
    """The probability of so few of r exact intervals holding the truth: binomial, one-sided."""
    return np.asarray(binom.cdf(np.asarray(held), np.asarray(r), level), dtype=float)


class Shrunk(NamedTuple):
    """Shares of exchangeable cells, each drawn towards the mean of all as far as it is noise.

    mean: of the cells' true shares; prior: how many replicates the other cells are worth to one.
    share, low, high: (cells,), posterior mean and 95% interval.
    """

    mean: float
    prior: float
    share: Floats
    low: Floats
    high: Floats


def shrunk(held: Floats, r: Floats) -> Shrunk:
    """By empirical Bayes: held of r, beta-binomial, its two parameters by maximum likelihood.

    On a grid of priors worth 1 to 10,000 replicates and means by a step of a two-hundredth.
    """
    centres = np.arange(0.005, 1.0, 0.005)[:, None, None]
    worth = 10.0 ** np.linspace(0.0, 4.0, 21)[:, None]
    a, b = centres * worth, (1.0 - centres) * worth
    loglik = (betaln(a + held, b + r - held) - betaln(a, b)).sum(axis=-1)
    i, j = np.unravel_index(int(loglik.argmax()), loglik.shape)
    mean, prior = float(centres[i, 0, 0]), float(worth[j, 0])
    alpha, beta = mean * prior + held, (1.0 - mean) * prior + r - held
    low, high = betaincinv(alpha, beta, 0.025), betaincinv(alpha, beta, 0.975)
    return Shrunk(mean, prior, alpha / (alpha + beta), low, high)


def coverage(
    lower: Floats, upper: Floats, truth: Floats | float, asked: int | None = None
) -> Share:
    """Share of the intervals that were asked for that hold the truth.

    Ends may be infinite, intervals open; one whose end is NaN does not hold it. asked: how many,
    if more than there are. Without a truth there is nothing to be held.
    """
    low, high, true = np.broadcast_arrays(lower, upper, truth)
    known = int(np.count_nonzero(~np.isnan(true)))
    held = int(np.count_nonzero((low <= true) & (true <= high)))
    return of_count(held, known if asked is None else max(asked, known))


def given(lower: Floats, upper: Floats) -> int:
    """How many of the intervals have both ends."""
    return int(np.count_nonzero(~(np.isnan(lower) | np.isnan(upper))))


def coverage_given(lower: Floats, upper: Floats, truth: Floats | float) -> Share:
    """Share of the intervals that are there that hold the truth, however few those are."""
    low, high, true = np.broadcast_arrays(lower, upper, truth)
    there = ~(np.isnan(low) | np.isnan(high))
    return coverage(low[there], high[there], true[there])


def bias_eliminated_coverage(
    lower: Floats, upper: Floats, estimates: Floats, asked: int | None = None
) -> Share:
    """Share of the intervals that were asked for that hold the mean of the estimates with one.

    MCSE as of a proportion, which takes that mean for known.
    """
    there = ~(np.isnan(lower) | np.isnan(upper)) & np.isfinite(estimates)
    r = int(np.size(estimates)) if asked is None else asked
    if not there.any():
        return of_count(0, r)
    centre = float(np.asarray(estimates)[there].mean())
    return coverage(np.where(there, lower, np.nan), upper, centre, r)


def interval_width(lower: Floats, upper: Floats) -> Measure:
    """Mean width of the intervals that have two finite ends; R says how many those are."""
    (low, high), _ = _usable(lower, upper)
    return mean(high - low)


def median_width(lower: Floats, upper: Floats) -> Measure:
    """Median width of the same intervals."""
    (low, high), _ = _usable(lower, upper)
    return median(high - low)
