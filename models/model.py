"""MixtureModel: which parameters of a mixture are estimated, and their unconstrained vector.

The full vector of a K-component mixture is u = (log w_k/w_K for k < K, means, log sds), 3K - 1
numbers. A model is an affine map u = u0 + S eta onto it: known parameters sit in u0, a common
sd is a column of S with K ones. Scores and information follow by S' g and S' J S. Where some of the
weights are known, the others are shares of what is left, and u is not affine in theirs: see
`MixtureModel.jacobian` and `MixtureModel.pulled`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models import checks, kernels
from models.mixture import Floats, Mixture, restore

# Numbers, None for those that are not known.
type Known = ArrayLike | Sequence[float | None]


@dataclass(frozen=True, init=False, eq=False)
class MixtureModel:
    """K normal components; what is given of them is known and not estimated.

    k: number of components, at least 1.
    means: (K,) known values, in data units, None in the place of each that is to be estimated; None
        to estimate them all. Kept with NaN for those, or as None.
    sds: (K,) likewise, or one for all, in data units.
    equal_sds: whether there is one common sd, estimated.
    weights: (K,) likewise, above 0. The others share what is left of 1; a single one is all of it.
    known: (3, K), the values of weights, means and sds, NaN where they are estimated.
    free: (3, K), whether they are estimated; the weight of a single component is not.
    selection: (3K - 1, n_free), S of the module's text; made of the others.

    Raises ValueError, which names the argument.
    """

    k: int
    means: Floats | None
    sds: Floats | None
    equal_sds: bool
    weights: Floats | None
    known: Floats = field(repr=False)
    free: NDArray[np.bool_] = field(repr=False)
    selection: Floats = field(repr=False)

    __setstate__ = restore

    def __init__(
        self,
        k: int = 2,
        means: Known | None = None,
        sds: Known | float | None = None,
        equal_sds: bool = False,
        *,
        weights: Known | None = None,
    ) -> None:
        k, equal_sds = checks.whole("k", k), checks.flag("equal_sds", equal_sds)
        known = np.full((3, k), np.nan)
        known[0] = _known("weights", weights, k)
        known[1] = _known("means", [means] if k == 1 and _scalar(means) else means, k)
        known[2] = _known("sds", [sds] * k if _scalar(sds) else sds, k)
        for name, row, what in (("weights", 0, "weights"), ("sds", 2, "sds")):
            if np.any(known[row] <= 0):
                least = np.nanmin(known[row])
                raise ValueError(f"{name}: {least:g} is not positive; known {what} must be > 0")
        if equal_sds and not np.isnan(known[2]).all():
            raise ValueError("equal_sds: True with known sds; give one or the other")
        total, left = np.nansum(known[0]), np.isnan(known[0]).sum()
        if left == 0 and abs(total - 1.0) > 1e-8:
            raise ValueError(f"weights: sum to {total:.10g}; they must sum to 1")
        if left > 0 and total >= 1.0:
            raise ValueError(
                f"weights: sum to {total:.10g}, which leaves nothing for the others; known "
                "weights must sum to less than 1 where some are None"
            )
        self._set(known / [[total if left == 0 else 1.0], [1.0], [1.0]], equal_sds)

    @classmethod
    def of_known(cls, known: Floats, equal_sds: bool) -> MixtureModel:
        """The model with these known values (3, K), NaN for the others, without the checks."""
        model = object.__new__(cls)
        model._set(known, equal_sds)
        return model

    def _set(self, known: Floats, equal_sds: bool) -> None:
        known, k = np.array(known), known.shape[1]
        if np.isnan(known[0]).sum() == 1:
            known[0, np.isnan(known[0])] = 1.0 - np.nansum(known[0])
        free = np.isnan(known)
        free.flags.writeable = False
        known = kernels.fixed(known)
        one = np.eye(3 * k - 1)
        columns = [one[:, np.flatnonzero(free[0])[:-1]], one[:, k - 1 + np.flatnonzero(free[1])]]
        sds = one[:, 2 * k - 1 + np.flatnonzero(free[2])]
        columns.append(sds.sum(axis=1, keepdims=True) if equal_sds else sds)
        given = [None if row.all() else known[i] for i, row in enumerate(free)]
        values = {
            "k": k,
            "means": given[1],
            "sds": given[2],
            "equal_sds": equal_sds,
            "weights": None if k == 1 else given[0],
            "known": known,
            "free": free,
            "selection": kernels.fixed(np.hstack(columns)),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def n_free(self) -> int:
        """Length of the unconstrained vector eta."""
        return int(self.selection.shape[1])

    @cached_property
    def n_free_weights(self) -> int:
        """How many entries of eta, its first ones, are of weights."""
        return max(int(self.free[0].sum()) - 1, 0)

    @property
    def n_free_means(self) -> int:
        """How many entries of eta, the next ones, are means."""
        return self.n_free - self.n_free_weights - self.n_free_sds

    @cached_property
    def n_free_sds(self) -> int:
        """How many entries of eta, its last ones, are log sds."""
        return 1 if self.equal_sds else int(self.free[2].sum())

    @cached_property
    def room(self) -> float:
        """What the weights that are estimated sum to."""
        return float(1.0 - self.known[0][~self.free[0]].sum())

    @cached_property
    def kinds(self) -> NDArray[np.intp]:
        """(K,): a number for each component, the same for those that nothing known tells apart."""
        rows = np.where(self.free, np.inf, self.known).T
        kinds: NDArray[np.intp] = np.unique(rows, axis=0, return_inverse=True)[1].ravel()
        return kinds

    @property
    def exchangeable(self) -> bool:
        """Whether permuting the components leaves the likelihood as it is."""
        return bool(np.all(self.kinds == self.kinds[0]))

    @property
    def partly_known(self) -> bool:
        """Whether of the weights, of the means or of the sds some are known and some are not."""
        return bool(np.any(self.free.any(axis=1) & ~self.free.all(axis=1)))

    @property
    def partly_exchangeable(self) -> bool:
        """Whether permuting some components does, but not all."""
        return 1 < len(set(self.kinds.tolist())) < self.k

    def admit(self, mixture: Mixture) -> Mixture:
        """The mixture with the known parameters put in and, if called for, a pooled sd.

        Weights that are estimated keep their proportions.
        """
        if mixture.k != self.k:
            raise ValueError(f"start: has {mixture.k} components; the model has {self.k}")
        rows = np.where(self.free, mixture.as_rows(), self.known)
        if self.equal_sds:
            rows[2] = np.sqrt(mixture.weights @ mixture.sds**2)
        if self.partial_weights:
            rows[0, self.free[0]] *= self.room / rows[0, self.free[0]].sum()
        return Mixture.trusted(*rows)

    def permuted(self, order: ArrayLike) -> MixtureModel:
        """The same model with the known parameters of its components in another order (K,)."""
        if self.weights is None and self.means is None and self.sds is None:
            return self
        return MixtureModel.of_known(self.known[:, np.asarray(order)], self.equal_sds)

    def pack(self, mixture: Mixture) -> Floats:
        """(n_free,): the free parameters, unconstrained. A weight of zero is packed as 1e-300."""
        w, means, sds = mixture.weights, mixture.means, mixture.sds
        return kernels.pack(self.selection, self.known, w, means, sds)

    def unpack(self, eta: Floats) -> Mixture:
        """The mixture at eta (n_free,)."""
        at = kernels.fixed(np.asarray(eta, dtype=float))
        return Mixture.of_rows(kernels.unpack(self.selection, at, self.known))

    @property
    def partial_weights(self) -> bool:
        """Whether some weights are known and others are not."""
        return self.n_free_weights > 0 and self.weights is not None

    def shares(self, mixture: Mixture) -> Floats:
        """(m,): of the m weights that are estimated, in what is left for them."""
        return (
            mixture.weights[self.free[0]] / self.room if self.partial_weights else mixture.weights
        )

    def jacobian(self, mixture: Mixture) -> Floats:
        """(3K - 1, n_free): derivatives of u by eta; S, but where some weights alone are known."""
        if not self.partial_weights:
            return self.selection
        found, m = self.selection.copy(), self.n_free_weights
        of_logs = np.zeros((self.k, m))
        of_logs[self.free[0]] = np.eye(m + 1, m) - self.shares(mixture)[:-1]
        found[: self.k - 1, :m] = of_logs[:-1] - of_logs[-1]
        return found

    def pulled(self, mixture: Mixture, slope: Floats, information: Floats) -> tuple[Floats, Floats]:
        """Score (n_free,) and information (n_free, n_free) by eta, from those by u.

        slope: (3K - 1,). information: (3K - 1, 3K - 1).
        """
        jacobian, m = self.jacobian(mixture), self.n_free_weights
        found = jacobian.T @ information @ jacobian
        if self.partial_weights:
            v, free = self.shares(mixture)[:-1], self.free[0].astype(float)
            bend = slope[: self.k - 1] @ (free[:-1] - free[-1])
            found[:m, :m] += bend * (np.diag(v) - np.outer(v, v))
        return jacobian.T @ slope, found

    def natural_jacobian(self, mixture: Mixture) -> Floats:
        """(3K, n_free): derivatives of (weights, means, sds) by eta; zero rows where known."""
        k = self.k
        w = mixture.weights
        jacobian = np.zeros((3 * k, 3 * k - 1))
        jacobian[:k, : k - 1] = (np.diag(w) - np.outer(w, w))[:, :-1]
        jacobian[k : 2 * k, k - 1 : 2 * k - 1] = np.eye(k)
        jacobian[2 * k :, 2 * k - 1 :] = np.diag(mixture.sds)
        found: Floats = jacobian @ self.jacobian(mixture)
        found[~self.free.ravel()] = 0.0
        return found

    def parameter_names(self) -> list[str]:
        """Names of the entries of eta, such as 'log w1/w2', 'mean2', 'log sd'."""
        weights, means, sds = ((np.flatnonzero(row) + 1).tolist() for row in self.free)
        return [
            *[f"log w{j}/w{weights[-1]}" for j in weights[:-1]],
            *[f"mean{j}" for j in means],
            *(["log sd"] if self.equal_sds else [f"log sd{j}" for j in sds]),
        ]


def _scalar(value: Any) -> bool:
    return isinstance(value, Real) or (isinstance(value, np.ndarray) and value.ndim == 0)


def _known(name: str, value: Any, k: int) -> Floats | float:
    """(K,): NaN for what is None."""
    if value is None:
        return np.nan
    unknown = np.zeros(0, dtype=bool)
    if isinstance(value, list | tuple) and any(one is None for one in value):
        unknown = np.array([one is None for one in value])
        value = [0.0 if one is None else one for one in value]
    array = np.array(checks.vector(name, value))
    if array.size != k:
        raise ValueError(f"{name}: has {array.size} values; the model has {k} components, one each")
    array[np.flatnonzero(unknown)] = np.nan
    return array
