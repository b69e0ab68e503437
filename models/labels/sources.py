"""What relabelling needs of a mixture: how probable each component is for each observation.

A source tells it draw by draw. `Normals` are the draws of univariate normal mixtures, in compiled
passes; `Probabilities` come from an array, in memory or not; `Allocations` are z as a sampler drew
them; `LogJoint` is any mixture, by a function. None holds an array of draws x observations x
components beyond a block of BYTES: all go through the draws once for each question.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr

from models import Mixture, MixtureModel, checks
from models.kernels import LOG_2PI, Permutations
from models.labels import passes
from models.mixture import Floats
from models.sample import Data, as_data

type Integers = NDArray[np.intp]
type Mask = NDArray[np.bool_]

ROWS = ("weights", "means", "sds")

# Probabilities, and weights, sum to one but for the rounding of numbers of single precision.
SUM = 1e-5

# Draws by which the order of the rows of normal mixtures is checked.
TRIED = 50

# Draws are gone through in blocks of this size at most, or one at a time.
BYTES = 2**23

# Levels of the data at which the predictive density is watched.
GRID = (0.05, 0.25, 0.5, 0.75, 0.95)
# Observations whose density is watched where data have no levels.
WATCHED = 5


class Source(ABC):
    """How probable each component is for each observation, in every draw.

    shape: (chains, draws); m is their product, and draws are numbered chain by chain.
    n: observations.
    k: components.
    counts: (n,), how many observations each stands for.
    """

    shape: tuple[int, int]
    n: int
    k: int
    counts: Floats

    @property
    def m(self) -> int:
        """All draws."""
        return self.shape[0] * self.shape[1]

    @abstractmethod
    def costs(self, reference: Floats, hard: bool) -> Floats:
        """(m, R, K): minus the sum over i of counts_i t_il reference_ri, for reference (R, n).

        t: the probabilities or, if hard, one for the most probable component, else zero.
        """

    @abstractmethod
    def sums(self, permutations: Permutations, hard: bool, which: Mask | None = None) -> Floats:
        """(K, n): t of the permuted draws, permutations (m, K), summed over all or over `which`."""

    @abstractmethod
    def one(self, number: int) -> Floats:
        """(K, n): the probabilities in one of the m draws."""

    @abstractmethod
    def moments(self, x: Floats, about: Floats) -> Floats:
        """(m, 1 + 2 d, K): counts, sums and sums of squares of x - about, (n, d), by allocation."""

    @abstractmethod
    def pivot(self, number: int | None = None) -> Floats:
        """The draw that relabelling starts from, or another, its components in its own order."""

    @abstractmethod
    def start(self, pivot: ArrayLike | None) -> Floats:
        """(K, n): the probabilities of a pivot, or of `pivot`."""

    @abstractmethod
    def invariants(self) -> dict[str, Floats]:
        """By name (chains, draws): what labels cannot touch."""

    @abstractmethod
    def sizes(self) -> Floats:
        """(chains, draws, K): the components' shares of the observations, or their weights."""


