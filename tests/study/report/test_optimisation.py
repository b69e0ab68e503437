"""How fits ended and how fast: statuses, gaps to the best, seconds and catching up, by hand."""

import itertools

import numpy as np
import pandas as pd
import pytest

from study.design import Grid
from study.report.cost import timings
from study.report.estimates import estimates
from study.report.measures import Measure
from study.report.optimisation import break_even, broken, costs, failures, optimisation, theory
from study.report.speed import crossing, overtaking, profile
from study.report.starts import beginnings, chance
from study.report.verdicts import claims, paired, thresholds, verdicts, with_verdict
from study.rows import HESSIAN_PASS, equivalent_passes
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


def test_a_pass_with_a_hessian_counts_for_what_it_costs() -> None:
    """Between measured sizes along the log of n; of a compressed sample its nodes count."""
    known = {"moments": 3, "second_moments": 2, "gradients": 1}
    fits = [
        row("fits", n=500.0, **known),
        row("fits", replicate=1, n=(500.0 * 2000.0) ** 0.5, **known),
        row("fits", replicate=2, n=5e5, nodes=500, **known),
        row("fits", replicate=3, n=1e7, **known),
    ]
    found = equivalent_passes(of(fits=fits).fits)
    own = [HESSIAN_PASS[500], 0.5 * (HESSIAN_PASS[500] + HESSIAN_PASS[2000])]
    own += [HESSIAN_PASS[500], HESSIAN_PASS[50_000]]
    assert found.tolist() == pytest.approx([4 + 2 * ratio for ratio in own])


def test_costs_are_counted_with_and_without_the_start() -> None:
    cell = "grid-d2-w0.5-r1-n500"
    fits = [row("fits", cell, i, "newton", n=500.0, moments=10 + i) for i in range(2)]
    timings = [row("timings", cell, i, "newton", seconds=1e-3) for i in range(2)]
    found = costs(of(fits=fits, timings=timings)).iloc[0]
    assert found["equivalent"] == pytest.approx(10.5 + HESSIAN_PASS[500])
    assert found["with_start"] - found["equivalent"] == 54
    assert (found["passes"], found["ms"]) == (11.5, 1.0)
    assert found["us_a_pass"] == pytest.approx(np.mean([1e3 / 11, 1e3 / 12]))


def test_break_even_parts_the_data_sets_with_fewest_on_the_wrong_side() -> None:
    """EM is cheaper up to a slowness of 8, but for one data set at 2, and dearer from 16 on."""
    rows = [
        {"scenario": "a", "replicate": i, "slowness": x, "method": m, "passes": cost}
        for i, (x, em) in enumerate([(1, 5), (2, 50), (4, 5), (8, 5), (16, 50), (32, 50)])
        for m, cost in (("em", em), ("newton", 10))
    ]
    table = pd.DataFrame(rows)
    assert break_even(table, "passes", "newton") == pytest.approx(np.sqrt(8 * 16))
    assert np.isnan(break_even(table[table["slowness"] > 8], "passes", "newton"))
    # The error of EM in theory falls by as many decades as it is said to.
    assert (1 - 1 / 20.0) ** theory(np.array([20.0]))[0] == pytest.approx(1e-8)


def test_optimisers_are_compared_on_the_data_sets_that_both_have() -> None:
    """Newton fits four; L-BFGS-B the first two, and ends short of the best on one of these."""
    fits = [row("fits", replicate=i, method="newton", moments=8) for i in range(4)]
    fits += [row("fits", replicate=0, method="lbfgs", moments=17, second_moments=0)]
    fits += [row("fits", replicate=1, method="lbfgs", moments=17, second_moments=0, loglik=-105.0)]
    timings = [
        row("timings", replicate=i, method=m, seconds=s)
        for m, s in (("newton", 2.0), ("lbfgs", 1.0))
        for i in range(2)
    ]
    found = paired(of(fits=fits, timings=timings)).iloc[0]
    assert (found["method"], found["against"], found["R"]) == ("newton", "lbfgs", 2)
    assert found["difference"] == 50.0
    assert found["difference_mcse"] == pytest.approx(50.0)
    assert (found["only_this"], found["only_other"]) == (1, 0)
    assert found["passes"] == pytest.approx(np.log2((8 + HESSIAN_PASS[100]) / 17))
    assert found["seconds"] == 1.0


def test_verdicts_by_other_thresholds() -> None:
    """Ends 5e-5 and 5e-4 standard errors off, one 5e-6 nats behind, one narrow and not believed."""
    common = {"method": "newton", "distance": 1e-9}
    fits = [
        row("fits", replicate=0, **common | {"distance": 5e-5}),
        row("fits", replicate=1, **common | {"distance": 5e-4, "certified": False}),
        row("fits", replicate=2, **common, loglik=-100 - 5e-6),
        row("fits", replicate=2, method="lbfgs"),
        row("fits", replicate=3, **common, sd_ratio=0.05, believable=False),
    ]
    table = thresholds(of(fits=fits))
    found = {(r["threshold"][:7], r["at"]): r["newton"] for r in table.to_dict("records")}
    assert found["certifi", "as it is"] == found["another", "as it is"] == 0.25
    assert found["certifi", "a tenth"] == 0.0
    assert found["certifi", "ten times"] == 0.5
    assert found["another", "a tenth"] == 0.25
    assert found["another", "ten times"] == 0.5
    assert found["narrow ", "a tenth"] == 0.5


def test_ends_by_start_are_held_against_the_best_of_all() -> None:
    """A maximum that no start of the table reached is the best all the same."""
    ends = [
        row("fits", replicate=i, method="newton", loglik=ll) | {"start": start}
        for start, lls in (("shared", (-100.0, -100.0)), ("moments", (-100.0, -101.0)))
        for i, ll in enumerate(lls)
    ]
    fits = [row("fits", replicate=0, method="lbfgs", loglik=-99.0)]
    table = beginnings(of(fits=fits, beginnings=ends)).set_index("start")
    assert table["at_best"].dropna().to_dict() == {"shared": 0.5, "moments": 0.0}
    assert table["R"].to_dict() == {
        "shared": 2,
        "moments": 2,
        "k-means++": 0,
        "random assignment": 0,
    }
