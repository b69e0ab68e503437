"""What is computed, in pieces, and what the rows of each depend on.

A piece is one step's work on replicates of a scenario, by a method or without one. Its content is
a digest of what its rows depend on in the design; a chunk, which is a job, is pieces of a step
with the digest of the step's sources. Jobs load this; how pieces are packed into chunks, which
changes no row, is in chunks.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from models import METHODS
from models.criteria import CRITERIA
from models.methods import OPTIMISERS, SAMPLERS
from study.design import DataSet, Design, barred, externals, followed, referred
from study.workflow.sources import ROOT, closure, digest, of_engine

# In the place of a scenario, where it is the calibration's prior; no scenario can have this name.
PRIOR = ".prior"
RECORD = "record.json"
# What serves the scripts of other packages.
PACKAGES = ROOT / "study" / "compute" / "packages"

# What PyMC's methods load when they run, and what is said of their chains.
_CHAINS = ("models.posterior.compiled", "models.posterior.density", "models.labels")
_NUMERIC = of_engine("numeric")
_PYMC = (*of_engine("pymc"), *_CHAINS)


class Ask(NamedTuple):
    """What a design asks of a step: so many replicates of a scenario, by a method or "".

    In the place of a method is a prior, by its name, where priors are compared.
    """

    scenario: str
    method: str
    replicates: int


class Piece(NamedTuple):
    """Replicates first to last - 1 of a scenario by a method or "", and their content."""

    scenario: str
    method: str
    first: int
    last: int
    content: str


class Span(NamedTuple):
    """What is done together: some methods on replicates first to last - 1 of a scenario."""

    scenario: str
    first: int
    last: int
    methods: tuple[str, ...]

    def __str__(self) -> str:
        methods = ",".join(self.methods)
        return f"{self.scenario}:{self.first}-{self.last}" + f":{methods}" * bool(methods)

    @classmethod
    def of(cls, word: str) -> Span:
        """From what str() gives; ValueError if the word is not of that form."""
        found = re.fullmatch(r"([a-z0-9.-]+):(\d+)-(\d+)(?::([a-z0-9,-]+))?", word)
        if found is None:
            raise ValueError(f"{word!r} is no piece; give SCENARIO:FIRST-LAST[:METHOD,...]")
        scenario, first, last, methods = found.groups()
        if int(first) >= int(last):
            raise ValueError(f"{word}: there is no replicate from {first} to before {last}")
        return cls(scenario, int(first), int(last), tuple(methods.split(",")) if methods else ())


# Steps -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """A step of computing.

    makes: its place in `rows.MADE_BY`.
    loads: the modules that it imports when it runs.
    asks: (design) -> what the design asks of it, in the design's order.
    content: (design, scenario, method) -> what in the design its rows depend on, which scenario
        and replicate apart.
    """

    makes: str
    loads: tuple[str, ...]
    asks: Callable[[Design], Iterator[Ask]]
    content: Callable[[Design, str, str], Mapping[str, Any]]

    def sources(self) -> set[Path]:
        """The repository's files that a job of the step loads."""
        return closure(("study.__main__", "study.workflow.job", *self.loads))

    def digest(self) -> str:
        """Of the sources as they are on the disk now."""
        return digest(self.sources())


def _fits(engine: str) -> Callable[[Design], Iterator[Ask]]:
    def asks(design: Design) -> Iterator[Ask]:
        for unit in design.units():
            for method, count in design.replicates_of(unit).items():
                if METHODS[method].engine == engine and count:
                    yield Ask(unit.name, method, count)

    return asks


def _of_units(counted: Callable[[Design, Any], int]) -> Callable[[Design], Iterator[Ask]]:
    def asks(design: Design) -> Iterator[Ask]:
        for unit in design.units():
            if count := counted(design, unit):
                yield Ask(unit.name, "", count)

    return asks


def _remedied(design: Design) -> Iterator[Ask]:
    if design.remedies is not None:
        for name in design.remedies.scenarios:
            yield Ask(name, "", design.remedies.replicates)


def _under_priors(design: Design) -> Iterator[Ask]:
    if design.priors is not None:
        for name in design.priors.scenarios:
            for prior in design.priors.compared:
                yield Ask(name, prior.name, design.priors.replicates)


def _begun(design: Design) -> Iterator[Ask]:
    if design.starts is not None:
        for name in design.starts.scenarios:
            yield Ask(name, "", design.starts.replicates)


def _calibrated(design: Design) -> Iterator[Ask]:
    if design.calibration is not None:
        for method in design.calibration.methods:
            yield Ask(PRIOR, method, design.calibration.replicates)


def _chosen(posterior: bool) -> Callable[[Design], Iterator[Ask]]:
    """By the criteria that need a posterior, or by those that need none."""

    def asks(design: Design) -> Iterator[Ask]:
        for unit in design.units():
            for name, count in design.choice_of(unit).items():
                if (CRITERIA[name].needs == "posterior") == posterior:
                    yield Ask(unit.name, name, count)

    return asks


