"""What tables share: rows in the design's order; a measure as value, Monte Carlo error and R."""

from __future__ import annotations

import pandas as pd

from models import METHODS
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
