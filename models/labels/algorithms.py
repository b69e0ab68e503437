"""Relabelling: for each posterior draw the one permutation that moves all its components.

The first argument of an algorithm is a source (`sources`) of how probable each component is for
each observation, or what stands for one: draws (chains, draws, 3, K) of normal mixtures, rows
weights, means, sds, with x and counts (n,); probabilities (chains, draws, n, K); or allocations
(chains, draws, n). A permutation p puts raw component p[j] at position j. Every algorithm starts
from a pivot with its components in an order of its own, of the means where they are normal, else of
the sizes, so that labels as sampled have no part in the result.

z (chains, draws, n), where it is taken, are allocations as the sampler drew them, in the place of
the most probable ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr

from models import Mixture, checks
from models.labels.assignment import Permutations, assign, invert, numbered
from models.labels.sources import (
    Allocations,
    Mask,
    Normals,
    Source,
    indicators,
    source_of,
)
from models.mixture import Floats

# Shares below this count as this in Stephens' logarithms, as in R's label.switching.
LEAST_SHARE = 1e-6
# What it costs to put a component where it cannot be.
BARRED = 1e100

# Draws that Stephens' algorithm goes through once more one by one: those whose margins are below
# CLOSE nats, the MOST_CLOSE closest of them.
CLOSE = 10.0
MOST_CLOSE = 100


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


def pivot_of(draws: Any, x: ArrayLike | None = None, counts: ArrayLike | None = None) -> Floats:
    """The pivot that relabelling starts from.

    Of normal mixtures (3, K), the draw of the highest log-likelihood, components in the order of
    their means; of other sources probabilities (n, K), see `sources.Streamed`.
    """
    return source_of(draws, x, counts).pivot()


def ordering(draws: ArrayLike, row: int = 1) -> Relabelling:
    """Ascending values of one row of draws (chains, draws, any, K); row 1: means.

    Margins: the smallest gap between neighbours, in the parameter's unit.
    """
    values = checks.array("draws", draws)[..., row, :]
    order = np.argsort(values, axis=-1, kind="stable")
    gaps = np.diff(np.take_along_axis(values, order, axis=-1), axis=-1)
    return Relabelling(order, gaps.min(axis=-1, initial=np.inf))


def pra(draws: ArrayLike, pivot: ArrayLike) -> Relabelling:
    """Pivotal reordering: the largest inner product with the pivot.

    Marin, Mengersen and Robert (2005), section 4.3. draws: (chains, draws, R, K) of any R
    parameters; pivot: (R, K). Parameters count in the units they come in; what is added to all
    components of one does not. Margins: in those units, squared.
    """
    draws, pivot = checks.array("draws", draws), checks.array("pivot", pivot)
    if draws.ndim != 4 or pivot.shape != draws.shape[-2:]:
        raise ValueError(f"pivot: has shape {pivot.shape}; a draw has {draws.shape[2:]}")
    flat = draws.reshape(-1, *pivot.shape)
    # About the pivot's mean, which changes no difference, so that the sums do not cancel.
    centred = pivot - pivot.mean(axis=-1, keepdims=True)
    return _relabelling(draws.shape, *assign(-np.einsum("drl,rj->djl", flat, centred)))


def stephens(
    draws: Any,
    x: ArrayLike | None = None,
    counts: ArrayLike | None = None,
    *,
    pivot: ArrayLike | None = None,
    max_iter: int = 100,
    kinds: NDArray[np.intp] | None = None,
) -> Relabelling:
    """Least Kullback-Leibler divergence of the responsibilities from their mean over the draws.

    Stephens (2000), JRSS B 62, algorithm 2: permutations given the mean, mean given the
    permutations, to a fixed point, from the responsibilities of the pivot (default `pivot_of`).
    Each responsibility is mixed with LEAST_SHARE of every component, which leaves every step a
    descent. A draw's own share in the mean can hold it in a permutation that is not the best: at a
    fixed point close draws are tried one by one, with the mean as it would be, and it goes on from
    there. Margins: in nats.

    kinds (K,): positions of different kinds never exchange components; default all of one.
    """
    source = source_of(draws, x, counts)
    barred: Floats | float = 0.0
    if kinds is not None:
        barred = np.where(kinds[:, None] == kinds, 0.0, BARRED)

    def costs(mean: Floats) -> Floats:
        return source.costs(np.log(mean + LEAST_SHARE), False) + barred

    def one_by_one(permutations: Permutations, margins: Floats) -> Permutations:
        return _one_by_one(source, running.moved_to(permutations), permutations, margins, barred)

    running = _Running(source, hard=False)
    start = source.start(pivot)
    return _iterate(
        source, costs, start, lambda p: running.moved_to(p) / source.m, max_iter, one_by_one
    )


def ecr(
    draws: Any,
    x: ArrayLike | None = None,
    counts: ArrayLike | None = None,
    *,
    pivot: ArrayLike | None = None,
    z: Any = None,
) -> Relabelling:
    """Most observations allocated as by the pivot (default `pivot_of`).

    Equivalence classes representatives, Papastamoulis and Iliopoulos (2010), JCGS 19. The
    allocations of a draw are z or, where there are none, the most probable ones. Margins: in
    observations.
    """
    source = source_of(draws, x, counts)
    costs = _allocated(source, z).costs(indicators(source.start(pivot)), True)
    return _relabelling(source.shape, *assign(costs))


def ecr_iterative_1(
    draws: Any,
    x: ArrayLike | None = None,
    counts: ArrayLike | None = None,
    *,
    pivot: ArrayLike | None = None,
    max_iter: int = 100,
    z: Any = None,
) -> Relabelling:
    """`ecr` with each observation's most frequent allocation over the draws as the next pivot.

    Rodriguez and Walker (2014), JCGS 23, algorithm 3 (first iterative version). Margins: in
    observations.
    """
    source = source_of(draws, x, counts)
    running = _Running(_allocated(source, z), hard=True)
    return _iterative_ecr(source, running, pivot, max_iter, z)


def ecr_iterative_2(
    draws: Any,
    x: ArrayLike | None = None,
    counts: ArrayLike | None = None,
    *,
    pivot: ArrayLike | None = None,
    max_iter: int = 100,
    z: Any = None,
) -> Relabelling:
    """`ecr` with the allocation by the mean responsibilities over the draws as the next pivot.

    The second iterative version of R's label.switching (Papastamoulis 2016, JSS 69). It need not
    settle, and then says so. Margins: in observations.
    """
    source = source_of(draws, x, counts)
    return _iterative_ecr(source, _Running(source, hard=False), pivot, max_iter, z)


def data_based(
    draws: Any,
    x: ArrayLike | None = None,
    counts: ArrayLike | None = None,
    *,
    pivot: ArrayLike | None = None,
    max_iter: int = 100,
    z: Any = None,
) -> Relabelling:
    """Observations nearest to their component's centre, in units of its spread.

    Rodriguez and Walker (2014), JCGS 23, algorithms 5 and 6: the cost is the sum over the
    observations that the draw gives to l of ((x_i - centre_j) / spread_j)^2, summed over the
    dimensions of x (n,) or (n, d). Centres and spreads are means over the draws of each cluster's
    mean and sd (clusters of two or more), to a fixed point from the pivot's, where the paper
    updates them from draw to draw. It need not settle, and then says so. Margins: squared spreads.
    """
    source = source_of(draws, x, counts)
    points = source.x[:, None] if isinstance(source, Normals) else _points(x, source.n)
    total = source.counts.sum()
    about = source.counts @ points / total
    if isinstance(source, Normals):
        about = np.array([source.data.mean])
    overall = np.sqrt(source.counts @ (points - about) ** 2 / total)
    overall = np.where(overall > 0, overall, 1.0)  # of what never varies any will do
    # About the mean, so that the sums of squares do not cancel.
    moments = _allocated(source, z).moments(points, about)
    d = points.shape[1]
    n, sums, squares = moments[:, :1], moments[:, 1 : 1 + d], moments[:, 1 + d :]
    centres, spreads = _clusters(n, sums, squares)
    least = LEAST_SHARE * overall[:, None]
    reached = [_first_clusters(source, points, about, overall, pivot)]

    def costs(reference: Floats) -> Floats:
        centre, spread = reference[0, ..., None], np.maximum(reference[1], least)[..., None]
        about = squares[:, :, None] - 2.0 * centre * sums[:, :, None] + centre**2 * n[:, :, None]
        distances: Floats = (about / spread**2).sum(axis=1)
        return distances

    def update(permutations: Permutations) -> Floats:
        order = permutations[:, None]
        moved = [np.take_along_axis(v, order, axis=-1) for v in (centres, spreads)]
        known = np.isfinite(moved[0]).sum(axis=0)
        means = np.nansum(moved, axis=1) / np.maximum(known, 1)
        reached.append(np.where(known > 0, means, reached[-1]))
        return reached[-1]

    return _iterate(source, costs, reached[0], update, max_iter)


def to_mixture(
    draws: Any,
    x: ArrayLike | None,
    mixture: Mixture | ArrayLike,
    counts: ArrayLike | None = None,
) -> Relabelling:
    """Least Kullback-Leibler divergence of the responsibilities from those of a given mixture.

    Positions are the mixture's own. A true mixture, or an estimate; or, for any source,
    probabilities (n, K). Margins: in nats.
    """
    source = source_of(draws, x, counts)
    if not isinstance(mixture, Mixture):
        shares = source.start(mixture)
    elif mixture.k != source.k:
        raise ValueError(f"mixture: has {mixture.k} components; the draws have {source.k}")
    elif not isinstance(source, Normals):
        raise ValueError("mixture: is of normals; give its probabilities (n, K)")
    else:
        shares = mixture.responsibilities(source.x).T
    return _relabelling(source.shape, *assign(source.costs(np.log(shares + LEAST_SHARE), False)))


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
    "PRA": lambda draws, x, counts, pivot: pra_in_units_of_the_data(draws, x, counts, pivot=pivot),
    "data-based": lambda draws, x, counts, pivot: data_based(draws, x, counts, pivot=pivot),
}


def pra_in_units_of_the_data(
    draws: Any,
    x: ArrayLike | None = None,
    counts: ArrayLike | None = None,
    *,
    pivot: ArrayLike | None = None,
) -> Relabelling:
    """`pra` of normal mixtures with means and sds in sds of the data.

    So that the units of x do not decide how much they count beside the weights.
    """
    source = source_of(draws, x, counts)
    if not isinstance(source, Normals):
        raise ValueError("draws: are not those of normal mixtures; give their parameters to pra")
    units = np.array([1.0, source.data.sd, source.data.sd])[:, None]
    rows = source.pivot() if pivot is None else source.rows(pivot)
    return pra(source.draws / units, rows / units)


def relabel_by_all(
    draws: Any,
    x: ArrayLike | None = None,
    counts: ArrayLike | None = None,
    *,
    z: Any = None,
) -> dict[str, Relabelling]:
    """The Relabelling by each of ALGORITHMS, from one pivot.

    Of sources other than normal mixtures, by those that need no parameters, and data-based where x
    is given.
    """
    source = source_of(draws, x, counts)
    pivot = source.pivot()
    if isinstance(source, Normals) and z is None:
        data = source.data
        return {n: run(source.draws, data.x, data.counts, pivot) for n, run in ALGORITHMS.items()}
    found = {
        "Stephens": stephens(source, pivot=pivot),
        "ECR": ecr(source, pivot=pivot, z=z),
        "ECR iterative 1": ecr_iterative_1(source, pivot=pivot, z=z),
        "ECR iterative 2": ecr_iterative_2(source, pivot=pivot, z=z),
    }
    if x is not None or isinstance(source, Normals):
        found["data-based"] = data_based(source, x, pivot=pivot, z=z)
    return found


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


class _Running:
    """`Source.sums` at the permutations of the moment; only draws that moved are gone through."""

    def __init__(self, source: Source, hard: bool) -> None:
        self.source, self.hard = source, hard
        self.permutations: Permutations | None = None

    def moved_to(self, permutations: Permutations) -> Floats:
        if self.permutations is None:
            self.total = self.source.sums(permutations, self.hard)
        else:
            moved: Mask = np.any(permutations != self.permutations, axis=1)
            after, before = (
                self.source.sums(p, self.hard, moved) for p in (permutations, self.permutations)
            )
            self.total = self.total + (after - before)
        self.permutations = permutations
        return self.total


def _iterative_ecr(
    source: Source, running: _Running, pivot: ArrayLike | None, max_iter: int, z: Any
) -> Relabelling:
    """ECR whose next pivot is the allocation by the running sums, of allocations or of shares."""
    allocated = running.source if running.hard else _allocated(source, z)

    def costs(reference: Floats) -> Floats:
        return allocated.costs(reference, True)

    start = indicators(source.start(pivot))
    return _iterate(source, costs, start, lambda p: indicators(running.moved_to(p)), max_iter)


def _iterate(
    source: Source,
    costs: Callable[[Floats], Floats],
    reference: Floats,
    update: Callable[[Permutations], Floats],
    max_iter: int,
    further: Callable[[Permutations, Floats], Permutations] = lambda permutations, margins: (
        permutations
    ),
) -> Relabelling:
    """Assignments given the reference, the reference given them, until no assignment changes.

    further: permutations, and margins, that no longer change to better ones, or the same.
    """
    max_iter = checks.whole("max_iter", max_iter)
    found, margins = assign(costs(reference))
    for iteration in range(2, max_iter + 1):
        before = found
        reference = update(before)
        found, margins = assign(costs(reference))
        if np.array_equal(found, before):
            found = further(before, margins)
        if np.array_equal(found, before):
            return _relabelling(source.shape, found, margins, iteration)
    return _relabelling(source.shape, found, margins, max_iter, False)


def _one_by_one(
    source: Source,
    total: Floats,
    permutations: Permutations,
    margins: Floats,
    barred: Floats | float,
) -> Permutations:
    """Permutations (m, K) of no larger divergence; total (K, n), the sums at those given.

    The divergence from the mean q is, but for a constant, m times the sum of -q log q: exactly a
    cost of each position by itself, also as a function of one draw.
    """
    closest = np.argsort(margins, kind="stable")[:MOST_CLOSE]
    found = permutations.copy()
    for d in np.sort(closest[margins[closest] < CLOSE]):
        t = source.one(d)
        rest = total - t[found[d]]
        means = (rest[:, None] + t) / source.m + LEAST_SHARE
        costs = source.m * (entr(means) @ source.counts) + barred
        best = assign(costs[None])[0][0]
        old, new = (costs[np.arange(source.k), p].sum() for p in (found[d], best))
        if new < old - 1e-10 * abs(old):
            found[d], total = best, rest + t[best]
    return found


def _relabelling(
    shape: tuple[int, ...],
    permutations: Permutations,
    margins: Floats,
    iterations: int = 1,
    converged: bool = True,
) -> Relabelling:
    outer = shape[:2]
    shaped = permutations.reshape(*outer, -1)
    return Relabelling(shaped, margins.reshape(outer), iterations, converged)


def _allocated(source: Source, z: Any) -> Source:
    """The source of the allocations: z, or the source itself."""
    if z is None:
        return source
    found = copy(z) if isinstance(z, Allocations) else Allocations(z, source.k)
    if (found.shape, found.n, found.k) != (source.shape, source.n, source.k):
        raise ValueError(
            f"z: has {found.shape} draws of {found.n} observations and {found.k} components; the "
            f"source has {source.shape}, {source.n} and {source.k}"
        )
    found.counts = source.counts
    return found


def _points(x: ArrayLike | None, n: int) -> Floats:
    """(n, d)."""
    if x is None:
        raise ValueError("x: is needed beside the source; give (n,) or (n, d)")
    points = checks.array("x", x)
    points = points[:, None] if points.ndim == 1 else points
    if points.ndim != 2 or len(points) != n:
        raise ValueError(f"x: has shape {points.shape}; give {n} observations (n, d)")
    return points


def _clusters(n: Floats, sums: Floats, squares: Floats) -> tuple[Floats, Floats]:
    """Centres and spreads (..., d, K) of clusters; NaN for those of less than two observations."""
    with np.errstate(divide="ignore", invalid="ignore"):
        centres = np.where(n >= 2, sums / n, np.nan)
        spreads = np.where(n >= 2, np.sqrt(np.maximum(squares / n - centres**2, 0.0)), np.nan)
    return centres, spreads


def _first_clusters(
    source: Source, points: Floats, about: Floats, overall: Floats, pivot: ArrayLike | None
) -> Floats:
    """(2, d, K): the pivot's centres, about `about`, and its spreads."""
    if isinstance(source, Normals) and (pivot is None or np.ndim(pivot) == 2):
        rows = source.pivot() if pivot is None else source.rows(pivot)
        return np.stack([rows[1] - about[0], rows[2]])[:, None]
    given = indicators(source.start(pivot)) * source.counts
    x = (points - about).T
    found = np.stack(_clusters(given.sum(axis=1), x @ given.T, x**2 @ given.T))
    none = np.stack([np.zeros_like(overall), overall])[..., None]
    return np.where(np.isnan(found), none, found)
