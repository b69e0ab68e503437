"""The house: rooms import one way, and so do the modules of `models`."""

import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from study.workflow.sources import ROOT, files, imported

STUDY = (
    ("models",),
    ("design",),
    ("simulate", "rows"),
    ("compute", "report"),
    ("workflow",),
    ("__main__", "benchmarks", "walkthrough"),
)
MODELS = (
    ("checks", "criteria", "elsewhere", "kernels", "mixture"),
    ("model",),
    ("frame",),
    ("likelihood", "compression"),
    ("sample", "solution", "truth", "losses"),
    ("priors", "verdicts"),
    ("inference", "theory"),
    ("starts", "em", "direct", "labels"),
    ("posterior", "search"),
    ("resampling",),
    ("methods",),
    ("selection",),
    ("__init__",),
)


def room(file: Path) -> str:
    """The room of `study`, or the module or package of `models`, that a file belongs to."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return parts[1] if parts[0] == "study" else "models"


def floor(name: str, order: tuple[tuple[str, ...], ...]) -> int:
    return next(i for i, names in enumerate(order) if name in names)


def arrows(top: str) -> Iterator[tuple[Path, Path]]:
    """(file, file that it imports) of the repository, packages' own files apart."""
    for file in sorted((ROOT / top).rglob("*.py")):
        for module in imported(file):
            for other in files(module):
                if other != file and other.name != "__init__.py":
                    yield file, other


def shown(file: Path, other: Path) -> str:
    return f"{file.relative_to(ROOT)} imports {other.relative_to(ROOT)}"


def test_models_never_imports_the_study():
    assert [shown(*a) for a in arrows("models") if a[1].is_relative_to(ROOT / "study")] == []


def test_the_rooms_of_the_study_import_one_way():
    wrong = [
        shown(file, other)
        for file, other in arrows("study")
        if room(file) not in ("__init__", room(other))
        and floor(room(file), STUDY) <= floor(room(other), STUDY)
    ]
    assert wrong == []


def test_the_modules_of_models_import_one_way():
    def name(file):
        return file.relative_to(ROOT / "models").with_suffix("").parts[0]

    wrong = [
        shown(file, other)
        for file, other in arrows("models")
        if name(file) != name(other) and floor(name(file), MODELS) < floor(name(other), MODELS)
    ]
    assert wrong == []


def test_models_draw_in_one_module_alone_and_load_what_draws_when_asked():
    drawing = re.compile(r"^( *)(?:import|from) matplotlib", re.MULTILINE)
    found = {}
    for file in sorted((ROOT / "models").rglob("*.py")):
        if indents := [len(indent) for indent in drawing.findall(file.read_text("utf-8"))]:
            found[file.relative_to(ROOT / "models").as_posix()] = min(indents)
    assert list(found) == ["labels/plots.py"]
    assert found["labels/plots.py"] > 0


@pytest.mark.parametrize("top", ["models", "study"])
def test_there_are_no_circles(top):
    graph: dict[Path, set[Path]] = {}
    for file, other in arrows(top):
        graph.setdefault(file, set()).add(other)
    order = list(TopologicalSorter(graph).static_order())  # CycleError where there is one
    assert set(order) >= graph.keys()
