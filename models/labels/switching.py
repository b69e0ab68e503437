"""What label switching does to a sample of draws: the counts, R-hats and ESSs, and one verdict.

Draws are what the algorithms take (see `algorithms`); single quantities (chains, draws).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import factorial
from typing import Any, Literal, NamedTuple

import numpy as np
import xarray as xr
from arviz_stats.base import array_stats
from numpy.typing import ArrayLike, NDArray

from models import checks
from models.inference.chains import Convergence, convergence
from models.labels.algorithms import (
    Relabelling,
    agreement,
    data_based,
    ecr,
    ecr_iterative_1,
    ordering,
    permuted,
    pra,
    pra_in_units_of_the_data,
    stephens,
)
from models.labels.assignment import Permutations, numbered
from models.labels.sources import ROWS, Normals, Source, Streamed, source_of
from models.labels.tree import component_rows, component_values, densities, is_labelled
from models.mixture import Floats

type Word = Literal["mixes", "labels only", "does not mix", "modes overlap"]

# A draw is a near tie if its margin is below this share of the median draw's, or below a
# margin of NEAR nats, at which the second labelling is still one twentieth as likely. Margins
# grow with n, and so their spread about their median, not their size, tells whether the
# labellings' modes are apart.
NEAR_SHARE = 0.25
NEAR = 3.0

# Relabelling means nothing if more draws than these hang on the algorithm: as many as a 95%
# interval leaves out, whose ends then hang on it too.
MAX_DOUBTFUL = 0.05

# Where nothing tells two labellings apart their margins are about the absolute values of a normal,
# .134 of them below a quarter of their median.
NO_TELLING = 0.1
# Share of the draws on which another algorithm may contradict Stephens' where labels do mean
# something.
MAX_CONTESTED = 0.15


class Sampler(NamedTuple):
    """What a sampler tells; NaN for what it does not.

    divergences: their number.
    at_max_depth: the share of draws at the greatest tree depth.
    bfmi: the lowest of a chain.
    """

    divergences: float
    at_max_depth: float
    bfmi: float


class Meaning(NamedTuple):
    """Stephens' relabelling of some draws, and what speaks against it.

    relabelling: Stephens'.
    near_ties: share of the draws.
    disagreement: by algorithm, PRA and the data-based one, the share of the draws at odds with it;
        of sources other than normal mixtures the latter alone, where there is x to go by.
    """

    relabelling: Relabelling
    near_ties: float
    disagreement: Mapping[str, float]

    @property
    def convention(self) -> bool:
        """Whether which component is which is no more than a convention.

        Because there are about as many near ties as if nothing told the labellings apart, and
        another algorithm, where there is one, is at odds with Stephens' in more than MAX_CONTESTED
        of the draws.
        """
        contested = max(self.disagreement.values(), default=1.0)
        return self.near_ties > NO_TELLING and contested > MAX_CONTESTED

    @property
    def doubtful(self) -> float:
        """Share of the draws that are near ties or at odds with one of the other algorithms."""
        return max([self.near_ties, *self.disagreement.values()])

    def at_odds(self, other: Relabelling) -> bool:
        """Whether another relabelling of the same draws differs in more than MAX_DOUBTFUL."""
        return 1.0 - _agreement(self.relabelling, other) > MAX_DOUBTFUL


@dataclass(frozen=True, eq=False)
class Verdict:
    """Whether a sample of draws mixes, in one word, and the numbers behind it.

    word: "does not mix": what labels cannot touch has not converged, or never moves, or, where
        relabelling means something, a relabelled parameter has not. "modes overlap": the former
        have, but more than MAX_DOUBTFUL of the draws are near ties or get another permutation from
        PRA or the data-based algorithm than from Stephens', so that parameters by component are a
        convention. "labels only": only the parameters as sampled have not converged. "mixes": all
        have; chains that never leave one and the same labelling count as such.
    raw, relabelled, invariant: Convergence of the parameters as sampled, of those relabelled by
        Stephens, and of what labels cannot touch.
    nested_rhat: the worst of the invariant quantities, chains grouped by the labelling they mostly
        are in; NaN if that is one group.
    labellings: (L, K), those met with.
    occupancy: (chains, L), share of the draws in each.
    imbalance: largest distance of a share from 1/K!, the exact one.
    chain_distance: largest total variation between two chains' shares, 1 where two share no
        labelling.
    switches: by chain.
    near_ties: share of the draws.
    disagreement: by algorithm, the share of the draws at odds with Stephens. PRA has its say in the
        word where the units of the parameters are known, of normal mixtures.
    orderings: the same for ordering by a parameter, ties included; above MAX_DOUBTFUL that
        ordering is meaningless.
    relabelling: Stephens'.
    sampler: if it was given.
    """

    word: Word
    raw: Convergence
    relabelled: Convergence
    invariant: Convergence
    nested_rhat: float
    labellings: Permutations
    occupancy: Floats
    imbalance: float
    chain_distance: float
    switches: tuple[int, ...]
    near_ties: float
    disagreement: Mapping[str, float]
    orderings: Mapping[str, float]
    relabelling: Relabelling
    sampler: Sampler | None

    @property
    def meaningless_orderings(self) -> tuple[str, ...]:
        """The parameters by which ordering is at odds with Stephens in too many draws."""
        return tuple(name for name, share in self.orderings.items() if share > MAX_DOUBTFUL)


def judge(
    draws: Any,
    x: ArrayLike | None = None,
    counts: ArrayLike | None = None,
    *,
    log_posterior: ArrayLike | None = None,
    sampler: Sampler | None = None,
    parameters: Any = None,
    dims: str | Sequence[str] = "component",
    z: Any = None,
    watched: Mapping[str, ArrayLike] | None = None,
) -> Verdict:
    """The verdict on draws of normal mixtures given x (n,), or on those of any source.

    log_posterior: (chains, draws), watched with the invariants if it is given; its Jacobian, if
        in, has to be symmetric in the components.
    parameters: whose convergence is judged, of a source: an array (chains, draws, R, K) or a
        DataTree or Dataset, all its variables with a component dimension of `dims` (a Dataset of
        some is enough). The sizes of the components if there are none. Of a tree `sample_stats`
        are read too, log posterior and what the sampler tells, and the predictive densities of
        `log_likelihood`.
    z: allocations (chains, draws, n) as they were drawn, for ECR and the data-based algorithm.
    watched: label-free quantities (chains, draws) by name, beside or in place of the source's own.
    x: of a source (n,) or (n, d), for the data-based algorithm, which is left out without it.

    ValueError for one chain, or fewer than four draws.
    """
    source = source_of(draws, x, counts)
    if source.shape[0] < 2 or source.shape[1] < 4:
        raise ValueError(f"draws: have shape {source.shape}; R-hat needs 2 chains of 4 draws")
    read = densities(parameters) if isinstance(parameters, xr.DataTree) else {}
    quantities = {**source.invariants(), **read, **(watched or {})}
    if log_posterior is not None:
        quantities["log_posterior"] = log_posterior
    if sampler is None and isinstance(parameters, xr.DataTree):
        sampler = sampler_numbers(parameters)
    known = {name: _one_a_draw(name, v, source) for name, v in quantities.items()}
    own = _Parameters(source, parameters, dims)
    raw = convergence(own.values())
    pivot = source.pivot()
    meant = _meaning(source, x, pivot, z)
    chosen = meant.relabelling
    # What these say is no part of the word: allocations say little where components overlap,
    # whether or not their labels do, and inner products as much as the units that they are in.
    others = {
        "ECR": ecr(source, pivot=pivot, z=z),
        "ECR iterative 1": ecr_iterative_1(source, pivot=pivot, z=z),
    }
    if (by_parameters := own.pra()) is not None:
        others["PRA"] = by_parameters
    disagreement = {name: 1.0 - _agreement(chosen, other) for name, other in others.items()}
    disagreement |= meant.disagreement
    moved = np.ptp(chosen.permutations, axis=(0, 1)).any()
    relabelled = convergence(own.values(chosen.permutations)) if moved else raw
    labellings, shares = occupancy(chosen.permutations)
    invariant = convergence(np.stack(list(known.values()), axis=-1), shares.argmax(axis=1))
    word: Word = "mixes"
    if not invariant.good:
        word = "does not mix"
    elif meant.doubtful > MAX_DOUBTFUL:
        word = "modes overlap"
    elif not relabelled.good:
        word = "does not mix"
    elif not raw.good:
        word = "labels only"
    return Verdict(
        word,
        raw,
        relabelled,
        invariant,
        invariant.nested_rhat,
        labellings,
        shares,
        imbalance(shares, source.k),
        chain_distance(shares),
        tuple(int(s) for s in switches(chosen.permutations)),
        meant.near_ties,
        disagreement,
        {name: 1.0 - _agreement(chosen, ordering(v, 0)) for name, v in own.rows().items()},
        chosen,
        sampler,
    )


def meaning(
    draws: Any,
    x: ArrayLike | None = None,
    counts: ArrayLike | None = None,
    *,
    loglik: Floats | None = None,
    kinds: NDArray[np.intp] | None = None,
) -> Meaning:
    """Stephens' relabelling of draws, and whether it means something.

    loglik: (chains, draws), of the data at the draws, where it is known already. kinds (K,): of
    normal mixtures, where something known tells some components apart, numbers that are the same
    for those that nothing does; they alone change places, by Stephens' relabelling alone.
    """
    source = source_of(draws, x, counts)
    if kinds is not None and isinstance(source, Normals) and np.unique(kinds).size > 1:
        best = np.argmax(source.invariants()["loglik"] if loglik is None else loglik)
        chosen = stephens(source, pivot=source.flat[best], kinds=kinds)
        return Meaning(chosen, near_ties(chosen.margins), {})
    return _meaning(source, x, source.pivot(None if loglik is None else int(np.argmax(loglik))))


def _meaning(source: Source, x: ArrayLike | None, pivot: Floats, z: Any = None) -> Meaning:
    chosen = stephens(source, pivot=pivot)
    others = {}
    if isinstance(source, Normals):
        others["PRA"] = pra_in_units_of_the_data(source, pivot=pivot)
    if isinstance(source, Normals) or x is not None:
        others["data-based"] = data_based(source, x, pivot=pivot, z=z)
    return Meaning(
        chosen,
        near_ties(chosen.margins),
        {name: 1.0 - _agreement(chosen, other) for name, other in others.items()},
    )


class _Parameters:
    """The parameters whose convergence `judge` looks at.

    tree: in which they are, or None.
    array: (chains, draws, R, K), where there is no tree, with the names of its rows.
    """

    def __init__(self, source: Source, given: Any, dims: str | Sequence[str]) -> None:
        self.source, self.given, self.dims = source, given, dims
        self.tree = given if is_labelled(given) and not isinstance(source, Normals) else None
        self.names: tuple[str, ...] = ROWS
        if isinstance(source, Normals):
            self.array = source.draws
        elif given is None:
            self.array, self.names = source.sizes()[:, :, None], ("sizes",)
        elif self.tree is None:
            self.array = checks.array("parameters", given)
            shape = self.array.shape
            if len(shape) != 4 or (*shape[:2], shape[3]) != (*source.shape, source.k):
                raise ValueError(
                    f"parameters: have shape {shape}; give (chains, draws, R, K) with "
                    f"{source.shape} draws and {source.k} components"
                )
            self.names = tuple(f"parameter {r}" for r in range(shape[2]))

    def values(self, permutations: Permutations | None = None) -> Floats:
        """(chains, draws, q), relabelled if there are permutations."""
        if self.tree is not None:
            found = component_values(self.tree, permutations, self.dims)
            if found.shape[:2] != self.source.shape:
                raise ValueError(
                    f"parameters: have {found.shape[:2]} draws; the source has {self.source.shape}"
                )
        else:
            array = self.array if permutations is None else permuted(self.array, permutations)
            weighted = self.names[0] in ("weights", "sizes")
            found = parameters(array) if weighted else array.reshape(*array.shape[:2], -1)
        return checks.array("parameters", found)

    def rows(self) -> dict[str, Floats]:
        """By name (chains, draws, 1, K)."""
        if self.tree is not None:
            found = component_rows(self.tree, self.dims)
            if sizes := {v.shape[-1] for v in found.values()} - {self.source.k}:
                raise ValueError(
                    f"dims: {self.dims!r} give {sorted(sizes)} components; the source has "
                    f"{self.source.k}"
                )
            return found
        return {name: self.array[:, :, r : r + 1] for r, name in enumerate(self.names)}

    def pra(self) -> Relabelling | None:
        """By the parameters of the pivot's draw; None if no others than normals' are given."""
        if self.given is None or not isinstance(self.source, Streamed):
            return None
        stacked = np.concatenate(list(self.rows().values()), axis=2)
        number, order = self.source.pivot_draw
        return pra(stacked, stacked.reshape(-1, *stacked.shape[2:])[number][:, order])


def _one_a_draw(name: str, given: ArrayLike, source: Source) -> Floats:
    values = checks.array(name, given)
    if values.shape != source.shape:
        raise ValueError(f"{name}: has shape {values.shape}; give {source.shape}, one a draw")
    return values


def parameters(draws: Floats) -> Floats:
    """(chains, draws, q): those of draws (chains, draws, 3, K).

    Of two weights the first, for the second is one minus it.
    """
    flat = draws.reshape(*draws.shape[:2], -1)
    return np.delete(flat, 1, axis=-1) if draws.shape[-1] == 2 else flat


def switches(permutations: Permutations) -> NDArray[np.intp]:
    """(chains,): how often the permutation (chains, draws, K) changes from a draw to the next."""
    return np.any(np.diff(permutations, axis=1) != 0, axis=-1).sum(axis=1)


def occupancy(permutations: Permutations) -> tuple[Permutations, Floats]:
    """(L, K) the labellings met with, in lexicographic order, and (chains, L) their shares."""
    chains, draws, k = permutations.shape
    _, first, place = np.unique(numbered(permutations), return_index=True, return_inverse=True)
    counts = [np.bincount(row, minlength=first.size) for row in place.reshape(chains, draws)]
    return permutations.reshape(-1, k)[first], np.array(counts) / draws


def imbalance(shares: Floats, k: int) -> float:
    """Largest distance of a chain's share of a labelling from the exact 1/K!."""
    exact = 1.0 / factorial(k)
    unmet = exact if shares.shape[1] < factorial(k) else 0.0
    return max(float(np.abs(shares - exact).max()), unmet)


