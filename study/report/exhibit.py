"""What a study shows: a table or a figure with its name, its place in the report and a caption."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from study.design import Design
    from study.rows import Results

CAPTIONS = Path(__file__).parent / "captions"
# The file beside exhibits with what each of them shows in a sentence, by name.
FOUND = "found.json"
# What a table of too many rows is summed up over first, for readers.
OVER = ("scenario", "group", "component", "quantity", "parameter")


def emphasised(text: str, plain: Callable[[str], str], left: str, right: str) -> str:
    """The text in a form of its own, what stands between two pairs of asterisks within left, right.

    plain: what makes a part of it that form.
    """
    parts = [part.strip() for part in text.split("**")]
    shown = [f"{left}{plain(p)}{right}" if i % 2 else plain(p) for i, p in enumerate(parts) if p]
    return " ".join(shown)


def read_found(*folders: Path) -> dict[str, str]:
    """What the exhibits in these folders show, by name; none where a folder does not say."""
    said: dict[str, str] = {}
    for file in (folder / FOUND for folder in folders):
        if file.is_file():
            said |= json.loads(file.read_text(encoding="utf-8"))
    return said


type Reason = Callable[[Design], str]
type Finding = Callable[[Results], str]
type Table = Exhibit[Results, pd.DataFrame]
type Drawing = Exhibit[Results, Figure]


@dataclass(frozen=True)
class Exhibit[Rows, Made]:
    """How a table (a DataFrame) or a figure is made of rows.

    name: of its files and of its caption in study/report. category: where the report has it.
    timed: whether it holds seconds, which no two runs share. lacks: what it needs of a design, each
    a sentence that says so where the design lacks it. none: what it means if there are no rows of
    what the design has. finding: (rows) -> what the caption begins with, in bold.
    """

    name: str
    title: str
    category: str
    make: Callable[[Rows], Made]
    timed: bool = False
    lacks: tuple[Reason, ...] = ()
    none: str = ""
    over: tuple[str, ...] = OVER
    finding: Callable[[Rows], str] | None = None

    def found(self, rows: Rows) -> str:
        """What it shows in a sentence, computed from the rows; no words where there is none."""
        return "" if self.finding is None else self.finding(rows)

    def caption_with(self, found: str) -> str:
        """The caption behind what it shows, in bold by asterisks."""
        return f"**{found}** {self.caption}" if found else self.caption

    def lacking(self, design: Design) -> str:
        """What it needs and the design does not have, if there is such a thing."""
        return next(filter(None, (lack(design) for lack in self.lacks)), "")

    def nothing(self, design: Design) -> str:
        """Why it may have nothing to show; no words if it must have something."""
        return self.lacking(design) or self.none

    @property
    def caption(self) -> str:
        """One paragraph of plain text."""
        text = (CAPTIONS / f"{self.name}.rst").read_text(encoding="utf-8")
        return " ".join(text.split())


def tabular(
    name: str,
    title: str,
    category: str,
    make: Callable[[Results], pd.DataFrame],
    *lacks: Reason,
    none: str = "",
    timed: bool = False,
    over: tuple[str, ...] = OVER,
    finding: Finding | None = None,
) -> Table:
    """A table of a study."""
    return Exhibit(name, title, category, make, timed, lacks, none, over, finding)
