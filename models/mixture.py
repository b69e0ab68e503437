"""Mixture: the parameters of a univariate Gaussian mixture as a value.

Densities, responsibilities, sampling and permutation live here; nothing here knows how the
parameters were found, or which of them were free.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from models import checks, kernels
from models.kernels import LOG_2PI
from models.kernels import Floats as Floats


def restore(instance: Any, state: dict[str, Any]) -> None:
    """`__setstate__` of a value whose arrays are read-only: pickle and deepcopy forget that."""
    for value in state.values():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    instance.__dict__.update(state)


@dataclass(frozen=True, eq=False)
class Mixture:
    """A univariate Gaussian mixture as a value: its K components, each array read-only.

    weights: (K,), at least 0; they sum to one (to 1e-8; what is left of that is divided out).
    means: (K,), in data units.
    sds: (K,), in data units, positive.

    Raises ValueError, which names the argument, for anything else.
    """

    weights: Floats
    means: Floats
    sds: Floats

    __setstate__ = restore

    def __init__(self, weights: ArrayLike, means: ArrayLike, sds: ArrayLike) -> None:
        arrays = {"weights": weights, "means": means, "sds": sds}
        values = {name: np.array(checks.vector(name, value)) for name, value in arrays.items()}
        k = values["weights"].size
        if k == 0:
            raise ValueError("weights: are none; give a list of K >= 1 numbers")
        for name, value in values.items():
            if value.size != k:
                raise ValueError(
                    f"{name}: has {value.size} values, weights has {k}; give one per component"
                )
        w, sd = values["weights"], values["sds"]
        if np.any(w < 0):
            raise ValueError(f"weights: {w.min():g} is negative; weights must be at least 0")
        if abs(w.sum() - 1.0) > 1e-8:
            raise ValueError(f"weights: sum to {w.sum():.10g}; they must sum to 1")
        if np.any(sd <= 0):
            raise ValueError(f"sds: {sd.min():g} is not positive; standard deviations must be > 0")
        self._set(w / w.sum(), values["means"], sd)

    @classmethod
    def trusted(cls, weights: Floats, means: Floats, sds: Floats) -> Mixture:
        """The same value without the checks, for the inner loops of the algorithms."""
        mixture = object.__new__(cls)
        mixture._set(weights, means, sds)
        return mixture

    @classmethod
    def of_rows(cls, rows: Floats) -> Mixture:
        """The mixture whose weights, means and sds are the rows (3, K), without the checks.

        The rows become read-only. A third of what `trusted` costs: EM makes one at every step.
        """
        mixture = object.__new__(cls)
        rows.setflags(write=False)
        mixture.__dict__.update(weights=rows[0], means=rows[1], sds=rows[2])
        return mixture

    def _set(self, weights: Floats, means: Floats, sds: Floats) -> None:
        for value in (weights, means, sds):
            value.setflags(write=False)
        self.__dict__.update(weights=weights, means=means, sds=sds)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mixture):
            return NotImplemented
        return self.k == other.k and bool(
            np.array_equal(self.weights, other.weights)
            and np.array_equal(self.means, other.means)
            and np.array_equal(self.sds, other.sds)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        rows = (np.array2string(v, precision=6, separator=", ") for v in self.as_rows())
        return "Mixture(weights={}, means={}, sds={})".format(*rows)

    @property
    def k(self) -> int:
        """Number of components."""
        return self.weights.size

    @property
    def finite(self) -> bool:
        """Whether no parameter is infinite or NaN."""
        return bool(kernels.all_finite(self.weights, self.means, self.sds))

    def as_rows(self) -> Floats:
        """(3, K): weights, means, sds."""
        return np.stack([self.weights, self.means, self.sds])

    def order(self) -> NDArray[np.intp]:
        """(K,): the components sorted by mean, ties by sd, then by weight."""
        return np.lexsort((self.weights, self.sds, self.means))

    def permuted(self, order: ArrayLike) -> Mixture:
        """The same density with the components in another order; order is a permutation (K,)."""
        index = np.asarray(order)
        if not np.array_equal(np.sort(index), np.arange(self.k)):
            raise ValueError(f"order: {index.tolist()} is not a permutation of 0 to {self.k - 1}")
        return Mixture.trusted(self.weights[index], self.means[index], self.sds[index])

    def by_mean(self) -> Mixture:
        """The same density with the components in the order of their means."""
        if (self.means[:-1] < self.means[1:]).all():
            return self
        return self.permuted(self.order())

    def log_joint(self, x: ArrayLike) -> Floats:
        """(n, K): log w_k + log N(x_i; mu_k, sd_k)."""
        with np.errstate(divide="ignore", over="ignore"):
            z = (checks.vector("x", x)[:, None] - self.means) / self.sds
            log_weights = np.log(self.weights)
            return log_weights - np.log(self.sds) - 0.5 * z * z - 0.5 * LOG_2PI

    def log_density(self, x: ArrayLike) -> Floats:
        """(n,): log of the mixture density."""
        joint = self.log_joint(x)
        top = joint.max(axis=1)
        top[top == -np.inf] = 0.0  # further away than logarithms reach
        joint -= top[:, None]
        with np.errstate(divide="ignore"):
            # A quarter of the time of logaddexp.reduce.
            log_density: Floats = top + np.log(np.exp(joint, out=joint).sum(axis=1))
        return log_density

    def density(self, x: ArrayLike) -> Floats:
        """(n,): the mixture density."""
        return np.exp(self.log_density(x))

    def responsibilities(self, x: ArrayLike) -> Floats:
        """(n, K): posterior probability of each component for each observation.

        ValueError for an observation so far from all components that no float holds its density's
        logarithm.
        """
        joint = self.log_joint(x)
        top = joint.max(axis=1, keepdims=True)
        if not np.all(np.isfinite(top)):
            far = np.asarray(x, dtype=float)[np.argmin(np.isfinite(top))]
            raise ValueError(
                f"x: {far:g} is too far from all components, squares of its distance overflow; "
                "leave it out"
            )
        share = np.exp(joint - top)
        return share / share.sum(axis=1, keepdims=True)

    @property
    def mean(self) -> float:
        """Mean of the mixture."""
        return float(self.weights @ self.means)

    @property
    def variance(self) -> float:
        """Variance of the mixture."""
        return float(self.weights @ (self.sds**2 + (self.means - self.mean) ** 2))

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Floats, NDArray[np.intp]]:
        """n draws (n,) and the component (n,) that each came from."""
        checks.whole("n", n, 0)
        labels = np.searchsorted(np.cumsum(self.weights)[:-1], rng.random(n), side="right")
        return self.means[labels] + self.sds[labels] * rng.standard_normal(n), labels


def predictive(draws: Floats, count: int) -> Mixture:
    """The density averaged over `count` of the draws (chains, draws, 3, K), evenly spaced.

    As a mixture of all their components, one draw after the other.
    """
    flat = draws.reshape(-1, *draws.shape[2:])
    some = flat[np.linspace(0, len(flat) - 1, min(count, len(flat))).round().astype(int)]
    weights, means, sds = np.moveaxis(some, 1, 0).reshape(3, -1)
    return Mixture.trusted(weights / len(some), means, sds)


class ParameterArray(np.ndarray[tuple[int, int], np.dtype[np.float64]]):
    """(3, K) numbers in the layout of a Mixture: an array whose rows also go by their names."""

    @classmethod
    def of(cls, rows: Floats) -> ParameterArray:
        """The rows (3, K) of weights, means and sds."""
        return rows.view(cls)

    @property
    def weights(self) -> Floats:
        """(K,): the row of the weights."""
        row: Floats = np.asarray(self)[0]
        return row

    @property
    def means(self) -> Floats:
        """(K,): the row of the means."""
        row: Floats = np.asarray(self)[1]
        return row

    @property
    def sds(self) -> Floats:
        """(K,): the row of the sds."""
        row: Floats = np.asarray(self)[2]
        return row


def draws_by_mean(draws: Floats, kinds: NDArray[np.intp] | None = None) -> Floats:
    """Draws (..., 3, K) of (weights, means, sds), each with its components ordered by mean.

    Ties, as of means that are known, by sd, then by weight. One permutation a draw moves all three
    rows together. kinds (K,): only components of one kind change places.
    """
    order = order_by_mean(
        draws, np.zeros(draws.shape[-1], dtype=np.intp) if kinds is None else kinds
    )
    return np.take_along_axis(draws, order[..., None, :], axis=-1)


def order_by_mean(draws: Floats, kinds: NDArray[np.intp]) -> NDArray[np.intp]:
    """(..., K): the permutations of `draws_by_mean`."""
    order = np.empty((*draws.shape[:-2], draws.shape[-1]), dtype=np.intp)
    for kind in np.unique(kinds):
        own = np.flatnonzero(kinds == kind)
        order[..., own] = own[np.lexsort(np.moveaxis(draws[..., own], -2, 0)[[0, 2, 1]], axis=-1)]
    return order


def aligned(draws: Floats, pivot: Mixture) -> Floats:
    """Draws (..., 3, K), each with its components assigned to those of the pivot."""
    return np.take_along_axis(draws, alignment(draws, pivot)[..., None, :], axis=-1)


def alignment(
    draws: Floats, pivot: Mixture, kinds: NDArray[np.intp] | None = None
) -> NDArray[np.intp]:
    """(..., K): which component of each draw (..., 3, K) goes to each of the pivot's.

    By the permutation with the least sum of squared distances of the weights, of the means in
    units of the pivot's sds, and of the log sds. kinds (K,): components of different kinds do not
    change places.
    """
    w, m, s = (draws[..., row, :, None] for row in range(3))
    cost = (w - pivot.weights) ** 2 + ((m - pivot.means) / pivot.sds) ** 2
    cost = cost + np.log(s / pivot.sds) ** 2
    if kinds is not None:
        cost = np.where(kinds[:, None] == kinds, cost, np.inf)
    flat = cost.reshape(-1, pivot.k, pivot.k)
    # The rows of the transpose are the pivot's components: one of the draw's goes to each.
    order = np.array([linear_sum_assignment(matrix.T)[1] for matrix in flat], dtype=np.intp)
    return order.reshape(*draws.shape[:-2], pivot.k)
