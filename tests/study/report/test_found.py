"""What captions begin with: every figure has it, and its numbers are those of the rows."""

import re

import numpy as np
import pandas as pd
import pytest

from study.report import external, measures, priors
from study.report.contents import FIGURES
from study.report.draws import allocation_found, examples, labellings_found, traces_found
from study.report.estimates import _log_ratio, _of_bias
from study.report.exhibit import Drawing
from study.report.intervals import share, zip_found
from study.report.measures import Measure
from study.report.real_data import differences_found
from study.report.remedies import remedies_found
from study.report.scenarios import modes_found
from study.report.selection import criteria_found, risks_found, shares_found
from study.rows import CHOOSING
from tests.study.report.studies import DESIGNS, results
from tests.study.report.test_remedies import remedy_rows
from tests.study.synthetic import changed, of

# Those that say nothing of fewer data sets than FEW, as the made-up studies have.
OF_MANY = {"trust-map", "when-to-distrust"}


@pytest.mark.parametrize(
    "figure", [*FIGURES, *external.FIGURES, *priors.FIGURES], ids=lambda f: f.name
)
def test_every_figure_says_what_it_shows(figure: Drawing) -> None:
    assert figure.finding is not None
    if figure in FIGURES and not (figure.lacking(DESIGNS["rich"]) or figure.name in OF_MANY):
        assert figure.found(results("rich"))


def test_the_mean_of_measures_of_independent_sets() -> None:
    found = measures.mean_of(
        [Measure(0.2, 0.03, 50), Measure(0.6, 0.04, 20), Measure(np.nan, 1.0, 0)]
    )
    assert found == pytest.approx((0.4, 0.025, 20))
    assert np.isnan(measures.mean_of([]).value)


def test_two_components_have_two_modes_only_beyond_a_separation_of_two() -> None:
    """Of equal weights and sds: one mode at two sds (Robertson and Fryer 1969), two at four."""
    said = modes_found(results("one optimiser"))
    assert "1 of 1 at separation 2, 0 of 1 at separation 4" in said


def test_of_bias_its_own_noise_is_taken_off() -> None:
    rows = {"bias": [0.3, -0.3], "bias_mcse": [0.1, 0.1], "rmse": [0.5, 0.5], "R_bias": [9, 9]}
    table = pd.DataFrame({"scenario": ["a", "b"], **rows})
    each = 2.0 * 0.3 * 0.1 / 0.25
    assert _of_bias(table) == pytest.approx(((0.09 - 0.01) / 0.25, each / np.sqrt(2.0), 9))


def test_errors_of_two_methods_are_compared_on_the_data_sets_of_both() -> None:
    """Against the delta method for independent squares of normals, twice as large for one."""
    rng = np.random.default_rng(7)
    r = 4_000
    errors = {"map": 2.0 * rng.normal(size=r), "newton": rng.normal(size=r)}
    key = {"replicate": np.arange(r), "parameter": "mean", "component": 1, "truth": 1.0}
    rows = pd.concat(
        [pd.DataFrame(key | {"method": m, "estimate": 1.0 + e}) for m, e in errors.items()]
    )
    found = _log_ratio(rows, "map", "newton")
    # Var log sqrt(mean of squares) is 2/(4 R) each; errors of the jackknife are some per cent.
    assert found.mcse == pytest.approx(np.sqrt(1.0 / r), rel=0.1)
    assert found.value == pytest.approx(np.log(2.0), abs=4.0 * found.mcse)
    assert found.r == r
    same = pd.concat([rows[rows["method"] == "map"].assign(method=m) for m in errors])
    assert _log_ratio(same, "map", "newton")[:2] == (0.0, 0.0)
    alone = rows[(rows["method"] == "map") | (rows["replicate"] < 3)]
    assert _log_ratio(alone, "map", "newton").r == 3


def test_shares_have_their_error_or_the_ends_of_their_interval() -> None:
    assert share(0.25, 100) == "25% (4.3; R = 100)"
    assert share(1.0, 20) == "100% (84 to 100; R = 20)"


def test_intervals_that_miss_are_counted_by_side() -> None:
    study = results("rich")
    said = re.match(r"Intervals for mean 1 of (\S+) that miss .*: Wald", zip_found(study))
    assert said is not None
    own = study.intervals[
        (study.intervals["scenario"] == said[1])
        & (study.intervals["quantity"] == "mean 1")
        & (study.intervals["kind"] == "wald")
    ]
    above, below = (own["lower"] > own["truth"]).sum(), (own["upper"] < own["truth"]).sum()
    assert f"{above} above and {below} below it" in zip_found(study)


def test_choices_are_shared_and_lost_as_their_rows_say() -> None:
    rows = [
        {"scenario": scenario, "replicate": i, "criterion": name, "k": k, "loss": lost}
        for scenario in ("birds", "close")
        for name, ks in (("aic", (2, 3, 3, 2)), ("bic", (2, 2, 2, 2)))
        for i, (k, lost) in enumerate(zip(ks, (0.1, 0.2, 0.1, 0.2), strict=True))
    ]
    study = of("default", choices=rows)
    error = 100.0 * 0.25 / np.sqrt(2.0)
    assert f"AIC 50% ({error:.1f}), BIC 100% (51 to 100)" in shares_found(study)
    assert "2 scenarios (8 data sets)" in shares_found(study)
    assert risks_found(study).count("0.150") == 2
    assert "of others" not in risks_found(study)


def test_the_best_number_of_components_of_real_data_is_that_of_the_criterion() -> None:
    values = {"bic": (10.0, 5.0, 7.0), "aic": (10.0, 5.0, 3.0)}
    rows = [
        {"scenario": "galaxies", "replicate": 0, "criterion": name, "k": k, "value": value}
        for name, own in values.items()
        for k, value in enumerate(own, 1)
    ]
    said = criteria_found(of("default", criteria=rows))
    assert said.endswith(f"galaxies has K = 2 by {CHOOSING['bic']}; K = 3 by {CHOOSING['aic']}.")


def test_remedies_are_said_with_their_error() -> None:
    rows = remedy_rows(lambda remedy, i: 1.5 + 0.3 * (-1) ** i)
    said = remedies_found(of(remedies=rows))
    assert "Where the means are 1 apart" in said
    assert said.count("0.50 (0.13)") == 6


def test_of_single_fits_what_their_rows_say() -> None:
    study = results("rich")
    for fit in examples(study):
        first = fit.allocations[fit.allocations["component"] == 1]["relabelled"]
        assert f"{first.min():.2f} to {first.max():.2f} relabelled" in allocation_found(study)
        assert f"in {fit.name} " in traces_found(study)
        distinct = {tuple(labelling) for labelling in fit.labellings.reshape(-1, 2)}
        assert f"in {fit.name} in {len(distinct)} of 2" in labellings_found(study)


def test_densities_that_are_the_same_depart_by_less_than_the_least() -> None:
    study = results("only data")
    first = study.estimates[study.estimates["method"] == "em"]
    keys = ["scenario", "replicate", "parameter", "component"]
    same = study.estimates.drop(columns="estimate").merge(first[[*keys, "estimate"]], on=keys)
    said = differences_found(changed(study, estimates=same))
    assert "From the density of EM" in said
    assert not re.search(r"by (?!less than 0\.01)", said)
