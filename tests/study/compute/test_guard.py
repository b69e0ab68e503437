"""Every step of computing goes on where one of its parts breaks off, and says why in a row."""

import numpy as np
import pytest

from study.compute import (
    calibration,
    follow,
    references,
    remedies,
    selection,
    switching,
    truths,
)
from study.design import load
from study.rows import REMEDIES, REMEDY_PARAMETERS, TARGETS, blank, frames, trusted
from tests.study.synthetic import rich

DESIGN = load("smoke")
BIRDS = DESIGN.scenario("birds")


@pytest.fixture
def said(monkeypatch):
    """What is said while no method of any step can fit."""

    def breaks(*arguments, **options):
        raise np.linalg.LinAlgError("singular\nmatrix")

    for module in (calibration, follow, references, switching):
        monkeypatch.setattr(module, "fit", breaks)
    for module in (follow, remedies):
        monkeypatch.setattr(module, "fit_one", breaks)
    monkeypatch.setattr(truths, "bound", breaks)
    monkeypatch.setattr(selection, "select", breaks)
    return []


def test_barriers(said):
    found = frames(switching.barriers(DESIGN, BIRDS, 0, 2, said.append))["barriers"]
    assert found["barrier"].isna().tolist() == [True, True]
    assert found["message"].tolist() == ["LinAlgError: singular matrix"] * 2
    assert "Traceback" in said[0]


def test_remedies(said):
    found = frames(remedies.compare(DESIGN, BIRDS, 0, said.append))
    table = found["remedies"]
    assert len(table) == len(REMEDIES) * len(REMEDY_PARAMETERS)
    assert table["truth"].notna().all()
    assert table["mean"].isna().all()
    assert (table["message"] == "LinAlgError: singular matrix").all()
    assert found["remedy_timings"].empty


def test_references(said):
    found = frames({"references": references.refer(DESIGN, BIRDS, 0, said.append)})["references"]
    assert found["message"].tolist() == ["LinAlgError: singular matrix"]
    assert not trusted(found)


def test_choice(said):
    found = frames(selection.choose(DESIGN, BIRDS, 0, ["bic", "icl"], said.append))
    assert found["choices"]["criterion"].tolist() == ["bic", "icl"]
    assert found["choices"]["k"].isna().all()
    assert (found["choices"]["message"] == "LinAlgError: singular matrix").all()
    assert found["criteria"].empty


def test_calibration(said):
    spec = rich().calibration
    found = frames(calibration.calibrate(spec, 0, [0], said.append))["ranks"]
    assert set(found["method"]) == {"nuts", "nuts-ordered"}
    assert found["rank"].isna().all()
    assert found["truth"].notna().all()
    assert (found["message"] == "LinAlgError: singular matrix").all()


def test_truths(said):
    alone = DESIGN.model_copy(update={"grids": [], "scenarios": [BIRDS]})
    found = frames(truths.truths(alone, said.append))
    assert found["targets"]["message"].tolist() == ["LinAlgError: singular matrix"]
    assert found["targets"]["target"].isna().all()
    assert found["em_rates"].empty


def test_following(said):
    found = frames(follow.follow(DESIGN, BIRDS, 0, said.append))
    methods = {"em", "em-squarem", "lbfgs", "newton", "nelder-mead"}
    assert set(found["reaches"]["method"]) == methods
    assert len(found["reaches"]) == len(methods) * len(TARGETS)
    assert np.isinf(found["reaches"]["passes"]).all()
    assert (found["reaches"]["message"] == "LinAlgError: singular matrix").all()
    assert found["stops"].empty


def test_one_start_of_many(monkeypatch):
    fit, calls = follow.fit, []

    def breaks(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 3:
            raise ZeroDivisionError("of a start")
        return fit(*arguments, **options)

    monkeypatch.setattr(follow, "fit", breaks)
    found = frames(follow.follow(DESIGN, BIRDS, 0))["optima"]
    assert found["message"].fillna("").ne("").sum() == 1
    assert found.query("message == 'ZeroDivisionError: of a start'")["loglik"].isna().all()
    assert found["loglik"].notna().sum() > 10


def test_a_blank_row_has_every_column_and_what_is_known():
    row = blank("ranks", method="nuts", message="why")
    assert (row["method"], row["message"], row["rank"], row["of"]) == ("nuts", "why", None, 0)
    assert np.isnan(frames({"ranks": [row]})["ranks"]["truth"].item())
