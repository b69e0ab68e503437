"""Rows of chunks put together: of each the pieces it stands for, and none that are damaged."""

import hashlib

import pandas as pd
import pytest

from study.workflow.chunks import Finished
from study.workflow.gather import gather, of_pieces, read
from study.workflow.pieces import Chunk, Piece
from tests.workflow.test_chunks import design

ROWS = pd.DataFrame(
    [("near", i, method) for i in range(4) for method in ("em", "newton")],
    columns=["scenario", "replicate", "method"],
)


def kept(*pieces, table=ROWS):
    found = of_pieces(table, [Piece(*piece, "") for piece in pieces])
    return list(found.itertuples(index=False, name=None))


def test_rows_are_those_of_the_pieces():
    assert kept(("near", "em", 1, 3)) == [("near", 1, "em"), ("near", 2, "em")]
    assert kept(("far", "em", 1, 3)) == []
    both = kept(("near", "em", 0, 1), ("near", "newton", 3, 4))
    assert both == [("near", 0, "em"), ("near", 3, "newton")]


def test_a_piece_without_a_method_has_the_rows_of_all():
    assert kept(("near", "", 1, 2)) == [("near", 1, "em"), ("near", 1, "newton")]


def test_a_prior_stands_in_the_place_of_a_method():
    table = ROWS.rename(columns={"method": "prior"})
    assert kept(("near", "em", 1, 2), table=table) == [("near", 1, "em")]


def test_rows_that_are_of_no_scenario_or_replicate():
    ranks = ROWS.drop(columns="scenario")
    assert kept((".prior", "em", 0, 1), table=ranks) == [(0, "em")]
    targets = ROWS[["scenario"]]
    assert len(kept(("near", "", 0, 1), table=targets)) == 8


@pytest.fixture
def chunk(tmp_path):
    file = tmp_path / "stops.parquet"
    ROWS.to_parquet(file, index=False)
    sums = {file.name: hashlib.sha256(file.read_bytes()).hexdigest()}
    return Finished(tmp_path, Chunk("follow", "", ()), sums)


def test_a_whole_file_is_read(chunk):
    pd.testing.assert_frame_equal(read(chunk, "stops"), ROWS, check_dtype=False)


@pytest.mark.parametrize("damage", [
    lambda file: file.write_bytes(file.read_bytes()[:-20]),
    lambda file: file.write_bytes(b""),
    lambda file: file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:]),
    lambda file: file.unlink(),
])  # fmt: skip
def test_a_damaged_file_says_which_folder_to_delete(chunk, damage):
    damage(chunk.folder / "stops.parquet")
    with pytest.raises(ValueError, match=f"delete the folder {chunk.folder} and run") as said:
        read(chunk, "stops")
    assert "\n" not in str(said.value)


def test_chunks_that_are_missing_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"chunks of d are missing below .*, the first is truths/"):
        gather(design(), results=tmp_path, out=tmp_path / "rows")
