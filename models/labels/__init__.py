"""Which component is which: relabelling of posterior draws, and what label switching does to them.

Of any sampler's draws, as an ArviZ DataTree, by the names of its variables:

    draws = labels.component_draws(tree, ("w", "mu", "sigma"), dims="cluster")
    found = labels.stephens(draws, x)
    relabelled = labels.relabel(tree, found.permutations, dims="cluster")
    labels.judge(draws, x).word
"""

from models.inference.chains import Convergence, convergence, nested_rhat
from models.labels.algorithms import (
    ALGORITHMS,
    Relabelling,
    agreement,
    agreements,
    data_based,
    ecr,
    ecr_iterative_1,
    ecr_iterative_2,
    ordering,
    permuted,
    pivot_of,
    pra,
    relabel_by_all,
    stephens,
    to_mixture,
)
from models.labels.assignment import assign, invert
from models.labels.barrier import barrier, ridge
from models.labels.fits import NOT_EXCHANGEABLE, Diagnosis, condensed, diagnose
from models.labels.switching import (
    Meaning,
    Sampler,
    Verdict,
    chain_distance,
    imbalance,
    invariants,
    judge,
    meaning,
    near_ties,
    occupancy,
    sampler_numbers,
    switches,
)
from models.labels.tree import component_draws, relabel

__all__ = [
    "ALGORITHMS",
    "NOT_EXCHANGEABLE",
    "Convergence",
    "Diagnosis",
    "Meaning",
    "Relabelling",
    "Sampler",
    "Verdict",
    "agreement",
    "agreements",
    "assign",
    "barrier",
    "chain_distance",
    "component_draws",
    "condensed",
    "convergence",
    "data_based",
    "diagnose",
    "ecr",
    "ecr_iterative_1",
    "ecr_iterative_2",
    "imbalance",
    "invariants",
    "invert",
    "judge",
    "meaning",
    "near_ties",
    "nested_rhat",
    "occupancy",
    "ordering",
    "permuted",
    "pivot_of",
    "pra",
    "relabel",
    "relabel_by_all",
    "ridge",
    "sampler_numbers",
    "stephens",
    "switches",
    "to_mixture",
]
