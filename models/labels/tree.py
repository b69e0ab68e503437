"""Relabelling of ArviZ DataTrees, of any sampler: names in, plain arrays behind."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from models.labels.algorithms import Relabelling, permuted
from models.labels.assignment import Permutations, invert
from models.labels.sources import GRID, ROWS, numbered_from
from models.mixture import Floats

# What allocations are mostly called, in small letters.
ALLOCATIONS = (
    "allocation",
    "assignment",
    "category",
    "cluster",
    "component",
    "label",
    "state",
    "z",
)


def component_draws(
    tree: xr.DataTree | xr.Dataset,
    names: Sequence[str] = ROWS,
    dims: str | Sequence[str] = "component",
    group: str = "posterior",
) -> Floats:
    """(chains, draws, R, K): the R variables of these names.

    For Gaussian mixtures weights, means and sds, in this order.

    dims: the name of the component dimension, or several where variables call it differently. A
        variable without one, such as a common sd, is the same for all components.
    """
    data = group_of(tree, group)
    missing = [name for name in names if name not in data]
    if missing:
        raise ValueError(
            f"names: no {', '.join(missing)} in {group}; it has {', '.join(map(str, data))}"
            + _stan(data, missing)
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
    tree: xr.DataTree | xr.Dataset,
    permutations: Relabelling | ArrayLike,
    dims: str | Sequence[str] = "component",
    group: str = "posterior",
    *,
    allocations: str | Sequence[str] | None = None,
    first: int | None = None,
) -> xr.DataTree:
    """The tree with every component-wise variable of the group by the permutations.

    tree: a DataTree, or a Dataset in the place of its group.
    permutations: (chains, draws, K), or a Relabelling.
    dims: the name of the component dimension, or several; a variable moves along each that it has,
        so that a matrix over two of them stays one.
    allocations: the names of variables whose values are numbers of components, which get the new
        numbers. By default those of whole numbers that are called as in ALLOCATIONS.
    first: the number of the first component in them, 0 or 1; by default 1 where K is met.

    Variables without chain and draw stay, and so do other groups. ValueError where by default a
    variable would stay that looks like allocations: whole numbers from 0 to K - 1, or 1 to K, one
    an observation.
    """
    data = group_of(tree, group)
    given = permutations.permutations if isinstance(permutations, Relabelling) else permutations
    order: Permutations = np.asarray(given)
    k = order.shape[-1] if order.ndim else 0
    moved = {}
    for name, variable in data.items():
        found = _places(variable, dims)
        if not found or not {"chain", "draw"} <= set(variable.dims):
            continue
        for dim in found:
            shape = tuple(variable.sizes[d] for d in ("chain", "draw", dim))
            _check(order, shape, f"{name} has {shape} by chain, draw and {dim}")
            others = [d for d in variable.dims if d not in ("chain", "draw", dim)]
            last = variable.transpose("chain", "draw", *others, dim)
            variable = last.copy(data=permuted(last.values, order)).transpose(*variable.dims)
        moved[name] = variable
    for name in _allocations(data, set(moved), allocations, k):
        moved[name] = _recoded(data[name], order, first)
    if not moved:
        raise ValueError(
            f"dims: no variable of {group} has {dims!r}; name the component dimension"
            + _stan(data, [str(name) for name in data])
        )
    result = tree.copy() if isinstance(tree, xr.DataTree) else xr.DataTree()
    result[group] = xr.DataTree(data.assign(moved))
    return result


def summary(
    tree: xr.DataTree | xr.Dataset,
    permutations: Relabelling | ArrayLike,
    dims: str | Sequence[str] = "component",
    group: str = "posterior",
    *,
    allocations: str | Sequence[str] | None = None,
    first: int | None = None,
    **options: Any,
) -> pd.DataFrame:
    """`arviz.summary` of the relabelled tree, and what relabelling changed.

    Two columns are added: `r_hat_sampled`, of the draws as sampled, and `moved`, the share of draws
    in which the value was another as sampled. The first arguments are those of `relabel`; options
    are those of `arviz.summary`, such as var_names.
    """
    import arviz

    moved_tree = relabel(tree, permutations, dims, group, allocations=allocations, first=first)
    after = moved_tree[group].to_dataset()
    before = group_of(tree, group)
    trees = [xr.DataTree.from_dict({group: data}) for data in (after, before)]
    found: pd.DataFrame
    found, sampled = (arviz.summary(one, group=group, **options) for one in trees)
    if "r_hat" in found:
        found["r_hat_sampled"] = sampled["r_hat"].astype(float).round(2)
    drawn = [n for n, v in before.items() if {"chain", "draw"} <= set(v.dims)]
    moved = (after[drawn] != before[drawn]).mean(("chain", "draw"))
    shares = arviz.summary(
        xr.DataTree.from_dict({group: moved.expand_dims(chain=2, draw=4)}),
        group=group,
        kind="stats",
        round_to="none",
        **{k: v for k, v in options.items() if k in ("var_names", "filter_vars", "coords")},
    )
    found["moved"] = shares["mean"].reindex(found.index).astype(float).round(3)
    return found


def component_values(
    tree: xr.DataTree | xr.Dataset,
    permutations: Permutations | None,
    dims: str | Sequence[str],
    group: str = "posterior",
) -> Floats:
    """(chains, draws, q): each number of each component-wise variable, relabelled if asked for."""
    data = group_of(tree, group)
    names = list(_component_wise(data, dims))
    if permutations is not None:
        moved = relabel(data[names], permutations, dims, group, allocations=())
        data = moved[group].to_dataset()
    values = [data[name].transpose("chain", "draw", ...).values for name in names]
    flat = [v.reshape(*v.shape[:2], -1).astype(float) for v in values]
    return np.concatenate(flat, axis=-1)


def component_rows(
    tree: xr.DataTree | xr.Dataset, dims: str | Sequence[str], group: str = "posterior"
) -> dict[str, Floats]:
    """By name (chains, draws, 1, K): the numbers that each component has one of.

    Matrices over two component dimensions have none.
    """
    rows = {}
    for name, variable in _component_wise(group_of(tree, group), dims).items():
        found = _places(variable, dims)
        if len(found) > 1:
            continue
        others = [d for d in variable.dims if d not in ("chain", "draw", *found)]
        values = variable.transpose("chain", "draw", *others, *found).values
        for index in np.ndindex(values.shape[2:-1]):
            label = f"{name}[{', '.join(map(str, index))}]" if index else str(name)
            rows[label] = values[(slice(None), slice(None), *index)][:, :, None].astype(float)
    return rows


def densities(tree: xr.DataTree) -> dict[str, NDArray[Any]]:
    """By name (chains, draws): what a tree knows of its densities, which labels cannot touch.

    `lp` of `sample_stats`; of `log_likelihood` the sum, and the observations at its GRID levels.
    """
    found = {}
    if "sample_stats" in tree.children and "lp" in tree["sample_stats"]:
        lp = tree["sample_stats"]["lp"]
        found["log_posterior"] = lp.transpose("chain", "draw").values
    if "log_likelihood" in tree.children:
        for name, variable in tree["log_likelihood"].to_dataset().items():
            values = variable.transpose("chain", "draw", ...).values
            each = values.reshape(*values.shape[:2], -1)
            found[f"log-likelihood of {name}"] = each.sum(axis=-1)
            by_level = np.argsort(each.mean(axis=(0, 1)))
            for level in GRID:
                i = by_level[int(level * len(by_level))]
                found[f"log density of {name} {i}"] = each[..., i]
    return found


def is_labelled(given: Any) -> bool:
    """Whether this is a tree or a dataset; ValueError for a dict, which names no dimensions."""
    if isinstance(given, xr.DataTree | xr.Dataset):
        return True
    if isinstance(given, Mapping):
        group_of(given, "posterior")
    return False


def group_of(tree: Any, group: str) -> xr.Dataset:
    """The group's Dataset, or the Dataset that is given in its place."""
    if isinstance(tree, xr.Dataset):
        return tree
    if not isinstance(tree, xr.DataTree):
        kind = type(tree).__name__
        raise ValueError(
            f"tree: is of type {kind}; give an ArviZ DataTree or a Dataset, such as "
            'arviz.from_dict({"posterior": arrays}, dims={"mu": ["component"]})'
        )
    if group not in tree.children:
        raise ValueError(f"group: no {group!r} in the tree; it has {', '.join(tree.children)}")
    return tree[group].to_dataset()


