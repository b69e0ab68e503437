"""The compiled pass over the data as one PyTensor Op: value and gradient from a single pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import disconnected_type
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_and_cache_key

from models import kernels

# Inputs of the Op that are data, behind its three parameters.
DATA = ("x", "counts", "cells", "exact_x", "exact_counts", "tolerance", "tally", "entry")
N_DATA = len(DATA)

# PyTensor's cache on disk looks at no source: what is compiled from these files must be stored
# under a key that changes with all of them.
PASS_SOURCES = tuple(Path(file) for file in (kernels.__file__, __file__))


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

    def make_node(self, *inputs: Any) -> Apply[Any]:
        """The node of the inputs, in the order of the class's text."""
        return Apply(self, [pt.as_tensor(v) for v in inputs], [pt.dscalar(), pt.dmatrix()])

    def perform(self, node: Apply[Any], inputs: Sequence[Any], output_storage: Any) -> None:
        """Without a compiled graph."""
        value, gradient = _value_and_gradient(*inputs)
        output_storage[0][0], output_storage[1][0] = np.asarray(value), gradient

    def infer_shape(self, node: Apply[Any], shapes: Sequence[Any]) -> list[Any]:
        """() and (3, K)."""
        return [(), (3, shapes[1][0])]

    def connection_pattern(self, node: Apply[Any]) -> list[list[bool]]:
        """Only the value depends, differentiably, on the parameters, and nothing on the data."""
        return [[True, False]] * 3 + [[False, False]] * N_DATA

    def pullback(
        self,
        inputs: Sequence[Variable[Any, Any]],
        outputs: Sequence[Variable[Any, Any]],
        cotangents: Sequence[Variable[Any, Any]],
    ) -> list[Variable[Any, Any]]:
        """The cotangent of the value times the gradient that came with it."""
        value: Any = cotangents[0]
        gradient: Any = outputs[1]
        by_parameter = [value * gradient[row] for row in range(3)]
        return [*by_parameter, *(disconnected_type() for _ in range(N_DATA))]


loglik_and_gradient = LoglikAndGradient()


# Where the compiled pass stands in this process, as data of the graph: see LoglikAndGradient.
ENTRY = np.array([kernels.pass_entry()], dtype=float)


_value_and_gradient = numba_njit(kernels.value_and_gradient, final_function=True)


@register_funcify_and_cache_key(LoglikAndGradient)  # type: ignore[untyped-decorator]
def _funcify(
    op: LoglikAndGradient, node: Apply[Any], **settings: Any
) -> tuple[Callable[..., Any], str]:
    return numba_njit(kernels.value_and_gradient), _KEY
