"""Two designs of one name, one folder of results."""

from pathlib import Path

import pytest
import yaml

from study.design import DesignError, load
from study.workflow.owner import check_owner, own
from tests.workflow.tiny import DESIGN

OUT = Path("results/tiny")


def design(path, **changes):
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump({**DESIGN, **changes}))
    return path


def test_a_second_design_of_a_name_is_refused_while_the_first_has_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, second = design(Path("tiny.yaml")), design(Path("other folder/tiny.yaml"), seed=8)
    check_owner(load("tiny.yaml"), first, OUT)
    own(first, OUT)
    check_owner(load("tiny.yaml"), first, OUT)
    check_owner(load(str(first.resolve())), first.resolve(), OUT)
    says = "tiny.yaml: name: results/tiny holds the results of tiny.yaml, another design called"
    with pytest.raises(DesignError, match=says) as caught:
        check_owner(load(str(second)), second, OUT)
    assert "\n" not in str(caught.value)
    first.write_text("name: [")
    with pytest.raises(DesignError, match=says):
        check_owner(load(str(second)), second, OUT)
    design(first, name="renamed")
    check_owner(load(str(second)), second, OUT)
    own(second, OUT)
    design(first)
    with pytest.raises(DesignError, match=r"holds the results of other folder/tiny.yaml"):
        check_owner(load(str(first)), first, OUT)
    second.unlink()
    check_owner(load(str(first)), first, OUT)


def test_results_that_move_with_their_design_stay_its_own(tmp_path, monkeypatch):
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    monkeypatch.chdir(old)
    own(design(old / "tiny.yaml"), OUT)
    old.rename(new)
    monkeypatch.chdir(new)
    check_owner(load("tiny.yaml"), Path("tiny.yaml"), OUT)
    assert (OUT / "made-from.txt").read_text() == "tiny.yaml\n"
    other = design(Path("other/tiny.yaml"))
    with pytest.raises(DesignError, match=r"holds the results of tiny\.yaml"):
        check_owner(load(str(other)), other, OUT)


def test_names_are_read_as_the_design_reads_them(tmp_path, monkeypatch):
    """`on` is a name, and not a truth value."""
    monkeypatch.chdir(tmp_path)
    one, other = Path("one.yaml"), Path("other.yaml")
    for path in (one, other):
        path.write_text(yaml.safe_dump(DESIGN).replace("name: tiny", "name: on"))
    out = Path("results/on")
    own(one, out)
    with pytest.raises(DesignError, match="another design called 'on'"):
        check_owner(load("other.yaml"), other, out)
