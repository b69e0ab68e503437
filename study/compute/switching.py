"""Label switching in the study's own NUTS fits: the chains' diagnosis, kept draws, and barriers."""

from __future__ import annotations

from typing import Any

import numpy as np

from models import Fit, fit, labels
from models.sample import as_data
from study.design import DataSet, Design, Scenario, barred
from study.rows import PARAMETERS, Rows, empty
from study.simulate import data_set


def diagnosis(key: dict[str, Any], result: Fit, x: Any, keep: bool) -> Rows:
    """What the chains of a fit of x (n,) did, and if they are to be kept its draws."""
    found = labels.diagnose(result, x)
    return {
        "labels": [{**key, **found.row}],
        "occupancy": [{**key, **row} for row in found.occupancy],
        "draws": _draws(key, result) if keep else [],
    }


def _draws(key: dict[str, Any], result: Fit) -> list[dict[str, Any]]:
    posterior = result.draws["posterior"]
    raw = np.stack([posterior[name].values for name in ("weights", "means", "sds")], axis=-1)
    chains, draws, k, _ = raw.shape
    chain, draw, component = np.indices((chains, draws, k)).reshape(3, -1)
    places = zip(chain.tolist(), draw.tolist(), component.tolist(), strict=True)
    return [
        {**key, "chain": c, "draw": d, "component": j + 1}
        | dict(zip(PARAMETERS, values, strict=True))
        for (c, d, j), values in zip(places, raw.reshape(-1, 3).tolist(), strict=True)
    ]


def barriers(design: Design, unit: Scenario | DataSet, first: int, last: int) -> Rows:
    """Of data sets first to last - 1: the barrier between the two labellings, in nats.

    From the best of three ends of Newton's method; NaN where there is none. No rows of a unit
    whose components something known tells apart, or that NUTS does not fit.
    """
    rows = empty("barrier")
    model = unit.model.build()
    for replicate in range(first, min(last, barred(design, unit))):
        x = data_set(design, unit, replicate)
        best = fit("newton", x, model, starts=3)
        height = np.nan
        if best.status == "ok" and best.mixture is not None:
            height = labels.barrier(as_data(x, None, model), model, best.mixture)
        key = {"scenario": unit.name, "replicate": replicate}
        rows["barriers"].append({**key, "barrier": height})
    return rows
