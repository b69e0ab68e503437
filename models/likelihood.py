"""One pass over the data: log-likelihood, responsibility moments, score, information.

Everything that EM, direct maximisation, certificates and standard errors need of the data are
sums over observations of c_i t_ik z_ik^p, with responsibilities t_ik, z_ik = (x_i - mean_k)/sd_k
and counts c_i. `moments` gives the log-likelihood and p = 0, 1, 2 (all of EM and of the score);
`second_moments` adds p = 3, 4 and the cross products that the observed information needs.
`reference_moments` is the same in textbook NumPy: the reading copy, and the oracle of the tests.

The compiled pass works through blocks of BLOCK observations that stay in the first-level cache,
with exp and log written out so that the loops vectorise.
"""

from __future__ import annotations

import math
import time
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from models.mixture import LOG_2PI, Floats, Mixture
from models.model import MixtureModel

BLOCK = 128
MOST = 200  # components whose factors' product over a block cannot overflow: MOST^BLOCK < 1e308


class Moments(NamedTuple):
    """Sums over a sample.

    loglik: nats, of the data, all constants included.
    t: (K, 3), sums of c t z^p, p = 0, 1, 2.
    """

    loglik: float
    t: Floats


class SecondMoments(NamedTuple):
    """Sums over a sample, with what the observed information needs.

    loglik: nats, of the data, all constants included.
    t: (K, 5), sums of c t z^p, p = 0, ..., 4.
    cross: (3K, 3K), sums of c u u', u = (t, t z, t z^2).
    """

    loglik: float
    t: Floats
    cross: Floats


def reference_moments(mixture: Mixture, x: Floats, counts: Floats) -> Moments:
    """`moments` as a textbook writes it: x (n,), counts (n,)."""
    t = counts[:, None] * mixture.responsibilities(x)
    z = (x[:, None] - mixture.means) / mixture.sds
    loglik = float(counts @ mixture.log_density(x))
    return Moments(loglik, np.stack([(t * z**p).sum(axis=0) for p in range(3)], axis=1))


def reference_second_moments(mixture: Mixture, x: Floats, counts: Floats) -> SecondMoments:
    """`second_moments` as a textbook writes it: x (n,), counts (n,)."""
    t = mixture.responsibilities(x)
    z = (x[:, None] - mixture.means) / mixture.sds
    u = np.hstack([t, t * z, t * z * z])
    sums = np.stack([(counts[:, None] * t * z**p).sum(axis=0) for p in range(5)], axis=1)
    return SecondMoments(float(counts @ mixture.log_density(x)), sums, (counts[:, None] * u).T @ u)


def moments(mixture: Mixture, x: Floats, counts: Floats) -> Moments:
    """One compiled pass over x (n,), float64 and contiguous, with counts (n,)."""
    t = np.zeros((mixture.k, 3))
    loglik = add_pass(mixture.weights, mixture.means, mixture.sds, x, counts, t, _NO_CROSS)
    return Moments(loglik, t)


def second_moments(mixture: Mixture, x: Floats, counts: Floats) -> SecondMoments:
    """One compiled pass that also gathers what the observed information needs."""
    k = mixture.k
    t = np.zeros((k, 5))
    cross = np.zeros((3 * k, 3 * k))
    loglik = add_pass(mixture.weights, mixture.means, mixture.sds, x, counts, t, cross)
    return SecondMoments(loglik, t, cross)


def score(mixture: Mixture, t: Floats) -> Floats:
    """(3K - 1,): gradient of the log-likelihood by (log w_k/w_K, means, log sds).

    Fisher's identity: the responsibility-weighted complete-data score. t: (K, 3 or more).
    """
    return _score(mixture.weights, mixture.sds, t)


def information(mixture: Mixture, second: SecondMoments) -> Floats:
    """(3K - 1, 3K - 1): observed information, minus the Hessian in the coordinates of `score`.

    Louis (1982): expected complete-data information less the variance of the complete-data
    score given the data, sum_k t_k s_k s_k' - sbar sbar'.
    """
    complete, expected_outer, outer = _louis_terms(
        mixture.weights, mixture.sds, second.t, second.cross
    )
    return complete - (expected_outer - outer)


