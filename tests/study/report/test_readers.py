"""Tables as readers see them: numbers cut to their errors, and no table above the limits."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from study.report import measures
from study.report.contents import TABLES
from study.report.exhibit import OVER, Table
from study.report.readers import COLUMNS, PARTS, ROWS, for_readers, number, parts, with_error
from study.report.table import with_errors
from study.report.write import TEXT_WIDTH, latex_width
from tests.study.report.studies import made


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (1.23456, 0.0123, "1.235 (0.012)"),
        (0.5, 0.25, "0.50 (0.25)"),
        (-0.5, 0.25, "−0.50 (0.25)"),
        (1234.5, 67.8, "1234 (68)"),
        (1.0, 0.0, "1"),
        (-99.86, np.inf, "−99.86 (inf)"),
        (np.nan, 1.0, "–"),
        (-np.inf, np.nan, "−inf"),
        (2.0, np.nan, "2"),
        (11.9000000000000004, 3.6e-15, "11.9 (< 1e−6)"),
        (-0.001, 0.012, "−0.001 (0.012)"),
        (-0.0001, 0.012, "0.000 (0.012)"),
        (3e-9, 1e-9, "< 1e−6"),
    ],
)
def test_numbers_are_cut_to_the_second_digit_of_their_error(
    value: float, error: float, text: str
) -> None:
    assert with_error(value, error) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((5.093e-05, "5.1e−5"), (1e-9, "< 1e−6"), (-1e-9, "< 1e−6"), (0.0, "0")),
        *(
            (11.9, "11.9"),
            (-2.5, "−2.5"),
            (2459000.0, "2459000"),
            (np.nan, "–"),
            (0.12345, "0.1235"),
        ),
    ],
)
def test_a_number_without_an_error_has_four_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_a_share_of_0_or_1_or_of_few_has_its_interval_and_three_decimals() -> None:
    """Whatever else is in the table; never as 1 (0), and of one replicate there is none."""
    pairs = (
        (50, 50),
        (0, 8),
        (7, 8),
        (30, 40),
        (0, 0),
        (2000, 2000),
        (1, 1),
        (0, 1),
        (9999, 10**4),
    )
    shares = [measures.of_count(*pair) for pair in pairs]
    table = pd.DataFrame([with_errors({"coverage": share}, share.r) for share in shares])
    assert for_readers(table)["coverage"].tolist() == [
        "1 (0.929 to 1)",
        "0 (0 to 0.32)",
        "0.88 (0.53 to 0.98)",
        "0.750 (0.068)",
        "–",
        "1 (0.998 to 1)",
        "–",
        "–",
        "1.000 (< 0.001)",
    ]
    assert list(for_readers(table)) == ["R", "coverage"]
    counts = pd.DataFrame([with_errors({"failed": measures.count(np.zeros(5))}, 5)])
    assert for_readers(counts).iloc[0].tolist() == ["5", ""]


def test_methods_have_the_names_of_figures() -> None:
    table = pd.DataFrame({"method": ["em-squarem", "all"], "reached": [True, False]})
    assert for_readers(table).to_numpy().tolist() == [["SQUAREM", "yes"], ["all", "no"]]


def long_table(rows: int) -> pd.DataFrame:
    """A method a column of text in each of many scenarios, with counts and shares."""
    rng = np.random.default_rng(0)
    made = []
    for i in range(rows):
        share = measures.of_count(int(rng.integers(20)), 20)
        made.append(
            {"scenario": f"s{i // 2}", "method": ("em", "newton")[i % 2]}
            | with_errors({"coverage": share, "failed": measures.count(np.ones(3))}, 20)
        )
    return pd.DataFrame(made)


def test_a_long_table_is_split_between_scenarios_and_loses_nothing() -> None:
    table = long_table(100)
    own = parts(table)
    assert [len(part.table) for part in own] == [30, 30, 30, 10]
    assert pd.concat([part.table for part in own]).equals(table)
    assert all(part.table["scenario"].value_counts().eq(2).all() for part in own)
    odd = parts(long_table(200).assign(scenario="one"))
    assert len(odd) == 1 and len(odd[0].table) == 2  # noqa: PT018


def test_a_longer_one_is_summed_up_and_says_so() -> None:
    table = long_table(200)
    (part,) = parts(table)
    assert "Summed up over scenario" in part.note
    assert "All 200 rows are in the CSV file" in part.note
    shown = for_readers(part.table)
    assert shown["method"].tolist() == ["EM", "Newton"]
    assert part.table["failed"].tolist() == [300, 300]
    own = table.loc[table["method"] == "em", "coverage"]
    middle, low, high = own.median(), own.min(), own.max()
    assert shown["coverage"].iloc[0] == f"{number(middle)} ({number(low)} to {number(high)})"
    assert all(
        len(share.split(".")[-1]) <= 3 for share in re.findall(r"0\.\d+", shown["coverage"][1])
    )


def test_text_that_tells_no_rows_apart_is_split_as_numbers_are() -> None:
    words = {f"text {i}": ["a", "b", "a"] for i in range(10)}
    own = parts(pd.DataFrame({"iteration": [0, 1, 2], **words}))
    assert [list(part.table) for part in own] == [
        ["iteration", *list(words)[:7]],
        ["iteration", *list(words)[7:]],
    ]


def test_what_is_the_same_in_all_rows_is_said_once() -> None:
    table = long_table(10)
    for i in range(8):
        table[f"zero {i}"] = 0
    (part, *_) = parts(table)
    assert "zero 3 0" in part.note
    assert not any(name.startswith("zero") for name in part.table)


def large(table: pd.DataFrame, copies: int = 9) -> pd.DataFrame:
    """The table of a study of so many times as many scenarios, with long names."""
    if "scenario" not in table:
        return table
    return pd.concat(
        [table.assign(scenario=table["scenario"] + f"-longer-name-{i}") for i in range(copies)],
        ignore_index=True,
    )


def seen(table: pd.DataFrame, over: tuple[str, ...] = OVER) -> Iterator[pd.DataFrame]:
    return (for_readers(part.table) for part in parts(table, over) if len(part.table))


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.name)
def test_no_table_for_readers_is_above_the_limits(table: Table) -> None:
    for name, big in (("rich", False), ("rich", True), ("no grid", False)):
        whole = made(name)[table.name]
        own = list(seen(large(whole) if big else whole, table.over))
        assert len(own) <= PARTS
        within(own)


def within(own: list[pd.DataFrame]) -> None:
    for shown in own:
        assert len(shown) <= ROWS
        assert len(shown.columns) <= COLUMNS
        assert latex_width(shown) <= TEXT_WIDTH + 0.1
        text = shown.to_csv(index=False)
        assert not re.search(r"\(0(\.0*)?\)", text), "an error of 0"
        assert not re.search(r"\d\.\d{7,}", text), "digits that mean nothing"
        assert not re.search(r"e-0\d", text), "a power as a machine writes it"
        assert "-" not in "".join(re.findall(r"(?<![\w)])-\d", text)), "a hyphen for a minus"


def test_counts_are_whole_and_kinds_of_interval_have_the_names_of_figures() -> None:
    found = measures.count(np.array([1.0] * 77 + [0.0] * 477))
    table = pd.DataFrame([{"kind": "highest-density"} | with_errors({"taken": found}, 554)])
    table["taken"] = table["taken"].astype(int)
    assert for_readers(table).iloc[0].tolist() == ["posterior, highest density", "554", "77 (8.1)"]


def test_a_summary_has_no_middle_of_widths_in_different_units() -> None:
    table = long_table(400)
    table.insert(1, "quantity", [f"q{i % 100}" for i in range(400)])
    table["interval_width"], table["loglik"] = 1.0, -1034.002
    table["interval_width_mcse"] = table["loglik_mcse"] = 0.1
    (part,) = parts(table, ("scenario", "quantity"))
    assert "interval_width" not in part.table
    assert for_readers(part.table)["loglik"].tolist() == ["−1034.00"] * 2
    assert "200 rows summed up" in part.note
