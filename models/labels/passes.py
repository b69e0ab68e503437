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

from models import likelihood
from models.labels.assignment import Permutations
from models.likelihood import BLOCK, REASSOCIATE, fast_exp, fast_log
from models.mixture import LOG_2PI, Floats


def costs(draws: Floats, x: Floats, counts: Floats, reference: Floats, hard: bool) -> Floats:
    """(m, K, K): minus the sum over i of counts_i t_il reference_ji, for reference (K, n).

    t: the responsibilities or, if hard, one for the most probable component and zero for the
    others: with the indicators (K, n) of an allocation, minus the counts of its agreements.
    """
    k = draws.shape[-1]
    out = np.zeros((draws.shape[0], k, k))
    _costs(*_terms(draws), x, counts, np.ascontiguousarray(reference), hard, out)
    return out


def sums(draws: Floats, x: Floats, permutations: Permutations, hard: bool) -> Floats:
    """(K, n): t of the permuted draws, summed over the draws."""
    out = np.zeros((draws.shape[-1], x.size))
    _sums(*_terms(draws), x, permutations, hard, out)
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
def _allocations(scale, means, precisions, xs, t, top, left):  # type: ignore[no-untyped-def]
    """t (K, BLOCK): one for the most probable component, the first of equals, else zero."""
    _log_joint(scale, means, precisions, xs, t, top)
    for i in range(xs.size):
        left[i] = 1.0
    for j in range(means.size):
        for i in range(xs.size):
            t[j, i] = left[i] if t[j, i] == top[i] else 0.0
            left[i] -= t[j, i]


def _compiled(sources: str) -> tuple[Any, ...]:
    """The passes.

    `sources`, the hash of likelihood.py, is in the key of Numba's cache, which looks at no file
    but this one, because each closure holds it.
    """

    @njit(cache=True, error_model="numpy", fastmath=REASSOCIATE)
    def costs(scale, means, precisions, x, counts, reference, hard, out):  # type: ignore[no-untyped-def]
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

    @njit(cache=True, error_model="numpy", fastmath=REASSOCIATE)
    def sums(scale, means, precisions, x, permutations, hard, out):  # type: ignore[no-untyped-def]
        called = sources  # noqa: F841
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

    @njit(cache=True, error_model="numpy", fastmath=REASSOCIATE)
    def cluster_moments(scale, means, precisions, x, counts, out):  # type: ignore[no-untyped-def]
        called = sources  # noqa: F841
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

    return costs, sums, cluster_moments, loglik_and_entropy


_costs, _sums, _cluster_moments, _loglik_and_entropy = _compiled(
    sha256(Path(likelihood.__file__).read_bytes()).hexdigest()
)
