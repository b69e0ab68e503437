"""The compiled pass over the data as one PyTensor Op: value and gradient from a single pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytensor.tensor as pt
from llvmlite import ir
from numba import carray, cfunc, types
from numba.extending import intrinsic
from pytensor.gradient import disconnected_type
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op
from pytensor.link.numba.cache import CACHED_SRC_FUNCTIONS
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_and_cache_key

from models import compression, likelihood
from models.compression import error_bound
from models.likelihood import add_pass

# Inputs of the Op that are data, behind its three parameters.
DATA = ("x", "counts", "cells", "exact_x", "exact_counts", "tolerance", "tally", "entry")
N_DATA = len(DATA)

# Caches on disk look at no source but the one that they stand beside, or at none: what is compiled
# from these files must be stored under a key that changes with all of them.
PASS_SOURCES = tuple(Path(file) for file in (likelihood.__file__, compression.__file__, __file__))


def digest(files: Sequence[Path]) -> str:
    """The hash of the files' contents."""
    return sha256(b"".join(sha256(file.read_bytes()).digest() for file in files)).hexdigest()


_KEY = digest(PASS_SOURCES)


class LoglikAndGradient(Op):
    """log-likelihood () and its gradient (3, K).

    Inputs: log weights, means and log sds, each (K,); observations and counts (n,); then of a
    compressed sample its cells (3 m,) with their centres, half widths and counts, the exact sample
    (N,), (N,), the tolerance (1,) and a tally (1,) of the passes over the exact sample, all of
    them empty for one that is not compressed; and ENTRY. All are contiguous. Where the nodes of a
    compressed sample are not certified and the exact sample is empty the value is -inf. The
    gradient is by the first three, the log weights taken as free of each other. The pullback of
    the value reuses the second output, so a graph with value and gradient holds one node of this
    Op and passes over the data once.

    The pass is called by its address. Compiled into the graph it would be optimised anew with its
    surroundings, differently in the process that compiles them and in those that load them from
    PyTensor's cache, and the same fit would differ in its last digits.
    """

    __props__ = ()

    def make_node(self, *inputs: Any) -> Apply:
        """The node of the inputs, in the order of the class's text."""
        return Apply(self, [pt.as_tensor(v) for v in inputs], [pt.dscalar(), pt.dmatrix()])

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: Any) -> None:
        """Without a compiled graph."""
        value, gradient = _value_and_gradient(*inputs)
        output_storage[0][0], output_storage[1][0] = np.asarray(value), gradient

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[Any]:
        """() and (3, K)."""
        return [(), (3, shapes[1][0])]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Only the value depends, differentiably, on the parameters, and nothing on the data."""
        return [[True, False]] * 3 + [[False, False]] * N_DATA

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable],
    ) -> list[Variable]:
        """The cotangent of the value times the gradient that came with it."""
        value, gradient = cotangents[0], outputs[1]
        by_parameter: list[Variable] = [value * gradient[row] for row in range(3)]  # type: ignore
        return [*by_parameter, *(disconnected_type() for _ in range(N_DATA))]


loglik_and_gradient = LoglikAndGradient()


_POINTER = types.CPointer(types.double)
_N_ARRAYS = 11


def _guarded_pass(  # type: ignore[no-untyped-def]  # numba compiles this
    k,
    n,
    m,
    n_exact,
    weights,
    means,
    sds,
    x,
    counts,
    cells,
    exact_x,
    exact_counts,
    tolerance,
    tally,
    sums,
):
    w, centres, spreads = carray(weights, (k,)), carray(means, (k,)), carray(sds, (k,))
    out, cross = carray(sums, (k, 3)), np.zeros((0, 0))
    if m > 0:
        bound = error_bound(w, centres, spreads, carray(cells, (m, 3)))
        if not bound <= carray(tolerance, (1,))[0]:
            carray(tally, (1,))[0] += 1.0
            if n_exact == 0:
                return -np.inf
            xs, cs = carray(exact_x, (n_exact,)), carray(exact_counts, (n_exact,))
            return add_pass(w, centres, spreads, xs, cs, out, cross)
    return add_pass(w, centres, spreads, carray(x, (n,)), carray(counts, (n,)), out, cross)


CACHED_SRC_FUNCTIONS[_guarded_pass] = _KEY
_entry = cfunc(
    types.double(*[types.int64] * 4, *[_POINTER] * _N_ARRAYS), cache=True, error_model="numpy"
)(_guarded_pass)

# Where the compiled pass stands in this process, as data of the graph: see LoglikAndGradient.
ENTRY = np.array([_entry.address], dtype=float)


@intrinsic
def _call_entry(typingctx, address, sizes, arrays):  # type: ignore[no-untyped-def]
    """The pass at an address; tuples of four sizes and of the addresses of the arrays' data."""

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        entry, numbers, data = arguments
        double, integer = ir.DoubleType(), ir.IntType(64)
        pointer = double.as_pointer()
        kind = ir.FunctionType(double, [integer] * 4 + [pointer] * _N_ARRAYS)
        values = [builder.extract_value(numbers, i) for i in range(4)]
        values += [
            builder.inttoptr(builder.extract_value(data, i), pointer) for i in range(_N_ARRAYS)
        ]
        return builder.call(builder.inttoptr(entry, kind.as_pointer()), values)

    return types.double(address, sizes, arrays), codegen


def _source(  # type: ignore[no-untyped-def]
    log_weights,
    means,
    log_sds,
    x,
    counts,
    cells,
    exact_x,
    exact_counts,
    tolerance,
    tally,
    entry,
):
    k = means.size
    # One array, which is read again after the call: Numba frees an array after its last use.
    own = np.empty((3, k))
    for j in range(k):
        own[0, j], own[1, j], own[2, j] = np.exp(log_weights[j]), means[j], np.exp(log_sds[j])
    first = np.int64(own.ctypes.data)
    sums = np.zeros((k, 3))
    value = _call_entry(
        np.int64(entry[0]),
        (np.int64(k), np.int64(x.size), np.int64(cells.size // 3), np.int64(exact_x.size)),
        (
            first,
            np.int64(first + 8 * k),
            np.int64(first + 16 * k),
            np.int64(x.ctypes.data),
            np.int64(counts.ctypes.data),
            np.int64(cells.ctypes.data),
            np.int64(exact_x.ctypes.data),
            np.int64(exact_counts.ctypes.data),
            np.int64(tolerance.ctypes.data),
            np.int64(tally.ctypes.data),
            np.int64(sums.ctypes.data),
        ),
    )
    for j in range(k):
        sums[j, 1] /= own[2, j]
        sums[j, 2] -= sums[j, 0]
    return np.asarray(value), sums.T


_value_and_gradient = numba_njit(_source, final_function=True)


@register_funcify_and_cache_key(LoglikAndGradient)
def _funcify(op: LoglikAndGradient, node: Apply, **settings: Any) -> tuple[Callable[..., Any], str]:
    return numba_njit(_source), _KEY
