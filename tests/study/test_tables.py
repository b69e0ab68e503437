import hashlib

import numpy as np
import pandas as pd
import pytest
from study.report.tables import TABLES, with_error, write, write_sums

from study.design import load
from study.report import tables
from study.report.verdicts import with_verdict
from study.rows import Results


def rows(kind, records):
    return pd.DataFrame(records).reindex(columns=list(SCHEMA[kind])).astype(SCHEMA[kind])


def fit_row(replicate, method, loglik, status="ok", certified=True):
    return {
        **{"scenario": "birds", "replicate": replicate, "method": method, "n": 100.0, "k": 2},
        **{"status": status, "message": "", "converged": True, "loglik": loglik},
        **{"certified": certified, "distance": 1e-6, "gap": 1e-12, "n_iter": 10 + replicate},
        **{"moments": 20, "second_moments": 1, "gradients": 0, "start_passes": 54},
        **{"nodes": 0, "exact_passes": 0, "sd_ratio": 0.5, "smallest": 40.0, "believable": True},
    }


def estimate_row(replicate, method, estimate, parameter="mean", component=1, truth=28.0):
    return {
        **{"scenario": "birds", "replicate": replicate, "method": method},
        **{"parameter": parameter, "component": component, "truth": truth},
        **{"estimate": estimate, "se": 1.0, "lower": estimate - 2, "upper": estimate + 2},
    }


def results(fits=(), estimates=(), **others):
    design = load("smoke")
    content = {"fits": fits, "estimates": estimates, **others}
    frames = {kind: rows(kind, list(content.get(kind, ()))) for kind in SCHEMA}
    return Results(design, **frames)


def test_bias_and_coverage_against_the_truth():
    estimates = [29.0, 27.0, 31.0]
    table = tables.estimates(
        results(
            [fit_row(i, "em", -100.0) for i in range(3)],
            [estimate_row(i, "em", e) for i, e in enumerate(estimates)],
        )
    )
    row = table.iloc[0]
    assert row["bias"] == pytest.approx(1.0)
    assert row["bias_mcse"] == pytest.approx(2 / np.sqrt(3))
    assert row["coverage"] == pytest.approx(2 / 3)
    assert row["R"] == 3


def test_singular_fits_are_counted_and_left_out_of_the_estimates():
    fits = [fit_row(0, "em", -100.0), fit_row(1, "em", 50.0, status="singular", certified=False)]
    both = results(fits, [estimate_row(0, "em", 29.0), estimate_row(1, "em", 1e6)])
    assert tables.estimates(both)["R"].tolist() == [1]
    failures = tables.failures(both).iloc[0]
    assert (failures["ok"], failures["singular"], failures["R"]) == (1, 1, 2)
    assert failures["not_ok"] == 0.5


def test_the_gap_is_to_the_best_regular_fit_of_the_same_data():
    fits = [
        fit_row(0, "em", -100.0),
        fit_row(0, "lbfgs", -102.5),
        fit_row(0, "newton", 99.0, status="singular"),
        fit_row(1, "em", -90.0),
        fit_row(1, "lbfgs", -90.0 - 1e-13),
    ]
    gaps = with_verdict(results(fits))
    assert gaps["behind"].fillna(-1).tolist() == [0.0, 2.5, -1.0, 0.0, 0.0]
    table = tables.optimisation(results(fits)).set_index("method")
    assert table.loc["lbfgs", "at_best"] == 0.5
    assert table.loc["lbfgs", "gap_90"] == pytest.approx(2.25)
    assert table.loc["newton", "R"] == 0


def test_time_ratios_are_paired_with_the_fastest_method():
    timings = [
        {"scenario": "birds", "replicate": i, "method": m, "n": 100.0, "seconds": s}
        for i, pair in enumerate([(1.0, 3.0), (2.0, 4.0), (4.0, 20.0)])
        for m, s in zip(("em", "map"), pair, strict=True)
    ]
    table = tables.timings(results(timings=timings)).set_index("method")
    assert table.loc["em", "ratio"] == 1.0
    assert table.loc["map", "ratio"] == 3.0
    assert table.loc["map", "median"] == 4.0


@pytest.mark.parametrize("table", TABLES, ids=[t.name for t in TABLES])
def test_every_table_is_written_four_ways_even_without_rows(table, tmp_path):
    write(table.make(results()), table.caption, tmp_path / table.name)
    found = sorted(path.suffix for path in tmp_path.iterdir())
    assert found == [".csv", ".html", ".md", ".tex"]


def test_reader_forms_hold_the_numbers_and_latex_has_booktabs(tmp_path):
    fits = [fit_row(i, "em", -100.0) for i in range(3)]
    estimates = [estimate_row(i, "em", e) for i, e in enumerate([29.0, 27.0, 31.0])]
    table = tables.estimates(results(fits, estimates))
    write(table, "A caption with 95% & more_things.", tmp_path / "t")
    assert "| 1.0 (1.2) " in (tmp_path / "t.md").read_text()
    latex = (tmp_path / "t.tex").read_text()
    assert r"\toprule" in latex
    assert r"95\% \& more\_things" in latex
    assert list(pd.read_csv(tmp_path / "t.csv").columns) == list(table.columns)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (1.23456, 0.0123, "1.235 (0.012)"),
        (0.5, 0.25, "0.50 (0.25)"),
        (1234.5, 67.8, "1234 (68)"),
        (1.0, 0.0, "1 (0)"),
        (np.nan, 1.0, "–"),
        (2.0, np.nan, "2"),
    ],
)
def test_numbers_are_cut_to_the_second_digit_of_their_error(value, error, text):
    assert with_error(value, error) == text


def test_every_form_says_its_source_and_the_csv_stays_tidy(tmp_path):
    table = pd.DataFrame({"method": ["em"], "bias": [0.5], "bias_mcse": [0.1]})
    write(table, "A caption.", tmp_path / "t", "design d, digest 0123")
    for ending in (".md", ".tex", ".html"):
        assert "design d, digest 0123" in (tmp_path / f"t{ending}").read_text()
    assert (tmp_path / "t.csv").read_text() == "method,bias,bias_mcse\nem,0.5,0.1\n"
    write_sums([tmp_path / "t.csv"], tmp_path / "csv.sha256", "design d, digest 0123")
    first, second = (tmp_path / "csv.sha256").read_text().splitlines()
    assert first == "# design d, digest 0123"
    digest = hashlib.sha256((tmp_path / "t.csv").read_bytes()).hexdigest()
    assert second == f"{digest}  t.csv"


def test_exhibits_with_seconds_are_marked_so():
    """Seconds that differ change every table that is timed, and no other."""
    fits = [fit_row(i, m, -1.0 - i) for i in range(3) for m in ("em", "newton")]

    def made(unit):
        timings = [
            {k: row[k] for k in ("scenario", "replicate", "method")}
            | {"n": 100.0, "seconds": unit * (1 + i), "compile_seconds": 0.0}
            | {"start_seconds": unit, "ended": unit}
            for i, row in enumerate(fits)
        ]
        found = results(fits, timings=timings)
        return {table.name: table.make(found).to_csv() for table in TABLES}

    before, after = made(1.0), made(2.0)
    timed = {table.name for table in TABLES if table.timed}
    assert {name for name in before if before[name] != after[name]} <= timed
    assert before["timings"] != after["timings"]
