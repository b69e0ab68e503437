"""The marginalised Gaussian mixture in PyMC: the model, compiled once, and a posterior of it.

A PyMC model is built and compiled once in a process for each `Structure`; data, counts, known
parameters and the priors' numbers are put in afterwards. It runs on standardised data,
(x - mean)/sd, so that starts and steps are free of scale. Importing this imports PyMC.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields, replace
from functools import cache, cached_property
from typing import Any, NamedTuple

import numba
import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
from numba import types
from nutpie.compile_pymc import CompiledPyMCModel, address_as_void_pointer
from pymc.distributions.transforms import ordered as ascending
from pytensor.graph.replace import clone_replace

from models.mixture import Floats, Mixture
from models.model import MixtureModel
from models.priors import Dirichlet, Flat, HalfNormal, InverseGamma, LogNormal, Normal, Prior
from models.problem import CompressedData, Data
from models.pytensor_op import DATA, ENTRY, loglik_and_gradient
from models.uncertainty import score_and_information

_FAMILIES: dict[str, dict[type, Any]] = {
    "means": {Normal: pm.Normal, Flat: pm.Flat},
    "sds": {
        InverseGamma: pm.InverseGamma,
        LogNormal: pm.LogNormal,
        HalfNormal: pm.HalfNormal,
        Flat: pm.HalfFlat,
    },
}


class Structure(NamedTuple):
    """What a compiled model depends on. means, sds: class of the prior, None where known.

    likelihood: "kernel", the compiled pass of likelihood.py; or "pymc", the idiomatic
    pm.NormalMixture, the baseline and the check.
    """

    k: int
    means: type | None
    sds: type | None
    equal_sds: bool
    ordered: bool
    likelihood: str = "kernel"


def build(structure: Structure) -> pm.Model:
    """The PyMC model of a structure, on two observations in place of the data.

    Its free values are, in this order and where they are not known: weights (simplex), means
    (ascending if ordered), and variances or sds, whichever the prior is stated on.
    """
    k = structure.k
    with pm.Model(check_bounds=False) as model:
        first = {"entry": ENTRY}  # the Op calls it, whatever the other data are
        data = {n: pm.Data(n, first.get(n, np.ones(2))) for n in _data_names(structure)}
        weights = pt.ones(1)
        if k > 1:
            concentration = pm.Data("weights_prior", np.ones(1))
            weights = pm.Dirichlet("weights", concentration[0] * pt.ones(k))
        order = {"transform": ascending, "initval": np.arange(k)} if structure.ordered else {}
        means = _variable("means", structure.means, k, **order)
        sds = _variable("sds", structure.sds, 1 if structure.equal_sds else k)
        if structure.sds is InverseGamma:
            sds = pt.sqrt(sds)
        if structure.likelihood == "pymc":
            mixture = pm.NormalMixture.dist(w=weights, mu=means, sigma=sds)
            loglik: Any = pt.sum(data["counts"] * pm.logp(mixture, data["x"]))
        else:
            log_sds = pt.log(sds) * pt.ones(k)
            inputs = (pt.log(weights), means, log_sds, *data.values())
            loglik = loglik_and_gradient.make_node(*inputs).outputs[0]
        pm.Potential("loglik", loglik)
    return model


def _data_names(structure: Structure) -> tuple[str, ...]:
    return DATA if structure.likelihood == "kernel" else ("x", "counts")


def _variable(name: str, family: type | None, size: int, **options: Any) -> Any:
    if family is None:
        return pm.Data(name, np.ones(size))
    n = len(fields(family))
    hyper = pm.Data(f"{name}_prior", np.ones(n)) if n else []
    return _FAMILIES[name][family](name, *(hyper[i] for i in range(n)), shape=size, **options)


def density_function(model: pm.Model, *, jacobian: bool) -> tuple[Any, int]:
    """PyTensor's function of a point (d,) for the log posterior and its gradient, and d."""
    sizes = [variable.type.shape[0] for variable in model.value_vars]
    point = pt.vector("point", shape=(sum(sizes),))
    ends = np.cumsum(sizes)
    parts = [point[end - size : end] for size, end in zip(sizes, ends, strict=True)]
    given = dict(zip(model.value_vars, parts, strict=True))
    free: Any = model.logp(jacobian=jacobian)
    logp = clone_replace([free], given)[0]
    gradient: Any = pt.grad(logp, point)
    return pytensor.function([point], [logp, gradient], trust_input=True), sum(sizes)


@cache
def compiled_density(structure: Structure) -> tuple[Callable[[Floats], Any], pm.Model]:
    """The log posterior without Jacobian, and its gradient, at a point (d,); and the model.

    Put the data into the model before a call. Constants are those of the standardised data.
    """
    with _rounding(structure):
        model = build(structure)
        function, size = density_function(model, jacobian=False)
        function(np.zeros(size))  # Numba compiles at the first call.
    return function, model