class Normals(Source):
    """Draws (chains, draws, 3, K) of univariate normal mixtures, rows weights, means, sds.

    x: (n,), with counts (n,). ValueError for draws or data that will not do. The pivot is the draw
    of the highest log-likelihood, its components in the order of their means.
    """

    def __init__(self, draws: ArrayLike, x: ArrayLike, counts: ArrayLike | None = None) -> None:
        self.draws = check_draws(draws)
        # A model of one component, because any number of observations can be relabelled by.
        self.data: Data = as_data(x, counts, MixtureModel(1, sds=1.0))
        self.x, self.counts = self.data.x, self.data.counts
        self.shape = self.draws.shape[0], self.draws.shape[1]
        self.n, self.k = self.x.size, self.draws.shape[-1]
        self.flat = np.ascontiguousarray(self.draws.reshape(-1, *self.draws.shape[2:]))
        check_order(self.flat, self.data)

    def costs(self, reference: Floats, hard: bool) -> Floats:
        """See `Source`; for K rows."""
        return passes.costs(self.flat, self.x, self.counts, reference, hard)

    def sums(self, permutations: Permutations, hard: bool, which: Mask | None = None) -> Floats:
        """See `Source`."""
        chosen = slice(None) if which is None else which
        return passes.sums(self.flat[chosen], self.x, permutations[chosen], hard)

    def one(self, number: int) -> Floats:
        """See `Source`."""
        as_sampled = np.arange(self.k)[None]
        return passes.sums(self.flat[number : number + 1], self.x, as_sampled, False)

    def moments(self, x: Floats, about: Floats) -> Floats:
        """See `Source`; x is the source's own."""
        shifted: Floats = self.flat - np.array([0.0, about[0], 0.0])[:, None]
        return passes.cluster_moments(
            shifted, np.ascontiguousarray(x[:, 0] - about[0]), self.counts
        )

    def pivot(self, number: int | None = None) -> Floats:
        """(3, K)."""
        best = self.flat[np.argmax(self._loglik_and_entropy[0]) if number is None else number]
        return Mixture.of_rows(best.copy()).by_mean().as_rows()

    def start(self, pivot: ArrayLike | None) -> Floats:
        """(K, n), of a pivot (3, K), else of allocations (n,) or probabilities (n, K)."""
        given = self.pivot() if pivot is None else np.asarray(pivot)
        if given.ndim == 1 or given.shape == (self.n, self.k) != self.draws.shape[2:]:
            return _pivot_shares(given, self.n, self.k)
        return Mixture.of_rows(self.rows(given).copy()).responsibilities(self.x).T

    def rows(self, pivot: ArrayLike) -> Floats:
        """(3, K): the pivot; ValueError if it is none."""
        given = checks.array("pivot", pivot)
        if given.shape != self.draws.shape[2:]:
            raise ValueError(f"pivot: has shape {given.shape}; a draw has {self.draws.shape[2:]}")
        return given

    def invariants(self) -> dict[str, Floats]:
        """See `switching.invariants`."""
        loglik, entropy = self._loglik_and_entropy
        weights, means, sds = np.moveaxis(self.draws, 2, 0)
        mean = (weights * means).sum(axis=-1)
        found = {
            "loglik": loglik.reshape(self.shape),
            "entropy": entropy.reshape(self.shape),
            "mean": mean,
            "variance": (weights * (sds**2 + (means - mean[..., None]) ** 2)).sum(axis=-1),
        }
        for level, point in zip(GRID, self.data.quantiles(GRID), strict=True):
            z = (point - means) / sds
            density = (weights / sds * np.exp(-0.5 * (z * z + LOG_2PI))).sum(axis=-1)
            found[f"density at the {level:.0%} point"] = density
        return found

    def sizes(self) -> Floats:
        """The weights."""
        return self.draws[:, :, 0]

    @cached_property
    def _loglik_and_entropy(self) -> tuple[Floats, Floats]:
        return passes.loglik_and_entropy(self.flat, self.x, self.counts)


