"""What tables share: rows in the design's order; a measure as value, Monte Carlo error and R."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from models import METHODS
from models.methods import SAMPLERS
from study.report.measures import Measure, Share
from study.rows import Results

# All that end at one point, the posterior mode among them.
POINT_ESTIMATORS = tuple(m for m in METHODS if m not in SAMPLERS)


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


def with_errors(found: Mapping[str, Measure], r: float | None = None) -> dict[str, float]:
    """Each measure by its name, its Monte Carlo standard error in NAME_mcse; before them R.

    Of shares the ends of Wilson's 95% interval as well, NAME_low and NAME_high.
    """
    row = {} if r is None else {"R": r}
    for name, measure in found.items():
        row |= {name: measure.value, f"{name}_mcse": measure.mcse}
        if isinstance(measure, Share):
            row |= dict(zip((f"{name}_low", f"{name}_high"), measure.ends, strict=True))
    return row


def table_of(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """The rows; with these columns where there are none."""
    return pd.DataFrame(rows, columns=None if rows else list(columns))
