"""The README: short, its answers those of the findings, its links there, its commands known."""

import re
import shlex
from inspect import signature
from pathlib import Path

import pytest

from study import __main__ as command_line
from study.design import load
from study.report.findings import FINDINGS
from study.workflow import terminal
from study.workflow.publish import PUBLISHED, texts_of
from study.workflow.sources import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "study/pages").glob("*.md"))]


def test_it_takes_ten_minutes():
    words = re.sub(r"```.*?```|<!--.*?-->", "", README, flags=re.DOTALL).split()
    assert len(words) <= 1500


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_within_the_repository_arrives(page):
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8").replace("\n", " ")):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), link


def test_it_links_every_page():
    for page in PAGES[1:]:
        assert f"study/pages/{page.name}" in README


def test_its_answers_are_to_the_questions_of_the_first_findings():
    block = README.split("<!-- in short: begin")[1].split("<!-- in short: end")[0]
    asked = re.findall(r"- \*\*(.*?)\*\*", block.replace("\n  ", " "))
    source = (ROOT / "study/report/findings.py").read_text(encoding="utf-8")
    assert len(asked) == 5
    for question, make in zip(asked, FINDINGS, strict=False):
        body = source.split(f"def {make.__name__}(")[1].split("\ndef ")[0]
        assert f'"{question}"' in body


def test_findings_answers_and_picture_are_what_published_tables_give():
    """The same bytes, of each study that is published; the README's are those of `paper`."""
    for record in (ROOT / PUBLISHED).glob("*/provenance.json"):
        for file, content in texts_of(load(record.parent.name), record.parent).items():
            assert file.read_bytes() == content, file


def test_its_commands_are_taken():
    text = README.replace("\\\n", " ")
    commands = re.findall(r"python -m study (\w+)([^`\n#]*)", text)
    assert {name for name, _ in commands} >= {"fit", "check", "plan", "replay"}
    for name, rest in commands:
        assert name in command_line.FOR_PEOPLE
        if name == "fit" and "--help" not in rest:
            parser = command_line._parser("fit", terminal.fit)
            given = parser.parse_args(shlex.split(rest))
            assert Path(ROOT / given.file).is_file()
    options = set(re.findall(r"`--([a-z-]+)", README.split("## Fit your own data")[1]))
    known = {name.replace("_", "-") for name in signature(terminal.fit).parameters}
    assert options & {"counts", "equal-sds", "means", "sds", "penalty", "prior"} <= known
