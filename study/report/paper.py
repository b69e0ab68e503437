"""What a manuscript takes from a study: vector figures, tables, numbers as macros, the methods.

All of it goes over the registries FIGURES and TABLES, so that what is added there is here as well.
Every file says which design it is of.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from study.design import Design
from study.report.ademp import ademp
from study.report.contents import FIGURES, TABLES
from study.report.exhibit import Drawing, Table
from study.report.findings import certified_shares
from study.report.style import DOUBLE, SINGLE, STYLE, legend_above
from study.report.write import TEXT_WIDTH, escaped, for_readers, latex, latex_width
from study.rows import Results

COLUMNS = {"one-column": SINGLE, "two-column": DOUBLE}
NARROWEST = 1.4  # inches that a panel needs, with its ticks
# Columns of numbers that tell rows apart; text does so anyway.
PLACES = {"component", "k", "target", "level", "weight", "sd_ratio", "n"}


def write_paper(results: Results, folder: Path, figures: Iterable[Drawing] = FIGURES) -> None:
    """folder/figures, folder/tables, macros.tex, methods.tex, example.tex and README.md."""
    for name in ("figures", "tables"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    source = results.design.stamp()
    drawn = [write_figure(figure, results, folder / "figures") for figure in figures]
    made = {table.name: table.make(results) for table in TABLES}
    for table in TABLES:
        write_table(made[table.name], table, folder / "tables", results.design)
    texts = {
        "macros.tex": macros(results, made),
        "methods.tex": "\n\n".join(escaped(text) for text in ademp(results.design)) + "\n",
        "example.tex": example(drawn, made),
    }
    for name, text in texts.items():
        (folder / name).write_text(f"% {source}\n{text}", encoding="utf-8")
    (folder / "README.md").write_text(index(drawn, made, source), encoding="utf-8")


class Drawn(NamedTuple):
    """A figure as it was written: its own size in inches, and by width why it is not drawn so."""

    exhibit: Drawing
    size: tuple[float, float]
    refused: dict[str, str]


def write_figure(exhibit: Drawing, results: Results, folder: Path) -> Drawn:
    """NAME.pdf at its own width, and NAME-one-column.pdf and NAME-two-column.pdf where legible."""
    figure = exhibit.make(results)
    width, height = figure.get_size_inches()
    own = folder / f"{exhibit.name}.pdf"
    _save(figure, own, results.design.stamp())
    refused = {}
    for name, inches in COLUMNS.items():
        file = folder / f"{exhibit.name}-{name}.pdf"
        if inches == width:
            shutil.copyfile(own, file)
            continue
        with mpl.rc_context(fname=STYLE):
            why = "" if inches > width else narrow(figure, inches)
            if not why:
                resize(figure, inches)
                why = "" if inches > width else crowding(figure)
        if why:
            refused[name] = why
        else:
            _save(figure, file, results.design.stamp())
    return Drawn(exhibit, (float(width), float(height)), refused)


def _save(figure: Figure, file: Path, keywords: str) -> None:
    with mpl.rc_context(fname=STYLE):
        figure.savefig(file, metadata={"CreationDate": None, "Keywords": keywords})


def resize(figure: Figure, width: float) -> None:
    """Give a figure another width in inches; panels and legend find their places anew."""
    figure.set_figwidth(width)
    if figure.legends:
        for legend in list(figure.legends):
            legend.remove()
        legend_above(figure)


def narrow(figure: Figure, width: float) -> str:
    """In words that a figure's panels would have too little room at a width; nothing if enough."""
    grids = [spec.get_gridspec() for axes in figure.axes if (spec := axes.get_subplotspec())]
    columns = max((grid.ncols for grid in grids), default=1)
    return f"{columns} panels side by side" if width / columns < NARROWEST else ""


def crowding(figure: Figure) -> str:
    """In words why a figure cannot be read at its size; nothing if it can.

    That is where two texts overlap or a text leaves the page.
    """
    FigureCanvasAgg(figure).draw()
    boxes = np.array([box.extents for box in _texts(figure)]).reshape(-1, 4)
    page = np.asarray(figure.bbox.extents)
    if np.any(boxes[:, :2] < page[:2] - 1.0) or np.any(boxes[:, 2:] > page[2:] + 1.0):
        return "text leaves the page"
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    overlap = np.all(high - low > 1.0, axis=2)
    np.fill_diagonal(overlap, False)
    return "texts overlap" if overlap.any() else ""


def _texts(figure: Figure) -> Iterator[Bbox]:
    """Where the texts that are seen stand, in pixels; tick labels outside of the view are not."""
    of_ticks: set[Text] = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(map(float, axis.get_view_interval()))
            slack = 1e-9 * (high - low)
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                place = float(np.asarray(tick.get_loc()))
                seen = low - slack <= place <= high + slack and axis.get_visible()
                of_ticks |= {tick.label1, tick.label2}
                if seen and axes.get_visible():
                    yield from _seen(text for text in (tick.label1, tick.label2))
    hidden = {t for axes in figure.axes if not axes.get_visible() for t in axes.findobj(Text)}
    yield from _seen(t for t in figure.findobj(Text) if t not in of_ticks and t not in hidden)


