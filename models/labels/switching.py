"""What label switching does to a sample of draws: the counts, R-hats and ESSs, and one verdict.

Draws are (chains, draws, 3, K), rows weights, means, sds; single quantities (chains, draws).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import factorial
from typing import Literal, NamedTuple

import numpy as np
import xarray as xr
from arviz_stats.base import array_stats
from numpy.typing import ArrayLike, NDArray

from models import Mixture, MixtureModel
from models.inference.chains import Convergence, convergence
from models.kernels import LOG_2PI, Floats
from models.labels import passes
from models.labels.algorithms import (
    ROWS,
    Relabelling,
    agreement,
    check_draws,
    data_based,
    ecr,
    ecr_iterative_1,
    ordering,
    pra,
    stephens,
)
from models.labels.assignment import Permutations, numbered
from models.sample import as_data

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
NO_TELLING = 0.12
# Share of the draws on which two algorithms may contradict Stephens' where labels mean something.
MAX_CONTESTED = 0.2

# Levels of the data at which the predictive density is watched.
GRID = (0.05, 0.25, 0.5, 0.75, 0.95)


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
    disagreement: by algorithm, PRA and the data-based one, the share of the draws at odds with it.
    """

    relabelling: Relabelling
    near_ties: float
    disagreement: Mapping[str, float]

    @property
    def convention(self) -> bool:
        """Whether which component is which is no more than a convention.

        Because there are as many near ties as if nothing told the labellings apart, or because both
        other algorithms are at odds with Stephens' in more than MAX_CONTESTED of the draws.
        """
        return self.near_ties > NO_TELLING or min(self.disagreement.values()) > MAX_CONTESTED

    @property
    def doubtful(self) -> float:
        """Share of the draws that are near ties or at odds with one of the other algorithms."""
        return max(self.near_ties, *self.disagreement.values())

    def at_odds(self, other: Relabelling) -> bool:
        """Whether another relabelling of the same draws differs in more than MAX_DOUBTFUL."""
        return 1.0 - _agreement(self.relabelling, other) > MAX_DOUBTFUL


@dataclass(frozen=True, eq=False)
class Verdict:
    """Whether a sample of draws mixes, in one word, and the numbers behind it.

    word: "does not mix": a quantity that labels cannot touch has not converged, or, where
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
    disagreement: by algorithm, the share of the draws at odds with Stephens.
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
    draws: Floats,
    x: ArrayLike,
    counts: ArrayLike | None = None,
    *,
    log_posterior: Floats | None = None,
    sampler: Sampler | None = None,
) -> Verdict:
    """The verdict on draws (chains, draws, 3, K) given the data x (n,) with counts (n,).

    log_posterior: (chains, draws), watched with the invariants if it is given; its Jacobian, if
    in, has to be symmetric in the components. ValueError for one chain, or fewer than four draws.
    """
    check_draws(draws)
    if draws.shape[0] < 2 or draws.shape[1] < 4:
        raise ValueError(f"draws: have shape {draws.shape}; R-hat needs 2 chains of 4 draws")
    watched = invariants(draws, x, counts)
    if log_posterior is not None:
        watched["log posterior"] = np.asarray(log_posterior, dtype=float)
    pivot = _pivot(draws, watched["loglik"])
    meant = _meaning(draws, x, counts, pivot)
    chosen = meant.relabelling
    # Their allocations say little where components overlap, whether or not their labels do.
    others = {
        "ECR": ecr(draws, x, counts, pivot=pivot),
        "ECR iterative 1": ecr_iterative_1(draws, x, counts, pivot=pivot),
    }
    disagreement = {name: 1.0 - _agreement(chosen, other) for name, other in others.items()}
    disagreement |= meant.disagreement
    raw = convergence(parameters(draws))
    moved = np.ptp(chosen.permutations, axis=(0, 1)).any()
    relabelled = convergence(parameters(chosen.apply(draws))) if moved else raw
    quantities = np.stack(list(watched.values()), axis=-1)
    labellings, shares = occupancy(chosen.permutations)
    invariant = convergence(quantities, shares.argmax(axis=1))
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
        imbalance(shares, draws.shape[-1]),
        chain_distance(shares),
        tuple(int(s) for s in switches(chosen.permutations)),
        meant.near_ties,
        disagreement,
        {name: 1.0 - _agreement(chosen, ordering(draws, row)) for row, name in enumerate(ROWS)},
        chosen,
        sampler,
    )


def meaning(
    draws: Floats, x: ArrayLike, counts: ArrayLike | None = None, *, loglik: Floats | None = None
) -> Meaning:
    """Stephens' relabelling of draws (chains, draws, 3, K), and whether it means something.

    loglik: (chains, draws), of the data at the draws, where it is known already.
    """
    found = invariants(draws, x, counts)["loglik"] if loglik is None else loglik
    return _meaning(draws, x, counts, _pivot(draws, found))


def _meaning(draws: Floats, x: ArrayLike, counts: ArrayLike | None, pivot: Floats) -> Meaning:
    chosen = stephens(draws, x, counts, pivot=pivot)
    others = {"PRA": pra(draws, pivot), "data-based": data_based(draws, x, counts, pivot=pivot)}
    return Meaning(
        chosen,
        near_ties(chosen.margins),
        {name: 1.0 - _agreement(chosen, other) for name, other in others.items()},
    )


def _pivot(draws: Floats, loglik: Floats) -> Floats:
    """(3, K): the draw of the highest log-likelihood, components in the order of their means."""
    best = draws.reshape(-1, *draws.shape[2:])[np.argmax(loglik)]
    return Mixture.of_rows(best.copy()).by_mean().as_rows()


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


def invariants(draws: Floats, x: ArrayLike, counts: ArrayLike | None = None) -> dict[str, Floats]:
    """By name (chains, draws): what labels cannot touch.

    The log-likelihood, the entropy of the allocation, the mixture's mean and variance, and its
    density at the data's GRID quantiles.
    """
    check_draws(draws)
    data = as_data(x, counts, MixtureModel(1, sds=1.0))
    flat = np.ascontiguousarray(draws.reshape(-1, *draws.shape[2:]))
    loglik, entropy = passes.loglik_and_entropy(flat, data.x, data.counts)
    weights, means, sds = np.moveaxis(draws, 2, 0)
    mean = (weights * means).sum(axis=-1)
    found = {
        "loglik": loglik.reshape(draws.shape[:2]),
        "entropy": entropy.reshape(draws.shape[:2]),
        "mean": mean,
        "variance": (weights * (sds**2 + (means - mean[..., None]) ** 2)).sum(axis=-1),
    }
    for level, point in zip(GRID, data.quantiles(GRID), strict=True):
        z = (point - means) / sds
        density = (weights / sds * np.exp(-0.5 * (z * z + LOG_2PI))).sum(axis=-1)
        found[f"density at the {level:.0%} point"] = density
    return found


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
