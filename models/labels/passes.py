"""Passes over draws and data: what relabelling and its diagnostics sum up.

The responsibilities of a draw are made anew in every pass, a block of observations at a time for
all draws, so that nothing of size draws x n is ever held. Draws are (m, 3, K), rows weights,
means, sds; x and counts are (n,).
"""

from __future__ import annotations

import numpy as np

from models import kernels
from models.kernels import Floats, Permutations


def costs(draws: Floats, x: Floats, counts: Floats, reference: Floats, hard: bool) -> Floats:
    """(m, K, K): minus the sum over i of counts_i t_il reference_ji, for reference (K, n).

    t: the responsibilities or, if hard, one for the most probable component and zero for the
    others: with the indicators (K, n) of an allocation, minus the counts of its agreements.
    """
    k = draws.shape[-1]
    out = np.zeros((draws.shape[0], k, k))
    kernels.label_costs(*_terms(draws), x, counts, np.ascontiguousarray(reference), hard, out)
    return out


def sums(draws: Floats, x: Floats, permutations: Permutations, hard: bool) -> Floats:
    """(K, n): t of the permuted draws, summed over the draws."""
    out = np.zeros((draws.shape[-1], x.size))
    kernels.label_sums(*_terms(draws), x, permutations, hard, out)
    return out


def cluster_moments(draws: Floats, x: Floats, counts: Floats) -> Floats:
    """(m, 3, K): sums of counts (1, x, x^2) over the observations that the draw gives to each."""
    out = np.zeros((draws.shape[0], 3, draws.shape[-1]))
    kernels.cluster_moments(*_terms(draws), x, counts, out)
    return out


def loglik_and_entropy(draws: Floats, x: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """(m,) the log-likelihood, in nats, and (m,) the entropy of the allocation, in nats.

    The entropy is that of the responsibilities, summed over the observations.
    """
    out = np.zeros((draws.shape[0], 2))
    kernels.loglik_and_entropy(*_terms(draws), x, counts, out)
    return out[:, 0], out[:, 1]


def _terms(draws: Floats) -> tuple[Floats, Floats, Floats]:
    """(m, K) each: log w - log sd, the means and the precisions 1/sd."""
    # Copies, which can be written: else Numba compiles anew for draws that cannot.
    weights, means, sds = (np.array(draws[:, row], order="C") for row in range(3))
    with np.errstate(divide="ignore"):
        return np.log(weights) - np.log(sds), means, 1.0 / sds
