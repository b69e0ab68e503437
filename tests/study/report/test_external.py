"""What packages' ends are called, and the laws of exhibits for those of other packages."""

import functools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from study.design import Design
from study.report import external, paper
from study.report.ademp import ademp
from study.report.contents import FIGURES, TABLES, figures_of, tables_of
from study.report.external import with_verdict
from study.report.findings import findings
from study.report.index import page_and_findings, read_table
from study.report.write import for_readers, write
from study.rows import KINDS, Results
from tests.study.synthetic import FAITHFUL, NAMED, design, of, row

GRID = {"name": "grid", "separation": [2, 3], "weight": [0.5], "sd_ratio": [1], "n": [100]}
CELL = "grid-d2-w0.5-r1-n100"


def asking(*methods: str, **changes: Any) -> Design:
    usual = {"engine": "external", "script": "a.py", "replicates": 4}
    posterior = {"aims": "posterior"}
    asked = [
        usual
        | {"name": m, "label": m.upper(), "orders": {"most": 2, "replicates": 4}}
        | (posterior if m in ("prior", "chains") else {})
        for m in methods
    ]
    return Design.model_validate(
        design(["newton"], grids=[GRID], scenarios=[NAMED], data=[FAITHFUL]).model_dump()
        | {"external": asked}
        | changes
    )


def answered(method: str, scenario: str = CELL, replicate: int = 0, **known: Any) -> dict[str, Any]:
    usual = {"status": "ok", "word": True, "certified": False, "believable": True, "k": 2}
    usual |= {"distance": 0.1, "place": "interior", "loglik": -101.0, "top": -100.0, "rate": 0.9}
    usual |= {"n": 100.0, "stop": 0.1, "version": "x 1"}
    return row("external", scenario, replicate, method, **usual | known)


def verdict_of(**known: Any) -> pd.Series:
    """Of a package's end beside this project's Newton at -100."""
    fits = [row("fits", CELL, 0, "newton", loglik=-100.0)]
    results = of(asking("a"), external=[answered("a", **known)], fits=fits)
    return with_verdict(results).iloc[0]


@pytest.mark.parametrize(
    ("known", "verdict", "early", "behind"),
    [
        ({"certified": True, "loglik": -100.0, "distance": 1e-6}, "certified", 0.0, 0.0),
        ({"certified": True, "loglik": -100.0, "place": "boundary"}, "boundary", 0.0, 0.0),
        ({}, "stopped early", np.sqrt(2.0), 0.0),
        # Where the information is not positive definite, but EM goes to a maximum from there.
        ({"distance": np.nan}, "stopped early", np.sqrt(2.0), 0.0),
        ({"distance": np.nan, "top": np.nan}, "spurious", np.nan, np.nan),
        ({"believable": False}, "spurious", np.sqrt(2.0), 0.0),
        # However early, what it leads to is another maximum.
        ({"loglik": -112.0, "top": -110.0}, "other local maximum", 2.0, 10.0),
        ({"certified": True, "loglik": -110, "top": -110}, "other local maximum", 0.0, 10.0),
        # One that is better than ours is the best.
        ({"certified": True, "loglik": -90.0, "top": -90.0}, "certified", 0.0, 0.0),
        ({"status": "singular"}, "singular", np.sqrt(2.0), 0.0),
        ({"status": "failed", "loglik": np.nan, "top": np.nan}, "failed", np.nan, np.nan),
        ({"place": "not needed", "top": np.nan}, "component not needed", np.nan, np.nan),
    ],
)
def test_what_an_end_is_called(known: Any, verdict: str, early: float, behind: float) -> None:
    found = verdict_of(**known)
    assert found["verdict"] == verdict
    assert found["early"] == pytest.approx(early, nan_ok=True)
    assert found["behind"] == pytest.approx(behind, nan_ok=True)


def test_a_better_maximum_of_one_package_makes_the_others_local() -> None:
    rows = [answered("a", loglik=-99.0, top=-99.0, certified=True), answered("b")]
    found = with_verdict(of(asking("a", "b"), external=rows)).set_index("method")
    assert found.loc["b", "verdict"] == "other local maximum"
    assert found.loc["b", "behind"] == 1.0
    assert found.loc["b", "away"] == pytest.approx(2.0)  # nats: 2 = 2^2/2


