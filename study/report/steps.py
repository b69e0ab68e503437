"""The workflow's steps that present: from gathered rows to the files that a reader opens."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from study.design import Design
from study.report.exhibit import FOUND
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
    from study.report.findings import findings, restructured
    from study.report.performance import LONG
    from study.report.write import write, write_sums

    out.mkdir(parents=True, exist_ok=True)
    results, source = read(design, rows), design.stamp()
    made, said = {}, {}
    shown, long = tables_of(design), {**LONG, **(OF_PACKAGES if design.external else {})}
    for table in _chosen(shown, only):
        made[table.name] = table.make(results)
        none = table.nothing(design)
        said[table.name] = table.found(results)
        caption = table.caption_with(said[table.name])
        write(made[table.name], caption, out / table.name, source, none, table.over)
    if only:
        return
    _keep(said, out)
    for name, make in long.items():
        make(results).to_csv(out / f"{name}.csv", index=False, lineterminator="\n")
    lasting = [table.name for table in shown if not table.timed]
    write_sums([out / f"{name}.csv" for name in (*lasting, *long)], out / "csv.sha256", source)
    text = restructured(design, findings(design, made))
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
    results, said = read(design, rows), {}
    for figure in _chosen(figures_of(design), only):
        save(figure.make(results), out / figure.name, design.stamp())
        said[figure.name] = figure.found(results)
    if not only:
        _keep(said, out)


def paper(
    design: Design,
    *,
    tables: Annotated[Path, "folder of the tables"],
    figures: Annotated[Path, "folder of the figures"],
    provenance: Annotated[Path, "file that provenance wrote"],
    out: Annotated[Path, "folder"],
) -> None:
    """Make what a manuscript takes: figures, tables, macros."""
    from study.report.paper import write_paper

    record = json.loads(provenance.read_text(encoding="utf-8"))
    write_paper(design, tables, figures, record["packages"], out)


def index(
    design: Design,
    *,
    tables: Annotated[Path, "folder of the tables"],
    figures: Annotated[Path, "folder of the figures"],
    provenance: Annotated[Path, "file that provenance wrote"],
    out: Annotated[Path, "folder"],
) -> None:
    """Make the page of a study, index.html, and its findings, findings.md."""
    from study.report.index import write_index

    write_index(design, tables, figures, provenance, out)


def _keep(said: Mapping[str, str], out: Path) -> None:
    """What each exhibit shows in a sentence, for who has its file and not the rows."""
    text = json.dumps(said, indent=1, ensure_ascii=False)
    (out / FOUND).write_text(text + "\n", encoding="utf-8")


def _chosen(exhibits: Sequence[Any], name: str) -> Sequence[Any]:
    chosen = [exhibit for exhibit in exhibits if name in ("", exhibit.name)]
    if not chosen:
        known = ", ".join(exhibit.name for exhibit in exhibits)
        raise ValueError(f"--only: there is no {name!r}; choose from {known}")
    return chosen
