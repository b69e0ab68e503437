"""How far an estimate is from the truth as a whole, whatever its labels: one number a replicate.

`measures.mean` of them, with NaN where a fit has no estimate, is a risk with its Monte Carlo error.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import linprog

from models.mixture import Floats, Mixture
from models.truth import legendre

# Cells of one sd: as good as exact here, and four times as fast as narrower ones.
CELLS = 24
# Components of a density of many by which cells are cut.
SPREAD = 16


class Losses(NamedTuple):
    """What each of the functions below gives."""

    hellinger: float
    kullback_leibler: float
    wasserstein: float


def losses(truth: Mixture, estimate: Mixture, density: Mixture | None = None) -> Losses:
    """All of them, on the same nodes.

    density: what the losses between densities are of, where it is not the estimate's own: the
        predictive density of a posterior, say, a mixture of as many components as it takes.
    """
    density = estimate if density is None else density
    x, weights = nodes(truth, estimate, _some(density), cells=CELLS)
    logs = truth.log_density(x), density.log_density(x)
    return Losses(
        _hellinger(weights, *logs), _kullback_leibler(weights, *logs), wasserstein(truth, estimate)
    )


def hellinger(truth: Mixture, estimate: Mixture) -> float:
    """Hellinger distance of the densities, sqrt(1 - int sqrt(f g)), from 0 to 1."""
    return losses(truth, estimate).hellinger


def kullback_leibler(truth: Mixture, estimate: Mixture) -> float:
    """int f log(f/g), f the truth's density and g the estimate's, in nats; at least 0."""
    return losses(truth, estimate).kullback_leibler


def _hellinger(weights: Floats, log_f: Floats, log_g: Floats) -> float:
    return float(np.sqrt(0.5 * weights @ (np.exp(0.5 * log_f) - np.exp(0.5 * log_g)) ** 2))


def _kullback_leibler(weights: Floats, log_f: Floats, log_g: Floats) -> float:
    """As the integral of f log(f/g) - f + g, which is nowhere negative: nothing cancels."""
    f, log_ratio = np.exp(log_f), log_g - log_f
    with np.errstate(over="ignore"):
        near = f * (np.expm1(np.minimum(log_ratio, 1.0)) - log_ratio)
    far = np.exp(log_g) - f - f * log_ratio
    return float(weights @ np.where(log_ratio < 1.0, near, far))


def _some(mixture: Mixture) -> Mixture:
    """A mixture's components, or if there are more than SPREAD so many of them."""
    if mixture.k <= SPREAD:
        return mixture
    return Mixture.of_rows(mixture.as_rows()[:, np.linspace(0, mixture.k - 1, SPREAD).astype(int)])


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


def nodes(*mixtures: Mixture, cells: int = 96) -> tuple[Floats, Floats]:
    """Points (m,) and weights (m,) of integrals over the line of what the mixtures' densities make.

    Gauss-Legendre in `cells` cells a component, with the default no wider than a quarter of the sd
    of any component near them.
    """
    reach = np.linspace(-12.0, 12.0, cells + 1)[:, None]
    edges = np.concatenate([(m.means + m.sds * reach).ravel() for m in mixtures])
    return legendre(np.unique(edges))
