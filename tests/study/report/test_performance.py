"""The long tables: by hand where failures make cases differ, and recomputed from the rows."""

import numpy as np
import pandas as pd
import pytest

from models.theory import efficiency_bound
from study.compute.truths import target
from study.design import Scenario, load
from study.report import measures
from study.report.estimates import complete, estimates
from study.report.performance import intervals, losses, performance, reference, wide, with_one_r
from study.rows import Results
from tests.study.synthetic import changed, of, row

SINGULAR = {("em", 1), ("newton", 2)}
ESTIMATES = {"em": [27.0, 99.0, 28.5, 29.0], "newton": [27.5, 28.0, 99.0, 29.5]}


def results() -> Results:
    """Mean 1 of `birds` by two methods on four data sets, of which each loses another one."""
    pairs = [("birds", r, m) for m in ESTIMATES for r in range(4)]
    fits = [row("fits", *p, status="singular" if p[:0:-1] in SINGULAR else "ok") for p in pairs]
    estimates = [
        row("estimates", s, r, m, truth=28.0, se=0.5, estimate=e, lower=e - 0.8, upper=e + 0.8)
        for s, r, m in pairs
        for e in [ESTIMATES[m][r]]
    ]
    ends = [(27.0, 29.0), (28.5, 29.0), (np.nan, 30.0), (27.0, 28.2)]
    known = {"kind": "profile", "quantity": "mean 1", "truth": 28.0, "estimate": 28.0}
    kinds = [
        row("intervals", "birds", r, "newton", **known, lower=low, upper=high)
        for r, (low, high) in enumerate(ends)
    ]
    lost = [
        row("losses", *p, hellinger=0.1 * (p[1] + 1), kullback_leibler=0.0, wasserstein=1.0)
        for p in pairs
    ]
    unit = load("smoke").scenario("birds")
    assert isinstance(unit, Scenario)
    truth = target(unit)
    assert truth is not None
    bounds = efficiency_bound(truth, unit.model.build(), unit.n)
    targets = [
        {"scenario": "birds", "parameter": "mean", "component": 1, "target": 28.0}
        | {"bound": bounds[1, 0]}
    ]
    return of(fits=fits, estimates=estimates, intervals=kinds, losses=lost, targets=targets)


def value(table: pd.DataFrame, method: str, measure: str, cases: str = "own") -> pd.Series:
    row = table[
        (table["method"] == method) & (table["measure"] == measure) & (table["cases"] == cases)
    ]
    assert len(row) == 1
    return row.iloc[0]


def test_each_of_the_cases_has_its_own_replicates() -> None:
    table = performance(results())
    own = value(table, "em", "bias")
    assert (own["value"], own["R"]) == (pytest.approx(np.mean([-1.0, 0.5, 1.0])), 3)
    both = value(table, "em", "bias", "complete")
    assert (both["value"], both["R"]) == (pytest.approx(0.0), 2)
    covered = [value(table, "em", "coverage", c) for c in ("own", "complete", "given")]
    assert [one["R"] for one in covered] == [4, 2, 3]
    assert [one["value"] for one in covered] == [pytest.approx(1 / 4), 0.0, pytest.approx(1 / 3)]


def test_a_usable_fit_without_an_interval_is_a_miss() -> None:
    """And not left out of the data sets that coverage is over."""
    study = results()
    lost = (study.estimates["method"] == "em") & (study.estimates["replicate"] == 2)
    rows = study.estimates.assign(lower=study.estimates["lower"].mask(lost))
    found = value(performance(changed(study, estimates=rows)), "em", "coverage")
    assert (found["value"], found["R"]) == (0.0, 4)


def test_a_method_without_a_usable_fit_has_its_rows() -> None:
    """With R = 0, and coverage of none of all its data sets; the others stay as they were."""
    study, other = results(), results()
    fits = study.fits.assign(
        status=study.fits["status"].mask(study.fits["method"] == "em", "failed")
    )
    none = changed(study, fits=fits)
    table = performance(none)
    assert value(table, "em", "bias")["R"] == 0
    assert np.isnan(value(table, "em", "bias")["value"])
    found = value(table, "em", "coverage")
    assert (found["value"], found["R"]) == (0.0, 4)
    newton = table[(table["method"] == "newton") & (table["cases"] == "own")]
    before = performance(other)
    before = before[(before["method"] == "newton") & (before["cases"] == "own")]
    pd.testing.assert_frame_equal(
        newton.reset_index(drop=True), before.reset_index(drop=True), check_exact=True
    )
    lost = losses(none)
    assert value(lost, "em", "hellinger")["R"] == 0
    kept = estimates(none).set_index("method")
    assert kept.loc["em", "R"] == 0
    assert kept.loc["em", "coverage"] == 0.0
    assert set(complete(none)["method"]) == {"em", "newton"}


