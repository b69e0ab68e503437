"""Scenario and replicate to data set: a data set depends on (seed, scenario, replicate) alone."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd

from models.mixture import Floats
from models.sample import as_data
from study.design import DataSet, Design, DesignError, Scenario


def generator(seed: int, *key: str | int) -> np.random.Generator:
    """A generator for the root seed and a key of names and numbers, independent of all others."""
    words = []
    for part in key:
        digest = hashlib.sha256(f"{type(part).__name__}:{part}".encode()).digest()
        words.append(int.from_bytes(digest[:8], "little"))
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=words))


def data_set(design: Design, unit: Scenario | DataSet, replicate: int) -> Floats:
    """(n,): the replicate's observations, or the real data."""
    if isinstance(unit, DataSet):
        return read_column(unit.file, unit.column) / unit.divide_by
    rng = generator(design.seed, unit.name, replicate, "data")
    return unit.truth().sample(unit.n, rng)


def write_first(design: Design, *, out: Annotated[Path, "folder"]) -> None:
    """Write each scenario's first data set as CSV."""
    out.mkdir(parents=True, exist_ok=True)
    for unit in design.units():
        table = pd.DataFrame({"x": data_set(design, unit, 0)})
        table.to_csv(out / f"{unit.name}.csv", index=False, lineterminator="\n")


def check_data(design: Design) -> None:
    """Read every real data set of the design; DesignError, in one line, if one cannot be fitted."""
    for index, unit in enumerate(design.data):
        try:
            as_data(data_set(design, unit, 0), None, unit.model.build())
        except ValueError as error:
            raise DesignError(f"{design.name}: data[{index}] ({unit.name}): {error}") from None


def read_column(file: Path, column: str) -> Floats:
    """(n,): a numeric column of a CSV file; ValueError says in one line what is wrong with it."""
    try:
        table = pd.read_csv(file, skipinitialspace=True)
    except FileNotFoundError:
        raise ValueError(f"{file}: there is no such file") from None
    except pd.errors.EmptyDataError:
        raise ValueError(f"{file}: the file is empty; give a CSV with a header line") from None
    except (pd.errors.ParserError, UnicodeDecodeError, IsADirectoryError) as error:
        raise ValueError(f"{file}: not a CSV file: {' '.join(str(error).split())}") from None
    if column not in table:
        raise ValueError(
            f"{file}: no column {column!r}; it has {', '.join(map(str, table.columns))}"
        )
    values = pd.to_numeric(table[column], errors="coerce")
    bad = np.flatnonzero(values.isna() | np.isinf(values))
    if bad.size:
        raise ValueError(
            f"{file}: column {column!r}: {bad.size} of {values.size} values are not finite "
            f"numbers, the first is {table[column].iloc[bad[0]]} in data row {bad[0] + 1}"
        )
    if values.empty:
        raise ValueError(f"{file}: column {column!r} has no values")
    return values.to_numpy(dtype=float)
