"""A study's gathered rows, as tables and figures read them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from models import METHODS
from study.compute import calibration, references, remedies
from study.compute import fits as fitting
from study.compute import follow as convergence
from study.design import Design

KEYS = ["scenario", "replicate", "method"]

# Kinds of rows and their columns.
SCHEMA = (
    fitting.SCHEMA | convergence.SCHEMA | calibration.SCHEMA | remedies.SCHEMA | references.SCHEMA
)


@dataclass(frozen=True, eq=False)
class Results:
    """The gathered rows of a study, by kind, and its design; the kinds are those of SCHEMA."""

    design: Design
    fits: pd.DataFrame
    estimates: pd.DataFrame
    intervals: pd.DataFrame
    losses: pd.DataFrame
    labels: pd.DataFrame
    occupancy: pd.DataFrame
    barriers: pd.DataFrame
    timings: pd.DataFrame
    draws: pd.DataFrame
    reaches: pd.DataFrame
    stops: pd.DataFrame
    rates: pd.DataFrame
    optima: pd.DataFrame
    ranks: pd.DataFrame
    remedies: pd.DataFrame
    remedy_timings: pd.DataFrame
    references: pd.DataFrame

    @property
    def scenario_order(self) -> list[str]:
        """Names of scenarios and data sets, in the design's order."""
        return self.design.unit_names()


def read_results(design: Design, folder: Path) -> Results:
    """The rows that `gather` left in a folder."""
    return Results(design, **{kind: pd.read_parquet(folder / f"{kind}.parquet") for kind in SCHEMA})


def usable(results: Results) -> pd.DataFrame:
    """Estimates of fits that ended ok or not converged: singular and failed ones are left out."""
    fits = results.fits
    kept = fits.loc[fits["status"].isin(["ok", "not-converged"]), KEYS]
    return results.estimates.merge(kept, on=KEYS)


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
