"""What is finished of a study, kept small: all rows as they are, and none that are stale."""

import dataclasses
import hashlib
import json
import shutil
import zlib

import numpy as np
import pandas as pd
import pytest

from study.rows import KINDS, MADE_BY, blank, frame
from study.workflow import costs, pieces
from study.workflow.chunks import finished, plan
from study.workflow.gather import gather
from study.workflow.parts import costs_of, is_kept, keep, write_small
from study.workflow.pieces import STEPS, write_record
from study.workflow.provenance import environment, of_parts
from tests.workflow.test_chunks import cells, design

FEW = {"chunk": 10, "closely": 0, "references": 0, "remedies": None, "starts": None}
DESIGN = design(**FEW)
# What no part keeps, as (step, scenario, method, replicate).
OPTIMISERS = [("numeric", "em", 40), ("numeric", "newton", 60), ("pymc", "map", 20)]
LEFT_OUT = {
    (step, name, method, i)
    for step, method, r in (*OPTIMISERS, ("pymc", "nuts", 1))
    for name in ("near", "far")
    for i in range(r)
}


def make(new, results):
    """Chunks with rows that a cell's name gives, below a folder of results."""
    for chunk in new:
        folder = results / "d" / "chunks" / chunk.place
        folder.mkdir(parents=True)
        sums = {}
        for kind in MADE_BY[STEPS[chunk.step].makes]:
            file = folder / f"{kind}.parquet"
            rows = [row for cell in sorted(cells(chunk)) for row in made_up(kind, *cell)]
            frame(kind, rows).to_parquet(file, index=False)
            sums[file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
        write_record(folder, chunk, sums, {})


def made_up(kind, step, scenario, method, replicate):
    """Two rows of a cell, if that has any of the kind."""
    if kind == "draws" and (method != "nuts" or replicate):
        return
    rng = np.random.default_rng(zlib.crc32(f"{kind} {scenario} {method} {replicate}".encode()))
    numbers = [name for name, dtype in KINDS[kind].columns.items() if dtype == "float64"]
    known = {"scenario": scenario, "replicate": replicate, "criterion": method, "method": method}
    known |= {"prior": method}
    for _ in range(2):
        drawn = dict(zip(numbers, rng.normal(size=len(numbers)), strict=True))
        row = blank(kind, **drawn)
        yield row | {name: known[name] for name in known if name in row}


def gathered(results, out):
    gather(DESIGN, results=results, out=out)
    return {file.name: file.read_bytes() for file in out.iterdir()}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A study of rows that are made up, finished; its folder of results."""
    results = tmp_path_factory.mktemp("made") / "results"
    make(plan(DESIGN, [], target=2.0).new, results)
    return results


@pytest.fixture
def study(made, tmp_path):
    """A copy of it."""
    shutil.copytree(made / "d" / "chunks", tmp_path / "results" / "d" / "chunks")
    return tmp_path / "results"


def missing(results, now=DESIGN):
    return set().union(*(cells(chunk) for chunk in plan(now, finished(results, "d")).new))


def test_a_study_from_its_parts_has_the_same_bytes(study, tmp_path):
    """But for optimisers, MAP and fits whose draws are kept, which are made again."""
    before = gathered(study, tmp_path / "before")
    keep(DESIGN, study)
    shutil.rmtree(study / "d")
    assert missing(study) == LEFT_OUT
    make(plan(DESIGN, finished(study, "d")).new, study)
    assert gathered(study, tmp_path / "after") == before


def test_a_part_has_what_is_in_no_part_yet(study, tmp_path):
    """Also where a step's chunks are finished in turns."""
    folders = sorted((study / "d" / "chunks").glob("*/*"))
    for folder in folders[::2]:
        shutil.move(folder, tmp_path / folder.name)
    first = keep(DESIGN, study)
    assert keep(DESIGN, study) == []
    for folder in folders[::2]:
        shutil.move(tmp_path / folder.name, folder)
    second = keep(DESIGN, study)
    assert {one.parent.name for one in first} & {one.parent.name for one in second} >= {"pymc"}
    shutil.rmtree(study / "d")
    own = [cells(one.chunk) for one in finished(study, "d")]
    assert len(own) == len(first) + len(second)
    assert sum(map(len, own)) == len(set().union(*own))
    assert missing(study) == LEFT_OUT


def test_what_has_changed_since_is_made_again(study, monkeypatch):
    keep(DESIGN, study)
    shutil.rmtree(study / "d")
    edited = design(**FEW, options={"nuts": {"draws": 99}})
    fits = {("pymc", name, "nuts", i) for name in ("near", "far") for i in range(5)}
    compared = {("priors", "near", prior, i) for prior in ("default", "other") for i in range(4)}
    assert missing(study, edited) == LEFT_OUT | fits | compared
    other = dataclasses.replace(STEPS["truths"], loads=("study.rows",))
    monkeypatch.setitem(pieces.STEPS, "truths", other)
    assert missing(study) == LEFT_OUT | {("truths", name, "", 0) for name in ("near", "far")}


def test_another_design_does_not_take_a_designs_parts(study):
    keep(DESIGN, study)
    assert all(not one.is_part for one in finished(study, "other"))
    assert any(one.is_part for one in finished(study, "d"))


def test_a_damaged_part_is_named(study, tmp_path):
    folder = next(one for one in keep(DESIGN, study) if one.parent.name == "pymc")
    (folder / "fits.parquet").write_bytes(b"")
    with pytest.raises(ValueError, match=f"{folder}.* is damaged or missing"):
        gather(DESIGN, results=study, out=tmp_path / "rows")


def test_the_costs_of_jobs_and_the_machine_go_with_a_part(study):
    def own(chunk):
        return any(is_kept(DESIGN, chunk.step, piece) for piece in chunk.pieces)

    made = finished(study, "d")
    for one in made:
        record = study / "d" / "costs" / costs.named(one.folder)
        record.parent.mkdir(exist_ok=True)
        record.write_text(json.dumps({"command": one.chunk.step, "of": one.chunk.digest}))
    keep(DESIGN, study)
    kept = [one for one in finished(study, "d") if one.is_part]
    packed = [record["of"] for one in kept for record in costs_of(one)]
    assert len(set(packed)) == len(packed)
    assert set(packed) == {one.chunk.digest for one in made if own(one.chunk)}
    assert of_parts(DESIGN, study) == [environment()]


def test_small_files_have_each_number_as_it_is(tmp_path):
    numbers = np.array([0.1, -0.0, np.nan, np.inf, 5e-324, np.nextafter(1.0, 2.0)])
    rows = pd.DataFrame({"x": numbers, "n": np.arange(6), "word": ["a", "", None, "b", "a", "ä"]})
    rows = rows.astype({"word": "string"})
    write_small(rows, tmp_path / "rows.parquet")
    again = pd.read_parquet(tmp_path / "rows.parquet")
    pd.testing.assert_frame_equal(again, rows)
    assert again["x"].to_numpy().tobytes() == numbers.tobytes()
