"""The README's short answers, from what a published study found.

They stand between two marks, the first of which names the page that they are from.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from study.design import Design
from study.report.findings import Finding

WIDTH = 110
# The published figure that is the README's picture, and where that lies.
FIGURE = "figures/overview.png"
PICTURE = "study/report/readme.png"
_NOTE = re.compile(r"note    = \{[^}]*\}")
_BLOCK = re.compile(r"<!-- in short: begin \([^)]*\) -->\n.*?<!-- in short: end -->", re.DOTALL)


def with_answers(
    text: str, page: Path, design: Design, found: Sequence[Finding], record: Mapping[str, Any]
) -> str:
    """A README with the first five findings of a page, what made them, and how to cite them.

    page: relative to the README. record: the study's provenance. ValueError if there is no place
    for them.
    """
    if not _BLOCK.search(text):
        raise ValueError("README.md: the marks `in short: begin (PAGE)` and `end` are missing")
    lines = [_wrapped(f"- **{one.question}** {one.short}", "  ") for one in found[:5]]
    begin = f"<!-- in short: begin ({page.as_posix()}) -->"
    block = "\n".join([begin, *lines, "", _wrapped(_made(page, design, record)), _END])
    cited = (
        f"note    = {{Revision {_revision(record)}; study {design.name}, digest {design.digest()}}}"
    )
    return _NOTE.sub(lambda _: cited, _BLOCK.sub(lambda _: block, text))


def _revision(record: Mapping[str, Any]) -> str:
    return str(record["git"]["revision"])[:12]


_END = "<!-- in short: end -->"


def _made(page: Path, design: Design, record: Mapping[str, Any]) -> str:
    machine, ended = record["machine"], str(record["fits"]["ended"])[:10]
    return (
        f"These lines begin [what the design `{design.name}` found]({page.as_posix()}), with its "
        f"digest {design.digest()}, at revision {_revision(record)}, by "
        f"{machine['processor']} ({machine['cores']} cores), {ended}."
    )


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
