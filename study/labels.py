"""Which component is which: relabelling of draws by mean, and what label switching does to them.

Plain arrays in, plain numbers out. Draws are (chains, draws, 3, K), rows weights, means, sds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from arviz_stats.base import array_stats

from models import Fit
from models.mixture import Floats


def orders(draws: Floats) -> np.ndarray[Any, np.dtype[np.intp]]:
    """(chains, draws): number of the labelling of each draw, 0 where the means are in order."""
    ranks = np.argsort(draws[..., 1, :], axis=-1)
    k = ranks.shape[-1]
    code = (ranks * k ** np.arange(k)).sum(axis=-1)
    in_order = (np.arange(k) * k ** np.arange(k)).sum()
    found = np.unique(np.append(code, in_order))
    position = np.searchsorted(found, code)
    first = int(np.searchsorted(found, in_order))
    return np.where(position == first, 0, np.where(position < first, position + 1, position))


def switches(labelling: np.ndarray[Any, np.dtype[np.intp]]) -> np.ndarray[Any, Any]:
    """(chains,): how often the labelling changes from one draw of a chain to the next."""
    return (np.diff(labelling, axis=1) != 0).sum(axis=1)


def rhat(values: Floats) -> float:
    """Rank-normalised split R-hat of one quantity (chains, draws); NaN if it never moves."""
    return float(array_stats.rhat(values))


def ess_bulk(values: Floats) -> float:
    """Bulk effective sample size of one quantity (chains, draws); NaN if it never moves."""
    return float(array_stats.ess(values, method="bulk"))


def diagnose(result: Fit) -> dict[str, Any]:
    """Label switching in a NUTS fit: R-hat and bulk ESS (worst over parameters) before and after
    relabelling by mean and of the mixture's mean and variance, which labels cannot touch; switches
    within chains; the largest share of draws in one labelling; divergences."""
    posterior = result.draws["posterior"]
    raw = np.stack([posterior[name].values for name in ("weights", "means", "sds")], axis=-2)
    labelling = orders(raw)
    k = raw.shape[-1]
    # The last weight is one minus the others.
    places = [(row, j) for row in range(3) for j in range(k) if (row, j) != (0, k - 1)]
    free = [(row, j) for row, j in places if np.ptp(raw[..., row, j]) > 0]
    mean = (raw[..., 0, :] * raw[..., 1, :]).sum(axis=-1)
    second = (raw[..., 0, :] * (raw[..., 1, :] ** 2 + raw[..., 2, :] ** 2)).sum(axis=-1)
    invariant = [mean, second - mean**2]
    stats = result.draws["sample_stats"]
    shares = np.bincount(labelling.ravel()) / labelling.size
    chain_main = [np.bincount(chain).argmax() for chain in labelling]
    return {
        "rhat_raw": max(rhat(raw[..., r, j]) for r, j in free),
        "rhat_relabelled": result.diagnostics["rhat"],
        "rhat_invariant": max(rhat(v) for v in invariant),
        "ess_raw": min(ess_bulk(raw[..., r, j]) for r, j in free),
        "ess_relabelled": result.diagnostics["ess"],
        "ess_invariant": min(ess_bulk(v) for v in invariant),
        "switches": int(switches(labelling).sum()),
        "labellings": len(set(chain_main)),
        "largest_share": float(shares.max()),
        "divergences": int(stats["diverging"].values.sum()),
        "draws": int(labelling.size),
    }
