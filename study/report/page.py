"""Pages of HTML that need nothing but themselves: their look, light and dark, and their tables.

No page asks for anything from outside. Tables sort by a click on a heading, or by the keyboard.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from study.report.exhibit import emphasised
from study.report.readers import Part, for_readers

STYLE_SHEET = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --soft: #f3f4f6; --line: #767676;
        --quiet: #565656; --link: #0b57a4; --mark: #fff3c4; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --paper: #16181c; --soft: #22262c; --line: #8b8f96; --quiet: #b0b4ba;
          --link: #8ab8f5; --mark: #4a3f10; } }
* { box-sizing: border-box; }
html { overflow-wrap: anywhere; }
body { margin: 0; background: var(--paper); color: var(--ink);
       font: 16px/1.5 system-ui, "Helvetica Neue", Arial, sans-serif; }
main, header, footer { max-width: 66rem; margin: 0 auto; padding: 0 1rem; }
a { color: var(--link); } small, .note, figcaption { color: var(--quiet); font-size: .9rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 1rem 0 .5rem; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .5rem; }
h3 { font-size: 1.05rem; margin: 1.4rem 0 .3rem; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.table { overflow: auto; max-height: 85vh; margin: .6rem 0; width: fit-content; max-width: 100%;
         border-block: 2px solid var(--ink); }
.table table { border-collapse: separate; border-spacing: 0; font-size: .875rem; }
.table th, .table td { padding: .2rem .6rem; text-align: left; vertical-align: top;
                       max-width: 26rem; overflow-wrap: normal; background: var(--paper); }
.table td { white-space: nowrap; } .table td.long { white-space: normal;
                       min-width: 14rem; }
.table thead th { position: sticky; top: 0; z-index: 2; border-bottom: 1px solid var(--ink);
                  padding: 0; vertical-align: bottom; }
.table tbody th { position: sticky; left: 0; z-index: 1; font-weight: 400; white-space: nowrap; }
.table thead th:first-child { left: 0; z-index: 3; }
.table tbody tr:nth-child(even) > * { background: var(--soft); }
.table .n { text-align: right; font-variant-numeric: tabular-nums; }
.table button { all: unset; cursor: pointer; display: block; width: 100%; box-sizing: border-box;
                padding: .3rem .6rem; font-weight: 600; }
.table button:focus-visible { outline: 3px solid var(--link); outline-offset: -3px; }
.table button::after { content: " \\2195"; color: var(--quiet); font-weight: 400; }
.table [aria-sort=ascending] button::after { content: " \\2191"; }
.table [aria-sort=descending] button::after { content: " \\2193"; }
@media (max-width: 30rem) { .table { max-height: 70vh; } .table tbody th { max-width: 9rem;
                            white-space: normal; overflow-wrap: break-word; } }
.paper { background: #fff; padding: .4rem; border-radius: .25rem; overflow-x: auto; }
.paper img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
@media (max-width: 45rem) { .paper.wide img { max-width: none; width: 43rem; } }
@media print { .table, .paper { overflow: visible; max-height: none; }
               .paper.wide img { max-width: 100%; } }
"""

WIDE = 300  # points; a figure of two columns, which narrow screens show by scrolling

SORTING = """
for (const button of document.querySelectorAll('.table thead button')) {
  button.addEventListener('click', () => {
    const head = button.closest('th'), body = head.closest('table').tBodies[0];
    const up = head.getAttribute('aria-sort') !== 'ascending';
    for (const other of head.parentElement.children) other.removeAttribute('aria-sort');
    head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
    const key = row => row.cells[head.cellIndex].textContent.trim();
    const number = text => text === '' ? 0 : parseFloat(
      text.replace(/\\u2212/g, '-').replace(/^[<>] ?/, '').replace(/,/g, ''));
    const numeric = head.classList.contains('n');
    const missing = text => numeric ? Number.isNaN(number(text)) : text === '\\u2013';
    const rows = [...body.rows].map(row => [key(row), row]);
    rows.sort(([a], [b]) => {
      if (missing(a) || missing(b)) return missing(a) - missing(b);
      const order = numeric ? number(a) - number(b) : a.localeCompare(b, 'en', {numeric: true});
      return up ? order : -order;
    });
    body.append(...rows.map(([, row]) => row));
  });
}
"""