def _stan(data: xr.Dataset, names: Sequence[str]) -> str:
    """What to do about mu[1], mu[2], ... or mu.1, mu.2, ..., each a variable of its own."""
    for name in data:
        stem = re.sub(r"(\[[\d,]+\]|(\.\d+)+)$", "", str(name))
        if stem != name and (stem in names or str(name) in names):
            return (
                f"; {name} is one number of {stem}: read Stan's draws with "
                "arviz.from_cmdstanpy, which makes one variable of them"
            )
    return ""


def _places(variable: xr.DataArray, dims: str | Sequence[str]) -> list[str]:
    wanted = [dims] if isinstance(dims, str) else dims
    return [dim for dim in wanted if dim in variable.dims]


def _component_wise(data: xr.Dataset, dims: str | Sequence[str]) -> dict[str, xr.DataArray]:
    found = {
        str(name): v
        for name, v in data.items()
        if _places(v, dims) and {"chain", "draw"} <= set(v.dims)
    }
    if not found:
        raise ValueError(f"dims: no variable has {dims!r}; name the component dimension")
    return found


def _allocations(
    data: xr.Dataset, moved: set[Any], names: str | Sequence[str] | None, k: int
) -> list[str]:
    """The variables whose values are numbers of components."""
    if names is not None:
        chosen = [names] if isinstance(names, str) else list(names)
        if missing := [name for name in chosen if name not in data]:
            raise ValueError(
                f"allocations: no {', '.join(missing)}; there are {', '.join(map(str, data))}"
            )
        return chosen
    found = []
    for name, variable in data.items():
        if name in moved or variable.ndim < 3 or not {"chain", "draw"} <= set(variable.dims):
            continue
        values = variable.values
        if values.dtype.kind not in "iuf" or not np.all(values == np.floor(values)):
            continue
        if str(name).lower().removesuffix("s") in ALLOCATIONS:
            found.append(str(name))
        elif values.dtype.kind in "iu" and _numbers(values, k):
            raise ValueError(
                f"allocations: {name} looks like numbers of components; name those that are, "
                f"allocations=[{str(name)!r}], or none, allocations=[]"
            )
    return found