def _true(design: Design) -> Iterator[Ask]:
    for scenario in design.all_scenarios():
        yield Ask(scenario.name, "", 1)


def _external(design: Design) -> Iterator[Ask]:
    for unit in design.units():
        for method, count in externals(design, unit).items():
            yield Ask(unit.name, method, count)


def _nothing(design: Design, scenario: str, method: str) -> Mapping[str, Any]:
    return {}


def _of_fit(design: Design, scenario: str, method: str) -> Mapping[str, Any]:
    return {"level": design.level, "options": design.options.get(method, {})}


def _of_following(design: Design, scenario: str, method: str) -> Mapping[str, Any]:
    methods = design.replicates_of(design.scenario(scenario))
    return {"methods": [(m, design.options.get(m, {})) for m in methods if m in OPTIMISERS]}


def _of_remedies(design: Design, scenario: str, method: str) -> Mapping[str, Any]:
    samplers = ("nuts", "nuts-ordered")
    return {"level": design.level, "options": [design.options.get(m, {}) for m in samplers]}


def _of_choice(design: Design, scenario: str, method: str) -> Mapping[str, Any]:
    return {"ks": design.ks_of(design.scenario(scenario))}


def _of_named_prior(design: Design, scenario: str, method: str) -> Mapping[str, Any]:
    assert design.priors is not None  # or nothing would be asked
    prior = design.priors.named(method).model_dump(mode="json")
    return {"level": design.level, "options": design.options.get("nuts", {}), "prior": prior}


def _of_prior(design: Design, scenario: str, method: str) -> Mapping[str, Any]:
    spec = design.calibration
    assert spec is not None  # or nothing would be asked
    shared = spec.model_dump(mode="json", exclude={"replicates", "methods", "options"})
    return {"prior": shared, "options": spec.options.get(method, {})}


def _of_external(design: Design, scenario: str, method: str) -> Mapping[str, Any]:
    """With the script, and with what serves it, which no import tells of."""
    own = design.external_of(method)
    apart = {"script", "label", "asked", "aims", "replicates", "scenarios", "orders", "seconds"}
    apart |= {"common_sds"}
    shown = own.model_dump(mode="json", exclude=apart)
    served = [(PACKAGES / f"serve{own.script.suffix}").read_bytes(), own.script.read_bytes()]
    sums = [hashlib.sha256(one).hexdigest() for one in served]
    return {"level": design.level, "external": shown, "sums": sums}


STEPS: dict[str, Step] = {
    "truths": Step("truths", ("study.compute.truths", *_NUMERIC), _true, _nothing),
    "numeric": Step("fit", ("study.compute.chunk", *_NUMERIC), _fits("numeric"), _of_fit),
    "pymc": Step(
        "fit",
        ("study.compute.chunk", "study.compute.switching", *_PYMC),
        _fits("pymc"),
        _of_fit,
    ),
    "barrier": Step("barrier", ("study.compute.switching", *_NUMERIC), _of_units(barred), _nothing),
    "follow": Step(
        "follow",
        ("study.compute.follow", *_NUMERIC),
        _of_units(followed),
        _of_following,
    ),
    "begin": Step("begin", ("study.compute.beginnings", *_NUMERIC), _begun, _of_following),
    "calibrate": Step("calibrate", ("study.compute.calibration", *_PYMC), _calibrated, _of_prior),
    "remedies": Step("remedies", ("study.compute.remedies", *_PYMC), _remedied, _of_remedies),
    "choose": Step("choose", ("study.compute.selection", *_NUMERIC), _chosen(False), _of_choice),
    "evidence": Step(
        "choose", ("study.compute.selection", *_NUMERIC, *_PYMC), _chosen(True), _of_choice
    ),
    "priors": Step("priors", ("study.compute.priors", *_PYMC), _under_priors, _of_named_prior),
    "external": Step("external", ("study.compute.external", *_NUMERIC), _external, _of_external),
    "refer": Step("refer", ("study.compute.references", *_PYMC), _of_units(referred), _nothing),
}


# Contents ----------------------------------------------------------------------------------------


def cut(design: Design, step: str, span: Span) -> Iterator[Piece]:
    """The pieces of a span; within one, all replicates have the same content."""
    for method in span.methods or ("",):
        turns = _turns(design, step, span.scenario, method)
        ends = sorted({span.first, span.last, *(t for t in turns if span.first < t < span.last)})
        for first, last in pairwise(ends):
            content = _content(design, step, span.scenario, method, first)
            yield Piece(span.scenario, method, first, last, content)


def _turns(design: Design, step: str, scenario: str, method: str) -> tuple[int, ...]:
    """Replicates from which on a method's fits are asked for something else."""
    if step == "external":
        wanted_orders = design.external_of(method).orders
        return (0 if wanted_orders is None else wanted_orders.replicates,)
    if STEPS[step].makes != "fit":
        return ()
    wanted = design.intervals_of(design.scenario(scenario))
    intervals = wanted.replicates if method in wanted.methods else 0
    return intervals, design.keep_draws if method in SAMPLERS else 0


