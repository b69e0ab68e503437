"""The posterior density compiled once on a machine, and kept on disk as one C function.

A PyMC model is built and compiled once for each `Structure`; PyMC itself is imported only where
there is something to compile.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import pytensor
from numba import types
from numba.core.errors import TypingError

from models import kernels, priors
from models.elsewhere import compile_elsewhere, compiling, order
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
    from nutpie.sample import CompiledModel

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
    table = carray(data, ({len(names)}, 2), np.int64)
    value, gradient = density(
        carray(point, ({size(structure)},)),
        {", ".join(f"vector_of(table, {i})" for i in range(len(names)))}
    )
    out = carray(gradient_out, ({size(structure)},))
    finite = np.isfinite(value[()])
    for i in range({size(structure)}):
        out[i] = gradient[i]
        finite = finite and np.isfinite(gradient[i])
    carray(value_out, (1,))[0] = value[()]
    return 0 if finite else 3
"""
    file = _stored(source, key(structure, jacobian))
    called: dict[str, Any] = {"__name__": __name__}  # Numba imports it on loading.
    exec(compile(source, str(file), "exec"), called)
    compiled = numba.cfunc(_SIGNATURE, cache=True, error_model="numpy")
    if not compiling():
        if (found := _loaded(compiled, called["logp"])) is None:
            _compile(structure, jacobian)
            found = _loaded(compiled, called["logp"])
        if found is not None:
            return found
    called |= {"np": np, "carray": numba.carray, "vector_of": kernels.vector_of}
    called["density"] = _density(structure, jacobian)
    return compiled(called["logp"])


def _loaded(compiled: Any, logp: Callable[..., Any]) -> Any | None:
    """The C function from the cache; None where it is not: what it calls is not there either."""
    try:
        return compiled(logp)
    except TypingError:
        return None


def _compile(structure: Structure, jacobian: bool) -> None:
    """Leave the compiled function in the cache.

    Without PyTensor's own cache, from which pieces are linked differently.
    """
    compile_elsewhere(
        "from models.posterior import compiled; compiled.compile_ordered()",
        pickle.dumps((structure, jacobian)).hex(),
        "numba__cache=False",
    )


def compile_ordered() -> None:
    """What `_compile` has the other process do."""
    structure, jacobian = pickle.loads(bytes.fromhex(order()))
    c_function(structure, jacobian=jacobian)


def _stored(source: str, name: str) -> Path:
    """A file of the source that no later one changes: Numba keeps machine code by name and stamp.

    A process that finds it there is spared PyMC and PyTensor: 1.7 seconds with their own caches
    full, 13 without.
    """
    folder = Path(pytensor.config.base_compiledir) / "mixtures"
    file = folder / f"{name}.py"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=folder, delete=False) as whole:
            whole.write(source)
        os.utime(whole.name, (0, 0))  # The same stamp, whichever of two processes comes last.
        os.replace(whole.name, file)
    return file


def key(structure: Structure, jacobian: bool) -> str:
    """What the compiled function depends on, as a hash: nothing else is looked at on loading."""
    packages = ("pymc", "pytensor", "numba", "llvmlite", "nutpie", "numpy")
    settings = pytensor.config.get_config_hash()
    parts = (structure, jacobian, digest(SOURCES), [version(p) for p in packages], settings)
    return sha256(repr(parts).encode()).hexdigest()


def _density(structure: Structure, jacobian: bool) -> Any:
    """PyTensor's compiled function of a point and the data, for Numba to call."""
    model = build(structure, jacobian=jacobian)
    # With fast-math the compiler may rearrange small expressions differently where it compiles
    # them anew and where it loads them from PyTensor's cache. The pm.NormalMixture baseline keeps
    # PyTensor's defaults.
    with pytensor.config.change_flags(numba__fastmath=structure.likelihood == "pymc"):
        return density_function(model, jacobian=jacobian).vm.jit_fn


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
    names = data_names(structure)
    table = np.zeros((len(names), 2), dtype=np.int64)
    data = {name: Vector(row, first_value(name)) for name, row in zip(names, table, strict=True)}
    return _in_python(c_function(structure, jacobian=False), size(structure), table), data