class Streamed(Source):
    """A source that is gone through in blocks of draws.

    The pivot is the draw of the highest log-likelihood or, where that is not known, a typical one,
    whose sizes have the median entropy; its components are in the order of their sizes, the largest
    first.
    """

    def __init__(
        self, shape: tuple[int, int], n: int, k: int, counts: ArrayLike | None = None
    ) -> None:
        self.shape, self.n, self.k = shape, n, k
        self.counts = np.ones(n) if counts is None else checks.array("counts", counts)
        if self.counts.shape != (n,) or not np.all(self.counts >= 0):
            raise ValueError(
                f"counts: have shape {self.counts.shape}; give {n} numbers of at least 0"
            )

    @abstractmethod
    def read(self, chain: int, draws: slice) -> tuple[Floats, Floats | None]:
        """t (b, K, n) of these draws, and, where it is known, the log density (b, n)."""

    def blocks(self, which: Mask | None = None) -> Iterator[tuple[Integers, Floats]]:
        """The numbers (b,) of draws, of all or of `which`, and their t (b, K, n)."""
        for chain, draws in self._ranges():
            numbers = np.arange(self.m)[chain * self.shape[1] :][draws]
            if which is None:
                yield numbers, self.read(chain, draws)[0]
            elif (chosen := which[numbers]).any():
                yield numbers[chosen], self.read(chain, draws)[0][chosen]

    def _ranges(self) -> Iterator[tuple[int, slice]]:
        size = max(BYTES // (8 * self.n * self.k), 1)
        for chain in range(self.shape[0]):
            for first in range(0, self.shape[1], size):
                yield chain, slice(first, min(first + size, self.shape[1]))

    def costs(self, reference: Floats, hard: bool) -> Floats:
        """See `Source`."""
        out = np.empty((self.m, len(reference), self.k))
        weighted = -reference * self.counts
        for numbers, t in self.blocks():
            out[numbers] = weighted @ (_hardened(t) if hard else t).swapaxes(1, 2)
        return out

    def sums(self, permutations: Permutations, hard: bool, which: Mask | None = None) -> Floats:
        """See `Source`."""
        out = np.zeros((self.k, self.n))
        for numbers, t in self.blocks(which):
            for number, one in zip(numbers, _hardened(t) if hard else t, strict=True):
                out += one[permutations[number]]
        return out

    def one(self, number: int) -> Floats:
        """See `Source`."""
        chain, draw = divmod(int(number), self.shape[1])
        t: Floats = self.read(chain, slice(draw, draw + 1))[0][0]
        return t

    def moments(self, x: Floats, about: Floats) -> Floats:
        """See `Source`."""
        centred = (x - about).T
        return -self.costs(np.vstack([np.ones(self.n), centred, centred**2]), hard=True)

    def pivot(self, number: int | None = None) -> Floats:
        """(n, K): its probabilities."""
        number, order = self.pivot_draw if number is None else (number, self._by_size(number))
        t: Floats = self.one(number)[order]
        return t.T

    def start(self, pivot: ArrayLike | None) -> Floats:
        """(K, n), of allocations (n,) or probabilities (n, K)."""
        return _pivot_shares(self.pivot() if pivot is None else pivot, self.n, self.k)

    def invariants(self) -> dict[str, Floats]:
        """Entropies of the allocation and of the sizes and, where they are known, densities.

        That is the log-likelihood, and the log density of WATCHED observations.
        """
        return {n: v.reshape(self.shape) for n, v in self._measures.items() if n != "sizes"}

    def sizes(self) -> Floats:
        """See `Source`."""
        return self._measures["sizes"].reshape(*self.shape, self.k)

    @cached_property
    def pivot_draw(self) -> tuple[int, Integers]:
        """The number of the pivot's draw, and the order (K,) of its components."""
        measures = self._measures
        if "loglik" in measures:
            number = int(np.argmax(measures["loglik"]))
        else:
            by_size = np.argsort(measures["entropy of the sizes"], kind="stable")
            number = int(by_size[self.m // 2])
        return number, self._by_size(number)

    def _by_size(self, number: int) -> Integers:
        return np.argsort(-self._measures["sizes"][number], kind="stable")

    @cached_property
    def _measures(self) -> dict[str, Floats]:
        """By name (m,), and the sizes (m, K)."""
        total = self.counts.sum()
        watched = np.unique(np.linspace(0, self.n - 1, WATCHED).astype(np.intp))
        sizes, entropy = np.empty((self.m, self.k)), np.empty(self.m)
        loglik, densities = np.empty(self.m), np.empty((self.m, watched.size))
        known = False
        for chain, draws in self._ranges():
            at = slice(chain * self.shape[1] + draws.start, chain * self.shape[1] + draws.stop)
            t, density = self.read(chain, draws)
            sizes[at] = t @ self.counts / total
            entropy[at] = entr(t).sum(axis=1) @ self.counts
            if density is not None:
                known = True
                loglik[at], densities[at] = density @ self.counts, density[:, watched]
        found = {"entropy": entropy, "entropy of the sizes": entr(np.sort(sizes)).sum(axis=1)}
        if known:
            found["loglik"] = loglik
            for i, one in zip(watched, densities.T, strict=True):
                found[f"log density of observation {i}"] = one
        return found | {"sizes": sizes}


class Probabilities(Streamed):
    """The probabilities (chains, draws, n, K) that a sampler or a model left behind.

    given: an array or whatever is indexed as one: a memory map, an array of dask, HDF5 or Zarr; or
        an xarray variable, whose own dimensions beside chain and draw are the observations' (one or
        more) and the components'. Read a block of draws at a time, and never kept.
    dims: the name of the component dimension of an xarray variable; its last one if None.
    counts: (n,), how many observations each stands for.

    ValueError for what are no probabilities, when they are read.
    """

    def __init__(
        self, given: Any, *, dims: str | None = None, counts: ArrayLike | None = None
    ) -> None:
        if isinstance(given, xr.DataArray):
            given = _chain_and_draw_first("probabilities", given, dims)
        self.given = given if hasattr(given, "shape") else np.asarray(given)
        shape = self.given.shape
        if len(shape) < 4 or 0 in shape:
            raise ValueError(
                f"probabilities: have shape {shape}; give (chains, draws, n, K), or x beside "
                "draws of normal mixtures"
            )
        super().__init__(shape[:2], int(np.prod(shape[2:-1])), shape[-1], counts)

    def read(self, chain: int, draws: slice) -> tuple[Floats, None]:
        """See `Streamed`."""
        block = np.asarray(self.given[chain, draws], dtype=float).reshape(-1, self.n, self.k)
        t = np.ascontiguousarray(block.swapaxes(1, 2))
        sums = t.sum(axis=1)
        if not np.all(np.abs(sums - 1.0) <= SUM) or t.min() < 0:
            draw, i = np.argwhere(~(np.abs(sums - 1.0) <= SUM) | (t.min(axis=1) < 0))[0]
            raise ValueError(
                f"probabilities: those of observation {i} in draw {draws.start + draw} of chain "
                f"{chain} are {_listed(t[draw, :, i])}; they must be at least 0 and sum to 1 over "
                "the last axis, the components'"
            )
        return t / sums[:, None], None


class Allocations(Streamed):
    """Allocations z (chains, draws, n): the component of each observation as a sampler drew it.

    given: whole numbers; an array or an xarray variable of chain, draw and others, as for
        `Probabilities`.
    k: the number of components; by default the largest that is met.
    first: the number of the first component, 0 or 1. By default 1 where K is met or, without k,
        where 0 is not.
    """

    def __init__(
        self,
        given: Any,
        k: int | None = None,
        *,
        first: int | None = None,
        counts: ArrayLike | None = None,
    ) -> None:
        if isinstance(given, xr.DataArray):
            given = _chain_and_draw_first("z", given, None)
        self.given = given if hasattr(given, "shape") else np.asarray(given)
        shape = self.given.shape
        if len(shape) < 3 or 0 in shape:
            raise ValueError(f"z: has shape {shape}; give (chains, draws, n)")
        least, most = np.inf, -np.inf
        for chain in range(shape[0]):
            values = np.asarray(self.given[chain])
            if values.dtype.kind not in "biuf" or not np.all(values == np.floor(values)):
                raise ValueError(
                    "z: must be the numbers of components, from 0 or from 1; probabilities are "
                    "(chains, draws, n, K)"
                )
            least, most = min(least, values.min()), max(most, values.max())
        self.first = numbered_from(least, most, k) if first is None else first
        k = int(most) - self.first + 1 if k is None else k
        if least < self.first or most - self.first >= k:
            raise ValueError(
                f"z: holds {least:g} to {most:g}; {k} components are numbered {self.first} to "
                f"{self.first + k - 1}"
            )
        super().__init__(shape[:2], int(np.prod(shape[2:])), k, counts)

    def read(self, chain: int, draws: slice) -> tuple[Floats, None]:
        """See `Streamed`."""
        z = np.asarray(self.given[chain, draws]).reshape(-1, 1, self.n)
        return (z == np.arange(self.first, self.first + self.k)[:, None]).astype(float), None


class LogJoint(Streamed):
    """Any mixture, by log p(component k of draw, observation i | draw), as a function of a draw.

    log_joint: draw -> (n, K), the log weight of each component plus the log density of each
        observation under it; called draw by draw, and never kept. What is added to a
        whole row touches the log-likelihood alone.
    draws: what it is given one draw of: an ArviZ DataTree or a Dataset (a mapping from the names of
        the variables to their values in that draw, without chain and draw), a mapping from names to
        arrays (chains, draws, ...), likewise, or one array (chains, draws, ...).
    group: of a DataTree.
    counts: (n,), how many observations each stands for.

    Of a hidden Markov model the function returns the logs of the smoothed probabilities, plus the
    log-likelihood divided by n. ValueError, with the draw's place, for what is no log density.
    """

    def __init__(
        self,
        log_joint: Callable[[Any], ArrayLike],
        draws: Any,
        *,
        group: str = "posterior",
        counts: ArrayLike | None = None,
    ) -> None:
        self.log_joint, self.draws = log_joint, _DrawByDraw(draws, group)
        first = np.asarray(log_joint(self.draws.at(0, 0)), dtype=float)
        if first.ndim != 2 or 0 in first.shape:
            raise ValueError(f"log_joint: returns shape {first.shape}; it must be (n, K)")
        super().__init__(self.draws.shape, first.shape[0], first.shape[1], counts)

    def read(self, chain: int, draws: slice) -> tuple[Floats, Floats]:
        """See `Streamed`."""
        t = np.empty((draws.stop - draws.start, self.k, self.n))
        for out, draw in zip(t, range(draws.start, draws.stop), strict=True):
            found = np.asarray(self.log_joint(self.draws.at(chain, draw)), dtype=float)
            if found.shape != (self.n, self.k):
                raise ValueError(
                    f"log_joint: returns shape {found.shape} in draw {draw} of chain {chain}, and "
                    f"{(self.n, self.k)} before"
                )
            out[:] = found.T
        top = t.max(axis=1)
        if not np.isfinite(top).all():
            draw, i = np.argwhere(~np.isfinite(top))[0]
            raise ValueError(
                f"log_joint: observation {i} in draw {draws.start + draw} of chain {chain} has "
                f"{_listed(t[draw, :, i])}; give log densities, one of them finite"
            )
        t -= top[:, None]
        np.exp(t, out=t)
        total = t.sum(axis=1)
        t /= total[:, None]
        return t, top + np.log(total)


class _DrawByDraw:
    """The draws of `LogJoint`, one at a time."""

    def __init__(self, draws: Any, group: str) -> None:
        if isinstance(draws, xr.DataTree):
            if group not in draws.children:
                raise ValueError(
                    f"group: no {group!r} in the tree; it has {', '.join(draws.children)}"
                )
            draws = draws[group].to_dataset()
        if isinstance(draws, xr.Dataset):
            found = draws.data_vars.items()
            draws = {name: v for name, v in found if {"chain", "draw"} <= set(v.dims)}
        self.named = isinstance(draws, Mapping)
        self.values: dict[str, Any] = dict(draws) if self.named else {"": draws}
        self.arrays: dict[str, NDArray[Any]] = {}
        shapes = {self._leading(value) for value in self.values.values()}
        if len(shapes) != 1 or 0 in min(shapes):
            raise ValueError(
                f"draws: begin with {sorted(shapes)}; give variables that begin with chain and draw"
            )
        self.shape = shapes.pop()

    def at(self, chain: int, draw: int) -> Any:
        return _Draw(self, chain, draw) if self.named else self.array("")[chain, draw]

    def array(self, name: str) -> NDArray[Any]:
        """(chains, draws, ...), in memory from when it is first asked for."""
        if name not in self.arrays:
            value = self.values[name]
            if isinstance(value, xr.DataArray):
                value = value.transpose("chain", "draw", ...).values
            self.arrays[name] = np.asarray(value)
        return self.arrays[name]

    @staticmethod
    def _leading(value: Any) -> tuple[int, int]:
        if isinstance(value, xr.DataArray):
            return value.sizes["chain"], value.sizes["draw"]
        shape = (*np.shape(value), 0, 0)
        return shape[0], shape[1]


class _Draw(Mapping[str, NDArray[Any]]):
    """One draw: from the names of the variables to their values."""

    def __init__(self, draws: _DrawByDraw, chain: int, draw: int) -> None:
        self._draws, self._chain, self._draw = draws, chain, draw

    def __getitem__(self, name: str) -> Any:
        if name not in self._draws.values:
            raise KeyError(f"{name}; there are {', '.join(map(str, self._draws.values))}")
        return self._draws.array(name)[self._chain, self._draw]

    def __iter__(self) -> Iterator[str]:
        return iter(self._draws.values)

    def __len__(self) -> int:
        return len(self._draws.values)


def source_of(draws: Any, x: ArrayLike | None = None, counts: ArrayLike | None = None) -> Source:
    """The source that an algorithm's first argument stands for.

    A Source as it is. Else what `Allocations` takes if it is of whole numbers, or has three
    dimensions and no x beside it; what `Probabilities` takes without x, or with one a row; with x,
    draws (chains, draws, 3, K) of normal mixtures.
    """
    if isinstance(draws, Source):
        if counts is not None:
            raise ValueError("counts: belong to the source; give them when it is made")
        return draws
    if isinstance(draws, xr.DataTree | Mapping):
        raise ValueError(
            f"draws: are a {type(draws).__name__}; give LogJoint(log_joint, draws), or of normal "
            "mixtures component_draws(draws, names)"
        )
    draws = draws if hasattr(draws, "dtype") else np.asarray(draws)
    shape = draws.shape
    whole = np.dtype(draws.dtype).kind in "biu"
    if len(shape) == 3 and (whole or x is None):
        return Allocations(draws, counts=counts)
    if x is None or (len(shape) == 4 and shape[2] == len(np.asarray(x)) != len(ROWS)):
        return Probabilities(draws, counts=counts)
    return Normals(draws, x, counts)


def check_draws(draws: ArrayLike) -> Floats:
    """The draws (chains, draws, 3, K) as an array; ValueError unless rows are those of mixtures.

    Finite, weights at least 0 with a sum of 1 to SUM, sds above 0.
    """
    array = checks.array("draws", draws)
    if array.ndim != 4 or array.shape[2] != len(ROWS) or 0 in array.shape:
        raise ValueError(f"draws: have shape {array.shape}; give (chains, draws, 3, K)")
    if array[:, :, 0].min() < 0 or array[:, :, 2].min() <= 0:
        raise ValueError("draws: rows must be weights (>= 0), means and sds (> 0), in this order")
    sums = array[:, :, 0].sum(axis=-1)
    worst = sums.ravel()[np.argmax(np.abs(sums - 1.0))]
    if not abs(worst - 1.0) <= SUM:
        raise ValueError(
            f"draws: weights of a draw sum to {worst:.6g}; they must sum to 1, and rows be "
            "weights, means and sds, in this order"
        )
    return array


def check_order(flat: Floats, data: Data) -> None:
    """ValueError where every draw (m, 3, K) makes more of the data with means and sds exchanged.

    Which no posterior does: such rows are in the wrong order.
    """
    some = flat[:: max(len(flat) // TRIED, 1)]
    exchanged = np.ascontiguousarray(some[:, [0, 2, 1]])
    if np.any(exchanged[:, 2] <= 0):
        return
    given, other = (passes.loglik_and_entropy(d, data.x, data.counts)[0] for d in (some, exchanged))
    if np.all(other > given):
        raise ValueError(
            "draws: all make more of the data with means and sds exchanged, at most "
            f"{other.max():.6g} and not {given.max():.6g} nats; give rows of weights, means and "
            "sds, in this order"
        )


def numbered_from(least: float, most: float, k: int | None) -> int:
    """0 or 1, the number of the first of K components where numbers from least to most are met."""
    return int(least >= 1 and (k is None or most >= k))


def indicators(shares: Floats) -> Floats:
    """(K, n): one for the largest share of each observation, zero for the others."""
    return np.eye(len(shares))[:, shares.argmax(axis=0)]


def _hardened(t: Floats) -> Floats:
    """(b, K, n): one for the largest of K, the first of equals, else zero."""
    largest = t.argmax(axis=1)[:, None]
    found: Floats = (largest == np.arange(t.shape[1])[:, None]).astype(float)
    return found


def _pivot_shares(pivot: ArrayLike, n: int, k: int) -> Floats:
    """(K, n): of allocations (n,) or probabilities (n, K)."""
    given = checks.array("pivot", pivot)
    if given.shape == (n, k):
        return np.ascontiguousarray(given.T)
    if given.shape != (n,):
        raise ValueError(
            f"pivot: has shape {given.shape}; give allocations ({n},) or probabilities ({n}, {k})"
        )
    z = given - numbered_from(given.min(), given.max(), k)
    if not np.all(np.isin(z, np.arange(k))):
        raise ValueError(f"pivot: must be the numbers of {k} components, from 0 or from 1")
    return np.eye(k)[:, z.astype(np.intp)]


def _chain_and_draw_first(name: str, given: xr.DataArray, dims: str | None) -> xr.DataArray:
    """Chain and draw to the front, the component dimension to the end."""
    if not {"chain", "draw"} <= set(given.dims) or (dims is not None and dims not in given.dims):
        wanted = "chain and draw" if dims is None else f"chain, draw and {dims}"
        raise ValueError(f"{name}: has dimensions {given.dims}; give {wanted} among them")
    last = () if dims is None else (dims,)
    others = [d for d in given.dims if d not in ("chain", "draw", *last)]
    return given.transpose("chain", "draw", *others, *last)


def _listed(values: Floats) -> str:
    return ", ".join(f"{v:.4g}" for v in values[:8]) + (", ..." if values.size > 8 else "")
