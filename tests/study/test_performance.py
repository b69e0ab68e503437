"""The long tables: by hand where failures make cases differ, and recomputed from the rows."""

import numpy as np
import pandas as pd
import pytest

from models.theory import efficiency_bound
from study.design import load
from study.report import measures
from study.report.performance import intervals, losses, performance, reference, wide, with_one_r
from study.rows import Results

SINGULAR = {("em", 1), ("newton", 2)}
ESTIMATES = {"em": [27.0, 99.0, 28.5, 29.0], "newton": [27.5, 28.0, 99.0, 29.5]}


def frame(kind, records):
    return pd.DataFrame(records).reindex(columns=list(SCHEMA[kind])).astype(SCHEMA[kind])


def key(method, replicate):
    return {"scenario": "birds", "replicate": replicate, "method": method}


def results():
    """Mean 1 of `birds` by two methods on four data sets, of which each loses another one."""
    pairs = [(m, r) for m in ESTIMATES for r in range(4)]
    fits = [
        key(m, r)
        | {"status": "singular" if (m, r) in SINGULAR else "ok", "k": 2, "n_iter": 1, "moments": 1}
        | {"second_moments": 1, "gradients": 0, "start_passes": 1, "nodes": 0, "exact_passes": 0}
        | {"believable": True}
        for m, r in pairs
    ]
    estimates = [
        key(m, r)
        | {"parameter": "mean", "component": 1, "truth": 28.0, "estimate": ESTIMATES[m][r]}
        | {"se": 0.5, "lower": ESTIMATES[m][r] - 0.8, "upper": ESTIMATES[m][r] + 0.8}
        for m, r in pairs
    ]
    ends = [(27.0, 29.0), (28.5, 29.0), (np.nan, 30.0), (27.0, 28.2)]
    kinds = [
        key("newton", r)
        | {"kind": "profile", "quantity": "mean 1", "truth": 28.0, "estimate": 28.0, "se": np.nan}
        | {"lower": low, "upper": high}
        for r, (low, high) in enumerate(ends)
    ]
    lost = [
        key(m, r) | {"hellinger": 0.1 * (r + 1), "kullback_leibler": 0.0, "wasserstein": 1.0}
        for m, r in pairs
    ]
    rows = {"fits": fits, "estimates": estimates, "intervals": kinds, "losses": lost}
    return Results(load("smoke"), **{kind: frame(kind, rows.get(kind, [])) for kind in SCHEMA})


def value(table, method, measure, cases="own"):
    row = table[
        (table["method"] == method) & (table["measure"] == measure) & (table["cases"] == cases)
    ]
    assert len(row) == 1
    return row.iloc[0]


def test_each_of_the_cases_has_its_own_replicates():
    table = performance(results())
    own = value(table, "em", "bias")
    assert (own["value"], own["R"]) == (pytest.approx(np.mean([-1.0, 0.5, 1.0])), 3)
    both = value(table, "em", "bias", "complete")
    assert (both["value"], both["R"]) == (pytest.approx(0.0), 2)
    covered = [value(table, "em", "coverage", c) for c in ("own", "complete", "all")]
    assert [row["R"] for row in covered] == [3, 2, 4]
    assert [row["value"] for row in covered] == [pytest.approx(1 / 3), 0.0, pytest.approx(1 / 4)]


def test_a_missing_end_is_no_interval_or_a_miss():
    table = intervals(results())
    own, every = (value(table, "newton", "coverage", cases) for cases in ("own", "all"))
    assert (own["value"], own["R"]) == (pytest.approx(2 / 3), 3)
    assert (every["value"], every["R"]) == (pytest.approx(2 / 4), 4)
    assert value(table, "newton", "interval_width")["R"] == 3
    assert not (table["measure"] == "model_se_error").any()


def test_precision_is_paired_with_newton_on_the_replicates_that_both_have():
    assert reference(results()) == "newton"
    row = value(performance(results()), "em", "relative_precision")
    assert row["R"] == 2
    assert not ((performance(results())["method"] == "newton")
                & (performance(results())["measure"] == "relative_precision")).any()  # fmt: skip


def test_efficiency_is_held_against_the_quadrature():
    study = results()
    unit = study.design.scenario("birds")
    bound = efficiency_bound(unit.target(), unit.model.build(), unit.n)[1, 0]
    row = value(performance(study), "em", "efficiency")
    spread = np.std([27.0, 28.5, 29.0], ddof=1)
    assert row["value"] == pytest.approx((bound / spread) ** 2)
    assert row["mcse"] == pytest.approx(2 * row["value"] / np.sqrt(2 * 2))


def test_losses_leave_out_failures_and_have_their_error():
    row = value(losses(results()), "em", "hellinger")
    expected = measures.mean(np.array([0.1, 0.3, 0.4]))
    assert (row["value"], row["mcse"], row["R"]) == expected


def test_every_number_of_a_wide_table_has_its_error_and_its_r():
    long = performance(results())
    table = wide(long, ["bias", "coverage", "relative_precision"])
    for name in ("bias", "coverage", "relative_precision"):
        assert {name, f"{name}_mcse", f"R_{name}"} <= set(table)
    for row in table.itertuples():
        found = value(long, row.method, "bias")
        assert (row.bias, row.bias_mcse, row.R_bias) == (found["value"], found["mcse"], found["R"])


def test_no_rows_give_empty_tables():
    study = results()
    empty = {kind: getattr(study, kind).iloc[:0] for kind in SCHEMA}
    nothing = Results(study.design, **empty)
    for table in (performance(nothing), intervals(nothing), losses(nothing)):
        assert table.empty
        assert {"measure", "value", "mcse", "R"} <= set(table)


def test_one_r_stands_for_all_that_are_the_same():
    table = wide(performance(results()), ["bias", "coverage", "relative_precision"])
    compact = with_one_r(table)
    assert compact["R"].tolist() == table["R_bias"].tolist()
    assert "R_coverage" not in compact
    assert compact["R_relative_precision"].dropna().tolist() == [2]
