"""Real data: what their designs call them is shown as it is."""

from pathlib import Path

import pandas as pd
import pytest

from study.report.real_data import fitted_densities, real_data
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
