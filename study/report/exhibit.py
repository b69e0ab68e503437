"""What a study shows: a table or a figure with its name, its place in the report and a caption."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from study.rows import Results

CAPTIONS = Path(__file__).parent / "captions"

type Table = Exhibit[Results, pd.DataFrame]
type Drawing = Exhibit[Results, Figure]


@dataclass(frozen=True)
class Exhibit[Rows, Made]:
    """How a table (a DataFrame) or a figure is made of rows.

    name: of its files and of its caption in study/report. category: where the report has it.
    timed: whether it holds seconds, which no two runs share.
    """

    name: str
    title: str
    category: str
    make: Callable[[Rows], Made]
    timed: bool = False

    @property
    def caption(self) -> str:
        """One paragraph of plain text."""
        text = (CAPTIONS / f"{self.name}.rst").read_text(encoding="utf-8")
        return " ".join(text.split())
