"""Tables as readers take them in: numbers as text, and at most 8 columns and 30 rows at a time.

A larger table is split into parts, or summed up where the parts would be many; the CSV file beside
it is whole. What each form is written in is of `write`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from models import METHODS
from study.report.exhibit import OVER
from study.report.measures import Measure, wilson
from study.rows import INTERVAL_KINDS

ROWS, COLUMNS, PARTS = 30, 8, 4
WIDTH = 118  # letters, of the smallest type on a page
TINY = 1e-6  # what is smaller is said to be so
FEW = 20  # replicates
# Columns of numbers that tell rows apart; text does so anyway.
PLACES = {
    *("component", "k", "K", "target", "level", "weight", "separation", "sd_ratio", "n"),
    *("iteration", "replicate", "factor", "data_sets"),
}
# What differs from row to row and has no middle.
OF_A_ROW = {"truth"}
OF_METHODS = {"method", "optimiser", "against"}
# Below these, in seconds, what is left is the clock's own noise.
SMALLEST = {"compile": 1e-3}
# Ends of a range over what was summed up.
LEAST, MOST = "_least", "_greatest"
BEHIND = ("mcse", "low", "high", LEAST[1:], MOST[1:])


class Part(NamedTuple):
    """A table within the limits, and what is to be said of it besides its caption."""

    table: pd.DataFrame
    note: str = ""


# Parts -----------------------------------------------------------------------------------------


def parts(table: pd.DataFrame, over: Sequence[str] = OVER) -> list[Part]:
    """The table for readers, in parts of at most ROWS rows and COLUMNS columns.

    Columns that say the same in every row are in the note. over: the columns that a table of too
    many rows is summed up over, the first first.
    """
    if table.empty:
        return [Part(table)]
    keys = places(table)
    note = ""
    if len(table) > ROWS * PARTS:
        table, keys, note = _summed(table, keys, over)
    table, same = _without_the_same(table, keys)
    keys = _telling(table, keys)
    spans, panels = _spans(table, keys), _panels(table, keys)
    most = max(PARTS // len(spans), 1)
    left = [name.replace("_", " ") for panel in panels[most:] for name in panel]
    rest = f"The CSV file has these as well: {', '.join(left)}." if left else ""
    kept = [keys + columns for columns in panels[:most]]
    found = [table.iloc[a:b][_with_errors(table, names)] for names in kept for a, b in spans]
    notes = [text for text in (note, same, rest) if text]
    texts = [" ".join(notes), *[""] * (len(found) - 1)]
    return [Part(*pair) for pair in zip(found, texts, strict=True)]


def places(table: pd.DataFrame) -> list[str]:
    """The columns that tell rows apart: those before the first number that is measured."""
    found = []
    for column in map(str, table.columns):
        if column not in PLACES and is_measured(table[column]):
            break
        found.append(column)
    return found


def is_measured(column: pd.Series[Any]) -> bool:
    types = pd.api.types
    return bool(types.is_numeric_dtype(column) and not types.is_bool_dtype(column))


def _behind(table: pd.DataFrame, name: str) -> list[str]:
    return [f"{name}_{end}" for end in BEHIND if f"{name}_{end}" in table]


def _own(table: pd.DataFrame) -> list[str]:
    """The columns that are not the error or an end of another one."""
    behind = {one for name in map(str, table.columns) for one in _behind(table, name)}
    return [name for name in map(str, table.columns) if name not in behind]


def _with_errors(table: pd.DataFrame, names: Sequence[str]) -> list[str]:
    return [one for name in names for one in (name, *_behind(table, name))]


def _summed(
    table: pd.DataFrame, keys: list[str], over: Sequence[str]
) -> tuple[pd.DataFrame, list[str], str]:
    """Counts added up, and of all else the middle, the least and the greatest of the rows.

    Summed up over as many of the columns that tell rows apart as it takes.
    """
    distinct = {key: table[key].nunique() for key in keys}
    first = [key for key in over if key in keys]
    rest = sorted((key for key in keys if key not in first), key=lambda k: -distinct[k])
    kept, gone = list(keys), []
    for key in (*first, *rest):
        if len(kept) > 1 and len(table.drop_duplicates(kept)) > ROWS:
            kept.remove(key)
            gone.append(key)
    groups = table.groupby(kept, sort=False, dropna=False)
    found: dict[str, Any] = {"rows": groups.size()}
    for name in _own(table):
        column = table[name]
        if name in keys or name in OF_A_ROW or not is_measured(column):
            continue
        if "quantity" in gone and name.endswith("_width"):  # of different units, without a middle
            continue
        if pd.api.types.is_integer_dtype(column):
            found[name] = groups[name].sum()
            continue
        digits = 3 if f"{name}_low" in table else 15  # of shares, and of all others
        own = groups[name]
        ends = {name: own.median(), name + LEAST: own.min(), name + MOST: own.max()}
        found |= {which: values.astype(float).round(digits) for which, values in ends.items()}
    summary = pd.DataFrame(found).reset_index()
    words = " and ".join([", ".join(gone[:-1]), gone[-1]] if len(gone) > 1 else gone)
    note = (
        f"Summed up over {words.replace('_', ' ')}: counts are totals, other numbers the median "
        f"over so many rows (least to greatest). All {len(table):,} rows are in the CSV file."
    )
    return summary, kept, note


def _without_the_same(table: pd.DataFrame, keys: list[str]) -> tuple[pd.DataFrame, str]:
    """Without the columns that say nothing or the same in all of many rows, and what that is."""
    said, lost = [], []
    said += _of_each(table)
    lost += ["rows"] * bool(said)
    many = len(table) > 2 and len(_own(table)) > COLUMNS
    for name in _own(table):
        column, words = table[name], name.replace("_", " ")
        if name in keys or name in lost:
            continue
        if column.isna().all():
            lost.append(name)
        elif many and is_measured(column) and (column == 0).all():
            lost.append(name)
            said.append(f"{words} 0")
        elif many and not _behind(table, name) and column.nunique(dropna=False) == 1:
            lost.append(name)
            said.append(f"{words} {for_readers(table[[name]].head(1))[words].iloc[0]}")
    left = [name for name in _own(table) if name not in lost]
    if len(left) > COLUMNS and "R" in left:  # those of measures that have fewer: in the CSV file
        left = [name for name in left if not (name.startswith("R_") or name.endswith("_R"))]
    note = f"In all rows: {', '.join(said)}." if said else ""
    return table[_with_errors(table, left)], note


def _of_each(table: pd.DataFrame) -> list[str]:
    """How many rows each is summed up of, where that is the same everywhere."""
    same = "rows" in table and table["rows"].nunique() == 1
    return [f"{table['rows'].iloc[0]} rows summed up"] if same else []


def _telling(table: pd.DataFrame, keys: list[str]) -> list[str]:
    """The keys, or where they would be more than half a table as many as tell all rows apart."""
    if len(keys) <= COLUMNS // 2:
        return keys
    for some in range(1, COLUMNS // 2 + 1):
        if not table.duplicated(keys[:some]).any():
            return keys[:some]
    return keys[: COLUMNS // 2 + 1]


def _panels(table: pd.DataFrame, keys: list[str]) -> list[list[str]]:
    """The other columns in groups that fit beside the keys."""
    shown = for_readers(table)
    width = {
        name: min(max([len(name), *map(len, map(str, shown[name.replace("_", " ")]))]), 40) + 1.5
        for name in _own(table)
    }
    others = [name for name in _own(table) if name not in keys]
    base = sum(width[key] for key in keys)
    found: list[list[str]] = [[]]
    for name in others:
        last = found[-1]
        full = len(keys) + len(last) + 1 > COLUMNS
        wide = base + sum(width[n] for n in last) + width[name] > WIDTH
        if last and (full or wide):
            found.append([name])
        else:
            last.append(name)
    return found


def _spans(table: pd.DataFrame, keys: list[str]) -> list[tuple[int, int]]:
    """Where the rows are cut: before a new value of the first key, where that can be."""
    n = len(table)
    if n <= ROWS:
        return [(0, n)]
    first = table[keys[0]].to_numpy() if keys else np.arange(n)
    starts = [0, *(int(i) + 1 for i in np.flatnonzero(first[1:] != first[:-1]))]
    cuts = [0]
    while n - cuts[-1] > ROWS:
        inside = [s for s in starts if cuts[-1] < s <= cuts[-1] + ROWS]
        cuts.append(inside[-1] if inside else cuts[-1] + ROWS)
    if len(cuts) > PARTS:
        cuts = list(range(0, n, ROWS))
    return list(pairwise([*cuts, n]))


# Text ------------------------------------------------------------------------------------------


def for_readers(table: pd.DataFrame) -> pd.DataFrame:
    """Text only: a number with its Monte Carlo standard error behind it, others to four digits.

    A share of 0 or 1, or of few replicates, has its interval in the place of the error; counts of
    0 are blank. The columns' names have spaces for their underscores, methods the names that they
    have in figures.
    """
    return pd.DataFrame(dict(_texts(table)), index=table.index)


def _texts(table: pd.DataFrame) -> Iterator[tuple[str, list[str]]]:
    keys = places(table)
    for name in _own(table):
        column, behind = table[name], _behind(table, name)
        words = name.replace("_", " ")
        if behind:
            ends = {
                end: table[f"{name}_{end}"].astype(float) if f"{name}_{end}" in table
                else pd.Series(np.nan, index=table.index)
                for end in BEHIND
            }  # fmt: skip
            rows = zip(column.astype(float), *ends.values(), strict=True)
            count = pd.api.types.is_integer_dtype(column)
            if count:
                yield words, [_count(*row[:2]) for row in rows]
            elif name.endswith("loglik") and f"{name}{LEAST}" in table:
                yield words, [_range(row[0], row[4], row[5], decimals=2) for row in rows]
            else:
                yield words, [_measure(*row) for row in rows]
        elif pd.api.types.is_float_dtype(column):
            low = SMALLEST.get(name, 0.0)
            decimals = 3 if name.endswith("loglik") else None
            yield words, [number(0.0 if abs(v) < low else v, decimals) for v in column]
        elif pd.api.types.is_integer_dtype(column) and name not in keys:
            yield words, ["–" if pd.isna(v) else f"{v}" if v else "" for v in column]
        else:
            named = {m: METHODS[m].label for m in METHODS} if name in OF_METHODS else {}
            named = dict(INTERVAL_KINDS) if name == "kind" else named
            yield words, ["–" if pd.isna(v) else _word(v, named) for v in column]


def _word(value: object, named: dict[str, str]) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    text = str(value)
    return named.get(text, text)


def _measure(value: float, error: float, low: float, high: float, least: float, most: float) -> str:
    if np.isfinite(least) and np.isfinite(most):
        return _range(value, least, most)
    return with_error(value, error, low, high)


def _range(value: float, least: float, most: float, decimals: int | None = None) -> str:
    middle, *ends = (number(x, decimals, significant=3) for x in (value, least, most))
    return middle if ends[0] == ends[1] else f"{middle} ({' to '.join(ends)})"


def _count(value: float, error: float) -> str:
    """A whole number with its error, to two digits; none is blank."""
    if value == 0:
        return ""
    return f"{value:.0f} ({number(error, significant=2)})" if error > 0 else f"{value:.0f}"


def with_error(value: float, error: float, low: float = np.nan, high: float = np.nan) -> str:
    """Such as 0.1234 (0.0056): both to the second digit of the error.

    low, high: of a share, which is cut to three decimals, and followed by these, such as
    1 (0.96 to 1), where the error is none or is from few replicates; of one replicate there is no
    share. A number that has no error stands alone.
    """
    if np.isfinite(low) and np.isfinite(value):
        return _share(value, error, low, high)
    if not np.isfinite(value) or np.isnan(error) or error == 0:
        return number(value)
    if np.isinf(error):
        return f"{number(value)} (inf)"
    if error < TINY * max(abs(value), 1.0):
        shown = number(value)
        return shown if abs(value) < TINY else f"{shown} (< 1e−6)"
    decimals = max(1 - math.floor(math.log10(error)), 0)
    if decimals > 6:
        return f"{number(value)} ({number(error)})"
    return f"{fixed(value, decimals)} ({fixed(error, decimals)})"


# The width of Wilson's interval of one replicate.
_ONE = 0.79


def _share(value: float, error: float, low: float, high: float) -> str:
    if high - low > _ONE:
        return "–"
    if error == 0.0 or value * (1.0 - value) <= FEW * error**2:
        digits = min(max(1 - math.floor(math.log10(high - low)), 0), 3)
        share, *ends = (f"{x:.{digits}f}" if 0 < x < 1 else f"{x:.0f}" for x in (value, low, high))
        if ends == ["0", "0." + "0" * digits]:
            return "0 (< 0.001)"
        if ends == ["1." + "0" * digits, "1"]:
            return "1 (> 0.999)"
        return f"{share} ({ends[0]} to {ends[1]})"
    decimals = min(max(1 - math.floor(math.log10(error)), 0), 3)
    shown = f"{error:.{decimals}f}"
    return f"{value:.{decimals}f} ({shown if float(shown) else '< 0.001'})"


def per_cent(share: Measure) -> str:
    """Such as 24% (3.0), its error in points; of none and of all the ends of Wilson's interval."""
    error = f"{100.0 * share.mcse:.1f}"
    if not share.mcse > 0:
        error = " to ".join(f"{100.0 * end:.0f}" for end in wilson(share.value, share.r))
    return f"{100.0 * share.value:.0f}% ({error})"


def fixed(value: float, decimals: int) -> str:
    """So many decimals, and a minus sign that is one; no minus before what rounds to 0."""
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if not float(text) else text.replace("-", "−")


def number(value: float, decimals: int | None = None, significant: int = 4) -> str:
    """To four digits, without needless zeros; what is below a millionth says so."""
    if pd.isna(value):
        return "–"
    if not np.isfinite(value):
        return f"{value:g}".replace("-", "−")
    if decimals is not None:
        return fixed(value, decimals)
    size = abs(value)
    if value == 0:
        return "0"
    if size < TINY:
        return "< 1e−6"
    if size < 1e-3 or size >= 1e9:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}".replace("-", "−")
    digits = max(significant - 1 - math.floor(math.log10(size)), 0)
    text = fixed(value, digits)
    return text.rstrip("0").rstrip(".") if "." in text else text
