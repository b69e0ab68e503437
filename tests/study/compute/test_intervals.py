"""The rows of intervals: every kind of every method, with known truths, in the target's order."""

import numpy as np
import pytest

from models import Mixture, MixtureModel, fit
from models.inference.functionals import functionals
from study.compute.intervals import LEVELS, label_free, rows
from study.rows import INTERVAL_KINDS

TRUTH = Mixture([0.4, 0.6], [0.0, 4.0], [1.0, 1.0])
X = TRUTH.sample(300, np.random.default_rng(3))[0]
OPTIONS = {"nuts": {"draws": 200, "tune": 200, "max_draws": None}}


def made(method, *, order=(0, 1), target=TRUTH, refits=0, model=None):
    model = MixtureModel() if model is None else model
    result = fit(method, X, model, **OPTIONS.get(method, {}))
    found = rows(
        result, X, np.array(order), target, target,
        level=0.9, refits=refits, rng=np.random.default_rng(1),
    )  # fmt: skip
    return result, {(row["kind"], row["quantity"]): row for row in found}


@pytest.mark.parametrize(
    ("method", "kinds"),
    [
        ("newton", {"wald", "wald-natural", "sandwich", "profile"}),
        ("map", {"laplace"}),
        ("nuts", {"equal-tailed", "highest-density"}),
    ],
)
def test_every_kind_brackets_every_parameter_with_its_truth(method, kinds):
    result, found = made(method)
    assert {kind for kind, _ in found} == kinds <= set(INTERVAL_KINDS)
    lower, upper = result.interval(0.9)
    for kind in kinds:
        row = found[kind, "mean 2"]
        assert row["truth"] == 4.0
        assert row["lower"] < row["estimate"] < row["upper"]
        assert (kind, "weight 2") not in found  # one minus the first
    plain = found[{"newton": "wald", "map": "laplace", "nuts": "equal-tailed"}[method], "sd 1"]
    assert (plain["lower"], plain["upper"]) == pytest.approx((lower.sds[0], upper.sds[0]))


def test_quantities_that_labels_cannot_touch_have_the_truths_values():
    _, found = made("newton")
    quantities = {q: row["truth"] for (kind, q), row in found.items() if kind == "wald"}
    where = [TRUTH.as_rows()]
    median = functionals((), LEVELS)["quantile 0.5"](where[0])
    assert quantities["quantile 0.5"] == pytest.approx(float(median))
    assert quantities["density at 50% point"] == pytest.approx(float(TRUTH.density([median])[0]))
    assert quantities["mixture mean"] == pytest.approx(TRUTH.mean)
    assert quantities["crossing"] == pytest.approx(2 + np.log(0.4 / 0.6) / 4)


def test_components_stand_in_the_targets_order():
    result, found = made("newton", order=(1, 0))
    assert found["profile", "mean 1"]["estimate"] == result.mixture.means[1]
    assert found["sandwich", "sd 2"]["estimate"] == result.mixture.sds[0]
    assert found["wald", "weight 1"]["estimate"] == result.mixture.weights[1]


def test_the_bootstrap_is_made_of_as_many_refits_as_are_asked_for():
    _, without = made("newton")
    _, found = made("newton", refits=39)
    new = {kind for kind, _ in found} - {kind for kind, _ in without}
    assert new == {"percentile", "basic", "studentised", "one-step"}
    row, mirrored = found["percentile", "mixture mean"], found["basic", "mixture mean"]
    assert row["lower"] + mirrored["upper"] == pytest.approx(2 * row["estimate"])


def test_known_parameters_have_no_rows_and_without_a_target_truths_are_unknown():
    _, found = made("newton", target=None, model=MixtureModel(means=[0, 4]))
    assert {q for kind, q in found if kind == "profile"} == {"weight 1", "sd 1", "sd 2"}
    assert all(np.isnan(row["truth"]) for row in found.values())


def test_a_crossing_that_most_draws_lack_has_no_interval():
    same = Mixture([0.5, 0.5], [0.0, 0.3], [1.0, 1.1])
    x = same.sample(60, np.random.default_rng(0))[0]
    result = fit("nuts", x, **OPTIONS["nuts"])
    found = list(
        rows(result, x, np.arange(2), same, same, level=0.9, refits=0, rng=np.random.default_rng(0))
    )
    ends = [r for r in found if r["quantity"] == "crossing"]
    assert all(np.isnan([r["lower"], r["upper"]]).all() for r in ends)
    assert all(np.isfinite(r["lower"]) for r in found if r["quantity"] == "misclassification")


def test_label_free_quantities_are_told_apart_wherever_the_data_lie():
    """At a large offset six digits are the same for all points, and tied data have equal ones."""
    usual = list(label_free(np.array([0.0, 1.0, 2.0])))
    for points in ([2459000.01, 2459000.02, 2459000.03], [5.0, 5.0, 6.0], [np.nan] * 3):
        assert list(label_free(np.array(points))) == usual


def test_on_the_boundary_every_kind_has_its_rows_and_the_bootstrap_none_of_the_numbers():
    x = np.random.default_rng(0).normal(size=200)
    truth = Mixture([0.0, 1.0], [2.0, 0.0], [1.0, 1.0])
    result = fit("em", x, MixtureModel(2, [0, 2], equal_sds=True))
    assert result.verdict() == "boundary"
    given = {"level": 0.9, "refits": 9, "rng": np.random.default_rng(1)}
    found = {
        (row["kind"], row["quantity"]): row
        for row in rows(result, x, np.array([1, 0]), truth, truth, **given)
    }
    assert {kind for kind, _ in found} == set(INTERVAL_KINDS) - {
        *("laplace", "equal-tailed", "highest-density")
    }
    weight = found["profile", "weight 1"]
    assert (weight["lower"], weight["estimate"]) == (0.0, 0.0)
    assert 0.0 < weight["upper"] < 0.05
    assert found["wald", "sd 1"]["upper"] > 1.0 > found["wald", "sd 1"]["lower"] > 0.8
    assert found["sandwich", "mixture variance"]["se"] > 0
    assert np.isnan(found["percentile", "sd 1"]["lower"])