def complete_information(mixture: Mixture, second: SecondMoments) -> Floats:
    """(3K - 1, 3K - 1): expected complete-data information given the data."""
    return _louis_terms(mixture.weights, mixture.sds, second.t, second.cross)[0]


def score_outer(mixture: Mixture, second: SecondMoments) -> Floats:
    """(3K - 1, 3K - 1): sum of c s_i s_i' over the observations' scores s_i (for sandwiches)."""
    return _louis_terms(mixture.weights, mixture.sds, second.t, second.cross)[2]


@njit(cache=True, error_model="numpy")
def _louis_terms(
    weights: Floats, sds: Floats, t: Floats, cross: Floats
) -> tuple[Floats, Floats, Floats]:
    k = weights.size
    n = t[:, 0].sum()
    # The score of observation i is A u_i - b: u_i = (t, t z, t z^2), b the weights in the first
    # K places. All K log-weights are kept here; the last one is dropped at the end.
    b = np.zeros(3 * k)
    b[:k] = weights
    total = np.concatenate((t[:, 0], t[:, 1] / sds, t[:, 2] - t[:, 0]))
    outer = cross.copy()
    for j in range(k):
        outer[k + j] /= sds[j]
        outer[2 * k + j] -= outer[j]
    for j in range(k):
        outer[:, k + j] /= sds[j]
        outer[:, 2 * k + j] -= outer[:, j]
    outer += n * np.outer(b, b) - np.outer(total, b) - np.outer(b, total)

    expected = np.zeros((3 * k, 3 * k))
    complete = np.zeros((3 * k, 3 * k))
    complete[:k, :k] = n * (np.diag(weights) - np.outer(weights, weights))
    for j in range(k):
        # Complete-data score of component j: (delta_j - w, z/sd, z^2 - 1).
        t0, t1, t2, t3, t4 = t[j]
        by_mean, by_sd = k + j, 2 * k + j
        delta = -weights
        delta[j] += 1.0
        expected[:k, :k] += t0 * np.outer(delta, delta)
        expected[:k, by_mean] += delta * (t1 / sds[j])
        expected[by_mean, :k] += delta * (t1 / sds[j])
        expected[:k, by_sd] += delta * (t2 - t0)
        expected[by_sd, :k] += delta * (t2 - t0)
        expected[by_mean, by_mean] += t2 / sds[j] ** 2
        expected[by_mean, by_sd] += (t3 - t1) / sds[j]
        expected[by_sd, by_mean] += (t3 - t1) / sds[j]
        expected[by_sd, by_sd] += t4 - 2.0 * t2 + t0
        complete[by_mean, by_mean] = t0 / sds[j] ** 2
        complete[by_mean, by_sd] = complete[by_sd, by_mean] = 2.0 * t1 / sds[j]
        complete[by_sd, by_sd] = 2.0 * t2
    kept = np.concatenate((np.arange(k - 1), np.arange(k, 3 * k)))
    return complete[kept][:, kept], expected[kept][:, kept], outer[kept][:, kept]


@njit(cache=True, error_model="numpy")
def _score(weights: Floats, sds: Floats, t: Floats) -> Floats:
    k = weights.size
    n = t[:, 0].sum()
    gradient = np.empty(3 * k - 1)
    gradient[: k - 1] = (t[:, 0] - n * weights)[: k - 1]
    gradient[k - 1 : 2 * k - 1] = t[:, 1] / sds
    gradient[2 * k - 1 :] = t[:, 2] - t[:, 0]
    return gradient


def compile_passes() -> float:
    """Compile (or load from the cache) both passes now; the seconds it took, 0.0 when loaded."""
    if add_pass.signatures:
        return 0.0
    begin = time.perf_counter()
    mixture, x = Mixture([0.5, 0.5], [-1.0, 1.0], [1.0, 1.0]), np.zeros(2)
    moments(mixture, x, np.ones(2))
    second_moments(mixture, x, np.ones(2))
    return time.perf_counter() - begin


