"""Parts of a study that takes hours: rows of what is finished, packed small, to be kept in git.

A part is a chunk of each step, of all pieces that are finished and in no part yet. What plans and
gathers takes it as it takes any other chunk, so that a piece whose design or sources have changed
since is made again. Left out is what has many bytes for its minutes, and is made again where it is
missing: fits by other methods than samplers, and those whose draws are kept.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd

from models.methods import SAMPLERS
from study.design import Design
from study.rows import MADE_BY
from study.rows import gather as ordered
from study.workflow import costs
from study.workflow.chunks import PARTS, Finished, finished, plan
from study.workflow.gather import of_pieces, read
from study.workflow.pieces import STEPS, Chunk, Piece, write_record
from study.workflow.provenance import environment

COSTS = "costs.json"


def keep(design: Design, results: Path) -> list[Path]:
    """Pack what is finished and in no part yet; the new folders, one a step."""
    made = plan(design, finished(results, design.name))
    new: dict[str, list[tuple[Finished, list[Piece]]]] = defaultdict(list)
    for one, pieces in made.used:
        step = one.chunk.step
        own = [piece for piece in pieces if is_kept(design, step, piece)]
        if own and not one.is_part:
            new[step].append((one, own))
    folder, machine = _folder(results, design), environment()
    return [_pack(design, step, own, folder, machine) for step, own in new.items()]


def is_kept(design: Design, step: str, piece: Piece) -> bool:
    """Whether parts have such a piece."""
    if STEPS[step].makes != "fit":
        return True
    return piece.method in SAMPLERS and piece.first >= design.keep_draws


def _folder(results: Path, design: Design) -> Path:
    return results / "published" / design.name / PARTS


def _pack(
    design: Design, step: str, own: list[tuple[Finished, list[Piece]]], folder: Path, machine: Any
) -> Path:
    loose = Chunk(step, STEPS[step].digest(), tuple(piece for _, pieces in own for piece in pieces))
    chunk = Chunk.of(design, step, loose.sources, loose.spans())
    out = folder / chunk.place
    out.mkdir(parents=True, exist_ok=True)
    sums = {}
    for kind in MADE_BY[STEPS[step].makes]:
        rows = ordered(design, kind, (of_pieces(read(one, kind), pieces) for one, pieces in own))
        write_small(rows, out / f"{kind}.parquet")
        sums[f"{kind}.parquet"] = hashlib.sha256((out / f"{kind}.parquet").read_bytes()).hexdigest()
    records = [record for one, _ in own for record in costs_of(one)]
    (out / COSTS).write_text(json.dumps(records) + "\n", encoding="utf-8")
    write_record(out, chunk, sums, machine)
    return out


def write_small(rows: pd.DataFrame, file: Path) -> None:
    """Write rows so that they take few bytes, each number as it is.

    Numbers are split into their first bytes, their second ones and so on: methods that end at one
    maximum differ in the last bytes alone.
    """
    numbers = [name for name, dtype in rows.dtypes.items() if dtype == "float64"]
    rows.to_parquet(
        file, index=False, compression="zstd", compression_level=19,
        use_dictionary=[name for name in rows if name not in numbers],
        column_encoding=dict.fromkeys(map(str, numbers), "BYTE_STREAM_SPLIT"),
    )  # fmt: skip


def costs_of(one: Finished) -> list[dict[str, Any]]:
    """The records of the jobs that made a chunk."""
    if not one.is_part:
        return costs.read(one.folder.parents[2] / "costs", costs.named(one.folder))
    found: list[dict[str, Any]] = json.loads((one.folder / COSTS).read_text(encoding="utf-8"))
    return found
