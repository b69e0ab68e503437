"""Real data: what their designs call them is shown as it is."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from study.design import ModelSpec
from study.report.real_data import fitted_densities, mixture, real_data
from study.report.write import save
from tests.study import synthetic
from tests.study.synthetic import FAITHFUL, design

TITLES = [
    r"Price in $, costs in $_{a^ & 5% #1 \frac{",
    "<script>alert('it')</script> \"quoted\"",
    "שלום e\u0301 pH",
]


@pytest.mark.parametrize("title", TITLES)
def test_titles_columns_and_units_are_no_mathematics_and_keep_their_capitals(
    tmp_path: Path, title: str
) -> None:
    column, unit = "mRNA_$n$ pH", "kJ $h^{-1}$"
    values = pd.read_csv(FAITHFUL.file)["waiting"]
    pd.DataFrame({column: values}).to_csv(tmp_path / "data.csv", index=False)
    changes = {"title": title, "unit": unit, "column": column, "file": tmp_path / "data.csv"}
    data = FAITHFUL.model_copy(update=changes)
    study = synthetic.study(design(["newton"], data=[data]))
    figure = fitted_densities(study)
    upper, lower = figure.axes
    texts = [upper.title, lower.xaxis.label]
    shown = [text.get_text().replace("\n", " ") for text in texts]
    assert shown == [title, f"{column} ({unit})"]
    assert not any(text.get_parse_math() for text in texts)
    save(figure, tmp_path / "figure")


def test_whether_a_fit_is_believable_stands_beside_its_estimates() -> None:
    table = real_data(synthetic.study(design(["newton"], data=[FAITHFUL])))
    assert table["believable"].all()


def test_a_mixture_is_put_together_from_estimates_and_what_is_known() -> None:
    """Known components come in the order of their means, wherever the estimated ones stand."""
    known = {"k": 3, "means": [2, None, 0], "sds": [4, None, 3], "weights": [None, None, 0.5]}
    unit = FAITHFUL.model_copy(update={"model": ModelSpec(**known)})
    rows = [("mean", 2, 1.0), ("sd", 2, 1.5), ("weight", 2, 0.2), ("weight", 3, 0.3)]
    estimates = pd.DataFrame(rows, columns=["parameter", "component", "estimate"])
    found = mixture(estimates, unit)
    expected = [[0.5, 0.2, 0.3], [0.0, 1.0, 2.0], [3.0, 1.5, 4.0]]
    np.testing.assert_allclose(found.as_rows(), expected)
