"""What remedies answer and cost, on rows whose answers are known."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from study.report.cost import remedy_costs
from study.report.remedies import folding, remedies
from study.rows import DISTANCE, REMEDIES, REMEDY_PARAMETERS
from tests.study.synthetic import of


def remedy_rows(
    mean_of: Callable[[str, int], float], r: int = 6, sd: float = 1.0
) -> list[dict[str, Any]]:
    """`mean_of` remedy and replicate; all parameters alike, intervals of one sd to each side."""
    return [
        {"scenario": "near", "replicate": i, "remedy": remedy, "parameter": parameter}
        | {"truth": 1.0, "mean": mean_of(remedy, i), "sd": sd, "ess": 100.0, "ess_tail": 50.0}
        | {"lower": mean_of(remedy, i) - sd, "upper": mean_of(remedy, i) + sd}
        | {"rhat": 1.02 if i == 0 else 1.0}
        for i in range(r)
        for remedy in REMEDIES
        for parameter in REMEDY_PARAMETERS
    ]


def test_remedies_are_held_against_truth_and_against_stephens() -> None:
    offset = {"Stephens": 0.0, "by mean": 0.5, "none": -2.0}

    def mean(remedy: str, replicate: int) -> float:
        return 1.0 + offset.get(remedy, 0.1) + 0.3 * (-1) ** replicate

    table = remedies(of(remedies=remedy_rows(mean)))
    own = table[table["parameter"] == DISTANCE].set_index("remedy")
    assert own.loc["by mean", "bias"] == pytest.approx(0.5)
    assert own.loc["by mean", "bias_mcse"] == pytest.approx(0.3 * np.sqrt(1.2 / 6))
    assert own.loc["by mean", "rmse"] == pytest.approx(np.sqrt(0.5**2 + 0.3**2))
    assert own.loc["by mean", "from_stephens"] == pytest.approx(0.5)
    assert own.loc["by mean", "from_stephens_mcse"] == pytest.approx(0.0, abs=1e-12)
    assert own.loc["none", "coverage"] == 0.0
    assert own.loc["Stephens", ["coverage", "width"]].tolist() == pytest.approx([1.0, 2.0])
    assert own["unconverged"].tolist() == pytest.approx([1 / 6] * len(REMEDIES))
    assert set(own["R"]) == {6}


def test_costs_are_medians_of_the_worst_parameter() -> None:
    rows = remedy_rows(lambda remedy, i: 0.0)
    timings = [
        {"scenario": "near", "replicate": i, "remedy": remedy, "seconds": 1.0 + i}
        for i in range(6)
        for remedy in REMEDIES
    ]
    table = remedy_costs(of(remedies=rows, remedy_timings=timings))
    assert list(table["remedy"]) == list(REMEDIES)
    assert table["seconds"].tolist() == pytest.approx([3.5] * len(REMEDIES))
    assert table["ess_per_second"].tolist() == pytest.approx(
        [(50 / 3 + 50 / 4) / 2] * len(REMEDIES)
    )


def test_folding_sees_chance_as_chance() -> None:
    """Means off by normal errors of their Monte Carlo variance: squares of z have mean one.

    2,400 of them in all: within 4 errors of sqrt(2/2400), false-alarm rate 6e-5.
    """
    rng = np.random.default_rng(5)
    rows = remedy_rows(lambda remedy, i: 0.0, r=400)
    for row in rows:
        row["mean"] = rng.normal(0.0, row["sd"] / np.sqrt(row["ess"]))
    table = folding(of(remedies=rows))
    assert table["squared_z"].mean() == pytest.approx(1.0, abs=4 * np.sqrt(2 / 2400))
    assert list(table["R"]) == [400] * 6
