"""Optimisers crossed with starts, on one small data set."""

import pytest

from study.compute import beginnings
from study.compute.beginnings import begin
from study.design import DesignError, load
from study.rows import STARTS, frames

DESIGN = load("smoke")
SCENARIO = DESIGN.scenario("grid-d2-w0.5-r1-n100")
METHODS = ["em", "em-squarem", "lbfgs", "newton", "nelder-mead"]


def test_every_optimiser_begins_at_every_start():
    found = frames(begin(DESIGN, SCENARIO, 0))["beginnings"]
    assert len(found) == 20
    for start in STARTS:
        assert found.loc[found["start"] == start, "method"].tolist() == METHODS
    assert found.groupby("start")["start_passes"].first().to_dict() == {
        **dict.fromkeys(STARTS[1:], 1),
        "shared": 54,
    }
    assert found["loglik"].notna().all()


def test_a_start_that_breaks_off_is_a_row_of_every_fit(monkeypatch):
    def breaks(*arguments):
        raise ZeroDivisionError("of a guess")

    monkeypatch.setattr(beginnings, "by_moments", breaks)
    found = frames(begin(DESIGN, SCENARIO, 0))["beginnings"]
    assert len(found) == 20
    assert set(found["status"]) == {"failed"}
    assert set(found["message"]) == {"ZeroDivisionError: of a guess"}


@pytest.mark.parametrize(
    ("name", "says"),
    [("galaxies", "no scenario is called"), ("article-1", "not fitted with two free components")],
)
def test_starts_are_of_simulated_scenarios_with_two_free_components(name, says):
    with pytest.raises(DesignError, match=says):
        load("smoke", starts={"scenarios": [name], "replicates": 1})
