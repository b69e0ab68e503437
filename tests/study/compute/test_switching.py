"""Rows of label switching: a diagnosis has their columns, and barriers are of what can switch."""

import numpy as np
import pytest

from models import Mixture, fit, labels
from models.labels import fits
from models.sample import as_data
from study.compute.switching import ALONG, barriers, diagnosis, mean_responsibilities
from study.design import Design, load
from study.rows import AGREEMENTS, CHAIN_WORDS, KINDS, PARAMETERS
from study.simulate import data_set
from tests.models.labels.draws import draws_near, separated

DESIGN = load("smoke")
KEY = {"scenario": "birds", "replicate": 0, "method": "nuts"}


def test_a_diagnosis_has_the_columns_of_its_kinds() -> None:
    x = data_set(DESIGN, DESIGN.scenario("birds"), 0)
    result = fit("nuts", x, rng=1, draws=50, tune=50, max_draws=None)
    kept, lean = (diagnosis(KEY, result, x, keep) for keep in (True, False))
    for kind, rows in kept.items():
        assert {frozenset(row) for row in rows} == {frozenset(KINDS[kind].columns)}
    assert (lean["draws"], lean["labels"]) == ([], kept["labels"])
    values = [[row[name] for name in PARAMETERS] for row in kept["draws"]]
    raw = labels.component_draws(result.draws)
    np.testing.assert_array_equal(np.reshape(values, (4, 50, 2, 3)).swapaxes(2, 3), raw)
    places = np.reshape([row["relabelled"] for row in kept["draws"]], (4, 50, 2))
    order = labels.stephens(raw, *labels.condensed(x)).permutations
    np.testing.assert_array_equal(np.take_along_axis(places, order, axis=-1)[..., 0], 1)
    shares = np.reshape([row["relabelled"] for row in kept["allocations"]], (ALONG, 2))
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, atol=1e-12)
    assert shares[0, 0] > 0.9 > 0.1 > shares[-1, 0]
    assert {f"agreement_{name}" for name in AGREEMENTS} == set(fits.AGREEMENTS.values())
    assert labels.NOT_EXCHANGEABLE not in CHAIN_WORDS


def test_where_nothing_can_switch_draws_keep_their_places() -> None:
    unit = DESIGN.scenario("article-1")
    x = data_set(DESIGN, unit, 0)[:200]
    result = fit("nuts", x, unit.model.build(), rng=1, draws=20, tune=50, max_draws=None)
    rows = diagnosis(KEY, result, x, True)
    assert all(row["relabelled"] == row["component"] for row in rows["draws"])
    assert all(row["relabelled"] == row["as_sampled"] for row in rows["allocations"])


def test_mean_responsibilities_are_those_of_the_permuted_draws() -> None:
    rng = np.random.default_rng(0)
    draws = draws_near(separated(3, gap=2.0), rng, (2, 5))
    order = rng.permuted(np.tile(np.arange(3), (2, 5, 1)), axis=-1)
    x = np.linspace(-1, 6, 9)
    expected = np.mean(
        [
            Mixture(*draws[c, d][:, order[c, d]]).responsibilities(x)
            for c in range(2)
            for d in range(5)
        ],
        axis=0,
    )
    np.testing.assert_allclose(mean_responsibilities(draws, x, order), expected.T, atol=1e-12)


def test_barriers_are_between_the_best_maximum_and_the_ridge() -> None:
    design = DESIGN.model_copy(update={"replicates": {"nuts": 2}})
    unit = design.scenario("birds")
    rows = barriers(design, unit, 0, 2)["barriers"]
    assert [row["replicate"] for row in rows] == [0, 1]
    x, model = data_set(design, unit, 1), unit.model.build()
    best = fit("newton", x, model, starts=3).mixture
    assert best is not None
    expected = labels.barrier(as_data(x, None, model), model, best)
    assert rows[1]["barrier"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("name", "method"), [("article-1", "nuts"), ("birds", "em")])
def test_what_cannot_switch_or_is_not_sampled_has_no_barrier(name: str, method: str) -> None:
    design: Design = DESIGN.model_copy(update={"replicates": {method: 2}})
    assert barriers(design, design.scenario(name), 0, 2) == {"barriers": []}
