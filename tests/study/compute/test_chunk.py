from itertools import permutations
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from models import METHODS, Mixture, MixtureModel
from models.solution import Collapse
from study.compute import chunk
from study.compute.chunk import fit_all
from study.compute.fits import components, matching
from study.compute.truths import target
from study.design import Design, Intervals, load
from study.rows import CHAIN_WORDS, KINDS, MADE_BY, frames, gather, standing
from study.simulate import data_set
from tests.models.strategies import mixtures

DESIGN = load("smoke")


def made(
    name: str, first: int, last: int, *, engine: str = "numeric", design: Design = DESIGN
) -> dict[str, pd.DataFrame]:
    """The tables of a chunk, by kind."""
    unit = design.scenario(name)
    methods = {
        method: range(first, min(last, count))
        for method, count in design.replicates_of(unit).items()
        if METHODS[method].engine == engine
    }
    return frames(fit_all(design, unit, methods))


def test_a_chunk_has_a_row_for_every_fit_and_parameter():
    found = made("birds", 0, 3)
    assert {kind: list(table) for kind, table in found.items()} == {
        kind: list(KINDS[kind].columns) for kind in MADE_BY["fit"]
    }
    assert len(found["fits"]) == 3 * 5
    assert len(found["estimates"]) == 3 * 5 * 6
    assert (found["fits"]["status"] == "ok").all()
    assert found["fits"]["certified"].all()
    assert (found["timings"]["seconds"] > 0).all()


def test_how_the_work_is_cut_changes_nothing():
    parts = [made("birds", first, last) for first, last in ((3, 5), (0, 3))]
    whole = made("birds", 0, 5)
    for kind in MADE_BY["fit"]:
        if not KINDS[kind].timed:
            in_parts = gather(DESIGN, kind, [part[kind] for part in parts])
            at_once = gather(DESIGN, kind, [whole[kind]])
            pd.testing.assert_frame_equal(in_parts, at_once, check_exact=True)
            assert len(at_once) == len(whole[kind])


def test_methods_run_in_an_order_of_the_replicates_own():
    fits = made("birds", 0, 6)["fits"]
    orders = {tuple(group["method"]) for _, group in fits.groupby("replicate")}
    assert len(orders) > 1
    assert all(
        set(order) == set(DESIGN.replicates) - {"map", "nuts", "nuts-ordered"} for order in orders
    )


def test_a_fit_that_breaks_is_a_row_and_the_chunk_goes_on(monkeypatch):
    def broken(data, model, start, rng, *, trace=False):
        raise KeyError("lost")

    monkeypatch.setattr("models.direct.lbfgs", broken)
    said: list[str] = []
    unit = DESIGN.scenario("birds")
    rows = fit_all(DESIGN, unit, dict.fromkeys(("em", "lbfgs"), range(2)), said.append)
    found = frames(rows)
    by_method = found["fits"].groupby("method")["status"].unique()
    assert by_method["lbfgs"].tolist() == ["failed"]
    assert by_method["em"].tolist() == ["ok"]
    assert "lbfgs" not in set(found["estimates"]["method"])
    assert "lost" in found["fits"].query("method == 'lbfgs'")["message"].iloc[0]
    assert any("Traceback" in line for line in said)


SMALL = DESIGN.model_copy(
    update={
        "replicates": {"newton": 2},
        "scenarios": [
            DESIGN.scenario("birds").model_copy(
                update={"intervals": Intervals(replicates=2, refits=40)}
            )
        ],
    }
)


def of_birds(**methods):
    """The tables of some data sets of `birds` with intervals of every kind, and what was said."""
    said: list[str] = []
    methods = methods or {"newton": [0]}
    return frames(fit_all(SMALL, SMALL.scenario("birds"), methods, said.append)), said


