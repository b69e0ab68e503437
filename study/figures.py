"""Figures of a study: each a function from the gathered rows to a matplotlib Figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from study.tables import Results

STYLE = Path(__file__).parent / "paper.mplstyle"


@dataclass(frozen=True)
class Exhibit:
    """name: of its files and of its caption in study/report. category: where the report has it."""

    name: str
    title: str
    category: str
    draw: Callable[[Results], Figure]


FIGURES: tuple[Exhibit, ...] = ()


def save(figure: Figure, stem: Path) -> None:
    """stem.pdf, stem.svg and stem.png (300 dpi), the same bytes on every run."""
    with mpl.rc_context({"svg.hashsalt": stem.name}):
        figure.savefig(stem.with_suffix(".pdf"), metadata={"CreationDate": None})
        figure.savefig(stem.with_suffix(".svg"), metadata={"Date": None})
        figure.savefig(stem.with_suffix(".png"), metadata={"Software": None}, dpi=300)
