"""Which optimiser to use where, and what intervals cover, by hand and over a grid."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from study.report.estimates import grid
from study.report.glance import COVERAGE, covered, guide, recommended, verdict
from tests.study import synthetic
from tests.study.synthetic import of, rich, row

CELL = "grid-d2-w0.5-r1-n100"


def of_cell(good: Mapping[str, Sequence[int]], passes: Mapping[str, int]) -> "pd.Series[Any]":
    """What is recommended for a cell of certified or stopped fits, by method, all at the best."""
    fits = [
        row("fits", CELL, i, method)
        | {"certified": bool(ok), "moments": passes[method], "second_moments": 0}
        for method, shares in good.items()
        for i, ok in enumerate(shares)
    ]
    return recommended(of(fits=fits)).set_index("scenario").loc[CELL]


def test_the_cheapest_of_those_not_clearly_worse_is_recommended() -> None:
    good = {"em": [1, 0] * 20, "lbfgs": [1] * 39 + [0], "newton": [1] * 40}
    found = of_cell(good, {"em": 1, "lbfgs": 9, "newton": 10})
    # EM misses half: 20 of 40 by a paired error of .08. L-BFGS-B misses one: 1/40, error 1/40.
    assert (found["method"], found["passes"], found["R"]) == ("lbfgs", 9.0, 40)
    assert found["at_best"] == pytest.approx(39 / 40)
    assert found["at_best_mcse"] == pytest.approx(np.sqrt(39 / 40 / 40 / 40))
    found = of_cell(good, {"em": 1, "lbfgs": 11, "newton": 10})
    assert found["method"] == "newton"


def test_pairing_tells_apart_what_unpaired_shares_would_not() -> None:
    # Of 40 data sets newton gets 32 and lbfgs 28, all of them among newton's: 4 against 0.
    good = {"lbfgs": [1] * 28 + [0] * 12, "newton": [1] * 32 + [0] * 8}
    found = of_cell(good, {"lbfgs": 1, "newton": 10})
    assert found["method"] == "newton"


@pytest.mark.parametrize(
    ("coverage", "replicates", "says"),
    [
        (0.79, 200, "too low"),
        (0.95, 200, "holds"),
        (0.95, 20, "unsure"),
        (1.0, 2000, "too high"),
        (0.90, 20, "unsure"),
        (0.50, 20, "too low"),
    ],
)
def test_words_for_what_intervals_cover(coverage: float, replicates: int, says: str) -> None:
    assert verdict(coverage, replicates, 0.95) == says


def test_the_guides_numbers_are_those_of_the_grid_table() -> None:
    study = synthetic.study(rich())
    table, measured = guide(study), grid(study)
    assert len(table) == 4
    for one in table.to_dict("records"):
        for kind, method in (("wald", one["method"]), ("nuts", "nuts")):
            here = measured[measured["scenario"] == one["scenario"]]
            here = here[here["method"] == method]
            assert one[f"{kind}_worst"] == here["coverage"].min()
            first = here[(here["parameter"] == "mean") & (here["component"] == 1)].iloc[0]
            assert one[f"{kind}_mean_1"] == first["coverage"]
            assert one[f"{kind}_mean_1_mcse"] == first["coverage_mcse"]
    sizes = table[["n", "separation"]].to_numpy()
    assert sizes.tolist() == sorted(sizes.tolist())


def test_another_kind_of_interval_is_a_table_of_coverages() -> None:
    cover = pd.DataFrame(
        [
            ("cell", "mean", 1, 0.95, 0.01, 400),
            ("cell", "sd", 2, 0.90, 0.02, 400),
            ("cell", "sd", 1, np.nan, np.nan, 0),
        ],
        columns=list(COVERAGE),
    )
    found = covered("profile", cover, 0.95).iloc[0]
    assert found["scenario"] == "cell"
    assert found["profile_mean_1"] == 0.95
    assert (found["profile_worst"], found["profile_worst_of"]) == (0.90, "sd 2")
    assert found["profile_says"] == "too low"


def test_rows_of_a_cell_without_optimisers_are_none() -> None:
    assert recommended(of()).empty
    assert guide(of()).empty
