"""What a job depends on, read off imports, holds all that it loads: steps are run to see."""

import json
import os
import subprocess
import sys

import pytest
import yaml

from models import METHODS
from study.workflow import sources
from study.workflow.pieces import PRIOR, STEPS
from study.workflow.sources import ROOT, closure, digest, files, imported
from tests.workflow.tiny import DESIGN

# With a package of another's, whose script lies with the tests.
SCRIPT = str(ROOT / "tests/study/compute/packages/fake.py")
PACKAGE = {"name": "fake", "engine": "external", "script": SCRIPT, "function": "moments"}
PACKAGE |= {"label": "Fake", "replicates": 1}

SAMPLES = "models.posterior.density"
LOADED = """
import json, sys
from study.__main__ import main
code = main(sys.argv[1:])
files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
print(json.dumps(sorted(file for file in files if file)))
sys.exit(code)
"""
STARTS = {
    step: [f"{PRIOR}:0-1:nuts"] if step == "calibrate" else ["near:0-1"] for step in STEPS
} | {
    "priors": ["near:0-1:default"],
    "choose": ["near:0-1:bic"],
    "evidence": ["near:0-1:waic"],
    "numeric": ["near:0-2:em,lbfgs", "far:0-1:em"],
    "pymc": ["near:0-1:map,nuts"],
    "external": ["near:0-1:fake"],
}


def names(found):
    return {str(file.relative_to(ROOT)) for file in found}


# The check of a design loads the methods that it has options for, to look at their signatures.
CHECKED = names(closure(method.place.partition(":")[0] for method in METHODS.values()))


def loaded(folder, *arguments):
    """The repository's files that a command has loaded when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments],
        cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    prefix = f"{ROOT}/"
    found = {f.removeprefix(prefix) for f in json.loads(done.stdout) if f.startswith(prefix)}
    return {file for file in found if not file.startswith((".venv", "tests"))}


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(step, marks=[pytest.mark.workflow] if SAMPLES in what.loads else [])
        for step, what in STEPS.items()
    ],
)
def test_what_a_step_loads_is_among_its_sources(tmp_path, step):
    asking = DESIGN | {"external": [PACKAGE]}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(asking))
    command = ["compute", "tiny.yaml", step, *STARTS[step], "--out", "out"]
    assert loaded(tmp_path, *command) <= names(STEPS[step].sources()) | CHECKED
    assert (tmp_path / "out" / "record.json").is_file()


def test_no_step_of_computing_loads_what_presents():
    for step, what in STEPS.items():
        rooms = {name.split("/")[1] for name in names(what.sources()) if name.startswith("study/")}
        assert not rooms & {"report", "benchmarks", "walkthrough"}, step
        assert "study/workflow/chunks.py" not in names(what.sources()), step


def test_an_optimiser_is_no_source_of_pymcs_chunks():
    assert "models/direct.py" not in names(STEPS["pymc"].sources())


def test_the_fits_of_an_engine_depend_on_its_methods():
    for engine in ("numeric", "pymc"):
        places = {m.place.partition(":")[0] for m in METHODS.values() if m.engine == engine}
        expected = {f"{place.replace('.', '/')}.py" for place in places}
        assert expected <= names(STEPS[engine].sources())


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A repository of a few files, in the place of this one."""
    texts = {
        "a/__init__.py": "",
        "a/one.py": "from a import two\nimport numpy\n",
        "a/two.py": "def f():\n    from a import three\n",
        "a/three.py": "from a.four import x\n",
        "a/four.py": "try:\n    import a.five\nexcept ImportError:\n    pass\n",
        "a/five.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from a import one\n",
    }
    (tmp_path / "a").mkdir()
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    for cached in (files, imported):
        cached.cache_clear()
    yield tmp_path
    for cached in (files, imported):
        cached.cache_clear()


def test_imports_are_followed_when_a_module_is_loaded(tree):
    def found(*modules):
        return {file.stem for file in closure(modules)}

    assert found("a.one") == {"__init__", "one", "two"}
    assert found("a.three") == {"__init__", "three", "four", "five"}
    assert found("a.one", "a.four") == {"__init__", "one", "two", "four", "five"}
    assert found("numpy") == set()


def test_a_digest_is_of_contents_and_places(tree):
    found = closure(["a.three"])
    before = digest(found)
    assert digest(sorted(found, reverse=True)) == before
    (tree / "a/four.py").touch()
    assert digest(found) == before
    (tree / "a/four.py").write_text("# other\n")
    assert digest(found) != before