_NO_CROSS = np.zeros((0, 0))

# Sums may be reassociated, so that they vectorise; NaN and infinities keep their meaning.
REASSOCIATE = {"reassoc", "contract", "nsz", "arcp"}
# Said outright, because a function without flags takes over those of the one that calls it, and
# reassociation would cancel the rounding constant of exp.
_FUSE_ONLY = {"contract"}

_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
_SHIFT = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to an integer in the low bits
_EXP = tuple(1.0 / math.factorial(i) for i in range(14))
_LOG = tuple(2.0 / (2 * i + 1) for i in range(12))


def _bitcast(source: Any, target: Any, kind: ir.Type) -> Any:
    """A Numba function that reads the bits of a number as another type."""

    def cast(typingctx, value):  # type: ignore[no-untyped-def]  # numba's own calling sequence
        def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            return builder.bitcast(arguments[0], kind)

        return target(source), codegen

    return intrinsic(cast)


_bits = _bitcast(types.float64, types.int64, ir.IntType(64))
_float = _bitcast(types.int64, types.float64, ir.DoubleType())


@njit(cache=True, error_model="numpy", fastmath=_FUSE_ONLY)
def fast_exp(a: float) -> float:
    """exp(a) for a <= 0, within 2 ulp; 0 below -745. Not reassociated: the shift must survive."""
    a = max(a, -750.0)
    shifted = a * 1.4426950408889634 + _SHIFT
    n = shifted - _SHIFT
    r = (a - n * _LN2_HIGH) - n * _LN2_LOW
    p = _EXP[13]
    p = p * r + _EXP[12]
    p = p * r + _EXP[11]
    p = p * r + _EXP[10]
    p = p * r + _EXP[9]
    p = p * r + _EXP[8]
    p = p * r + _EXP[7]
    p = p * r + _EXP[6]
    p = p * r + _EXP[5]
    p = p * r + _EXP[4]
    p = p * r + _EXP[3]
    p = p * r + _EXP[2]
    p = p * r + 1.0
    p = p * r + 1.0
    # Two steps of half the exponent, so that results below 2^-1022 come out as subnormals.
    m = _bits(shifted) - _bits(_SHIFT)
    half = m >> 1
    return p * _float((half + 1023) << 52) * _float((m - half + 1023) << 52)


@njit(cache=True, error_model="numpy", fastmath=_FUSE_ONLY)
def fast_log(s: float) -> float:
    """log(s) for normal s >= 1, within 2 ulp."""
    bits = _bits(s)
    # Mantissa in [sqrt(1/2), sqrt(2)): subtract the bits of sqrt(1/2), keep the exponent apart.
    exponent = (bits - 4604544271217802189) >> 52
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
    e = float(exponent)
    return e * _LN2_HIGH + (f * p + (e * _LN2_LOW + 2.0 * f))


@njit(cache=True, error_model="numpy", fastmath=REASSOCIATE)
def _add_pair(
    weights: Floats, means: Floats, sds: Floats, x: Floats, counts: Floats, out: Floats
) -> float:
    """`add_pass` for two components, out (2, 3): only the difference of the terms needs an exp.

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


@njit(cache=True, error_model="numpy", fastmath=REASSOCIATE)
def add_pass(
    weights: Floats,
    means: Floats,
    sds: Floats,
    x: Floats,
    counts: Floats,
    out: Floats,
    cross: Floats,
) -> float:
    """Add the sums over x to out (K, 3 or 5) and, if that is 5, to cross (3K, 3K); the loglik.

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


def score_and_information(
    mixture: Mixture, model: MixtureModel, second: SecondMoments
) -> tuple[Floats, Floats]:
    """Score (p,) and observed information (p, p) in the model's unconstrained coordinates."""
    s = model.selection
    return s.T @ score(mixture, second.t), s.T @ information(mixture, second) @ s