def test_what_aims_at_a_posterior_has_a_distance_and_no_verdict() -> None:
    rows = [answered("prior"), answered("prior", replicate=1, status="failed", top=np.nan)]
    found = with_verdict(of(asking("prior"), external=rows))
    assert list(found["verdict"]) == ["", "failed"]
    assert found["away"].iloc[0] == pytest.approx(np.sqrt(2.0))


def test_samplers_are_called_by_what_labels_cannot_touch() -> None:
    rows = [answered("chains", replicate=i, top=np.nan) for i in range(3)]
    rows[1]["status"], rows[2]["status"] = "not-converged", "failed"
    chains = [row("external_chains", CELL, i, "chains", verdict="mixes") for i in range(2)]
    results = of(asking("chains"), external=rows, external_chains=chains)
    assert list(with_verdict(results)["verdict"]) == ["sampled", "undersampled", "failed"]
    table = external.chains(results).iloc[0]
    assert (table["R"], table["sampled"]) == (3, pytest.approx(1 / 3))
    assert external.verdicts(results).empty


def test_shares_of_verdicts_and_what_is_near() -> None:
    ends = [1e-9, 0.004, 0.1, 2.0]  # nats: the third is .45 standard errors
    rows = [answered("a", replicate=i, loglik=-100 - e) for i, e in enumerate(ends)]
    rows[0]["certified"] = True
    rows += [answered("a", "named"), answered("a", "faithful")]
    results = of(asking("a"), external=rows)
    table = external.verdicts(results).iloc[0]
    assert (table["package"], table["group"], table["R"]) == ("A", "separation 2", 4)
    assert (table["maximum"], table["near"], table["early"]) == (0.25, 0.25, 0.5)
    assert list(external.hard(results)["group"]) == ["hard set", "real data"]
    said = external.words(results).iloc[0]
    assert (said["R"], said["wrong"], said["R_wrong"]) == (6, pytest.approx(4 / 6), 6)
    assert external.asked(results).iloc[0].to_list() == ["A", "–", "x 1"]


def test_what_a_stop_predicts_is_the_rest_of_ems_geometric_series() -> None:
    left = [0.3, 0.5]
    rows = [answered("a", replicate=i, loglik=-100 - nats) for i, nats in enumerate(left)]
    table = external.stops(of(asking("a"), external=rows)).iloc[0]
    gains = 0.1 * 0.81 ** np.arange(1, 1000)
    assert table["predicted"] == pytest.approx(np.sqrt(2.0 * gains.sum()))
    assert table["left"] == pytest.approx(np.mean(np.sqrt([0.6, 1.0])))
    assert table["short"] == 0.5


def test_coverage_counts_what_is_missing_as_a_miss_and_leaves_the_last_weight_out() -> None:
    rows = [answered("a", replicate=i) for i in range(3)]
    estimates = []
    for replicate, lower in ((0, 0.0), (1, np.nan)):  # and none at all of the third
        for parameter in ("weight", "mean"):
            for component in (1, 2):
                held = component == 1
                ends = {"lower": lower if held else 9.0, "upper": 10.0, "truth": 1.0}
                place = {"parameter": parameter, "component": component, "kind": "end"}
                estimates.append(row("external_estimates", CELL, replicate, "a", **place, **ends))
    results = of(asking("a"), external=rows, external_estimates=estimates)
    table = external.coverage(results)
    own = table[table["package"] == "A"].iloc[0]
    # Of weight 1, mean 1 and mean 2 the first data set's intervals hold two.
    assert own["separation 2"] == pytest.approx((2 / 3 + 0 + 0) / 3)
    assert own["missing"] == pytest.approx((0 + 2 / 3 + 1) / 3)
    assert own["R"] == 3


