"""Rows: a table of every kind has its columns whatever it holds, and gathering keeps the order."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from models import METHODS
from study.design import load
from study.rows import (
    KINDS,
    LEVELS,
    MADE_BY,
    QUANTILES,
    STATUSES,
    USABLE,
    empty,
    frame,
    frames,
    gather,
    of_frames,
    read,
    trusted,
    usable,
)

DESIGN = load("smoke")


def fit_row(scenario: str, replicate: int, method: str, status: str = "ok") -> dict[str, Any]:
    numbers = {name: 0 for name, kind in KINDS["fits"].columns.items() if kind != "string"}
    key = {"scenario": scenario, "replicate": replicate, "method": method}
    return {**numbers, **key, "status": status, "message": ""}


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_without_rows_has_the_columns_and_dtypes_of_one_with_rows(kind: str) -> None:
    nothing = frame(kind, [])
    assert nothing.dtypes.astype(str).to_dict() == dict(KINDS[kind].columns)
    assert set(KINDS[kind].order) <= {*KINDS[kind].columns, "scenario", "method"}


def test_every_kind_is_made_by_one_step() -> None:
    made = [kind for kinds in MADE_BY.values() for kind in kinds]
    assert sorted(made) == sorted(KINDS)
    for step, kinds in MADE_BY.items():
        assert list(frames(empty(step))) == list(kinds)


def test_gathered_rows_are_in_the_designs_order_and_those_of_one_place_as_they_came() -> None:
    units, methods = DESIGN.unit_names()[:3], list(METHODS)[:3]
    rows = [fit_row(unit, i, method) for unit in units for i in (0, 1) for method in methods]
    parts = [frame("fits", rows[i::5][::-1]) for i in (3, 1, 4, 0, 2)]
    found = gather(DESIGN, "fits", [*parts, frame("fits", [])])
    pd.testing.assert_frame_equal(found, frame("fits", rows), check_exact=True)
    key = {"scenario": units[0], "replicate": 0, "method": methods[0]}
    twice = [frame("occupancy", [key | {"chain": c, "share": 1.0 - c}]) for c in (1, 0)]
    assert gather(DESIGN, "occupancy", twice)["chain"].tolist() == [1, 0]
    pd.testing.assert_frame_equal(gather(DESIGN, "fits", []), frame("fits", []))


def test_gathered_rows_of_priors_are_in_the_designs_order_of_them() -> None:
    """Which is not that of their names, nor that of scenarios or methods of the same name."""
    names = ["nuts", "birds", "em"]
    compared = [{"name": name, "rule": "default"} for name in names]
    spec = {"scenarios": ["birds"], "replicates": 1, "compared": compared}
    design = load("smoke", priors=spec)
    rows = [{"scenario": "birds", "replicate": i, "prior": n} for i in (0, 1) for n in names]
    parts = [frame("prior_fits", rows[i::5][::-1]) for i in (3, 1, 4, 0, 2)]
    found = gather(design, "prior_fits", parts)
    assert found[["replicate", "prior"]].to_numpy().tolist() == [
        [i, name] for i in (0, 1) for name in names
    ]


def test_results_are_read_when_they_are_asked_for_and_once(tmp_path: Path) -> None:
    frame("fits", [fit_row("birds", 0, "em")]).to_parquet(tmp_path / "fits.parquet", index=False)
    results = read(DESIGN, tmp_path)
    assert results.fits["method"].tolist() == ["em"]
    (tmp_path / "fits.parquet").unlink()
    assert results.fits is results.fits
    with pytest.raises(FileNotFoundError):
        _ = results.timings
    with pytest.raises(AttributeError, match="'fitts' is no kind of row; they are fits"):
        _ = results.fitts


def test_what_is_not_given_has_no_rows() -> None:
    results = of_frames(DESIGN, {"fits": frame("fits", [fit_row("birds", 0, "em")])})
    assert len(results.fits) == 1
    pd.testing.assert_frame_equal(results.draws, frame("draws", []))


def test_estimates_of_singular_and_failed_fits_are_not_usable() -> None:
    fits = [fit_row("birds", i, "em", status) for i, status in enumerate(STATUSES)]
    estimates = [
        {"scenario": "birds", "replicate": i, "method": "em", "parameter": "mean", "component": 1}
        for i in range(len(STATUSES))
    ]
    results = of_frames(
        DESIGN, {"fits": frame("fits", fits), "estimates": frame("estimates", estimates)}
    )
    assert [STATUSES[i] for i in usable(results)["replicate"]] == list(USABLE)


@pytest.mark.parametrize(("rhat", "ess", "good"), [(1.0, 1e4, True), (1.5, 1e4, False)])
def test_a_reference_is_trusted_if_all_of_it_has_converged(
    rhat: float, ess: float, good: bool
) -> None:
    row = {"replicate": 0, "component": 1, "rhat": 1.0, "ess": 1e4}
    assert trusted(frame("references", [row, row | {"rhat": rhat, "ess": ess}])) is good
    assert not trusted(frame("references", [row, row | {"ess": 10.0}]))
    assert len(QUANTILES) == len(LEVELS)
