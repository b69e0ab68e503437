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
from numpy.typing import ArrayLike, NDArray

from models import kernels
from models.kernels import DEEPEST, DEGREE, Floats, Integers
from models.mixture import Mixture


@dataclass(frozen=True, eq=False)
class Cells:
    """Which cells a sample is cut into.

    width: of a whole cell, in data units, a power of two; halved where the pilot asks.
    pilot: a mixture near those that the nodes are to serve.
    tolerance: nats. A cell is halved until the error bound of an observation in it is at most
        that, for the pilot, with all its sds `kernels.MARGIN` times as large and as small, and
        with one of them so and the others the other way.
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
        return kernels.parts(whole, self.width, p.weights, p.means, p.sds, self.tolerance)


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
        kernels.add_to_cells(values, weights, scale, left, level, *found._sums)
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
        centre, half = (self.left[spread] + 0.5 * size) * unit, 0.5 * size * unit
        return kernels.fixed(np.stack([centre, half, self.totals[spread]], axis=1))

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
        return float(
            kernels.error_bound(mixture.weights, mixture.means, mixture.sds, self.geometry)
        )


def _occupied(x: Floats, width: float, low: float, high: float) -> Integers:
    """The whole cells that hold observations, ascending."""
    if x.size == 0:
        return np.zeros(0, dtype=np.int64)
    first, last = math.floor(low / width), math.floor(high / width)
    if last - first > 4 * x.size + 1000:
        return np.unique(np.floor(x / width)).astype(np.int64)
    seen = np.zeros(last - first + 1, dtype=np.bool_)
    kernels.mark(x, 1.0 / width, first, seen)
    return np.flatnonzero(seen) + first


def _empty(m: int) -> tuple[Floats, Floats, Floats, Floats]:
    return np.zeros(m), np.zeros((m, DEGREE)), np.full(m, np.inf), np.full(m, -np.inf)
