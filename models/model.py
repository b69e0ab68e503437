"""MixtureModel: which parameters of a mixture are estimated, and their unconstrained vector.

The full vector of a K-component mixture is u = (log w_k/w_K for k < K, means, log sds), 3K - 1
numbers. A model is an affine map u = u0 + S eta onto it: known parameters sit in u0, a common
sd is a column of S with K ones. Scores and information follow by S' g and S' J S.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from models import checks, kernels
from models.mixture import Floats, Mixture, restore


@dataclass(frozen=True, init=False, eq=False)
class MixtureModel:
    """K normal components; means or sds that are given are known and not estimated.

    k: number of components, at least 1.
    means: (K,) known values, in data units; None to estimate them.
    sds: (K,) known values, or one for all, in data units; None to estimate them.
    equal_sds: whether there is one common sd, estimated.
    selection: (3K - 1, n_free), S of the module's text; made of the others.

    Raises ValueError, which names the argument.
    """

    k: int
    means: Floats | None
    sds: Floats | None
    equal_sds: bool
    selection: Floats = field(repr=False)

    __setstate__ = restore

    def __init__(
        self,
        k: int = 2,
        means: ArrayLike | None = None,
        sds: ArrayLike | None = None,
        equal_sds: bool = False,
    ) -> None:
        k, equal_sds = checks.whole("k", k), checks.flag("equal_sds", equal_sds)
        known_means = _known("means", [means] if k == 1 and _scalar(means) else means, k)
        known_sds = _known("sds", [sds] * k if _scalar(sds) else sds, k)
        if known_sds is not None and np.any(known_sds <= 0):
            raise ValueError(f"sds: {known_sds.min():g} is not positive; known sds must be > 0")
        if known_sds is not None and equal_sds:
            raise ValueError("equal_sds: True with known sds; give one or the other")
        columns = [np.eye(3 * k - 1, k - 1)]
        if known_means is None:
            columns.append(np.eye(3 * k - 1, k, k=-(k - 1)))
        if known_sds is None:
            sd_columns = np.eye(3 * k - 1, k, k=-(2 * k - 1))
            columns.append(sd_columns.sum(axis=1, keepdims=True) if equal_sds else sd_columns)
        values = {
            "k": k,
            "means": known_means,
            "sds": known_sds,
            "equal_sds": equal_sds,
            "selection": kernels.fixed(np.hstack(columns)),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def n_free(self) -> int:
        """Length of the unconstrained vector eta."""
        return int(self.selection.shape[1])

    @property
    def n_free_sds(self) -> int:
        """How many entries of eta, its last ones, are log sds."""
        return 0 if self.sds is not None else 1 if self.equal_sds else self.k

    @property
    def exchangeable(self) -> bool:
        """Whether permuting the components leaves the likelihood as it is."""
        return all(v is None or bool(np.all(v == v[0])) for v in (self.means, self.sds))

    def admit(self, mixture: Mixture) -> Mixture:
        """The mixture with the known parameters put in and, if called for, a pooled sd."""
        if mixture.k != self.k:
            raise ValueError(f"start: has {mixture.k} components; the model has {self.k}")
        sds = mixture.sds if self.sds is None else self.sds
        if self.equal_sds:
            sds = np.full(self.k, np.sqrt(mixture.weights @ mixture.sds**2))
        means = mixture.means if self.means is None else self.means
        return Mixture.trusted(mixture.weights.copy(), means.copy(), sds.copy())

    def permuted(self, order: ArrayLike) -> MixtureModel:
        """The same model with the known parameters of its components in another order (K,)."""
        if self.means is None and self.sds is None:
            return self
        index = np.asarray(order)
        means, sds = (None if v is None else v[index] for v in (self.means, self.sds))
        return MixtureModel(self.k, means, sds, self.equal_sds)

    def pack(self, mixture: Mixture) -> Floats:
        """(n_free,): the free parameters, unconstrained. A weight of zero is packed as 1e-300."""
        return kernels.pack(self.selection, mixture.weights, mixture.means, mixture.sds)

    def unpack(self, eta: Floats) -> Mixture:
        """The mixture at eta (n_free,)."""
        at = kernels.fixed(np.asarray(eta, dtype=float))
        return Mixture.of_rows(kernels.unpack(self.selection, at, self.k, *self.known))

    @property
    def known(self) -> tuple[Floats, Floats]:
        """The means and the sds that are known, (K,) or else (0,)."""
        return _FREE if self.means is None else self.means, _FREE if self.sds is None else self.sds

    def natural_jacobian(self, mixture: Mixture) -> Floats:
        """(3K, n_free): derivatives of (weights, means, sds) by eta; zero rows where known."""
        k = self.k
        w = mixture.weights
        jacobian = np.zeros((3 * k, 3 * k - 1))
        jacobian[:k, : k - 1] = (np.diag(w) - np.outer(w, w))[:, :-1]
        jacobian[k : 2 * k, k - 1 : 2 * k - 1] = np.eye(k)
        jacobian[2 * k :, 2 * k - 1 :] = np.diag(mixture.sds)
        return jacobian @ self.selection

    def parameter_names(self) -> list[str]:
        """Names of the entries of eta, such as 'logit w1', 'mean2', 'log sd'."""
        k = self.k
        weights = [f"log w{j}/w{k}" for j in range(1, k)]
        means = [f"mean{j}" for j in range(1, k + 1)] if self.means is None else []
        if self.sds is not None:
            return weights + means
        sds = ["log sd"] if self.equal_sds else [f"log sd{j}" for j in range(1, k + 1)]
        return weights + means + sds


_FREE = kernels.fixed(np.zeros(0))


def _scalar(value: Any) -> bool:
    return isinstance(value, Real) or (isinstance(value, np.ndarray) and value.ndim == 0)


def _known(name: str, value: Any, k: int) -> Floats | None:
    if value is None:
        return None
    array = np.array(checks.vector(name, value))
    if array.size != k:
        raise ValueError(f"{name}: has {array.size} values; the model has {k} components, one each")
    array.flags.writeable = False
    return array