def chain_distance(shares: Floats) -> float:
    """Largest total variation distance between two chains' shares (chains, L)."""
    return float(np.abs(shares[:, None] - shares).sum(axis=-1).max() / 2.0)


def near_ties(margins: Floats) -> float:
    """Share of the draws that are near ties by Stephens' margins, in nats."""
    return float(np.mean(margins < max(NEAR, NEAR_SHARE * float(np.median(margins)))))


def invariants(
    draws: Any, x: ArrayLike | None = None, counts: ArrayLike | None = None
) -> dict[str, Floats]:
    """By name (chains, draws): what labels cannot touch.

    Of normal mixtures the log-likelihood, the entropy of the allocation, the mixture's mean and
    variance, and its density at the data's GRID quantiles. Of other sources the entropies of the
    allocation and of the sizes and, where densities are known, the log-likelihood and the log
    density of some observations.
    """
    return source_of(draws, x, counts).invariants()


def sampler_numbers(tree: xr.DataTree) -> Sampler:
    """Of `sample_stats` in the ArviZ schema: diverging, reached_max_treedepth and energy."""
    stats = tree["sample_stats"].to_dataset() if "sample_stats" in tree.children else {}
    diverging, deepest, energy = (
        stats[name].transpose("chain", "draw").values if name in stats else None
        for name in ("diverging", "reached_max_treedepth", "energy")
    )
    return Sampler(
        np.nan if diverging is None else float(diverging.sum()),
        np.nan if deepest is None else float(deepest.mean()),
        np.nan if energy is None else float(np.min(array_stats.bfmi(energy))),
    )


def _agreement(chosen: Relabelling, other: Relabelling) -> float:
    """Share of the draws with the same permutation and no tie in the other's."""
    same = agreement(chosen.permutations, other.permutations)
    return min(same, float(np.mean(other.margins > 0)))
