"""How exhibits are written: tables as CSV, Markdown, LaTeX and HTML, sums, figures in three files.

CSV is tidy, for machines: a number a column, Monte Carlo standard errors in columns ending in
_mcse. Markdown and LaTeX (booktabs) are for readers: the standard error in brackets behind its
number, both cut to its second digit.
"""

from __future__ import annotations

import hashlib
import html
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from study.report.style import STYLE

# Below these, in seconds, what is left is the clock's own noise.
SMALLEST = {"compile": 1e-3}
TEXT_WIDTH = 17.0  # centimetres, between the margins of a page
_PAGE = """<!doctype html>
<meta charset="utf-8">
<meta name="source" content="{source}">
<style>
body {{ font: 14px/1.4 system-ui, sans-serif; margin: 1em; }}
table {{ border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid; }}
th {{ position: sticky; top: 0; background: #fff; border-bottom: 1px solid; }}
th, td {{ padding: 2px 10px; text-align: left; white-space: nowrap; }}
tr:nth-child(even) td {{ background: #f4f4f4; }}
</style>
<p>{caption}</p>
{table}
<p><small>{source}</small></p>
"""


def write(table: pd.DataFrame, caption: str, stem: Path, source: str = "", none: str = "") -> None:
    """stem.csv, stem.md, stem.tex and stem.html; of a table without rows, that and why: `none`.

    source: of the numbers, such as a design and its digest; for readers' forms, for a comment in
    a CSV file is a row to most readers of it. `write_sums` ties those to it.
    """
    table.to_csv(stem.with_suffix(".csv"), index=False, lineterminator="\n")
    shown = for_readers(table)
    text = markdown_table(shown) if len(table) else markdown(_no_rows(none))
    origin = f"<!-- {source} -->\n" if source else ""
    words = f"{origin}{markdown(caption)}\n\n{text}\n"
    stem.with_suffix(".md").write_text(words, encoding="utf-8")
    stem.with_suffix(".tex").write_text(
        latex(table, caption, stem.name, source, none), encoding="utf-8"
    )
    page = _PAGE.format(
        caption=html.escape(caption),
        table=shown.to_html(index=False, border=0)
        if len(table)
        else f"<p>{html.escape(_no_rows(none))}</p>",
        source=html.escape(source),
    )
    stem.with_suffix(".html").write_text(page, encoding="utf-8")


def _no_rows(why: str) -> str:
    return f"No rows. {why}".rstrip()


def write_sums(files: Iterable[Path], out: Path, source: str) -> None:
    """The SHA-256 sums of files beside `out`, under a comment with the source of their numbers.

    `sha256sum -c` in that folder checks them.
    """
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}" for file in files]
    out.write_text("\n".join([f"# {source}", *lines]) + "\n", encoding="utf-8")


def for_readers(table: pd.DataFrame) -> pd.DataFrame:
    """Text only: a number with its Monte Carlo standard error behind it, others to four digits.

    A share of 0 or 1, or of few replicates, has its interval in the place of the error. The
    columns' names have spaces for their underscores.
    """
    shown = pd.DataFrame(index=table.index)
    measured = [str(name) for name in table.columns if f"{name}_mcse" in table]
    behind = {f"{name}_{end}" for name in measured for end in ("mcse", "low", "high")}
    for name in table.columns:
        column = table[name]
        if name in behind:
            continue
        if name in measured:
            parts = [
                table[f"{name}_{end}"]
                for end in ("mcse", "low", "high")
                if f"{name}_{end}" in table
            ]
            values = column.astype(float)
            shown[name] = [with_error(*row) for row in zip(values, *parts, strict=True)]
        elif pd.api.types.is_float_dtype(column):
            shown[name] = [_number(str(name), value) for value in column]
        else:
            shown[name] = ["–" if pd.isna(value) else str(value) for value in column]
    shown.columns = pd.Index([str(name).replace("_", " ") for name in shown.columns])
    return shown


FEW = 20  # replicates


def with_error(value: float, error: float, low: float = np.nan, high: float = np.nan) -> str:
    """Such as 0.1234 (0.0056): both to the second digit of the error.

    low, high: of a share, which is followed by these, such as 1 (0.96 to 1), where the error is
    none or is from few replicates. A number that has no error stands alone.
    """
    if not np.isfinite(value):
        return "–" if np.isnan(value) else f"{value:g}"
    if np.isfinite(low) and value * (1.0 - value) <= FEW * error**2:
        digits = max(1 - int(np.floor(np.log10(high - low))), 0)
        share, *ends = (f"{x:.{digits}f}" if 0 < x < 1 else f"{x:.0f}" for x in (value, low, high))
        return f"{share} ({ends[0]} to {ends[1]})"
    if np.isnan(error) or error == 0:
        return f"{value:.4g}"
    if np.isinf(error):
        return f"{value:.4g} (inf)"
    decimals = max(1 - int(np.floor(np.log10(error))), 0)
    return f"{value:.{decimals}f} ({error:.{decimals}f})"


def _number(name: str, value: float) -> str:
    if pd.isna(value):
        return "–"
    if name.endswith("loglik"):
        return f"{value:.3f}"
    return "0" if abs(value) < SMALLEST.get(name, 0.0) else f"{value:.4g}"


def latex(table: pd.DataFrame, caption: str, label: str, source: str = "", none: str = "") -> str:
    """The table for readers as a booktabs table, or a longtable where it is longer than a page.

    In small type where it would be wider than a page otherwise.
    """
    shown = for_readers(table).map(escaped)
    shown.columns = pd.Index([escaped(str(c)) for c in shown.columns])
    origin = f"% {source}\n" if source else ""
    if table.empty:
        named = f"\\caption{{{escaped(caption)}}}\n\\label{{tab:{label}}}"
        words = escaped(_no_rows(none))
        return f"{origin}\\begin{{table}}[t]\n\\centering\n{named}\n{words}\n\\end{{table}}\n"
    text = shown.to_latex(
        index=False,
        caption=escaped(caption),
        label=f"tab:{label}",
        longtable=len(shown) > 40,
        position=None if len(shown) > 40 else "t",
        column_format="l" * max(len(shown.columns), 1),
    )
    if latex_width(table, small=False) <= TEXT_WIDTH:
        return origin + text
    small = "\\scriptsize\\setlength{\\tabcolsep}{3pt}\n"
    if len(shown) > 40:
        return f"{origin}{{{small}{text}}}\n"
    return origin + text.replace("\\begin{tabular}", f"{small}\\begin{{tabular}}")


def latex_width(table: pd.DataFrame, small: bool = True) -> float:
    """About how wide `latex` sets the table, in centimetres; in its small type unless it is not."""
    shown = for_readers(table)
    widest = [max([len(str(name)), *shown[name].map(len)]) for name in shown.columns]
    letter, between = (0.145, 0.21) if small else (0.19, 0.42)
    return sum(letter * letters + between for letters in widest)


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


def save(figure: Figure, stem: Path, source: str = "") -> None:
    """stem.pdf, stem.svg and stem.png (300 dpi), the same bytes on every run.

    source: of the numbers; in the files' metadata.
    """
    with mpl.rc_context({"svg.hashsalt": stem.name}, fname=STYLE):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # keeps the layout, the same in all three files
        pdf = {"CreationDate": None, "Keywords": source}
        figure.savefig(stem.with_suffix(".pdf"), metadata=pdf)
        figure.savefig(stem.with_suffix(".svg"), metadata={"Date": None, "Source": source})
        png = {"Software": None, "Source": source}
        figure.savefig(stem.with_suffix(".png"), metadata=png, dpi=300)
