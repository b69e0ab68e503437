"""The rows of all chunks of a study's plan, put together: of each, the pieces it stands for."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Annotated

import pandas as pd

from study.design import Design
from study.rows import MADE_BY, ONE_START
from study.rows import gather as ordered
from study.workflow.chunks import Finished, Plan, finished, plan
from study.workflow.pieces import STEPS, Piece

# What the rows of one method, prior or criterion have beside its own.
BESIDE = {"bic": (ONE_START, "fits")}


def gather(
    design: Design,
    *,
    results: Annotated[Path, "folder of all designs' folders of chunks"],
    out: Annotated[Path, "folder; a file a kind of row"],
) -> None:
    """Put the rows of all chunks together."""
    made = plan(design, finished(results, design.name))
    if made.new:
        raise ValueError(
            f"{len(made.new)} chunks of {design.name} are missing below {results}, the first is "
            f"{made.new[0].place}: let Snakemake make them"
        )
    out.mkdir(parents=True, exist_ok=True)
    for kinds in MADE_BY.values():
        for kind in kinds:
            ordered(design, kind, _parts(made, kind)).to_parquet(
                out / f"{kind}.parquet", index=False
            )


def _parts(made: Plan, kind: str) -> Iterator[pd.DataFrame]:
    for one, pieces in made.used:
        if kind in MADE_BY[STEPS[one.chunk.step].makes]:
            yield of_pieces(read(one, kind), pieces)


def read(one: Finished, kind: str) -> pd.DataFrame:
    """The rows of a kind of a chunk; ValueError says what to delete if they are damaged."""
    name = f"{kind}.parquet"
    try:
        content = (one.folder / name).read_bytes()
    except OSError:
        content = b""
    if hashlib.sha256(content).hexdigest() != one.files.get(name):
        raise ValueError(
            f"{one.folder / name} is damaged or missing: delete the folder {one.folder} and run "
            "Snakemake again, which makes it anew"
        )
    return pd.read_parquet(io.BytesIO(content))


def of_pieces(table: pd.DataFrame, pieces: Sequence[Piece]) -> pd.DataFrame:
    """The rows of a chunk that are of some of its pieces."""
    if table.empty:
        return table
    kept = pd.Series(False, index=table.index)
    for scenario, own in groupby(pieces, attrgetter("scenario")):
        rows = table[table["scenario"] == scenario] if "scenario" in table else table
        for piece in own:
            kept[rows.index] |= _of_piece(rows, piece)
    return table[kept]


def _of_piece(table: pd.DataFrame, piece: Piece) -> pd.Series[bool]:
    """Of rows of the piece's scenario."""
    of = pd.Series(True, index=table.index)
    if "replicate" in table:
        of &= table["replicate"].between(piece.first, piece.last - 1)
    for name in ("method", "prior", "criterion"):
        if piece.method and name in table:
            of &= table[name].isin([piece.method, *BESIDE.get(piece.method, ())])
    return of