def _rounding(structure: Structure) -> Any:
    """PyTensor's settings under which the kernel's densities round alike in every process.

    With fast-math the compiler may rearrange small expressions differently where it compiles
    them anew and where it loads them from the cache. The pm.NormalMixture baseline keeps
    PyTensor's defaults.
    """
    return pytensor.config.change_flags(numba__fastmath=structure.likelihood == "pymc")


class Sampler(NamedTuple):
    """A compiled model for nutpie, and the names of the data that it takes, in its order.

    nutpie's own compilation of a PyMC model takes two to four times as long, for a general
    reading of shared variables and for expanding the draws; here all data are vectors, and a
    draw is the point itself.
    """

    compiled: CompiledPyMCModel
    names: list[str]

    def with_data(
        self, shared: dict[str, Floats], initial_point: Callable[[int], Floats]
    ) -> CompiledPyMCModel:
        """The model with data by name and a starting point (d,) by seed; nothing is compiled."""
        arrays = [np.ascontiguousarray(shared[name], dtype=float) for name in self.names]
        table = np.array([(array.ctypes.data, array.size) for array in arrays], dtype=np.int64)
        return replace(
            self.compiled,
            initial_point_func=initial_point,
            shared_data=dict(zip(self.names, arrays, strict=True)),
            user_data=table,
        )


@cache
def compiled_sampler(structure: Structure) -> Sampler:
    """The log posterior with Jacobian for nutpie; draws are points (d,) of the name "point"."""
    with _rounding(structure):
        function, size = density_function(build(structure), jacobian=True)
        names = [variable.name for variable in function.get_shared()]
        logp = _logp_cfunc(function.vm.jit_fn, size, len(names))
    compiled = CompiledPyMCModel(
        dims={},
        _coords={},
        _shapes={"point": (size,)},
        compiled_logp_func=logp,
        compiled_expand_func=_expand_cfunc(),
        initial_point_func=lambda seed: np.zeros(size),
        shared_data={},
        shared_var_keys={},
        user_data=np.zeros((len(names), 2), dtype=np.int64),
        n_expanded=size,
        shape_info=(["point"], [slice(0, size)], [(size,)]),
        logp_func=None,
        expand_func=None,
        _n_dim=size,
    )
    return Sampler(compiled, names)


_POINTER = types.CPointer(types.double)


def _logp_cfunc(density: Any, size: int, n_shared: int) -> Any:
    """nutpie's C function (d, point, gradient out, value out, table of the data) -> 0 if finite."""

    @numba.njit
    def vector(table: Any, i: int) -> Any:
        return numba.carray(address_as_void_pointer(table[i, 0]), table[i, 1], np.float64)

    # Numba cannot unpack a tuple of arrays of its own making into the call: it is written out.
    source = f"""
def logp(size, point, gradient_out, value_out, data):
    table = numba.carray(data, ({n_shared}, 2), np.int64)
    value, gradient = density(
        numba.carray(point, ({size},)), {", ".join(f"vector(table, {i})" for i in range(n_shared))}
    )
    out = numba.carray(gradient_out, ({size},))
    finite = np.isfinite(value[()])
    for i in range({size}):
        out[i] = gradient[i]
        finite = finite and np.isfinite(gradient[i])
    numba.carray(value_out, (1,))[0] = value[()]
    return 0 if finite else 3
"""
    names: dict[str, Any] = {"numba": numba, "np": np, "density": density, "vector": vector}
    exec(source, names)
    signature = types.int64(types.uint64, _POINTER, _POINTER, _POINTER, types.voidptr)
    return numba.cfunc(signature, error_model="numpy")(names["logp"])


@cache
def _expand_cfunc() -> Any:
    """nutpie's C function from a point to what it stores: the point."""

    def expand(size: int, expanded: int, point: Any, out: Any, data: Any) -> int:
        for i in range(size):
            out[i] = point[i]
        return 0

    signature = types.int64(types.uint64, types.uint64, _POINTER, _POINTER, types.voidptr)
    return numba.cfunc(signature)(expand)


def timed[T](build: Callable[[Structure], T], structure: Structure) -> tuple[T, float]:
    """What a cached function builds, and the seconds it took: 0.0 if it was there already."""
    before = build.cache_info().misses  # type: ignore[attr-defined]
    begin = time.perf_counter()
    built = build(structure)
    seconds = time.perf_counter() - begin
    return built, seconds if build.cache_info().misses > before else 0.0  # type: ignore[attr-defined]


