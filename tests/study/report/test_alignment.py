"""Estimates sorted by mean against their best assignment, on estimates whose answer is known."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from study.design import Scenario
from study.report.alignment import alignment
from study.rows import PARAMETERS
from tests.study.synthetic import design, of, row

NEAR = Scenario(name="near", weights=[0.4, 0.6], means=[0, 1], sds=[1, 1], n=50)
FAR = Scenario(name="far", weights=[0.5, 0.5], means=[0, 10], sds=[1, 1], n=50)
DESIGN = design(["em", "lbfgs", "nuts", "nuts-ordered"], scenarios=[NEAR, FAR])


def estimates(
    scenario: str, replicate: int, method: str, mixture: Sequence[Sequence[float]]
) -> list[dict[str, Any]]:
    """The rows of one fit that ended well."""
    return [
        row("estimates", scenario, replicate, method)
        | {"parameter": parameter, "component": j + 1, "truth": 0.0, "estimate": mixture[i][j]}
        for i, parameter in enumerate(PARAMETERS)
        for j in range(2)
    ]


def aligned(found: list[list[dict[str, Any]]]) -> pd.DataFrame:
    """The table of these fits."""
    keys = [(part[0]["scenario"], part[0]["replicate"], part[0]["method"]) for part in found]
    truths = {unit.name: unit.truth().components.as_rows() for unit in (NEAR, FAR)}
    targets = [
        {"scenario": name, "parameter": parameter, "component": j + 1, "target": values[i, j]}
        for name, values in truths.items()
        for i, parameter in enumerate(PARAMETERS)
        for j in range(2)
    ]
    rows = [one for part in found for one in part]
    fits = [row("fits", *key) for key in keys]
    return alignment(of(DESIGN, estimates=rows, fits=fits, targets=targets))


def test_alignment_counts_what_sorting_labels_against_the_truth() -> None:
    """Of four data sets one has its heavy component, the second in truth, below the light one."""
    right = [[0.4, 0.6], [0.0, 1.0], [1.0, 1.0]]
    # Sorted by mean; swapping costs less: (.9 - .6)^2 + (.1 - .4)^2 + .2^2 < .5^2 + .5^2 + ...
    odd = [[0.95, 0.05], [0.45, 0.6], [1.0, 1.0]]
    found = [
        estimates("near", replicate, method, odd if replicate == 3 else right)
        for replicate in range(4)
        for method in ("em", "lbfgs")
    ]
    # The other optimiser of the fourth data set disagrees: half of its estimates are odd.
    found[-2] = estimates("near", 3, "em", right)
    table = aligned(found)
    own = table.set_index(["optimiser", "parameter", "component"]).sort_index()
    assert own.loc["L-BFGS-B", "disagreement"].tolist() == pytest.approx([0.25] * 5)
    assert own.loc["all", "disagreement"].tolist() == pytest.approx([0.125] * 5)
    assert set(own["R"]) == {4}
    first = own.loc[("L-BFGS-B", "mean", 1)]
    assert first["bias_sorted"] == pytest.approx(0.45 / 4)
    assert first["bias_assigned"] == pytest.approx(0.6 / 4)
    assert first["change"] == pytest.approx(0.15 / 4)
    assert first["change_mcse"] == pytest.approx(np.std([0, 0, 0, 0.15], ddof=1) / 2)
    weight = own.loc[("all", "weight", 1)]
    assert weight["bias_sorted"] == pytest.approx((0.95 - 0.4) / 8)
    assert weight["bias_assigned"] == pytest.approx((0.05 - 0.4) / 8)


def test_no_disagreement_where_components_are_apart() -> None:
    table = aligned([estimates("far", 0, "em", [[0.6, 0.4], [1.0, 9.0], [1.0, 2.0]])])
    assert (table["disagreement"] == 0).all()
    assert (table["optimiser"].unique() == ["EM", "all"]).all()
    assert (table["change"] == 0).all()
