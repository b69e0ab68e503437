"""The README's recipes, as written there, in a copy of the repository: all arrive in results."""

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.workflow
ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = README.split("## Add to the study\n")[1].split("\n## ")[0]
BLOCKS = re.findall(r"```(yaml|python)\n(.*?)```", SECTION, re.DOTALL)
SCENARIO, DATA = (text for language, text in BLOCKS if language == "yaml")
METHOD, TABLE = (text for language, text in BLOCKS if language == "python")
HEADER = """\
name: mine
title: Mine
seed: 7
closely: 1
replicates: {em: 3, newton-cg: 3}
"""
# Every step of a study that needs no sampler, in one process; then the figures' legends.
STEPS = """
import json
from pathlib import Path

from study.__main__ import main
from study.design import load
from study.report.contents import FIGURES
from study.rows import read
from study.workflow.chunks import plan

design, rows = load("my.yaml"), "results/mine/rows"
assert main(["check", "my.yaml"]) == 0
for chunk in plan(design, []).new:
    words = [str(span) for span in chunk.spans()]
    out = ["--digest", chunk.digest, "--out", f"results/mine/chunks/{chunk.place}"]
    assert main(["compute", "my.yaml", chunk.step, *words, *out]) == 0
assert main(["gather", "my.yaml", "--results", "results", "--out", rows]) == 0
assert main(["tables", "my.yaml", "--rows", rows, "--out", "out/tables"]) == 0

results, legends = read(design, Path(rows)), {}
for exhibit in FIGURES:
    figure = exhibit.make(results)
    legends[exhibit.name] = [t.get_text() for legend in figure.legends for t in legend.get_texts()]
Path("legends.json").write_text(json.dumps(legends))
"""


def line(start):
    """The code in the section's prose that begins so."""
    (found,) = re.findall(rf"`({re.escape(start)}[^`]*)`", SECTION)
    return found


def insert(path, opening, added):
    """Put a line last in the literal that opens so."""
    text = path.read_text(encoding="utf-8")
    head, tail = text.split(opening)
    body, rest = re.split(r"^(?=[})])", tail, maxsplit=1, flags=re.MULTILINE)
    path.write_text(f"{head}{opening}{body}    {added}\n{rest}", encoding="utf-8")


@pytest.fixture(scope="module")
def added(tmp_path_factory):
    """A copy of the repository with all that the recipes add, and a study of it in out/."""
    copy = tmp_path_factory.mktemp("recipes") / "repository"
    # With the bytecode and compiled code: their sources keep their dates.
    ignored = shutil.ignore_patterns(".git", ".venv", "results", ".snakemake", ".*_cache")
    shutil.copytree(ROOT, copy, ignore=ignored)
    with (copy / "models/direct.py").open("a", encoding="utf-8") as file:
        file.write(f"\n\n{METHOD}")
    insert(copy / "models/methods.py", "METHODS: dict[str, Method] = {\n", line('"newton-cg"'))
    tables = copy / "study/report/optimisation.py"
    opening = "TABLES: tuple[Table, ...] = (\n"
    text = tables.read_text(encoding="utf-8")
    tables.write_text(text.replace(opening, f"{TABLE}\n\n{opening}"), encoding="utf-8")
    insert(tables, opening, line('tabular("iterations"'))
    (copy / "study/report/captions/iterations.rst").write_text(
        "Mean iterations.\n", encoding="utf-8"
    )
    (copy / "my.yaml").write_text(HEADER + SCENARIO + DATA, encoding="utf-8")
    lengths = np.random.default_rng(0).normal(np.repeat([0, 5, 10], 40))
    np.savetxt(copy / "mine.csv", lengths, header="length", comments="")
    done = subprocess.run(
        [sys.executable, "-c", STEPS], cwd=copy, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return copy


def table(copy, name):
    with (copy / f"out/tables/{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_each_recipe_is_shorter_than_15_lines():
    assert max(text.count("\n") for _, text in BLOCKS) < 15


def test_the_scenario_and_the_data_set_are_fitted(added):
    assert {row["scenario"] for row in table(added, "failures")} == {"close", "mine"}
    assert {row["scenario"] for row in table(added, "real-data")} == {"mine"}


def test_the_method_is_in_the_tables_and_agrees_with_em(added):
    for name in ("estimates", "failures", "optimisation", "verdicts", "timings"):
        assert {row["method"] for row in table(added, name)} == {"em", "newton-cg"}, name
    em, newton_cg = (
        [row for row in table(added, "estimates") if row["method"] == method]
        for method in ("em", "newton-cg")
    )
    assert [row["R"] for row in newton_cg] == [row["R"] for row in em] == ["3"] * 5
    for one, other in zip(em, newton_cg, strict=True):
        assert float(one["bias"]) == pytest.approx(float(other["bias"]), abs=1e-3)


def test_the_method_is_in_the_legends(added):
    legends = json.loads((added / "legends.json").read_text())
    assert {name for name, texts in legends.items() if "Newton-CG" in texts} >= {
        "profile",
        "missing-information",
    }


def test_the_table_is_written_with_its_caption(added):
    assert {row["method"] for row in table(added, "iterations")} == {"em", "newton-cg"}
    assert all(float(row["iterations"]) > 0 for row in table(added, "iterations"))
    assert "\nMean iterations.\n" in (added / "out/tables/iterations.md").read_text()
