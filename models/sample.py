"""What a method is given: exact, streamed or compressed, three siblings of one base, `Sample`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import ArrayLike

from models import checks, kernels, likelihood
from models.compression import Cells, Compressed
from models.frame import PLAIN, Frame
from models.likelihood import Moments, SecondMoments
from models.mixture import Floats, Mixture
from models.model import MixtureModel
from models.solution import Collapse

# A component whose sd falls below this share of the data's own scale sits on one point: real ones
# may be a millionth as wide as others.
COLLAPSE = 1e-9

# Of that floor, where a penalty bounds the likelihood: only what keeps squares from overflow.
UNGUARDED = 1e-40

# Widths between observations that can be squared, and squared again, in units of an sd that is at
# the floor.
REACH = 1e60

# An sd is made by outliers alone where it is so many widths of the sample's middle.
OUTLYING = 1e6

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
        if not model.n_free_sds:
            return False
        floor = times * self.sd_floor
        sds = mixture.sds if model.sds is None else mixture.sds[model.free[2]]
        return not all(sd > floor for sd in sds.tolist())

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
    def ends(self) -> tuple[float, float]:
        """The least and the greatest observation."""
        return float(self.x.min()), float(self.x.max())

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
            there = self.compressed.cells.frame.mixture_outside(mixture)
            raise Uncertified(
                f"sds {there.sds}, means {there.means}: too far from what the sample was "
                "compressed for, and it cannot be read again; compress it with cells for a pilot "
                "nearer to these, or from chunks that can be gone through twice, such as a list"
            )
        for chunk in chain.from_iterable(self.sources):
            x = self.compressed.cells.frame.inside(checks.vector("chunks", chunk))
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
        exact = self.exact
        if isinstance(exact, StreamedData):
            return None
        limit = kernels.fixed(np.array([self.tolerance]))
        return kernels.Sample(
            *self._nodes,
            kernels.fixed(self.compressed.geometry),
            kernels.fixed(exact.x),
            kernels.fixed(exact.counts),
            limit,
            self.exact_passes,
            kernels.pass_entry(),
        )

    @property
    def _nodes(self) -> tuple[Floats, Floats]:
        x, counts = self.compressed.nodes
        return kernels.fixed(x), kernels.fixed(counts)

    def certified(self, mixture: Mixture) -> bool:
        """Whether the nodes may stand for the sample at the mixture; counts where not."""
        w, means, sds = mixture.weights, mixture.means, mixture.sds
        cells, limit = kernels.fixed(self.compressed.geometry), np.array([self.tolerance])
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


def cells_for(pilot: Mixture, frame: Frame = PLAIN) -> Cells:
    """Cells whose error at mixtures near the pilot is a tenth of what TOLERANCE allows."""
    return Cells.fit_for(pilot, 0.1 * TOLERANCE, frame)


def unit_free(data: Sample, model: MixtureModel) -> tuple[Floats, Floats]:
    """(shift, scale), each (n_free,): eta = shift + scale * theta makes theta free of units."""
    k, s = model.k, model.selection
    centre, sd = data.mean, data.sd
    if sd > OUTLYING * data.sd_floor / COLLAPSE:  # next to which the others have no digits
        centre, sd = 0.0, data.sd_floor / COLLAPSE
    shift = np.concatenate([np.zeros(k - 1), np.full(k, centre), np.full(k, np.log(sd))])
    scale = np.concatenate([np.ones(k - 1), np.full(k, sd), np.ones(k)])
    return (s.T @ shift) / s.sum(axis=0), (s.T @ scale) / s.sum(axis=0)


def framed(
    data: Sample, model: MixtureModel, mixture: Mixture
) -> tuple[Frame, Sample, MixtureModel, Mixture]:
    """A frame, and all three in it: `PLAIN` where there is nothing to gain."""
    frame = PLAIN
    if isinstance(data, CompressedData | StreamedData):
        frame = data.compressed.cells.frame
    elif isinstance(data, Data):
        frame = Frame.of(*data.ends)
        data = data if frame.plain else Data(frame.inside(data.x), data.counts)
    return frame, data, frame.model_inside(model), frame.mixture_inside(mixture)


def as_sample(
    x: ArrayLike | CompressedData,
    counts: ArrayLike | None,
    model: MixtureModel,
    survey_weights: ArrayLike | None = None,
) -> Data | CompressedData:
    """`as_data` of what can be fitted, or x that is compressed, whose counts are part of it."""
    if not isinstance(x, CompressedData):
        data = as_data(x, counts, model, survey_weights)
        _check_reach(data, model)
        return data
    if counts is not None or survey_weights is not None:
        raise ValueError("x: is compressed, and counts are part of it; leave them out")
    outside = x.compressed.cells.frame.outside
    _check_size(outside(x.compressed.lowest), outside(x.compressed.highest), x.n, model)
    return x


def as_data(
    x: ArrayLike,
    counts: ArrayLike | None,
    model: MixtureModel,
    survey_weights: ArrayLike | None = None,
) -> Data:
    """x and counts checked against what the model needs; ValueError names what is wrong.

    survey_weights: in the place of counts, scaled to sum to the number of observations.
    """
    values = checks.vector("x", x)
    if survey_weights is not None:
        if counts is not None:
            raise ValueError("survey_weights: are in the place of counts; give one or the other")
        values, weights = _weighted("survey_weights", survey_weights, values)
        weights = weights / weights.max(initial=1e-300)  # whose sum cannot overflow
        weights *= weights.size / weights.sum()
    elif counts is not None:
        values, weights = _weighted("counts", counts, values)
        if 0 < weights.sum() < model.k:
            raise ValueError(
                f"counts: sum to {weights.sum():g}, fewer observations than {model.k} components; "
                "they are frequencies, how often each x was seen; for others give survey_weights"
            )
    else:
        weights = np.ones(values.size)
    _check_size(values, values, weights.sum(), model)
    return Data(np.ascontiguousarray(values), np.ascontiguousarray(weights))


def _weighted(name: str, given: ArrayLike, values: Floats) -> tuple[Floats, Floats]:
    """The values that weigh something, and their weights."""
    weights = checks.vector(name, given)
    if weights.size != values.size:
        raise ValueError(f"{name}: has {weights.size} values, x has {values.size}; give one each")
    if np.any(weights < 0):
        raise ValueError(f"{name}: {weights.min():g} is negative; {name} must be at least 0")
    kept = weights > 0
    return (values, weights) if kept.all() else (values[kept], weights[kept])


def _check_size(lowest: Floats, highest: Floats, total: float, model: MixtureModel) -> None:
    if lowest.size == 0:
        raise ValueError("x: has no observations")
    if total < model.k:
        raise ValueError(f"x: {total:g} observations; {model.k} components need at least {model.k}")
    if model.n_free_sds and lowest.min() == highest.max():
        raise ValueError(
            f"x: all observations are {lowest[0]:g}; standard deviations need at least two values"
        )


def _check_reach(data: Data, model: MixtureModel) -> None:
    """ValueError where squares of distances in units of the sds would overflow."""
    low, high = data.ends
    if model.means is not None:
        low, high = min(low, np.nanmin(model.means)), max(high, np.nanmax(model.means))
    width = np.inf if model.sds is None else float(np.nanmin(model.sds))
    if model.n_free_sds:
        first, third = data.quartiles
        width = min(width, 0.5 * third - 0.5 * first or 0.5 * high - 0.5 * low)
    with np.errstate(over="ignore"):
        reach = (0.5 * high - 0.5 * low) / width
    if not reach <= REACH:
        raise ValueError(
            f"x: reaches from {low:g} to {high:g}, {reach:.0e} times the width of its middle; "
            "squares overflow there. Are there codes for missing values? Leave them out"
        )
