"""Scenario and replicate to data set: a data set depends on (seed, scenario, replicate) alone."""

from __future__ import annotations

import bz2
import csv
import gzip
import hashlib
import lzma
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

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
        return real_column(unit).values / unit.divide_by
    rng = generator(design.seed, unit.name, replicate, "data")
    return unit.truth().sample(unit.n, rng)


def write_first(design: Design, *, out: Annotated[Path, "folder"]) -> None:
    """Write each scenario's first data set as CSV."""
    out.mkdir(parents=True, exist_ok=True)
    for unit in design.units():
        table = pd.DataFrame({"x": data_set(design, unit, 0)})
        table.to_csv(out / f"{unit.name}.csv", index=False, lineterminator="\n")


def check_data(design: Design, say: Callable[[str], None] = lambda line: None) -> None:
    """Read every real data set of the design; DesignError, the first in its line, if any cannot be
    fitted.

    say: gets a line for each that missing values are left out of.
    """
    problems = []
    for index, unit in enumerate(design.data):
        try:
            x, dropped = real_column(unit)
            as_data(x / unit.divide_by, None, unit.model.build())
        except ValueError as error:
            problems.append(f"{design.name}: data[{index}] ({unit.name}): {error}")
            continue
        if dropped:
            say(f"{unit.name}: {dropped} of {dropped + x.size} values missing, left out")
    if problems:
        raise DesignError(problems[0], problems)


# Text files ------------------------------------------------------------------------------------

# What stands for a missing value, in small letters.
MISSING = ("", ".", "na", "n/a", "#n/a", "<na>", "nan", "null", "none")
_OPENERS: Mapping[str, Callable[..., Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
_NAMES = {"tab": "\t", r"\t": "\t", "space": " "}
_SHOWN = 40  # characters of a cell in a message


class Column(NamedTuple):
    """A column of a text file: its values (n,), and how many missing ones were dropped."""

    values: Floats
    dropped: int


def real_column(unit: DataSet) -> Column:
    """The column of a real data set, as it is in the file."""
    return read_column(unit.file, unit.column, unit.delimiter, unit.decimal, unit.drop_missing)


def read_column(
    file: Path,
    column: str,
    delimiter: str = ",",
    decimal: str = ".",
    drop_missing: bool = False,
) -> Column:
    """A numeric column of a text file with a header line, compressed or not.

    delimiter: between fields, one character, or "tab" or "space". decimal: "." or ",".
    drop_missing: leave out what stands for a missing value; else it is refused.

    Nothing is guessed: ValueError says in one line, with the line of the file, what is ambiguous,
    such as a row that is longer than the header, whose fields could belong to any column.
    """
    delimiter = _NAMES.get(delimiter, delimiter)
    numeric = _number(delimiter, decimal)
    rows = _rows(file, delimiter)
    first, header = next(rows, (0, []))
    if not header:
        raise ValueError(f"{file}: the file is empty; give a CSV with a header line")
    place = _place(file, first, header, column, numeric)
    named = f"{file}: column {column!r}"
    hint = ""
    if (delimiter, decimal) == (",", "."):
        hint = ", or quote decimal commas, or say how they stand by --delimiter and --decimal"
    values, dropped, bad = [], 0, []
    for line, row in rows:
        if len(row) != len(header):
            raise ValueError(
                f"{file}: line {line} has {len(row)} fields where the header has {len(header)}, so "
                f"that which column is which is a guess; give every row as many{hint}"
            )
        cell = row[place].strip()
        if numeric.fullmatch(cell):
            values.append(float(cell.replace(decimal, ".")))
        elif cell.lower() in MISSING and drop_missing:
            dropped += 1
        elif row == header:
            raise ValueError(f"{file}: line {line} is the header once more; give it once")
        else:
            bad.append((line, cell))
    wrong = [(line, cell) for line, cell in bad if cell.lower() not in MISSING] or bad
    if wrong:
        line, cell = wrong[0]
        more = " (--drop-missing leaves missing values out)" if cell.lower() in MISSING else ""
        if decimal == "." and _number(";", ",").fullmatch(cell):
            more = " (--decimal ',' reads decimal commas)"
        raise ValueError(
            f"{named}: {len(bad)} of {len(values) + len(bad) + dropped} values are not finite "
            f"numbers, the first is {_cut(cell)} in line {line}{more}"
        )
    if not values:
        raise ValueError(f"{named} has no values")
    found = np.array(values)
    if not np.isfinite(found).all():
        raise ValueError(f"{named}: its values are beyond what floating point can hold")
    return Column(found, dropped)


def _number(delimiter: str, decimal: str) -> re.Pattern[str]:
    """What is read as a number; ValueError for a delimiter and a decimal mark that cannot be."""
    if len(delimiter) != 1 or delimiter in '"\r\n' or delimiter.isalnum():
        raise ValueError(f"delimiter: {delimiter!r} is no mark between fields; give one character")
    if decimal not in (".", ","):
        raise ValueError(f"decimal: {decimal!r} is no decimal mark; give '.' or ','")
    digits = rf"(?:[0-9]+(?:{re.escape(decimal)}[0-9]*)?|{re.escape(decimal)}[0-9]+)"
    return re.compile(rf"[+-]?{digits}(?:[eE][+-]?[0-9]+)?")


def _rows(file: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The lines that are not blank, each with its number; ValueError says what cannot be read."""
    opened = _OPENERS.get(file.suffix, open)
    try:
        with opened(file, "rt", encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, delimiter=delimiter, skipinitialspace=True, strict=True)
            for row in reader:
                if any(row) or len(row) > 1:
                    yield reader.line_num, row
    except FileNotFoundError:
        raise ValueError(f"{file}: there is no such file") from None
    except UnicodeDecodeError:
        raise ValueError(f"{file}: not a CSV file: it is not text in UTF-8") from None
    except (csv.Error, OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise ValueError(f"{file}: not a CSV file: {' '.join(str(error).split())}") from None


def _place(file: Path, line: int, header: list[str], column: str, numeric: re.Pattern[str]) -> int:
    """Where the column stands in a header that names it once."""
    names = [name.strip() for name in header]
    known = ", ".join(map(_cut, names))
    if all(numeric.fullmatch(name) for name in names):
        raise ValueError(
            f"{file}: line {line} has numbers alone ({known}), so that it may be a header or not; "
            "give the file a header line with names"
        )
    if column not in names:
        other = next((mark for mark in (";", "\t", "|") if mark in header[0]), "")
        hint = f" (--delimiter {_cut(other)})" if len(header) == 1 and other else ""
        raise ValueError(f"{file}: no column {column!r}; it has {known}{hint}")
    if names.count(column) > 1:
        raise ValueError(
            f"{file}: column {column!r} is in the header {names.count(column)} times; names must "
            "differ"
        )
    return names.index(column)


def _cut(cell: str) -> str:
    """The cell in quotes, on one line, and not all of a long one."""
    return repr(cell if len(cell) <= _SHOWN else f"{cell[:_SHOWN]}…")
