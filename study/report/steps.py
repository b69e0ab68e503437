"""The workflow's steps that present: from gathered rows to the files that a reader opens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from study.design import Design
from study.rows import read


def tables(
    design: Design,
    *,
    rows: Annotated[Path, "folder that gather wrote"],
    out: Annotated[Path, "folder"],
    only: Annotated[str, "one of them, by its name"] = "",
) -> None:
    """Make the tables."""
    from study.report.contents import tables_of
    from study.report.external import LONG as OF_PACKAGES
    from study.report.findings import findings
    from study.report.performance import LONG
    from study.report.write import write, write_sums

    out.mkdir(parents=True, exist_ok=True)
    results, source, made = read(design, rows), design.stamp(), {}
    shown, long = tables_of(design), {**LONG, **(OF_PACKAGES if design.external else {})}
    for table in _chosen(shown, only):
        made[table.name] = table.make(results)
        none = table.nothing(design)
        write(made[table.name], table.caption, out / table.name, source, none)
    if only:
        return
    for name, make in long.items():
        make(results).to_csv(out / f"{name}.csv", index=False, lineterminator="\n")
    lasting = [table.name for table in shown if not table.timed]
    write_sums([out / f"{name}.csv" for name in (*lasting, *long)], out / "csv.sha256", source)
    text = findings(design, made["guide"], made["verdicts"])
    (out / "findings.rst").write_text(text, encoding="utf-8")


def figures(
    design: Design,
    *,
    rows: Annotated[Path, "folder that gather wrote"],
    out: Annotated[Path, "folder"],
    only: Annotated[str, "one of them, by its name"] = "",
) -> None:
    """Draw the figures."""
    from study.report.contents import figures_of
    from study.report.write import save

    out.mkdir(parents=True, exist_ok=True)
    results = read(design, rows)
    for figure in _chosen(figures_of(design), only):
        save(figure.make(results), out / figure.name, design.stamp())


def paper(
    design: Design,
    *,
    tables: Annotated[Path, "folder of the tables"],
    figures: Annotated[Path, "folder of the figures"],
    out: Annotated[Path, "folder"],
) -> None:
    """Make what a manuscript takes: figures, tables, macros."""
    from study.report.paper import write_paper

    write_paper(design, tables, figures, out)


def _chosen(exhibits: Sequence[Any], name: str) -> Sequence[Any]:
    chosen = [exhibit for exhibit in exhibits if name in ("", exhibit.name)]
    if not chosen:
        known = ", ".join(exhibit.name for exhibit in exhibits)
        raise ValueError(f"--only: there is no {name!r}; choose from {known}")
    return chosen
