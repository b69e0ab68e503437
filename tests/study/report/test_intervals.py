"""Coverage against width: an interval that the data do not bound is no narrow one."""

import numpy as np

from study.report.intervals import kinds_found, widths, widths_found
from tests.study import synthetic
from tests.study.synthetic import rich


def test_an_open_interval_is_wider_than_any() -> None:
    study = synthetic.study(rich())
    rows = study.intervals.copy()
    own = (rows["kind"] == "profile") & rows["scenario"].str.startswith("grid-d2-")

    def width() -> list[float]:
        table = widths(synthetic.changed(study, intervals=rows))
        table = table.set_index(["separation", "kind"])
        return table.loc[(2, "profile"), ["width", "R_width"]].tolist()

    closed, r = width()
    assert r == 6  # two cells of three data sets
    rows.loc[own & (rows["replicate"] == 0), "upper"] = np.inf
    some, r = width()
    assert r == 6
    assert closed <= some < np.inf
    rows.loc[own & (rows["replicate"] <= 1), "upper"] = np.inf
    assert width() == [np.inf, 6]


def test_sentences_have_the_errors_of_their_shares() -> None:
    study = synthetic.study(rich())
    row = widths(study).set_index(["separation", "kind"]).loc[(2, "wald")]
    error = f"({100 * row['coverage_mcse']:.1f}; R = {row['R']:.0f})"
    assert f"Wald intervals hold {100 * row['coverage']:.0f}% {error}" in widths_found(study)
    assert kinds_found(study).count(" to ") == kinds_found(study).count("R = 3)") == 3