def test_a_singular_fit_has_rows_for_all_that_was_asked_of_it(monkeypatch):
    """As of the same fit if it had ended, without numbers, and with the reason."""
    usual = of_birds()[0]

    def collapsed(data, model, start, rng, *, trace=False):
        raise Collapse(start, 1e-6)

    monkeypatch.setattr("models.direct.newton", collapsed)
    found, _ = of_birds(newton=[0, 1])
    assert found["fits"]["status"].tolist() == ["singular"] * 2
    first = found["intervals"].query("replicate == 0")
    keys = ["kind", "quantity", "truth"]
    pd.testing.assert_frame_equal(
        first[keys].sort_values(keys, ignore_index=True),
        usual["intervals"][keys].sort_values(keys, ignore_index=True),
    )
    assert found["intervals"][["estimate", "se", "lower", "upper"]].isna().all(axis=None)
    assert found["intervals"]["message"].str.startswith("singular: component at").all()
    assert found["losses"]["hellinger"].isna().tolist() == [True, True]
    assert found["losses"]["message"].str.startswith("singular: ").all()


@pytest.mark.parametrize(
    ("broken", "kinds"),
    [
        ("intervals.bootstrap", {"percentile", "basic", "studentised", "one-step"}),
        ("intervals.profile_intervals", {"profile"}),
        ("intervals.sandwich_covariance", {"sandwich"}),
        ("chunk.losses", set()),
    ],
)
def test_what_breaks_off_after_a_fit_costs_its_own_rows_alone(monkeypatch, broken, kinds):
    def breaks(*arguments, **options):
        raise ValueError("cannot\nreshape")

    usual, _ = of_birds()
    monkeypatch.setattr(f"study.compute.{broken}", breaks)
    found, said = of_birds()
    assert found["fits"]["status"].tolist() == ["ok"]
    lost = found["intervals"][found["intervals"]["message"].fillna("") != ""]
    assert set(lost["kind"]) == kinds
    assert (lost["message"] == "ValueError: cannot reshape").all()
    assert lost[["lower", "upper"]].isna().all(axis=None)
    keys = ["kind", "quantity", "truth"]
    pd.testing.assert_frame_equal(found["intervals"][keys], usual["intervals"][keys])
    kept = ~usual["intervals"]["kind"].isin(kinds)
    pd.testing.assert_frame_equal(found["intervals"][kept], usual["intervals"][kept])
    assert found["losses"]["hellinger"].isna().item() == (broken == "chunk.losses")
    assert any("Traceback" in line for line in said)


def test_a_data_set_that_cannot_be_made_is_a_failed_fit_by_every_method(monkeypatch):
    def breaks(design, unit, replicate):
        if replicate == 1:
            raise ValueError("x: all observations are 5")
        return data_set(design, unit, replicate)

    monkeypatch.setattr("study.compute.chunk.data_set", breaks)
    found, said = of_birds(newton=[0, 1], em=[1])
    fits = found["fits"].set_index(["replicate", "method"])["status"].to_dict()
    assert fits == {(0, "newton"): "ok", (1, "newton"): "failed", (1, "em"): "failed"}
    last = found["fits"]["message"].iloc[-1]
    assert last == "ValueError: x: all observations are 5"
    assert set(found["intervals"]["replicate"]) == {0, 1}
    assert any("Traceback" in line for line in said)


def test_a_diagnosis_that_breaks_off_is_a_row_with_its_reason(monkeypatch):
    def breaks(*arguments):
        raise IndexError("one chain")

    monkeypatch.setattr("study.compute.switching.diagnosis", breaks)
    unit = DESIGN.scenario("birds")
    x = data_set(DESIGN, unit, 0)
    task = chunk.Task.of(DESIGN, unit, lambda line: None)
    key = {"scenario": "birds", "replicate": 0, "method": "nuts"}
    result = SimpleNamespace(method="nuts", draws="some", model=unit.model.build())
    rows = chunk._labels(task, key, result, x, "birds")
    assert rows["labels"][0] | key == rows["labels"][0]
    assert rows["labels"][0]["message"] == "IndexError: one chain"
    table = frames({"labels": rows["labels"]})["labels"]
    assert np.isnan(table["rhat_raw"].item())


def test_known_parameters_are_no_estimates():
    found = made("article-1", 0, 1)
    assert set(found["estimates"]["parameter"]) == {"weight"}


