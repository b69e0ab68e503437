"""What tables share: rows in the design's order; a measure as value, Monte Carlo error and R."""

from __future__ import annotations

from typing import Any

import pandas as pd

from models import METHODS
from study.report.measures import Measure
from study.rows import Results


def sorted_rows(results: Results, table: pd.DataFrame) -> pd.DataFrame:
    """Rows in the design's order of scenarios, then the registry's order of methods."""
    if table.empty:
        return table
    places: dict[str, dict[str, int]] = {
        "scenario": {name: i for i, name in enumerate(results.scenario_order)},
        "parameter": {"weight": 0, "mean": 1, "sd": 2},
        "method": {name: i for i, name in enumerate(METHODS)},
    }
    by = [c for c in ("scenario", "parameter", "component", "method") if c in table]
    ordered = table.sort_values(
        by,
        key=lambda column: (
            column.map(places[str(column.name)]) if column.name in places else column
        ),
    )
    return ordered.reset_index(drop=True)


def with_errors(found: dict[str, Measure]) -> dict[str, float]:
    """R of the first measure, then each by its name, its Monte Carlo error in NAME_mcse."""
    row: dict[str, float] = {"R": next(iter(found.values())).r}
    for name, measure in found.items():
        row |= {name: measure.value, f"{name}_mcse": measure.mcse}
    return row


def columns(of: dict[str, Measure]) -> dict[str, float]:
    """value and MCSE of each, as columns."""
    return {
        name: number
        for measure, (value, mcse, _) in of.items()
        for name, number in ((measure, value), (f"{measure}_mcse", mcse))
    }


def table_of(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    """The rows, with these columns where there are none."""
    return pd.DataFrame(rows, columns=None if rows else columns)
