"""A part of a published study, made again by the jobs' own code, and held against that.

The part is drawn by a seed: some scenarios, of each some replicates by every optimiser, MAP and
other package, and by the criteria for the number of components that need no posterior, and one by
each sampler; and the targets of those scenarios. What takes a posterior of its own beside NUTS'
(other criteria and priors, packages that sample) is one data set of one of the scenarios.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from models import METHODS
from models.criteria import CRITERIA
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
from study.workflow.provenance import environment, without_places
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
    there = {kind: _published(folder, kind) for kind in COMPARED}
    spans = drawn(design, record, there, seed, scenarios, replicates)
    chunks = [Chunk.of(design, s, STEPS[s].digest(), own) for s, own in spans.items() if own]
    for note in _notes(folder, record, chunks):
        print(note)
    names = dict.fromkeys(span.scenario for own in spans.values() for span in own)
    fits = sum(max(len(span.methods), 1) for own in spans.values() for span in own)
    print(f"Drawn by seed {seed}: {fits} pieces of {', '.join(names)}", flush=True)
    again = _again(design, chunks)
    own = {kind: _part(there[kind], kind, chunks) for kind in COMPARED}
    found = compare(own, again, same=not _changes(record, chunks))
    _print(design, found)
    return int((found["word"] == DIFFERENT).any() or bool(damaged(folder)))


# What is drawn -----------------------------------------------------------------------------------


def drawn(
    design: Design,
    record: Mapping[str, Any],
    rows: Mapping[str, pd.DataFrame],
    seed: int,
    scenarios: int,
    replicates: int,
) -> dict[str, list[Span]]:
    """By step, the spans that are made again, of the rows that are published.

    ValueError if the design would not make what was published: of what it is made says what is
    other.
    """
    _check_same(design, record)
    rng = np.random.default_rng(seed)
    counts = {step: _counts(step, rows) for step in _MADE_BY}
    known = {scenario for own in counts.values() for scenario in own}
    units = [unit for unit in design.units() if unit.name in known]
    spans: dict[str, list[Span]] = {step: [] for step in STEPS_AGAIN}
    for at in np.sort(rng.permutation(len(units))[:scenarios]).tolist():
        unit = units[at]
        if not isinstance(unit, DataSet):
            spans["truths"].append(Span(unit.name, 0, 1, ()))
        for step, found in counts.items():
            own = found.get(unit.name, {})
            single = {m for m in own if m in SAMPLERS or _is_long(step, m, rows)}
            done = {m for span in spans[step] for m in span.methods} - set(SAMPLERS)
            usual = {m: count for m, count in own.items() if m not in single}
            most = max(usual.values(), default=0)
            for i in np.sort(rng.permutation(most)[:replicates]).tolist():
                names = tuple(m for m, count in usual.items() if i < count)
                spans[step].append(Span(unit.name, i, i + 1, names))
            for method in (m for m in own if m in single - done):
                i = int(rng.integers(own[method]))
                spans[step].append(Span(unit.name, i, i + 1, (method,)))
    return spans


# By step: the kind of which it makes a row a data set and method, and which methods are its own.
_MADE_BY: dict[str, tuple[str, str, Callable[[str], bool]]] = {
    "numeric": ("fits", "method", lambda m: METHODS[m].engine == "numeric"),
    "pymc": ("fits", "method", lambda m: METHODS[m].engine == "pymc"),
    "choose": ("choices", "criterion", lambda m: m in CRITERIA and not _needs_posterior(m)),
    "evidence": ("choices", "criterion", lambda m: m in CRITERIA and _needs_posterior(m)),
    "priors": ("prior_fits", "prior", lambda m: True),
    "external": ("external", "method", lambda m: True),
}


def _needs_posterior(criterion: str) -> bool:
    return CRITERIA[criterion].needs == "posterior"


def _counts(step: str, rows: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, int]]:
    """By scenario and method, of how many data sets there are rows."""
    kind, by, is_own = _MADE_BY[step]
    found: dict[str, dict[str, int]] = {}
    last = rows[kind].groupby(["scenario", by], sort=False)["replicate"].max()
    for scenario, method, replicate in last.reset_index().itertuples(index=False):
        if is_own(method):
            found.setdefault(scenario, {})[method] = replicate + 1
    return found


def _is_long(step: str, method: str, rows: Mapping[str, pd.DataFrame]) -> bool:
    """Whether it takes a posterior of its own."""
    if step == "external":
        return method in set(rows["external_chains"]["method"])
    return step in ("evidence", "priors")


def _published(folder: Path, kind: str) -> pd.DataFrame:
    """Without rows, where the kind is none that was published."""
    file = folder / "rows" / f"{kind}.parquet"
    return pd.read_parquet(file) if file.is_file() else frame(kind, [])


def _check_same(design: Design, record: Mapping[str, Any]) -> None:
    """ValueError if the design is another one than what is published was made from."""
    if design.digest() == record["design"]["digest"]:
        return
    now = without_places(design)
    before = {key: value for key, value in record["design"].items() if key != "digest"}
    other = next(_differences(now, before), "what is in its data files or scripts")
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
