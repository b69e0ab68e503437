"""What a method is given: exact, streamed or compressed, three siblings of one base, `Sample`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import ArrayLike

from models import kernels, likelihood
from models.compression import Cells, Compressed
from models.likelihood import Moments, SecondMoments
from models.mixture import Floats, Mixture
from models.model import MixtureModel
from models.solution import Collapse

# A component whose sd falls below this share of the data's own scale sits on one point.
COLLAPSE = 1e-6

# Of that floor, where a penalty bounds the likelihood: only what keeps squares from overflow.
UNGUARDED = 1e-40

# Nats an observation by which a compressed log-likelihood may be off: the rounding of a sum.
TOLERANCE = 2e-14


class Uncertified(ArithmeticError):
    """The nodes of a sample cannot be trusted at a mixture, and the sample is out of reach."""


class Sample(ABC):
    """What every method is given, however it is kept: `Data`, `StreamedData`, `CompressedData`.

    Whatever else one of them has, the others have no use for, and do not have.
    """

    @property
    @abstractmethod
    def n(self) -> float:
        """Total count."""

    @property
    @abstractmethod
    def mean(self) -> float:
        """Weighted mean."""

    @property
    @abstractmethod
    def sd(self) -> float:
        """Weighted standard deviation (divisor n); 1, to serve as a unit, if all are equal."""

    @property
    @abstractmethod
    def sd_floor(self) -> float:
        """COLLAPSE times the smaller of the sd and the scaled interquartile range (if > 0)."""

    @property
    @abstractmethod
    def in_memory(self) -> kernels.Sample | None:
        """What compiled code goes over; None where only Python can read the sample."""

    @property
    @abstractmethod
    def terms(self) -> int:
        """How many terms a pass sums, on which the rounding of its sums depends."""

    @property
    def final(self) -> Sample:
        """What the numbers of a result come from."""
        return self

    @abstractmethod
    def moments(self, mixture: Mixture) -> Moments:
        """`likelihood.moments` at the mixture."""

    @abstractmethod
    def second_moments(self, mixture: Mixture) -> SecondMoments:
        """`likelihood.second_moments` at the mixture."""

    @abstractmethod
    def thinned(self, size: int, rng: np.random.Generator) -> Data:
        """About as many observations as `size` that look like the sample, if it has more."""

    def collapsed(self, mixture: Mixture, model: MixtureModel, times: float = 1.0) -> bool:
        """Whether an sd that the model estimates is not above the floor, or `times` the floor."""
        if model.sds is not None:
            return False
        floor = times * self.sd_floor
        return not all(sd > floor for sd in mixture.sds.tolist())

    def check(self, mixture: Mixture, model: MixtureModel, times: float = 1.0) -> Mixture:
        """The mixture, or Collapse if it has collapsed."""
        if self.collapsed(mixture, model, times):
            raise Collapse(mixture, self.sd_floor)
        return mixture


@dataclass(frozen=True, eq=False)
class Data(Sample):
    """Observations in memory: x (n,), finite, with counts (n,) > 0, both contiguous float64."""

    x: Floats
    counts: Floats

    def __post_init__(self) -> None:
        for name in ("x", "counts"):
            object.__setattr__(self, name, kernels.fixed(getattr(self, name)))

    @property
    def in_memory(self) -> kernels.Sample | None:
        """What compiled code goes over; None where only Python can read the sample."""
        # Never kept: an address in it is of this process, and data may be sent to others.
        return likelihood.plain_sample(self.x, self.counts)

    @property
    def terms(self) -> int:
        """Rows."""
        return self.x.size

    @cached_property
    def n(self) -> float:
        """Total count."""
        return float(self.counts.sum())

    @cached_property
    def mean(self) -> float:
        """Weighted mean."""
        return float(self.counts @ self.x / self.n)

    @cached_property
    def sd(self) -> float:
        """As of `Sample`."""
        return float(np.sqrt(self.counts @ (self.x - self.mean) ** 2 / self.n)) or 1.0

    @cached_property
    def sd_floor(self) -> float:
        """As of `Sample`."""
        return _floor(self.sd, self.quartiles)

    @cached_property
    def quartiles(self) -> tuple[float, float]:
        """The quantiles of the levels 1/4 and 3/4."""
        if np.any(self.counts != self.counts[0]):
            low, high = self.quantiles([0.25, 0.75])
        else:  # without sorting, which costs as much as fifty passes
            ends = [max(int(np.ceil(p * self.x.size)) - 1, 0) for p in (0.25, 0.75)]
            low, high = np.partition(self.x, ends)[ends]
        return float(low), float(high)

    @cached_property
    def ascending(self) -> tuple[Floats, Floats]:
        """x in ascending order, and the counts that go with it."""
        order = np.argsort(self.x, kind="stable")
        return self.x[order], self.counts[order]

    @cached_property
    def _shares(self) -> Floats:
        return np.cumsum(self.ascending[1]) / self.n

    def quantiles(self, levels: ArrayLike) -> Floats:
        """Weighted quantiles: the smallest x whose cumulative share of the counts reaches each."""
        index = np.searchsorted(self._shares, np.asarray(levels) * (1 - 1e-12))
        return self.ascending[0][np.minimum(index, self.x.size - 1)]

    def moments(self, mixture: Mixture) -> Moments:
        """`likelihood.moments` at the mixture."""
        return likelihood.moments(mixture, self.x, self.counts)

    def second_moments(self, mixture: Mixture) -> SecondMoments:
        """`likelihood.second_moments` at the mixture."""
        return likelihood.second_moments(mixture, self.x, self.counts)

    def thinned(self, size: int, rng: np.random.Generator) -> Data:
        """The data, or if they are more than `size` rows a random `size` of them.

        Rows are drawn in proportion to their counts, with replacement: a rule such as every
        tenth row would miss what comes with a period.
        """
        if self.x.size <= size:
            return self
        if np.all(self.counts == self.counts[0]):
            rows = rng.integers(self.x.size, size=size)
        else:
            total = np.cumsum(self.counts)
            rows = np.searchsorted(total, total[-1] * rng.random(size), side="right")
        return Data(self.x[rows], np.ones(size))


@dataclass(frozen=True, eq=False)
class StreamedData(Sample):
    """A sample that is not in memory, and what its cells keep of it.

    Passes go over `sources`, iterables of arrays that can be gone through again and again, or None
    if the sample cannot be read a second time.
    """

    compressed: Compressed
    sources: tuple[Iterable[ArrayLike], ...] | None

    @property
    def in_memory(self) -> None:
        """None: chunks are read by Python."""
        return None

    @cached_property
    def rows(self) -> Data:
        """One row a cell, its mean and its count: good for quantiles and starts."""
        return Data(self.compressed.cell_means, self.compressed.totals)

    @property
    def terms(self) -> int:
        """Observations."""
        return int(self.n)

    @property
    def n(self) -> float:
        """Total count."""
        return self.rows.n

    @property
    def mean(self) -> float:
        """Weighted mean."""
        return self.rows.mean

    @cached_property
    def sd(self) -> float:
        """As of `Sample`; of the sample and not of its cells."""
        x, counts = self.compressed.nodes
        variance = float(counts @ (x - self.mean) ** 2) / self.n
        return float(np.sqrt(max(variance, 0.0))) or 1.0

    @cached_property
    def sd_floor(self) -> float:
        """As of `Sample`; the interquartile range is that of the rows."""
        return _floor(self.sd, self.rows.quartiles)

    def thinned(self, size: int, rng: np.random.Generator) -> Data:
        """The rows, which are few."""
        return self.rows

    def moments(self, mixture: Mixture) -> Moments:
        """`likelihood.moments` of all chunks; Uncertified if they cannot be read again."""
        loglik, t = 0.0, np.zeros((mixture.k, 3))
        for part in self._parts(mixture):
            found = part.moments(mixture)
            loglik, t = loglik + found.loglik, t + found.t
        return Moments(loglik, t)

    def second_moments(self, mixture: Mixture) -> SecondMoments:
        """`likelihood.second_moments` of all chunks; Uncertified if they cannot be read again."""
        loglik, t, cross = 0.0, np.zeros((mixture.k, 5)), np.zeros((3 * mixture.k, 3 * mixture.k))
        for part in self._parts(mixture):
            found = part.second_moments(mixture)
            loglik, t, cross = loglik + found.loglik, t + found.t, cross + found.cross
        return SecondMoments(loglik, t, cross)

    def _parts(self, mixture: Mixture) -> Iterable[Data]:
        if self.sources is None:
            raise Uncertified(
                f"sds {mixture.sds}, means {mixture.means}: too far from what the sample was "
                "compressed for, and it cannot be read again; compress it with cells for a pilot "
                "nearer to these, or from chunks that can be gone through twice, such as a list"
            )
        for chunk in chain.from_iterable(self.sources):
            x = np.ascontiguousarray(chunk, dtype=float)
            yield Data(x, np.ones(x.size))


@dataclass(frozen=True, eq=False)
class CompressedData(Sample):
    """The sample `exact` through the nodes of `compressed`, wherever that is certified.

    Where the error bound at a mixture is above `tolerance` nats the pass goes over `exact`;
    `exact_passes` (1,) counts how often it did.
    """

    exact: Data | StreamedData
    compressed: Compressed
    tolerance: float
    exact_passes: Floats = field(default_factory=lambda: np.zeros(1))

    @classmethod
    def of(cls, exact: Data, pilot: Mixture) -> CompressedData:
        """The sample in cells that are fit for mixtures near the pilot."""
        compressed = Compressed.of(exact.x, exact.counts, cells=cells_for(pilot))
        return cls(exact, compressed, TOLERANCE * exact.n)

    @classmethod
    def streamed(
        cls, compressed: Compressed, sources: tuple[Iterable[ArrayLike], ...] | None
    ) -> CompressedData:
        """A sample that was streamed into cells; `sources` as in StreamedData."""
        exact = StreamedData(compressed, sources)
        return cls(exact, compressed, TOLERANCE * exact.n)

    def merged(self, other: CompressedData) -> CompressedData:
        """Both samples together; ValueError if their cells differ or one was not streamed."""
        mine, theirs = self._sources("this sample"), other._sources("other")
        sources = None if mine is None or theirs is None else (*mine, *theirs)
        return CompressedData.streamed(self.compressed.merged(other.compressed), sources)

    def _sources(self, name: str) -> tuple[Iterable[ArrayLike], ...] | None:
        if isinstance(self.exact, Data):
            raise ValueError(f"{name}: was not streamed; make it with compress([x])")
        return self.exact.sources

    @property
    def terms(self) -> int:
        """Nodes."""
        return self.compressed.nodes[0].size

    @property
    def n(self) -> float:
        """As of `exact`."""
        return self.exact.n

    @property
    def mean(self) -> float:
        """As of `exact`."""
        return self.exact.mean

    @property
    def sd(self) -> float:
        """As of `exact`."""
        return self.exact.sd

    @property
    def sd_floor(self) -> float:
        """As of `exact`."""
        return self.exact.sd_floor

    def streamed_for(self, k: int) -> bool:
        """Whether this is a streamed sample in cells for mixtures of k components."""
        return isinstance(self.exact, StreamedData) and self.compressed.cells.pilot.k == k

    @property
    def final(self) -> Sample:
        """`exact`, if it can be read."""
        once = isinstance(self.exact, StreamedData) and self.exact.sources is None
        return self if once else self.exact

    def thinned(self, size: int, rng: np.random.Generator) -> Data:
        """`exact` thinned: nodes have negative weights, and are no sample."""
        return self.exact.thinned(size, rng)

    @property
    def in_memory(self) -> kernels.Sample | None:
        """Nodes, cells and `exact`; None where that is streamed."""
        if isinstance(self.exact, StreamedData):
            return None
        guard = self.compressed.geometry, self.exact.x, self.exact.counts
        limit = kernels.fixed(np.array([self.tolerance]))
        return kernels.Sample(*self._nodes, *guard, limit, self.exact_passes, kernels.pass_entry())

    @cached_property
    def _nodes(self) -> tuple[Floats, Floats]:
        x, counts = self.compressed.nodes
        return kernels.fixed(x), kernels.fixed(counts)

    def certified(self, mixture: Mixture) -> bool:
        """Whether the nodes may stand for the sample at the mixture; counts where not."""
        w, means, sds = mixture.weights, mixture.means, mixture.sds
        cells, limit = self.compressed.geometry, np.array([self.tolerance])
        return kernels.certified(w, means, sds, cells, kernels.fixed(limit), self.exact_passes)

    def moments(self, mixture: Mixture) -> Moments:
        """`likelihood.moments` at the mixture, within `tolerance`."""
        whole = self.in_memory
        if whole is not None:
            return likelihood.guarded_moments(mixture, whole)
        if self.certified(mixture):
            return likelihood.moments(mixture, *self._nodes)
        return self.exact.moments(mixture)

    def second_moments(self, mixture: Mixture) -> SecondMoments:
        """`likelihood.second_moments` at the mixture, within `tolerance`."""
        whole = self.in_memory
        if whole is not None:
            return likelihood.guarded_second_moments(mixture, whole)
        if self.certified(mixture):
            return likelihood.second_moments(mixture, *self._nodes)
        return self.exact.second_moments(mixture)


def _floor(sd: float, quartiles: tuple[float, float]) -> float:
    low, high = quartiles
    spread = (high - low) / 1.349
    return COLLAPSE * (min(sd, spread) if spread > 0 else sd)


def cells_for(pilot: Mixture) -> Cells:
    """Cells whose error at mixtures near the pilot is a tenth of what TOLERANCE allows."""
    return Cells.fit_for(pilot, 0.1 * TOLERANCE)


def unit_free(data: Sample, model: MixtureModel) -> tuple[Floats, Floats]:
    """(shift, scale), each (n_free,): eta = shift + scale * theta makes theta free of units."""
    k, s = model.k, model.selection
    shift = np.concatenate([np.zeros(k - 1), np.full(k, data.mean), np.full(k, np.log(data.sd))])
    scale = np.concatenate([np.ones(k - 1), np.full(k, data.sd), np.ones(k)])
    return (s.T @ shift) / s.sum(axis=0), (s.T @ scale) / s.sum(axis=0)


def as_sample(
    x: ArrayLike | CompressedData, counts: ArrayLike | None, model: MixtureModel
) -> Data | CompressedData:
    """`as_data`, or x that is compressed already, whose counts are part of it."""
    if not isinstance(x, CompressedData):
        return as_data(x, counts, model)
    if counts is not None:
        raise ValueError("x: is compressed, and counts are part of it; leave them out")
    _check_size(x.compressed.lowest, x.compressed.highest, x.n, model)
    return x


def as_data(x: ArrayLike, counts: ArrayLike | None, model: MixtureModel) -> Data:
    """x and counts checked against what the model needs; ValueError names what is wrong."""
    values = finite_vector("x", x)
    weights = np.ones(values.size) if counts is None else finite_vector("counts", counts)
    if weights.size != values.size:
        raise ValueError(f"counts: has {weights.size} values, x has {values.size}; give one each")
    if np.any(weights < 0):
        raise ValueError(f"counts: {weights.min():g} is negative; counts must be at least 0")
    if counts is not None and np.any(weights == 0):
        values, weights = values[weights > 0], weights[weights > 0]
    _check_size(values, values, weights.sum(), model)
    return Data(np.ascontiguousarray(values), np.ascontiguousarray(weights))


def _check_size(lowest: Floats, highest: Floats, total: float, model: MixtureModel) -> None:
    if lowest.size == 0:
        raise ValueError("x: has no observations")
    if total < model.k:
        raise ValueError(f"x: {total:g} observations; {model.k} components need at least {model.k}")
    if model.sds is None and lowest.min() == highest.max():
        raise ValueError(
            f"x: all observations are {lowest[0]:g}; standard deviations need at least two values"
        )


def finite_vector(name: str, value: ArrayLike) -> Floats:
    """The value as an array (n,) of finite numbers; ValueError, with its name, if it is none."""
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: is not a list of numbers") from None
    if array.ndim != 1:
        raise ValueError(f"{name}: has shape {array.shape}; give one dimension")
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise ValueError(
            f"{name}: {bad.size} of {array.size} values are not finite, the first is "
            f"{array[bad[0]]} at position {bad[0]}; remove or replace them"
        )
    return array
