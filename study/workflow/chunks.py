"""Which jobs a study needs: what it asks of each step, packed into chunks, less what is there.

Packing depends on the design alone. A finished chunk, of this design or of another one, stands for
those of its pieces whose content and sources are what this design's would be; what is left of a
packed chunk is a chunk of its own. So one that is still to be made is the same chunk whatever else
has been finished since.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from study.design import Design
from study.workflow.pieces import RECORD, STEPS, Ask, Chunk, Piece, Span, read_record
from study.workflow.resources import Costs

# Seconds of work, by the rough costs of resources.py, that a chunk is packed up to.
TARGET = 75.0
# The folder of what of a study is published that has its parts, in place of `chunks`; see parts.py.
PARTS = "parts"


class Finished(NamedTuple):
    """A chunk whose rows lie in a folder, with the SHA-256 sums of its files by name."""

    folder: Path
    chunk: Chunk
    files: Mapping[str, str]

    @property
    def is_part(self) -> bool:
        """Whether it is kept as a part of a published study."""
        return self.folder.parents[1].name == PARTS


class Plan(NamedTuple):
    """new: the chunks to be made. used: finished ones, each with the pieces it stands for."""

    new: tuple[Chunk, ...]
    used: tuple[tuple[Finished, tuple[Piece, ...]], ...]


def packed(design: Design, step: str, target: float = TARGET) -> list[list[Span]]:
    """What the design asks of a step, as the spans of each chunk, in the design's order.

    A chunk is closed before it would take more than 5/4 of the target, in seconds; no span holds
    more replicates than the design's `chunk`.
    """
    costs = Costs(design, step)
    chunks: list[list[Span]] = []
    room = 0.0
    for asks in _by_scenario(STEPS[step].asks(design)):
        for spans in _slices(asks, costs, design.chunk, target):
            seconds = sum(costs.seconds(span) for span in spans)
            if not chunks or seconds > room:
                chunks.append([])
                room = 1.25 * target
            chunks[-1] += spans
            room -= seconds
    return chunks


def _by_scenario(asks: Iterable[Ask]) -> Iterator[list[Ask]]:
    found: dict[str, list[Ask]] = defaultdict(list)
    for ask in asks:
        found[ask.scenario].append(ask)
    yield from found.values()


def _slices(asks: Sequence[Ask], costs: Costs, most: int, target: float) -> Iterator[list[Span]]:
    """A scenario's replicates in slices as long as the length and the target let them be."""
    first, total = 0, max(ask.replicates for ask in asks)
    while first < total:
        longer = range(first + 2, min(first + most, total) + 1)

        def seconds(last: int, first: int = first) -> float:
            return sum(map(costs.seconds, _spans(asks, first, last)))

        last = first + 1 + bisect_right(longer, target, key=seconds)
        yield _spans(asks, first, last)
        first = last


def _spans(asks: Sequence[Ask], first: int, last: int) -> list[Span]:
    """Replicates first to last - 1 of a scenario by all methods that have them."""
    methods: dict[int, list[str]] = defaultdict(list)
    for ask in asks:
        if ask.replicates > first:
            methods[min(last, ask.replicates)].append(ask.method)
    return [
        Span(asks[0].scenario, first, end, tuple(filter(None, own))) for end, own in methods.items()
    ]


def plan(design: Design, finished: Iterable[Finished], target: float = TARGET) -> Plan:
    """The chunks to be made, and the finished ones that are used, those that come first sooner."""
    new: list[Chunk] = []
    used: dict[Path, tuple[Finished, list[Piece]]] = {}
    there = _by_cell(finished)
    for step in STEPS:
        spans = packed(design, step, target)
        sources = STEPS[step].digest() if spans else ""
        for chunk in (Chunk.of(design, step, sources, own) for own in spans):
            left: list[Piece] = []
            for piece in chunk.pieces:
                gaps = [(piece.first, piece.last)]
                for one, first, last in there.get(_cell(chunk, piece), ()):
                    for a, b in _overlaps(gaps, first, last):
                        own = used.setdefault(one.folder, (one, []))[1]
                        own.append(piece._replace(first=a, last=b))
                    gaps = _without(gaps, first, last)
                left += (piece._replace(first=a, last=b) for a, b in gaps)
            if left:
                new.append(Chunk(step, sources, tuple(left)))
    return Plan(tuple(new), tuple((one, tuple(pieces)) for one, pieces in used.values()))


def _cell(chunk: Chunk, piece: Piece) -> tuple[str, ...]:
    return chunk.step, chunk.sources, piece.scenario, piece.method, piece.content


def _by_cell(
    finished: Iterable[Finished],
) -> Mapping[tuple[str, ...], Sequence[tuple[Finished, int, int]]]:
    found = defaultdict(list)
    for one in finished:
        for piece in one.chunk.pieces:
            found[_cell(one.chunk, piece)].append((one, piece.first, piece.last))
    return found


def _overlaps(gaps: Iterable[tuple[int, int]], first: int, last: int) -> list[tuple[int, int]]:
    return [(max(a, first), min(b, last)) for a, b in gaps if max(a, first) < min(b, last)]


def _without(gaps: Iterable[tuple[int, int]], first: int, last: int) -> list[tuple[int, int]]:
    ends = (pair for a, b in gaps for pair in ((a, min(b, first)), (max(a, last), b)))
    return [(a, b) for a, b in ends if a < b]


def finished(results: Path, name: str) -> list[Finished]:
    """All finished chunks below a folder of results, those of the design of that name first.

    Its own parts come before all, and those of other designs are not among them: what others
    published was perhaps made elsewhere.
    """
    parts = sorted(results.glob(f"published/{name}/{PARTS}/*/*/{RECORD}"))
    records = sorted(
        results.glob(f"*/chunks/*/*/{RECORD}"),
        key=lambda file: (file.parents[3].name != name, file),
    )
    read = ((file.parent, read_record(file)) for file in (*parts, *records))
    return [Finished(folder, *record) for folder, record in read if record is not None]


def write_new(new: Iterable[Chunk], file: Path) -> None:
    """Keep which chunks a run makes, for the processes of its jobs on other machines."""
    words = [[chunk.step, *map(str, chunk.spans())] for chunk in new]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(words, indent=1) + "\n", encoding="utf-8")


def read_new(design: Design, file: Path) -> tuple[Chunk, ...]:
    """What `write_new` kept, of the design and the sources as they are now."""
    words = json.loads(file.read_text(encoding="utf-8"))
    return tuple(
        Chunk.of(design, step, STEPS[step].digest(), map(Span.of, spans)) for step, *spans in words
    )
