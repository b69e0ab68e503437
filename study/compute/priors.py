"""What NUTS answers under each of several priors, on the same data sets.

Rows come in two kinds: priors (one a parameter) and prior_fits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from models import Fit, Mixture
from models.losses import losses
from models.sample import as_data
from study.compute.fits import estimate_rows, fit_one, start_of
from study.compute.guard import Say, guarded, silent
from study.compute.truths import density_target, target
from study.design import Design, NamedPrior, Scenario
from study.rows import PARAMETERS, USABLE, Rows, blank, estimated
from study.simulate import data_set


def sample(
    design: Design, scenario: Scenario, replicate: int, prior: str, say: Say = silent
) -> Rows:
    """The rows of one data set and prior; those of a fit that breaks off have no numbers."""
    assert design.priors is not None  # or nothing would be asked
    who = f"{scenario.name} replicate {replicate} {prior}"
    key = {"scenario": scenario.name, "replicate": replicate, "prior": prior}
    aims = guarded(
        lambda: (target(scenario), density_target(scenario)), lambda why: (None, None),
        say, f"{who} target",
    )  # fmt: skip
    spec = design.priors.named(prior)
    found = guarded(
        lambda: _rows(design, _fitted(design, scenario, replicate, spec), *aims),
        lambda why: _without(scenario, aims[0], "failed", why),
        say, who,
    )  # fmt: skip
    return {kind: [key | row for row in rows] for kind, rows in found.items()}


def _fitted(design: Design, scenario: Scenario, replicate: int, spec: NamedPrior) -> Fit:
    """RuntimeError if it has no estimate."""
    x = data_set(design, scenario, replicate)
    start = start_of(design, scenario, x, replicate).mixture
    model = scenario.model.build()
    prior = spec.build(as_data(x, None, model), model.k)
    result = fit_one(design, scenario, x, start, replicate, "nuts", prior=prior)
    if result.status not in USABLE:
        raise RuntimeError(f"{result.status}: {result.message}")
    return result


def _rows(design: Design, result: Fit, aim: Mixture | None, density: Mixture | None) -> Rows:
    """Of a fit; the last weight, one minus the others, is none of its parameters."""
    parameters = [
        {
            "parameter": f"{row['parameter']} {row['component']}",
            **{name: row[name] for name in ("truth", "lower", "upper")},
            "mean": row["estimate"],
            "sd": row["se"],
            "message": "",
        }
        for row in estimate_rows(result, aim, design.level)
        if (row["parameter"], row["component"]) != ("weight", result.model.k)
    ]
    judged: dict[str, Any] = {"status": result.status, "convention": result.convention}
    judged["message"] = result.message
    numbers = ("rhat", "ess", "ess_tail", "divergences", "draws")
    judged |= {name: result.diagnostics.get(name, np.nan) for name in numbers}
    if density is not None and result.mixture is not None:
        judged |= losses(density, result.mixture, result.density)._asdict()
    return {"priors": parameters, "prior_fits": [judged]}


def _without(scenario: Scenario, aim: Mixture | None, status: str, why: str) -> Rows:
    return {
        "priors": [
            blank("priors", parameter=name, truth=truth, message=why)
            for name, truth in _truths(scenario, aim)
        ],
        "prior_fits": [blank("prior_fits", status=status, message=why)],
    }


def _truths(scenario: Scenario, aim: Mixture | None) -> Iterator[tuple[str, Any]]:
    k, free = scenario.model.k, estimated(scenario.model.build())
    rows = np.full((3, k), np.nan) if aim is None else aim.as_rows()
    for parameter, values, unknown in zip(PARAMETERS, rows, free, strict=True):
        for j in range(k - 1 if parameter == "weight" else k):
            if unknown[j]:
                yield f"{parameter} {j + 1}", values[j]
