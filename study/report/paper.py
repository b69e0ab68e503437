"""What a manuscript takes from a study: vector figures, tables, numbers as macros, the methods.

All of it goes over the registries of contents.py, so that what is added there is here as well.
Every file says which design it is of.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from study.design import Design
from study.report.ademp import REFERENCES, ademp
from study.report.contents import figures_of, tables_of
from study.report.exhibit import OVER, Drawing, emphasised, read_found
from study.report.findings import certified_shares, error_in_points, findings
from study.report.index import read_tables
from study.report.readers import for_readers, is_measured, parts, places
from study.report.style import SINGLE
from study.report.write import escaped


def write_paper(
    design: Design, tables: Path, figures: Path, packages: Mapping[str, str], folder: Path
) -> None:
    """folder/figures, folder/tables, and macros, methods, references, an example and a README.

    tables, figures: the folders that hold the study's. packages: the versions of what made its
    rows, by name. Nothing is computed or drawn anew.
    """
    for name in ("figures", "tables"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    source = design.stamp()
    made = read_tables(design, tables)
    for table in tables_of(design):
        shutil.copyfile(tables / f"{table.name}.tex", folder / "tables" / f"{table.name}.tex")
        alone = _ALONE.format(source=source, name=table.name)
        (folder / "tables" / f"{table.name}-alone.tex").write_text(alone, encoding="utf-8")
    drawn, shows = [], read_found(figures)
    for figure in figures_of(design):
        file = folder / "figures" / f"{figure.name}.pdf"
        shutil.copyfile(figures / file.name, file)
        drawn.append(Drawn(figure, pdf_size(file), shows.get(figure.name, "")))
    said = ademp(design, packages, _answered(made))
    texts = {
        "macros.tex": macros(design, made),
        "methods.tex": "\n\n".join(map(cited, said)) + "\n",
        "references.bib": REFERENCES.read_text(encoding="utf-8"),
        "example.tex": example(design, drawn, made),
    }
    for name, text in texts.items():
        (folder / name).write_text(f"% {source}\n{text}", encoding="utf-8")
    (folder / "README.md").write_text(index(design, drawn, made, source), encoding="utf-8")


def _answered(made: Mapping[str, pd.DataFrame]) -> list[str]:
    """Other packages that gave an answer, each once, with their versions."""
    if "external-asked" not in made:
        return []
    said = made["external-asked"]["version"]
    return list(dict.fromkeys(part for one in said if one != "–" for part in one.split(", ")))


class Drawn(NamedTuple):
    """A figure, its width and height in inches, and what it shows in a sentence."""

    exhibit: Drawing
    size: tuple[float, float]
    found: str = ""


def pdf_size(file: Path) -> tuple[float, float]:
    """Width and height of the first page, in inches."""
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", file.read_bytes())
    if box is None:
        raise ValueError(f"{file}: has no page; delete it, and it is drawn again")
    return float(box[1]) / 72.0, float(box[2]) / 72.0


_ALONE = r"""%% {source}
\documentclass{{article}}
\usepackage[a4paper,margin=1.4cm]{{geometry}}
\usepackage{{booktabs}}
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
% TABLE.tex: the row by the columns before its first number, and all but letters, digits and points
% as hyphens. Of a table that is summed up numbers are medians, and what stands in brackets is the
% range. An unknown key is an error.
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
        rf"\mix@is{{{key}}}{{{{{escaped(value)}}}{{{escaped(error)}}}}}"
        for table in tables_of(design)
        for key, value, error in numbers(table.name, made[table.name], table.over)
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


def numbers(
    name: str, table: pd.DataFrame, over: Sequence[str] = OVER
) -> Iterator[tuple[str, str, str]]:
    """(key, value, standard error or nothing) of every finite number of a table for readers.

    Raises ValueError if two of them have one key.
    """
    for part in parts(table, over):
        yield from _of_part(name, part.table)


