"""Which optimiser and which interval to use where, by hand and over a grid."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pytest

from study.report.glance import cheapest, guide, recommended, summary
from study.report.held import NAMES, held, pooled
from tests.study import synthetic
from tests.study.synthetic import of, rich


def chosen(good: Mapping[str, Sequence[int]], passes: Mapping[str, int]) -> str:
    """The cheapest optimiser of fits that are certified or not, by method."""
    rows = [
        {"scenario": "a", "replicate": i, "method": m, "good": float(ok), "passes": passes[m]}
        for m, shares in good.items()
        for i, ok in enumerate(shares)
    ]
    return cheapest(pd.DataFrame(rows), "passes")


def test_the_cheapest_of_those_not_clearly_worse_is_recommended() -> None:
    good = {"em": [1, 0] * 20, "lbfgs": [1] * 39 + [0], "newton": [1] * 40}
    # EM misses half: 20 of 40 by a paired error of .08. L-BFGS-B misses one: 1/40, error 1/40.
    assert chosen(good, {"em": 1, "lbfgs": 9, "newton": 10}) == "lbfgs"
    assert chosen(good, {"em": 1, "lbfgs": 11, "newton": 10}) == "newton"


def test_pairing_tells_apart_what_unpaired_shares_would_not() -> None:
    # Of 40 data sets newton gets 32 and lbfgs 28, all of them among newton's: 4 against 0.
    good = {"lbfgs": [1] * 28 + [0] * 12, "newton": [1] * 32 + [0] * 8}
    assert chosen(good, {"lbfgs": 1, "newton": 10}) == "newton"


def covering(share: float, r: int) -> pd.DataFrame:
    """Intervals of one parameter, of which about a share holds the truth."""
    return pd.DataFrame({"scenario": "a", "replicate": range(r), "quantity": "mean 1"}).assign(
        held=np.arange(r) < share * r
    )


@pytest.mark.parametrize(
    ("wald", "profile", "posterior", "kind"),
    [
        ((0.95, 200), (0.95, 60), (0.95, 20), "wald"),
        ((0.80, 200), (0.95, 60), (0.95, 20), "profile"),
        ((0.80, 200), (0.80, 60), (0.95, 60), "equal-tailed"),
        ((0.80, 200), (0.70, 60), (0.60, 60), "wald"),  # none does: what covers most
        ((0.60, 200), (0.95, 0), (0.75, 20), "equal-tailed"),
        ((0.60, 200), (0.95, 4), (0.55, 20), "wald"),  # four data sets say nothing
    ],
)
def test_the_simplest_interval_that_covers_is_recommended(
    wald: tuple[float, int], profile: tuple[float, int], posterior: tuple[float, int], kind: str
) -> None:
    kinds = zip(NAMES, (wald, profile, posterior), strict=True)
    assert recommended({name: covering(*share) for name, share in kinds}, 0.95) == kind


def test_the_guide_is_a_row_a_size_and_separation() -> None:
    study = synthetic.study(rich())
    table = guide(study)
    assert table[["n", "separation"]].to_numpy().tolist() == [[100, 2], [100, 4]]
    names = {label: kind for kind, label in NAMES.items()}
    for one in table.to_dict("records"):
        rows = held(study, names[one["interval"]])
        covered = pooled(rows[rows["scenario"].str.startswith(f"grid-d{one['separation']:g}-")])
        assert (one["coverage"], one["R"]) == (covered.value, covered.r)
        assert one["holds"] == "no"  # of so few data sets nothing is known to hold


def test_the_summarys_numbers_are_those_of_the_rows() -> None:
    study = synthetic.study(rich())
    table = summary(study).set_index("separation")
    seconds = study.timings[study.timings["method"] == "map"]
    cells = seconds["scenario"].str.startswith("grid-d2-")
    assert table.loc[2, "ms_map"] == pytest.approx(1e3 * seconds.loc[cells, "seconds"].mean())
    assert table.loc[2, "R"] == 8


def test_no_rows_are_no_guide() -> None:
    assert guide(of()).empty
    assert summary(of()).empty
