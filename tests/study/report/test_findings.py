"""Findings say the tables' numbers, and advice names a method and an interval for each setting."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from study.design import load
from study.report.external import LOST
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
    found = {one.question: one for one in findings(DESIGNS["rich"], made("rich"))}
    optimiser, interval = (
        found["Which optimiser?"],
        found["Which interval, and what does it cover?"],
    )
    verdicts = made("rich")["verdicts"]
    cells = verdicts["scenario"].str.startswith("grid-")
    own = verdicts[cells & (verdicts["method"] == "newton")]
    share = (own["certified"] + own["boundary"]).sum() / own["R"].sum()
    assert f"Newton {100 * share:.1f}%" in optimiser.more
    timings = made("rich")["timings"]
    timings = timings[timings["scenario"].str.startswith("grid-")]
    fastest = timings[~timings["method"].isin(["map", "nuts", "nuts-ordered"])]
    least = fastest.loc[fastest.groupby("scenario")["median"].idxmin(), "method"]
    assert f"in {least.value_counts().max()}" in optimiser.more
    assert "Wald intervals cover" in interval.short


def finding(question: str, **tables: pd.DataFrame) -> tuple[str, str]:
    """What is answered by the rich design's tables, some of them replaced."""
    found = findings(DESIGNS["rich"], made("rich") | tables)
    one = next(one for one in found if one.question == question)
    return one.short, one.more


def test_shares_of_methods_on_different_data_sets_are_not_put_side_by_side() -> None:
    """A method with half of the data sets, all of them good, does not make the range's end."""
    verdicts = made("rich")["verdicts"].copy()
    own = verdicts["method"] == "nelder-mead"
    counts = verdicts.columns[verdicts.dtypes == "int64"]
    verdicts.loc[own, counts] = 0
    verdicts.loc[own, ["R", "certified"]] = 2
    short, more = finding("Where do optimisers end?", verdicts=verdicts)
    assert "100.0%" not in short.partition(" of fits")[0]
    assert "Nelder-Mead had fewer" in more
    paired = made("rich")["paired"]
    row = paired[(paired["method"] == "newton") & (paired["against"] == "em")].iloc[0]
    more = finding("Which optimiser?", verdicts=verdicts)[1]
    assert "Nelder-Mead on 8 data sets" in more
    assert f"EM {row['difference']:.0f}" in more.partition("On the same")[2]


def test_a_count_of_wrong_words_is_of_all_words() -> None:
    claims = pd.DataFrame({"verdict": ["spurious"], "wrong": [3], "R": [4]})
    said = made("rich")["optimisation"].head(2).assign(says_converged=[0.3, 1.0], R=[10, 9])
    tables = {"claims": claims, "optimisation": said}
    short, _ = finding("Is a method's own word a verdict?", **tables)
    # Of two methods: sqrt(2 p (1 - p) / 12).
    assert short.startswith("No: 3 of 12 fits that said they had converged (25.0%, error 17.7 ")


@pytest.mark.parametrize(
    ("wrong", "says"), [(0, "It cannot be told: none of 9"), (2, "2 were wrong")]
)
def test_where_nothing_is_wrong_no_diagnostic_is_said_to_find_it(wrong: int, says: str) -> None:
    table = pd.DataFrame({"diagnostic": ["R-hat"], "answer": ["by mean"], "R": [9], "fired": [1]})
    short, more = finding(
        "Do diagnostics tell wrong answers from right ones?", warnings=table.assign(wrong=wrong)
    )
    assert says in short
    assert ("every time a false alarm" in more) == (wrong == 0)


def test_a_rate_is_said_of_the_runs_that_have_one() -> None:
    rates = pd.DataFrame({"R": [2, 2], "R_trusted": [2, 1], "largest_error": [1e-7, 1e-6]})
    assert "in 3 of 4 runs" in finding("Is EM as slow as theory says?", rates=rates)[1]


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
    for one in found:
        assert set(re.findall(r"`([a-z-]+)`", one.rows)) & set(tables), one.question
    advice(design, tables)
    text = restructured(design, found)
    assert text.startswith(f".. {design.stamp()}")
    assert "nan" not in text
    if design.scenarios and "newton" in design.replicates:
        assert certified_shares(design, tables["verdicts"])
        assert "## Which optimiser?" in in_markdown(design, found)


