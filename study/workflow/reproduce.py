"""A part of a published study, made again by the jobs' own code, and held against that.

The part is drawn by a seed: some scenarios, of each some replicates by every optimiser and MAP, and
one by each sampler; and the targets of those scenarios.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from models import METHODS
from models.methods import SAMPLERS
from study.design import DataSet, Design
from study.rows import MADE_BY, frame, gather
from study.workflow.agreement import (
    DIFFERENT,
    FALSE_ALARM,
    IDENTICAL,
    WORDS,
    compare,
    critical,
    summary,
)
from study.workflow.gather import of_pieces
from study.workflow.job import computed
from study.workflow.pieces import STEPS, Chunk, Span
from study.workflow.provenance import environment
from study.workflow.publish import COMPARED, PUBLISHED, STEPS_AGAIN, damaged
from study.workflow.run import say

SHOWN = 20  # pairs that differ, one by one


def reproduce(
    design: Design,
    *,
    seed: Annotated[int, "of the draw of scenarios and replicates"] = 1,
    scenarios: Annotated[int, "how many of them, real data sets among them"] = 16,
    replicates: Annotated[int, "of each, by all methods but samplers, which make one"] = 6,
    published: Annotated[Path, "folder of what is published"] = PUBLISHED,
) -> int:
    """Make a part of a published study again, and say what is the same; 1 if anything is not."""
    folder = published / design.name
    if not (folder / "provenance.json").is_file():
        known = ", ".join(sorted(f.parent.name for f in published.glob("*/provenance.json")))
        raise ValueError(f"{folder}: nothing is published there; {known or 'nothing'} is")
    for name, value in (("--scenarios", scenarios), ("--replicates", replicates)):
        if value < 1:
            raise ValueError(f"{name}: {value} is nothing to compare; give 1 or more")
    record = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    there = {kind: pd.read_parquet(folder / "rows" / f"{kind}.parquet") for kind in COMPARED}
    spans = drawn(design, record, there["fits"], seed, scenarios, replicates)
    chunks = [Chunk.of(design, s, STEPS[s].digest(), own) for s, own in spans.items() if own]
    for note in _notes(folder, record, chunks):
        print(note)
    names = dict.fromkeys(span.scenario for own in spans.values() for span in own)
    fits = sum(len(span.methods) for own in spans.values() for span in own)
    print(f"Drawn by seed {seed}: {fits} fits of {', '.join(names)}", flush=True)
    again = _again(design, chunks)
    own = {kind: _part(there[kind], kind, chunks) for kind in COMPARED}
    found = compare(own, again, same=not _changes(record, chunks))
    _print(design, found)
    return int((found["word"] == DIFFERENT).any() or bool(damaged(folder)))


# What is drawn -----------------------------------------------------------------------------------


def drawn(
    design: Design,
    record: Mapping[str, Any],
    fits: pd.DataFrame,
    seed: int,
    scenarios: int,
    replicates: int,
) -> dict[str, list[Span]]:
    """By step, the spans that are made again, of what is published.

    ValueError if the design would not make what was published: of what it is made says what is
    other.
    """
    rng = np.random.default_rng(seed)
    known = set(fits["scenario"])
    units = [unit for unit in design.units() if unit.name in known]
    _check_same(design, record)
    spans: dict[str, list[Span]] = {step: [] for step in STEPS_AGAIN}
    chosen = rng.permutation(len(units))[:scenarios]
    for unit in (units[i] for i in np.sort(chosen)):
        own = fits[fits["scenario"] == unit.name]
        counts = own.groupby("method")["replicate"].max() + 1
        if not isinstance(unit, DataSet):
            spans["truths"].append(Span(unit.name, 0, 1, ()))
        for i in np.sort(rng.permutation(int(counts.max()))[:replicates]).tolist():
            for step, engine in (("numeric", "numeric"), ("pymc", "pymc")):
                names = [
                    m
                    for m, count in counts.items()
                    if METHODS[m].engine == engine and m not in SAMPLERS and i < count
                ]
                if names:
                    spans[step].append(Span(unit.name, i, i + 1, tuple(names)))
        for method in SAMPLERS:
            if method in counts:
                i = int(rng.integers(counts[method]))
                spans["pymc"].append(Span(unit.name, i, i + 1, (method,)))
    return spans


def _check_same(design: Design, record: Mapping[str, Any]) -> None:
    """ValueError if the design is another one than what is published was made from."""
    if design.digest() == record["design"]["digest"]:
        return
    now = design.model_dump(mode="json", exclude={"data": {"__all__": {"file"}}})
    before = {key: value for key, value in record["design"].items() if key != "digest"}
    other = next(_differences(now, before), "what is in its data files")
    raise ValueError(
        f"{design.name}: the design is not the one that is published (digest {design.digest()} "
        f"now, {record['design']['digest']} there); other is {other}"
    )


def _differences(now: Any, before: Any, path: str = "") -> Iterator[str]:
    if isinstance(now, dict) and isinstance(before, dict):
        for key in dict.fromkeys([*now, *before]):
            yield from _differences(now.get(key), before.get(key), f"{path}.{key}".lstrip("."))
    elif isinstance(now, list) and isinstance(before, list) and len(now) == len(before):
        for i, pair in enumerate(zip(now, before, strict=True)):
            yield from _differences(*pair, f"{path}[{i}]")
    elif now != before:
        yield f"{path}: {_short(now)} now, {_short(before)} there"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


# Making it again ---------------------------------------------------------------------------------


def _again(design: Design, chunks: list[Chunk]) -> dict[str, pd.DataFrame]:
    parts: dict[str, list[pd.DataFrame]] = {kind: [] for kind in COMPARED}
    for chunk in chunks:
        say(f"{chunk.step}: {len(chunk.pieces)} pieces")
        for kind, rows in computed(design, chunk).items():
            if kind in parts:
                parts[kind].append(frame(kind, rows))
    return {kind: gather(design, kind, own) for kind, own in parts.items()}


def _part(table: pd.DataFrame, kind: str, chunks: list[Chunk]) -> pd.DataFrame:
    """The published rows of the pieces of chunks that make the kind."""
    makes = [chunk for chunk in chunks if kind in MADE_BY[STEPS[chunk.step].makes]]
    return of_pieces(table, [piece for chunk in makes for piece in chunk.pieces])


# What is said ------------------------------------------------------------------------------------


def _changes(record: Mapping[str, Any], chunks: list[Chunk]) -> list[str]:
    """What is other here than where the published rows were made, and may change a last digit."""
    here = environment()
    names = ("numba", "numpy", "nutpie", "pymc", "pytensor", "scipy")
    pairs = {f"processor's {key}": (here["machine"][key], record["machine"].get(key))
             for key in ("system", "processor", "compiled_for", "instructions")}  # fmt: skip
    pairs |= {n: (here["packages"][n], record["packages"].get(n)) for n in names}
    pairs["Python"] = here["python"], record["python"]
    sources = record.get("sources", {})
    pairs |= {f"sources of {c.step}": (c.sources, sources.get(c.step)) for c in chunks}
    return [
        f"{name}: {_shown(now)} here, {_shown(before)} there"
        for name, (now, before) in pairs.items()
        if now != before
    ]


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(value)
    return "not known" if value is None else str(value)


def _notes(folder: Path, record: Mapping[str, Any], chunks: list[Chunk]) -> Iterator[str]:
    revision = record["git"]["revision"]
    yield f"{folder}: made at revision {revision}, digest {record['design']['digest']}"
    if files := damaged(folder):
        yield f"DIFFERENT: edited since it was published, by its sums: {', '.join(files)}"
    changes = _changes(record, chunks)
    yield from changes
    yield (
        "So the last digits may differ." if changes
        else "Processor, versions and sources are the same: so every byte is to be."
    )  # fmt: skip


def _print(design: Design, found: pd.DataFrame) -> None:
    console = Console(width=160, highlight=False, markup=False, emoji=False)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("rows", "column", "pairs", *WORDS, "largest", "for the reason"):
        right = name not in ("rows", "column", "for the reason")
        table.add_column(name, justify="right" if right else "left")
    for row in summary(found).to_dict("records"):
        largest = f"{row['largest']:.2g}" if row["largest"] > 0 else ""
        cells = [str(row[word] or "·") for word in WORDS]
        table.add_row(row["kind"], row["column"], str(row["pairs"]), *cells, largest, row["reason"])
    console.print(table)
    print(
        "largest: the largest difference over what the reason allows; d: twice both ends' distances"
    )
    other = found[found["word"] == DIFFERENT]
    for row in other.head(SHOWN).to_dict("records"):
        names = [row[name] for name in ("scenario", "replicate", "method", "of")]
        key = " ".join(str(name) for name in names if name not in ("", None))
        print(
            f"DIFFERENT {row['kind']} {key} {row['column']}: {row['again']!r}, "
            f"published {row['published']!r}"
        )
    if len(other) > SHOWN:
        print(f"and {len(other) - SHOWN} more")
    counts = found["word"].value_counts()
    held = int(found["z"].notna().sum())
    said = ", ".join(f"{counts[word]:,} {word}" for word in WORDS if word in counts)
    print(f"{design.name}: {len(found):,} pairs: {said}.")
    if held and (found["word"] != IDENTICAL).any():
        print(
            f"Monte Carlo: that any of {held:,} comparisons of one posterior is called different "
            f"has probability {FALSE_ALARM:g}; each may be {critical(held):.2f} errors."
        )
