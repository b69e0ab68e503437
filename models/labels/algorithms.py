"""Relabelling: for each posterior draw the one permutation that moves all its components.

Draws are (chains, draws, 3, K), rows weights, means, sds; x and counts (n,). A permutation p puts
raw component p[j] at position j. Every algorithm starts from a pivot with its components in the
order of their means, so that labels as sampled have no part in the result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from models import Mixture, MixtureModel, checks
from models.labels import passes
from models.labels.assignment import Permutations, assign, invert, numbered
from models.mixture import Floats
from models.sample import Data, as_data

# Shares below this count as this in Stephens' logarithms, as in R's label.switching.
LEAST_SHARE = 1e-6

ROWS = ("weights", "means", "sds")

# Weights sum to one but for the rounding of numbers of single precision.
SUM = 1e-5

# Draws by which the order of the rows is checked.
TRIED = 50


@dataclass(frozen=True, eq=False)
class Relabelling:
    """Which permutation each draw gets, by one algorithm.

    permutations: (chains, draws, K).
    margins: (chains, draws), by how much a draw's second best permutation costs more, in the
        algorithm's own unit.
    iterations: rounds of assignment.
    converged: whether the last round changed no permutation (True where one is all).
    """

    permutations: Permutations
    margins: Floats
    iterations: int = 1
    converged: bool = True

    def apply(self, draws: Floats) -> Floats:
        """Draws (chains, draws, ..., K), relabelled."""
        return permuted(draws, self.permutations)


def permuted(draws: Floats, permutations: Permutations) -> Floats:
    """Draws (chains, draws, ..., K), the last axis of each draw by its permutation (K,)."""
    between = tuple(range(2, draws.ndim - 1))
    return np.take_along_axis(draws, np.expand_dims(permutations, between), axis=-1)


def pivot_of(draws: Floats, x: ArrayLike, counts: ArrayLike | None = None) -> Floats:
    """(3, K): the draw of the highest log-likelihood, components in the order of their means."""
    flat, data = checked(draws, x, counts)
    best = flat[np.argmax(passes.loglik_and_entropy(flat, data.x, data.counts)[0])]
    return Mixture.of_rows(best.copy()).by_mean().as_rows()


def ordering(draws: Floats, row: int = 1) -> Relabelling:
    """Ascending values of one row of draws (chains, draws, any, K); row 1: means.

    Margins: the smallest gap between neighbours, in the parameter's unit.
    """
    values = checks.array("draws", draws)[..., row, :]
    order = np.argsort(values, axis=-1, kind="stable")
    gaps = np.diff(np.take_along_axis(values, order, axis=-1), axis=-1)
    return Relabelling(order, gaps.min(axis=-1, initial=np.inf))


def pra(draws: Floats, pivot: Floats) -> Relabelling:
    """Pivotal reordering (Marin, Mengersen and Robert 2005, section 4.3): nearest to the pivot.

    draws: (chains, draws, R, K) of any R parameters; pivot: (R, K). Squared distances, each
    parameter in units of the root mean square over ranks of the sd, over the draws, of its value
    of that rank. Labels cannot touch that, and where components are apart it is their own spread;
    by its sd over all components, a parameter that tells them apart would count no more than one
    that does not. Parameters that never vary are left out. Margins: in those units, squared.
    """
    draws, pivot = checks.array("draws", draws), checks.array("pivot", pivot)
    if pivot.shape != draws.shape[-2:]:
        raise ValueError(f"pivot: has shape {pivot.shape}; a draw has {draws.shape[-2:]}")
    flat = draws.reshape(-1, *pivot.shape)
    scale = np.sqrt(np.sort(flat, axis=-1).var(axis=0).mean(axis=-1))
    used = scale > 0
    apart = (flat[:, used, None, :] - pivot[used, :, None]) / scale[used, None, None]
    return _relabelling(draws, *assign((apart**2).sum(axis=1)))


def stephens(
    draws: Floats,
    x: ArrayLike,
    counts: ArrayLike | None = None,
    *,
    pivot: Floats | None = None,
    max_iter: int = 100,
) -> Relabelling:
    """Least Kullback-Leibler divergence of the responsibilities from their mean over the draws.

    Stephens (2000), JRSS B 62, algorithm 2: permutations given the mean, mean given the
    permutations, to a fixed point, from the responsibilities of the pivot (default `pivot_of`).
    Each responsibility is mixed with LEAST_SHARE of every component, which leaves every step a
    descent. Margins: in nats.
    """
    flat, data = checked(draws, x, counts)
    start = _shares(_pivot(draws, data, pivot), data)

    def costs(mean: Floats) -> Floats:
        return passes.costs(flat, data.x, data.counts, np.log(mean + LEAST_SHARE), False)

    running = _Running(flat, data, hard=False)
    return _iterate(draws, costs, start, lambda p: running.moved_to(p) / len(flat), max_iter)


def ecr(
    draws: Floats, x: ArrayLike, counts: ArrayLike | None = None, *, pivot: Floats | None = None
) -> Relabelling:
    """Most observations allocated as by the pivot (default `pivot_of`).

    Equivalence classes representatives, Papastamoulis and Iliopoulos (2010), JCGS 19. A
    marginalised posterior has no allocations: those of a draw are the most probable ones. Margins:
    in observations.
    """
    flat, data = checked(draws, x, counts)
    reference = _indicators(_shares(_pivot(draws, data, pivot), data))
    costs = passes.costs(flat, data.x, data.counts, reference, True)
    return _relabelling(draws, *assign(costs))


def ecr_iterative_1(
    draws: Floats,
    x: ArrayLike,
    counts: ArrayLike | None = None,
    *,
    pivot: Floats | None = None,
    max_iter: int = 100,
) -> Relabelling:
    """`ecr` with each observation's most frequent allocation over the draws as the next pivot.

    Rodriguez and Walker (2014), JCGS 23, algorithm 3 (first iterative version). Margins: in
    observations.
    """
    return _iterative_ecr(draws, x, counts, pivot, max_iter, hard=True)


def ecr_iterative_2(
    draws: Floats,
    x: ArrayLike,
    counts: ArrayLike | None = None,
    *,
    pivot: Floats | None = None,
    max_iter: int = 100,
) -> Relabelling:
    """`ecr` with the allocation by the mean responsibilities over the draws as the next pivot.

    The second iterative version of R's label.switching (Papastamoulis 2016, JSS 69). It need not
    settle, and then says so. Margins: in observations.
    """
    return _iterative_ecr(draws, x, counts, pivot, max_iter, hard=False)


def data_based(
    draws: Floats,
    x: ArrayLike,
    counts: ArrayLike | None = None,
    *,
    pivot: Floats | None = None,
    max_iter: int = 100,
) -> Relabelling:
    """Observations nearest to their component's centre, in units of its spread.

    Rodriguez and Walker (2014), JCGS 23, algorithms 5 and 6: the cost is the sum over the
    observations that the draw gives to l of ((x_i - centre_j) / spread_j)^2. Centres and spreads
    are means over the draws of each cluster's mean and sd (clusters of two or more), to a fixed
    point from the pivot's, where the paper updates them from draw to draw. It need not settle,
    and then says so. Margins: squared spreads.
    """
    flat, data = checked(draws, x, counts)
    first = _pivot(draws, data, pivot)
    # About the mean, so that the sums of squares do not cancel.
    n, sums, squares = np.moveaxis(
        passes.cluster_moments(
            _shifted(flat, data.mean), np.ascontiguousarray(data.x - data.mean), data.counts
        ),
        1,
        0,
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        centres = np.where(n >= 2, sums / n, np.nan)
        spreads = np.where(n >= 2, np.sqrt(np.maximum(squares / n - centres**2, 0.0)), np.nan)
    least = LEAST_SHARE * data.sd
    start = np.stack([first[1] - data.mean, first[2]])
    reached = [start]

    def costs(reference: Floats) -> Floats:
        centre, spread = reference[0, :, None], np.maximum(reference[1], least)[:, None]
        about = squares[:, None] - 2.0 * centre * sums[:, None] + centre**2 * n[:, None]
        distances: Floats = about / spread**2
        return distances

    def update(permutations: Permutations) -> Floats:
        moved = [np.take_along_axis(v, permutations, axis=-1) for v in (centres, spreads)]
        known = np.isfinite(moved[0]).sum(axis=0)
        means = np.nansum(moved, axis=1) / np.maximum(known, 1)
        reached.append(np.where(known > 0, means, reached[-1]))
        return reached[-1]

    return _iterate(draws, costs, start, update, max_iter)


def to_mixture(
    draws: Floats, x: ArrayLike, mixture: Mixture, counts: ArrayLike | None = None
) -> Relabelling:
    """Least Kullback-Leibler divergence of the responsibilities from those of a given mixture.

    Positions are the mixture's own. A true mixture, or an estimate. Margins: in nats.
    """
    flat, data = checked(draws, x, counts)
    if mixture.k != flat.shape[-1]:
        raise ValueError(f"mixture: has {mixture.k} components; the draws have {flat.shape[-1]}")
    reference = np.log(mixture.responsibilities(data.x).T + LEAST_SHARE)
    return _relabelling(draws, *assign(passes.costs(flat, data.x, data.counts, reference, False)))


type Algorithm = Callable[[Floats, Floats, Floats, Floats], Relabelling]

# By name: (draws, x, counts, pivot) -> Relabelling.
ALGORITHMS: dict[str, Algorithm] = {
    "order by weights": lambda draws, x, counts, pivot: ordering(draws, 0),
    "order by means": lambda draws, x, counts, pivot: ordering(draws, 1),
    "order by sds": lambda draws, x, counts, pivot: ordering(draws, 2),
    "Stephens": lambda draws, x, counts, pivot: stephens(draws, x, counts, pivot=pivot),
    "ECR": lambda draws, x, counts, pivot: ecr(draws, x, counts, pivot=pivot),
    "ECR iterative 1": lambda draws, x, counts, pivot: ecr_iterative_1(
        draws, x, counts, pivot=pivot
    ),
    "ECR iterative 2": lambda draws, x, counts, pivot: ecr_iterative_2(
        draws, x, counts, pivot=pivot
    ),
    "PRA": lambda draws, x, counts, pivot: pra(draws, pivot),
    "data-based": lambda draws, x, counts, pivot: data_based(draws, x, counts, pivot=pivot),
}


def relabel_by_all(
    draws: Floats, x: ArrayLike, counts: ArrayLike | None = None
) -> dict[str, Relabelling]:
    """The Relabelling by each of ALGORITHMS, from one pivot."""
    _, data = checked(draws, x, counts)
    pivot = pivot_of(draws, data.x, data.counts)
    return {name: run(draws, data.x, data.counts, pivot) for name, run in ALGORITHMS.items()}


def agreement(first: Permutations, second: Permutations) -> float:
    """Share of the draws with the same permutation, up to one relabelling of them all.

    Permutations are (..., K); the relabelling is the one that most draws ask for.
    """
    between = numbered(np.take_along_axis(invert(first), second, axis=-1))
    _, found = np.unique(between, return_counts=True)
    return float(found.max() / between.size)


def agreements(relabellings: Mapping[str, Relabelling]) -> pd.DataFrame:
    """Square table of `agreement` between relabellings, by their names."""
    found = [r.permutations for r in relabellings.values()]
    names = list(relabellings)
    return pd.DataFrame([[agreement(a, b) for b in found] for a in found], names, names)


def check_draws(draws: ArrayLike) -> Floats:
    """The draws (chains, draws, 3, K) as an array; ValueError unless rows are those of mixtures.

    Finite, weights at least 0 with a sum of 1 to SUM, sds above 0.
    """
    array = checks.array("draws", draws)
    if array.ndim != 4 or array.shape[2] != len(ROWS) or 0 in array.shape:
        raise ValueError(f"draws: have shape {array.shape}; give (chains, draws, 3, K)")
    if array[:, :, 0].min() < 0 or array[:, :, 2].min() <= 0:
        raise ValueError("draws: rows must be weights (>= 0), means and sds (> 0), in this order")
    sums = array[:, :, 0].sum(axis=-1)
    worst = sums.ravel()[np.argmax(np.abs(sums - 1.0))]
    if not abs(worst - 1.0) <= SUM:
        raise ValueError(
            f"draws: weights of a draw sum to {worst:.6g}; they must sum to 1, and rows be "
            "weights, means and sds, in this order"
        )
    return array


def check_order(flat: Floats, data: Data) -> None:
    """ValueError where every draw (m, 3, K) makes more of the data with means and sds exchanged.

    Which no posterior does: such rows are in the wrong order.
    """
    some = flat[:: max(len(flat) // TRIED, 1)]
    exchanged = np.ascontiguousarray(some[:, [0, 2, 1]])
    if np.any(exchanged[:, 2] <= 0):
        return
    given, other = (passes.loglik_and_entropy(d, data.x, data.counts)[0] for d in (some, exchanged))
    if np.all(other > given):
        raise ValueError(
            "draws: all make more of the data with means and sds exchanged, at most "
            f"{other.max():.6g} and not {given.max():.6g} nats; give rows of weights, means and "
            "sds, in this order"
        )


class _Running:
    """`passes.sums` at the permutations of the moment; only draws that moved are gone through."""

    def __init__(self, flat: Floats, data: Data, hard: bool) -> None:
        self.flat, self.x, self.hard = flat, data.x, hard
        self.permutations: Permutations | None = None

    def moved_to(self, permutations: Permutations) -> Floats:
        if self.permutations is None:
            self.total = passes.sums(self.flat, self.x, permutations, self.hard)
        else:
            moved = np.any(permutations != self.permutations, axis=1)
            after, before = (
                passes.sums(self.flat[moved], self.x, p[moved], self.hard)
                for p in (permutations, self.permutations)
            )
            self.total = self.total + (after - before)
        self.permutations = permutations
        return self.total


def _iterative_ecr(
    draws: Floats,
    x: ArrayLike,
    counts: ArrayLike | None,
    pivot: Floats | None,
    max_iter: int,
    hard: bool,
) -> Relabelling:
    """ECR whose next pivot is the allocation by the sums of allocations (hard) or of shares."""
    flat, data = checked(draws, x, counts)
    start = _indicators(_shares(_pivot(draws, data, pivot), data))

    def costs(reference: Floats) -> Floats:
        return passes.costs(flat, data.x, data.counts, reference, True)

    running = _Running(flat, data, hard)
    return _iterate(draws, costs, start, lambda p: _indicators(running.moved_to(p)), max_iter)


def _iterate(
    draws: Floats,
    costs: Callable[[Floats], Floats],
    reference: Floats,
    update: Callable[[Permutations], Floats],
    max_iter: int,
) -> Relabelling:
    """Assignments given the reference, the reference given them, until no assignment changes."""
    max_iter = checks.whole("max_iter", max_iter)
    found, margins = assign(costs(reference))
    for iteration in range(2, max_iter + 1):
        before = found
        reference = update(before)
        found, margins = assign(costs(reference))
        if np.array_equal(found, before):
            return _relabelling(draws, found, margins, iteration)
    return _relabelling(draws, found, margins, max_iter, False)


def _relabelling(
    draws: Floats,
    permutations: Permutations,
    margins: Floats,
    iterations: int = 1,
    converged: bool = True,
) -> Relabelling:
    outer = draws.shape[:2]
    shaped = permutations.reshape(*outer, -1)
    return Relabelling(shaped, margins.reshape(outer), iterations, converged)


def checked(draws: Floats, x: ArrayLike, counts: ArrayLike | None) -> tuple[Floats, Data]:
    """Draws (m, 3, K), contiguous, and the data; ValueError for what cannot be relabelled."""
    draws = check_draws(draws)
    # A model of one component, because any number of observations can be relabelled by.
    data = as_data(x, counts, MixtureModel(1, sds=1.0))
    flat = np.ascontiguousarray(draws.reshape(-1, *draws.shape[2:]))
    check_order(flat, data)
    return flat, data


def _pivot(draws: Floats, data: Data, pivot: Floats | None) -> Floats:
    if pivot is None:
        return pivot_of(draws, data.x, data.counts)
    pivot = checks.array("pivot", pivot)
    if pivot.shape != draws.shape[2:]:
        raise ValueError(f"pivot: has shape {pivot.shape}; a draw has {draws.shape[2:]}")
    return pivot


def _shares(pivot: Floats, data: Data) -> Floats:
    return Mixture.of_rows(pivot.copy()).responsibilities(data.x).T


def _indicators(shares: Floats) -> Floats:
    """(K, n): one for the largest share of each observation, zero for the others."""
    return np.eye(len(shares))[:, shares.argmax(axis=0)]


def _shifted(flat: Floats, shift: float) -> Floats:
    moved: Floats = flat - np.array([0.0, shift, 0.0])[:, None]
    return moved