@dataclass(frozen=True, eq=False)
class Posterior:
    """One data set's posterior, and the map between its mixtures and the model's points.

    A point (d,) holds the model's free values as PyMC transforms them, of standardised data:
    the first K - 1 centred log-ratios of the weights, the means (if ordered, the first and the
    logs of the gaps), and the logs of the variances or sds, whichever the prior is stated on.
    Flat weights run as Dirichlet(1), which is the same but for a constant.
    """

    data: Data
    model: MixtureModel
    prior: Prior
    ordered: bool = False
    likelihood: str = "kernel"

    @cached_property
    def structure(self) -> Structure:
        """The key of the compiled model."""
        return Structure(
            self.model.k,
            type(self.prior.means) if self.model.means is None else None,
            type(self.prior.sds) if self.model.sds is None else None,
            self.model.equal_sds,
            self.ordered,
            self.likelihood,
        )

    @cached_property
    def shared(self) -> dict[str, Floats]:
        """The compiled model's data by name: observations, known parameters, priors' numbers."""
        data, model = self.data, self.model
        standard = self.prior.standardised(data.mean, data.sd)
        nothing = np.zeros(0)
        shared = dict.fromkeys(DATA, nothing)
        shared |= {"x": (data.x - data.mean) / data.sd, "counts": data.counts, "entry": ENTRY}
        if isinstance(data, CompressedData):
            cells = data.compressed.geometry - [data.mean, 0.0, 0.0]
            shared |= {
                "cells": (cells / [data.sd, data.sd, 1.0]).ravel(),
                "exact_x": (data.exact.x - data.mean) / data.sd,
                "exact_counts": data.exact.counts,
                "tolerance": np.array([data.tolerance]),
                "tally": data.exact_passes,
            }
        names = _data_names(self.structure)
        shared = {name: value for name, value in shared.items() if name in names}
        if model.k > 1:
            weights = standard.weights
            concentration = weights.concentration if isinstance(weights, Dirichlet) else 1.0
            shared["weights_prior"] = np.array([concentration])
        if model.means is not None:
            shared["means"] = (model.means - data.mean) / data.sd
        elif astuple(standard.means):
            shared["means_prior"] = np.array(astuple(standard.means))
        if model.sds is not None:
            shared["sds"] = model.sds / data.sd
        elif astuple(standard.sds):
            shared["sds_prior"] = np.array(astuple(standard.sds))
        return shared

    @property
    def _power(self) -> float:
        return 2.0 if isinstance(self.prior.sds, InverseGamma) else 1.0

    def point(self, mixture: Mixture) -> Floats:
        """(d,): the mixture's point; if ordered, its means must ascend."""
        log_weights = np.log(np.maximum(mixture.weights, 1e-300))
        parts = [(log_weights - log_weights.mean())[:-1]]
        if self.model.means is None:
            means = (mixture.means - self.data.mean) / self.data.sd
            if self.ordered:
                means[1:] = np.log(np.maximum(np.diff(means), 1e-6))
            parts.append(means)
        if self.model.sds is None:
            sds = mixture.sds[:1] if self.model.equal_sds else mixture.sds
            parts.append(self._power * np.log(sds / self.data.sd))
        return np.concatenate(parts)

    def parameters(self, points: Floats) -> tuple[Floats, Floats, Floats]:
        """Weights, means and sds (..., K) in data units at the points (..., d)."""
        model, data, k = self.model, self.data, self.model.k
        logits, means, log_sds = np.split(
            points, [k - 1, points.shape[-1] - self.model.n_free_sds], axis=-1
        )
        logits = np.concatenate([logits, -logits.sum(axis=-1, keepdims=True)], axis=-1)
        weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        if self.ordered:
            means = np.cumsum(np.append(means[..., :1], np.exp(means[..., 1:]), axis=-1), axis=-1)
        means = model.means if model.means is not None else data.mean + data.sd * means
        sds = model.sds if model.sds is not None else data.sd * np.exp(log_sds / self._power)
        means, sds = (np.array(np.broadcast_to(v, weights.shape)) for v in (means, sds))
        return weights, means, sds

    def mixture(self, point: Floats) -> Mixture:
        """The mixture at a point (d,)."""
        return Mixture.trusted(*self.parameters(point))

    def bounds(self) -> list[tuple[float, float]]:
        """By entry of a point: wide enough for any mode, and no overflow within them.

        The lowest sds lie below the data's floor, so a search that falls there is a collapse.
        """
        k = self.model.k
        lowest = np.log(0.1 * self.data.sd_floor / self.data.sd)
        free_means = k if self.model.means is None else 0
        return [
            *[(-100.0, 100.0)] * (k - 1),
            *[(-np.inf, np.inf)] * free_means,
            *[(self._power * lowest, self._power * 20.0)] * self.model.n_free_sds,
        ]

    def derivatives(self, mixture: Mixture) -> tuple[Floats, Floats]:
        """Score (n_free,) and information (n_free, n_free) of the log posterior, no Jacobian."""
        second = self.data.second_moments(mixture)
        gradient, curvature = score_and_information(mixture, self.model, second)
        return (
            gradient + self.prior.score(mixture, self.model),
            curvature + self.prior.information(mixture, self.model),
        )
