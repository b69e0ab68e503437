"""How far an estimate is from the truth as a whole, whatever its labels: one number a replicate.

`measures.mean` of them, with NaN where a fit has no estimate, is a risk with its Monte Carlo error.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog

from models.mixture import Mixture
from study.theory import nodes

# Cells of one sd: as good as exact here, and four times as fast as narrower ones.
CELLS = 24


def hellinger(truth: Mixture, estimate: Mixture) -> float:
    """Hellinger distance of the densities, sqrt(1 - int sqrt(f g)), from 0 to 1."""
    x, weights = nodes(truth, estimate, cells=CELLS)
    roots = (np.exp(0.5 * mixture.log_density(x)) for mixture in (truth, estimate))
    return float(np.sqrt(0.5 * weights @ np.subtract(*roots) ** 2))


def kullback_leibler(truth: Mixture, estimate: Mixture) -> float:
    """int f log(f/g), f the truth's density and g the estimate's, in nats; at least 0.

    As the integral of f log(f/g) - f + g, which is nowhere negative, so that nothing cancels.
    """
    x, weights = nodes(truth, estimate, cells=CELLS)
    f, log_ratio = truth.density(x), estimate.log_density(x) - truth.log_density(x)
    with np.errstate(over="ignore"):
        near = f * (np.expm1(np.minimum(log_ratio, 1.0)) - log_ratio)
    far = estimate.density(x) - f - f * log_ratio
    return float(weights @ np.where(log_ratio < 1.0, near, far))


def wasserstein(truth: Mixture, estimate: Mixture) -> float:
    """Distance of the mixing measures, in data units: what it takes to carry one into the other.

    The root of the least mean squared distance between components, over all ways to carry the
    weights, where ((m - m')^2 + (s - s')^2)^1/2 is Wasserstein's distance W2 between two normals
    (Delon and Desolneux 2020, proposition 4).
    """
    squares = (truth.means[:, None] - estimate.means) ** 2
    squares = squares + (truth.sds[:, None] - estimate.sds) ** 2
    rows, columns = squares.shape
    if (rows, columns) == (2, 2):
        # One number is free, the mass from the first to the first, and the cost linear in it.
        w, v = truth.weights, estimate.weights
        first = np.array([max(w[0] - v[1], 0.0), min(w[0], v[0])])
        plans = np.array([[first, w[0] - first], [v[0] - first, w[1] - v[0] + first]])
        return float(np.sqrt(np.tensordot(squares, plans).min()))
    shipped = np.kron(np.eye(rows), np.ones(columns))
    received = np.kron(np.ones(rows), np.eye(columns))
    # The last constraint follows from the others, and rounding must not contradict it.
    found = linprog(
        squares.ravel(),
        A_eq=np.vstack([shipped, received])[:-1],
        b_eq=np.concatenate([truth.weights, estimate.weights])[:-1],
    )
    return float(np.sqrt(max(found.fun, 0.0)))
