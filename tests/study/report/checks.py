"""What is asserted of exhibits of made-up rows and of a real run's folders alike."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from study.design import Design
from study.report.contents import FIGURES, TABLES


def unexplained(design: Design, tables: Path, figures: Path | None = None) -> list[str]:
    """Exhibits in these folders that show nothing, though the design has it or no word says why."""
    found = []
    for table in TABLES:
        why = table.nothing(design)
        text = (tables / f"{table.name}.md").read_text(encoding="utf-8")
        empty = pd.read_csv(tables / f"{table.name}.csv").empty
        if empty and (not why or f"No rows. {why}" not in text):
            found.append(table.name)
    for figure in FIGURES if figures else ():
        assert figures is not None
        drawn = (figures / f"{figure.name}.svg").read_text(encoding="utf-8")
        if '<g id="nothing">' in drawn and not figure.nothing(design):
            found.append(figure.name)
    return found