def _numbers(values: NDArray[Any], k: int) -> bool:
    """Whether these could be the numbers of K components, two or more."""
    base = numbered_from(values.min(), values.max(), k)
    return bool(k > 1 and values.min() >= base and values.max() < base + k)


def _check(order: Permutations, shape: tuple[int, ...], other: str) -> None:
    """ValueError unless these are permutations of this shape."""
    if order.shape != shape:
        raise ValueError(f"permutations: have shape {order.shape}; {other}")
    if np.any(np.sort(order, axis=-1) != np.arange(shape[-1])):
        raise ValueError(f"permutations: some are none, of 0 to {shape[-1] - 1}")


def _recoded(variable: xr.DataArray, order: Permutations, first: int | None) -> xr.DataArray:
    """Component l of a draw becomes the position that its permutation gives it."""
    z = variable.transpose("chain", "draw", ...)
    k = order.shape[-1]
    _check(order, (*z.shape[:2], k), f"{variable.name} has {z.shape[:2]} by chain and draw")
    values = z.values
    base = numbered_from(values.min(), values.max(), k) if first is None else first
    flat = values.reshape(*values.shape[:2], -1) - base
    if np.any((flat < 0) | (flat >= k) | (flat != np.floor(flat))):
        raise ValueError(
            f"allocations: {variable.name} holds {values.min():g} to {values.max():g}; {k} "
            f"components are numbered {base} to {base + k - 1}"
        )
    new = np.take_along_axis(invert(order), flat.astype(np.intp), axis=-1) + base
    recoded = z.copy(data=new.reshape(values.shape).astype(values.dtype))
    return recoded.transpose(*variable.dims)
