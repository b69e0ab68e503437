"""A study on one page that needs nothing but itself: index.html, and findings.md beside it.

The question of which method and which interval first, then what was found, figures and tables.
"""

from __future__ import annotations

import gzip
import html
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from study.design import Design
from study.report.contents import figures_of, tables_of
from study.report.exhibit import Drawing, Table, emphasised, read_found
from study.report.findings import Advice, Finding, advice, counts, findings, in_markdown
from study.report.page import document, picture, table_of, tables
from study.report.readers import parts

# What the first line of a published CSV file begins with.
COMMENT = "# "
# The figures that are on the page itself, in this order; before them that of the first answer, of a
# design that asks a question of its own.
SHOWN = (
    "trust-map",
    "when-to-distrust",
    "missing-information",
    "coverage-width",
    "cut-off",
    "beginnings-ends",
)
# What is asked first where the grid has it: two parts that overlap, of unequal sds.
ASKED = {"n": 500.0, "separation": 2.0, "weight": 0.5, "sd ratio": 2.0}
FOLDERS = {
    "tables/": "every table as CSV (whole, with Monte Carlo errors), Markdown, LaTeX and HTML",
    "figures/": "every figure as PDF, SVG and PNG",
    "findings.md": "what was found, in full",
    "paper/README.md": "for a manuscript: figures, tables, numbers, methods, references",
    "walkthrough/walkthrough.html": "the two articles that the study grew from, step by step",
    "rows/": "what the tables are made of, as Parquet",
    "data/": "the first data set of each scenario",
    "provenance.json": "design, seed, versions, revision, machine",
    "tables/csv.sha256": "sums of the CSV files",
    "tables/stages.html": "CPU seconds by stage",
    "costs/": "CPU seconds and memory of each job",
    "chunks/": "the rows by job",
    "logs/": "what each job said",
}


def write_index(
    design: Design, folder_of_tables: Path, folder_of_figures: Path, provenance: Path, out: Path
) -> None:
    """out/index.html and out/findings.md, from what is made already."""
    out.mkdir(parents=True, exist_ok=True)
    record = json.loads(provenance.read_text(encoding="utf-8"))
    made, found = (
        read_tables(design, folder_of_tables),
        read_found(folder_of_tables, folder_of_figures),
    )
    pages = page_and_findings(design, made, folder_of_figures, found, record)
    for name, text in pages.items():
        (out / name).write_text(text, encoding="utf-8")


def page_and_findings(
    design: Design,
    made: Mapping[str, pd.DataFrame],
    folder_of_figures: Path,
    found: Mapping[str, str],
    record: Mapping[str, Any],
) -> dict[str, str]:
    """What index.html and findings.md hold.

    made: the tables by name; found: what exhibits show, by name; record: the study's provenance.
    """
    made_on, told = made_by(record), answers(design, made)
    first = {one.figure: None for one in told[:1] if one.figure not in ("", *SHOWN)}
    files = {name: folder_of_figures / f"{name}.svg" for name in (*first, *SHOWN)}
    images = {name: file for name, file in files.items() if file.is_file()}
    return {
        "findings.md": in_markdown(design, told, made_on),
        "index.html": page(design, made, images, made_on, told, found),
    }


def answers(design: Design, made: Mapping[str, pd.DataFrame]) -> list[Finding]:
    """What was found, without the figures that the design leaves empty."""
    empty = {figure.name for figure in figures_of(design) if figure.lacking(design)}
    found = findings(design, made)
    return [one._replace(figure="") if one.figure in empty else one for one in found]


def read_tables(design: Design, folder: Path) -> dict[str, pd.DataFrame]:
    """A design's tables by name, from a folder of their CSV files."""
    return {table.name: read_table(folder / f"{table.name}.csv") for table in tables_of(design)}


def read_table(file: Path) -> pd.DataFrame:
    """A table from its CSV file as it was written, or compressed if that alone is there.

    A published one begins with a line on its source.
    """
    file = file if file.is_file() else file.with_name(f"{file.name}.gz")
    table = io.BytesIO(
        gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    )
    if not table.readline().startswith(COMMENT.encode()):
        table.seek(0)
    return pd.read_csv(table, keep_default_na=False, na_values=[""])


def made_by(record: Mapping[str, Any]) -> str:
    """Of which revision and machine a study is, in a sentence."""
    git = record.get("git") or {}
    revision = str(git.get("revision", ""))[:12]
    own = "" if git.get("clean", True) else ", with changes of its own"
    machine = record.get("machine") or {}
    words = [
        f"revision {revision}{own}" if revision else "",
        f"{machine.get('processor', '')}, {machine.get('cores', '?')} cores" if machine else "",
        str((record.get("fits") or {}).get("ended", ""))[:10],
    ]
    return f"Made by {', '.join(word for word in words if word)}."


