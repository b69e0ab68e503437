"""What people look at first, one function a figure, of any model: traces, pairs and occupancy.

The one module of `models` that draws. Each function returns a matplotlib Figure, which
`figure.savefig(...)` writes and a notebook shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from models.labels.algorithms import Relabelling
from models.labels.assignment import Permutations
from models.labels.switching import occupancy
from models.labels.tree import component_rows, relabel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Rows and panels beyond these are left out: a figure of hundreds shows nothing.
MOST_ROWS = 8
# Labellings beyond these share the last colour.
MOST_COLOURS = 10


def traces(
    tree: xr.DataTree | xr.Dataset,
    permutations: Relabelling | ArrayLike,
    dims: str | Sequence[str] = "component",
    *,
    names: Sequence[str] | None = None,
) -> Figure:
    """Each component's draws, chains one after the other: as sampled (left), relabelled (right).

    A row a parameter, of `names` as they stand on the figure ("mu", "mu[0]") or the first
    MOST_ROWS; a colour a component. The other arguments are those of `relabel`.
    """
    order = _permutations(permutations)
    before = _chosen(component_rows(tree, dims), names)
    after = component_rows(_relabelled(tree, order, dims), dims)
    figure = _figure(7.0, 1.0 + 1.3 * len(before))
    axes = figure.subplots(len(before), 2, sharex=True, sharey="row", squeeze=False)
    for row, (name, values) in zip(axes, before.items(), strict=True):
        for ax, shown in zip(row, (values, after[name]), strict=True):
            chains, draws, _, k = shown.shape
            for component in range(k):
                ax.plot(shown[..., 0, component].ravel(), lw=0.4, color=f"C{component % 10}")
            for end in range(1, chains):
                ax.axvline(end * draws, color="0.8", lw=0.6, zorder=0)
        row[0].set_ylabel(name)
    axes[0, 0].set_title("as sampled")
    axes[0, 1].set_title("relabelled")
    for ax in axes[-1]:
        ax.set_xlabel("draw, chain after chain")
    return figure


def pairs(
    tree: xr.DataTree | xr.Dataset,
    permutations: Relabelling | ArrayLike,
    dims: str | Sequence[str] = "component",
    *,
    names: Sequence[str] | None = None,
) -> Figure:
    """One parameter of each component against another's, coloured by the draw's labelling.

    A panel a pair of components, as sampled, of each of `names` or of the first parameter alone.
    Where labels switch, colours fill mirror images of one cloud; where colours mix, labellings
    overlap and the relabelling is a convention.
    """
    order = _permutations(permutations)
    rows = component_rows(tree, dims)
    chosen = _chosen(rows, names if names is not None else [next(iter(rows))])
    k = order.shape[-1]
    couples = [(a, b) for a in range(k) for b in range(a + 1, k)][:MOST_ROWS]
    if not couples:
        raise ValueError("permutations: are of one component, which has no pairs")
    labelling = _labelling(order).ravel()
    figure = _figure(0.8 + 2.2 * len(couples), 0.6 + 2.2 * len(chosen))
    axes = figure.subplots(len(chosen), len(couples), squeeze=False)
    for row, (name, values) in zip(axes, chosen.items(), strict=True):
        margin = 0.05 * np.ptp(values)
        limits = values.min() - margin, values.max() + margin
        for ax, (a, b) in zip(row, couples, strict=True):
            first, second = (values[..., 0, j].ravel() for j in (a, b))
            colours = np.minimum(labelling, MOST_COLOURS - 1)
            ax.scatter(first, second, c=colours, cmap="tab10", vmin=0, vmax=9, s=3, lw=0)
            ax.plot(limits, limits, color="0.8", lw=0.6, zorder=0)
            ax.set_xlim(limits)
            ax.set_ylim(limits)
            ax.set_xlabel(f"{name}, component {a + 1}")
            ax.set_ylabel(f"component {b + 1}")
    return figure


def occupancies(permutations: Relabelling | ArrayLike) -> Figure:
    """The share of each chain's draws in each labelling, against the exact 1/K!.

    Labellings are in the order of their shares; those beyond MOST_COLOURS are put together.
    """
    order = _permutations(permutations)
    found, shares = occupancy(order)
    by_share = np.argsort(-shares.mean(axis=0), kind="stable")
    chains = np.arange(len(shares))
    figure = _figure(5.0, 3.0)
    ax = figure.subplots()
    below = np.zeros(len(shares))
    for colour, which in enumerate(by_share[: MOST_COLOURS - 1]):
        label = " ".join(map(str, found[which] + 1))
        ax.bar(chains, shares[:, which], bottom=below, color=f"C{colour}", label=label)
        below += shares[:, which]
    if by_share.size >= MOST_COLOURS:
        ax.bar(chains, 1.0 - below, bottom=below, color="0.7", label="others")
    ax.set_xticks(chains, [str(c + 1) for c in chains])
    ax.set_xlabel("chain")
    ax.set_ylabel("share of its draws")
    ax.set_ylim(0.0, 1.0)
    ax.legend(title="labelling", loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return figure


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure  # without pyplot, which would keep it and choose a backend

    return Figure(figsize=(width, height), layout="constrained")


def _permutations(given: Relabelling | ArrayLike) -> Permutations:
    found = given.permutations if isinstance(given, Relabelling) else given
    return np.asarray(found)


def _relabelled(tree: Any, order: Permutations, dims: str | Sequence[str]) -> xr.Dataset:
    return relabel(tree, order, dims, allocations=())["posterior"].to_dataset()


def _labelling(order: Permutations) -> Permutations:
    """(chains, draws): the rank of the draw's labelling by its share, the commonest 0."""
    flat = order.reshape(-1, order.shape[-1])
    _, place, counts = np.unique(flat, axis=0, return_inverse=True, return_counts=True)
    rank = np.argsort(np.argsort(-counts, kind="stable"), kind="stable")
    return rank[place.ravel()].reshape(order.shape[:2])


def _chosen(rows: dict[str, Any], names: Sequence[str] | None) -> dict[str, Any]:
    if names is None:
        return dict(list(rows.items())[:MOST_ROWS])
    if missing := [name for name in names if name not in rows]:
        raise ValueError(f"names: no {', '.join(missing)}; there are {', '.join(rows)}")
    return {name: rows[name] for name in names}