def test_how_many_components_is_the_mean_over_scenarios_and_names_what_refits_chose() -> None:
    choices = pd.DataFrame(
        {
            "scenario": ["a", "b"], "true_K": [1, 2], "R": [100, 100],
            "bic": [1.0, 0.5], "bic_mcse": [0.0, 0.05],
        }
    )  # fmt: skip
    laplace, bridge = {"criterion": "Laplace", "R": 10}, {"criterion": "bridge", "R": 10}
    others = pd.DataFrame(
        [
            {"scenario": "a", "right": 0.9} | laplace,
            {"scenario": "a", "right": 0.5} | bridge,
            {"scenario": "b", "right": 0.1} | laplace,
            {"scenario": "b", "right": 0.5} | bridge,
            {"scenario": "c", "right": 0.0} | laplace,
        ]
    )
    short, more = finding("How many components?", choices=choices, **{"other-choices": others})
    assert "2 scenarios" in short
    assert short.endswith("by BIC 75.0% (2.5).")
    # sqrt(2 .09/10)/2, and sqrt(2 .25/10)/2; c has not all of them.
    assert "a and b (R = 10 each): Laplace 50.0% (6.7), bridge 50.0% (11.2)." in more


def test_how_much_is_the_priors_is_said_by_pairs() -> None:
    priors = pd.DataFrame(
        {
            "scenario": ["a", "b"] * 2, "prior": ["default", "default", "stan", "stan"],
            "R": 50, "coverage": [0.9, 1.0, 0.8, 0.9], "coverage_mcse": 0.04,
        }
    )  # fmt: skip
    differences = pd.DataFrame(
        {"scenario": ["a"], "prior": ["stan"], "R": 50, "coverage": -0.1, "coverage_mcse": 0.02}
    )
    tables = {"priors": priors, "prior-differences": differences}
    design = load("prior-sensitivity")
    one = findings(design, tables)[0]
    assert one.question == "How much of a posterior is its prior?"
    assert "95.0% (2.8) under default, 85.0% (2.8) under stan" in one.short
    assert "stan \N{MINUS SIGN}10.0 (2.0) points in a" in one.more


def test_what_packages_call_converged_comes_first_where_packages_are_asked() -> None:
    words = pd.DataFrame(
        {"package": ["mclust"], "R": 50, "wrong": [0.5], "wrong_mcse": [0.07], "R_wrong": [49]}
    )
    verdicts = pd.DataFrame(
        {"package": ["mclust"] * 2, "R": 50, "maximum": [0.2, 0.3], "near": [0.3, 0.2]}
    )
    tables = {"external-words": words, "external-verdicts": verdicts}
    one = findings(load("peers"), tables)[0]
    assert one.question == "What do other packages give?"
    assert "mclust 50.0% (7.0)" in one.short
    assert "mclust 50.0% (5.0)" in one.more  # sqrt(.25/50) in each of two rows


def test_what_an_early_stop_does_to_coverage_is_told_by_package() -> None:
    kinds = ["Wald at its end", LOST, "Wald at the maximum"]
    near = {"separation 1": [0.4, -0.12, 0.55], "separation 1_mcse": [0.01, 0.02, 0.01]}
    far = {"separation 4": [0.9, 0.001, 0.91], "separation 4_mcse": [0.002, 0.0, 0.003]}
    none = {"missing": [0.3, 0.1, 0.0], "missing_mcse": [0.02, 0.01, 0.0]}
    table = pd.DataFrame({"package": ["A", "A", "ours"], "intervals": kinds} | none | near | far)
    (said,) = findings(load("peers"), {"external-coverage": table})
    assert said.short.endswith("A 40.0% (1.0), −12.0 points (2.0).")
    assert "At separation 4: A 90.0% (0.2), +0.1 points (0.0)." in said.more
    assert "counts as a miss: A 30.0% (2.0) of the grid's" in said.more
    assert "ours cover 55.0% (1.0) at separation 1 and 91.0% (0.3) at separation 4" in said.more
