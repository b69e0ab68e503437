"""What a manuscript takes: every file is there, says its source, and LaTeX takes it."""

import functools
import inspect
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from models import METHODS
from study.design import Grid
from study.report import paper
from study.report.ademp import ademp
from study.report.contents import FIGURES, TABLES
from study.report.estimates import grid
from study.report.exhibit import CAPTIONS, Table
from study.report.index import read_table
from study.report.readers import for_readers, parts, with_error
from study.report.write import escaped, save, write
from study.rows import Results
from tests.study import synthetic
from tests.study.synthetic import FAITHFUL, NAMED, design, rich

CELLS = Grid(name="cells", separation=[2, 4], weight=[0.5], sd_ratio=[1], n=[100])
# One of words, one panel, some panels side by side, and one that is too wide for a column.
NAMES = ("stopping", "trust-map", "time", "densities", "overview")
BLANK = next(figure for figure in FIGURES if figure.name not in NAMES)
LATEX = shutil.which("pdflatex")


@functools.cache
def study() -> Results:
    methods = ("em", "newton", "map", "nuts")
    return synthetic.study(design(methods, grids=[CELLS], scenarios=[NAMED], data=[FAITHFUL]))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, results = tmp_path_factory.mktemp("paper"), study()
    design, stamp = results.design, results.design.stamp()
    for name in ("tables", "figures", "paper"):
        (folder / name).mkdir()
    for table in TABLES:
        made, none = table.make(results), table.nothing(design)
        write(made, table.caption, folder / "tables" / table.name, stamp, none)
    for figure in FIGURES:
        drawn = figure.make(results) if figure.name in NAMES else Figure((3, 2))
        save(drawn, folder / "figures" / figure.name, stamp)
    paper.write_paper(
        design, folder / "tables", folder / "figures", {"scipy": "1.17.0"}, folder / "paper"
    )
    return folder / "paper"


def test_every_exhibit_is_there_and_every_file_says_its_source(written: Path) -> None:
    stamp = study().design.stamp()
    assert {f"{f.name}.pdf" for f in FIGURES} == {p.name for p in written.glob("figures/*")}
    expected = {f"{t.name}{end}.tex" for t in TABLES for end in ("", "-alone")}
    assert expected == {p.name for p in written.glob("tables/*")}
    for path in written.rglob("*"):
        if path.is_file():
            assert stamp.encode() in path.read_bytes()[-2000:] + path.read_bytes()[:200], path


def test_the_index_gives_each_figure_its_size(written: Path) -> None:
    index = (written / "README.md").read_text()
    for figure in FIGURES:
        width, height = paper.pdf_size(written / "figures" / f"{figure.name}.pdf")
        assert f"| `{figure.name}.pdf` | {figure.title} | {width:.1f} × {height:.1f} |" in index
    blank = paper.pdf_size(written / "figures" / f"{BLANK.name}.pdf")
    assert blank == pytest.approx((3, 2), abs=1e-3)


@pytest.mark.parametrize("table", TABLES, ids=[t.name for t in TABLES])
def test_a_table_is_read_as_it_was_made(table: Table, tmp_path: Path) -> None:
    made = table.make(study())
    write(made, "", tmp_path / "made")
    read = read_table(tmp_path / "made.csv")
    pd.testing.assert_frame_equal(for_readers(read), for_readers(made))


def test_fonts_are_embedded(written: Path) -> None:
    for file in written.glob("figures/*.pdf"):
        content = file.read_bytes()
        assert content.count(b"/Type /FontDescriptor") == content.count(b"/FontFile2 ")
        assert b"/Subtype /Type3" not in content


def test_numbers_are_found_by_table_row_and_column() -> None:
    table = grid(study())
    found = {key: (value, error) for key, value, error in paper.numbers("grid", table)}
    row = table.iloc[0]
    where = f"grid/{row['scenario']}/weight/1/{row['method']}"
    text = with_error(row["bias"], row["bias_mcse"])
    assert "{} ({})".format(*found[f"{where}/bias"]) == text
    assert found[f"{where}/R"] == (str(row["R"]), "")
    seen = {c for part in parts(table) for c in part.table}
    assert {key.rsplit("/", 1)[1] for key in found} <= {c.replace("_", "-") for c in seen}
    assert len(found) == len(set(found))


@pytest.mark.parametrize("table", TABLES, ids=[t.name for t in TABLES])
def test_every_tables_rows_have_keys(table: Table) -> None:
    made = table.make(study())
    keys = [key for key, *_ in paper.numbers(table.name, made)]
    assert all(re.fullmatch(r"[A-Za-z0-9./-]+", key) for key in keys)
    assert len(keys) == len(set(keys))


