"""The README's answers are those of a study, whatever was between the marks before."""

from pathlib import Path

import pytest

from study.design import load
from study.report.findings import Finding
from study.report.readme import WIDTH, with_answers

PAGE = Path("results/published/smoke/findings.md")
BEFORE = "# A\n<!-- in short: begin (there/findings.md) -->\n- old\n<!-- in short: end -->\nafter\n"
FOUND = [
    Finding(f"Question {i}?", f"An answer of \\1 and {'words ' * 30}.", "", "") for i in range(6)
]
RECORD = {
    "git": {"revision": "0123456789abcdef"},
    "machine": {"processor": "A processor", "cores": 2},
    "fits": {"ended": "2026-11-26T22:00:00+00:00"},
}


def answered(text):
    return with_answers(text, PAGE, load("smoke"), FOUND, RECORD)


def test_the_answers_are_the_first_five_and_the_rest_of_the_text_stays():
    text = answered(BEFORE)
    assert text.startswith(
        "# A\n<!-- in short: begin (results/published/smoke/findings.md) -->\n- **Q"
    )
    assert text.endswith("\n<!-- in short: end -->\nafter\n")
    assert text.count("- **Question") == 5
    assert "An answer of \\1 and words" in text
    assert "old" not in text
    assert max(map(len, text.splitlines())) <= WIDTH


def test_what_made_them_is_said():
    text = " ".join(answered(BEFORE).split())
    assert f"digest {load('smoke').digest()}" in text
    assert "revision 0123456789ab, by A processor (2 cores), 2026-11-26." in text


def test_the_citation_has_the_revision_and_the_digest():
    text = answered(BEFORE + "  note    = {Give both}\n}")
    digest = load("smoke").digest()
    assert f"  note    = {{Revision 0123456789ab; study smoke, digest {digest}}}\n}}" in text
    assert "Give both" not in text


def test_again_it_is_the_same_text():
    assert answered(answered(BEFORE)) == answered(BEFORE)


def test_a_text_without_marks_is_refused():
    with pytest.raises(ValueError, match="are missing"):
        answered("# A\n")
