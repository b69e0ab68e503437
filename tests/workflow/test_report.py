"""The report's front page, rendered as Snakemake does, and the check of the report in a browser."""

import shutil
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from docutils.core import publish_parts
from jinja2 import Environment

from study.benchmarks.scaling import BENCHMARK_FIGURES
from study.benchmarks.tables import BENCHMARK_TABLES
from study.report.contents import FIGURES, TABLES
from study.report.exhibit import CAPTIONS
from study.walkthrough import CATEGORY
from tests import report_in_chromium

CHROMIUM = shutil.which("chromium")
CATEGORIES = {
    *(exhibit.category for exhibit in (*TABLES, *FIGURES, *BENCHMARK_TABLES, *BENCHMARK_FIGURES)),
    *(CATEGORY, "Provenance"),
}


def front(files, **settings):
    text = Environment(**settings).from_string((CAPTIONS / "front.rst").read_text())
    categories = [SimpleNamespace(name=name) for name in CATEGORIES]
    rendered = text.render(files=files, categories=categories)
    return publish_parts(rendered, writer="html", settings_overrides={"halt_level": 2})["body"]


def test_the_front_page_has_the_findings_and_every_category(tmp_path):
    (tmp_path / "findings.rst").write_text("**Found.** This & that.\n")
    figures = [
        SimpleNamespace(
            path=tmp_path / f"{figure.name}.svg",
            category=SimpleNamespace(name=figure.category),
            labels={"what": f"{figure.title} (figure)"},
        )
        for figure in FIGURES
    ]
    guide = SimpleNamespace(
        path=tmp_path / "guide.html", category=SimpleNamespace(name=""), labels={}
    )
    assert front([guide, *figures]).count("<li>") == len(CATEGORIES)
    page = front([guide, *figures], trim_blocks=True, lstrip_blocks=True)  # Snakemake's
    assert "<strong>Found.</strong> This &amp; that." in page
    assert "Open the whole guide" in page
    for name in CATEGORIES:
        assert f"<strong>{name}</strong>" in page
    for figure in FIGURES:
        path = quote(str(tmp_path / f"{figure.name}.svg"))
        link = f"javascript:app.setView({{content:'img',contentPath:results['{path}']"
        assert link in page.replace("&#x27;", "'"), figure.name
        assert f">{figure.title}</a>" in page


def test_the_front_page_without_a_study():
    assert "Open the whole guide" not in front([])


REPORT = """<!doctype html><body><nav id="nav"></nav><div id="content"></div><script>
const results = {a: %(source)s}, categories = {Only: {}};
const nav = document.getElementById('nav'), content = document.getElementById('content');
const app = {state: {}, setView() {
  nav.innerHTML = '<ul><li><a href="#">Only</a></li></ul>';
  nav.querySelector('a').onclick = () => {
    nav.innerHTML = '<table><tbody><tr><td>a</td><td><a href="#">eye</a></td></tr></tbody></table>';
    nav.querySelector('a').onclick = () => {
      app.state.resultPath = 'a';
      content.innerHTML = results.a;
      %(script)s
    };
  };
}};
</script></body>"""
PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
@pytest.mark.parametrize(
    ("source", "script", "says"),
    [
        (f"<img src='{PIXEL}'>", "", ""),
        ("<img src='data:image/png;base64,AAAA'>", "", "image does not load"),
        ("<img src='https://example.org/a.png'>", "", "request that leaves the page"),
        ("<iframe srcdoc='<img src=nowhere.png>'></iframe>", "", "image does not load"),
        ("words", "undefined.mime_type;", "script fails: TypeError"),
        ("words", "app.state.resultPath = undefined;", "1 results, but 0 could be opened"),
    ],
)
def test_the_check_of_the_report_sees_what_it_is_for(tmp_path, capsys, source, script, says):
    report = tmp_path / "report.html"
    report.write_text(REPORT % {"source": f'"{source}"', "script": script})
    code = report_in_chromium.main([str(report)])
    said = capsys.readouterr().out
    assert code == (1 if says else 0), said
    assert says in said
