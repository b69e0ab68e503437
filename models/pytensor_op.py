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
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_and_cache_key

from models import likelihood
from models.likelihood import add_pass


class LoglikAndGradient(Op):
    """log-likelihood () and its gradient (3, K).

    Inputs: log weights, means and log sds, each (K,); observations and counts (n,), contiguous;
    and ENTRY. The gradient is by the first three, the log weights taken as free of each other.
    The pullback of the value reuses the second output, so a graph with value and gradient holds
    one node of this Op and passes over the data once.

    The pass is called by its address. Compiled into the graph it would be optimised anew with its
    surroundings, differently in the process that compiles them and in those that load them from
    PyTensor's cache, and the same fit would differ in its last digits.
    """

    __props__ = ()

    def make_node(self, *inputs: Any) -> Apply:
        """The node of log weights, means, log sds, x, counts and ENTRY."""
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
        return [[True, False]] * 3 + [[False, False]] * 3

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable],
    ) -> list[Variable]:
        """The cotangent of the value times the gradient that came with it."""
        value, gradient = cotangents[0], outputs[1]
        by_parameter: list[Variable] = [value * gradient[row] for row in range(3)]  # type: ignore
        return [*by_parameter, *(disconnected_type() for _ in range(3))]


loglik_and_gradient = LoglikAndGradient()


_POINTER = types.CPointer(types.double)


@cfunc(
    types.double(types.int64, types.int64, *[_POINTER] * 6),
    cache=True,
    error_model="numpy",
)
def _entry(  # type: ignore[no-untyped-def]  # numba compiles this
    k, n, weights, means, sds, x, counts, sums
):
    return add_pass(
        carray(weights, (k,)),
        carray(means, (k,)),
        carray(sds, (k,)),
        carray(x, (n,)),
        carray(counts, (n,)),
        carray(sums, (k, 3)),
        np.zeros((0, 0)),
    )


# Where the compiled pass stands in this process, as data of the graph: see LoglikAndGradient.
ENTRY = np.array([_entry.address], dtype=float)


@intrinsic
def _call_entry(typingctx, address, k, n, *arrays):  # type: ignore[no-untyped-def]
    """The pass at an address; the arrays as the addresses of their data."""

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        entry, sizes, data = arguments[0], arguments[1:3], arguments[3]
        double, integer = ir.DoubleType(), ir.IntType(64)
        kind = ir.FunctionType(double, [integer, integer, *[double.as_pointer()] * 6])
        pointers = [
            builder.inttoptr(builder.extract_value(data, i), double.as_pointer()) for i in range(6)
        ]
        return builder.call(builder.inttoptr(entry, kind.as_pointer()), [*sizes, *pointers])

    return types.double(address, k, n, types.StarArgTuple(arrays)), codegen


def _source(log_weights, means, log_sds, x, counts, entry):  # type: ignore[no-untyped-def]
    k = means.size
    weights, centres, sds = np.exp(log_weights), means.copy(), np.exp(log_sds)
    sums = np.zeros((k, 3))
    value = _call_entry(
        np.int64(entry[0]),
        k,
        x.size,
        weights.ctypes.data,
        centres.ctypes.data,
        sds.ctypes.data,
        x.ctypes.data,
        counts.ctypes.data,
        sums.ctypes.data,
    )
    gradient = np.empty((3, k))
    for j in range(k):
        gradient[0, j] = sums[j, 0]
        gradient[1, j] = sums[j, 1] / sds[j]
        gradient[2, j] = sums[j, 2] - sums[j, 0]
    return np.asarray(value), gradient


_value_and_gradient = numba_njit(_source, final_function=True)


@register_funcify_and_cache_key(LoglikAndGradient)
def _funcify(op: LoglikAndGradient, node: Apply, **settings: Any) -> tuple[Callable[..., Any], str]:
    # PyTensor's cache on disk does not look at sources: the key must change with the pass itself.
    files = (Path(likelihood.__file__), Path(__file__))
    key = sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    return numba_njit(_source), key
