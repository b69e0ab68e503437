"""A sample as weighted nodes, exact to rounding, with a certificate.

The line is cut into cells. In a cell the empirical Chebyshev moments up to degree q - 1 give
weights W_j on its q Chebyshev nodes X_j, such that sum_j W_j f(X_j) is the sum over the cell's
observations of the polynomial that interpolates f at the nodes (Trefethen 2013, Approximation
Theory and Approximation Practice, chapters 3 and 4). That is sum_i f(x_i) up to the count times
the interpolation error, which for an f that is analytic in the Bernstein ellipse of parameter rho
and bounded by M there is at most 4 M rho^-(q-1)/(rho - 1) (theorem 8.2). `error_bound` finds such
a rho and M for the log-density of a mixture.

Cells are one width wide, halved where a pilot mixture asks for it, so that a
narrow component beside a wide one costs cells only where it is. A cell whose observations are all
equal keeps them as they are: ties and lone outliers stay exact. Weights may be negative, which is
right for sums and wrong for sampling. Samples on the same cells add up: data can be streamed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from models.mixture import Floats, Mixture

type Integers = NDArray[np.int64]

DEGREE = 16  # nodes a cell
DEEPEST = 12  # halvings of a cell, at most
# The cells are fit for sds this much smaller than the pilot's, and means this much further apart.
MARGIN = 0.8


@dataclass(frozen=True, eq=False)
class Cells:
    """Which cells a sample is cut into: `width`, halved where the pilot asks for it.

    A cell is halved until the error bound of an observation in it is at most `tolerance` nats, for
    the pilot mixture and for the pilot with its sds MARGIN times as large and as small.
    """

    width: float
    pilot: Mixture
    tolerance: float

    @classmethod
    def fit_for(cls, pilot: Mixture, tolerance: float) -> Cells:
        """Cells that start from the largest sd of the pilot."""
        return cls(float(pilot.sds.max()), pilot, tolerance)

    def parts(self, whole: Integers) -> tuple[Integers, Integers]:
        """Left ends, in units of width/2^DEEPEST, and halvings of all parts of the whole cells.

        whole (m,): i for the cell [i, i + 1) * width, ascending.
        """
        p = self.pilot
        left, level = [], []
        for cell in whole.tolist():
            pending = [(cell << DEEPEST, 0)]
            while pending:
                begin, depth = pending.pop()
                size = 1 << (DEEPEST - depth)
                half = 0.5 * size * self.width / 2.0**DEEPEST
                centre = begin * self.width / 2.0**DEEPEST + half
                worst = max(
                    _cell_bound(p.weights, p.means, scale * p.sds, centre, half)
                    for scale in (1.0, MARGIN, 1.0 / MARGIN)
                )
                if worst <= self.tolerance or depth == DEEPEST:
                    left.append(begin)
                    level.append(depth)
                else:
                    pending += [(begin + size // 2, depth + 1), (begin, depth + 1)]
        return np.array(left, dtype=np.int64), np.array(level, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Compressed:
    """The occupied cells (m,) of a sample, from left to right.

    left: their left ends, in units of width/2^DEEPEST. level: halvings. totals: counts. moments
    (m, DEGREE): sums of c T_p(u), u in [-1, 1] within the cell. lowest, highest: extremes of the
    observations in it.
    """

    cells: Cells
    left: Integers
    level: Integers
    totals: Floats
    moments: Floats
    lowest: Floats
    highest: Floats

    @classmethod
    def of(cls, x: ArrayLike, counts: ArrayLike | None = None, *, cells: Cells) -> Compressed:
        """A sample x (n,) with counts (n,); ValueError if the cells are finer than rounding."""
        values = np.ascontiguousarray(x, dtype=float)
        weights = np.ones(values.size) if counts is None else np.asarray(counts, dtype=float)
        scaled = values / cells.width
        if values.size and np.abs(scaled).max() > 2.0 ** (52 - DEEPEST):
            raise ValueError(f"x: reaches {np.abs(values).max():g}, too far for the cells' width")
        place = np.floor(scaled * 2.0**DEEPEST).astype(np.int64)
        left, level = cells.parts(_distinct(place >> DEEPEST))
        slots = _find(left, place)
        occupied = np.bincount(slots, minlength=left.size) > 0
        slots = (np.cumsum(occupied) - 1)[slots]
        left, level = left[occupied], level[occupied]
        found = cls(cells, left, level, *_empty(left.size))
        _add(scaled, values, weights, slots, left, level, *found._sums)
        return found

    @classmethod
    def stream(cls, chunks: Iterable[ArrayLike], *, cells: Cells) -> Compressed:
        """A sample that comes in chunks; memory is bounded by a chunk and the occupied cells."""
        found = cls.of([], cells=cells)
        for chunk in chunks:
            found = found.merged(cls.of(chunk, cells=cells))
        return found

    def merged(self, other: Compressed) -> Compressed:
        """Both samples together; ValueError if their cells are not the same."""
        if (self.cells.width, self.cells.tolerance) != (
            other.cells.width,
            other.cells.tolerance,
        ) or self.cells.pilot != other.cells.pilot:
            raise ValueError("other: has other cells; compress both samples with the same Cells")
        left = np.union1d(self.left, other.left)
        level = np.zeros(left.size, dtype=np.int64)
        sums = _empty(left.size)
        for part in (self, other):
            at = np.searchsorted(left, part.left)
            level[at] = part.level
            sums[0][at] += part.totals
            sums[1][at] += part.moments
            sums[2][at] = np.minimum(sums[2][at], part.lowest)
            sums[3][at] = np.maximum(sums[3][at], part.highest)
        return Compressed(self.cells, left, level, *sums)

    @property
    def _sums(self) -> tuple[Floats, Floats, Floats, Floats]:
        return self.totals, self.moments, self.lowest, self.highest

    @property
    def n(self) -> float:
        """Total count."""
        return float(self.totals.sum())

    @cached_property
    def geometry(self) -> Floats:
        """(cells with different observations, 3): centre, half width and count."""
        spread = self.lowest != self.highest
        size = np.ldexp(1.0, DEEPEST - self.level[spread])
        unit = self.cells.width / 2.0**DEEPEST
        return np.stack(
            [(self.left[spread] + 0.5 * size) * unit, 0.5 * size * unit, self.totals[spread]],
            axis=1,
        )

    @cached_property
    def nodes(self) -> tuple[Floats, Floats]:
        """Positions and weights, each (number of nodes,)."""
        tied = self.lowest == self.highest
        angles = np.pi * (np.arange(DEGREE) + 0.5) / DEGREE
        cosines = np.cos(np.outer(np.arange(DEGREE), angles)) / DEGREE
        cosines[1:] *= 2.0
        centre, half = self.geometry[:, :1], self.geometry[:, 1:2]
        return (
            np.concatenate([self.lowest[tied], (centre + half * np.cos(angles)).ravel()]),
            np.concatenate([self.totals[tied], (self.moments[~tied] @ cosines).ravel()]),
        )

    def error_bound(self, mixture: Mixture) -> float:
        """Most by which the nodes' log-likelihood can differ from the sample's, in nats.

        inf where no ellipse free of singularities was found. Rounding is not in it.
        """
        return float(error_bound(mixture.weights, mixture.means, mixture.sds, self.geometry))


@njit(cache=True, error_model="numpy")
def error_bound(weights: Floats, means: Floats, sds: Floats, geometry: Floats) -> float:
    """`Compressed.error_bound` for cells (m, 3) of centre, half width and count."""
    bound = 0.0
    for c in range(geometry.shape[0]):
        bound += geometry[c, 2] * _cell_bound(weights, means, sds, geometry[c, 0], geometry[c, 1])
    return bound


@njit(cache=True, error_model="numpy")
def _cell_bound(weights: Floats, means: Floats, sds: Floats, centre: float, half: float) -> float:
    """Bound of the interpolation error of the log-density in one cell.

    Let r be the component with the largest term a_r at the centre: log-density = a_r + h, a_r a
    quadratic, which interpolation leaves as it is, h = log(1 + sum_k exp(a_k - a_r)). Over the
    rectangle around the ellipse the real part of a_k - a_r is at most D_k, and its phase is
    y ((x - mean_r)/sd_r^2 - (x - mean_k)/sd_k^2). Terms with D_k <= -log(4 K) sum to at most 1/4 in
    modulus; where all others have a phase within pi/2, the real part of 1 + sum is at least 3/4:
    h is analytic, and |h| is at most log(5/4 + sum exp D_k) + pi.
    """
    k = means.size
    r, top = 0, -np.inf
    for j in range(k):
        z = (centre - means[j]) / sds[j]
        a = math.log(weights[j]) - math.log(sds[j]) - 0.5 * z * z
        if a > top:
            r, top = j, a
    pr, ur = 1.0 / (sds[r] * sds[r]), centre - means[r]
    for rho in (32.0, 16.0, 9.0, 5.0, 3.0, 2.0):
        reach, height = half * (rho + 1.0 / rho) / 2.0, half * (rho - 1.0 / rho) / 2.0
        size, analytic = 1.25, True
        for j in range(k):
            if j == r or weights[j] == 0.0:
                continue
            # a_j - a_r = p t^2 + s t + v in t = x - centre; off the line, -p y^2 comes to it.
            pj, uj = 1.0 / (sds[j] * sds[j]), centre - means[j]
            p, s = 0.5 * (pr - pj), ur * pr - uj * pj
            v = 0.5 * (ur * ur * pr - uj * uj * pj)
            v += math.log(weights[j]) - math.log(weights[r]) + math.log(sds[r]) - math.log(sds[j])
            largest = p * reach * reach + abs(s) * reach
            if p < 0.0 and abs(s) < -2.0 * p * reach:
                largest = -s * s / (4.0 * p)
            largest += v + max(-p, 0.0) * height * height
            if largest > -math.log(4.0 * k):
                if height * (abs(s) + 2.0 * abs(p) * reach) > 0.5 * math.pi:
                    analytic = False
                    break
                size += math.exp(min(largest, 700.0))
        if analytic:
            most = math.log(size) + math.pi
            return 4.0 * most * rho ** (1.0 - DEGREE) / (rho - 1.0)
    return np.inf


@njit(cache=True, error_model="numpy")
def _add(
    scaled: Floats,
    x: Floats,
    counts: Floats,
    slots: Integers,
    left: Integers,
    level: Integers,
    totals: Floats,
    moments: Floats,
    lowest: Floats,
    highest: Floats,
) -> None:
    for i in range(x.size):
        m, c = slots[i], counts[i]
        size = math.ldexp(1.0, DEEPEST - level[m])
        u = 2.0 * (scaled[i] * 2.0**DEEPEST - left[m]) / size - 1.0
        totals[m] += c
        lowest[m] = min(lowest[m], x[i])
        highest[m] = max(highest[m], x[i])
        before, now = 1.0, u
        moments[m, 0] += c
        moments[m, 1] += c * u
        for p in range(2, DEGREE):
            before, now = now, 2.0 * u * now - before
            moments[m, p] += c * now


@njit(cache=True, error_model="numpy")
def _find(left: Integers, place: Integers) -> Integers:
    """For each place the last of the ascending left ends that is not beyond it."""
    slots = np.empty(place.size, dtype=np.int64)
    for i in range(place.size):
        low, high = 0, left.size
        while high - low > 1:
            middle = (low + high) >> 1
            if left[middle] <= place[i]:
                low = middle
            else:
                high = middle
        slots[i] = low
    return slots


def _distinct(values: Integers) -> Integers:
    """The distinct values, ascending: by a table where their range is no more than a few n."""
    if values.size == 0:
        return values
    low, high = int(values.min()), int(values.max())
    if high - low > 4 * values.size + 1000:
        return np.unique(values)
    seen = np.zeros(high - low + 1, dtype=bool)
    seen[values - low] = True
    return np.flatnonzero(seen) + low


def _empty(m: int) -> tuple[Floats, Floats, Floats, Floats]:
    return np.zeros(m), np.zeros((m, DEGREE)), np.full(m, np.inf), np.full(m, -np.inf)
