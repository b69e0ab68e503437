import numpy as np
import pandas as pd
import pytest

from models.labels import NOT_EXCHANGEABLE
from study.report import label_tables
from study.rows import AGREEMENTS
from tests.study.test_tables import results


def label_row(replicate, verdict, **numbers):
    row = dict.fromkeys(SCHEMA["labels"], 0.5)
    row |= {"scenario": "birds", "replicate": replicate, "method": "nuts", "verdict": verdict}
    return row | {"switches": 0, "labellings": 2, "divergences": 0, "draws": 4000} | numbers


def test_verdicts_are_shares_of_the_fits_that_can_switch():
    words = ["labels only", "labels only", "mixes", "does not mix", NOT_EXCHANGEABLE]
    study = results(labels=[label_row(i, word) for i, word in enumerate(words)])
    (row,) = label_tables.label_verdicts(study).to_dict("records")
    assert row["R"] == 4
    columns = [word.replace(" ", "_") for word in EXCHANGEABLE_WORDS]
    assert [row[column] for column in columns] == [0.25, 0.5, 0.0, 0.25]
    assert row["labels_only_mcse"] == pytest.approx(0.25)


def test_every_number_of_the_label_tables_has_its_standard_error():
    study = results(labels=[label_row(i, "mixes", rhat_raw=1 + i / 10) for i in range(5)])
    for make in (
        label_tables.label_switching,
        label_tables.label_verdicts,
        label_tables.label_algorithms,
    ):
        table = make(study)
        numbers = [c for c in table if not c.endswith("_mcse")]
        assert numbers[:3] == ["scenario", "method", "R"]
        assert all(f"{c}_mcse" in table for c in numbers[3:])
        assert np.isfinite(table.filter(like="_mcse").to_numpy(float)).all()
    assert label_tables.label_switching(study)["rhat_raw"].tolist() == [1.2]
    assert list(label_tables.label_algorithms(study).filter(like="_mcse")) == [
        f"{name}_mcse" for name in AGREEMENTS
    ]


def test_switches_are_counted_in_1000_draws_and_nested_r_hat_has_an_r_of_its_own():
    rows = [
        label_row(i, "labels only", switches=s, nested_rhat=nested)
        for i, (s, nested) in enumerate([(0, np.nan), (8, 1.0), (4, 1.2)])
    ]
    table = label_tables.label_switching(results(labels=rows))
    assert table["switches_per_1000"].tolist() == [1.0]
    assert table["fits_with_switches"].tolist() == [pytest.approx(2 / 3)]
    assert (table["R"].tolist(), table["R_nested_rhat"].tolist()) == ([3], [2])
    assert pd.isna(table["nested_rhat_mcse"].iloc[0])
