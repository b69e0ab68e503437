"""Quantities of a mixture that do not depend on its labels, with gradients by complex steps.

Each is a function of rows (..., 3, K) of weights, means and sds, such as Mixture.as_rows() or
posterior draws. They are written so that complex rows go through: a step of i h in one parameter
leaves the derivative in the imaginary part, without a difference that could cancel (Squire and
Trapp 1998).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import combinations

import numpy as np
from scipy.special import ndtr, ndtri

from models import checks
from models.mixture import Floats, Mixture

type Functional = Callable[[Floats], Floats]

# So small that its square is lost beside 1.
STEP = 1e-20

EPS = float(np.finfo(float).eps)
# Of a quantile's bracket, at most; four steps hold one, and 60 take any bracket to rounding.
HALVINGS = 240

# Sds beyond which a normal has no mass that doubles can hold.
REACH = 40.0


def mean(rows: Floats) -> Floats:
    """Mean of the mixture, shape (...)."""
    w, m, _ = _parts(rows)
    return (w * m).sum(axis=-1)


def variance(rows: Floats) -> Floats:
    """Variance of the mixture, shape (...)."""
    w, m, s = _parts(rows)
    return (w * (s * s + (m - mean(rows)[..., None]) ** 2)).sum(axis=-1)


def crossing(rows: Floats) -> Floats:
    """Where w1 f1 = w2 f2 between the two means, shape (...); NaN where there is none, or K != 2.

    From m1 towards m2 the log ratio of the two falls all the way, so that it is 0 where and only
    where it is positive at m1 and negative at m2.
    """
    if rows.shape[-1] != 2:
        return np.full(rows.shape[:-2], np.nan)
    a, b, c, origin, gap = _log_ratio(rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        y = 2.0 * c / (b + np.sqrt(b * b - 4.0 * a * c))
        exists = (c.real > 0) & ((c - b * gap + a * gap * gap).real < 0)
    return np.where(exists, origin + y, np.nan)


def _log_ratio(rows: Floats) -> tuple[Floats, ...]:
    """a, b, c, m1 and m2 - m1: of two, that of the lower mean over the other at m1 + y.

    Its log is c - b y + a y^2.
    """
    order = np.argsort(rows[..., 1, :].real, axis=-1, kind="stable")
    w, m, s = _parts(np.take_along_axis(rows, order[..., None, :], axis=-1))
    gap = m[..., 1] - m[..., 0]
    a = 0.5 * (s[..., 1] ** -2 - s[..., 0] ** -2)
    b = gap / s[..., 1] ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        c = np.log(w[..., 0] * s[..., 1] / (w[..., 1] * s[..., 0])) + 0.5 * gap * b
    return a, b, c, m[..., 0], gap


def crossings(rows: Floats) -> Floats:
    """(..., 2): all points where two components are as probable, ascending, NaN for what is not.

    There are two where the sds differ and the two densities meet, one where the sds are equal, and
    none where one component is more probable everywhere. A cut-off is the one between the means,
    which is `crossing`; the other, beyond the narrower component, cuts that one's far side off.
    rows: (..., 3, 2), real.
    """
    if rows.shape[-1] != 2:
        raise ValueError(f"rows: are of {rows.shape[-1]} components; give mixtures of 2")
    a, b, c, origin, _ = _log_ratio(rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        q = 0.5 * (b + np.copysign(np.sqrt(b * b - 4.0 * a * c), b))
        roots = np.stack([q / a, c / q], axis=-1)
    found: Floats = np.sort(
        np.where(np.isfinite(roots), origin[..., None] + roots, np.nan), axis=-1
    )
    return found


def cutoff_at(rate: float) -> Functional:
    """The point above which the component of the least mean has the share `rate` of its own.

    With that component for the negatives, the cut-off with this rate of false positives. rate:
    between 0 and 1.
    """
    z = float(ndtri(1.0 - checks.probability("rate", rate)))

    def cutoff(rows: Floats) -> Floats:
        _, m, s = _parts(rows)
        first = np.argmin(m.real, axis=-1)[..., None]
        low, sd = (np.take_along_axis(part, first, axis=-1)[..., 0] for part in (m, s))
        found: Floats = low + z * sd
        return found

    return cutoff


def misclassification(rows: Floats) -> Floats:
    """Error rate of the rule that gives x to the component with the largest w_k f_k(x), (...).

    The line is cut wherever two of the terms are equal. Moving a cut does not change the error
    to first order, so that cuts may stay real where the rows are complex.
    """
    w, m, s = _parts(rows)
    edges = _edges(rows.real)
    middle = 0.5 * (edges[..., 1:] + edges[..., :-1])
    z = (middle[..., None] - m.real[..., None, :]) / s.real[..., None, :]
    with np.errstate(divide="ignore"):
        best = np.argmax(np.log(w.real / s.real)[..., None, :] - 0.5 * z * z, axis=-1)
    below = ndtr((edges[..., None] - m[..., None, :]) / s[..., None, :])
    mass = w[..., None, :] * np.diff(below, axis=-2)
    wrong = np.arange(rows.shape[-1]) != best[..., None]
    error: Floats = (mass * wrong).sum(axis=(-2, -1))
    return error


def density_at(x: float) -> Functional:
    """The mixture density at x, in inverse data units."""

    def density(rows: Floats) -> Floats:
        return _density(rows, np.asarray(x))

    return density


def quantile_at(level: float) -> Functional:
    """The point below which the mixture has the share `level`, which is between 0 and 1."""
    level = checks.probability("level", level)

    def quantile(rows: Floats) -> Floats:
        found = _quantile(rows.real, level)
        below = _below(rows, found)
        with np.errstate(divide="ignore", invalid="ignore"):
            moved: Floats = found - (below - below.real) / _density(rows.real, found)
            return moved

    return quantile


def _quantile(rows: Floats, level: float) -> Floats:
    """(...): by Newton steps, halving the bracket where one leaves it and at every fourth step."""
    _, m, s = _parts(rows)
    # It lies between the components' own quantiles; a little room for rounding.
    ends, room = m + s * ndtri(level), 1e-6 * s.max(axis=-1)
    low, high = ends.min(axis=-1) - room, ends.max(axis=-1) + room
    rounding = 4.0 * EPS * (np.abs(m) + s).max(axis=-1)
    x = 0.5 * (low + high)
    for step in range(HALVINGS):
        excess = _below(rows, x) - level
        low, high = np.where(excess < 0, x, low), np.where(excess > 0, x, high)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ahead = x - excess / _density(rows, x)
        kept = (low <= ahead) & (ahead <= high) & (step % 4 < 3)
        before, x = x, np.where(kept, ahead, 0.5 * (low + high))
        if np.all(np.abs(x - before) <= rounding):
            break
    found: Floats = x
    return found


def functionals(
    points: Iterable[float] = (), levels: Iterable[float] = (0.05, 0.5, 0.95)
) -> dict[str, Functional]:
    """The table of them, by name; with the density at the points and the quantiles at the levels.

    More can be added to it: any function of rows that takes complex ones. Points and levels are
    named by six digits, or by all where six are the same for two of them.
    """
    return {
        "mean": mean,
        "variance": variance,
        "crossing": crossing,
        "misclassification": misclassification,
        **{f"density at {name}": density_at(x) for name, x in _named(points)},
        **{f"quantile {name}": quantile_at(level) for name, level in _named(levels)},
    }


def _named(values: Iterable[float]) -> Iterator[tuple[str, float]]:
    distinct = dict.fromkeys(map(float, values))
    short = [f"{x:g}" for x in distinct]
    names = short if len(set(short)) == len(short) else map(repr, distinct)
    return zip(names, distinct, strict=True)


def gradient(functional: Functional, mixture: Mixture) -> Floats:
    """(3, K): derivatives by weights, means and sds, as exact as the functional itself.

    The weights are moved one by one, off their sum of 1; only differences along it mean anything.
    """
    return _value_and_gradient(functional, mixture)[1]


def delta_method(
    functional: Functional, mixture: Mixture, covariance: Floats
) -> tuple[float, float]:
    """Value and standard error at an estimate, from its covariance (3K, 3K), such as Fit's."""
    value, slope = _value_and_gradient(functional, mixture)
    squared = slope.ravel() @ covariance @ slope.ravel()
    return value, float(np.sqrt(np.maximum(squared, 0.0)))


