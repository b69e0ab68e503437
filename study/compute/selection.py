"""How many components each criterion chooses, and what that choice loses, to rows.

A criterion's rows depend on the seed, the scenario, the replicate and the criterion alone, whatever
others are computed beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from models import Mixture, MixtureModel, fit
from models.mixture import Floats
from models.sample import as_data
from models.selection import Selection, select
from models.starts import candidates
from models.truth import Truth, legendre
from study.compute.guard import Say, guarded, silent
from study.design import DataSet, Design, Scenario
from study.rows import ONE_START, USABLE, Rows, blank, empty
from study.simulate import data_set, generator


def choose(
    design: Design,
    unit: Scenario | DataSet,
    replicate: int,
    criteria: Sequence[str],
    say: Say = silent,
) -> Rows:
    """The rows of one data set; where it breaks off one without numbers for each criterion."""
    key = {"scenario": unit.name, "replicate": replicate}
    return guarded(
        lambda: _chosen(design, unit, replicate, list(criteria), key),
        lambda why: empty("choose") | {
            "choices": [blank("choices", **key, criterion=name, message=why) for name in criteria]
        },
        say, f"{unit.name} replicate {replicate} choice of K",
    )  # fmt: skip


def _chosen(
    design: Design,
    unit: Scenario | DataSet,
    replicate: int,
    criteria: list[str],
    key: dict[str, Any],
) -> Rows:
    x = data_set(design, unit, replicate)
    seed = generator(design.seed, unit.name, replicate, "choice")
    ks = [k for k in design.ks_of(unit) if k <= np.unique(x).size]
    found = select(x, ks, criteria=criteria, equal_sds=unit.model.equal_sds, rng=seed)
    truth = None if isinstance(unit, DataSet) else unit.truth()
    lost = [
        np.nan if truth is None or one.fit.mixture is None else loss(truth, one.fit.mixture)
        for one in found.candidates
    ]
    rows = empty("choose")
    for name in criteria:
        rows["criteria"] += [
            key | {"criterion": name, "k": one.k, "value": value, "error": error, "message": note}
            for one in found.candidates
            for value, error, note in [one.values[name]]
        ]
        rows["choices"].append(key | _choice(found, name, lost))
        cost = found.costs[name]
        rows["choice_timings"].append(
            key | {"criterion": name, "seconds": cost.seconds, "passes": cost.passes}
        )
    if "bic" in criteria:
        cost = found.costs["fits"]
        shared = {"criterion": "fits", "seconds": cost.seconds, "passes": cost.passes}
        rows["choice_timings"].append(key | shared)
        rows["choices"].append(key | _from_one_start(x, ks, unit.model.equal_sds, truth))
    return rows


def _choice(found: Selection, name: str, lost: Sequence[float]) -> dict[str, Any]:
    place = found.choices[name]
    if place is None:
        why = found.candidates[0].values[name].note or "nothing can be chosen"
        return {"criterion": name, "k": None, "loss": np.nan, "message": why}
    k = found.candidates[place].k
    return {"criterion": name, "k": k, "loss": lost[place], "message": ""}


def _from_one_start(
    x: Floats, ks: Sequence[int], equal_sds: bool, truth: Truth | None
) -> dict[str, Any]:
    """BIC of what EM finds from k-means, at each K: no other start, and whatever maximum it is."""
    rng = np.random.default_rng(0)
    fits = []
    for k in ks:
        model = MixtureModel(k, equal_sds=equal_sds)
        data = as_data(x, None, model)
        k_means = candidates(data, model, rng, 0)[1 if k > 1 else 0]
        one = fit("em-squarem", x, model, start=k_means)
        if one.status in USABLE and one.mixture is not None:
            fits.append(one)
    if not fits:
        return {"criterion": ONE_START, "k": None, "loss": np.nan, "message": "no fit is usable"}
    best = min(fits, key=lambda one: one.bic)
    mixture = best.mixture
    lost = np.nan if truth is None or mixture is None else loss(truth, mixture)
    return {"criterion": ONE_START, "k": best.model.k, "loss": lost, "message": ""}


def loss(truth: Truth, mixture: Mixture) -> float:
    """Kullback and Leibler's divergence of a mixture from the truth before rounding, nats."""
    c = truth.components
    own = c.means + c.sds * truth.family.edges[:, None]
    theirs = mixture.means + mixture.sds * np.linspace(-12.0, 12.0, 25)[:, None]
    x, weights = legendre(np.unique(np.concatenate([own.ravel(), theirs.ravel()])))
    density = truth.density(x)
    there = density > 0.0
    gap = np.log(density[there]) - mixture.log_density(x[there])
    return float(weights[there] @ (density[there] * gap))