def test_what_an_early_stop_loses_is_told_where_there_is_a_maximum() -> None:
    estimates = []
    # Held at the end, and at the maximum: a gain, a loss, no interval at an end, and no maximum.
    for replicate, (end, maximum) in enumerate([(1, 0), (0, 1), (np.nan, 1), (1, np.nan)]):
        for kind, held in (("end", end), ("maximum", maximum)):
            ends = {"upper": 2.0, "truth": 3.0 if held == 0 else 1.0}
            ends["lower"] = np.nan if np.isnan(held) else 0.0
            place = {"parameter": "mean", "component": 1, "kind": kind}
            estimates.append(row("external_estimates", CELL, replicate, "a", **place, **ends))
    rows = [answered("a", replicate=i) for i in range(4)]
    table = external.coverage(of(asking("a"), external=rows, external_estimates=estimates))
    lost = table.set_index("intervals").loc[external.LOST]
    assert (lost["R"], lost["separation 2"]) == (3, pytest.approx((1 - 1 - 1) / 3))
    assert lost["separation 2_mcse"] == pytest.approx(np.std([1, -1, -1], ddof=1) / np.sqrt(3))
    assert lost["missing"] == pytest.approx(1 / 3)


def test_bic_chooses_by_the_ends_and_by_the_maxima() -> None:
    def fits(replicate: int, loglik: float, top: float) -> list[dict[str, Any]]:
        one = {"k": 1, "free": 2, "n": 100.0, "loglik": -200.0, "top": -200.0}
        two = {"k": 2, "free": 5, "n": 100.0, "loglik": loglik, "top": top}
        return [row("external_orders", CELL, replicate, "a", **k) for k in (one, two)]

    gained = 1.5 * np.log(100)  # what three more parameters cost
    rows = fits(0, -200 + gained - 0.1, -200 + gained + 0.1) + fits(1, -190.0, -190.0)
    rows += fits(2, np.nan, np.nan)  # not fitted: no choice
    table = external.orders(of(asking("a"), external_orders=rows)).iloc[0]
    assert (table["R"], table["right_at_its_end"], table["right_at_the_maximum"]) == (2, 0.5, 1.0)
    assert (table["more_at_its_end"], table["changed"]) == (0.0, 0.5)


@functools.cache
def full() -> Results:
    """Rows of every kind of three packages."""
    rng = np.random.default_rng(0)
    rows: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    for method in ("a", "b", "chains"):
        for scenario in (CELL, CELL.replace("d2", "d3"), "named", "faithful"):
            for i in range(1 if scenario == "faithful" else 4):
                at = scenario, i, method
                nats = rng.exponential()
                rows["external"].append(answered(method, scenario, i, loglik=-100 - nats))
                seconds = {"seconds": rng.exponential(), "start_seconds": 1.0, "n": 100.0}
                rows["external_timings"].append(row("external_timings", *at, **seconds))
                ends = {"lower": -1.0, "upper": 1.0, "truth": 0.0, "kind": "end"}
                place = {"parameter": "mean", "component": 1}
                for kind in ("end", "maximum"):
                    held = place | ends | {"kind": kind}
                    rows["external_estimates"].append(row("external_estimates", *at, **held))
                for k in (1, 2):
                    order = {"k": k, "free": 3 * k - 1, "n": 100.0, "loglik": -100.0 - k}
                    order["top"] = -100.0
                    rows["external_orders"].append(row("external_orders", *at, **order))
                if method == "chains":
                    rows["external_chains"].append(row("external_chains", *at, verdict="mixes"))
                rows["fits"].append(row("fits", scenario, i, "newton", loglik=-100.0))
                rows["estimates"].append(row("estimates", scenario, i, "newton", **ends | place))
    rows["fits"] = [dict(t) for t in {tuple(r.items()) for r in rows["fits"]}]
    return of(asking("a", "b", "chains"), **rows)


def test_exhibits_of_packages_are_those_of_designs_that_ask_some() -> None:
    plain = design(["newton"], scenarios=[NAMED])
    assert tables_of(plain) == TABLES
    assert figures_of(plain) == FIGURES
    assert tables_of(asking("a")) == TABLES + external.TABLES
    assert figures_of(asking("a")) == FIGURES + external.FIGURES


