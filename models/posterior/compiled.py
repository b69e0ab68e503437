"""The posterior density compiled once on a machine, and kept on disk as one C function.

A PyMC model is built and compiled once for each `Structure`; PyMC itself is imported only where
there is something to compile.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numba
import numpy as np
import pytensor
from numba import types
from numba.core.errors import TypingError
from pytensor.link.numba.cache import compile_numba_function_src

from models import priors
from models.mixture import Floats
from models.posterior import density as pymc_density
from models.posterior.density import (
    Structure,
    build,
    data_names,
    density_function,
    first_value,
    size,
)
from models.posterior.op import PASS_SOURCES, digest

if TYPE_CHECKING:
    from nutpie.compile_pymc import CompiledPyMCModel

# All that decides how a model is compiled, but for the packages.
SOURCES = (*PASS_SOURCES, Path(priors.__file__), Path(pymc_density.__file__), Path(__file__))

_POINTER = types.CPointer(types.double)

_SIGNATURE = types.int64(types.uint64, _POINTER, _POINTER, _POINTER, types.voidptr)


def c_function(structure: Structure, *, jacobian: bool) -> Any:
    """The log posterior as nutpie calls it, from the cache on disk or compiled.

    (d, point, gradient out, value out, table of the data) -> 0 if all are finite.
    """
    names = data_names(structure)
    # Numba cannot unpack a tuple of arrays of its own making into the call: it is written out.
    source = f"""
def logp(size, point, gradient_out, value_out, data):
    table = numba.carray(data, ({len(names)}, 2), np.int64)
    value, gradient = density(
        numba.carray(point, ({size(structure)},)),
        {", ".join(f"vector(table, {i})" for i in range(len(names)))}
    )
    out = numba.carray(gradient_out, ({size(structure)},))
    finite = np.isfinite(value[()])
    for i in range({size(structure)}):
        out[i] = gradient[i]
        finite = finite and np.isfinite(gradient[i])
    numba.carray(value_out, (1,))[0] = value[()]
    return 0 if finite else 3
"""
    called: dict[str, Any] = {"__name__": __name__}  # Numba imports it on loading.
    logp = compile_numba_function_src(source, "logp", called, cache_key=key(structure, jacobian))
    compiled = numba.cfunc(_SIGNATURE, cache=True, error_model="numpy")
    try:
        return compiled(logp)
    except TypingError:  # It is not in the cache, and what it calls is not there yet.
        called.update(_called(structure, jacobian))
        return compiled(logp)


def key(structure: Structure, jacobian: bool) -> str:
    """What the compiled function depends on, as a hash: nothing else is looked at on loading."""
    packages = ("pymc", "pytensor", "numba", "llvmlite", "nutpie", "numpy")
    settings = pytensor.config.get_config_hash()
    parts = (structure, jacobian, digest(SOURCES), [version(p) for p in packages], settings)
    return sha256(repr(parts).encode()).hexdigest()


def _called(structure: Structure, jacobian: bool) -> dict[str, Any]:
    """The names in the C function's source, PyTensor's compiled density among them."""
    from nutpie.compile_pymc import address_as_void_pointer

    @numba.njit
    def vector(table: Any, i: int) -> Any:
        return numba.carray(address_as_void_pointer(table[i, 0]), table[i, 1], np.float64)

    model = build(structure, jacobian=jacobian)
    # With fast-math the compiler may rearrange small expressions differently where it compiles
    # them anew and where it loads them from PyTensor's cache. The pm.NormalMixture baseline keeps
    # PyTensor's defaults.
    with pytensor.config.change_flags(numba__fastmath=structure.likelihood == "pymc"):
        density = density_function(model, jacobian=jacobian).vm.jit_fn
    return {"numba": numba, "np": np, "density": density, "vector": vector}


def _table(arrays: Sequence[Floats]) -> Any:
    """The addresses and sizes of the data, (n, 2)."""
    return np.array([(array.ctypes.data, array.size) for array in arrays], dtype=np.int64)


class Vector:
    """One of the data of a compiled function."""

    def __init__(self, row: Any, value: Floats) -> None:
        self._row = row  # of the function's table, (2,)
        self.set_value(value)

    def set_value(self, value: Floats) -> None:
        """Let the function read, and of a tally write, the value itself."""
        self._value = np.ascontiguousarray(value, dtype=float)
        self._row[:] = _table([self._value])[0]


@cache
def compiled_density(structure: Structure) -> tuple[Callable[[Floats], Any], dict[str, Vector]]:
    """The log posterior without Jacobian, and its gradient, at a point (d,); and its data by name.

    Set the data before a call. Constants are those of the standardised data.
    """
    compiled = c_function(structure, jacobian=False)
    names, d = data_names(structure), size(structure)
    table = np.zeros((len(names), 2), dtype=np.int64)
    data = {name: Vector(row, first_value(name)) for name, row in zip(names, table, strict=True)}
    here, gradient, value = np.empty(d), np.empty(d), np.empty(1)
    pointer = ctypes.POINTER(ctypes.c_double)
    pointers = [array.ctypes.data_as(pointer) for array in (here, gradient, value)]

    def density(point: Floats) -> tuple[float, Floats]:
        here[:] = point
        compiled.ctypes(d, *pointers, table.ctypes.data)
        return value.item(), gradient.copy()

    return density, data


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
        return replace(
            self.compiled,
            initial_point_func=initial_point,
            shared_data=dict(zip(self.names, arrays, strict=True)),
            user_data=_table(arrays),
        )


@cache
def compiled_sampler(structure: Structure) -> Sampler:
    """The log posterior with Jacobian for nutpie; draws are points (d,) of the name "point"."""
    from nutpie.compile_pymc import CompiledPyMCModel

    names, d = data_names(structure), size(structure)
    compiled = CompiledPyMCModel(
        dims={},
        _coords={},
        _shapes={"point": (d,)},
        compiled_logp_func=c_function(structure, jacobian=True),
        compiled_expand_func=_expand_cfunc(),
        initial_point_func=lambda seed: np.zeros(d),
        shared_data={},
        shared_var_keys={},
        user_data=np.zeros((len(names), 2), dtype=np.int64),
        n_expanded=d,
        shape_info=(["point"], [slice(0, d)], [(d,)]),
        logp_func=None,
        expand_func=None,
        _n_dim=d,
    )
    return Sampler(compiled, names)


@cache
def _expand_cfunc() -> Any:
    """nutpie's C function from a point to what it stores: the point."""

    def expand(size: int, expanded: int, point: Any, out: Any, data: Any) -> int:
        for i in range(size):
            out[i] = point[i]
        return 0

    signature = types.int64(types.uint64, types.uint64, _POINTER, _POINTER, types.voidptr)
    return numba.cfunc(signature, cache=True)(expand)


def timed[T](build: Callable[[Structure], T], structure: Structure) -> tuple[T, float]:
    """What a cached function builds, and the seconds it took: 0.0 if it was there already."""
    before = build.cache_info().misses  # type: ignore[attr-defined]
    begin = time.perf_counter()
    built = build(structure)
    seconds = time.perf_counter() - begin
    return built, seconds if build.cache_info().misses > before else 0.0  # type: ignore[attr-defined]
