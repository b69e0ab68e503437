"""What a manuscript takes from a study: vector figures, tables, numbers as macros, the methods.

All of it goes over the registries of contents.py, so that what is added there is here as well.
Every file says which design it is of.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from study.design import Design
from study.report.ademp import ademp
from study.report.contents import figures_of, tables_of
from study.report.exhibit import Drawing
from study.report.findings import certified_shares, error_in_points
from study.report.style import SINGLE
from study.report.write import TEXT_WIDTH, escaped, for_readers, latex_width

# Columns of numbers that tell rows apart; text does so anyway.
PLACES = {"component", "k", "target", "level", "weight", "sd_ratio", "n"}


def write_paper(design: Design, tables: Path, figures: Path, folder: Path) -> None:
    """folder/figures, folder/tables, macros.tex, methods.tex, example.tex and README.md.

    tables, figures: the folders that hold the study's. Nothing is computed or drawn anew.
    """
    for name in ("figures", "tables"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    source = design.stamp()
    made = {table.name: read_table(tables / f"{table.name}.csv") for table in tables_of(design)}
    for table in tables_of(design):
        shutil.copyfile(tables / f"{table.name}.tex", folder / "tables" / f"{table.name}.tex")
        alone = _ALONE.format(
            source=source, width=max(21.0, 4.0 + latex_width(made[table.name])), name=table.name
        )
        (folder / "tables" / f"{table.name}-alone.tex").write_text(alone, encoding="utf-8")
    drawn = []
    for figure in figures_of(design):
        file = folder / "figures" / f"{figure.name}.pdf"
        shutil.copyfile(figures / file.name, file)
        drawn.append(Drawn(figure, pdf_size(file)))
    texts = {
        "macros.tex": macros(design, made),
        "methods.tex": "\n\n".join(escaped(text) for text in ademp(design)) + "\n",
        "example.tex": example(drawn, made),
    }
    for name, text in texts.items():
        (folder / name).write_text(f"% {source}\n{text}", encoding="utf-8")
    (folder / "README.md").write_text(index(design, drawn, made, source), encoding="utf-8")


def read_table(file: Path) -> pd.DataFrame:
    """A table from its CSV file, as it was written."""
    return pd.read_csv(file, keep_default_na=False, na_values=[""])


class Drawn(NamedTuple):
    """A figure, and its width and height in inches."""

    exhibit: Drawing
    size: tuple[float, float]


def pdf_size(file: Path) -> tuple[float, float]:
    """Width and height of the first page, in inches."""
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", file.read_bytes())
    if box is None:
        raise ValueError(f"{file}: has no page; delete it, and it is drawn again")
    return float(box[1]) / 72.0, float(box[2]) / 72.0


_ALONE = r"""%% {source}
\documentclass{{article}}
\usepackage[paperwidth={width:.1f}cm,paperheight=29.7cm,margin=2cm]{{geometry}}
\usepackage{{booktabs,longtable}}
\pagestyle{{empty}}
\makeatletter\setlength\@fptop{{0pt}}\makeatother
\begin{{document}}
\input{{{name}}}
\end{{document}}
""".replace("%%", "%")


_MACROS = r"""
% \mix{KEY} is a number and \mixse{KEY} its Monte Carlo standard error, both cut to the second
% digit of the error, or, of a share of 0 or 1 or of few replicates, its 95% Wilson interval;
% \mixboth{KEY} is both, as in the tables. KEY is TABLE/ROW/COLUMN as in
% TABLE.csv: the row by the columns before its first number, and all but letters, digits and points
% as hyphens. An unknown key is an error.
\makeatletter
\newcommand{\mix}[1]{\mix@find{#1}\mix@first}
\newcommand{\mixse}[1]{\mix@find{#1}\mix@second}
\newcommand{\mixboth}[1]{\mix@find{#1}\mix@both}
\newcommand{\mix@first}[2]{#1}
\newcommand{\mix@second}[2]{\ifx\relax#2\relax
  \PackageError{mixture-routes}{this number has no Monte Carlo standard error}{}\else#2\fi}
\newcommand{\mix@both}[2]{#1\ifx\relax#2\relax\else\ (#2)\fi}
\newcommand{\mix@find}[2]{\ifcsname mix@#1\endcsname
  \expandafter\expandafter\expandafter#2\csname mix@#1\endcsname\else
  \PackageError{mixture-routes}{there is no number `#1' in macros.tex}{}\textbf{??}\fi}
\newcommand{\mix@is}[2]{\expandafter\def\csname mix@#1\endcsname{#2}}
"""


def macros(design: Design, made: dict[str, pd.DataFrame]) -> str:
    """Definitions: short names for the study's headline numbers, keys for those of its tables."""
    short = [rf"\newcommand{{\mix{name}}}{{{text}}}" for name, text in headlines(design, made)]
    keyed = [
        rf"\mix@is{{{key}}}{{{{{escaped(value)}}}{{{error}}}}}"
        for name, table in made.items()
        for key, value, error in numbers(name, table)
    ]
    return "\n".join([*short, _MACROS.strip(), *keyed, r"\makeatother"]) + "\n"


def headlines(design: Design, made: dict[str, pd.DataFrame]) -> Iterator[tuple[str, str]]:
    """(letters, text): what the study is, and what it found by method and over the grid."""
    counts = [design.replicates_of(unit) for unit in design.units()]
    yield "Design", escaped(design.name)
    yield "Digest", design.digest()
    yield "Seed", str(design.seed)
    yield "Level", f"{100 * design.level:g}\\%"
    yield "Fits", f"{sum(sum(by_method.values()) for by_method in counts):,}"
    yield "DataSets", f"{sum(max(by_method.values(), default=0) for by_method in counts):,}"
    yield "Scenarios", str(len(design.all_scenarios()))
    yield "RealDataSets", str(len(design.data))
    for method, replicates in design.replicates.items():
        yield f"Replicates{_letters(method)}", str(replicates)
    for method, share in certified_shares(design, made["verdicts"]).items():
        yield f"Certified{_letters(method)}", f"{100 * share.value:.1f}\\%"
        yield f"Certified{_letters(method)}Error", f"{error_in_points(share)}\\%"


def _letters(method: str) -> str:
    return "".join(part.capitalize() for part in method.split("-"))


def numbers(name: str, table: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    """(key, value, standard error or nothing) of every finite number of a table.

    Raises ValueError if two of them have one key.
    """
    columns = [str(column) for column in table.columns]
    places = []
    for column in columns:
        if column not in PLACES and _measured(table[column]):
            break
        places.append(column)
    rows = ["/".join([name, *map(_slug, row)]) for row in table[places].itertuples(index=False)]
    if len(set(rows)) < len(rows):
        raise ValueError(f"table {name}: {', '.join(places)} do not tell its rows apart")
    shown = for_readers(table)
    for column in columns:
        measured = _measured(table[column])
        if column in places or not measured or column.replace("_", " ") not in shown:
            continue
        texts = shown[column.replace("_", " ")]
        for row, text, value in zip(rows, texts, table[column], strict=True):
            if pd.notna(value) and np.isfinite(value):
                number, _, error = text.partition(" (")
                yield f"{row}/{_slug(column)}", number, error.removesuffix(")")


def _measured(column: pd.Series[Any]) -> bool:
    types = pd.api.types
    return types.is_numeric_dtype(column) and not types.is_bool_dtype(column)


def _slug(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-")


def example(drawn: list[Drawn], made: dict[str, pd.DataFrame]) -> str:
    """A manuscript of a page or two that takes the methods, figures, tables and numbers."""
    narrow = [d for d in drawn if d.size[0] <= SINGLE]
    wide = [d for d in drawn if d.size[0] > SINGLE]
    figures = [*narrow[:2], *wide, *narrow[2:]][:3]
    filled = [name for name in made if len(made[name])]
    short = sorted(
        filled, key=lambda name: (latex_width(made[name]) > TEXT_WIDTH, len(made[name]) > 40)
    )
    cited = [key for name in filled for key, _, error in numbers(name, made[name]) if error][:5]
    return _EXAMPLE % {
        "numbers": "; ".join(rf"{_words(key)}: \mixboth{{{key}}}" for key in cited),
        "figures": "\n".join(map(_float, figures)),
        "tables": "\n".join(rf"\input{{tables/{name}}}" for name in short[:2]),
    }


def _words(key: str) -> str:
    return rf"\texttt{{{escaped(key)}}}"


def _float(drawn: Drawn) -> str:
    name, star = drawn.exhibit.name, "" if drawn.size[0] <= SINGLE else "*"
    return (
        rf"\begin{{figure{star}}}\centering\includegraphics{{figures/{name}}}"
        rf"\caption{{{escaped(drawn.exhibit.caption)}}}\label{{fig:{name}}}"
        rf"\end{{figure{star}}}"
    )


_EXAMPLE = r"""\documentclass[twocolumn]{article}
\usepackage[a4paper,margin=1.4cm]{geometry}
\usepackage{booktabs,longtable,graphicx}
\input{macros}
\makeatletter\setlength\@fptop{0pt}\setlength\@dblfptop{0pt}\makeatother
\begin{document}
\section*{Methods}
\input{methods}
\section*{Results}
Design \mixDesign{} (digest \mixDigest): \mixFits{} fits of \mixDataSets{} data sets.
\begin{sloppypar}\raggedright %(numbers)s.\end{sloppypar}
%(figures)s
\onecolumn
%(tables)s
\end{document}
"""


def index(design: Design, drawn: list[Drawn], made: dict[str, pd.DataFrame], source: str) -> str:
    """What is in the folder and how to use it, with each figure's size."""
    lines = [
        f"| `{exhibit.name}.pdf` | {exhibit.title} | {width:.1f} × {height:.1f} |"
        for exhibit, (width, height) in drawn
    ]
    tables = [
        f"| `{t.name}.tex` | {t.title} | {len(made[t.name])} | `{t.name}-alone.tex` |"
        for t in tables_of(design)
    ]
    return _INDEX.format(source=source, figures="\n".join(lines), tables="\n".join(tables))


_INDEX = """<!-- {source} -->
# For a manuscript
Made from {source}. Every file says so in a comment, a PDF file under its keywords.

- `macros.tex`: numbers, as `\\mix{{KEY}}` and by short names such as `\\mixFits`; it says how keys
  are made.
- `methods.tex`: aims, data, estimands, methods and measures in a few paragraphs, from the design.
- `example.tex`: a document with some of each; `pdflatex example`, twice, in this folder.

## Figures
In `figures/`, vectors with embedded fonts, at the width (inches) at which to print them: a
journal's column is 3.5 wide, its page 7.2.

| file | shows | size |
|---|---|---|
{figures}

## Tables
In `tables/`: a `.tex` file to `\\input` (packages booktabs and longtable; those of more than 40
rows are a longtable, which needs one column), and a document that compiles alone.

| file | holds | rows | alone |
|---|---|---|---|
{tables}
"""
