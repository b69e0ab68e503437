"""What estimates tend to in large samples: stationary, highest, and the truth where it can be."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from models import Mixture, MixtureModel, fit
from models.theory import efficiency_bound, missing_information, quadrature
from models.truth import SkewNormal, StudentT, Truth
from study.compute.truths import nearest, target, truths
from study.design import Design, load
from study.rows import frames
from tests.models.strategies import mixtures

TWO = Mixture([0.4, 0.6], [0.0, 4.0], [1.0, 1.2])
MISSED = {
    "outliers": (Truth(Mixture([0.388, 0.582, 0.03], [0, 4, 2], [1, 1, 5])), MixtureModel(2)),
    "tails": (Truth(TWO, StudentT(3)), MixtureModel(2)),
    "skew": (Truth(TWO, SkewNormal(4)), MixtureModel(2)),
    "common sd": (Truth(TWO), MixtureModel(2, equal_sds=True)),
    "weights only": (Truth(TWO, StudentT(3)), MixtureModel(2, TWO.means, TWO.sds)),
    "fewer": (Truth(Mixture([0.2, 0.3, 0.5], [0, 3, 9], [1, 1, 1])), MixtureModel(2)),
    "one t": (Truth(Mixture([1.0], [2.0], [1.0]), StudentT(3)), MixtureModel(2)),
    "three": (Truth(Mixture([0.3, 0.3, 0.4], [0, 5, 10], [1, 1, 1]), SkewNormal(-3)),
              MixtureModel(3)),
}  # fmt: skip


@given(mixtures())
def test_where_the_model_holds_the_target_is_the_truth(truth):
    distinct = len({*zip(truth.means, truth.sds, strict=True)}) == truth.k
    wanted = truth.by_mean() if distinct else None
    assert nearest(Truth(truth), MixtureModel(truth.k)) == wanted
    order = np.arange(truth.k)[::-1]
    known = MixtureModel(truth.k, truth.means[order], truth.sds[order])
    assert nearest(Truth(truth), known) == wanted


@pytest.mark.parametrize("name", MISSED)
def test_at_the_target_the_expected_score_is_zero(name):
    """By SciPy's adaptive quadrature, over responsibilities from the textbook's formula."""
    truth, model = MISSED[name]
    found = nearest(truth, model)
    k = found.k

    def score(x):
        t = found.responsibilities(np.array([x]))[0]
        z = (x - found.means) / found.sds
        full = np.concatenate([(t - found.weights)[:-1], t * z / found.sds, t * (z * z - 1)])
        return model.selection.T @ full * truth.density(np.array([x]))[0]

    inner = np.array([-30.0, *np.sort(np.r_[truth.components.means, found.means]), 40.0])
    cells = [(-np.inf, -30.0), *pairwise(inner), (40.0, np.inf)]
    for j in range(model.n_free):
        total = sum(quad(lambda x, j=j: score(x)[j], *cell, limit=200)[0] for cell in cells)
        assert total == pytest.approx(0.0, abs=1e-7)
    assert k == model.k
    assert np.all(np.diff(found.means) >= 0)


@pytest.mark.parametrize(
    "name", [name for name in MISSED if name not in ("common sd", "weights only")]
)
def test_the_target_has_the_mean_and_the_variance_of_the_truth(name):
    """As every fixed point of EM has, all parameters free."""
    truth, model = MISSED[name]
    found = nearest(truth, model)
    assert found.mean == pytest.approx(truth.components.mean, abs=1e-8)
    assert found.variance == pytest.approx(truth.components.variance, rel=1e-8)


@given(st.floats(0.1, 0.8))
@settings(max_examples=10)
def test_rounding_adds_sheppards_correction_to_the_variances(step):
    """To the third derivatives that the correction leaves out, at steps below the sds."""
    found = nearest(Truth(TWO, round_to=step), MixtureModel(2))
    np.testing.assert_allclose(found.sds**2, TWO.sds**2 + step**2 / 12, rtol=1e-3)
    np.testing.assert_allclose(found.means, TWO.means, atol=1e-3)


@pytest.mark.parametrize("name", MISSED)
def test_the_target_moves_with_the_units(name):
    truth, model = MISSED[name]
    if model.means is not None:
        model = MixtureModel(2, 50 + 10 * model.means, 10 * model.sds)
    own = truth.components
    moved = Truth(Mixture(own.weights, 50 + 10 * own.means, 10 * own.sds), truth.family)
    found, there = nearest(truth, MISSED[name][1]), nearest(moved, model)
    np.testing.assert_allclose(there.weights, found.weights, atol=1e-6)
    np.testing.assert_allclose(there.means, 50 + 10 * found.means, atol=1e-5)
    np.testing.assert_allclose(there.sds, 10 * found.sds, rtol=1e-6)


def highest_of_many(scenario, rng, starts=25):
    """The highest expected log-likelihood at certified ends of Newton's method."""
    nodes, model = quadrature(scenario.truth()), scenario.model.build()
    x, counts = nodes.x, 1e6 * nodes.counts
    ends = []
    for _ in range(starts):
        means = rng.choice(x, model.k, p=nodes.counts / nodes.n) + 0.01 * rng.random(model.k)
        sds = nodes.sd * rng.uniform(0.2, 1.5, model.k)
        start = Mixture(rng.dirichlet(np.full(model.k, 2.0)), means, sds)
        near = fit("em", x, model, counts=counts, start=start, max_iter=100, compress=False)
        if near.status != "singular":
            end = fit("newton", x, model, counts=counts, start=near.mixture, compress=False)
            ends += (
                [end.loglik] if end.certificate is not None and end.certificate.certified else []
            )
    return max(ends)