_DOCUMENT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="source" content="{source}">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
<script>{script}</script>
</body>
</html>
"""


def document(title: str, body: str, source: str, style: str = "", script: str = "") -> str:
    """A whole page. body: HTML; title and source: plain text. style, script: besides the usual."""
    return _DOCUMENT.format(
        title=html.escape(title),
        source=html.escape(source),
        style=STYLE_SHEET + style,
        script=SORTING + script,
        body=body,
    )


def picture(svg: bytes, title: str, alt: str) -> str:
    """A figure within the page, on white, in a box that scrolls by itself where it is wide."""
    width = re.search(rb'<svg[^>]* width="(\d+)', svg)
    wide = " wide" if width is not None and int(width[1]) > WIDE else ""
    image = base64.b64encode(svg).decode()
    return (
        f'<div class="paper{wide}" role="region" tabindex="0" '
        f'aria-label="{html.escape(title)}, image"><img src="data:image/svg+xml;base64,{image}" '
        f'alt="{html.escape(alt)}"></div>'
    )


def table_page(own: Sequence[Part], name: str, caption: str, source: str, none: str) -> str:
    """A page with the parts of one table."""
    body = (
        f"<main>\n<h1>{html.escape(_words(name))}</h1>\n"
        f"<p>{emphasised(caption, html.escape, '<b>', '</b>')}</p>\n"
        f"{tables(own, name, none)}\n<p><small>{html.escape(source)}</small></p>\n</main>"
    )
    return document(_words(name), body, source)


def tables(own: Sequence[Part], name: str, none: str = "") -> str:
    """The parts of a table, each in a box that scrolls by itself and takes the keyboard."""
    if own[0].table.empty:
        return f"<p>{html.escape(none)}</p>"
    found = []
    for place, part in enumerate(own, 1):
        if part.note:
            found.append(f'<p class="note">{html.escape(part.note)}</p>')
        which = _words(name) + (f", part {place} of {len(own)}" if len(own) > 1 else "")
        found.append(
            f'<div class="table" role="region" tabindex="0" aria-label="{html.escape(which)}">'
            f"{table_of(for_readers(part.table))}</div>"
        )
    return "\n".join(found)


def table_of(shown: pd.DataFrame) -> str:
    """A table of texts; columns of numbers to the right."""
    numeric = [all(map(is_number, shown[name])) for name in shown]
    head = "".join(
        f'<th scope="col"{_class(n)}><button type="button">{html.escape(str(name))}</button></th>'
        for name, n in zip(shown.columns, numeric, strict=True)
    )
    lines = []
    for row in shown.itertuples(index=False):
        first, *rest = zip(row, numeric, strict=True)
        cells = "".join(
            f"<td{_class(n, len(str(cell)) > LONG)}>{html.escape(str(cell))}</td>"
            for cell, n in rest
        )
        lines.append(
            f'<tr><th scope="row"{_class(first[1])}>{html.escape(str(first[0]))}</th>{cells}</tr>'
        )
    body = "\n".join(lines)
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"


LONG = 45  # letters; a longer text is broken into lines
_NUMBER = re.compile(r"[<>]? ?−?(\d[\d,]*(\.\d+)?(e−?\d+)?|inf)( \(.*\))?")


def is_number(text: Any) -> bool:
    """Whether a text is a number, with or without its error, or stands for one."""
    return str(text) in ("", "–") or bool(_NUMBER.fullmatch(str(text)))


def _class(number: bool, long: bool = False) -> str:
    return ' class="n"' if number else ' class="long"' if long else ""


def _words(name: str) -> str:
    return name.replace("-", " ").replace("_", " ").capitalize()
