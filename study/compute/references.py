"""Posteriors sampled at length, against which the answers of the study's own NUTS fits are held.

Chains start from several places and are long; a reference counts only if it has converged itself
(`trusted`). It holds the parameters relabelled by mean, which are the same whether the prior or
the relabelling puts them in that order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from models import Fit, fit
from models.inference.chains import rhat_and_ess
from models.mixture import Floats, draws_by_mean
from models.sample import as_data
from models.starts import several_starts
from study.compute.guard import Say, guarded, silent
from study.design import DataSet, Design, Scenario
from study.rows import LEVELS, PARAMETERS, QUANTILES, blank, frame, trusted
from study.simulate import data_set, generator

CHAINS = 4
# Draws of a chain; the run is made anew, with the second, where it has not converged.
LENGTHS = (2_000, 10_000)
OPTIONS: dict[str, Any] = {"chains": 1, "tune": 1_000, "target_accept": 0.95, "max_draws": None}


def refer(
    design: Design, unit: Scenario | DataSet, replicate: int, say: Say = silent
) -> list[dict[str, Any]]:
    """The rows of one data set's posterior, under the default prior; one with why if it broke."""
    key = {"scenario": unit.name, "replicate": replicate}
    return guarded(
        lambda: _posterior(design, unit, replicate, key),
        lambda why: [blank("references", **key, message=why)],
        say, f"{unit.name} replicate {replicate} reference",
    )  # fmt: skip


def _posterior(
    design: Design, unit: Scenario | DataSet, replicate: int, key: dict[str, Any]
) -> list[dict[str, Any]]:
    x, model = data_set(design, unit, replicate), unit.model.build()
    rng = generator(design.seed, unit.name, replicate, "reference")
    starts = [s.mixture for s in several_starts(as_data(x, None, model), model, rng, CHAINS)]
    rows: list[dict[str, Any]] = []
    for length in LENGTHS:
        chains = [
            _draws(fit("nuts", x, model, start=start, rng=rng, draws=length, **OPTIONS))
            for start in (starts[i % len(starts)] for i in range(CHAINS))
        ]
        rows = [key | row for row in summaries(np.concatenate(chains))]
        if trusted(frame("references", rows)):
            break
    return rows


def _draws(result: Fit) -> Floats:
    if result.draws is None:
        raise RuntimeError(f"{result.status}: {result.message}")
    posterior = result.draws["posterior"]
    return np.stack([posterior[name].values for name in ("weights", "means", "sds")], axis=-2)


def summaries(draws: Floats) -> list[dict[str, Any]]:
    """Of draws (chains, draws, 3, K): mean, sd, quantiles, worse of bulk and tail ESS, R-hat.

    By parameter and component, relabelled by mean; those that do not vary are left out.
    """
    ordered = draws_by_mean(draws)
    rows = []
    for i, parameter in enumerate(PARAMETERS):
        values = ordered[:, :, i]
        if not np.ptp(values, axis=(0, 1)).any():
            continue
        found = rhat_and_ess(values)
        worst = np.minimum(found.ess_bulk, found.ess_tail)
        for j in range(draws.shape[-1]):
            own = {"parameter": parameter, "component": j + 1}
            rows.append(own | _summary(values[..., j]) | {"ess": worst[j], "rhat": found.rhat[j]})
    return rows


def _summary(values: Floats) -> dict[str, float]:
    quantiles = dict(zip(QUANTILES, np.quantile(values, LEVELS), strict=True))
    return {"mean": float(values.mean()), "sd": float(values.std())} | quantiles