def test_estimates_are_held_against_the_target():
    design = load("default")
    estimates = made("contaminated", 0, 2, design=design)["estimates"]
    aim = target(design.scenario("contaminated"))
    assert aim is not None
    for _, rows in estimates.groupby(["replicate", "method"]):
        np.testing.assert_array_equal(rows["truth"], aim.as_rows().ravel())
    estimates = made("one-with-two", 0, 1, design=design)["estimates"]
    assert len(estimates) > 0
    assert estimates["truth"].isna().all()


def test_components_of_equal_means_are_told_apart_by_their_sds():
    """Sds of 1 and .1 from 500 observations: no estimates come near each other."""
    rows = made("mw4", 0, 8, design=load("default"))["estimates"]
    table = rows.pivot(
        index=["replicate", "method"], columns=["parameter", "component"], values="estimate"
    )
    assert (table["sd", 1] < 0.3).all()
    assert (table["sd", 2] > 0.7).all()
    assert (table["mean", 1] > table["mean", 2]).any()
    inside = rows["lower"].le(rows["estimate"]) & rows["estimate"].le(rows["upper"])
    assert inside.all()


@given(mixtures(), st.data())
def test_matching_is_the_nearest_assignment_of_means_and_then_of_sds(estimate, data):
    """By all permutations; the target has whole numbers, to have ties, and the estimate none."""
    assume(np.diff(np.sort(estimate.means)).min(initial=1.0) > 1e-3)
    k, number = estimate.k, st.integers(0, 2)
    means, sds = (data.draw(st.lists(number, min_size=k, max_size=k)) for _ in range(2))
    target = Mixture(np.full(k, 1 / k), means, np.array(sds) + 1.0).by_mean()
    estimate = estimate.by_mean()
    found = matching(estimate, target)

    def distance(order):
        rows = estimate.permuted(order).as_rows() - target.as_rows()
        return np.sum(rows[1:] ** 2, axis=1)

    everything = [distance(order) for order in permutations(range(k))]
    by_mean, by_sd = distance(found)
    least = min(mean for mean, _ in everything)
    assert by_mean == pytest.approx(least, abs=1e-9)
    assert by_sd <= min(sd for mean, sd in everything if mean <= least + 1e-12) + 1e-9
    if len(set(means)) == k:
        np.testing.assert_array_equal(found, np.arange(k))


def test_known_components_stand_for_themselves_whatever_the_order_of_the_means():
    """An estimate below the null is still the alternative's."""
    model = MixtureModel(2, means=[None, 0], sds=[None, 1])
    target = Mixture([0.8, 0.2], [0, 2], [1, 1])
    estimate = Mixture([0.3, 0.7], [-0.1, 0], [1.2, 1])
    assert components(estimate, target, model).tolist() == [1, 0]
    assert components(estimate, target, MixtureModel(2)).tolist() == [0, 1]
    assert components(estimate, None, model).tolist() == [0, 1]
    known = MixtureModel(3, [None, 0, None], weights=[None, None, 0.5])
    rows = [[0.2, 0.3, 0.5], [-4, 0, 3], [1, 1, 1]]
    assert standing(known, Mixture(*rows)).tolist() == [0, 1, 2]
    assert standing(known.permuted([1, 0, 2]), Mixture(*rows)).tolist() == [1, 0, 2]


def test_nuts_leaves_draws_and_diagnostics():
    small = DESIGN.model_copy(
        update={
            "options": {"nuts": {"draws": 50, "tune": 50, "max_draws": None}},
            "replicates": {"nuts": 2},
            "keep_draws": 1,
        }
    )
    found = made("birds", 0, 2, engine="pymc", design=small)
    assert len(found["labels"]) == 2
    assert len(found["draws"]) == 1 * 4 * 50 * 2
    assert found["draws"]["replicate"].unique().tolist() == [0]
    one = found["labels"].iloc[0]
    assert one["draws"] == 200
    assert 0 < one["largest_share"] <= 1
    assert one["verdict"] in CHAIN_WORDS
    by_chain = found["occupancy"].groupby(["replicate", "chain"])["share"].sum()
    np.testing.assert_allclose(by_chain, 1.0)
    assert len(by_chain) == 2 * 4
    weights = found["draws"].groupby(["chain", "draw"])["weight"].sum()
    np.testing.assert_allclose(weights, 1.0, rtol=1e-12)
