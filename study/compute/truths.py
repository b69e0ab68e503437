"""What estimates tend to in large samples, which is what they are held against."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from models import fit
from models.mixture import Floats, Mixture
from models.model import MixtureModel
from models.sample import Data
from models.starts import candidates
from models.theory import efficiency_bound, missing_information, quadrature
from models.truth import Normal, Truth
from study.compute.guard import Say, guarded, silent
from study.design import Design, Scenario
from study.rows import PARAMETERS, Rows, arranged, blank, empty

# Observations that a quadrature stands for in a search for the target, for the search's certificate
# is in standard errors: it is good for samples of up to this size.
LARGE = 1e6


def target(scenario: Scenario) -> Mixture | None:
    """What the estimates are held against, with the model's K; None if it is not identified."""
    return nearest(scenario.truth(), scenario.model.build())


def density_target(scenario: Scenario) -> Mixture | None:
    """What label-free quantities are held against.

    The target, or where that is not identified but the truth is a mixture of normals, the truth;
    else None.
    """
    truth = scenario.truth()
    normal = isinstance(truth.family, Normal) and truth.round_to is None
    return target(scenario) or (truth.components if normal else None)


def truths(design: Design, say: Say = silent) -> Rows:
    """Of every scenario whose target is identified: its parameters, bounds on their standard
    errors, and EM's rate. Of one where that breaks off a row of no parameter, with why.
    """
    rows = empty("truths")
    for scenario in design.all_scenarios():
        key = {"scenario": scenario.name}
        found = guarded(
            lambda: _of_scenario(scenario),  # noqa: B023  (called before the next turn)
            lambda why: {"targets": [blank("targets", message=why)]},
            say, f"{scenario.name} target",
        )  # fmt: skip
        for kind, own in found.items():
            rows[kind] += [row | key for row in own]
    return rows


def _of_scenario(scenario: Scenario) -> Rows:
    found = target(scenario)
    if found is None:
        return {}
    bounds, model = bound(scenario, found), arranged(scenario.model.build(), found)
    rows: Rows = {
        "targets": [
            {"parameter": parameter, "component": j + 1}
            | {"target": found.as_rows()[i, j], "bound": bounds[i, j], "message": ""}
            for i, parameter in enumerate(PARAMETERS)
            for j in range(found.k)
        ]
    }
    if model.n_free:
        fractions = missing_information(found, model, quadrature(scenario.truth()))
        rows["em_rates"] = [{"rate": float(fractions[0])}]
    return rows


def bound(scenario: Scenario, target: Mixture) -> Floats:
    """(3, K): Cramer and Rao's bound at the truth, NaN where the model does not hold."""
    parts = scenario.truth().components
    simple = scenario.family == "normal" and scenario.round_to is None and parts.k == target.k
    if not simple or not np.allclose(parts.as_rows(), target.as_rows(), rtol=1e-12):
        return np.full((3, target.k), np.nan)
    return efficiency_bound(target, arranged(scenario.model.build(), target), scenario.n)


def nearest(truth: Truth, model: MixtureModel) -> Mixture | None:
    """What the model's estimates tend to in large samples, components in the order of their means.

    The truth itself where the model holds; else the parameters at which the Kullback-Leibler
    divergence from the truth to the model is least (White 1982), by EM on `quadrature` from the
    shared list of starts. As in samples, that is the highest regular
    maximum: the expected log-likelihood of rounded observations is unbounded at their points.
    None where the target is not identified: fewer normal components than the model's are the
    truth, maxima are equally high, or no search ends in a certified one.
    """
    if isinstance(truth.family, Normal) and truth.round_to is None:
        parts = truth.components.as_rows()[:, truth.components.weights > 0]
        if np.unique(parts[1:], axis=1).shape[1] < model.k:
            return None
        if _holds(model, truth.components):
            return truth.components.by_mean()
    nodes = quadrature(truth)
    nodes = Data(nodes.x, LARGE * nodes.counts)
    starts = candidates(nodes, model, np.random.default_rng(0))
    found = [end for end in (_maximum(nodes, model, start) for start in starts) if end is not None]
    best = max((loglik for loglik, _ in found), default=0.0)
    highest = [_tied(mixture) for loglik, mixture in found if loglik > best - 1e-9 * LARGE]
    rows = [mixture.as_rows() / [[1.0], [nodes.sd], [nodes.sd]] for mixture in highest]
    same = all(np.allclose(other, rows[0], rtol=0.0, atol=1e-3) for other in rows)
    return highest[0] if highest and same else None


def _maximum(nodes: Data, model: MixtureModel, start: Mixture) -> tuple[float, Mixture] | None:
    """(log-likelihood, mixture) of the certified maximum that EM ends in, if it ends in one."""
    found = fit(
        "em-squarem",
        nodes.x,
        model,
        counts=nodes.counts,
        start=start,
        compress=False,
        tol=1e-11,
        max_iter=1000,
    )
    certain = found.certificate is not None and found.certificate.certified
    return (found.loglik, found.mixture) if certain and found.mixture is not None else None


def _tied(mixture: Mixture) -> Mixture:
    """The mixture with means that rounding alone tells apart made equal, in the order of means."""
    means = mixture.means.copy()
    for j in range(1, mixture.k):
        if means[j] - means[j - 1] < 1e-6 * mixture.variance**0.5:
            means[j] = means[j - 1]
    return Mixture(mixture.weights, means, mixture.sds).by_mean()


def _holds(model: MixtureModel, truth: Mixture) -> bool:
    """Whether the truth, its components in some order, is one of the model's mixtures."""
    orders = permutations(range(truth.k)) if truth.k == model.k else ()
    return any(
        np.allclose(model.admit(truth.permuted(o)).as_rows(), truth.permuted(o).as_rows(), 1e-12, 0)
        for o in orders
    )
