"""Every compiled function of models/, and the constants that they hold.

Numba's cache on disk looks at the stamp of one file, the one that a function stands in: with
callees and constants in this file too, no edit leaves old machine code. Hence two rules: what is
compiled by Numba stands here, and nothing of the repository is imported. What the functions mean
is said where they are called.

Arrays are contiguous. K: components; n: observations, x with counts; m: cells or draws.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import carray, cfunc, njit, types
from numba.extending import intrinsic, overload, register_jitable
from numpy.typing import NDArray

type Floats = NDArray[np.float64]
type Integers = NDArray[np.int64]
type Permutations = NDArray[np.intp]

LOG_2PI = math.log(2.0 * math.pi)

# Observations at a time in a pass: what is held of them stays in the first-level cache.
BLOCK = 128
MOST = 200  # components whose factors' product over a block cannot overflow: MOST^BLOCK < 1e308

# Nodes a cell. For an error of 1e-15 the cells must be so small that rho^DEGREE = 1e15; nodes a
# unit of length go with DEGREE * rho, which falls until DEGREE is about 35, cells with rho.
DEGREE = 24
DEEPEST = 14  # halvings of a cell, at most
# The cells are fit for sds this much smaller and larger than the pilot's.
MARGIN = 0.8
SORTED = 32_768  # observations that are sorted by cell at a time: they stay in the cache
# Bernstein ellipses, tried in this order; half as many digits of an error are gained at 2 as at 4.
_RHO = (6.0, 5.0, 4.6, 4.2, 3.6, 3.0, 2.0)
_EPS = 2.0**-52

# Fast-math is said outright everywhere: a function without flags takes over those of the one that
# happens to call it first.
_compiled = njit(cache=True, error_model="numpy", fastmath=False)
# Sums may be reassociated, so that they vectorise; NaN and infinities keep their meaning. Where
# such a function is called by another it must be inlined: its copy in the caller's machine code is
# optimised once more, with other roundings, and which of the two runs would depend on what was
# loaded first.
_REASSOCIATE = {"reassoc", "contract", "nsz", "arcp"}
_vectorised = njit(cache=True, error_model="numpy", fastmath=_REASSOCIATE)
_inlined = njit(cache=True, error_model="numpy", fastmath=_REASSOCIATE, forceinline=True)
# Reassociation would cancel the rounding constant of exp.
_fused = njit(cache=True, error_model="numpy", fastmath={"contract"}, forceinline=True)

_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
_SHIFT = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to an integer in the low bits
_TWO_52 = 2.0**52
_EXP = tuple(1.0 / math.factorial(i) for i in range(14))
_LOG = tuple(2.0 / (2 * i + 1) for i in range(12))


def fixed(values: Floats) -> Floats:
    """The values (...) as they are, or a view of them, contiguous and read-only.

    Numba compiles anew for an array that can be written, and for one that cannot: what a kernel
    reads is always the second.
    """
    if values.flags.writeable or not values.flags.c_contiguous:
        values = np.ascontiguousarray(values, dtype=np.float64).view()
        values.flags.writeable = False
    return values


# --- Special functions -----------------------------------------------------------------------


def _bitcast(source: Any, target: Any, kind: ir.Type) -> Any:
    """A Numba function that reads the bits of a number as another type."""

    def cast(typingctx, value):  # type: ignore[no-untyped-def]  # numba's own calling sequence
        def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            return builder.bitcast(arguments[0], kind)

        return target(source), codegen

    return intrinsic(cast)


_bits = _bitcast(types.float64, types.int64, ir.IntType(64))
_float = _bitcast(types.int64, types.float64, ir.DoubleType())


@_fused
def fast_exp(a: float) -> float:
    """exp(a) for a <= 0, within 2 ulp; 0 below -708. Not reassociated: the shift must survive."""
    a = max(a, -709.0)
    shifted = a * 1.4426950408889634 + _SHIFT
    n = shifted - _SHIFT
    r = (a - n * _LN2_HIGH) - n * _LN2_LOW
    # Even and odd powers apart: one chain of dependent steps would be twice as long.
    r2 = r * r
    even = _EXP[12]
    even = even * r2 + _EXP[10]
    even = even * r2 + _EXP[8]
    even = even * r2 + _EXP[6]
    even = even * r2 + _EXP[4]
    even = even * r2 + _EXP[2]
    odd = _EXP[13]
    odd = odd * r2 + _EXP[11]
    odd = odd * r2 + _EXP[9]
    odd = odd * r2 + _EXP[7]
    odd = odd * r2 + _EXP[5]
    odd = odd * r2 + _EXP[3]
    p = r2 * (odd * r + even) + r + 1.0
    # The exponent's bits are the low ones of `shifted`. No shift to the right: AVX2 has none.
    return p * _float((_bits(shifted) << 52) + (1023 << 52))


@_fused
def fast_log(s: float) -> float:
    """log(s) for normal s >= 1, within 2 ulp."""
    bits = _bits(s)
    # Mantissa in [sqrt(1/2), sqrt(2)): subtract the bits of sqrt(1/2), keep the exponent apart.
    # Shifted without a sign, and made a number by way of 2^52: AVX2 knows no other way.
    exponent = np.int64(np.uint64(bits - 4604544271217802189) >> np.uint64(52))
    m = _float(bits - (exponent << 52))
    f = (m - 1.0) / (m + 1.0)
    g = f * f
    p = _LOG[11]
    p = p * g + _LOG[10]
    p = p * g + _LOG[9]
    p = p * g + _LOG[8]
    p = p * g + _LOG[7]
    p = p * g + _LOG[6]
    p = p * g + _LOG[5]
    p = p * g + _LOG[4]
    p = p * g + _LOG[3]
    p = p * g + _LOG[2]
    p = p * g + _LOG[1]
    p = p * g
    e = _float(exponent | _bits(_TWO_52)) - _TWO_52
    return e * _LN2_HIGH + (f * p + (e * _LN2_LOW + 2.0 * f))


# --- Passes over the data --------------------------------------------------------------------


_POINTER = types.CPointer(types.double)
_N_SIZES, _N_ARRAYS = 5, 12


@_inlined
def _add_pair(
    weights: Floats, means: Floats, sds: Floats, x: Floats, counts: Floats, out: Floats
) -> float:
    """`_add_pass` for two components, out (2, 3): only the difference of the terms needs an exp.

    Where the counts are ones, the logs of a block are taken at once, of a product of factors
    between 1 and 2.
    """
    mean1, mean2, precision1, precision2 = means[0], means[1], 1.0 / sds[0], 1.0 / sds[1]
    scale1 = math.log(weights[0]) - math.log(sds[0]) - 0.5 * LOG_2PI
    scale2 = math.log(weights[1]) - math.log(sds[1]) - 0.5 * LOG_2PI
    factor = np.empty(BLOCK)
    loglik = 0.0
    n1, a1, b1, n2, a2, b2 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for begin in range(0, x.size, BLOCK):
        size = min(BLOCK, x.size - begin)
        xs = x[begin : begin + size]
        cs = counts[begin : begin + size]
        others = 0
        for i in range(size):
            others += cs[i] != 1.0
        for i in range(size):
            z1, z2 = (xs[i] - mean1) * precision1, (xs[i] - mean2) * precision2
            term1, term2 = scale1 - 0.5 * z1 * z1, scale2 - 0.5 * z2 * z2
            top = max(term1, term2)
            e = fast_exp(min(term1, term2) - top)
            f = 1.0 + e
            factor[i] = f
            larger = cs[i] / f
            smaller = e * larger
            t1 = larger if term1 >= term2 else smaller
            t2 = smaller if term1 >= term2 else larger
            loglik += cs[i] * top
            n1 += t1
            a1 += t1 * z1
            b1 += t1 * z1 * z1
            n2 += t2
            a2 += t2 * z2
            b2 += t2 * z2 * z2
        if others == 0:
            product = 1.0
            for i in range(size):
                product *= factor[i]
            loglik += math.log(product)
        else:
            for i in range(size):
                loglik += cs[i] * fast_log(factor[i])
    out[0, 0] += n1
    out[0, 1] += a1
    out[0, 2] += b1
    out[1, 0] += n2
    out[1, 1] += a2
    out[1, 2] += b2
    return loglik


@_inlined
def _add_pass(
    weights: Floats,
    means: Floats,
    sds: Floats,
    x: Floats,
    counts: Floats,
    out: Floats,
    cross: Floats,
) -> float:
    """Add the sums over x (n,) to out (K, 3 or 5) and, if that is 5, to cross (3K, 3K); the loglik.

    Where the counts are ones, the logs of a block are taken at once, of a product of factors
    between 1 and K.
    """
    k = means.size
    n = x.size
    order = out.shape[1]
    if k == 2 and order == 3:
        return _add_pair(weights, means, sds, x, counts, out)
    z = np.empty((k, BLOCK))
    t = np.empty((k, BLOCK))
    top = np.empty(BLOCK)
    total = np.empty(BLOCK)
    u = np.empty((3 * k, BLOCK))
    loglik = 0.0
    for begin in range(0, n, BLOCK):
        size = min(BLOCK, n - begin)
        xs = x[begin : begin + size]
        cs = counts[begin : begin + size]
        for i in range(size):
            top[i] = -np.inf
            total[i] = 0.0
        for j in range(k):
            mean, precision = means[j], 1.0 / sds[j]
            scale = math.log(weights[j]) - math.log(sds[j]) - 0.5 * LOG_2PI
            for i in range(size):
                standardised = (xs[i] - mean) * precision
                a = scale - 0.5 * standardised * standardised
                z[j, i] = standardised
                t[j, i] = a
                top[i] = max(top[i], a)
        for j in range(k):
            for i in range(size):
                e = fast_exp(t[j, i] - top[i])
                t[j, i] = e
                total[i] += e
        others = 0
        for i in range(size):
            others += cs[i] != 1.0
        if others == 0 and k <= MOST:
            subtotal, product = 0.0, 1.0
            for i in range(size):
                subtotal += top[i]
                product *= total[i]
                total[i] = 1.0 / total[i]
            loglik += subtotal + math.log(product)
        else:
            subtotal = 0.0
            for i in range(size):
                subtotal += cs[i] * (top[i] + fast_log(total[i]))
                total[i] = 1.0 / total[i]
            loglik += subtotal
        for j in range(k):
            s0, s1, s2, s3, s4 = 0.0, 0.0, 0.0, 0.0, 0.0
            if order == 3:
                for i in range(size):
                    zi = z[j, i]
                    r = cs[i] * t[j, i] * total[i]
                    s0 += r
                    s1 += r * zi
                    s2 += r * zi * zi
            else:
                for i in range(size):
                    zi = z[j, i]
                    r = t[j, i] * total[i]
                    u[j, i] = r
                    u[k + j, i] = r * zi
                    u[2 * k + j, i] = r * zi * zi
                    r *= cs[i]
                    s0 += r
                    s1 += r * zi
                    s2 += r * zi * zi
                    s3 += r * zi * zi * zi
                    s4 += r * zi * zi * zi * zi
            out[j, 0] += s0
            out[j, 1] += s1
            out[j, 2] += s2
            if order == 5:
                out[j, 3] += s3
                out[j, 4] += s4
        if order == 5:
            for p in range(3 * k):
                for q in range(p + 1):
                    s = 0.0
                    for i in range(size):
                        s += cs[i] * u[p, i] * u[q, i]
                    cross[p, q] += s
                    if p != q:
                        cross[q, p] += s
    return loglik


def _guarded_pass(  # type: ignore[no-untyped-def]  # numba compiles this
    k,
    order,
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
    out,
    cross,
):
    """`run_pass` with its numbers and the addresses of its arrays, as C calls it."""
    w, centres, spreads = carray(weights, (k,)), carray(means, (k,)), carray(sds, (k,))
    if m > 0:
        limit, count = carray(tolerance, (1,)), carray(tally, (1,))
        if not certified(w, centres, spreads, carray(cells, (m, 3)), limit, count):
            if n_exact == 0:
                return -np.inf
            x, counts, n = exact_x, exact_counts, n_exact
    size = 3 * k if order == 5 else 0
    xs, cs, sums = carray(x, (n,)), carray(counts, (n,)), carray(out, (k, order))
    return _add_pass(w, centres, spreads, xs, cs, sums, carray(cross, (size, size)))


@cache
def pass_entry() -> int:
    """The address in this process of the one piece of machine code that goes over data."""
    signature = types.double(*[types.int64] * _N_SIZES, *[_POINTER] * _N_ARRAYS)
    entry = cfunc(signature, cache=True, error_model="numpy", fastmath=False)(_guarded_pass)
    return int(entry.address)  # type: ignore[arg-type]  # numba: None until compiled


@intrinsic
def _call_entry(typingctx, address, sizes, arrays):  # type: ignore[no-untyped-def]
    """The pass at an address; tuples of the sizes and of the addresses of the arrays' data."""

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        entry, numbers, data = arguments
        double, integer = ir.DoubleType(), ir.IntType(64)
        pointer = double.as_pointer()
        kind = ir.FunctionType(double, [integer] * _N_SIZES + [pointer] * _N_ARRAYS)
        values = [builder.extract_value(numbers, i) for i in range(_N_SIZES)]
        values += [
            builder.inttoptr(builder.extract_value(data, i), pointer) for i in range(_N_ARRAYS)
        ]
        return builder.call(builder.inttoptr(entry, kind.as_pointer()), values)

    return types.double(address, sizes, arrays), codegen


