"""Rows of label switching: a diagnosis has their columns, and barriers are of what can switch."""

import numpy as np
import pytest

from models import fit, labels
from models.labels import fits
from models.sample import as_data
from study.compute.switching import barriers, diagnosis
from study.design import Design, load
from study.rows import AGREEMENTS, CHAIN_WORDS, KINDS, PARAMETERS
from study.simulate import data_set

DESIGN = load("smoke")
KEY = {"scenario": "birds", "replicate": 0, "method": "nuts"}


def test_a_diagnosis_has_the_columns_of_its_kinds():
    x = data_set(DESIGN, DESIGN.scenario("birds"), 0)
    result = fit("nuts", x, rng=1, draws=50, tune=50)
    kept, lean = (diagnosis(KEY, result, x, keep) for keep in (True, False))
    for kind, rows in kept.items():
        assert {frozenset(row) for row in rows} == {frozenset(KINDS[kind].columns)}
    assert (lean["draws"], lean["labels"]) == ([], kept["labels"])
    values = [[row[name] for name in PARAMETERS] for row in kept["draws"]]
    raw = labels.component_draws(result.draws)
    np.testing.assert_array_equal(np.reshape(values, (4, 50, 2, 3)).swapaxes(2, 3), raw)
    assert {f"agreement_{name}" for name in AGREEMENTS} == set(fits.AGREEMENTS.values())
    assert labels.NOT_EXCHANGEABLE not in CHAIN_WORDS


def test_barriers_are_between_the_best_maximum_and_the_ridge():
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
def test_what_cannot_switch_or_is_not_sampled_has_no_barrier(name: str, method: str):
    design: Design = DESIGN.model_copy(update={"replicates": {method: 2}})
    assert barriers(design, design.scenario(name), 0, 2) == {"barriers": []}
