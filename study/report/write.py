"""How exhibits are written: tables as CSV, Markdown, LaTeX and HTML, sums, figures in three files.

CSV is tidy, for machines: a number a column, Monte Carlo standard errors in columns ending in
_mcse. The others are for readers, cut as `readers` says.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from study.report.exhibit import OVER, emphasised
from study.report.page import LONG, is_number, table_page
from study.report.readers import Part, for_readers, parts
from study.report.style import STYLE

TEXT_WIDTH = 18.0  # centimetres, between the margins of a page


def write(
    table: pd.DataFrame,
    caption: str,
    stem: Path,
    source: str = "",
    none: str = "",
    over: Sequence[str] = OVER,
) -> None:
    """stem.csv, stem.md, stem.tex and stem.html; of a table without rows, that and why: `none`.

    The CSV file is whole; the others are in parts, or summed up over `over`. source: of the
    numbers, such as a design and its digest; for readers' forms, for a comment in a CSV file is a
    row to most readers of it. `write_sums` ties those to it.
    """
    table.to_csv(stem.with_suffix(".csv"), index=False, lineterminator="\n")
    own, none = parts(table, over), _no_rows(none)
    origin = f"<!-- {source} -->\n" if source else ""
    first = emphasised(caption, markdown, "**", "**")
    words = "\n\n".join([first, *(markdown(p.note) for p in own if p.note)])
    shown = [markdown_table(for_readers(part.table)) for part in own if len(part.table)]
    text = "\n\n".join(shown or [markdown(none)])
    forms = {
        ".md": f"{origin}{words}\n\n{text}\n",
        ".tex": latex(own, caption, stem.name, source, none),
        ".html": table_page(own, stem.name, caption, source, none),
    }
    for ending, form in forms.items():
        stem.with_suffix(ending).write_text(form, encoding="utf-8")


def _no_rows(why: str) -> str:
    return f"No rows. {why}".rstrip()


def write_sums(files: Iterable[Path], out: Path, source: str) -> None:
    """The SHA-256 sums of files beside `out`, under a comment with the source of their numbers.

    `sha256sum -c` in that folder checks them.
    """
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}" for file in files]
    out.write_text("\n".join([f"# {source}", *lines]) + "\n", encoding="utf-8")


def latex(own: Sequence[Part], caption: str, label: str, source: str = "", none: str = "") -> str:
    """The parts for readers as tables of booktabs, each on a page, numbers aligned at the point.

    The first has the caption and the label tab:LABEL, the second tab:LABEL-2.
    """
    floats = [
        _FLOAT.format(
            caption=emphasised(f"{caption} {part.note}", escaped, r"\textbf{", "}")
            if place == 1
            else rf"Table~\ref{{tab:{label}}}, continued: part {place} of {len(own)}.",
            label=label if place == 1 else f"{label}-{place}",
            table=_tabular(for_readers(part.table)) if len(part.table) else escaped(none) + "\n",
        )
        for place, part in enumerate(own, 1)
    ]
    return (f"% {source}\n" if source else "") + "\n".join(floats)


_FLOAT = r"""\begin{{table}}[tp]
\centering
\caption{{{caption}}}
\label{{tab:{label}}}
\smallskip
{table}\end{{table}}
"""


def _tabular(shown: pd.DataFrame) -> str:
    """Columns of numbers are two to LaTeX, which meet at the point; in small type if it is wide."""
    small = latex_width(shown, small=False) > TEXT_WIDTH
    wide = _widths(shown, small)
    numeric = {name: all(map(is_number, shown[name])) for name in shown}
    form, heads = "", []
    for name in map(str, shown):
        long = shown[name].map(len).max() > LONG
        form += f"p{{{wide[name] - 0.3:.1f}cm}}" if long else "r@{}l" if numeric[name] else "l"
        head = escaped(name)
        heads.append(rf"\multicolumn{{2}}{{c}}{{{head}}}" if numeric[name] else head)
    rows = [
        " & ".join(
            _at_point(cell) if numeric[name] else escaped(cell)
            for name, cell in zip(shown, row, strict=True)
        )
        for row in shown.itertuples(index=False)
    ]
    head, *body = (rf"{line} \\" for line in (" & ".join(heads), *rows))
    ruled = "\n".join([r"\toprule", head, r"\midrule", *body, r"\bottomrule"])
    begin = f"{_SMALL if small else ''}\\begin{{tabular}}{{@{{}}{form}@{{}}}}"
    return f"{begin}\n{ruled}\n\\end{{tabular}}\n"


_SMALL = "\\scriptsize\\setlength{\\tabcolsep}{3pt}\n"


def _at_point(cell: str) -> str:
    """A number as what stands left of its point, and the rest."""
    whole = re.match(r"[^.( ]*|[<>] [^.( ]*", cell)
    assert whole is not None
    if cell[:1] in "<>" and cell:
        return f"& {_math(cell)}"
    rest = cell[whole.end() :]
    return f"{_math(whole[0])} & {'~' * rest.startswith(' ')}{_math(rest.lstrip(' '))}"


def _math(text: str) -> str:
    """Escaped, and 5.1e-5 as a power of ten."""
    parts_ = re.split(r"e(−?\d+)(?!\d)", text)
    found = [
        rf"$\times10^{{{part.replace('−', '-')}}}$" if place % 2 else escaped(part)
        for place, part in enumerate(parts_)
    ]
    return "".join(found)


def latex_width(shown: pd.DataFrame, small: bool = True) -> float:
    """About how wide LaTeX sets such texts, in centimetres; in its small type unless it is not."""
    return sum(_widths(shown, small).values())


def _widths(shown: pd.DataFrame, small: bool) -> dict[str, float]:
    """Of each column; long texts are broken into lines of what the others leave."""
    letter, between = (0.145, 0.21) if small else (0.19, 0.42)
    widest = {str(n): max(len(str(n)), int(shown[n].map(len).max())) for n in shown.columns}
    found = {n: letter * letters + between for n, letters in widest.items() if letters <= LONG}
    long = [n for n in widest if n not in found]
    each = (TEXT_WIDTH - sum(found.values())) / max(len(long), 1)
    return found | {n: min(max(each, 2.0), letter * LONG + between) for n in long}


def markdown_table(shown: pd.DataFrame) -> str:
    """Text only, as a table of Markdown, each text as it is."""
    escaped_ = shown.map(markdown)
    escaped_.columns = pd.Index([markdown(str(name)) for name in shown.columns])
    return str(escaped_.to_markdown(index=False, disable_numparse=True))


def markdown(text: str) -> str:
    """Text as Markdown shows it as it is, on one line: nothing in it is markup or mathematics."""
    text = re.sub(r"&(?=#|[A-Za-z])", "&amp;", " ".join(text.split())).replace("<", "&lt;")
    return re.sub(r"([\\`*_{}\[\]$~|])", r"\\\1", text)


_LATEX = {character: "\\" + character for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "`": r"\textasciigrave{}",
    '"': r"{\ttfamily\char34}",  # else a curly one, or an umlaut
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "–": "--",
    "−": "$-$",
    "×": r"$\times$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "²": "$^2$",
}


def escaped(text: str) -> str:
    """Text as LaTeX sets it, each character as it is: no markup, no ligatures of hyphens.

    Accents that combine are put with their letters, where there is such a character.
    """
    composed = unicodedata.normalize("NFC", text)
    ligatures = re.split("(?<=-)(?=-)", composed)
    return "{}".join("".join(_LATEX.get(c, c) for c in part) for part in ligatures)


# More marks, or points of a line, are an image in PDF and SVG, of the resolution of the PNG.
MANY_MARKS, MANY_POINTS = 200, 900
DPI = 300


def save(figure: Figure, stem: Path, source: str = "") -> None:
    """stem.pdf, stem.svg and stem.png (300 dpi), the same bytes on every run.

    source: of the numbers; in the files' metadata.
    """
    for line in figure.findobj(Line2D):
        marked = line.get_marker() not in ("", "None", None)
        line.set_rasterized(np.size(line.get_xdata()) > (MANY_MARKS if marked else MANY_POINTS))
    with mpl.rc_context({"svg.hashsalt": stem.name}, fname=STYLE):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # keeps the layout, the same in all three files
        pdf = {"CreationDate": None, "Keywords": source}
        figure.savefig(stem.with_suffix(".pdf"), metadata=pdf, dpi=DPI)
        svg = {"Date": None, "Source": source}
        figure.savefig(stem.with_suffix(".svg"), metadata=svg, dpi=DPI)
        png = {"Software": None, "Source": source}
        figure.savefig(stem.with_suffix(".png"), metadata=png, dpi=DPI)