def _of_part(name: str, table: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    keys = places(table)
    rows = ["/".join([name, *map(_slug, row)]) for row in table[keys].itertuples(index=False)]
    if len(set(rows)) < len(rows):
        raise ValueError(f"table {name}: {', '.join(keys)} do not tell its rows apart")
    shown = for_readers(table)
    for column in map(str, table.columns):
        words = column.replace("_", " ")
        if column in keys or not is_measured(table[column]) or words not in shown:
            continue
        for row, text, value in zip(rows, shown[words], table[column], strict=True):
            if pd.notna(value) and np.isfinite(value):
                number, _, error = text.partition(" (")
                yield f"{row}/{_slug(column)}", number or "0", error.removesuffix(")")


def _slug(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-")


def cited(text: str) -> str:
    """Plain text as LaTeX, its [@key] as citations."""
    words, *rest = re.split(r" \[@(\w+)\]", text)
    pairs = zip(rest[::2], rest[1::2], strict=True)
    return escaped(words) + "".join(rf"~\cite{{{key}}}{escaped(more)}" for key, more in pairs)


def example(design: Design, drawn: list[Drawn], made: dict[str, pd.DataFrame]) -> str:
    """A manuscript of two pages that takes the methods, figures, a table and numbers."""
    found = findings(design, made)
    wanted = [one.figure for one in found]
    by_name = {one.exhibit.name: one for one in drawn if one.size[0] <= SINGLE}
    narrow = [by_name[name] for name in dict.fromkeys(wanted) if name in by_name]
    narrow += [one for one in by_name.values() if one not in narrow]
    small = [
        table.name for table in tables_of(design) if _fits_a_column(made[table.name], table.over)
    ]
    table = next((name for name in EXAMPLE if name in small), small[0] if small else "")
    keyed = [
        key
        for name in EXAMPLE
        if name in made
        for key, _, error in numbers(name, made[name], _over(design, name))
        if error and not made[name].empty
    ]
    sentences = [rf"\paragraph{{{escaped(one.question)}}} {_plain(one.short)} {_plain(one.more)}"
                 for one in found[:4]]  # fmt: skip
    number = rf" For instance, {_words(keyed[0])} is \mixboth{{{keyed[0]}}}." if keyed else ""
    return _EXAMPLE % {
        "sentences": "\n\n".join(sentences),
        "number": number,
        "figures": "\n".join(map(_float, narrow[:2])),
        "tables": rf"\input{{tables/{table}}}" if table else "",
        "table": rf"Table~\ref{{tab:{table}}} has more." if table else "",
    }


# Tables that the example takes one of, the first that fits.
EXAMPLE = ("failures", "profiles", "verdicts", "losses")


def _over(design: Design, name: str) -> Sequence[str]:
    return next(table.over for table in tables_of(design) if table.name == name)


def _fits_a_column(table: pd.DataFrame, over: Sequence[str]) -> bool:
    """Whether a table has one part alone."""
    own = parts(table, over)
    return len(own) == 1 and 0 < len(own[0].table) <= 12


def _plain(text: str) -> str:
    return escaped(text.replace("“", '"').replace("”", '"'))


def _words(key: str) -> str:
    return rf"\texttt{{{escaped(key)}}}"


def _float(drawn: Drawn) -> str:
    name = drawn.exhibit.name
    first = drawn.exhibit.caption.replace("**", "").partition(". ")[0].rstrip(".")
    caption = f"**{drawn.found}** {first}." if drawn.found else f"{first}."
    words = emphasised(caption, escaped, r"\textbf{", "}")
    return (
        rf"\begin{{figure}}[tb]\centering\includegraphics{{figures/{name}}}"
        rf"\caption{{{words}}}\label{{fig:{name}}}"
        r"\end{figure}"
    )


_EXAMPLE = r"""\documentclass[twocolumn,10pt]{article}
\usepackage[a4paper,margin=1.4cm]{geometry}
\usepackage{booktabs,graphicx}
\input{macros}
\renewenvironment{table}[1][]{\begin{table*}[t]}{\end{table*}}
\begin{document}
\section*{Methods}
{\small\input{methods}\par}
\section*{Results}
The study \mixDesign{} (digest \mixDigest) made \mixFits{} fits of \mixDataSets{} data sets. Monte
Carlo standard errors stand in brackets.%(number)s %(table)s

%(sentences)s

%(figures)s
%(tables)s
\bibliographystyle{plain}
{\small\bibliography{references}}
\end{document}
"""


def index(design: Design, drawn: list[Drawn], made: dict[str, pd.DataFrame], source: str) -> str:
    """What is in the folder and how to use it, with each figure's size."""
    lines = [
        f"| `{exhibit.name}.pdf` | {exhibit.title} | {width:.1f} × {height:.1f} |"
        for exhibit, (width, height), _ in drawn
    ]
    tables = [
        f"| `{t.name}.tex` | {t.title} | {len(made[t.name])} | `{t.name}-alone.tex` |"
        for t in tables_of(design)
    ]
    return _INDEX.format(source=source, figures="\n".join(lines), tables="\n".join(tables))


_INDEX = """<!-- {source} -->
# For a manuscript
Made from {source}. Every file says so in a comment, a PDF file under its keywords.

- `macros.tex`: the numbers of the tables below, as `\\mix{{KEY}}`, and short names such as
  `\\mixFits`; it says how keys are made.
- `methods.tex`: aims, data, model, estimands, methods, priors, measures and software in a few
  paragraphs, from the design; what they cite is in `references.bib`.
- `example.tex`: two pages of methods and results; `pdflatex example`, `bibtex example`, and
  `pdflatex example` twice, in this folder.

## Figures
In `figures/`, vectors with embedded fonts, at the width (inches) at which to print them: a
journal's column is 3.5 wide, its page 7.2.

| file | shows | size |
|---|---|---|
{figures}

## Tables
In `tables/`: a `.tex` file to `\\input` (package booktabs), in parts where the table is large, and
a document that compiles alone.

| file | holds | rows | alone |
|---|---|---|---|
{tables}
"""