def test_a_scenario_in_which_no_fit_is_usable_has_its_rows() -> None:
    study = results()
    table = performance(changed(study, fits=study.fits.assign(status="singular")))
    for method in ("em", "newton"):
        found = value(table, method, "coverage")
        assert (found["value"], found["R"]) == (0.0, 4)


def test_complete_cases_have_the_methods_that_did_not_fail() -> None:
    """EM alone fails, on one data set: Newton's row is over the three others."""
    study = results()
    fits = study.fits.assign(status=["singular" if i == 1 else "ok" for i in range(8)])
    assert fits.loc[1, ["method", "replicate"]].tolist() == ["em", 1]
    table = complete(changed(study, fits=fits)).set_index("method")
    assert table["R"].to_dict() == {"em": 3, "newton": 3}
    assert table["all_R"].to_dict() == {"em": 4, "newton": 4}


def test_one_replicate_that_is_the_table_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ten or more; of four one is often over half by chance."""
    assert set(estimates(results())["dominated"]) == {"no"}
    monkeypatch.setattr(measures, "FEWEST", 2)
    table = estimates(results()).set_index("method")
    assert table["dominated"].to_dict() == {"em": "no", "newton": "yes"}
    long = performance(results())
    assert value(long, "newton", "largest_share")["value"] == pytest.approx(2.25 / 2.5)


def test_usable_fits_that_are_not_believable_are_counted() -> None:
    study = results()
    fits = study.fits.assign(believable=study.fits["replicate"] > 0)
    table = estimates(changed(study, fits=fits)).set_index("method")
    assert table["not_believable"].to_dict() == {"em": 1, "newton": 1}
    assert table["not_believable"].dtype == "Int64"


def test_intervals_that_were_asked_for_and_have_no_row_are_misses() -> None:
    study = results()
    fewer = study.intervals[study.intervals["replicate"] < 2]
    found = value(intervals(changed(study, intervals=fewer)), "newton", "coverage")
    assert (found["value"], found["R"]) == (pytest.approx(1 / 4), 4)


def test_a_missing_end_is_no_interval_or_a_miss() -> None:
    table = intervals(results())
    given, every = (value(table, "newton", "coverage", cases) for cases in ("given", "own"))
    assert (given["value"], given["R"]) == (pytest.approx(2 / 3), 3)
    assert (every["value"], every["R"]) == (pytest.approx(2 / 4), 4)
    assert value(table, "newton", "bias_eliminated_coverage")["R"] == 4
    assert value(table, "newton", "interval_width")["R"] == 3
    assert not (table["measure"] == "model_se_error").any()


def test_precision_is_paired_with_newton_on_the_replicates_that_both_have() -> None:
    assert reference(results()) == "newton"
    found = value(performance(results()), "em", "relative_precision")
    assert found["R"] == 2
    assert not ((performance(results())["method"] == "newton")
                & (performance(results())["measure"] == "relative_precision")).any()  # fmt: skip


def test_efficiency_is_held_against_the_quadrature() -> None:
    study = results()
    bound = study.targets["bound"].iloc[0]
    found = value(performance(study), "em", "efficiency")
    spread = np.std([27.0, 28.5, 29.0], ddof=1)
    assert found["value"] == pytest.approx((bound / spread) ** 2)
    assert found["mcse"] == pytest.approx(2 * found["value"] / np.sqrt(2 * 2))


def test_losses_leave_out_failures_and_have_their_error() -> None:
    found = value(losses(results()), "em", "hellinger")
    expected = measures.mean(np.array([0.1, 0.3, 0.4]))
    assert (found["value"], found["mcse"], found["R"]) == expected


def test_every_number_of_a_wide_table_has_its_error_and_its_r() -> None:
    long = performance(results())
    table = wide(long, ["bias", "coverage", "relative_precision"])
    for name in ("bias", "coverage", "relative_precision"):
        assert {name, f"{name}_mcse", f"R_{name}"} <= set(table)
    for one in table.to_dict("records"):
        found = value(long, one["method"], "bias")
        numbers = one["bias"], one["bias_mcse"], one["R_bias"]
        assert numbers == (found["value"], found["mcse"], found["R"])


def test_no_rows_give_empty_tables() -> None:
    nothing = of()
    for table in (performance(nothing), intervals(nothing), losses(nothing)):
        assert table.empty
        assert {"measure", "value", "mcse", "R"} <= set(table)


def test_one_r_stands_for_all_that_are_the_same() -> None:
    table = wide(performance(results()), ["bias", "rmse", "coverage", "relative_precision"])
    compact = with_one_r(table)
    assert compact["R"].tolist() == table["R_bias"].tolist()
    assert "R_rmse" not in compact
    assert compact["R_coverage"].tolist() == [4, 4]
    assert compact["R_relative_precision"].dropna().tolist() == [2]