class Sample(NamedTuple):
    """What a pass goes over: x (n,) with counts (n,).

    Of a compressed sample these are nodes, `cells` (m, 3) holds the centres, half widths and counts
    of its cells, and the exact sample (N,), (N,) is gone over, and the tally (1,) one more, where
    the cells allow an error above the tolerance (1,). Otherwise all of these are empty. entry:
    `pass_entry()`.
    """

    x: Floats
    counts: Floats
    cells: Floats
    exact_x: Floats
    exact_counts: Floats
    tolerance: Floats
    tally: Floats
    entry: int


@_compiled
def run_pass(  # type: ignore[no-untyped-def]
    sample, weights, means, sds, out, cross
):
    """Add the sums over a Sample to out (K, 3 or 5) and, if that is 5, to cross (3K, 3K).

    The log-likelihood; -inf where the sample is compressed, not certified and out of reach. The
    pass is called by its address: compiled into its callers it would be optimised anew in each.
    """
    return _call_entry(  # type: ignore[call-arg]
        np.int64(sample.entry),
        (
            np.int64(weights.size),
            np.int64(out.shape[1]),
            np.int64(sample.x.size),
            np.int64(sample.cells.size // 3),
            np.int64(sample.exact_x.size),
        ),
        (
            np.int64(weights.ctypes.data),
            np.int64(means.ctypes.data),
            np.int64(sds.ctypes.data),
            np.int64(sample.x.ctypes.data),
            np.int64(sample.counts.ctypes.data),
            np.int64(sample.cells.ctypes.data),
            np.int64(sample.exact_x.ctypes.data),
            np.int64(sample.exact_counts.ctypes.data),
            np.int64(sample.tolerance.ctypes.data),
            np.int64(sample.tally.ctypes.data),
            np.int64(out.ctypes.data),
            np.int64(cross.ctypes.data),
        ),
    )


@_compiled
def plain_pass(  # type: ignore[no-untyped-def]
    entry, weights, means, sds, x, counts, out, cross
):
    """`run_pass` over x (n,) with counts (n,): two microseconds less to call than with a Sample."""
    nothing, nowhere = np.zeros(0), np.zeros((0, 3))
    sample = Sample(x, counts, nowhere, nothing, nothing, nothing, nothing, entry)
    return run_pass(sample, weights, means, sds, out, cross)


def value_and_gradient(  # type: ignore[no-untyped-def]
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
    """() the log-likelihood, and (3, K) its gradient by the first three, each (K,).

    The other arguments are those of a Sample, cells (3 m,), entry (1,). PyTensor compiles it.
    """
    k = means.size
    weights, sds = np.exp(log_weights), np.exp(log_sds)
    at: Any = np.int64(entry[0])
    sample = Sample(x, counts, cells, exact_x, exact_counts, tolerance, tally, at)
    t = np.zeros((k, 3))
    value = run_pass(sample, weights, means, sds, t, np.zeros((0, 0)))
    for j in range(k):
        t[j, 1] /= sds[j]
        t[j, 2] -= t[j, 0]
    return np.asarray(value), t.T


@intrinsic
def _as_pointer(typingctx, address):  # type: ignore[no-untyped-def]
    """Numbers at an address, a whole number."""

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.inttoptr(arguments[0], ir.DoubleType().as_pointer())

    return _POINTER(address), codegen


@_compiled
def vector_of(table: Integers, i: int) -> Floats:
    """(size,): the numbers that row i of a table (n, 2) of addresses and sizes names."""
    numbers: Floats = carray(_as_pointer(table[i, 0]), (table[i, 1],))  # type: ignore[call-arg]
    return numbers


@cache
def expand_function() -> Any:
    """nutpie's C function from a point (size,) to what it stores: the point."""
    signature = types.int64(types.uint64, types.uint64, _POINTER, _POINTER, types.voidptr)
    return cfunc(signature, cache=True)(_expand)


def _expand(size, expanded, point, out, data):  # type: ignore[no-untyped-def]  # numba compiles this
    for i in range(size):
        out[i] = point[i]
    return 0


# --- Score and Louis' information ------------------------------------------------------------


# Loops, where NumPy would be shorter: each of its functions takes Numba a second to compile.
@_compiled
def score(weights: Floats, sds: Floats, t: Floats) -> Floats:
    """(3K - 1,): gradient by (log w_k/w_K, means, log sds), from t (K, 3 or more)."""
    k = weights.size
    n = _column_sum(t)
    gradient = np.empty(3 * k - 1)
    for j in range(k):
        if j < k - 1:
            gradient[j] = t[j, 0] - n * weights[j]
        gradient[k - 1 + j] = t[j, 1] / sds[j]
        gradient[2 * k - 1 + j] = t[j, 2] - t[j, 0]
    return gradient


@_compiled
def louis_terms(
    weights: Floats, sds: Floats, t: Floats, cross: Floats
) -> tuple[Floats, Floats, Floats]:
    """Louis (1982), (3K - 1, 3K - 1) each, from t (K, 5) and cross (3K, 3K) of a pass.

    The expected complete-data information, and the sums of t_k s_k s_k' and of sbar sbar'. All K
    log-weights are kept on the way; the last one is dropped at the end.
    """
    complete, expected = _complete_terms(weights, sds, t)
    k = weights.size
    outer = _outer_scores(weights, sds, t, cross)
    return _without(complete, k - 1), _without(expected, k - 1), _without(outer, k - 1)


@_compiled
def score_and_information(
    selection: Floats, weights: Floats, sds: Floats, t: Floats, cross: Floats
) -> tuple[Floats, Floats]:
    """(p,) and (p, p) in a model's coordinates, by its selection (3K - 1, p); t and cross as above.

    The information is the complete-data one less the variance of the complete-data score.
    """
    complete, expected, outer = louis_terms(weights, sds, t, cross)
    full = score(weights, sds, t)
    size, p = selection.shape
    slope, curvature = np.zeros(p), np.zeros((p, p))
    for i in range(size):
        for a in range(p):
            if selection[i, a] != 0.0:
                slope[a] += full[i]
                for j in range(size):
                    for b in range(p):
                        if selection[j, b] != 0.0:
                            curvature[a, b] += complete[i, j] - (expected[i, j] - outer[i, j])
    return slope, curvature


@_compiled
def newton_step(slope: Floats, curvature: Floats) -> tuple[Floats, float]:
    """J^-1 g (p,) and g' J^-1 g by Cholesky's factors; NaN where J (p, p) is not definite."""
    p = slope.size
    factor, step = np.zeros((p, p)), np.zeros(p)
    squared = 0.0
    for a in range(p):
        for b in range(a + 1):
            rest = curvature[a, b]
            for c in range(b):
                rest -= factor[a, c] * factor[b, c]
            if a > b:
                factor[a, b] = rest / factor[b, b]
            elif rest > 0.0 and rest < np.inf:
                factor[a, a] = math.sqrt(rest)
            else:
                return step, np.nan
        step[a] = slope[a]
        for c in range(a):
            step[a] -= factor[a, c] * step[c]
        step[a] /= factor[a, a]
        squared += step[a] * step[a]
    for a in range(p - 1, -1, -1):
        for c in range(a + 1, p):
            step[a] -= factor[c, a] * step[c]
        step[a] /= factor[a, a]
    return step, squared


@_compiled
def _complete_terms(weights: Floats, sds: Floats, t: Floats) -> tuple[Floats, Floats]:
    """(3K, 3K) each: the complete-data information, and the sums of t_k s_k s_k'."""
    k = weights.size
    n = _column_sum(t)
    complete, expected = np.zeros((3 * k, 3 * k)), np.zeros((3 * k, 3 * k))
    delta = np.empty(k)
    for j in range(k):
        for i in range(k):
            complete[j, i] = n * ((weights[j] if i == j else 0.0) - weights[j] * weights[i])
    for j in range(k):
        # Complete-data score of component j: (delta_j - w, z/sd, z^2 - 1).
        t0, t1, t2, t3, t4 = t[j, 0], t[j, 1], t[j, 2], t[j, 3], t[j, 4]
        by_mean, by_sd = k + j, 2 * k + j
        for i in range(k):
            delta[i] = -weights[i] + (1.0 if i == j else 0.0)
        for i in range(k):
            for l in range(k):  # noqa: E741
                expected[i, l] += t0 * (delta[i] * delta[l])
            expected[i, by_mean] = expected[by_mean, i] = delta[i] * (t1 / sds[j])
            expected[i, by_sd] = expected[by_sd, i] = delta[i] * (t2 - t0)
        expected[by_mean, by_mean] = t2 / sds[j] ** 2
        expected[by_mean, by_sd] = expected[by_sd, by_mean] = (t3 - t1) / sds[j]
        expected[by_sd, by_sd] = t4 - 2.0 * t2 + t0
        complete[by_mean, by_mean] = t0 / sds[j] ** 2
        complete[by_mean, by_sd] = complete[by_sd, by_mean] = 2.0 * t1 / sds[j]
        complete[by_sd, by_sd] = 2.0 * t2
    return complete, expected


@_compiled
def _outer_scores(weights: Floats, sds: Floats, t: Floats, cross: Floats) -> Floats:
    """(3K, 3K): the sum of sbar sbar'.

    The score of observation i is A u_i - b: u_i = (t, t z, t z^2), b the weights in the first K
    places.
    """
    k = weights.size
    n = _column_sum(t)
    b, total, outer = np.zeros(3 * k), np.empty(3 * k), np.empty((3 * k, 3 * k))
    for j in range(k):
        b[j] = weights[j]
        total[j], total[k + j], total[2 * k + j] = t[j, 0], t[j, 1] / sds[j], t[j, 2] - t[j, 0]
    for p in range(3 * k):
        for q in range(3 * k):
            outer[p, q] = cross[p, q]
    for j in range(k):
        for q in range(3 * k):
            outer[k + j, q] /= sds[j]
            outer[2 * k + j, q] -= outer[j, q]
    for p in range(3 * k):
        for j in range(k):
            outer[p, k + j] /= sds[j]
            outer[p, 2 * k + j] -= outer[p, j]
    for p in range(3 * k):
        for q in range(3 * k):
            outer[p, q] += n * (b[p] * b[q]) - total[p] * b[q] - b[p] * total[q]
    return outer


@_compiled
def _column_sum(t: Floats) -> float:
    """The sum of the first column of t (K, any)."""
    n = 0.0
    for j in range(t.shape[0]):
        n += t[j, 0]
    return n


@_compiled
def _without(matrix: Floats, dropped: int) -> Floats:
    """The square matrix without one of its rows and columns."""
    size = matrix.shape[0] - 1
    kept = np.empty((size, size))
    for p in range(size):
        for q in range(size):
            kept[p, q] = matrix[p + (p >= dropped), q + (q >= dropped)]
    return kept


# --- Parameters ------------------------------------------------------------------------------


@_compiled
def all_finite(weights: Floats, means: Floats, sds: Floats) -> bool:
    """Whether no parameter (K,) is infinite or NaN."""
    for k in range(weights.size):
        if not (math.isfinite(weights[k]) and math.isfinite(means[k]) and math.isfinite(sds[k])):
            return False
    return True


@_compiled
def pack(selection: Floats, known: Floats, weights: Floats, means: Floats, sds: Floats) -> Floats:
    """(p,): the free parameters, unconstrained; selection (3K - 1, p), known (3, K) of a model."""
    k = weights.size
    reference = k - 1
    while reference > 0 and not math.isnan(known[0, reference]):
        reference -= 1
    last = math.log(max(weights[reference], 1e-300))
    packed = np.zeros(selection.shape[1])
    for j in range(packed.size):
        count = 0.0
        for i in range(3 * k - 1):
            if selection[i, j] != 0.0:
                count += 1.0
                if i < k - 1:
                    packed[j] += math.log(max(weights[i], 1e-300)) - last
                elif i < 2 * k - 1:
                    packed[j] += means[i - k + 1]
                else:
                    packed[j] += math.log(sds[i - 2 * k + 1])
        packed[j] /= count
    return packed


@_compiled
def unpack(selection: Floats, eta: Floats, known: Floats) -> Floats:
    """(3, K): weights, means and sds at eta (p,); known (3, K), NaN for what is not.

    One array, because Numba takes a microsecond to hand one over.
    """
    k = known.shape[1]
    full = np.zeros(3 * k - 1)
    for i in range(full.size):
        for j in range(eta.size):
            if selection[i, j] != 0.0:
                full[i] += eta[j]
    rows = np.zeros((3, k))
    top, total, room = 0.0, 0.0, 1.0
    for j in range(k - 1):
        rows[0, j] = full[j]
        top = max(top, full[j])
    for j in range(k):
        rows[0, j] = math.exp(rows[0, j] - top)
        if math.isnan(known[0, j]):
            total += rows[0, j]
        else:
            room -= known[0, j]
    for j in range(k):
        rows[0, j] = room * rows[0, j] / total if math.isnan(known[0, j]) else known[0, j]
        rows[1, j] = full[k - 1 + j] if math.isnan(known[1, j]) else known[1, j]
        rows[2, j] = math.exp(full[2 * k - 1 + j]) if math.isnan(known[2, j]) else known[2, j]
    return rows


@_compiled
def log_inverse_gamma(sds: Floats, shape: float, scale: float) -> Floats:
    """(m,): log density of each log sd under LogInverseGamma, but for its constant."""
    return -2.0 * shape * np.log(sds) - scale / sds**2


# --- EM --------------------------------------------------------------------------------------


@_compiled
def maximise(
    rows: Floats,
    t: Floats,
    free: NDArray[np.bool_],
    equal_sds: bool,
    shape: float,
    scale: float,
) -> Floats:
    """(3, K): the M step from the moments t (K, 3), which were taken at the rows (3, K).

    What is not free (3, K) stays; weights that are share what the known ones leave.
    """
    total, all_of_them, room = 0.0, 0.0, 1.0
    for k in range(rows.shape[1]):
        all_of_them += t[k, 0]
        if free[0, k]:
            total += t[k, 0]
        else:
            room -= rows[0, k]
    new = np.empty((3, rows.shape[1]))
    pooled = 0.0
    for k in range(rows.shape[1]):
        n, s1, s2 = t[k, 0], t[k, 1], t[k, 2]
        weight, mean, sd = rows[0, k], rows[1, k], rows[2, k]
        new[0, k] = room * n / total if free[0, k] and total > 0.0 else weight
        new[1, k], new[2, k] = mean, sd
        if n > 0.0 or shape > 0.0:
            shift = s1 / n if free[1, k] and n > 0.0 else 0.0
            new[1, k] = mean + sd * shift
            squares = max(s2 - 2.0 * shift * s1 + shift * shift * n, 0.0)
            pooled += sd**2 * squares
            if free[2, k]:
                squares += 2.0 * scale / sd**2
                new[2, k] = sd * math.sqrt(squares / (n + 2.0 * shape))
    if equal_sds:
        new[2] = math.sqrt((pooled + 2.0 * scale) / (all_of_them + 2.0 * shape))
    return new


@_compiled
def largest_move(w0: Floats, m0: Floats, s0: Floats, w1: Floats, m1: Floats, s1: Floats) -> float:
    """Largest move of a parameter (K,): weights as they are, means and log sds in sds."""
    moved = 0.0
    for k in range(w0.size):
        moved = max(moved, abs(w1[k] - w0[k]), abs(m1[k] - m0[k]) / s1[k], abs(s1[k] / s0[k] - 1))
    return moved


@_compiled
def log_penalty(
    sds: Floats, free: NDArray[np.bool_], equal_sds: bool, shape: float, scale: float
) -> float:
    """Of the sds (K,) that are free, a common one once; but for a constant, 0 if shape is 0."""
    if shape == 0.0:
        return 0.0
    each, total = log_inverse_gamma(sds, shape, scale), 0.0
    for k in range(1 if equal_sds else sds.size):
        if free[2, k]:
            total += each[k]
    return total


@_compiled
def above(sds: Floats, free: NDArray[np.bool_], floor: float) -> bool:
    """Whether all sds (K,) that are free are above the floor."""
    low = 0
    for k in range(sds.size):
        low += free[2, k] and not sds[k] > floor
    return low == 0


class Rules(NamedTuple):
    """What EM moves (3, K); the penalty (shape 0: none); the sd at which it gives up."""

    free: NDArray[np.bool_]
    equal_sds: bool
    shape: float
    scale: float
    floor: float


@_compiled
def recorded(path: Floats, row: int, value: float, passes: int, point: Floats) -> Floats:
    """The path (rows, 2 + p) with value, passes and point (p,) in a row; doubled if it is full.

    A path of no rows stays as it is.
    """
    if path.shape[0] == 0:
        return path
    if row == path.shape[0]:
        path = np.concatenate((path, np.empty_like(path)))
    path[row, 0], path[row, 1] = value, passes
    path[row, 2:] = point
    return path


# The loops are Python, compiled where compiled code calls them: of a sample that only Python can
# read they run as they stand. What they go over is then a function, and else a Sample or Problem.
def moments_at(sample: Any, rows: Floats) -> Any:
    """The E step: the log-likelihood at rows (3, K), and the moments (K, 3)."""
    return sample(rows)


@overload(moments_at)
def _moments_at(sample, rows):  # type: ignore[no-untyped-def]
    def compiled(sample, rows):  # type: ignore[no-untyped-def]
        t = np.zeros((rows.shape[1], 3))
        return run_pass(sample, rows[0], rows[1], rows[2], t, np.zeros((0, 0))), t

    return compiled


def step_from(problem: Any, theta: Floats) -> Any:
    """A step of a fixed-point map from theta (p,): the value there, and the next theta."""
    return problem(theta)


@overload(step_from)
def _step_from(problem, theta):  # type: ignore[no-untyped-def]
    def compiled(problem, theta):  # type: ignore[no-untyped-def]
        return em_map(problem.sample, problem.rules, problem.coordinates, theta)

    return compiled


@register_jitable
def em_loop(
    sample: Any, rules: Rules, start: Floats, tol: float, least: float, max_iter: int, path: Floats
) -> Any:
    """EM from start (3, K) over what `moments_at` takes.

    The end (3, K), the last move and gain, iterations, passes, and the path: log-likelihood,
    passes and parameters at each iteration but the end.
    """
    rows, moved, gain, previous = start, np.inf, np.inf, -np.inf
    iterations = passes = 0
    free, equal_sds, shape, scale, floor = rules
    while moved > tol and iterations < max_iter:
        loglik, t = moments_at(sample, rows)
        passes += 1
        value = loglik + log_penalty(rows[2], free, equal_sds, shape, scale)
        gain, previous = value - previous, value
        if gain < least:
            break
        path = recorded(path, passes - 1, loglik, passes, rows.ravel())
        after = maximise(rows, t, free, equal_sds, shape, scale)
        moved = largest_move(rows[0], rows[1], rows[2], after[0], after[1], after[2])
        rows = after
        iterations += 1
        if not above(rows[2], free, floor):
            break
    return rows, moved, gain, iterations, passes, path[:iterations]


@_compiled
def em(sample, rules, start, tol, least, max_iter, path):  # type: ignore[no-untyped-def]
    """`em_loop` of a Sample."""
    return em_loop(sample, rules, start, tol, least, max_iter, path)


class Coordinates(NamedTuple):
    """theta (p,) of a model, free of units: eta = shift + scale theta, eta that of `unpack`."""

    selection: Floats
    known: Floats
    shift: Floats
    scale: Floats


@register_jitable
def em_map(sample: Any, rules: Rules, coordinates: Coordinates, theta: Floats) -> Any:
    """The penalised log-likelihood at theta (p,), and the theta that an EM step goes to.

    -inf and theta itself where a parameter is not finite or an sd not above the floor.
    """
    free, equal_sds, shape, scale, floor = rules
    selection, known, shift, unit = coordinates
    rows = unpack(selection, shift + unit * theta, known)
    if not all_finite(rows[0], rows[1], rows[2]) or not above(rows[2], free, floor):
        return -np.inf, theta
    loglik, t = moments_at(sample, rows)
    after = maximise(rows, t, free, equal_sds, shape, scale)
    # A collapsed sd is kept above zero, so that theta is finite; the next step refuses it.
    sds = np.maximum(after[2], 0.5 * floor)
    value = loglik + log_penalty(rows[2], free, equal_sds, shape, scale)
    return value, (pack(selection, known, after[0], after[1], sds) - shift) / unit


@register_jitable
def squarem(problem: Any, theta: Floats, tol: float, max_iter: int, path: Floats) -> Any:
    """SqS3 of Varadhan and Roland (2008) around the map of `step_from`, from theta (p,).

    The end (p,), cycles, the last move, how many steps had a value above -inf, and the path:
    value, steps until it was known, and theta at each cycle. The move is inf where a cycle starts
    at a value of -inf.
    """
    stepmax, cycles, moved = 4.0, 0, np.inf
    value, first = step_from(problem, theta)
    steps = int(value > -np.inf)
    while cycles < max_iter:
        cycles += 1
        path = recorded(path, cycles - 1, value, steps, theta)
        if not value > -np.inf:
            return theta, cycles, np.inf, steps, path[:cycles]
        r = first - theta
        moved = np.abs(r).max() if r.size > 0 else 0.0
        if moved <= tol:
            return first, cycles, moved, steps, path[:cycles]
        after, second = step_from(problem, first)
        v = second - first - r
        norm_r, norm_v = math.sqrt((r * r).sum()), math.sqrt((v * v).sum())
        alpha = min(max(norm_r / max(norm_v, 1e-300), 1.0), stepmax)
        reached, leap = step_from(problem, theta + 2.0 * alpha * r + alpha * alpha * v)
        steps += int(after > -np.inf) + int(reached > -np.inf)
        ahead, after_leap = -np.inf, leap
        if reached > -np.inf:
            ahead, after_leap = step_from(problem, leap)
            steps += int(ahead > -np.inf)
        if ahead >= value:
            theta, value, first = leap, ahead, after_leap
            stepmax *= 4.0 if alpha == stepmax else 1.0
        else:
            theta = second
            value, first = step_from(problem, second)
            steps += int(value > -np.inf)
            stepmax = max(stepmax / 4.0, 1.0)
    return theta, cycles, moved, steps, path[:cycles]


class Problem(NamedTuple):
    """The EM map of a model over a Sample."""

    sample: Sample
    rules: Rules
    coordinates: Coordinates


@_compiled
def em_squarem(problem, theta, tol, max_iter, path):  # type: ignore[no-untyped-def]
    """`squarem` of a Problem."""
    return squarem(problem, theta, tol, max_iter, path)


# --- Compression -----------------------------------------------------------------------------


@_compiled
def error_bound(
    weights: Floats, means: Floats, sds: Floats, geometry: Floats, limit: float = np.inf
) -> float:
    """Nats by which nodes may be off, for cells (m, 3) of centre, half width and count.

    Above `limit` any number above it will do. Where a cell is wide against the sd the terms at
    its nodes are larger than at the observations, and so is their rounding: at most by
    half (|centre - mean| + half) / sd^2, times the sum of the weights' moduli, for which 4 times
    the count is ample at 24 nodes.
    """
    constants, precisions = _log_terms(weights, sds)
    bound = 0.0
    for c in range(geometry.shape[0]):
        centre, half, count = geometry[c]
        r = _largest_term(constants, means, precisions, centre)
        growth = precisions[r] * half * (abs(centre - means[r]) + half)
        truncation = _cell_bound(constants, means, precisions, centre, half, r)
        bound += count * (truncation + 4.0 * _EPS * growth)
        if bound > limit:
            break
    return bound


@_compiled
def certified(
    weights: Floats, means: Floats, sds: Floats, cells: Floats, tolerance: Floats, tally: Floats
) -> bool:
    """Whether nodes of cells (m, 3) may stand for their sample; if not the tally is one more.

    tolerance, tally: (1,).
    """
    good = error_bound(weights, means, sds, cells) <= tolerance[0]
    tally[0] += 0.0 if good else 1.0
    return bool(good)


@_compiled
def _log_terms(weights: Floats, sds: Floats) -> tuple[Floats, Floats]:
    """(K,) log w - log sd, and (K,) the precisions 1/sd^2."""
    return np.log(weights) - np.log(sds), 1.0 / (sds * sds)


@_compiled
def _largest_term(constants: Floats, means: Floats, precisions: Floats, x: float) -> int:
    """The component with the largest term at x."""
    r, top = 0, -np.inf
    for j in range(means.size):
        u = x - means[j]
        a = constants[j] - 0.5 * u * u * precisions[j]
        if a > top:
            r, top = j, a
    return r


@_compiled
def _cell_bound(
    constants: Floats, means: Floats, precisions: Floats, centre: float, half: float, r: int
) -> float:
    """Bound of the interpolation error of the log-density in one cell.

    r is the component with the largest term a_r at the centre. log-density = a_r + h, a_r a
    quadratic, which interpolation leaves as it is, h = log(1 + sum_k exp(a_k - a_r)). Over the
    rectangle around the ellipse the real part of a_k - a_r is at most D_k, and its phase is
    y ((x - mean_r)/sd_r^2 - (x - mean_k)/sd_k^2). Terms with D_k <= -log(4 K) sum to at most 1/4 in
    modulus; where all others have a phase within pi/2, the real part of 1 + sum is at least 3/4:
    h is analytic, and |h| is at most log(5/4 + sum exp D_k) + pi, for which
    log(K + 1/4) + max(0, D_1, ..., D_K) + pi stands.
    """
    k = means.size
    pr, ur = precisions[r], centre - means[r]
    small = -math.log(4.0 * k)
    for rho in _RHO:
        reach, height = half * (rho + 1.0 / rho) / 2.0, half * (rho - 1.0 / rho) / 2.0
        most, analytic = 0.0, True
        for j in range(k):
            if j == r or constants[j] == -np.inf:
                continue
            # a_j - a_r = p t^2 + s t + v in t = x - centre; off the line, -p y^2 comes to it.
            pj, uj = precisions[j], centre - means[j]
            p, s = 0.5 * (pr - pj), ur * pr - uj * pj
            v = 0.5 * (ur * ur * pr - uj * uj * pj) + constants[j] - constants[r]
            largest = p * reach * reach + abs(s) * reach
            if p < 0.0 and abs(s) < -2.0 * p * reach:
                largest = -s * s / (4.0 * p)
            largest += v + max(-p, 0.0) * height * height
            if largest > small:
                if height * (abs(s) + 2.0 * abs(p) * reach) > 0.5 * math.pi:
                    analytic = False
                    break
                most = max(most, largest)
        if analytic:
            size = math.log(k + 0.25) + most + math.pi
            return 4.0 * size * rho ** (1.0 - DEGREE) / (rho - 1.0)
    return np.inf


@_compiled
def parts(
    whole: Integers, width: float, weights: Floats, means: Floats, sds: Floats, tolerance: float
) -> tuple[Integers, Integers]:
    """Left ends and halvings of all parts of the whole cells (m,): `Cells.parts`.

    Each whole cell is gone through from left to right, depth first.
    """
    terms = [_log_terms(weights, sds)]
    for scale in (MARGIN, 1.0 / MARGIN):
        terms.append(_log_terms(weights, scale * sds))
        for j in range(sds.size if sds.size > 1 else 0):
            varied = sds / scale
            varied[j] *= scale * scale
            terms.append(_log_terms(weights, varied))
    unit = width / 2.0**DEEPEST
    left, level = [np.int64(0) for _ in range(0)], [np.int64(0) for _ in range(0)]
    for cell in whole:
        begin, depth, end = cell << DEEPEST, 0, (cell + 1) << DEEPEST
        while begin < end:
            size = 1 << (DEEPEST - depth)
            half = 0.5 * size * unit
            worst = 0.0
            for constants, precisions in terms:
                centre = begin * unit + half
                r = _largest_term(constants, means, precisions, centre)
                worst = max(worst, _cell_bound(constants, means, precisions, centre, half, r))
            if worst > tolerance and depth < DEEPEST:
                depth += 1
                continue
            left.append(np.int64(begin))
            level.append(np.int64(depth))
            begin += size
            # On to the largest cell that begins here and has not been halved yet.
            while depth > 0 and begin % (1 << (DEEPEST - depth + 1)) == 0:
                depth -= 1
    return np.array(left), np.array(level)


@_compiled
def add_to_cells(
    x: Floats,
    counts: Floats,
    scale: float,
    left: Integers,
    level: Integers,
    totals: Floats,
    moments: Floats,
    lowest: Floats,
    highest: Floats,
) -> None:
    """Add x (n,) to m cells, block by block: sorted by cell, then summed cell by cell."""
    m = left.size
    if m == 0:
        return
    finest = DEEPEST - level.max()
    first = left[0] >> finest
    reach = ((left[m - 1] >> finest) - first) + (1 << (level.max() - level[m - 1]))
    table = np.zeros(reach if reach <= max(65_536, x.size // 8) else 0, dtype=np.int32)
    for j in range(m if table.size else 0):
        begin = (left[j] >> finest) - first
        table[begin : begin + (1 << (level.max() - level[j]))] = j
    slots = np.empty(SORTED, dtype=np.int32)
    xs, cs, rows = np.empty(SORTED), np.empty(SORTED), np.empty((3, 256))
    for start in range(0, x.size, SORTED):
        size = min(SORTED, x.size - start)
        ends = np.zeros(m + 1, dtype=np.int64)
        for i in range(size):
            place = np.int64(math.floor(x[start + i] * scale))
            j = table[(place >> finest) - first] if table.size else _last_at_most(left, place)
            slots[i] = j
            ends[j + 1] += 1
        for j in range(m):
            ends[j + 1] += ends[j]
        fill = ends[:m].copy()
        for i in range(size):
            at = fill[slots[i]]
            fill[slots[i]] += 1
            xs[at], cs[at] = x[start + i], counts[start + i]
        for j in range(m):
            # u = 2 (x - left end) / size - 1 in the cell.
            unit = 2.0 / math.ldexp(1.0, DEEPEST - level[j])
            for i in range(ends[j], ends[j + 1]):
                totals[j] += cs[i]
                lowest[j], highest[j] = min(lowest[j], xs[i]), max(highest[j], xs[i])
            for begin in range(ends[j], ends[j + 1], 256):
                part = slice(begin, min(begin + 256, ends[j + 1]))
                _add_segment(
                    xs[part], cs[part], scale * unit, left[j] * unit + 1.0, moments[j], rows
                )


@_inlined
def _add_segment(
    x: Floats, counts: Floats, scale: float, shift: float, moments: Floats, rows: Floats
) -> None:
    """Add the Chebyshev moments of x (n,), u = scale x - shift; rows (3, n or more) is scratch."""
    u, before, now = rows[0], rows[1], rows[2]
    first = second = 0.0
    for i in range(x.size):
        u[i] = scale * x[i] - shift
        before[i], now[i] = 1.0, u[i]
        first += counts[i]
        second += counts[i] * u[i]
    moments[0] += first
    moments[1] += second
    # Two degrees at a time, so that the rows change places without a copy.
    for p in range(2, DEGREE, 2):
        even = odd = 0.0
        for i in range(x.size):
            before[i] = 2.0 * u[i] * now[i] - before[i]
            now[i] = 2.0 * u[i] * before[i] - now[i]
            even += counts[i] * before[i]
            odd += counts[i] * now[i]
        moments[p] += even
        moments[p + 1] += odd


@_compiled
def _last_at_most(left: Integers, place: np.int64) -> int:
    """The last of the ascending left ends that is not beyond the place."""
    low, high = 0, left.size
    while high - low > 1:
        middle = (low + high) >> 1
        if left[middle] <= place:
            low = middle
        else:
            high = middle
    return low


@_compiled
def mark(x: Floats, scale: float, first: int, seen: NDArray[np.bool_]) -> None:
    """Set seen (cells,) where x (n,) has an observation; first: the number of the first cell."""
    for i in range(x.size):
        seen[np.int64(math.floor(x[i] * scale)) - first] = True


# --- Labels ----------------------------------------------------------------------------------
# m draws: scale = log w - log sd, means and precisions = 1/sd, each (m, K). Responsibilities are
# made anew in every pass, a block of observations at a time for all draws.


@_vectorised
def label_costs(  # type: ignore[no-untyped-def]
    scale, means, precisions, x, counts, reference, hard, out
):
    """Add to out (m, K, K): minus the sums of counts_i t_il reference_ji, reference (K, n)."""
    m, k = means.shape
    t, top, total = np.empty((k, BLOCK)), np.empty(BLOCK), np.empty(BLOCK)
    weighted = np.empty((k, BLOCK))
    for begin in range(0, x.size, BLOCK):
        xs = x[begin : begin + BLOCK]
        for j in range(k):
            for i in range(xs.size):
                weighted[j, i] = counts[begin + i] * reference[j, begin + i]
        for d in range(m):
            if hard:
                _allocations(scale[d], means[d], precisions[d], xs, t, top, total)
            else:
                _responsibilities(scale[d], means[d], precisions[d], xs, t, top, total)
            for j in range(k):
                for l in range(k):  # noqa: E741
                    s = 0.0
                    for i in range(xs.size):
                        s += weighted[j, i] * t[l, i]
                    out[d, j, l] -= s


@_vectorised
def label_sums(  # type: ignore[no-untyped-def]
    scale, means, precisions, x, permutations, hard, out
):
    """Add to out (K, n): t of the permuted draws, permutations (m, K), summed over the draws."""
    m, k = means.shape
    t, top, total = np.empty((k, BLOCK)), np.empty(BLOCK), np.empty(BLOCK)
    for begin in range(0, x.size, BLOCK):
        xs = x[begin : begin + BLOCK]
        for d in range(m):
            if hard:
                _allocations(scale[d], means[d], precisions[d], xs, t, top, total)
            else:
                _responsibilities(scale[d], means[d], precisions[d], xs, t, top, total)
            for j in range(k):
                for i in range(xs.size):
                    out[j, begin + i] += t[permutations[d, j], i]


@_vectorised
def cluster_moments(scale, means, precisions, x, counts, out):  # type: ignore[no-untyped-def]
    """Add to out (m, 3, K): sums of counts (1, x, x^2) over what the draw gives to each."""
    m, k = means.shape
    t, top, left = np.empty((k, BLOCK)), np.empty(BLOCK), np.empty(BLOCK)
    for begin in range(0, x.size, BLOCK):
        xs = x[begin : begin + BLOCK]
        cs = counts[begin : begin + BLOCK]
        for d in range(m):
            _allocations(scale[d], means[d], precisions[d], xs, t, top, left)
            for j in range(k):
                n, first, second = 0.0, 0.0, 0.0
                for i in range(xs.size):
                    own = cs[i] * t[j, i]
                    n += own
                    first += own * xs[i]
                    second += own * xs[i] * xs[i]
                out[d, 0, j] += n
                out[d, 1, j] += first
                out[d, 2, j] += second


@_vectorised
def loglik_and_entropy(scale, means, precisions, x, counts, out):  # type: ignore[no-untyped-def]
    """Add to out (m, 2): the log-likelihood and the entropy of the allocation, in nats."""
    m, k = means.shape
    a, top = np.empty((k, BLOCK)), np.empty(BLOCK)
    total, gained = np.empty(BLOCK), np.empty(BLOCK)
    for begin in range(0, x.size, BLOCK):
        xs = x[begin : begin + BLOCK]
        cs = counts[begin : begin + BLOCK]
        for d in range(m):
            _log_joint(scale[d], means[d], precisions[d], xs, a, top)
            for i in range(xs.size):
                total[i] = gained[i] = 0.0
            for j in range(k):
                for i in range(xs.size):
                    b = max(a[j, i] - top[i], -750.0)
                    e = fast_exp(b)
                    total[i] += e
                    gained[i] += e * b
            loglik, entropy = 0.0, 0.0
            for i in range(xs.size):
                log_total = fast_log(total[i])
                loglik += cs[i] * (top[i] + log_total - 0.5 * LOG_2PI)
                entropy += cs[i] * (log_total - gained[i] / total[i])
            out[d, 0] += loglik
            out[d, 1] += entropy


@_inlined
def _log_joint(scale, means, precisions, xs, a, top):  # type: ignore[no-untyped-def]
    """a (K, BLOCK): log w_k N(x_i; k) but for log 2 pi / 2; top (BLOCK,): the largest."""
    for i in range(xs.size):
        top[i] = -np.inf
    for j in range(means.size):
        level, mean, precision = scale[j], means[j], precisions[j]
        for i in range(xs.size):
            z = (xs[i] - mean) * precision
            a[j, i] = level - 0.5 * z * z
            top[i] = max(top[i], a[j, i])


@_inlined
def _responsibilities(scale, means, precisions, xs, t, top, total):  # type: ignore[no-untyped-def]
    """t (K, BLOCK): the responsibilities; top and 1/total (BLOCK,) as they come on the way."""
    _log_joint(scale, means, precisions, xs, t, top)
    for i in range(xs.size):
        total[i] = 0.0
    for j in range(means.size):
        for i in range(xs.size):
            e = fast_exp(t[j, i] - top[i])
            t[j, i] = e
            total[i] += e
    for i in range(xs.size):
        total[i] = 1.0 / total[i]
    for j in range(means.size):
        for i in range(xs.size):
            t[j, i] *= total[i]


@_inlined
def _allocations(scale, means, precisions, xs, t, top, left):  # type: ignore[no-untyped-def]
    """t (K, BLOCK): one for the most probable component, the first of equals, else zero."""
    _log_joint(scale, means, precisions, xs, t, top)
    for i in range(xs.size):
        left[i] = 1.0
    for j in range(means.size):
        for i in range(xs.size):
            t[j, i] = left[i] if t[j, i] == top[i] else 0.0
            left[i] -= t[j, i]


@_compiled
def enumerate_permutations(costs: Floats, table: Permutations) -> tuple[Any, Any]:
    """(m, K) the rows of the table (K!, K) of least cost, and (m,) how much more the next costs.

    costs: (m, K, K), [d, j, l] that of raw component l at position j.
    """
    m, k, _ = costs.shape
    best = np.empty((m, k), dtype=np.intp)
    margins = np.empty(m)
    for d in range(m):
        first, second, which = np.inf, np.inf, 0
        for row in range(table.shape[0]):
            cost = 0.0
            for j in range(k):
                cost += costs[d, j, table[row, j]]
            if cost < first:
                first, second, which = cost, first, row
            elif cost < second:
                second = cost
        best[d] = table[which]
        margins[d] = second - first
    return best, margins


# --- The posterior of the number of components -------------------------------------------------


class Conjugate(NamedTuple):
    """The prior of `gibbs`: Dirichlet, normal means, inverse-gamma variances.

    tail: where it is above 0 the variances' scale has a Gamma(tail, rate) prior and what is in
    `scale` is added to it; where it is 0 that is the scale.
    """

    concentration: float
    mean: float
    sd: float
    shape: float
    scale: float
    tail: float
    rate: float


@_compiled
def _allocated(x, logs, means, variances, shares, rng):  # type: ignore[no-untyped-def]
    """The component that x is drawn to; logs (K,): log weights less half the log variances.

    shares (K,) is scratch. A component of a share below e^-40 is never drawn.
    """
    k = shares.size
    top = -np.inf
    for j in range(k):
        shares[j] = logs[j] - 0.5 * (x - means[j]) ** 2 / variances[j]
        top = max(top, shares[j])
    total = 0.0
    for j in range(k):
        if shares[j] > top - 40.0:
            total += math.exp(shares[j] - top)
        shares[j] = total
    u = total * rng.random()
    j = 0
    while shares[j] <= u and j < k - 1:
        j += 1
    return j


@_compiled
def gibbs(x, prior, labels, draws, rng):  # type: ignore[no-untyped-def]
    """Fill draws (m, 3, K): weights, means and variances, by Gibbs sampling from labels (n,).

    The labels are left as they are last. Returns (m,): components that hold observations.
    """
    m, _, k = draws.shape
    occupied = np.empty(m, dtype=np.int64)
    counts, sums, squares = np.empty(k), np.empty(k), np.empty(k)
    logs, shares = np.empty(k), np.empty(k)
    w, mu, v = np.empty(k), np.zeros(k), np.ones(k)
    scale = prior.scale + prior.tail / prior.rate
    for d in range(m):
        counts[:], sums[:] = 0.0, 0.0
        for i in range(x.size):
            counts[labels[i]] += 1.0
            sums[labels[i]] += x[i]
        occupied[d] = 0
        total = 0.0
        for j in range(k):
            occupied[d] += counts[j] > 0.0
            w[j] = rng.standard_gamma(prior.concentration + counts[j])
            total += w[j]
            precision = 1.0 / prior.sd**2 + counts[j] / v[j]
            centre = (prior.mean / prior.sd**2 + sums[j] / v[j]) / precision
            mu[j] = centre + rng.standard_normal() / math.sqrt(precision)
        squares[:] = 0.0
        for i in range(x.size):
            squares[labels[i]] += (x[i] - mu[labels[i]]) ** 2
        precisions = 0.0
        for j in range(k):
            half = scale + 0.5 * squares[j]
            v[j] = half / rng.standard_gamma(prior.shape + 0.5 * counts[j])
            precisions += 1.0 / v[j]
        if prior.tail > 0.0:
            drawn = rng.standard_gamma(prior.tail + k * prior.shape)
            scale = prior.scale + drawn / (prior.rate + precisions)
        for j in range(k):
            w[j] /= total
            logs[j] = math.log(w[j]) - 0.5 * math.log(v[j]) if w[j] > 0.0 else -np.inf
        for i in range(x.size):
            labels[i] = _allocated(x[i], logs, mu, v, shares, rng)
        draws[d, 0], draws[d, 1], draws[d, 2] = w, mu, v
    return occupied


@_compiled
def allocation_moments(x, counts, rows, rng):  # type: ignore[no-untyped-def]
    """(m, 3, K): sums of counts (1, x, x^2) over what is drawn to each component of rows (m, 3, K).

    Weights, means and variances. A row of the data goes to one component, whatever its count.
    """
    m, _, k = rows.shape
    out, shares = np.zeros((m, 3, k)), np.empty(k)
    logs = np.empty(k)
    for d in range(m):
        for j in range(k):
            w, v = rows[d, 0, j], rows[d, 2, j]
            logs[j] = math.log(w) - 0.5 * math.log(v) if w > 0.0 else -np.inf
        for i in range(x.size):
            j = _allocated(x[i], logs, rows[d, 1], rows[d, 2], shares, rng)
            out[d, 0, j] += counts[i]
            out[d, 1, j] += counts[i] * x[i]
            out[d, 2, j] += counts[i] * x[i] * x[i]
    return out


@_compiled
def log_kernels(rows, constants, powers, centres, precisions, shapes, scales, symmetric, common):  # type: ignore[no-untyped-def]
    """(s,): log of the mean over m of products of Dirichlet, normal and inverse-gamma densities.

    At rows (s, 3, K) of weights, means and variances. Of each of m products: constants (m,) what
    does not depend on the point; powers (m, K) of the weights; centres and precisions (m, K) of the
    means, shapes and scales (m, K) of the variances, all of them 0 where these are known; common:
    one variance, the first. symmetric: averaged over the permutations of the components, by a sum
    over subsets, which has no differences in it.
    """
    s, _, k = rows.shape
    m = constants.size
    found = np.empty(s)
    each = np.empty(m)
    table, subsets = np.empty((k, k)), np.empty(1 << k)
    log_w, log_v = np.empty(k), np.empty(k)
    for i in range(s):
        for j in range(k):
            log_w[j], log_v[j] = math.log(rows[i, 0, j]), math.log(rows[i, 2, j])
        for d in range(m):
            value = constants[d]
            if common:
                value -= (shapes[d, 0] + 1.0) * log_v[0] + scales[d, 0] / rows[i, 2, 0]
            for a in range(k):
                for b in range(k):
                    z = (rows[i, 1, b] - centres[d, a]) ** 2 * precisions[d, a]
                    table[a, b] = powers[d, a] * log_w[b] - 0.5 * z
                    if not common and scales[d, a] > 0.0:
                        table[a, b] -= (shapes[d, a] + 1.0) * log_v[b]
                        table[a, b] -= scales[d, a] / rows[i, 2, b]
            if symmetric:
                value += _log_permanent(table, subsets)
            else:
                for a in range(k):
                    value += table[a, a]
            each[d] = value
        top = each.max()
        total = 0.0
        for d in range(m):
            total += math.exp(each[d] - top)
        found[i] = top + math.log(total / m) if top > -np.inf else -np.inf
    return found


@_compiled
def _log_permanent(table: Floats, subsets: Floats) -> float:
    """Log of the mean over permutations p of the product of exp(table[a, p[a]]); table is lost."""
    k = table.shape[0]
    shift = 0.0
    for a in range(k):
        top = table[a].max()
        shift += top
        for b in range(k):
            table[a, b] -= top
    for b in range(k):
        top = table[:, b].max()
        shift += top
        for a in range(k):
            table[a, b] = math.exp(table[a, b] - top)
    subsets[0] = 1.0
    for subset in range(1, 1 << k):
        size = -1
        for b in range(k):
            size += (subset >> b) & 1
        total = 0.0
        for b in range(k):
            if (subset >> b) & 1:
                total += subsets[subset ^ (1 << b)] * table[size, b]
        subsets[subset] = total
    whole = subsets[(1 << k) - 1]
    return shift + math.log(whole) - math.lgamma(k + 1.0) if whole > 0.0 else -np.inf