def test_rows_without_keys_of_their_own_are_an_error() -> None:
    table = pd.DataFrame({"method": ["em", "em"], "bias": [0.1, 0.2]})
    with pytest.raises(ValueError, match="table t: method do not tell its rows apart"):
        list(paper.numbers("t", table))
    table = pd.DataFrame({"method": ["em"], "bias": [np.nan]})
    assert list(paper.numbers("t", table)) == []


def test_short_names_have_only_letters(written: Path) -> None:
    names = re.findall(r"\\newcommand\{\\(mix\w*)\}\{", (written / "macros.tex").read_text())
    assert len(names) > 15
    assert all(re.fullmatch("[A-Za-z]+", name) for name in names)


def test_latex_has_every_character_of_captions_and_tables() -> None:
    texts = [path.read_text() for path in CAPTIONS.glob("*.rst")]
    texts += [t.make(study()).to_string() for t in TABLES]
    assert {c for text in texts for c in escaped(text) if ord(c) > 127} <= set("é")
    assert escaped(r"a_b & 5% \ {x}^2 ~") == (
        r"a\_b \& 5\% \textbackslash{} \{x\}\textasciicircum{}2 \textasciitilde{}"
    )


def test_other_packages_are_named_once_with_their_versions() -> None:
    versions = ["mclust 6.1, R 4.5", "–", "mixtools 2, R 4.5"]
    made = {"external-asked": pd.DataFrame({"version": versions})}
    assert paper._answered(made) == ["mclust 6.1", "R 4.5", "mixtools 2"]
    assert paper._answered({}) == []


def compile_latex(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    assert LATEX is not None
    command = [LATEX, "-interaction=nonstopmode", "-halt-on-error", name]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.skipif(LATEX is None, reason="there is no pdflatex on this machine")
def test_a_manuscript_and_every_table_alone_compile(written: Path) -> None:
    example = (written / "example.tex").read_text()
    assert example.count(r"\includegraphics") == 2
    assert example.count(r"\input{tables/") == 1
    assert example.count(r"\mixboth") == 1
    if bibtex := shutil.which("bibtex"):
        compile_latex(written, "example")
        subprocess.run([bibtex, "example"], cwd=written, capture_output=True, check=True)
        compile_latex(written, "example")
    done = compile_latex(written, "example")
    assert done.returncode == 0, done.stdout[-2000:]
    if bibtex:
        assert "undefined" not in done.stdout.lower()
    assert re.search(r"\(2 pages", done.stdout)
    for table in TABLES:
        done = compile_latex(written / "tables", f"{table.name}-alone")
        assert done.returncode == 0, done.stdout[-2000:]
        assert "Overfull" not in done.stdout, table.name


@pytest.mark.skipif(LATEX is None, reason="there is no pdflatex on this machine")
@pytest.mark.parametrize(
    ("text", "says"),
    [
        (r"\mix{grid/no-such-cell/bias}", "there is no number `grid/no-such-cell/bias'"),
        (r"\mixse{verdicts/named/newton/R}", "this number has no Monte Carlo standard error"),
        (r"\mixNoSuchName", "Undefined control sequence"),
    ],
)
def test_an_unknown_number_stops_latex(written: Path, text: str, says: str) -> None:
    document = rf"\documentclass{{article}}\input{{macros}}\begin{{document}}{text}\end{{document}}"
    (written / "wrong.tex").write_text(f"% {study().design.stamp()}\n{document}")
    done = compile_latex(written, "wrong")
    assert done.returncode != 0
    assert says in done.stdout.replace("\n", "")


def test_methods_say_what_a_design_asks_for_beside_the_comparison() -> None:
    plain, more = (" ".join(ademp(d, {})) for d in (design(scenarios=[NAMED]), rich()))
    for words in (
        "profile likelihood and the sandwich",
        "calibration of NUTS and NUTS ordered [@talts2018] on 20 data sets of n = 20",
        "label switching, on 3 data sets of 1 scenario",
        "other starts, on 3 data sets of 1 scenario",
    ):
        assert words in more
        assert words not in plain
    most = inspect.signature(METHODS["nuts"].run).parameters["max_draws"].default
    assert f"to {most:,} draws each, until R-hat" in plain


def test_citations_are_latexs(written: Path) -> None:
    methods = (written / "methods.tex").read_text(encoding="utf-8")
    assert r"EM is that of Dempster et al.~\cite{dempster1977}" in methods
    assert "[@" not in methods
    assert paper.cited("EM [@louis1982] & more.") == r"EM~\cite{louis1982} \& more."
