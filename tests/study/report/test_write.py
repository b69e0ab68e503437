"""Tables as files: numbers cut to their errors, four forms, sums, and the source in each."""

import hashlib
import html
import re
from pathlib import Path

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from study.report.estimates import estimates
from study.report.page import is_number, picture
from study.report.write import escaped, write, write_sums
from tests.study.synthetic import of, row


def test_reader_forms_hold_the_numbers_and_latex_has_booktabs(tmp_path: Path) -> None:
    values = [29.0, 27.0, 31.0]
    rows = [row("estimates", replicate=i, truth=28.0, estimate=e) for i, e in enumerate(values)]
    table = estimates(of(fits=[row("fits", replicate=i) for i in range(3)], estimates=rows))
    write(table, "A caption with 95% & more_things.", tmp_path / "t")
    assert "| 1.0 (1.2) " in (tmp_path / "t.md").read_text()
    latex = (tmp_path / "t.tex").read_text()
    assert r"\toprule" in latex
    assert r"95\% \& more\_things" in latex
    assert list(pd.read_csv(tmp_path / "t.csv").columns) == list(table.columns)


def test_every_form_says_its_source_and_the_csv_stays_tidy(tmp_path: Path) -> None:
    table = pd.DataFrame({"method": ["em"], "bias": [0.5], "bias_mcse": [0.1]})
    write(table, "A caption.", tmp_path / "t", "design d, digest 0123")
    for ending in (".md", ".tex", ".html"):
        assert "design d, digest 0123" in (tmp_path / f"t{ending}").read_text()
    assert (tmp_path / "t.csv").read_text() == "method,bias,bias_mcse\nem,0.5,0.1\n"
    write_sums([tmp_path / "t.csv"], tmp_path / "csv.sha256", "design d, digest 0123")
    first, second = (tmp_path / "csv.sha256").read_text().splitlines()
    assert first == "# design d, digest 0123"
    digest = hashlib.sha256((tmp_path / "t.csv").read_bytes()).hexdigest()
    assert second == f"{digest}  t.csv"


NASTY = [
    r"50% & $a_1$ #2 \alpha {x}^~ `q` --- 'it' \"s\"",
    "<script>alert(1)</script> a|b *c* [d](e) &lt; $",
    "שלום עולם e\u0301 \u211d",
]


def test_texts_are_shown_as_they_are_in_every_form(tmp_path: Path) -> None:
    table = pd.DataFrame({"unit": NASTY, "value": [1.0, 2.0, 3.0]})
    write(table, NASTY[0], tmp_path / "t")
    assert pd.read_csv(tmp_path / "t.csv")["unit"].tolist() == NASTY
    page = (tmp_path / "t.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    cells = [html.unescape(cell) for cell in re.findall(r'<th scope="row">(.*?)</th>', page)]
    assert cells == NASTY
    assert html.unescape(re.findall(r"<p>(.*?)</p>", page)[0]) == NASTY[0]
    shown = MarkdownIt().enable("table").render((tmp_path / "t.md").read_text(encoding="utf-8"))
    assert "<script>" not in shown
    cells = [html.unescape(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", shown)]
    assert cells[::2] == NASTY
    assert html.unescape(re.findall(r"<p>(.*?)</p>", shown)[0]) == NASTY[0]


def test_latex_has_no_special_character_left() -> None:
    """What is left of the escaped text, its commands apart, is letters, digits and quotes."""
    for text in NASTY:
        commands = r"\\text[a-z]+\{\}|\{\\ttfamily\\char34\}|\$[<>|]\$|(?<=-)\{\}|\\[&%$#_{}]"
        rest = re.sub(commands, "", escaped(text))
        assert not set(rest) & set('\\{}$&#^_%~"<>`|'), rest
    assert escaped("a---b") == "a-{}-{}-b"
    assert escaped("e\u0301") == "é"


def test_titles_of_columns_are_escaped_and_numbers_meet_at_the_point(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "50% & #1": ["a_b", "c"],
            "bias": [-0.51, 12.345],
            "bias_mcse": [0.12, 1.2],
            "gap": [5.1e-5, 1e-9],
        }
    )
    write(table, "A caption.", tmp_path / "t")
    latex = (tmp_path / "t.tex").read_text()
    assert r"50\% \& \#1 & \multicolumn{2}{c}{bias}" in latex
    assert r"a\_b & $-$0 & .51 (0.12) & 5 & .1$\times10^{-5}$ \\" in latex
    assert r"c & 12 & .3 (1.2) & & $<$ 1$\times10^{-6}$ \\" in latex
    assert "−0.51 (0.12)" in (tmp_path / "t.md").read_text()
    assert (tmp_path / "t.csv").read_text().splitlines()[1] == "a_b,-0.51,0.12,5.1e-05"


def test_a_page_needs_nothing_from_outside_and_its_tables_sort(tmp_path: Path) -> None:
    write(pd.DataFrame({"method": ["em"], "n": [5]}), "A caption.", tmp_path / "t")
    page = (tmp_path / "t.html").read_text()
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)|@import|url\(", page)
    assert page.count('<th scope="col"') == page.count("<button type=") == 2
    for wanted in ('<html lang="en">', 'name="viewport"', "<title>T</title>", "aria-sort"):
        assert wanted in page


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *((t, True) for t in ("", "–", "5", "−0.5 (0.1)", "1 (0.9 to 1)", "< 1e−6", "5.1e−5")),
        *((t, True) for t in ("12,345", "inf", "0.3 (< 0.001)")),
        *((t, False) for t in ("a", "mean 1", "1 2", "EM", "1e", "0.5 of 3")),
    ],
)
def test_what_is_a_number_is_told_from_text(text: str, number: bool) -> None:
    assert is_number(text) == number


def test_a_figure_of_two_columns_scrolls_on_a_narrow_screen_and_one_of_one_does_not() -> None:
    wide = picture(b'<svg xmlns="x" width="518.4pt" height="1pt">', 'A "b"', "what is seen")
    assert 'class="paper wide"' in wide
    assert 'tabindex="0"' in wide
    assert 'aria-label="A &quot;b&quot;, image"' in wide
    for drawn in (b'<svg width="252pt">', b"<svg/>"):
        assert 'class="paper"' in picture(drawn, "a", "b")