def _content(design: Design, step: str, scenario: str, method: str, replicate: int) -> str:
    parts = {"seed": design.seed, "method": method}
    parts |= STEPS[step].content(design, scenario, method)
    if scenario != PRIOR:
        parts["unit"] = _unit(design, scenario)
    if STEPS[step].makes == "fit":
        intervals, kept = _turns(design, step, scenario, method)
        refits = design.intervals_of(design.scenario(scenario)).refits
        parts["intervals"] = {"refits": refits} if replicate < intervals else None
        parts["kept"] = replicate < kept
    if step == "external" and replicate < _turns(design, step, scenario, method)[0]:
        parts["orders"] = design.external_of(method).model_dump(mode="json")["orders"]["most"]
    return _short(parts)


def _unit(design: Design, scenario: str) -> Mapping[str, Any]:
    """What a scenario's data sets and its model depend on: no titles, no numbers of replicates."""
    unit = design.scenario(scenario)
    apart = {"title", "unit", "source", "file", "methods", "replicates", "intervals", "choice"}
    labels = {"separation", "weight", "sd_ratio"}
    shown = unit.model_dump(mode="json", exclude=apart | labels)
    return shown | {"file": unit.contents()} if isinstance(unit, DataSet) else shown


def _short(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


# Chunks ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chunk:
    """One job: pieces of a step, and the digest of the sources that make their rows."""

    step: str
    sources: str
    pieces: tuple[Piece, ...]

    @classmethod
    def of(cls, design: Design, step: str, sources: str, spans: Iterable[Span]) -> Chunk:
        """The chunk of such spans; ValueError if the design does not ask the step for them."""
        asked = {(a.scenario, a.method): a.replicates for a in STEPS[step].asks(design)}
        pieces: list[Piece] = []
        for span in spans:
            for method in span.methods or ("",):
                if span.last > asked.get((span.scenario, method), 0):
                    raise ValueError(f"{span}: {design.name} does not ask {step} for it")
            pieces += cut(design, step, span)
        return cls(step, sources, tuple(_joined(pieces)))

    @property
    def digest(self) -> str:
        """Sixteen hex digits of all that the chunk's rows depend on."""
        return _short([self.step, self.sources, sorted(self.pieces)])

    @property
    def place(self) -> str:
        """Its folder, below that of all chunks."""
        return f"{self.step}/{self.digest}"

    def replicates(self) -> dict[str, dict[str, list[int]]]:
        """By scenario and method: what is to be done, in order."""
        found: dict[str, dict[str, list[int]]] = {}
        for piece in self.pieces:
            own = found.setdefault(piece.scenario, {}).setdefault(piece.method, [])
            own += range(piece.first, piece.last)
        return found

    def spans(self) -> tuple[Span, ...]:
        """The pieces in as few words: methods with the same replicates together."""
        ends: dict[tuple[str, str], list[list[int]]] = {}
        for piece in self.pieces:
            own = ends.setdefault(piece[:2], [])
            if own and own[-1][1] == piece.first:
                own[-1][1] = piece.last
            else:
                own.append([piece.first, piece.last])
        methods: dict[tuple[str, int, int], list[str]] = {}
        for (scenario, method), ranges in ends.items():
            for first, last in ranges:
                methods.setdefault((scenario, first, last), []).append(method)
        return tuple(Span(*of, tuple(filter(None, own))) for of, own in methods.items())


def _joined(pieces: Iterable[Piece]) -> list[Piece]:
    """The same, with pieces of one content that follow each other as one."""
    found: list[Piece] = []
    at: dict[tuple[str, str, str, int], int] = {}
    for piece in pieces:
        key = (piece.scenario, piece.method, piece.content)
        i = at.pop((*key, piece.first), len(found))
        found[i : i + 1] = [piece._replace(first=found[i].first) if i < len(found) else piece]
        at[(*key, piece.last)] = i
    return found


def write_record(folder: Path, chunk: Chunk, files: Mapping[str, str], made_by: Any) -> None:
    """Say what the rows in a folder are: whole or not at all, for a folder without it is unmade.

    files: SHA-256 sums by name; made_by: versions, which nothing is held against.
    """
    record = {"step": chunk.step, "sources": chunk.sources, "pieces": chunk.pieces}
    text = json.dumps(record | {"files": files, "made_by": made_by}, indent=1)
    half = folder / f".{RECORD}.{os.getpid()}"
    half.write_text(text + "\n", encoding="utf-8")
    half.replace(folder / RECORD)


def read_record(file: Path) -> tuple[Chunk, dict[str, str]] | None:
    """The chunk of a record and its files' sums; None if it is not whole, or not its folder's."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        pieces = tuple(Piece(*piece) for piece in record["pieces"])
        chunk, files = Chunk(record["step"], record["sources"], pieces), dict(record["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (chunk, files) if file.parent.name == chunk.digest else None