def _in_python(compiled: Any, d: int, table: Any) -> Callable[[Floats], tuple[float, Floats]]:
    """A C function of `c_function` with the data of a table: value and gradient at a point (d,)."""
    here, gradient, value = np.empty(d), np.empty(d), np.empty(1)
    pointer = ctypes.POINTER(ctypes.c_double)
    pointers = [array.ctypes.data_as(pointer) for array in (here, gradient, value)]
    call, data = compiled.ctypes, table.ctypes

    def density(point: Floats) -> tuple[float, Floats]:
        here[:] = point
        call(d, *pointers, data.data)
        return value.item(), gradient.copy()

    return density


@dataclass(frozen=True, eq=False)
class Sampler:
    """The log posterior with Jacobian as a C function, and the names of its data, in its order.

    All data are vectors, and a draw is the point (d,) itself, of the name "point".
    """

    logp: Any
    names: list[str]
    d: int

    def with_data(
        self, shared: dict[str, Floats], initial_point: Callable[[int], Floats]
    ) -> CompiledModel:
        """For nutpie, with data by name and a starting point (d,) by seed; nothing is compiled."""
        arrays = [np.ascontiguousarray(shared[name], dtype=float) for name in self.names]
        try:
            return native_model(self, arrays, initial_point)
        except (ImportError, TypeError) as error:
            warnings.warn(
                f"nutpie no longer takes a C function ({error}): sampling goes through Python, "
                "with the same draws, at a fifth of the speed for small data",
                stacklevel=2,
            )
            return python_model(self, arrays, initial_point)


@cache
def compiled_sampler(structure: Structure) -> Sampler:
    """The sampler of a structure."""
    logp = c_function(structure, jacobian=True)
    return Sampler(logp, data_names(structure), size(structure))


def native_model(
    sampler: Sampler, arrays: Sequence[Floats], initial_point: Callable[[int], Floats]
) -> CompiledModel:
    """nutpie's model of the C function itself, by a constructor that nutpie does not document.

    nutpie's `compile_pymc_model` takes 11 seconds in every process for what is loaded in 0.04
    here, and 23 for 13 where the caches are empty.
    """
    from nutpie.compile_pymc import CompiledPyMCModel

    d = sampler.d
    return CompiledPyMCModel(
        dims={},
        _coords={},
        _shapes={"point": (d,)},
        compiled_logp_func=sampler.logp,
        compiled_expand_func=kernels.expand_function(),
        initial_point_func=initial_point,
        shared_data=dict(zip(sampler.names, arrays, strict=True)),
        shared_var_keys={},
        user_data=_table(arrays),
        n_expanded=d,
        shape_info=(["point"], [slice(0, d)], [(d,)]),
        logp_func=None,
        expand_func=None,
        _n_dim=d,
    )


def python_model(
    sampler: Sampler, arrays: Sequence[Floats], initial_point: Callable[[int], Floats]
) -> CompiledModel:
    """The same model by nutpie's documented `from_pyfunc`, which calls Python for every gradient.

    The draws are the same, to the bit; 8,000 of 300 observations take 0.7 seconds, not 0.15.
    """
    from nutpie.compiled_pyfunc import from_pyfunc

    table = _table(arrays)

    def make_logp() -> Callable[..., tuple[float, Floats]]:
        density = _in_python(sampler.logp, sampler.d, table)
        return lambda point, data: density(point)

    def make_expand(*seeds: int) -> Callable[..., dict[str, Floats]]:
        return lambda point, data: {"point": point}

    return from_pyfunc(
        sampler.d,
        make_logp,
        make_expand,
        [np.dtype(float)],
        [(sampler.d,)],
        ["point"],
        shared_data={"data": arrays},  # which the table points to
        make_initial_point_fn=initial_point,
    )


def timed[T](build: Callable[[Structure], T], structure: Structure) -> tuple[T, float]:
    """What a cached function builds, and the seconds it took: 0.0 if it was there already."""
    before = build.cache_info().misses  # type: ignore[attr-defined]
    begin = time.perf_counter()
    built = build(structure)
    seconds = time.perf_counter() - begin
    return built, seconds if build.cache_info().misses > before else 0.0  # type: ignore[attr-defined]
