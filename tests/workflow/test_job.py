"""A job holds what it was told to make against what it finds, and leaves a record last."""

import pytest

from study.design import load
from study.workflow import job
from study.workflow.chunks import finished
from study.workflow.gather import read
from study.workflow.job import compute
from study.workflow.pieces import STEPS, Chunk, Span

TEXT = """
name: mine
title: ''
seed: 1
replicates: {em: 3}
data: [{name: mine, file: mine.csv, column: x}]
scenarios: [{name: near, weights: [0.5, 0.5], means: [0, 2], sds: [1, 1], n: 60}]
"""


@pytest.fixture
def design(tmp_path):
    (tmp_path / "mine.csv").write_text("x\n1\n2\n4\n5\n9\n")
    (tmp_path / "mine.yaml").write_text(TEXT)
    return load(str(tmp_path / "mine.yaml"))


def chunk(design, *words):
    return Chunk.of(design, "numeric", STEPS["numeric"].digest(), map(Span.of, words))


def test_a_chunk_is_made_and_found(design, tmp_path):
    words = "near:1-3:em", "mine:0-1:em"
    expected = chunk(design, *words)
    out = tmp_path / "results" / "mine" / "chunks" / expected.place
    compute(design, "numeric", *words, out=out, digest=expected.digest)
    (found,) = finished(tmp_path / "results", "mine")
    assert (found.folder, found.chunk) == (out, expected)
    rows = read(found, "fits")
    assert sorted(zip(rows["scenario"], rows["replicate"], strict=True)) == [
        ("mine", 0), ("near", 1), ("near", 2),
    ]  # fmt: skip
    assert {file.name for file in out.iterdir()} == {*found.files, "record.json"}


def test_another_chunk_than_it_was_told_is_refused(design, tmp_path):
    with pytest.raises(ValueError, match="were edited since the run began"):
        compute(design, "numeric", "near:0-1:em", out=tmp_path / "out", digest="0123456789abcdef")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("what", ["data", "sources"])
def test_an_edit_while_it_works_is_refused(design, tmp_path, monkeypatch, what):
    def edited(*given):
        if what == "data":
            (tmp_path / "mine.csv").write_text("x\n1\n2\n4\n5\n8\n")
        else:
            monkeypatch.setattr("study.workflow.pieces.Step.digest", lambda step: "edited")
        return {"fits": []}

    monkeypatch.setattr(job, "computed", edited)
    with pytest.raises(ValueError, match="were edited since the run began"):
        compute(design, "numeric", "mine:0-1:em", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
