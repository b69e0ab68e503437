"""Label switching in the study's own NUTS fits: the chains' diagnosis, kept draws, and barriers."""

from __future__ import annotations

from typing import Any

import numpy as np

from models import Fit, fit, labels
from models.labels import passes
from models.labels.assignment import Permutations
from models.mixture import Floats
from models.sample import as_data
from study.compute.guard import Say, guarded, silent
from study.design import DataSet, Design, Scenario, barred
from study.rows import PARAMETERS, Rows, empty
from study.simulate import data_set

ALONG = 400  # points along the data at which components' responsibilities are kept


def diagnosis(key: dict[str, Any], result: Fit, x: Floats, keep: bool) -> Rows:
    """What the chains of a fit of x (n,) did; if they are to be kept, its draws and allocations."""
    found = labels.diagnose(result, x)
    raw, permutations = labels.component_draws(result.draws), found.permutations
    return {
        "labels": [{**key, **found.row, "message": ""}],
        "occupancy": [{**key, **row} for row in found.occupancy],
        "draws": _draws(key, raw, permutations) if keep else [],
        "allocations": _allocations(key, raw, permutations, x) if keep else [],
    }


def _draws(key: dict[str, Any], raw: Floats, permutations: Permutations) -> list[dict[str, Any]]:
    """A row a component of a draw; raw: (chains, draws, 3, K), permutations: (chains, draws, K)."""
    chain, draw, component = np.indices(permutations.shape).reshape(3, -1)
    names = ("chain", "draw", "component", "relabelled", *PARAMETERS)
    columns = [chain, draw, component + 1, labels.invert(permutations).ravel() + 1]
    columns += list(np.moveaxis(raw, 2, 0).reshape(3, -1))
    values = zip(*(column.tolist() for column in columns), strict=True)
    return [key | dict(zip(names, row, strict=True)) for row in values]


def _allocations(
    key: dict[str, Any], raw: Floats, permutations: Permutations, x: Floats
) -> list[dict[str, Any]]:
    """A row a component at each of ALONG points: its mean responsibility over the draws."""
    k, points = raw.shape[-1], np.linspace(x.min(), x.max(), ALONG)
    as_sampled = np.broadcast_to(np.arange(k), permutations.shape)
    sampled, relabelled = (
        mean_responsibilities(raw, points, p) for p in (as_sampled, permutations)
    )
    return [
        key
        | {"x": float(points[i]), "component": j + 1}
        | {"as_sampled": float(sampled[j, i]), "relabelled": float(relabelled[j, i])}
        for i in range(ALONG)
        for j in range(k)
    ]


def mean_responsibilities(draws: Floats, x: Floats, permutations: Permutations) -> Floats:
    """(K, n): of the permuted draws, over the draws."""
    k = draws.shape[-1]
    flat = np.ascontiguousarray(draws.reshape(-1, 3, k))
    return passes.sums(flat, x, permutations.reshape(-1, k), False) / len(flat)


def barriers(
    design: Design, unit: Scenario | DataSet, first: int, last: int, say: Say = silent
) -> Rows:
    """Of data sets first to last - 1: the barrier between the two labellings, in nats.

    From the best of three ends of Newton's method; NaN, and why, where there is none. No rows of a
    unit whose components something known tells apart, or that NUTS does not fit.
    """
    rows = empty("barrier")
    for replicate in range(first, min(last, barred(design, unit))):
        key = {"scenario": unit.name, "replicate": replicate}
        found = guarded(
            lambda: _barrier(design, unit, replicate),  # noqa: B023  (called before the next turn)
            lambda why: {"barrier": np.nan, "message": why},
            say, f"{unit.name} replicate {replicate} barrier",
        )  # fmt: skip
        rows["barriers"].append(key | found)
    return rows


def _barrier(design: Design, unit: Scenario | DataSet, replicate: int) -> dict[str, Any]:
    x, model = data_set(design, unit, replicate), unit.model.build()
    best = fit("newton", x, model, starts=3)
    if best.status != "ok" or best.mixture is None:
        return {"barrier": np.nan, "message": f"{best.status}: {best.message}"}
    height = labels.barrier(as_data(x, None, model), model, best.mixture)
    return {"barrier": height, "message": ""}
