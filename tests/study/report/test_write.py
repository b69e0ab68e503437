"""Tables as files: numbers cut to their errors, four forms, sums, and the source in each."""

import hashlib
import html
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt

from study.report import measures
from study.report.estimates import estimates
from study.report.table import with_errors
from study.report.write import escaped, for_readers, with_error, write, write_sums
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


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (1.23456, 0.0123, "1.235 (0.012)"),
        (0.5, 0.25, "0.50 (0.25)"),
        (1234.5, 67.8, "1234 (68)"),
        (1.0, 0.0, "1"),
        (-99.86, np.inf, "-99.86 (inf)"),
        (np.nan, 1.0, "–"),
        (-np.inf, np.nan, "-inf"),
        (2.0, np.nan, "2"),
    ],
)
def test_numbers_are_cut_to_the_second_digit_of_their_error(
    value: float, error: float, text: str
) -> None:
    assert with_error(value, error) == text


def test_a_share_of_0_or_1_or_of_few_has_its_interval() -> None:
    """Whatever else is in the table; never as 1 (0)."""
    pairs = ((50, 50), (0, 8), (7, 8), (30, 40), (0, 0), (2000, 2000))
    shares = [measures.of_count(*pair) for pair in pairs]
    table = pd.DataFrame([with_errors({"coverage": share}, share.r) for share in shares])
    assert for_readers(table)["coverage"].tolist() == [
        "1 (0.929 to 1)",
        "0 (0 to 0.32)",
        "0.88 (0.53 to 0.98)",
        "0.750 (0.068)",
        "–",
        "1 (0.9981 to 1)",
    ]
    assert list(for_readers(table)) == ["R", "coverage"]
    counts = pd.DataFrame([with_errors({"failed": measures.count(np.zeros(5))}, 5)])
    assert for_readers(counts).iloc[0].tolist() == ["5", "0"]


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
    assert "<script>" not in page
    cells = [html.unescape(cell) for cell in re.findall(r"<td>(.*?)</td>", page)]
    assert cells[::2] == NASTY
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
