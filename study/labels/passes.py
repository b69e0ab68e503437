"""Compiled passes over draws and data: what relabelling and its diagnostics sum up.

The responsibilities of a draw are made anew in every pass, a block of observations at a time for
all draws, so that nothing of size draws x n is ever held. Draws are (m, 3, K), rows weights,
means, sds; x and counts are (n,).
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models import likelihood
from models.likelihood import BLOCK, REASSOCIATE, fast_exp, fast_log
from models.mixture import LOG_2PI, Floats
from study.labels.assignment import Permutations, invert

type Allocations = NDArray[np.intp]


def expected_costs(draws: Floats, x: Floats, counts: Floats, reference: Floats) -> Floats:
    """(m, K, K): minus the sum over i of counts_i t_il reference_ji, for reference (K, n)."""
    k = draws.shape[-1]
    out = np.zeros((draws.shape[0], k, k))
    _expected_costs(*_terms(draws), x, counts, np.ascontiguousarray(reference), out)
    return out


def summed_shares(draws: Floats, x: Floats, permutations: Permutations) -> Floats:
    """(K, n): responsibilities of the permuted draws, summed over the draws."""
    out = np.zeros((draws.shape[-1], x.size))
    _summed_shares(*_terms(_permuted(draws, permutations)), x, out)
    return out


def allocation_costs(draws: Floats, x: Floats, counts: Floats, pivot: Allocations) -> Floats:
    """(m, K, K): minus the count of observations that pivot (n,) gives to j and the draw to l.

    A draw gives an observation to its most probable component.
    """
    k = draws.shape[-1]
    out = np.zeros((draws.shape[0], k, k))
    _allocation_costs(*_terms(draws), x, counts, pivot, out)
    return out


def summed_allocations(draws: Floats, x: Floats, permutations: Permutations) -> Floats:
    """(K, n): how many of the permuted draws give each observation to each component."""
    out = np.zeros((draws.shape[-1], x.size))
    _summed_allocations(*_terms(draws), x, invert(permutations), out)
    return out


def cluster_moments(draws: Floats, x: Floats, counts: Floats) -> Floats:
    """(m, 3, K): sums of counts (1, x, x^2) over the observations that the draw gives to each."""
    out = np.zeros((draws.shape[0], 3, draws.shape[-1]))
    _cluster_moments(*_terms(draws), x, counts, out)
    return out


def loglik_and_entropy(draws: Floats, x: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """(m,) the log-likelihood, in nats, and (m,) the entropy of the allocation, in nats.

    The entropy is that of the responsibilities, summed over the observations.
    """
    out = np.zeros((draws.shape[0], 2))
    _loglik_and_entropy(*_terms(draws), x, counts, out)
    return out[:, 0], out[:, 1]


def _permuted(draws: Floats, permutations: Permutations) -> Floats:
    return np.take_along_axis(draws, permutations[..., None, :], axis=-1)


def _terms(draws: Floats) -> tuple[Floats, Floats, Floats]:
    """(m, K) each: log w - log sd, the means and the precisions 1/sd."""
    weights, means, sds = (np.ascontiguousarray(draws[:, row]) for row in range(3))
    with np.errstate(divide="ignore"):
        return np.log(weights) - np.log(sds), means, 1.0 / sds


# Neither of these two is cached: they are compiled into the passes, whose cache knows of
# likelihood.py, and their own would not.
@njit(error_model="numpy", fastmath=REASSOCIATE)
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


@njit(error_model="numpy", fastmath=REASSOCIATE)
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


@njit(error_model="numpy", fastmath=REASSOCIATE)
def _allocate(scale, means, precisions, xs, a, top, z):  # type: ignore[no-untyped-def]
    """z (BLOCK,): the most probable component of each observation, the first of equals."""
    _log_joint(scale, means, precisions, xs, a, top)
    for i in range(xs.size):
        z[i] = 0
    for j in range(means.size - 1, -1, -1):
        for i in range(xs.size):
            z[i] = j if a[j, i] == top[i] else z[i]


def _compiled(sources: str) -> tuple[Any, ...]:
    """The passes. `sources`, the hash of likelihood.py, is in the key of Numba's cache, which
    looks at no file but this one, because each closure holds it."""

    @njit(cache=True, error_model="numpy", fastmath=REASSOCIATE)
    def expected_costs(scale, means, precisions, x, counts, reference, out):  # type: ignore[no-untyped-def]
        called = sources  # noqa: F841
        m, k = means.shape
        t, top, total = np.empty((k, BLOCK)), np.empty(BLOCK), np.empty(BLOCK)
        weighted = np.empty((k, BLOCK))
        for begin in range(0, x.size, BLOCK):
            xs = x[begin : begin + BLOCK]
            for j in range(k):
                for i in range(xs.size):
                    weighted[j, i] = counts[begin + i] * reference[j, begin + i]
            for d in range(m):
                _responsibilities(scale[d], means[d], precisions[d], xs, t, top, total)
                for j in range(k):
                    for l in range(k):  # noqa: E741
                        s = 0.0
                        for i in range(xs.size):
                            s += weighted[j, i] * t[l, i]
                        out[d, j, l] -= s

    @njit(cache=True, error_model="numpy", fastmath=REASSOCIATE)
    def summed_shares(scale, means, precisions, x, out):  # type: ignore[no-untyped-def]
        called = sources  # noqa: F841
        m, k = means.shape
        t, top, total = np.empty((k, BLOCK)), np.empty(BLOCK), np.empty(BLOCK)
        for begin in range(0, x.size, BLOCK):
            xs = x[begin : begin + BLOCK]
            for d in range(m):
                _responsibilities(scale[d], means[d], precisions[d], xs, t, top, total)
                for j in range(k):
                    for i in range(xs.size):
                        out[j, begin + i] += t[j, i]

    @njit(cache=True, error_model="numpy", fastmath=REASSOCIATE)
    def allocation_costs(scale, means, precisions, x, counts, pivot, out):  # type: ignore[no-untyped-def]
        called = sources  # noqa: F841
        m, k = means.shape
        a, top, z = np.empty((k, BLOCK)), np.empty(BLOCK), np.empty(BLOCK, dtype=np.int64)
        for begin in range(0, x.size, BLOCK):
            xs = x[begin : begin + BLOCK]
            for d in range(m):
                _allocate(scale[d], means[d], precisions[d], xs, a, top, z)
                for i in range(xs.size):
                    out[d, pivot[begin + i], z[i]] -= counts[begin + i]

    @njit(cache=True, error_model="numpy", fastmath=REASSOCIATE)
    def summed_allocations(scale, means, precisions, x, inverse, out):  # type: ignore[no-untyped-def]
        called = sources  # noqa: F841
        m, k = means.shape
        a, top, z = np.empty((k, BLOCK)), np.empty(BLOCK), np.empty(BLOCK, dtype=np.int64)
        for begin in range(0, x.size, BLOCK):
            xs = x[begin : begin + BLOCK]
            for d in range(m):
                _allocate(scale[d], means[d], precisions[d], xs, a, top, z)
                for i in range(xs.size):
                    out[inverse[d, z[i]], begin + i] += 1.0

    @njit(cache=True, error_model="numpy", fastmath=REASSOCIATE)
    def cluster_moments(scale, means, precisions, x, counts, out):  # type: ignore[no-untyped-def]
        called = sources  # noqa: F841
        m, k = means.shape
        a, top, z = np.empty((k, BLOCK)), np.empty(BLOCK), np.empty(BLOCK, dtype=np.int64)
        for begin in range(0, x.size, BLOCK):
            xs = x[begin : begin + BLOCK]
            for d in range(m):
                _allocate(scale[d], means[d], precisions[d], xs, a, top, z)
                for i in range(xs.size):
                    c = counts[begin + i]
                    out[d, 0, z[i]] += c
                    out[d, 1, z[i]] += c * xs[i]
                    out[d, 2, z[i]] += c * xs[i] * xs[i]

    @njit(cache=True, error_model="numpy", fastmath=REASSOCIATE)
    def loglik_and_entropy(scale, means, precisions, x, counts, out):  # type: ignore[no-untyped-def]
        called = sources  # noqa: F841
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

    return (
        expected_costs,
        summed_shares,
        allocation_costs,
        summed_allocations,
        cluster_moments,
        loglik_and_entropy,
    )


(
    _expected_costs,
    _summed_shares,
    _allocation_costs,
    _summed_allocations,
    _cluster_moments,
    _loglik_and_entropy,
) = _compiled(sha256(Path(likelihood.__file__).read_bytes()).hexdigest())
