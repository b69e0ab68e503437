"""The calibration's table."""

import numpy as np
import pandas as pd
import pytest

from study.design import load
from study.report.calibration import calibration
from study.rows import frame, of_frames


def ranks_rows(ranks: list[int | None], quantity: str = "mean 1") -> pd.DataFrame:
    rows = pd.DataFrame({"replicate": np.arange(len(ranks)), "rank": ranks})
    rows = rows.assign(method="nuts", quantity=quantity, of=9, rhat=1.0, ess=500.0)
    rows = rows.assign(autocorrelation=0.0, divergences=0)
    return frame("ranks", rows.to_dict("records"))


def test_the_table_tells_the_moments_and_verdicts_of_the_ranks() -> None:
    even, low = list(np.repeat(np.arange(10), 20)), [0] * 200
    rows = pd.concat([ranks_rows([*even, None]), ranks_rows(low, quantity="sd 1")])
    table = calibration(of_frames(load("smoke"), {"ranks": rows})).set_index("quantity")
    assert table["R"].tolist() == [200, 200]
    assert table["failed"].tolist() == [1, 0]
    assert table.loc["mean 1", "mean"] == pytest.approx(0.5)
    assert table.loc["mean 1", "spread"] == pytest.approx(1.0)
    assert table.loc["mean 1", "difference"] == pytest.approx(0.0)
    assert table.loc["sd 1", "difference"] == pytest.approx(0.9)
    assert table["uniform"].tolist() == ["yes", "no"]
