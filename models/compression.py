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
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.polynomial.chebyshev import chebvander
from numpy.typing import ArrayLike, NDArray

from models import kernels
from models.frame import PLAIN, Frame
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
    frame: of the samples, in which width and pilot are.
    """

    width: float
    pilot: Mixture
    tolerance: float
    frame: Frame = PLAIN

    @classmethod
    def fit_for(cls, pilot: Mixture, tolerance: float, frame: Frame = PLAIN) -> Cells:
        """Cells that start from four to eight times the largest sd of the pilot."""
        width = 2.0 ** (math.floor(math.log2(pilot.sds.max())) + 3)
        return cls(width, pilot, tolerance, frame)

    @property
    def fine(self) -> Cells:
        """Cells for a stream of which the pilot knows but the beginning, to be `regrouped`.

        So narrow that they serve components that come later too, with sds down to a hundredth of
        the pilot's largest; a tie is kept whatever its cell.
        """
        return replace(self, width=2.0**-10 * self.width)

    def reach(self, low: float, high: float) -> bool:
        """Whether the cells are wider than the rounding of all numbers from low to high."""
        return max(-low, high) * (2.0**DEEPEST / self.width) <= 2.0**52

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
        values = kernels.fixed(np.asarray(x, dtype=float))
        weights = np.ones(values.size) if counts is None else np.asarray(counts, dtype=float)
        weights = kernels.fixed(weights)
        scale = 2.0**DEEPEST / cells.width
        low, high = (values.min(), values.max()) if values.size else (0.0, 0.0)
        if not cells.reach(low, high):
            far = max(low, high, key=abs)
            raise ValueError(
                f"x: reaches {cells.frame.outside(np.array(far)):g}, too far for cells of width "
                f"{cells.frame.widths(np.array(cells.width)):g}; is it a code for a missing value?"
            )
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

    def regrouped(self, cells: Cells) -> Compressed:
        """The sample in other cells, at least as wide; where their parts are narrower, these stay.

        Nodes stand for a sample in sums of any polynomial, and so of the moments over a cell that
        holds theirs: nothing is lost but to rounding.
        """
        old = self.cells.width / 2.0**DEEPEST
        begin, size = self.left * old, np.ldexp(old, DEEPEST - self.level)
        whole = np.unique(np.floor(begin / cells.width)).astype(np.int64)
        unit = cells.width / 2.0**DEEPEST
        left, level = cells.parts(whole)
        starts, sizes = left * unit, np.ldexp(unit, DEEPEST - level)
        around = np.searchsorted(starts, begin, side="right") - 1
        held = sizes[around] >= size
        begin, size = np.where(held, starts[around], begin), np.where(held, sizes[around], size)
        keys, into = np.unique(
            _key(np.rint(begin / unit), DEEPEST - np.rint(np.log2(size / unit))),
            return_inverse=True,
        )
        left, level = _of_key(keys)
        found = Compressed(cells, left, level, *_empty(left.size))
        totals, moments, lowest, highest = found._sums
        np.add.at(totals, into, self.totals)
        np.minimum.at(lowest, into, self.lowest)
        np.maximum.at(highest, into, self.highest)
        tied, spread = (np.flatnonzero(t) for t in (self._tied, ~self._tied))
        owners = into[np.concatenate([tied, np.repeat(spread, DEGREE)])]
        x, weights = self.nodes
        begin, size = (left * unit)[owners], np.ldexp(unit, DEEPEST - level)[owners]
        u = np.clip(2.0 * (x - begin) / size - 1.0, -1.0, 1.0)
        np.add.at(moments, owners, weights[:, None] * chebvander(u, DEGREE - 1))
        return found

    def grown(self, x: Floats, most: int) -> Compressed:
        """With x (n,) as well, in cells so wide that there are at most so many of them.

        But where the pilot asks for narrower ones.
        """
        found = self
        ends = (x.min(), x.max()) if x.size else (0.0, 0.0)
        while found.cells.reach(*ends) and _occupied(x, found.cells.width, *ends).size > most:
            found = found._wider
        found = found.merged(Compressed.of(x, cells=found.cells))
        while found.left.size > most:
            fewer = found._wider
            if fewer.left.size > 0.9 * found.left.size:
                break
            found = fewer
        return found

    @property
    def _wider(self) -> Compressed:
        return self.regrouped(replace(self.cells, width=2.0 * self.cells.width))

    def certified_in(self, cells: Cells, tolerance: float) -> Compressed:
        """Regrouped in these cells, or in the first half as wide that are certified at the pilot.

        tolerance: nats an observation, half of which the pilot may use up.
        """
        width = self.cells.width
        while True:
            cells = replace(cells, width=max(cells.width, width))
            found = self.regrouped(cells)
            good = found.error_bound(cells.pilot) <= 0.5 * tolerance * self.n
            if good or cells.width <= width:
                return found
            cells = replace(cells, width=0.5 * cells.width)

    @property
    def _tied(self) -> NDArray[np.bool_]:
        tied: NDArray[np.bool_] = self.lowest == self.highest
        return tied

    def merged(self, other: Compressed) -> Compressed:
        """Both samples together; ValueError if their cells are not the same."""
        mine, theirs = self.cells, other.cells
        same = (mine.width, mine.tolerance, mine.frame) == (
            theirs.width,
            theirs.tolerance,
            theirs.frame,
        )
        if not same or mine.pilot != theirs.pilot:
            raise ValueError("other: has other cells; compress both samples with the same Cells")
        both = [_key(part.left, part.level) for part in (self, other)]
        keys = np.union1d(*both)
        left, level = _of_key(keys)
        sums = _empty(left.size)
        for part, own in zip((self, other), both, strict=True):
            at = np.searchsorted(keys, own)
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
        spread = ~self._tied
        size = np.ldexp(1.0, DEEPEST - self.level[spread])
        unit = self.cells.width / 2.0**DEEPEST
        centre, half = (self.left[spread] + 0.5 * size) * unit, 0.5 * size * unit
        return kernels.fixed(np.stack([centre, half, self.totals[spread]], axis=1))

    @cached_property
    def nodes(self) -> tuple[Floats, Floats]:
        """Positions and weights, each (number of nodes,)."""
        tied = self._tied
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
            kernels.error_bound(
                mixture.weights, mixture.means, mixture.sds, kernels.fixed(self.geometry)
            )
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


def _key(left: NDArray[Any], level: NDArray[Any]) -> Integers:
    """(m,): one number for a cell, ascending from left to right."""
    key: Integers = (left.astype(np.int64) << 4) | level.astype(np.int64)
    return key


def _of_key(key: Integers) -> tuple[Integers, Integers]:
    return key >> 4, key & 15
