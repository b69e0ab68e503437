"""The grid of a design: its cells, its middle, and the groups that exhibits put scenarios in."""

from __future__ import annotations

from typing import Any

import pandas as pd

from study.design import Design
from study.report.style import COMPONENTS, Look, looks, shade
from study.rows import Results


def cells(design: Design) -> pd.DataFrame:
    """The grid's cells: scenario, separation, weight, sd_ratio, n, and shape, the (w, r) text."""
    columns = ["scenario", "separation", "weight", "sd_ratio", "n"]
    rows = [
        (s.name, s.separation, s.weight, s.sd_ratio, s.n)
        for grid in design.grids
        for s in grid.scenarios()
    ]
    table = pd.DataFrame(rows, columns=columns)
    table["shape"] = [
        f"$w$ = {w:g}, $r$ = {r:g}" for w, r in zip(table["weight"], table["sd_ratio"], strict=True)
    ]
    return table


def middle(values: pd.Series[Any]) -> Any:
    """The middle one of the distinct values, the larger of two."""
    distinct = sorted(values.unique())
    return distinct[len(distinct) // 2]


def groups(design: Design) -> dict[str, str]:
    """Scenario to the group that tables and figures put it in: grid cells by their separation."""
    found = {unit.name: unit.name for unit in design.units()}
    for grid in design.grids:
        found |= {s.name: f"separation {s.separation:g}" for s in grid.scenarios()}
    return found


def group_looks(design: Design) -> dict[str, Look]:
    """A look for each group: separations in tones of their order, others in colours."""
    apart = sorted({s.separation or 0.0 for grid in design.grids for s in grid.scenarios()})
    found = {f"separation {d:g}": shade(i, len(apart)) for i, d in enumerate(apart)}
    others = [name for name in dict.fromkeys(groups(design).values()) if name not in found]
    return looks([*found, *others], COMPONENTS) | found


def named(results: Results, table: pd.DataFrame) -> pd.DataFrame:
    names = [s.name for s in results.design.scenarios]
    return table[table["scenario"].isin(names)].reset_index(drop=True)


def gridded(results: Results, table: pd.DataFrame) -> pd.DataFrame:
    names = [s.name for g in results.design.grids for s in g.scenarios()]
    return table[table["scenario"].isin(names)].reset_index(drop=True)
