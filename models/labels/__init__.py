"""Which component is which: relabelling of posterior draws, and what label switching does to them.

Of any mixture and any sampler, given how probable each component is for each observation:

    source = labels.LogJoint(log_joint, tree)    # draw -> (n, K); or labels.Probabilities(p)
    found = labels.stephens(source)
    relabelled = labels.relabel(tree, found, dims="component")
    labels.judge(source, parameters=tree, dims="component").word

Of univariate normal mixtures, by the names of their variables:

    draws = labels.component_draws(tree, ("w", "mu", "sigma"), dims="cluster")
    found = labels.stephens(draws, x)

The guide is README.md beside this file.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

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
    pra_in_units_of_the_data,
    relabel_by_all,
    stephens,
    to_mixture,
)
from models.labels.assignment import assign, invert
from models.labels.barrier import barrier, ridge
from models.labels.fits import NOT_EXCHANGEABLE, Diagnosis, condensed, diagnose
from models.labels.sources import Allocations, LogJoint, Normals, Probabilities, Source
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
from models.labels.tree import component_draws, relabel, summary

if TYPE_CHECKING:
    from models.labels import plots

__all__ = [
    "ALGORITHMS",
    "NOT_EXCHANGEABLE",
    "Allocations",
    "Convergence",
    "Diagnosis",
    "LogJoint",
    "Meaning",
    "Normals",
    "Probabilities",
    "Relabelling",
    "Sampler",
    "Source",
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
    "plots",
    "pra",
    "pra_in_units_of_the_data",
    "relabel",
    "relabel_by_all",
    "ridge",
    "sampler_numbers",
    "stephens",
    "summary",
    "switches",
    "to_mixture",
]


def __getattr__(name: str) -> ModuleType:
    """`plots`, loaded when it is asked for: what samples and fits does not hang on figures."""
    if name == "plots":
        return import_module("models.labels.plots")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
