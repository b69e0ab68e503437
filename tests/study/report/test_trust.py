"""What intervals hold, pooled and by place, and the rule made of it: by hand."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from study.report.cutoffs import cutoffs
from study.report.distrust import Limits, advised, rule, threshold
from study.report.held import held, of_fits, pooled, worst
from study.report.trust import places, trust
from study.rows import CROSSING, Results
from tests.study import synthetic
from tests.study.synthetic import design, of, row

HALF = [True, False, True, True]


def study() -> Results:
    """Four data sets of birds by Newton's method: the fourth fit fails, the second's means miss."""
    keys: list[dict[str, Any]] = [
        {"replicate": i, "method": "newton", "parameter": p, "component": j}
        for i in range(3)
        for p, j in (("weight", 1), ("weight", 2), ("mean", 1), ("mean", 2), ("sd", 1), ("sd", 2))
    ]
    estimates = [
        row("estimates", **key, truth=1.0, estimate=1.0 + key["component"], se=0.25)
        | {"lower": 2.0 if (key["parameter"], key["replicate"]) == ("mean", 1) else 0.0}
        | {"upper": 3.0}
        for key in keys
    ]
    fits = [row("fits", replicate=i, method="newton") for i in range(3)]
    fits.append(row("fits", replicate=3, method="newton", status="failed"))
    return of(fits=fits, estimates=estimates)


def test_a_data_set_counts_by_the_share_of_its_parameters_and_a_failure_as_a_miss() -> None:
    rows = held(study(), "wald")
    assert len(rows) == 4 * 5  # the last weight is one minus the other
    assert rows.groupby("replicate")["held"].mean().tolist() == [1.0, 0.6, 1.0, 0.0]
    found = pooled(rows)
    assert found.value == pytest.approx(0.65)
    assert found.mcse == pytest.approx(np.std([1, 0.6, 1, 0], ddof=1) / 2)
    assert worst(rows) == ("mean 1", (0.5, 0.25, 4))
    # An end at a bound of the parameter leaves that side open.
    assert rows[rows["there"]].groupby("quantity")["open"].all().to_dict() == {
        **{"mean 1": False, "mean 2": False, "sd 1": True, "sd 2": True},
        "weight 1": True,
    }


def test_what_is_seen_of_a_fit() -> None:
    seen = of_fits(study()).set_index("replicate")
    # Means and sds are 2 and 3, all errors 1/4: the sd of 2 is known to an eighth.
    assert seen.loc[0, "apart"] == pytest.approx(1 / np.sqrt(6.5))
    assert seen.loc[0, "relative"] == pytest.approx(0.125)
    assert np.isnan(seen.loc[3, "relative"])


def test_places_are_held_against_all_of_them() -> None:
    table = places(study(), "wald").set_index("quantity")
    assert table["held"].to_dict() == {
        **dict.fromkeys(("weight 1", "sd 1", "sd 2"), 3),
        **dict.fromkeys(("mean 1", "mean 2"), 2),
    }
    p = 0.05**4 + 4 * 0.05**3 * 0.95 + 6 * 0.05**2 * 0.95**2
    assert table.loc["mean 1", "p"] == pytest.approx(p)
    assert table.loc["mean 1", "adjusted"] == pytest.approx(5 * p)
    found = trust(study()).iloc[0]
    assert found["R"] == 5
    assert found["coverage"] == pytest.approx(13 / 20)
    # Of data sets that hold 5, 3, 5 and 0 of 5, and not of 20 intervals, which miss together.
    assert found["R_coverage"] == 4
    assert found["coverage_mcse"] == pytest.approx(np.std([1, 0.6, 1, 0], ddof=1) / 2)
    assert np.isnan(found["too_low_mcse"])  # the places are no replicates
    assert found["least"] == 0.5
    assert found["p_all"] == pytest.approx(1 - (1 - p) ** 5)


def test_the_limit_is_where_a_part_of_the_fits_first_covers_too_little() -> None:
    """20 parts of 100 data sets; from the ninth on a fifth misses."""
    relative = np.linspace(0.0, 1.0, 2000)
    covered = np.where((relative > 0.4) & (np.arange(2000) % 5 == 0), 0.0, 1.0)
    covered[np.arange(2000) % 20 == 3] = 0.0
    fits = pd.DataFrame({"relative": relative, "wald": covered})
    assert threshold(fits, "wald", 0.95) == pytest.approx(0.4, abs=1e-3)
    assert threshold(fits.iloc[:0], "wald", 0.95) == 0.0


def test_the_rule_takes_what_it_says() -> None:
    fits = pd.DataFrame(
        {
            "relative": [0.05, 0.15, 0.15, 0.5, np.nan],
            "closed": [False, True, False, True, np.nan],
        }
    )
    assert advised(fits, Limits(0.1, 0.2)).tolist() == [0, 1, 2, 2, 2]


def test_the_rule_is_judged_on_replicates_that_it_was_not_chosen_on() -> None:
    """Were Wald intervals of the odd replicates other ones, the limits would be the same."""
    small = design(["newton", "nuts"], scenarios=[synthetic.NAMED], intervals={"replicates": 4})
    made = synthetic.study(small)
    odd = made.estimates["replicate"] % 2 == 1
    worse = made.estimates.copy()
    worse.loc[odd & (worse["method"] == "newton"), ["lower", "upper"]] += 1e3
    lost = synthetic.changed(made, estimates=worse)
    before, after = rule(made), rule(lost)
    assert before["R"].tolist() == [2] * 4
    assert before["limit"].tolist() == after["limit"].tolist()
    by = after.set_index("interval")
    assert by["coverage"]["Wald"] == 0.0
    assert by["coverage"]["posterior (NUTS)"] > 0.0
    lead = 100 * (by["coverage"]["the rule"] - by["coverage"])
    np.testing.assert_allclose(by["gain"], lead, atol=1e-12)


def test_a_cutoff_is_there_or_not() -> None:
    """Of one data set whose densities cross between the means, and one whose do not."""
    named = synthetic.NAMED
    values = {
        "weight": ([0.3, 0.7], [0.99, 0.01]),
        "mean": ([1, 9], [0, 1]),
        "sd": ([2, 3], [1, 1]),
    }
    estimates = [
        row("estimates", "named", i, "newton", parameter=p, component=j + 1, truth=0.0)
        | {"estimate": float(both[i][j])}
        for p, both in values.items()
        for i in range(2)
        for j in range(2)
    ]
    targets = [
        row("targets", "named", parameter=p, component=j + 1, target=float(both[0][j]))
        for p, both in values.items()
        for j in range(2)
    ]
    ends = {"truth": 4.0, "kind": "wald", "quantity": CROSSING}
    intervals = [
        row("intervals", "named", 0, "newton", **ends, estimate=4.5, lower=3.0, upper=5.0),
        row("intervals", "named", 1, "newton", **ends),
    ]
    found = cutoffs(
        of(
            design(["newton"], scenarios=[named]), estimates=estimates, targets=targets,
            intervals=intervals, fits=[row("fits", "named", i, "newton") for i in range(2)],
        )
    ).iloc[0]  # fmt: skip
    assert found["true_points"] == "2, one between the means"
    assert found["between"] == 0.5
    assert (found["bias"], found["R_bias"]) == (0.5, 1)
    assert (found["wald"], found["R"]) == (0.5, 2)
