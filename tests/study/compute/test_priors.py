"""What NUTS answers under a prior: the prior that it is given, and the rows that it leaves."""

import numpy as np
import pandas as pd
import pytest

from models.priors import Dirichlet, HalfNormal, Normal, Prior
from models.sample import Data
from study.compute import priors
from study.compute.priors import sample
from study.design import DesignError, load
from study.rows import KINDS, LOSSES, MADE_BY, frames
from study.simulate import data_set

COMPARED = [
    {"name": "default", "rule": "default"},
    {"name": "brms", "rule": "brms"},
    {"name": "numbers", "weights": 1, "means": [0, 5], "sds": ["half-normal", 1]},
]
CELL = "grid-d4-w0.5-r1-n100"


def compared(*more, **changes):
    spec = {"scenarios": [CELL], "replicates": 2, "compared": [*COMPARED, *more]}
    return {"priors": {**spec, **changes}}


FEW = {"draws": 100, "tune": 100, "max_draws": None}
DESIGN = load("smoke", options={"nuts": FEW}, **compared())
SCENARIO = DESIGN.scenario(CELL)


def test_each_fit_has_the_prior_of_that_name(monkeypatch):
    given = {}

    def catches(design, scenario, x, start, replicate, method, *, prior):
        given[name] = (x, method, prior)
        raise RuntimeError("caught")

    monkeypatch.setattr(priors, "fit_one", catches)
    for name in ("default", "brms", "numbers"):
        assert sample(DESIGN, SCENARIO, 1, name)["prior_fits"][0]["message"].endswith("caught")
    x = data_set(DESIGN, SCENARIO, 1)
    data = Data(x, np.ones(x.size))
    expected = {
        "default": Prior.default(data),
        "brms": Prior.brms(data),
        "numbers": Prior(Dirichlet(1.0), Normal(0.0, 5.0), HalfNormal(1.0)),
    }
    for name, prior in expected.items():
        assert (given[name][1], given[name][2]) == ("nuts", prior)
        np.testing.assert_array_equal(given[name][0], x)  # the same data for all


def test_rows_of_a_fit_and_the_same_every_time():
    found = frames(sample(DESIGN, SCENARIO, 0, "default"))
    assert {kind: list(frame.columns) for kind, frame in found.items()} == {
        kind: list(KINDS[kind].columns) for kind in MADE_BY["priors"]
    }
    table = found["priors"]
    names = ["weight 1", "mean 1", "mean 2", "sd 1", "sd 2"]
    assert table["parameter"].tolist() == names
    assert table["truth"].tolist() == pytest.approx([0.5, 0.0, 4.0, 1.0, 1.0])
    assert (table["lower"] < table["mean"]).all()
    assert (table["mean"] < table["upper"]).all()
    (fit,) = found["prior_fits"].to_dict("records")
    assert (fit["status"] == "ok") == ("sampled to the end" in fit["message"].split("; ")[1:2])
    assert fit["draws"] == 100
    assert 0.0 < fit["hellinger"] < 1.0
    again = frames(sample(DESIGN, SCENARIO, 0, "default"))
    for kind, frame in found.items():
        pd.testing.assert_frame_equal(frame, again[kind], check_exact=True)


def test_a_fit_that_breaks_off_has_rows_without_numbers(monkeypatch):
    def breaks(*arguments, **options):
        raise np.linalg.LinAlgError("singular\nmatrix")

    monkeypatch.setattr(priors, "fit_one", breaks)
    said = []
    found = frames(sample(DESIGN, SCENARIO, 0, "brms", said.append))
    assert found["priors"]["parameter"].tolist() == ["weight 1", "mean 1", "mean 2", "sd 1", "sd 2"]
    assert found["priors"]["truth"].notna().all()
    assert found["priors"][["mean", "lower", "upper"]].isna().all(axis=None)
    assert found["prior_fits"]["status"].tolist() == ["failed"]
    assert found["prior_fits"][list(LOSSES)].isna().all(axis=None)
    for frame in found.values():
        assert (frame["message"] == "LinAlgError: singular matrix").all()
    assert "Traceback" in said[0]


def numbers(**changes):
    return {"name": "x", "weights": 1, "means": [0, 5], "sds": ["half-normal", 1], **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (compared({"name": "x", "rule": "bmrs"}), r"compared\[3\].rule: 'bmrs' is no rule; choose"),
        (compared({"name": "x"}), r"compared\[3\]: give either a rule, or weights, means and sds"),
        (compared(numbers(rule="brms")), "give either a rule, or"),
        (compared(numbers(sds=None)), "give either a rule, or"),
        (compared(numbers(sds=["flat"])), "'flat' is no prior on sds; choose from shared-scale"),
        (compared(numbers(sds=[])), "'' is no prior on sds; choose"),
        (compared(numbers(sds=["log-normal", 1])), "log-normal takes mu, sigma; give 2 numbers"),
        (compared(numbers(sds=["half-normal", "1"])), "half-normal takes scale; give 1 numbers"),
        (compared(numbers(sds=["half-normal", -1])), "HalfNormal scale: -1.0 is not positive"),
        (compared(numbers(weights=0)), r"compared\[3\].weights: Input should be greater than 0"),
        (compared({"name": "brms", "rule": "brms"}), "the name 'brms' is used more than once"),
        (compared(scenarios=["birds", "galaxies"]), "priors: no scenario is called 'galaxies'"),
        (compared(scenarios=["article-1"]), "priors: 'article-1' has no two identified components"),
        (compared(compared=[]), "priors.compared: List should have at least 1 item"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_named_in_one_line(changes, message):
    with pytest.raises(DesignError, match=message) as said:
        load("smoke", **changes)
    assert "\n" not in str(said.value)


def test_a_design_without_priors_is_what_it_was():
    assert "priors" not in load("smoke").model_dump(mode="json")
