"""A study on one page: within itself, with what is asked first, and links to what is there."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest

from study.report.contents import figures_of, tables_of
from study.report.index import ASKED, SHOWN, alt, made_by, page, write_index
from tests.study.report.studies import DESIGNS, made

TABLES, FIGURES = tables_of(DESIGNS["rich"]), figures_of(DESIGNS["rich"])
RECORD = {
    "git": {"revision": "0123456789abcdef", "clean": False},
    "machine": {"processor": "A CPU", "cores": 2},
    "fits": {"ended": "2026-11-26T10:22:31+00:00"},
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    for name in ("tables", "figures"):
        (folder / name).mkdir()
    for table in TABLES:
        made("rich")[table.name].to_csv(folder / "tables" / f"{table.name}.csv", index=False)
    for figure in FIGURES:
        (folder / "figures" / f"{figure.name}.svg").write_text("<svg/>")
    (folder / "provenance.json").write_text(json.dumps(RECORD))
    write_index(
        DESIGNS["rich"], folder / "tables", folder / "figures", folder / "provenance.json", folder
    )
    return folder


def test_the_page_needs_nothing_but_itself_and_has_a_language_a_title_and_a_viewport(
    written: Path,
) -> None:
    text = (written / "index.html").read_text(encoding="utf-8")
    for wanted in ('<html lang="en">', "<title>Four routes", 'name="viewport"', "dark"):
        assert wanted in text
    assert re.findall(r'<(?:img|script|link)[^>]*(?:src|href)="(?!data:)', text) == []
    assert not re.search(r"https?://|@import|url\(", text)
    images = re.findall(r'<img src="data:image/svg[^"]*" alt="([^"]*)"', text)
    assert len(images) == 1 + len(SHOWN) == 7  # its own question is how many components
    assert all(len(words) > 20 for words in images)
    assert DESIGNS["rich"].digest() in text
    assert "revision 0123456789ab, with changes of its own" in text


def test_the_first_thing_on_it_is_the_answer_to_which_method_and_which_interval(
    written: Path,
) -> None:
    text = (written / "index.html").read_text(encoding="utf-8")
    before = text[: text.index('id="findings"')]
    assert before.index("<h1>") < before.index('<form class="ask"')
    places = re.findall(r'data-place="([^"]*)"( hidden)?', before)
    assert len(places) == 4
    (shown,) = (json.loads(html.unescape(place)) for place, hidden in places if not hidden)
    assert shown == ["100", "2", "0.5", "1"]  # the cell that is nearest to what is asked
    assert ASKED == {"n": 500, "separation": 2, "weight": 0.5, "sd ratio": 2}
    chosen = re.findall(r"<option selected>([^<]*)<", before)
    assert chosen == shown
    assert text.count("<li><b>") == 5


def test_every_exhibit_is_on_it_and_every_link_within_it_arrives(written: Path) -> None:
    text = (written / "index.html").read_text(encoding="utf-8")
    for table in TABLES:
        assert f'id="table-{table.name}"' in text
        assert f'href="tables/{table.name}.csv"' in text
    for figure in FIGURES:
        assert f'href="figures/{figure.name}.svg"' in text
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(ids)


def test_the_findings_are_of_one_revision_and_machine_and_say_which(written: Path) -> None:
    text = (written / "findings.md").read_text(encoding="utf-8")
    assert "revision 0123456789ab" in text
    assert "A CPU, 2 cores" in text
    assert text.count("\n## ") >= 5
    for name in re.findall(r"\(figures/([a-z-]+)\.png\)", text):
        assert name in {figure.name for figure in FIGURES}
    assert made_by({}) == "Made by ."


def test_a_design_without_a_grid_asks_for_its_scenarios() -> None:
    text = page(DESIGNS["no grid"], made("no grid"), {}, "", [])
    assert '<select name="scenario"><option selected>named</option>' in text


def test_alternative_texts_are_words_alone() -> None:
    for figure in FIGURES:
        assert "*" not in alt(figure)
        assert alt(figure).startswith(figure.title)