def page(
    design: Design,
    made: Mapping[str, pd.DataFrame],
    images: Mapping[str, Path],
    made_on: str,
    told: Sequence[Finding],
    found: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The page. images: SVG files of the figures that are on it, by name; told: the answers;
    found: what exhibits show, by name."""
    title = "Four routes to a Gaussian mixture"
    if design.title not in ("", title):
        title = f"{title}: {design.title}"
    body = "\n".join(
        [
            '<a class="skip" href="#findings">To the findings</a>',
            f"<header>\n<h1>{html.escape(title)}</h1>",
            "<p>The same data, fitted by EM written by hand, by direct maximisation, by the "
            "posterior mode (MAP) and by NUTS.</p>\n</header>",
            "<main>",
            *_question(advice(design, made)),
            *_answers(told, images),
            '<p class="links"><a href="#figures">Figures</a> <a href="#tables">Tables</a> '
            '<a href="#folder">Everything in this folder</a></p>',
            *_figures(design, images, found),
            *_tables(design, made, found),
            *_folder(),
            f"<footer><p><small>{html.escape(counts(design))} {html.escape(made_on)}</small></p>"
            "</footer>\n</main>",
        ]
    )
    return document(title, body, design.stamp(), _STYLE, _SCRIPT)


def _question(pieces: list[Advice]) -> Iterator[str]:
    if not pieces:
        return
    names = list(pieces[0].place)
    shown = min(range(len(pieces)), key=lambda i: _away(pieces[i].place))
    yield '<section aria-labelledby="which"><h2 id="which">Which method, which interval?</h2>'
    yield '<form class="ask" aria-describedby="answer">'
    for name in names:
        values = dict.fromkeys(piece.place[name] for piece in pieces)
        options = "".join(
            f"<option{' selected' if value == pieces[shown].place[name] else ''}>"
            f"{html.escape(_said(value))}</option>"
            for value in (sorted(values) if name != "scenario" else values)
        )
        label = _LABELS.get(name, name)
        yield f'<label>{label} <select name="{html.escape(name)}">{options}</select></label>'
    yield '</form>\n<div id="answer" aria-live="polite">'
    for i, piece in enumerate(pieces):
        place = html.escape(json.dumps([_said(piece.place[name]) for name in names]), quote=True)
        where = ", ".join(f"{name} {_said(value)}" for name, value in piece.place.items())
        text = f'<span class="note">{html.escape(where)}:</span> {html.escape(piece.sentence)}'
        table = (
            f'<div class="table" role="region" tabindex="0" aria-label="What intervals cover">'
            f"{table_of(piece.table)}</div>"
        )
        yield (
            f'<div data-place="{place}"{"" if i == shown else " hidden"}><p>{text}</p>{table}</div>'
        )
    yield (
        '<p id="none" hidden>This setting was not run.</p></div>\n<p class="note">covers: the mean '
        "over the model's parameters of the share of data sets whose interval holds the truth, a "
        "missing interval counted as a miss; behind it Wilson's 95% interval and the parameter "
        "that is covered least. d: distance of the means over the root-mean-square sd. A "
        "share from few data sets (R) is no proof that an interval holds.</p></section>"
    )


_LABELS = {
    "separation": "separation d",
    "weight": "weight of component 1",
    "sd ratio": "sd 2 / sd 1",
}


def _said(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _away(place: Mapping[str, float | str]) -> float:
    """How far a setting is from the one that is asked first."""
    return sum(
        abs(float(place[name]) - value) / value for name, value in ASKED.items() if name in place
    )


def _answers(found: Sequence[Finding], images: Mapping[str, Path]) -> Iterator[str]:
    if not found:
        return
    yield '<section aria-labelledby="findings"><h2 id="findings" tabindex="-1">In short</h2>'
    yield '<ol class="answers">'
    for one in found[:5]:
        link = f"#figure-{one.figure}" if one.figure in images else f"figures/{one.figure}.svg"
        name = html.escape(one.question)
        shown = f' <a href="{link}" aria-label="Figure: {name}">figure</a>' if one.figure else ""
        yield f"<li><b>{name}</b> {html.escape(one.short)}{shown}</li>"
    yield '</ol>\n<details class="more"><summary>In full</summary>'
    for one in found:
        text = f"<b>{html.escape(one.short)}</b> {html.escape(one.more)}"
        yield f"<h3>{html.escape(one.question)}</h3>\n<p>{text}</p>"
    yield "</details></section>"


def _figures(design: Design, images: Mapping[str, Path], found: Mapping[str, str]) -> Iterator[str]:
    by_name = {figure.name: figure for figure in figures_of(design)}
    yield '<section aria-labelledby="figures"><h2 id="figures">Figures</h2>'
    for name, file in images.items():
        figure = by_name[name]
        said, files = found.get(name, ""), _files("figures", name, "pdf svg png")
        yield (
            f'<figure id="figure-{name}"><h3>{html.escape(figure.title)}</h3>'
            f"{picture(file.read_bytes(), figure.title, alt(figure, said))}"
            f"<figcaption>{caption(figure, said)} {files}</figcaption></figure>"
        )
    yield "</section>"


def alt(figure: Drawing, found: str = "") -> str:
    """What a figure shows, for who does not see it: its title, and what it shows or is of."""
    text = found or figure.caption.replace("*", "")
    return f"{figure.title}. {text.partition('. ')[0].rstrip('.')}."


def caption(exhibit: Drawing | Table, found: str = "") -> str:
    """A caption as HTML, what it shows in bold before it."""
    return emphasised(exhibit.caption_with(found), html.escape, "<b>", "</b>")


def _tables(
    design: Design, made: Mapping[str, pd.DataFrame], found: Mapping[str, str]
) -> Iterator[str]:
    yield '<section aria-labelledby="tables"><h2 id="tables">Tables, and the other figures</h2>'
    yield (
        '<form role="search" class="ask"><label>Search <input type="search" id="search" '
        'autocomplete="off"></label> <span id="found" role="status"></span></form>'
    )
    shown_tables, shown_figures = tables_of(design), figures_of(design)
    categories = dict.fromkeys(e.category for e in (*shown_tables, *shown_figures))
    for category in categories:
        yield f'<div class="group"><h3>{html.escape(category)}</h3>'
        own = [figure for figure in shown_figures if figure.category == category]
        if own:
            yield "<ul>"
            for figure in own:
                said = found.get(figure.name, "")
                words = html.escape(f"{figure.title} {said} {figure.caption}".lower(), quote=True)
                yield (
                    f'<li class="find" data-words="{words}">Figure: {html.escape(figure.title)} '
                    f"{_files('figures', figure.name, 'svg pdf png')} "
                    f"<small>{html.escape(said)}</small></li>"
                )
            yield "</ul>"
        for table in (t for t in shown_tables if t.category == category and t.name in made):
            shown = tables(
                parts(made[table.name], table.over),
                table.name,
                f"No rows. {table.nothing(design)}".rstrip(),
            )
            yield (
                f'<details class="find" id="table-{table.name}"><summary>'
                f"{html.escape(table.title)}</summary><p>"
                f"{caption(table, found.get(table.name, ''))} "
                f"{_files('tables', table.name, 'csv md tex html')}</p>{shown}</details>"
            )
        yield "</div>"
    yield "</section>"


def _files(folder: str, name: str, endings: str) -> str:
    links = [
        f'<a href="{folder}/{name}.{ending}" aria-label="{name} as {ending.upper()}">{ending}</a>'
        for ending in endings.split()
    ]
    return f'<span class="files">{" ".join(links)}</span>'


def _folder() -> Iterator[str]:
    yield '<section aria-labelledby="folder"><h2 id="folder">Everything in this folder</h2><ul>'
    for place, what in FOLDERS.items():
        yield f'<li><a href="{place}">{place}</a>: {html.escape(what)}</li>'
    yield "</ul></section>"


_STYLE = """
.skip { position: absolute; left: -100rem; } .skip:focus { left: 1rem; top: .5rem; z-index: 9;
        background: var(--paper); padding: .3rem .6rem; }
.ask { display: flex; flex-wrap: wrap; gap: .3rem 1rem; align-items: center; margin: .4rem 0; }
.ask select, .ask input { font: inherit; color: inherit; background: var(--soft);
        border: 1px solid var(--line); border-radius: .25rem; padding: .15rem .4rem; }
.answers { padding-left: 1.3rem; } .answers li { margin: .25rem 0; }
h2#which { margin-top: .8rem; } #answer p { margin: .3rem 0; }
.links a, .files a { margin-right: .5rem; white-space: nowrap; }
figure { margin: 1.2rem 0; }
summary { cursor: pointer; padding: .2rem 0; } details { border-bottom: 1px solid var(--soft); }
@media (max-width: 30rem) { h1 { font-size: 1.25rem; } header p { display: none; }
  h2#which { margin: .3rem 0; } }
"""

_SCRIPT = """
const ask = document.querySelector('form.ask:not([role])');
if (ask) {
  const choose = () => {
    const wanted = JSON.stringify([...ask.querySelectorAll('select')].map(s => s.value));
    let any = false;
    for (const piece of document.querySelectorAll('#answer [data-place]')) {
      piece.hidden = JSON.stringify(JSON.parse(piece.dataset.place)) !== wanted;
      any = any || !piece.hidden;
    }
    document.getElementById('none').hidden = any;
  };
  ask.addEventListener('change', choose);
  choose();
}
const search = document.getElementById('search'), found = document.getElementById('found');
search.form.addEventListener('submit', event => event.preventDefault());
search.addEventListener('input', () => {
  const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let n = 0;
  for (const one of document.querySelectorAll('.find')) {
    const text = one.dataset.words || one.textContent.toLowerCase();
    one.hidden = !words.every(word => text.includes(word));
    n += !one.hidden;
  }
  for (const group of document.querySelectorAll('.group'))
    group.hidden = !group.querySelector('.find:not([hidden])');
  found.textContent = words.length ? `${n} found` : '';
});
const open = () => {
  const one = location.hash && document.getElementById(location.hash.slice(1));
  if (one && one.tagName === 'DETAILS') one.open = true;
};
addEventListener('hashchange', open);
open();
"""
