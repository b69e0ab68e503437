"""What users give, checked: it comes back as numbers, or there is one line of error.

The line names the argument, what was wrong and what would be right. A gap in the data is never a
number: what is masked, NA, NaT, None or NaN is counted and refused.
"""

from __future__ import annotations

import math
from contextlib import suppress
from decimal import Decimal
from numbers import Real
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np
from numpy.typing import ArrayLike, NDArray

type Floats = NDArray[np.float64]

# Floats must resolve this much of a spread of whole numbers, such as nanoseconds since 1970.
COARSE = 1e4

# How missing values of pandas, which is not imported for it, are called.
_MISSING = ("NAType", "NaTType", "MaskedConstant")


def vector(name: str, value: ArrayLike) -> Floats:
    """(n,): `array` of one dimension."""
    found = array(name, value)
    if found.ndim != 1:
        raise ValueError(f"{name}: has shape {found.shape}; give one dimension")
    return found


def array(name: str, value: ArrayLike) -> Floats:
    """(...): the finite real numbers of an array-like; ValueError, with its name, for all else.

    Arrays of NumPy, pandas, xarray and whatever turns into one; masked and nullable ones as long
    as nothing is missing; whole numbers, booleans (as 0 and 1), Decimals and Fractions. Dates and
    durations count in their own unit, dates from 1970 in UTC. Not complex numbers, and no text,
    even of numbers.
    """
    if type(value) is np.ndarray and value.dtype == np.float64 and np.isfinite(value).all():
        return value  # what most give, a tenth of the time of what follows
    given, missing = _array(name, value)
    if missing.any():
        raise ValueError(
            f"{name}: {missing.sum()} of {missing.size} values are missing (masked, NA, NaT or "
            f"None), the first at position {missing.argmax()}; remove or replace them"
        )
    if given.dtype.kind == "O":
        given = _converted(name, given)
    with np.errstate(over="ignore"):
        numbers = given.astype(float, copy=False)
    good = np.isfinite(numbers)
    if not good.all():
        first = np.argmin(good)
        raise ValueError(
            f"{name}: {(~good).sum()} of {good.size} values are not finite, the first is "
            f"{given.flat[first]} at position {first}; remove or replace them"
        )
    if given.dtype.kind in "iu" and numbers.size:
        step, spread = np.spacing(np.abs(numbers).max()), int(given.max()) - int(given.min())
        if step > 1.0 and spread < COARSE * step:
            raise ValueError(
                f"{name}: whole numbers near {numbers.flat[0]:.3g} that differ by at most "
                f"{spread} lose digits as floats, whose steps there are {step:g}; subtract the "
                "first one"
            )
    return numbers


def _array(name: str, value: ArrayLike) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The values as they come, and which of them are missing, dates as whole numbers."""
    kind: Any = getattr(value, "dtype", None)
    zoned = f"datetime64[{kind.unit}]" if getattr(kind, "tz", None) is not None else None
    try:
        with catch_warnings():
            simplefilter("ignore")  # a masked element of a list, which comes as NaN
            found = np.ma.asarray(value) if np.ma.isMA(value) else np.asarray(value, dtype=zoned)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: is not a list of numbers") from None
    missing, found = np.ma.getmaskarray(found), np.ma.getdata(found)
    match found.dtype.kind:
        case "M" | "m":
            return found.astype(np.int64), missing | np.isnat(found)
        case "O":
            gaps = [_is_missing(one) for one in found.flat]
            return found, missing | np.reshape(np.array(gaps, dtype=bool), found.shape)
        case "U" | "S" | "T":
            raise ValueError(f"{name}: holds text; give numbers")
        case "c":
            raise ValueError(f"{name}: holds complex numbers; give real ones")
        case "b" | "i" | "u" | "f":
            return found, missing
    raise ValueError(f"{name}: is not a list of numbers")


def _is_missing(one: object) -> bool:
    return one is None or type(one).__name__ in _MISSING


def _converted(name: str, given: NDArray[Any]) -> Floats:
    """The numbers of an array of objects (...)."""
    for place, one in enumerate(given.flat):
        if not isinstance(one, Real | Decimal | np.bool_):
            raise ValueError(
                f"{name}: holds {type(one).__name__} {one!r} at position {place}; give numbers"
            )
    try:
        return np.reshape([float(one) for one in given.flat], given.shape)
    except OverflowError:
        raise ValueError(f"{name}: holds a number above 1.8e308, the largest float") from None


def number(
    name: str, value: Any, least: float = 0.0, most: float = math.inf, *, above: bool = False
) -> float:
    """The value as a float; ValueError unless it is a finite number from `least` to `most`.

    above: whether `least` itself will not do.
    """
    found = math.nan
    if isinstance(value, Real) and not isinstance(value, bool):
        with suppress(OverflowError):
            found = float(value)
    if not math.isfinite(found) or found > most or found < least or (above and found == least):
        lower = f"above {least:g}" if above else f"of at least {least:g}"
        upper = "" if most == math.inf else f" and at most {most:g}"
        raise ValueError(f"{name}: {value!r} is not a finite number {lower}{upper}")
    return found


def whole(name: str, value: Any, least: int = 1) -> int:
    """The value as an int; ValueError unless it is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name}: {value!r} is not a whole number of at least {least}")
    return int(value)


def flag(name: str, value: Any) -> bool:
    """The value as a bool; ValueError unless it is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name}: {value!r} is neither True nor False")
    return bool(value)


def probability(name: str, value: Any) -> float:
    """The value as a float; ValueError unless it is strictly between 0 and 1."""
    if not isinstance(value, Real) or not 0.0 < float(value) < 1.0:
        raise ValueError(f"{name}: {value!r} is not a probability; give one between 0 and 1")
    return float(value)
