"""A sample as weighted nodes, exact to rounding, with a certificate.

The line is cut into cells. In a cell the empirical Chebyshev moments up to degree q - 1 give
weights W_j on its q Chebyshev nodes X_j, such that sum_j W_j f(X_j) is the sum over the cell's
observations of the polynomial that interpolates f at the nodes (Trefethen 2013, Approximation
Theory and Approximation Practice, chapters 3 and 4). That is sum_i f(x_i) up to the count times
the interpolation error, which for an f that is analytic in the Bernstein ellipse of parameter rho
and bounded by M there is at most 4 M rho^-(q-1)/(rho - 1) (theorem 8.2). `error_bound` finds such
a rho and M for the log-density of a mixture.

Cells are one width wide, halved where a pilot mixture asks for it, so that a narrow component
beside a wide one costs cells only where it is. A cell whose observations are all equal keeps them
as they are: ties and lone outliers stay exact. Weights may be negative, which is right for sums
and wrong for sampling. Samples on the same cells add up: data can be streamed.
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

# Nodes a cell. For an error of 1e-15 the cells must be so small that rho^DEGREE = 1e15; nodes a
# unit of length go with DEGREE * rho, which falls until DEGREE is about 35, cells with rho.
DEGREE = 24
DEEPEST = 14  # halvings of a cell, at most
BLOCK = 32_768  # observations that are sorted by cell at a time: they stay in the cache
# The cells are fit for sds this much smaller and larger than the pilot's.
MARGIN = 0.8


@dataclass(frozen=True, eq=False)
class Cells:
    """Which cells a sample is cut into.

    width: of a whole cell, in data units, a power of two; halved where the pilot asks.
    pilot: a mixture near those that the nodes are to serve.
    tolerance: nats. A cell is halved until the error bound of an observation in it is at most
        that, for the pilot, with all its sds MARGIN times as large and as small, and with one of
        them so and the others the other way.
    """

    width: float
    pilot: Mixture
    tolerance: float

    @classmethod
    def fit_for(cls, pilot: Mixture, tolerance: float) -> Cells:
        """Cells that start from four to eight times the largest sd of the pilot."""
        return cls(2.0 ** (math.floor(math.log2(pilot.sds.max())) + 3), pilot, tolerance)

    def parts(self, whole: Integers) -> tuple[Integers, Integers]:
        """Left ends, in units of width/2^DEEPEST, and halvings of all parts of the whole cells.

        whole (m,): i for the cell [i, i + 1) * width, ascending.
        """
        p = self.pilot
        return _parts(whole, self.width, p.weights, p.means, p.sds, self.tolerance)


@dataclass(frozen=True, eq=False)
class Compressed:
    """The occupied cells (m,) of a sample, from left to right.

    cells: which they are.
    left: (m,), their left ends, in units of width/2^DEEPEST.
    level: (m,), halvings.
    totals: (m,), counts.
    moments: (m, DEGREE), sums of c T_p(u), u in [-1, 1] within the cell.
    lowest, highest: (m,), extremes of the observations in each.
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
        scale = 2.0**DEEPEST / cells.width
        low, high = (values.min(), values.max()) if values.size else (0.0, 0.0)
        if max(-low, high) * scale > 2.0**52:
            raise ValueError(f"x: reaches {max(-low, high):g}, too far for the cells' width")
        left, level = cells.parts(_occupied(values, cells.width, low, high))
        found = cls(cells, left, level, *_empty(left.size))
        _add(values, weights, scale, left, level, *found._sums)
        return found._kept(found.lowest <= found.highest)

    def _kept(self, cells: NDArray[np.bool_]) -> Compressed:
        return Compressed(
            self.cells, self.left[cells], self.level[cells], *(part[cells] for part in self._sums)
        )

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

    @property
    def cell_means(self) -> Floats:
        """(m,): the mean of the observations in each cell."""
        size = np.ldexp(1.0, DEEPEST - self.level)
        unit = self.cells.width / 2.0**DEEPEST
        inside = self.moments[:, 1] / self.totals
        means = (self.left + 0.5 * size * (1.0 + inside)) * unit
        return np.clip(means, self.lowest, self.highest)

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

        inf where no ellipse free of singularities was found. The rounding that a pass over the
        sample has as well is not in it.
        """
        return float(error_bound(mixture.weights, mixture.means, mixture.sds, self.geometry))


_EPS = 2.0**-52
# Tried in this order; half as many digits of an error are gained at 2 as at 4.
_RHO = (6.0, 5.0, 4.6, 4.2, 3.6, 3.0, 2.0)


@njit(cache=True, error_model="numpy")
def error_bound(
    weights: Floats, means: Floats, sds: Floats, geometry: Floats, limit: float = np.inf
) -> float:
    """`Compressed.error_bound` for cells (m, 3) of centre, half width and count.

    Above `limit` any number above it will do. Where a cell is wide against the sd the terms at
    its nodes are larger than at the observations, and so is their rounding: at most by
    half (|centre - mean| + half) / sd^2, times the sum of the weights' moduli, for which 4 times
    the count is ample at 24 nodes.
    """
    constants, precisions = _log_terms(weights, sds)
    bound = 0.0
    for c in range(geometry.shape[0]):
        centre, half, count = geometry[c]
        r = _largest_term(constants, means, precisions, centre)
        growth = precisions[r] * half * (abs(centre - means[r]) + half)
        truncation = _cell_bound(constants, means, precisions, centre, half, r)
        bound += count * (truncation + 4.0 * _EPS * growth)
        if bound > limit:
            break
    return bound


@njit(cache=True, error_model="numpy")
def _log_terms(weights: Floats, sds: Floats) -> tuple[Floats, Floats]:
    return np.log(weights) - np.log(sds), 1.0 / (sds * sds)


@njit(cache=True, error_model="numpy")
def _largest_term(constants: Floats, means: Floats, precisions: Floats, x: float) -> int:
    r, top = 0, -np.inf
    for j in range(means.size):
        u = x - means[j]
        a = constants[j] - 0.5 * u * u * precisions[j]
        if a > top:
            r, top = j, a
    return r


@njit(cache=True, error_model="numpy")
def _cell_bound(
    constants: Floats, means: Floats, precisions: Floats, centre: float, half: float, r: int
) -> float:
    """Bound of the interpolation error of the log-density in one cell.

    r is the component with the largest term a_r at the centre. log-density = a_r + h, a_r a
    quadratic, which interpolation leaves as it is, h = log(1 + sum_k exp(a_k - a_r)). Over the
    rectangle around the ellipse the real part of a_k - a_r is at most D_k, and its phase is
    y ((x - mean_r)/sd_r^2 - (x - mean_k)/sd_k^2). Terms with D_k <= -log(4 K) sum to at most 1/4 in
    modulus; where all others have a phase within pi/2, the real part of 1 + sum is at least 3/4:
    h is analytic, and |h| is at most log(5/4 + sum exp D_k) + pi, for which
    log(K + 1/4) + max(0, D_1, ..., D_K) + pi stands.
    """
    k = means.size
    pr, ur = precisions[r], centre - means[r]
    small = -math.log(4.0 * k)
    for rho in _RHO:
        reach, height = half * (rho + 1.0 / rho) / 2.0, half * (rho - 1.0 / rho) / 2.0
        most, analytic = 0.0, True
        for j in range(k):
            if j == r or constants[j] == -np.inf:
                continue
            # a_j - a_r = p t^2 + s t + v in t = x - centre; off the line, -p y^2 comes to it.
            pj, uj = precisions[j], centre - means[j]
            p, s = 0.5 * (pr - pj), ur * pr - uj * pj
            v = 0.5 * (ur * ur * pr - uj * uj * pj) + constants[j] - constants[r]
            largest = p * reach * reach + abs(s) * reach
            if p < 0.0 and abs(s) < -2.0 * p * reach:
                largest = -s * s / (4.0 * p)
            largest += v + max(-p, 0.0) * height * height
            if largest > small:
                if height * (abs(s) + 2.0 * abs(p) * reach) > 0.5 * math.pi:
                    analytic = False
                    break
                most = max(most, largest)
        if analytic:
            size = math.log(k + 0.25) + most + math.pi
            return 4.0 * size * rho ** (1.0 - DEGREE) / (rho - 1.0)
    return np.inf


@njit(cache=True, error_model="numpy")
def _parts(
    whole: Integers, width: float, weights: Floats, means: Floats, sds: Floats, tolerance: float
) -> tuple[Integers, Integers]:
    """`Cells.parts`: each whole cell is gone through from left to right, depth first."""
    terms = [_log_terms(weights, sds)]
    for scale in (MARGIN, 1.0 / MARGIN):
        terms.append(_log_terms(weights, scale * sds))
        for j in range(sds.size if sds.size > 1 else 0):
            varied = sds / scale
            varied[j] *= scale * scale
            terms.append(_log_terms(weights, varied))
    unit = width / 2.0**DEEPEST
    left, level = [np.int64(0) for _ in range(0)], [np.int64(0) for _ in range(0)]
    for cell in whole:
        begin, depth, end = cell << DEEPEST, 0, (cell + 1) << DEEPEST
        while begin < end:
            size = 1 << (DEEPEST - depth)
            half = 0.5 * size * unit
            worst = 0.0
            for constants, precisions in terms:
                centre = begin * unit + half
                r = _largest_term(constants, means, precisions, centre)
                worst = max(worst, _cell_bound(constants, means, precisions, centre, half, r))
            if worst > tolerance and depth < DEEPEST:
                depth += 1
                continue
            left.append(np.int64(begin))
            level.append(np.int64(depth))
            begin += size
            # On to the largest cell that begins here and has not been halved yet.
            while depth > 0 and begin % (1 << (DEEPEST - depth + 1)) == 0:
                depth -= 1
    return np.array(left), np.array(level)


@njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def _add_segment(
    x: Floats, counts: Floats, scale: float, shift: float, moments: Floats, rows: Floats
) -> None:
    """Add the Chebyshev moments of x (n,), u = scale x - shift; rows (3, n or more) is scratch."""
    u, before, now = rows[0], rows[1], rows[2]
    first = second = 0.0
    for i in range(x.size):
        u[i] = scale * x[i] - shift
        before[i], now[i] = 1.0, u[i]
        first += counts[i]
        second += counts[i] * u[i]
    moments[0] += first
    moments[1] += second
    # Two degrees at a time, so that the rows change places without a copy.
    for p in range(2, DEGREE, 2):
        even = odd = 0.0
        for i in range(x.size):
            before[i] = 2.0 * u[i] * now[i] - before[i]
            now[i] = 2.0 * u[i] * before[i] - now[i]
            even += counts[i] * before[i]
            odd += counts[i] * now[i]
        moments[p] += even
        moments[p + 1] += odd


@njit(cache=True, error_model="numpy")
def _add(
    x: Floats,
    counts: Floats,
    scale: float,
    left: Integers,
    level: Integers,
    totals: Floats,
    moments: Floats,
    lowest: Floats,
    highest: Floats,
) -> None:
    """Add observations to cells, block by block: sorted by cell, then summed cell by cell."""
    m = left.size
    if m == 0:
        return
    finest = DEEPEST - level.max()
    first = left[0] >> finest
    reach = ((left[m - 1] >> finest) - first) + (1 << (level.max() - level[m - 1]))
    table = np.zeros(reach if reach <= max(65_536, x.size // 8) else 0, dtype=np.int32)
    for j in range(m if table.size else 0):
        begin = (left[j] >> finest) - first
        table[begin : begin + (1 << (level.max() - level[j]))] = j
    slots = np.empty(BLOCK, dtype=np.int32)
    xs, cs, rows = np.empty(BLOCK), np.empty(BLOCK), np.empty((3, 256))
    for start in range(0, x.size, BLOCK):
        size = min(BLOCK, x.size - start)
        ends = np.zeros(m + 1, dtype=np.int64)
        for i in range(size):
            place = np.int64(math.floor(x[start + i] * scale))
            j = table[(place >> finest) - first] if table.size else _last_at_most(left, place)
            slots[i] = j
            ends[j + 1] += 1
        for j in range(m):
            ends[j + 1] += ends[j]
        fill = ends[:m].copy()
        for i in range(size):
            at = fill[slots[i]]
            fill[slots[i]] += 1
            xs[at], cs[at] = x[start + i], counts[start + i]
        for j in range(m):
            # u = 2 (x - left end) / size - 1 in the cell.
            unit = 2.0 / math.ldexp(1.0, DEEPEST - level[j])
            for i in range(ends[j], ends[j + 1]):
                totals[j] += cs[i]
                lowest[j], highest[j] = min(lowest[j], xs[i]), max(highest[j], xs[i])
            for begin in range(ends[j], ends[j + 1], 256):
                part = slice(begin, min(begin + 256, ends[j + 1]))
                _add_segment(
                    xs[part], cs[part], scale * unit, left[j] * unit + 1.0, moments[j], rows
                )


@njit(cache=True, error_model="numpy")
def _last_at_most(left: Integers, place: np.int64) -> int:
    """The last of the ascending left ends that is not beyond the place."""
    low, high = 0, left.size
    while high - low > 1:
        middle = (low + high) >> 1
        if left[middle] <= place:
            low = middle
        else:
            high = middle
    return low


def _occupied(x: Floats, width: float, low: float, high: float) -> Integers:
    """The whole cells that hold observations, ascending."""
    if x.size == 0:
        return np.zeros(0, dtype=np.int64)
    first, last = math.floor(low / width), math.floor(high / width)
    if last - first > 4 * x.size + 1000:
        return np.unique(np.floor(x / width)).astype(np.int64)
    seen = np.zeros(last - first + 1, dtype=np.bool_)
    _mark(x, 1.0 / width, first, seen)
    return np.flatnonzero(seen) + first


@njit(cache=True, error_model="numpy")
def _mark(x: Floats, scale: float, first: int, seen: NDArray[np.bool_]) -> None:
    for i in range(x.size):
        seen[np.int64(math.floor(x[i] * scale)) - first] = True


def _empty(m: int) -> tuple[Floats, Floats, Floats, Floats]:
    return np.zeros(m), np.zeros((m, DEGREE)), np.full(m, np.inf), np.full(m, -np.inf)