def _value_and_gradient(functional: Functional, mixture: Mixture) -> tuple[float, Floats]:
    rows = mixture.as_rows()
    steps = np.eye(rows.size + 1, rows.size, -1).reshape(-1, *rows.shape)  # the first is none
    moved = functional(rows + 1j * STEP * steps)
    slopes = np.where(np.isnan(moved), np.nan, moved.imag / STEP)
    return float(moved[0].real), slopes[1:].reshape(rows.shape)


def _parts(rows: Floats) -> tuple[Floats, Floats, Floats]:
    return rows[..., 0, :], rows[..., 1, :], rows[..., 2, :]


def _density(rows: Floats, x: Floats) -> Floats:
    w, m, s = _parts(rows)
    z = (x[..., None] - m) / s
    return (w / s * np.exp(-0.5 * z * z)).sum(axis=-1) / math.sqrt(2.0 * math.pi)


def _below(rows: Floats, x: Floats) -> Floats:
    w, m, s = _parts(rows)
    mass: Floats = (w * ndtr((x[..., None] - m) / s)).sum(axis=-1)
    return mass


def _edges(rows: Floats) -> Floats:
    """(..., K(K - 1) + 2), ascending: all roots of w_j f_j = w_k f_k, between ends without mass.

    A pair without roots is cut at a mean, which does no harm.
    """
    w, m, s = _parts(rows)
    low, high = (m - REACH * s).min(axis=-1), (m + REACH * s).max(axis=-1)
    cuts = [low, high]
    for j, k in combinations(range(rows.shape[-1]), 2):
        # With y = x - m_j the log ratio of the two terms is c - b y + a y^2.
        gap = m[..., k] - m[..., j]
        a = 0.5 * (s[..., k] ** -2 - s[..., j] ** -2)
        b = gap / s[..., k] ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            c = np.log(w[..., j] * s[..., k] / (w[..., k] * s[..., j])) + 0.5 * gap * b
            q = 0.5 * (b + np.copysign(np.sqrt(b * b - 4.0 * a * c), b))
            roots = (m[..., j] + q / a, m[..., j] + c / q)
        cuts += [np.clip(np.where(np.isnan(y), m[..., j], y), low, high) for y in roots]
    return np.sort(np.stack(cuts, axis=-1), axis=-1)
