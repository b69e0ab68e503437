"""How fits ended and how fast: statuses, gaps to the best, seconds and catching up, by hand."""

import itertools

import numpy as np
import pandas as pd
import pytest

from study.design import Grid
from study.report.cost import timings
from study.report.estimates import estimates
from study.report.measures import Measure
from study.report.optimisation import broken, failures, optimisation
from study.report.speed import crossing, overtaking, profile
from study.report.starts import chance
from study.report.verdicts import claims, verdicts, with_verdict
from tests.study.synthetic import design, of, row


def test_bias_and_coverage_against_the_truth() -> None:
    rows = [
        row("estimates", replicate=i, truth=28.0, estimate=e, lower=e - 2, upper=e + 2)
        for i, e in enumerate([29.0, 27.0, 31.0])
    ]
    table = estimates(of(fits=[row("fits", replicate=i) for i in range(3)], estimates=rows))
    found = table.iloc[0]
    assert found["bias"] == pytest.approx(1.0)
    assert found["bias_mcse"] == pytest.approx(2 / np.sqrt(3))
    assert found["coverage"] == pytest.approx(2 / 3)
    assert found["R"] == 3


def test_singular_fits_are_counted_and_left_out_of_the_estimates() -> None:
    fits = [row("fits"), row("fits", replicate=1, status="singular", certified=False, loglik=50.0)]
    rows = [row("estimates", replicate=i, truth=28.0, estimate=e) for i, e in enumerate([29, 1e6])]
    both = of(fits=fits, estimates=rows)
    assert estimates(both)["R"].tolist() == [1]
    found = failures(both).iloc[0]
    assert (found["ok"], found["singular"], found["R"]) == (1, 1, 2)
    assert found["not_ok"] == 0.5


def test_the_gap_is_to_the_best_regular_fit_of_the_same_data() -> None:
    fits = [
        row("fits"),
        row("fits", method="lbfgs", loglik=-102.5),
        row("fits", method="newton", loglik=99.0, status="singular"),
        row("fits", replicate=1, loglik=-90.0),
        row("fits", replicate=1, method="lbfgs", loglik=-90.0 - 1e-13),
    ]
    gaps = with_verdict(of(fits=fits))
    assert gaps["behind"].fillna(-1).tolist() == [0.0, 2.5, -1.0, 0.0, 0.0]
    table = optimisation(of(fits=fits)).set_index("method")
    assert table.loc["lbfgs", "at_best"] == 0.5
    assert table.loc["lbfgs", "gap_90"] == pytest.approx(2.25)
    assert table.loc["newton", ["R", "at_best", "R_gap"]].tolist() == [1, 0.0, 0]


def test_what_broke_off_is_listed_with_its_reason() -> None:
    rows = [
        row("barriers", replicate=i, barrier=1.0, message="singular: at 3" if i else "")
        for i in range(3)
    ]
    lost = [
        row("intervals", replicate=i, method="newton", kind=kind, message=f"ValueError: of {i}")
        for i in range(2)
        for kind in ("percentile", "basic")
    ]
    table = broken(of(barriers=rows, intervals=lost))
    columns = ["what", "scenario", "method", "reason", "message", "R", "lost"]
    assert table[columns].to_numpy().tolist() == [
        ["intervals", "birds", "newton", "ValueError", "ValueError: of 0", 2, 2],
        ["barriers", "birds", "all", "singular", "singular: at 3", 3, 2],
    ]


def test_shares_are_of_all_fits_and_not_of_the_usable_ones() -> None:
    fits = [row("fits", replicate=i, converged=True) for i in range(3)]
    fits.append(row("fits", replicate=3, status="singular", converged=False, certified=False))
    found = optimisation(of(fits=fits)).iloc[0]
    assert (found["R"], found["R_gap"]) == (4, 3)
    assert found["at_best"] == found["certified"] == found["says_converged"] == 0.75


def test_time_ratios_are_paired_with_the_fastest_method() -> None:
    rows = [
        row("timings", replicate=i, method=m, seconds=s)
        for i, pair in enumerate([(1.0, 3.0), (2.0, 4.0), (4.0, 20.0)])
        for m, s in zip(("em", "map"), pair, strict=True)
    ]
    table = timings(of(timings=rows)).set_index("method")
    assert table.loc["em", "ratio"] == 1.0
    assert table.loc["map", "ratio"] == 3.0
    assert table.loc["map", "median"] == 4.0


