"""Posteriors that are sampled to the end, and the coverage with and without the others."""

import pandas as pd
import pytest

from study.design import load
from study.report.posteriors import posteriors
from study.rows import frame, of_frames

KEY = {"scenario": "birds", "method": "nuts"}
HOLDS, MISSES = {"lower": -1.0, "upper": 1.0}, {"lower": 1.0, "upper": 2.0}


def of(*fits: tuple[str, list[dict[str, float]]]) -> pd.Series:
    """The row of fits: of each its status and the intervals of two means; truths are 0."""
    rows: dict[str, list[dict[str, object]]] = {"fits": [], "estimates": [], "labels": []}
    counts = ("n_iter", "moments", "second_moments", "gradients", "start_passes", "nodes")
    for i, (status, ends) in enumerate(fits):
        key = KEY | {"replicate": i}
        zeros = dict.fromkeys((*counts, "exact_passes"), 0)
        end = {"k": 2, "status": status, "message": f"R-hat 1.{i}; more", "believable": True}
        rows["fits"].append(key | zeros | end)
        for j, own in enumerate(ends):
            at = {"parameter": "mean", "component": j + 1, "truth": 0.0}
            rows["estimates"].append(key | at | own)
        zeros = dict.fromkeys(("switches", "labellings", "divergences"), 0)
        rows["labels"].append(key | zeros | {"convention": False, "draws": 4000 + i, "message": ""})
    tables = {kind: frame(kind, own) for kind, own in rows.items()}
    return posteriors(of_frames(load("default"), tables)).iloc[0]


def test_coverage_is_given_with_and_without_those_that_are_not_sampled_to_the_end() -> None:
    row = of(("ok", [HOLDS, HOLDS]), ("ok", [HOLDS, MISSES]), ("not-converged", [MISSES, MISSES]))
    assert row["R"] == 3
    assert row["sampled"] == pytest.approx(2 / 3)
    assert row["coverage"] == pytest.approx(1.5 / 3)
    assert row["coverage_sampled"] == pytest.approx(0.75)
    assert row["draws"] == 4001
    assert row["not_sampled"] == "replicate 2: R-hat 1.2"


def test_a_fit_without_intervals_is_a_miss() -> None:
    row = of(("ok", [HOLDS, HOLDS]), ("failed", []))
    assert row["coverage"] == pytest.approx(0.5)
    assert row["not_sampled"].startswith("replicate 1: ")
