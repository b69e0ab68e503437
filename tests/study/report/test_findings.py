"""Findings say the tables' numbers, and advice names a method and an interval for each setting."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from study.report.findings import (
    advice,
    certified_shares,
    coverages,
    findings,
    in_markdown,
    pick,
    restructured,
)
from tests.study.report.studies import DESIGNS, made


def test_findings_say_the_tables_numbers() -> None:
    found = findings(DESIGNS["rich"], made("rich"))
    assert [one.question for one in found][:2] == [
        "Which optimiser?",
        "Which interval, and what does it cover?",
    ]
    verdicts = made("rich")["verdicts"]
    cells = verdicts["scenario"].str.startswith("grid-")
    own = verdicts[cells & (verdicts["method"] == "newton")]
    share = (own["certified"] + own["boundary"]).sum() / own["R"].sum()
    assert f"Newton {100 * share:.1f}%" in found[0].more
    timings = made("rich")["timings"]
    timings = timings[timings["scenario"].str.startswith("grid-")]
    fastest = timings[~timings["method"].isin(["map", "nuts", "nuts-ordered"])]
    least = fastest.loc[fastest.groupby("scenario")["median"].idxmin(), "method"]
    assert f"in {least.value_counts().max()}" in found[0].more
    assert "Wald intervals cover" in found[1].short


def test_coverage_is_the_mean_over_the_parameters_of_the_tables() -> None:
    found = coverages(DESIGNS["rich"], made("rich")).set_index(["scenario", "kind"])
    grid = made("rich")["grid"]
    cell = grid[(grid["scenario"] == "grid-d2-w0.5-r1-n100") & (grid["method"] == "newton")]
    row = found.loc[("grid-d2-w0.5-r1-n100", "wald")]
    assert row["coverage"] == pytest.approx(cell["coverage"].mean())
    assert row["worst"] == cell["coverage"].min()
    assert row["R"] == cell["R_coverage"].min()


def test_the_cheapest_interval_that_may_hold_is_advised_and_none_from_few_data_sets() -> None:
    def cell(**kinds: tuple[float, float, int]) -> pd.DataFrame:
        rows = [{"kind": k, "coverage": c, "high": h, "R": r} for k, (c, h, r) in kinds.items()]
        return pd.DataFrame(rows)

    best = pick(cell(profile=(0.94, 0.97, 50), wald=(0.90, 0.93, 50)), 0.95)
    assert best is not None
    assert best["kind"] == "profile"
    best = pick(cell(profile=(0.94, 0.97, 50), wald=(0.93, 0.96, 50)), 0.95)
    assert best is not None
    assert best["kind"] == "wald"
    best = pick(cell(profile=(0.7, 0.8, 50), wald=(0.6, 0.7, 50)), 0.95)
    assert best is not None
    assert best["kind"] == "profile"
    assert pick(cell(wald=(1.0, 1.0, 4)), 0.95) is None


def test_each_cell_has_its_advice() -> None:
    pieces = advice(DESIGNS["rich"], made("rich"))
    assert [piece.place["separation"] for piece in pieces] == [2, 2, 4, 4]
    assert pieces[0].place == {"n": 100, "separation": 2, "weight": 0.5, "sd ratio": 1}
    for piece in pieces:
        assert re.match(r"Use [A-Z][\w-]+: [\d.]+ \(", piece.sentence)
        assert "Too few data sets (R = 4)" in piece.sentence
        assert list(piece.table["interval"])[:2] == ["Wald", "Profile likelihood"]


@pytest.mark.parametrize("name", DESIGNS)
def test_a_design_of_any_kind_has_the_findings_that_it_can(name: str) -> None:
    design, tables = DESIGNS[name], made(name)
    found = findings(design, tables)
    advice(design, tables)
    text = restructured(design, found)
    assert text.startswith(f".. {design.stamp()}")
    assert "nan" not in text
    if design.scenarios and "newton" in design.replicates:
        assert certified_shares(design, tables["verdicts"])
        assert "## Which optimiser?" in in_markdown(design, found)
