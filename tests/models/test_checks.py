"""What users give: numbers of every kind are used as they are, all else has one line."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from models import Mixture, MixtureModel, checks, fit

X, _ = Mixture([0.4, 0.6], [0.0, 5.0], [1.0, 1.5]).sample(80, np.random.default_rng(2))
WHOLE = np.round(10 * X).astype(np.int64)
STAMPS = pd.Series(pd.to_datetime(1_700_000_000_000 + WHOLE, unit="ms", utc=True))


def read_only(x):
    x = x.copy()
    x.setflags(write=False)
    return x


@pytest.mark.parametrize(
    ("given", "numbers"),
    [
        (np.ma.array(X), X),
        (read_only(X), X),
        (X.astype(">f8"), X),
        (np.repeat(X, 2)[::2], X),
        (tuple(X), X),
        (pd.Series(X, dtype="Float64"), X),
        (pd.Series(X.tolist(), dtype=object), X),
        (pd.Series(WHOLE, dtype="Int64"), WHOLE),
        (WHOLE.astype(np.int16), WHOLE),
        (xr.DataArray(X), X),
        ([Decimal(repr(v)) for v in X.tolist()], X),
        ([Fraction(v) for v in X.tolist()], X),
        (X > 2, X > 2),
        (WHOLE.astype("timedelta64[s]"), WHOLE),
        ((1_700_000_000_000 + WHOLE).astype("datetime64[ms]"), 1_700_000_000_000 + WHOLE),
        (STAMPS.dt.as_unit("ms"), 1_700_000_000_000 + WHOLE),
        (pd.DatetimeIndex(STAMPS.dt.as_unit("ms")), 1_700_000_000_000 + WHOLE),
    ],
)
def test_numbers_of_every_kind_are_the_same_numbers(given, numbers):
    np.testing.assert_array_equal(checks.vector("x", given), numbers.astype(float))


def test_what_is_not_masked_is_fitted():
    masked = np.ma.array(np.append(X, -9999.0), mask=[*[False] * X.size, True])
    whole = fit("newton", X)
    for x in (masked[:-1], masked.compressed(), pd.Series(X, dtype="Float64"), read_only(X)):
        np.testing.assert_array_equal(fit("newton", x).mixture.as_rows(), whole.mixture.as_rows())


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (np.ma.masked_less(X, 0.0), r"\d+ of 80 values are missing \(masked"),
        (np.array([1, "NaT", 3], dtype="timedelta64[s]"), "1 of 3 values are missing"),
        (np.array(["2020", "NaT"], dtype="datetime64[D]"), "1 of 2 values are missing"),
        (pd.Series(pd.to_datetime(["2020", "NaT"], utc=True)), "1 of 2 values are missing"),
        (pd.Series([1, None, 3], dtype="Int64"), "1 of 3 values are "),
        (pd.Series([1.5, pd.NA, 3.5], dtype=object), "1 of 3 values are missing"),
        ([1.0, None, 3.0], "1 of 3 values are missing"),
        ([1.0, np.ma.masked, 3.0], "1 of 3 values are not finite"),
        ([1.0, np.nan, 3.0], "1 of 3 values are not finite, the first is nan at position 1"),
        (X + 0j, "holds complex numbers"),
        (["1.5", "2.5"], "holds text"),
        ([1.5, "2.5"], "holds text"),
        (pd.Series(["1.5", "2.5"]), "holds str '1.5' at position 0"),
        (STAMPS.tolist(), "holds Timestamp"),
        (pd.Series(["a", "b"], dtype="category"), "holds str"),
        ([10**400, 1], "holds a number above"),
        ([[1.0], [2.0, 3.0]], "is not a list of numbers"),
        ({1.0, 2.0}, "holds set"),
        (None, "1 of 1 values are missing"),
        (3.5, r"has shape \(\)"),
        (1_700_000_000_000_000_000 + WHOLE, "whole numbers near 1.7e.18 that differ by at most"),
    ],
)
def test_what_is_no_number_is_named(given, says):
    with pytest.raises(ValueError, match=f"^x: {says}") as error:
        fit("em", given)
    assert "\n" not in str(error.value)


def test_masked_counts_are_no_counts():
    counts = np.ma.array(np.ones(X.size), mask=X < 0)
    with pytest.raises(ValueError, match=r"^counts: \d+ of 80 values are missing"):
        fit("em", X, counts=counts)
    picked = fit("newton", X, counts=X > -0.5)
    assert picked.mixture == fit("newton", X[X > -0.5]).mixture


@pytest.mark.parametrize(
    ("method", "options", "says"),
    [
        ("em", {"tol": np.nan}, "tol: nan is not a finite number of at least 0"),
        ("em", {"tol": -1}, "tol: -1 is not"),
        ("em", {"tol": "small"}, "tol: 'small' is not"),
        ("em", {"tol": 10**400}, "tol: 1000"),
        ("em", {"max_iter": -1}, "max_iter: -1 is not a whole number of at least 1"),
        ("em", {"max_iter": 1.5}, "max_iter: 1.5 is not"),
        ("em", {"min_gain": "none"}, "min_gain: 'none' is not"),
        ("em", {"trace": "no"}, "trace: 'no' is neither True nor False"),
        ("em-squarem", {"tol": np.inf}, "tol: inf is not"),
        ("em-squarem", {"max_iter": True}, "max_iter: True is not"),
        ("lbfgs", {"gtol": -1e-9}, "gtol: -1e-09 is not"),
        ("lbfgs", {"max_iter": 0}, "max_iter: 0 is not"),
        ("newton", {"decrement": None}, "decrement: None is not"),
        ("newton", {"max_iter": 2.0}, "max_iter: 2.0 is not"),
        ("nelder-mead", {"xatol": np.nan}, "xatol: nan is not"),
        ("nelder-mead", {"fatol": [1]}, r"fatol: \[1\] is not"),
    ],
)
def test_options_that_are_no_numbers_are_named(method, options, says):
    with pytest.raises(ValueError, match=f"^{says}"):
        fit(method, X, **options)


@pytest.mark.parametrize("value", [0.0, 1, "half", np.nan, -0.1])
def test_levels_are_probabilities(value):
    found = fit("newton", X, MixtureModel(1))
    with pytest.raises(ValueError, match=r"^level: .* is not a probability"):
        found.interval(value)