@pytest.mark.parametrize("name", ["contaminated", "t3", "skew-normal", "rounded", "rounded-coarse"])
def test_no_search_from_other_starts_ends_above_a_shipped_target(name):
    scenario = load("default").scenario(name)
    nodes = quadrature(scenario.truth())
    reached = 1e6 * nodes.moments(target(scenario)).loglik
    assert highest_of_many(scenario, np.random.default_rng(0)) <= reached + 1e-3


@pytest.mark.parametrize(
    ("truth", "k"),
    [
        (Truth(Mixture([1.0], [0.0], [1.0])), 2),
        (Truth(Mixture([0.5, 0.5], [0.0, 0.0], [1.0, 1.0])), 2),
        (Truth(Mixture([0.0, 1.0], [0.0, 4.0], [1.0, 1.0])), 2),
        (Truth(Mixture([1.0], [0.0], [1.0]), SkewNormal(0.0)), 2),
        # Two of three equal components merge, and either two do.
        (Truth(Mixture([1, 1, 1] / np.array(3), [-8.0, 0.0, 8.0], [1.0, 1.0, 1.0])), 2),
    ],
)
def test_where_many_mixtures_are_as_near_there_is_no_target(truth, k):
    assert nearest(truth, MixtureModel(k)) is None


def test_means_that_symmetry_makes_equal_are_equal():
    found = nearest(*MISSED["one t"])
    assert found.means[0] == found.means[1]
    assert found.sds[0] < found.sds[1]


def test_every_shipped_scenario_but_one_has_a_target_of_its_models_size():
    scenarios = load("default").all_scenarios() + load("smoke").all_scenarios()
    targets = {s.name: (target(s), s) for s in scenarios}
    assert [name for name, (found, _) in targets.items() if found is None] == ["one-with-two"]
    for found, s in targets.values():
        assert found is None or found.k == s.model.k


@pytest.mark.parametrize(
    ("name", "weights", "means", "sds"),
    [
        ("mw4", [1 / 3, 2 / 3], [0, 0], [1 / 10, 1]),
        ("mw5", [9 / 10, 1 / 10], [0, 0], [1 / 10, 1]),
        ("mw6", [1 / 2, 1 / 2], [-1, 1], [2 / 3, 2 / 3]),
        ("mw7", [1 / 2, 1 / 2], [-3 / 2, 3 / 2], [1 / 2, 1 / 2]),
        ("mw8", [3 / 4, 1 / 4], [0, 3 / 2], [1, 1 / 3]),
    ],
)
def test_densities_of_marron_and_wand(name, weights, means, sds):
    """Their table 1, components by mean and then by sd."""
    found = target(load("default").scenario(name))
    np.testing.assert_allclose(found.as_rows(), [weights, means, sds], atol=1e-9)


def test_rows_of_a_target_have_its_parameters_bounds_and_em_s_rate():
    """Bounds where the model holds alone; no rows where there is no target."""
    wanted = ("birds", "article-1", "contaminated", "one-with-two")
    shipped = [s for d in ("smoke", "default") for s in load(d).all_scenarios()]
    chosen = list({s.name: s for s in shipped if s.name in wanted}.values())
    assert {s.name for s in chosen} == set(wanted)
    design = Design(name="few", title="", seed=1, replicates={"em": 1}, scenarios=chosen)
    tables = frames(truths(design))
    targets, rates = tables["targets"], tables["em_rates"]
    assert set(targets["scenario"]) == set(rates["scenario"]) == set(wanted) - {"one-with-two"}
    for scenario in chosen:
        own = targets[targets["scenario"] == scenario.name]
        found = target(scenario)
        if found is None:
            continue
        np.testing.assert_array_equal(own["target"], found.as_rows().ravel())
        bound, model = own["bound"].to_numpy(), scenario.model.build()
        if scenario.name == "contaminated":
            assert np.isnan(bound).all()
        else:
            np.testing.assert_array_equal(bound, efficiency_bound(found, model, scenario.n).ravel())
        (rate,) = rates.loc[rates["scenario"] == scenario.name, "rate"]
        nodes = quadrature(scenario.truth())
        assert rate == missing_information(found, model, nodes)[0]
