"""Label switching in the study's NUTS fits: a row a fit, and each chain's shares of labellings."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from models import Fit, checks
from models.inference.chains import Convergence, convergence
from models.labels.algorithms import permuted
from models.labels.assignment import Permutations
from models.labels.switching import judge, parameters, sampler_numbers
from models.labels.tree import component_draws
from models.mixture import Floats

# Observations that stand for the sample where labels are judged. Passes over 4,000 draws cost as
# much again for every so many more. At 48 settings of the default design, n from 272 to 2,000,
# all gave the verdict of the whole sample, and at most one draw in a thousand another permutation.
CONDENSED = 128

NOT_EXCHANGEABLE = "not exchangeable"

# The column of each algorithm whose agreement with Stephens' is kept.
AGREEMENTS = {
    "ECR": "agreement_ecr",
    "ECR iterative 1": "agreement_ecr_iterative_1",
    "PRA": "agreement_pra",
    "data-based": "agreement_data_based",
    "weights": "agreement_order_by_weights",
    "means": "agreement_order_by_means",
    "sds": "agreement_order_by_sds",
}


class Diagnosis(NamedTuple):
    """Label switching in one fit.

    row: the numbers by name.
    occupancy: a row a chain and labelling, with its share of draws.
    permutations: (chains, draws, K), Stephens'; those that change nothing where nothing can
        switch.
    """

    row: dict[str, Any]
    occupancy: list[dict[str, Any]]
    permutations: Permutations


def condensed(
    x: ArrayLike, counts: ArrayLike | None = None, size: int = CONDENSED
) -> tuple[Floats, Floats]:
    """(m,) and (m,): the means of runs of the sorted sample, and how much each stands for.

    The sample itself if it has no more than `size` rows. Runs have the same count, as far as whole
    rows allow. Sums over the sample of a function that is smooth between neighbouring quantiles
    become sums over the runs, and so do the costs of relabelling.
    """
    values = checks.vector("x", x)
    weights = np.ones(values.size) if counts is None else checks.vector("counts", counts)
    order = np.argsort(values, kind="stable")
    ascending, weights = values[order], weights[order]
    if ascending.size <= size:
        return ascending, weights
    rows = np.cumsum(weights) * (ascending.size / weights.sum())  # the row's number, if all are one
    levels = np.floor(np.linspace(0, ascending.size, size + 1))
    starts = np.unique(np.searchsorted(rows, levels[:-1], side="right"))
    totals = np.add.reduceat(weights, starts)
    return np.add.reduceat(weights * ascending, starts) / totals, totals


def diagnose(result: Fit, x: ArrayLike) -> Diagnosis:
    """Label switching in a NUTS fit of the data x (n,).

    R-hat, bulk and tail ESS, the worst of the parameters as sampled (raw), of those relabelled as
    the fit reports them, and of what labels cannot touch (invariant: log posterior,
    log-likelihood, entropy of the allocation, mean, variance and density of the mixture). The
    word of `judge` and its nested R-hat, near ties, distance between chains and imbalance. By
    Stephens' relabelling: switches within chains, the number of labellings that chains mostly
    sit in, the largest share of draws in one labelling, and the share of draws with which each of
    AGREEMENTS agrees. Divergences, the share of draws at the greatest tree depth and the lowest
    BFMI.

    Labels are judged by all draws and CONDENSED observations, for which log-likelihood and entropy
    stand too; the log posterior is the sampler's, of the whole sample. Where nothing can switch,
    because known components tell themselves apart or there is but one, the word is
    NOT_EXCHANGEABLE, and what is about labels NaN.
    """
    assert result.permutations is not None
    raw = component_draws(result.draws)
    sampler = sampler_numbers(result.draws)
    log_posterior = result.draws["sample_stats"]["lp"].values
    row: dict[str, Any] = {
        "convention": result.convention,
        "divergences": int(sampler.divergences),
        "at_max_depth": sampler.at_max_depth,
        "bfmi": sampler.bfmi,
        "draws": int(raw.shape[0] * raw.shape[1]),
    }
    if raw.shape[-1] == 1 or not result.exchangeable:
        found = reported = convergence(parameters(raw))
        as_sampled = np.broadcast_to(np.arange(raw.shape[-1]), raw[:, :, 0].shape)
        if result.model.partly_exchangeable:
            as_sampled = result.permutations
            reported = convergence(parameters(permuted(raw, as_sampled)))
        row |= _converged("raw", found) | _converged("relabelled", reported)
        row |= _converged("invariant", convergence(log_posterior[..., None]))
        row |= {"verdict": NOT_EXCHANGEABLE, "switches": 0, "labellings": 1}
        return Diagnosis(row, [], as_sampled)
    verdict = judge(raw, *condensed(x), log_posterior=log_posterior, sampler=sampler)
    as_reported = convergence(parameters(permuted(raw, result.permutations)))
    agreeing = {**verdict.disagreement, **verdict.orderings}
    row |= (
        _converged("raw", verdict.raw)
        | _converged("relabelled", as_reported)
        | _converged("invariant", verdict.invariant)
        | {column: 1.0 - agreeing[name] for name, column in AGREEMENTS.items()}
    )
    row |= {
        "verdict": verdict.word,
        "nested_rhat": verdict.nested_rhat,
        "near_ties": verdict.near_ties,
        "chain_distance": verdict.chain_distance,
        "imbalance": verdict.imbalance,
        "switches": sum(verdict.switches),
        "labellings": len(set(verdict.occupancy.argmax(axis=1).tolist())),
        "largest_share": float(verdict.occupancy.mean(axis=0).max()),
    }
    return Diagnosis(
        row,
        [
            {"chain": chain, "labelling": " ".join(map(str, labelling + 1)), "share": share}
            for chain, shares in enumerate(verdict.occupancy)
            for labelling, share in zip(verdict.labellings, shares, strict=True)
            if share > 0
        ],
        verdict.relabelling.permutations,
    )


def _converged(which: str, found: Convergence) -> dict[str, float]:
    return {
        f"rhat_{which}": found.rhat,
        f"ess_{which}": found.ess_bulk,
        f"ess_tail_{which}": found.ess_tail,
    }
