"""The best and the second best permutation of each of many small assignment problems."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from scipy.optimize import linear_sum_assignment

from models import kernels
from models.kernels import Floats
from models.kernels import Permutations as Permutations

# Up to here all K! permutations are tried: 720 of them take a microsecond a draw.
ENUMERATED = 6


def assign(costs: Floats) -> tuple[Permutations, Floats]:
    """(m, K) the permutations of least cost, and (m,) by how much the second best costs more.

    costs: (m, K, K), costs[d, j, l] that of putting raw component l at position j; a permutation
    p costs the sum of costs[d, j, p[j]]. Up to K = 6 by trying all; beyond that the best by
    scipy's linear_sum_assignment and the second best by forbidding each of its K pairs in turn
    (Murty 1968, Operations Research 16, the first partition). Inf where K = 1 leaves no second.
    """
    k = costs.shape[-1]
    if k <= ENUMERATED:
        return kernels.enumerate_permutations(np.ascontiguousarray(costs), _all_permutations(k))
    best = np.empty(costs.shape[:2], dtype=np.intp)
    margins = np.empty(costs.shape[0])
    for d, cost in enumerate(costs):
        best[d], margins[d] = _best_and_margin(cost)
    return best, margins


def invert(permutations: Permutations) -> Permutations:
    """(..., K): inverse[p[j]] = j, the position that each raw component goes to."""
    return np.argsort(permutations, axis=-1)


def numbered(permutations: Permutations) -> Permutations:
    """(...,): whole numbers, one for each permutation (..., K), in lexicographic order."""
    k = permutations.shape[-1]
    if k > 15:  # k**k leaves 64 bits
        found = np.unique(permutations.reshape(-1, k), axis=0, return_inverse=True)[1]
        return found.reshape(permutations.shape[:-1])
    numbers: Permutations = permutations @ k ** np.arange(k)[::-1]
    return numbers


def _best_and_margin(cost: Floats) -> tuple[Permutations, float]:
    rows, best = linear_sum_assignment(cost)
    least = cost[rows, best].sum()
    # More than any permutation can save, so that the forbidden pair is never taken.
    forbidden = least + (cost.max() - cost.min() + 1.0) * 2.0 * rows.size
    others = []
    for j in rows:
        barred = cost.copy()
        barred[j, best[j]] = forbidden
        others.append(barred[linear_sum_assignment(barred)].sum() - least)
    return best, float(min(others))


def _all_permutations(k: int) -> Permutations:
    return np.array(list(permutations(range(k))), dtype=np.intp)
