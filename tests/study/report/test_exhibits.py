"""Laws of all exhibits: each draws for every kind of design, and none is empty without a reason."""

import ast
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

import study.report
from study import walkthrough
from study.benchmarks.scaling import BENCHMARK_FIGURES
from study.benchmarks.tables import BENCHMARK_TABLES
from study.design import load
from study.report import external, priors
from study.report.contents import FIGURES, TABLES, figures_of, tables_of
from study.report.exhibit import CAPTIONS, Drawing, Exhibit, Table
from study.report.write import save, write
from study.workflow.stages import STAGES
from tests.study import synthetic
from tests.study.report.checks import unexplained
from tests.study.report.studies import DESIGNS, SIZES, made, results
from tests.study.synthetic import design, of


def words_of_nothing(figure: Figure) -> str:
    texts = [] if figure.axes else figure.texts
    return " ".join(text.get_text() for text in texts)


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("exhibit", FIGURES, ids=lambda e: e.name)
def test_every_figure_draws_for_every_design_or_says_what_it_lacks(
    exhibit: Drawing, name: str
) -> None:
    figure = exhibit.make(results(name))
    assert bool(figure.axes) == (words_of_nothing(figure) == "")
    assert words_of_nothing(figure) in {"", exhibit.nothing(DESIGNS[name])}
    assert not (figure.axes and exhibit.lacking(DESIGNS[name]))
    figure.draw_without_rendering()
    legible(figure)


def legible(figure: Figure) -> None:
    """Type of 7 to 8 points, nothing beyond the edges, and no taller than a page of a journal."""
    texts = [text for text in figure.findobj(Text) if text.get_text().strip()]
    sizes = {text.get_fontsize() for text in texts}
    assert sizes <= {7.0, 7.5, 8.0}, sizes
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0, width - box.x1, height - box.y1) > -0.02
    assert height < 9.0
    assert width == pytest.approx(3.5) or width >= 7.2


@pytest.mark.parametrize("name", DESIGNS)
def test_no_table_is_empty_unless_the_design_leaves_it_nothing(name: str, tmp_path: Path) -> None:
    for table in TABLES:
        why = table.nothing(DESIGNS[name])
        write(made(name)[table.name], table.caption, tmp_path / table.name, none=why)
    assert unexplained(DESIGNS[name], tmp_path) == []


def test_a_design_of_all_kinds_leaves_no_exhibit_empty() -> None:
    empty = [name for name, table in made("rich").items() if table.empty]
    assert empty == []
    for name in ("smoke", "default"):
        everything = load(name)
        exhibits: tuple[Exhibit, ...] = (*tables_of(everything), *figures_of(everything))
        assert [e.name for e in exhibits if e.lacking(everything)] == []


def test_rows_that_should_be_there_are_missed(tmp_path: Path) -> None:
    for table in TABLES:
        lost = made("rich")[table.name].iloc[:0] if table.name == "overtaking" else None
        write(made("rich")[table.name] if lost is None else lost, "", tmp_path / table.name)
    save(study.report.style.nothing("Nothing."), tmp_path / "trust-map")
    for figure in FIGURES:
        if figure.name != "trust-map":
            (tmp_path / f"{figure.name}.svg").write_text("<svg/>")
    assert unexplained(DESIGNS["rich"], tmp_path, tmp_path) == ["overtaking", "trust-map"]


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.name)
def test_a_table_without_rows_says_so_in_every_form_but_csv(table: Table, tmp_path: Path) -> None:
    empty = table.make(of())
    if table.name != "warnings":  # a row a diagnostic, always
        assert empty.empty
    write(empty.iloc[:0], table.caption, tmp_path / "t", none="This design has no grid.")
    for ending in ("md", "tex", "html"):
        assert "No rows. This design has no grid." in (tmp_path / f"t.{ending}").read_text()
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    "name", ["missing-information", "traces"]
)  # words and lines; many artists, some pixels
def test_three_files_with_the_same_bytes_every_time(name: str, tmp_path: Path) -> None:
    exhibit = next(e for e in FIGURES if e.name == name)
    found = []
    for run in ("first", "second"):
        (tmp_path / run).mkdir()
        save(exhibit.make(results("rich")), tmp_path / run / name)
        found.append({f.name: f.read_bytes() for f in (tmp_path / run).iterdir()})
    assert set(found[0]) == {f"{name}.{ending}" for ending in ("pdf", "svg", "png")}
    assert found[0] == found[1]


def test_every_exhibit_has_a_caption_and_every_caption_an_exhibit() -> None:
    walk = (*walkthrough.TABLES, *walkthrough.FIGURES)
    own = (*external.TABLES, *external.FIGURES, *priors.TABLES, *priors.FIGURES)
    exhibits = (*TABLES, *FIGURES, *own, *BENCHMARK_TABLES, *BENCHMARK_FIGURES, *walk, STAGES)
    names = [exhibit.name for exhibit in exhibits]
    assert len(names) == len(set(names))
    captions = {file.stem for file in CAPTIONS.glob("*.rst")}
    assert captions == {*names, "front", "provenance", "walkthrough"}