def test_every_exhibit_shows_a_study_of_all_kinds_and_fits_a_page() -> None:
    results = full()
    for table in external.TABLES:
        made = table.make(results)
        assert len(made) > 0, table.name
        shown = [c for c in made if not str(c).endswith(("_mcse", "_low", "_high"))]
        assert len(shown) <= 8, table.name
        numbers = [c for c in shown if pd.api.types.is_numeric_dtype(made[c])]
        numbers = [c for c in numbers if not str(c).startswith("R")]
        assert [c for c in numbers if f"{c}_mcse" not in made] == [], table.name
        assert table.lacking(results.design) == ""
    for figure in external.FIGURES:
        drawn = figure.make(results)
        assert drawn.axes
        drawn.draw_without_rendering()
    long = external.all_verdicts(results)
    assert {"value", "mcse", "R"} <= set(long)


def test_findings_are_told_of_the_tables_as_they_are_made() -> None:
    results = full()
    made = {table.name: table.make(results) for table in external.TABLES}
    told = [finding.question for finding in findings(results.design, made)]
    assert told[:2] == ["What do other packages give?", "What does stopping early do to coverage?"]


def test_the_page_shows_the_figure_of_the_designs_own_question_first(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.py").write_text("")  # the digest is of the script too
    results = full()
    made = {table.name: table.make(results) for table in external.TABLES}
    for name in ("external-distance", "trust-map"):
        (tmp_path / f"{name}.svg").write_text("<svg/>")
    machine = {"processor": "a processor", "cores": 2}
    record = {"git": {"revision": "0" * 40, "changed": False}, "machine": machine}
    page = page_and_findings(results.design, made, tmp_path, {}, record)["index.html"]
    assert re.findall('<figure id="([^"]*)"', page) == [
        "figure-external-distance",
        "figure-trust-map",
    ]
    assert 'href="#figure-external-distance" aria-label="Figure: What do other packages' in page


def test_a_study_whose_packages_are_all_absent_has_its_tables(tmp_path: Any) -> None:
    lost = {"status": "failed", "loglik": np.nan, "top": np.nan, "message": "not installed"}
    rows = [answered("a", replicate=i, believable=False, **lost) for i in range(2)]
    results = of(asking("a"), external=rows)
    assert external.words(results)["first_failure"].iloc[0] == "not installed"
    assert external.asked(results)["version"].iloc[0] == "–"
    for table in external.TABLES:
        made = table.make(results)
        if made.empty:
            why = table.nothing(results.design)
            assert why, table.name
            write(made, table.caption, tmp_path / table.name, none=why)
    for figure in external.FIGURES:
        figure.make(results).draw_without_rendering()


def test_a_manuscript_says_what_was_asked() -> None:
    (methods,) = [
        text
        for text in ademp(asking("a", "b"), {"pymc": "6", "numba": "1", "snakemake": "9"})
        if text.startswith("Methods.")
    ]
    assert "Other packages, from starts of their own: A and B." in methods


def test_only_the_table_of_seconds_holds_seconds() -> None:
    results = full()
    slower = results.external_timings.assign(seconds=lambda rows: 2 + rows["seconds"] ** 2)
    tables = {k: getattr(results, k) for k in KINDS} | {"external_timings": slower}
    changed = Results(results.design, lambda kind: tables[kind])
    for table in external.TABLES:
        same = table.make(changed).to_csv() == table.make(results).to_csv()
        assert same != table.timed, table.name


@pytest.mark.parametrize("table", external.TABLES, ids=lambda t: t.name)
def test_a_manuscript_takes_every_table(table: Any, tmp_path: Any) -> None:
    made = table.make(full())
    write(made, table.caption, tmp_path / "made")
    read = read_table(tmp_path / "made.csv")
    pd.testing.assert_frame_equal(for_readers(read), for_readers(made))
    keys = [key for key, *_ in paper.numbers(table.name, made)]
    assert all(re.fullmatch(r"[A-Za-z0-9./-]+", key) for key in keys)
    assert len(keys) == len(set(keys))
