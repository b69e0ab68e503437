"""What label switching does to a sample of draws: the counts, R-hats and ESSs, and one verdict.

Draws are (chains, draws, 3, K), rows weights, means, sds; single quantities (chains, draws).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import factorial
from typing import Any, Literal, NamedTuple

import numpy as np
import xarray as xr
from arviz_stats.base import array_stats
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from models import Fit, MixtureModel
from models.bayes import MAX_RHAT, MIN_ESS
from models.methods import as_data
from models.mixture import LOG_2PI, Floats
from study.labels import passes
from study.labels.algorithms import (
    ROWS,
    Relabelling,
    agreement,
    check_draws,
    data_based,
    ecr,
    ecr_iterative_1,
    ordering,
    pivot_of,
    pra,
    stephens,
)
from study.labels.assignment import Permutations
from study.labels.tree import component_draws

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

# Levels of the data at which the predictive density is watched.
GRID = (0.05, 0.25, 0.5, 0.75, 0.95)


class Convergence(NamedTuple):
    """The worst over some quantities: rank-normalised split R-hat, bulk ESS, tail ESS.

    All NaN if none of them varies.
    """

    rhat: float
    ess_bulk: float
    ess_tail: float

    @property
    def good(self) -> bool:
        """R-hat below MAX_RHAT, both ESS above MIN_ESS (Vehtari et al. 2021); True if all NaN."""
        bad = self.rhat >= MAX_RHAT or self.ess_bulk <= MIN_ESS or self.ess_tail <= MIN_ESS
        return not bad


class Sampler(NamedTuple):
    """Divergences, the share of draws at the greatest tree depth, and the lowest BFMI of a chain.

    NaN for what a sampler does not tell.
    """

    divergences: float
    at_max_depth: float
    bfmi: float


@dataclass(frozen=True, eq=False)
class Verdict:
    """Whether a sample of draws mixes, in one word, and the numbers behind it.

    word: "does not mix": a quantity that labels cannot touch has not converged, or, where
    relabelling means something, a relabelled parameter has not. "modes overlap": the former have,
    but more than MAX_DOUBTFUL of the draws are near ties or get another permutation from PRA or
    the data-based algorithm than from Stephens', so that parameters by component are a convention.
    "labels only": only the parameters as sampled have not converged. "mixes": all have; chains
    that never leave one and the same labelling count as such.

    raw, relabelled (by Stephens), invariant: Convergence. nested_rhat: the worst of the invariant
    quantities, chains grouped by the labelling they mostly are in; NaN if that is one group.
    labellings: (L, K), those met with; occupancy: (chains, L), share of the draws in each;
    imbalance: largest distance of a share from 1/K!, the exact one; chain_distance: largest total
    variation between two chains' shares, 1 where two share no labelling. switches: by chain.
    near_ties: share of the draws. disagreement: by algorithm, the share of the draws at odds with
    Stephens; orderings: the same for ordering by a parameter, ties included: above MAX_DOUBTFUL
    that ordering is meaningless. sampler: if it was given.
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
    pivot = pivot_of(draws, x, counts)
    chosen = stephens(draws, x, counts, pivot=pivot)
    others = {
        "ECR": ecr(draws, x, counts, pivot=pivot),
        "ECR iterative 1": ecr_iterative_1(draws, x, counts, pivot=pivot),
        "PRA": pra(draws, pivot),
        "data-based": data_based(draws, x, counts, pivot=pivot),
    }
    disagreement = {name: 1.0 - _agreement(chosen, other) for name, other in others.items()}
    raw, relabelled = (
        convergence(values.reshape(*values.shape[:2], -1))
        for values in (draws, chosen.apply(draws))
    )
    quantities = np.stack(list(watched.values()), axis=-1)
    invariant = convergence(quantities)
    ties = near_ties(chosen.margins)
    # ECR's allocations say little where components overlap, whether or not their labels do.
    doubtful = max(ties, disagreement["PRA"], disagreement["data-based"])
    word: Word = "mixes"
    if not invariant.good:
        word = "does not mix"
    elif doubtful > MAX_DOUBTFUL:
        word = "modes overlap"
    elif not relabelled.good:
        word = "does not mix"
    elif not raw.good:
        word = "labels only"
    labellings, shares = occupancy(chosen.permutations)
    groups = shares.argmax(axis=1)
    return Verdict(
        word,
        raw,
        relabelled,
        invariant,
        float(np.fmax.reduce([nested_rhat(v, groups) for v in np.moveaxis(quantities, -1, 0)])),
        labellings,
        shares,
        imbalance(shares, draws.shape[-1]),
        chain_distance(shares),
        tuple(int(s) for s in switches(chosen.permutations)),
        ties,
        disagreement,
        {name: 1.0 - _agreement(chosen, ordering(draws, row)) for row, name in enumerate(ROWS)},
        chosen,
        sampler,
    )


