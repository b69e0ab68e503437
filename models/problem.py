"""What every method is given (Data) and what it gives back (Solution)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from models import likelihood
from models.compression import Cells, Compressed
from models.likelihood import Moments, SecondMoments
from models.mixture import Floats, Mixture
from models.model import MixtureModel

# A component whose sd falls below this share of the data's own scale sits on one point.
COLLAPSE = 1e-6

# Nats an observation by which a compressed log-likelihood may be off: the rounding of a sum.
TOLERANCE = 2e-14


class Collapse(ArithmeticError):
    """A component collapsed onto a point: the likelihood is unbounded there.

    `mixture` is where it was given up, its sds raised to the floor that stopped it.
    """

    def __init__(self, mixture: Mixture, floor: float) -> None:
        j = int(np.argmin(mixture.sds))
        super().__init__(
            f"component at {mixture.means[j]:.6g} collapsed: sd {mixture.sds[j]:.3g} is below "
            f"{floor:.3g}, a millionth of the data's scale"
        )
        self.mixture = Mixture.trusted(
            mixture.weights, mixture.means, np.maximum(mixture.sds, floor)
        )


@dataclass(frozen=True, eq=False)
class Data:
    """x (n,) finite observations with counts (n,) > 0, both contiguous float64."""

    x: Floats
    counts: Floats

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
        """Weighted standard deviation (divisor n); 1, to serve as a unit, if all are equal."""
        return float(np.sqrt(self.counts @ (self.x - self.mean) ** 2 / self.n)) or 1.0

    @cached_property
    def sd_floor(self) -> float:
        """COLLAPSE times the smaller of the sd and the scaled interquartile range (if > 0)."""
        low, high = self._quartiles
        spread = (high - low) / 1.349
        return COLLAPSE * (min(self.sd, spread) if spread > 0 else self.sd)

    @cached_property
    def _quartiles(self) -> tuple[float, float]:
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

    def collapsed(self, mixture: Mixture, model: MixtureModel, times: float = 1.0) -> bool:
        """Whether an sd that the model estimates is not above the floor, or `times` the floor."""
        return model.sds is None and not mixture.sds.min() > times * self.sd_floor

    def check(self, mixture: Mixture, model: MixtureModel, times: float = 1.0) -> Mixture:
        """The mixture, or Collapse if it has collapsed."""
        if self.collapsed(mixture, model, times):
            raise Collapse(mixture, self.sd_floor)
        return mixture


@dataclass(frozen=True, eq=False)
class CompressedData(Data):
    """The sample `exact` through nodes x with weights counts, wherever that is certified.

    Where the error bound at a mixture is above `tolerance` nats the pass goes over `exact`;
    `exact_passes` counts how often it did.
    """

    exact: Data
    compressed: Compressed
    tolerance: float
    exact_passes: Floats = field(default_factory=lambda: np.zeros(1))

    @classmethod
    def of(cls, exact: Data, pilot: Mixture) -> CompressedData:
        """The sample in cells that are fit for mixtures near the pilot."""
        tolerance = TOLERANCE * exact.n
        cells = Cells.fit_for(pilot, 0.1 * TOLERANCE)
        compressed = Compressed.of(exact.x, exact.counts, cells=cells)
        return cls(*compressed.nodes, exact, compressed, tolerance)

    @property
    def n(self) -> float:
        """Total count."""
        return self.exact.n

    @property
    def mean(self) -> float:
        """Weighted mean."""
        return self.exact.mean

    @property
    def sd(self) -> float:
        """Weighted standard deviation, as of `exact`."""
        return self.exact.sd

    @property
    def sd_floor(self) -> float:
        """As of `exact`."""
        return self.exact.sd_floor

    def certified(self, mixture: Mixture) -> bool:
        """Whether the nodes may stand for the sample at the mixture; counts where not."""
        good = self.compressed.error_bound(mixture) <= self.tolerance
        self.exact_passes[0] += not good
        return good

    def moments(self, mixture: Mixture) -> Moments:
        """`likelihood.moments` at the mixture, within `tolerance`."""
        return super().moments(mixture) if self.certified(mixture) else self.exact.moments(mixture)

    def second_moments(self, mixture: Mixture) -> SecondMoments:
        """`likelihood.second_moments` at the mixture, within `tolerance`."""
        if self.certified(mixture):
            return super().second_moments(mixture)
        return self.exact.second_moments(mixture)


def unit_free(data: Data, model: MixtureModel) -> tuple[Floats, Floats]:
    """(shift, scale), each (n_free,): eta = shift + scale * theta makes theta free of units."""
    k, s = model.k, model.selection
    shift = np.concatenate([np.zeros(k - 1), np.full(k, data.mean), np.full(k, np.log(data.sd))])
    scale = np.concatenate([np.ones(k - 1), np.full(k, data.sd), np.ones(k)])
    return (s.T @ shift) / s.sum(axis=0), (s.T @ scale) / s.sum(axis=0)


@dataclass(frozen=True, eq=False)
class Solution:
    """The end of one method's run, components in the model's own order.

    converged and message: the method's own word. evaluations: how often each kind of evaluation
    was made; "moments" and "second_moments" are passes over the data. trace: if it was asked for.
    se: standard errors (3, K) where the method has its own (posterior sds), else None.
    draws: an ArviZ DataTree, for samplers. objective_score (p,) and objective_information (p, p):
    of the method's objective at the solution, in the model's unconstrained coordinates, where the
    objective is not the log-likelihood (a log posterior); None otherwise.
    compile_seconds: how much of the running time went into compilation.
    """

    mixture: Mixture
    converged: bool
    message: str
    n_iter: int
    evaluations: dict[str, int]
    trace: Trace | None = None
    se: Floats | None = None
    draws: Any = None
    objective_score: Floats | None = None
    objective_information: Floats | None = None
    compile_seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class Trace:
    """By iteration, from the start: loglik (m,) and parameters (m, 3, K) in nats and data units."""

    loglik: Floats
    parameters: Floats = field(repr=False)