def test_the_chance_of_a_hit_is_that_of_drawing_without_replacement() -> None:
    """Against all subsets."""
    for hit, of_all, draws in itertools.product(range(6), [5], range(1, 6)):
        subsets = list(itertools.combinations(range(of_all), draws))
        expected = np.mean([min(s) < hit for s in subsets])
        assert chance(hit, of_all, draws) == pytest.approx(expected, abs=1e-12)


def test_performance_ratios_start_at_one_and_failures_are_infinite() -> None:
    rows = [
        ("a", 0, "em", 10.0),
        ("a", 0, "newton", 5.0),
        ("b", 0, "em", 3.0),
        ("b", 0, "newton", np.inf),
        ("c", 0, "em", np.inf),
        ("c", 0, "newton", np.inf),
    ]
    costs = pd.DataFrame(rows, columns=["scenario", "replicate", "method", "passes"])
    ratios = profile(costs, "passes")
    assert ratios.loc[("a", 0)].tolist() == [2.0, 1.0]
    assert ratios.loc[("b", 0)].tolist() == [1.0, np.inf]
    assert len(ratios) == 2


def test_crossings_are_linear_and_their_error_is_that_of_simulated_medians() -> None:
    """The spread of 100,000 crossings of normal medians, to 2%: six of its standard errors."""
    x = np.array([1.0, 2.0, 4.0])
    found = crossing(x, [Measure(1.0, 0.1, 9), Measure(0.6, 0.02, 8), Measure(-0.4, 0.03, 7)])
    assert (found.value, found.r) == (pytest.approx(3.2), 7)
    rng = np.random.default_rng(0)
    high, low = rng.normal(0.6, 0.02, 100_000), rng.normal(-0.4, 0.03, 100_000)
    assert found.mcse == pytest.approx(np.std(2.0 + 2.0 * high / (high - low)), rel=0.02)
    for sign in (1.0, -1.0):
        always = crossing(x, [Measure(sign, 0.1, 9)] * 3)
        assert always.value == sign * np.inf
        assert np.isnan(always.mcse)


def test_em_catches_up_where_the_paired_median_ratio_is_one() -> None:
    """EM takes 4 times Newton's passes at separation 2 and a quarter of them at 4: log ratios
    log 4 and -log 4, the same on all data sets, though their passes differ a hundredfold."""
    cells = Grid(name="grid", separation=[2, 4], weight=[0.5], sd_ratio=[1], n=[100])
    fits = [
        row("fits", s.name, i, method, moments=passes * 100**i, second_moments=0)
        for s, em in zip(cells.scenarios(), (40, 10), strict=True)
        for i in range(3)
        for method, passes in (("em", em), ("newton", 10 if em == 40 else 40))
    ]
    (found,) = overtaking(of(design(grids=[cells]), fits=fits)).to_dict("records")
    assert (found["method"], found["n"], found["R"]) == ("newton", 100, 3)
    assert found["separation"] == pytest.approx(3.0)
    assert found["separation_mcse"] == pytest.approx(0.0, abs=1e-12)


def test_the_verdict_tables_count_the_boundary_and_what_has_vanished() -> None:
    fits = [
        row("fits", place="boundary"),
        row("fits", replicate=1, place="not identified", certified=False),
        row("fits", replicate=2, place="not needed", certified=False, distance=np.nan, loglik=9.0),
        row("fits", replicate=2, method="newton"),
        row("fits", replicate=3, place="vanished", certified=False, distance=0.5),
        row("fits", replicate=4, place="boundary", loglik=-101.0),
        row("fits", replicate=4, method="newton"),
    ]
    study = of(fits=fits)
    found = verdicts(study).set_index("method").loc["em"]
    words = ("boundary", "not identified", "component not needed", "stopped early")
    assert [found[word] for word in words] == [1, 1, 1, 1]
    assert found["other local maximum"] == 1
    assert found["share_good"] == pytest.approx(1 / 5)
    judged = with_verdict(study).set_index(["replicate", "method"])
    assert judged.loc[(2, "newton"), "verdict"] == "certified"  # no maximum is higher
    said = claims(study)
    assert "boundary" not in set(said["verdict"])