def switches(permutations: Permutations) -> NDArray[np.intp]:
    """(chains,): how often the permutation (chains, draws, K) changes from a draw to the next."""
    return np.any(np.diff(permutations, axis=1) != 0, axis=-1).sum(axis=1)


def occupancy(permutations: Permutations) -> tuple[Permutations, Floats]:
    """(L, K) the labellings met with, in lexicographic order, and (chains, L) their shares."""
    chains, draws, k = permutations.shape
    found, place = np.unique(permutations.reshape(-1, k), axis=0, return_inverse=True)
    counts = [np.bincount(row, minlength=len(found)) for row in place.reshape(chains, draws)]
    return found, np.array(counts) / draws


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


def convergence(quantities: Floats) -> Convergence:
    """The worst of the quantities (chains, draws, q); those that never vary are left out."""
    varying = quantities[..., np.ptp(quantities, axis=(0, 1)) > 0]
    if varying.shape[-1] == 0:
        return Convergence(np.nan, np.nan, np.nan)
    axes = {"chain_axis": 0, "draw_axis": 1}
    return Convergence(
        float(np.max(array_stats.rhat(varying, **axes))),
        float(np.min(array_stats.ess(varying, **axes))),
        float(np.min(array_stats.ess(varying, method="tail", prob=0.05, **axes))),
    )


def nested_rhat(values: Floats, superchains: NDArray[np.intp]) -> float:
    """Nested R-hat of one quantity (chains, draws), rank-normalised, of split chains.

    superchains: (chains,), the group of each chain. Margossian, Hoffman, Sountsov, Riou-Durand,
    Vehtari and Gelman (2024), Bayesian Analysis, equations 4 to 8, as in ArviZ but for groups of
    any size. The larger of bulk and folded; NaN for one group, or values that never vary.
    """
    if np.unique(superchains).size < 2 or np.ptp(values) == 0:
        return np.nan
    half = values.shape[1] // 2
    split = np.concatenate([values[:, :half], values[:, -half:]])
    groups = np.tile(superchains, 2)
    folded = np.abs(split - np.median(split))
    return max(_nested_rhat(_normal_scores(part), groups) for part in (split, folded))


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


def diagnose(result: Fit) -> dict[str, Any]:
    """Label switching in a NUTS fit: R-hat and bulk ESS (worst over parameters) before and after
    relabelling by mean and of the mixture's mean and variance, which labels cannot touch; switches
    within chains; the largest share of draws in one labelling; divergences."""
    raw = component_draws(result.draws)
    found = ordering(raw).permutations
    _, shares = occupancy(found)
    # The last weight is one minus the others, here as in the Fit's own diagnostics.
    free = np.delete(raw.reshape(*raw.shape[:2], -1), raw.shape[-1] - 1, axis=2)
    as_sampled = convergence(free)
    weights, means, sds = np.moveaxis(raw, 2, 0)
    mean = (weights * means).sum(axis=-1)
    second = (weights * (means**2 + sds**2)).sum(axis=-1)
    invariant = convergence(np.stack([mean, second - mean**2], axis=-1))
    return {
        "rhat_raw": as_sampled.rhat,
        "rhat_relabelled": result.diagnostics["rhat"],
        "rhat_invariant": invariant.rhat,
        "ess_raw": as_sampled.ess_bulk,
        "ess_relabelled": result.diagnostics["ess"],
        "ess_invariant": invariant.ess_bulk,
        "switches": int(switches(found).sum()),
        "labellings": len(set(shares.argmax(axis=1).tolist())),
        "largest_share": float(shares.mean(axis=0).max()),
        "divergences": int(result.draws["sample_stats"]["diverging"].values.sum()),
        "draws": int(raw.shape[0] * raw.shape[1]),
    }


def _agreement(chosen: Relabelling, other: Relabelling) -> float:
    """Share of the draws with the same permutation and no tie in the other's."""
    same = agreement(chosen.permutations, other.permutations)
    return min(same, float(np.mean(other.margins > 0)))


def _normal_scores(values: Floats) -> Floats:
    """Ranks to normal scores, Blom's offset (Vehtari et al. 2021, equation 14)."""
    ranks = rankdata(values).reshape(values.shape)
    return ndtri((ranks - 0.375) / (values.size + 0.25))


def _nested_rhat(values: Floats, groups: NDArray[np.intp]) -> float:
    means, variances = values.mean(axis=1), values.var(axis=1, ddof=1)
    centres, within = [], []
    for group in np.unique(groups):
        own = means[groups == group]
        between = own.var(ddof=1) if own.size > 1 else 0.0
        centres.append(own.mean())
        within.append(variances[groups == group].mean() + between)
    return float(np.sqrt(1.0 + np.var(centres, ddof=1) / np.mean(within)))
