"""Relabelling of ArviZ DataTrees, of any sampler: names in, plain arrays behind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from models.labels.algorithms import ROWS, permuted
from models.labels.assignment import Permutations
from models.mixture import Floats


def component_draws(
    tree: xr.DataTree,
    names: Sequence[str] = ROWS,
    dims: str | Sequence[str] = "component",
    group: str = "posterior",
) -> Floats:
    """(chains, draws, R, K): the R variables of these names.

    For Gaussian mixtures weights, means and sds, in this order.

    dims: the name of the component dimension, or several where variables call it differently. A
        variable without one, such as a common sd, is the same for all components.
    """
    data = _group(tree, group)
    missing = [name for name in names if name not in data]
    if missing:
        raise ValueError(
            f"names: no {', '.join(missing)} in {group}; it has {', '.join(map(str, data))}"
        )
    places = {name: _places(data[name], dims) for name in names}
    sizes = {data[name].sizes[dim] for name, found in places.items() for dim in found}
    if len(sizes) != 1:
        raise ValueError(f"dims: {dims!r} give {sorted(sizes)} components; give one number of them")
    (k,) = sizes
    rows = []
    for name, found in places.items():
        if set(data[name].dims) != {"chain", "draw", *found} or len(found) > 1:
            raise ValueError(
                f"names: {name} has dimensions {data[name].dims}; give variables of chain, draw "
                f"and component (dims is {dims!r})"
            )
        values = data[name].transpose("chain", "draw", *found).values
        rows.append(values if found else np.repeat(values[..., None], k, axis=-1))
    return np.stack(rows, axis=2).astype(float)


def relabel(
    tree: xr.DataTree,
    permutations: Permutations,
    dims: str | Sequence[str] = "component",
    group: str = "posterior",
) -> xr.DataTree:
    """The tree with every component-wise variable of the group by the permutations.

    permutations: (chains, draws, K). dims: the name of the component dimension, or several; a
    variable moves along each that it has, so that a matrix over two of them stays one. Variables
    without chain and draw stay, and so do other groups.
    """
    data = _group(tree, group)
    permutations = np.asarray(permutations)
    k = permutations.shape[-1] if permutations.ndim else 0
    if not np.array_equal(np.sort(permutations), np.broadcast_to(np.arange(k), permutations.shape)):
        raise ValueError(f"permutations: some are no permutations of 0 to {k - 1}")
    moved = {}
    for name, variable in data.items():
        found = _places(variable, dims)
        if not found or not {"chain", "draw"} <= set(variable.dims):
            continue
        for dim in found:
            shape = tuple(variable.sizes[d] for d in ("chain", "draw", dim))
            if shape != permutations.shape:
                raise ValueError(
                    f"permutations: have shape {permutations.shape}; {name} has {shape} "
                    f"by chain, draw and {dim}"
                )
            others = [d for d in variable.dims if d not in ("chain", "draw", dim)]
            last = variable.transpose("chain", "draw", *others, dim)
            variable = last.copy(data=permuted(last.values, permutations)).transpose(*variable.dims)
        moved[name] = variable
    if not moved:
        raise ValueError(f"dims: no variable of {group} has {dims!r}; name the component dimension")
    result = tree.copy()
    result[group] = xr.DataTree(data.assign(moved))
    return result


def _group(tree: xr.DataTree, group: str) -> xr.Dataset:
    if group not in tree.children:
        raise ValueError(f"group: no {group!r} in the tree; it has {', '.join(tree.children)}")
    return tree[group].to_dataset()


def _places(variable: xr.DataArray, dims: str | Sequence[str]) -> list[str]:
    wanted = [dims] if isinstance(dims, str) else dims
    return [dim for dim in wanted if dim in variable.dims]