def _seen(texts: Iterable[Text]) -> Iterator[Bbox]:
    for text in texts:
        if text.get_visible() and text.get_text().strip():
            yield text.get_window_extent()


def write_table(table: pd.DataFrame, exhibit: Table, folder: Path, design: Design) -> None:
    """NAME.tex, to be \\input into a manuscript, and NAME-alone.tex, a document of it alone."""
    source, none = design.stamp(), exhibit.nothing(design)
    body = latex(table, exhibit.caption, exhibit.name, source, none)
    (folder / f"{exhibit.name}.tex").write_text(body, encoding="utf-8")
    width = max(21.0, 4.0 + latex_width(table))
    alone = _ALONE.format(source=source, width=width, name=exhibit.name)
    (folder / f"{exhibit.name}-alone.tex").write_text(alone, encoding="utf-8")


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
% digit of the error; \mixboth{KEY} is both, as in the tables. KEY is TABLE/ROW/COLUMN as in
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


def macros(results: Results, made: dict[str, pd.DataFrame]) -> str:
    """Definitions: short names for the study's headline numbers, keys for those of its tables."""
    short = [rf"\newcommand{{\mix{name}}}{{{text}}}" for name, text in headlines(results, made)]
    keyed = [
        rf"\mix@is{{{key}}}{{{{{escaped(value)}}}{{{error}}}}}"
        for name, table in made.items()
        for key, value, error in numbers(name, table)
    ]
    return "\n".join([*short, _MACROS.strip(), *keyed, r"\makeatother"]) + "\n"


def headlines(results: Results, made: dict[str, pd.DataFrame]) -> Iterator[tuple[str, str]]:
    """(letters, text): what the study is, and what it found by method and over the grid."""
    design = results.design
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
        yield f"Certified{_letters(method)}Error", f"{100 * share.mcse:.1f}\\%"


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
        if column in places or column.endswith("_mcse") or not measured:
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
    narrow = [d for d in drawn if "one-column" not in d.refused]
    wide = [d for d in drawn if d not in narrow]
    figures = [*((d, "one-column", r"\columnwidth") for d in narrow[:2])]
    figures += [(d, "", r"\textwidth") for d in (*wide, *narrow[2:])[: 3 - len(figures)]]
    filled = [name for name in made if len(made[name])]
    short = sorted(
        filled, key=lambda name: (latex_width(made[name]) > TEXT_WIDTH, len(made[name]) > 40)
    )
    cited = [key for name in filled for key, _, error in numbers(name, made[name]) if error][:5]
    return _EXAMPLE % {
        "numbers": "; ".join(rf"{_words(key)}: \mixboth{{{key}}}" for key in cited),
        "figures": "\n".join(_float(*figure) for figure in figures),
        "tables": "\n".join(rf"\input{{tables/{name}}}" for name in short[:2]),
    }


def _words(key: str) -> str:
    return rf"\texttt{{{escaped(key)}}}"


def _float(drawn: Drawn, columns: str, width: str) -> str:
    stem = f"{drawn.exhibit.name}-{columns}" if columns else drawn.exhibit.name
    star = "" if columns == "one-column" else "*"
    return (
        rf"\begin{{figure{star}}}\centering\includegraphics[width={width}]{{figures/{stem}}}"
        rf"\caption{{{escaped(drawn.exhibit.caption)}}}\label{{fig:{drawn.exhibit.name}}}"
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


def index(drawn: list[Drawn], made: dict[str, pd.DataFrame], source: str) -> str:
    """What is in the folder and how to use it, with each figure's widths."""
    lines = []
    for exhibit, (width, height), refused in drawn:
        yes = {name: f"`{exhibit.name}-{name}.pdf`" for name in COLUMNS}
        shown = {name: f"no: {refused[name]}" if name in refused else yes[name] for name in COLUMNS}
        cells = [f"`{exhibit.name}.pdf`", exhibit.title, f"{width:.1f} × {height:.1f}"]
        lines.append(f"| {' | '.join([*cells, *shown.values()])} |")
    tables = [
        f"| `{t.name}.tex` | {t.title} | {len(made[t.name])} | `{t.name}-alone.tex` |"
        for t in TABLES
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
In `figures/`, vectors with embedded fonts. A figure is at its own width (inches), the one to use,
and once more at the width of a column (3.5 in) and of a page (7.2 in) where it can be read there.

| file | shows | own size | one column | two columns |
|---|---|---|---|---|
{figures}

## Tables
In `tables/`: a `.tex` file to `\\input` (packages booktabs and longtable; those of more than 40
rows are a longtable, which needs one column), and a document that compiles alone.

| file | holds | rows | alone |
|---|---|---|---|
{tables}
"""