# What tells rows apart, and what is no estimate from replicates: the caption of each says why.
KEYS = {
    *("n", "separation", "weight", "sd_ratio", "component", "target", "truth", "estimate", "se"),
    *("lower", "upper", "loglik", "replicate", "certified", "believable"),  # one real data set
    *("rate_at_truth", "largest_error", "compile", "bound", "p", "p_all"),
    *("limit", "limit_profile", "seen"),  # exact, or a maximum
    *("factor", "data_sets"),
}


@pytest.mark.parametrize("name", ["rich", "no grid"])
def test_every_number_of_every_table_has_its_monte_carlo_error_and_its_r(name: str) -> None:
    for exhibit, table in made(name).items():
        numbers = [c for c in table if pd.api.types.is_numeric_dtype(table[c]) and c not in KEYS]
        counts = {c for c in numbers if c == "R" or c.startswith("R_") or c.endswith("_R")}
        bare = [
            c
            for c in numbers
            if not c.endswith(("_mcse", "_low", "_high"))
            and c not in counts
            and f"{c}_mcse" not in table
        ]
        assert bare == [], (exhibit, bare)
        assert counts or not numbers, exhibit


SAID = [e for e in (*TABLES, *FIGURES) if e.finding is not None]


@pytest.mark.parametrize("exhibit", SAID, ids=lambda e: e.name)
def test_what_an_exhibit_shows_is_a_sentence_with_numbers_or_nothing(exhibit: Exhibit) -> None:
    """Of every design, also of one without rows: never a number that is none."""
    said = [exhibit.found(results(name)) for name in DESIGNS] + [exhibit.found(of())]
    assert said[-1] == ""
    for text in said:
        assert not text or re.fullmatch(r"[A-Z].*\d.*\.", text), text
        assert not re.search(r"\bnan\b|\binf\b|None", text)
    caption = exhibit.caption_with(said[0])
    assert caption.startswith("**" if said[0] else exhibit.caption)


def test_a_study_in_which_nothing_is_usable_has_its_tables_and_figures() -> None:
    """As of three observations a data set, on which every fit collapses: rows with R = 0."""
    small = design(["em", "newton"], grids=[SIZES], closely=1, intervals={"replicates": 1})
    study = synthetic.study(small)
    lost = {"estimate": np.nan, "lower": np.nan, "upper": np.nan, "message": "singular: at 3"}
    bare = synthetic.changed(
        study,
        fits=study.fits.assign(status="singular", believable=False, certified=False),
        reaches=study.reaches.assign(passes=np.inf),
        optima=study.optima.assign(loglik=np.nan, believable=False),
        intervals=study.intervals.assign(**lost),
        stops=study.stops.iloc[:0],
        rates=study.rates.iloc[:0],
    )
    made = {
        table.name: table.make(bare)
        for table in TABLES
        if table.name in {"grid", "complete", "intervals-grid", "optimisation", "guide", "starts"}
    }
    for name in ("grid", "complete"):
        assert set(made[name]["R"]) == {0}
        assert set(made[name]["method"]) == {"em", "newton"}
    assert set(made["grid"]["coverage"]) == set(made["intervals-grid"]["coverage"]) == {0.0}
    for figure in FIGURES:
        if figure.name in {"rmse", "trust-map", "descent", "stopping", "missing-information"}:
            figure.make(bare).draw_without_rendering()


def test_exhibits_with_seconds_are_marked_so() -> None:
    """Seconds that differ change every table that is timed, and no other."""
    before = made("rich")
    study = results("rich")
    slower = {
        kind: getattr(study, kind).assign(seconds=lambda rows: 1 / rows["seconds"])
        for kind in ("timings", "remedy_timings", "choice_timings")
    }
    changed = synthetic.changed(study, **slower)
    for table in TABLES:
        same = table.make(changed).to_csv() == before[table.name].to_csv()
        assert same != table.timed, table.name


def test_every_merge_names_its_keys() -> None:
    """Without, another column that both sides come to have silently becomes a key."""
    for file in Path(study.report.__path__[0]).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                keywords = {keyword.arg for keyword in node.keywords}
                assert node.func.attr != "merge" or "on" in keywords, (file.name, node.lineno)


@pytest.mark.parametrize("file", sorted(CAPTIONS.glob("*.rst")), ids=lambda file: file.stem)
def test_every_caption_of_a_coverage_says_what_a_missing_interval_is(file: Path) -> None:
    text = " ".join(file.read_text(encoding="utf-8").split())
    if file.stem != "front" and re.search(r"[Cc]overage|holds? the tru", text):
        assert re.search(r"count(s|ed)? as (a )?miss", text)


def test_presenting_computes_nothing() -> None:
    """No module of the report imports what fits, samples, relabels or finds truths."""
    computing = ("study.compute", "models.em", "models.direct", "models.theory", "models.labels")
    for file in Path(study.report.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                assert not node.module.startswith(computing), (file.name, node.module)
