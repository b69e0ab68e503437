"""Scripts of packages: the recipe as its page has it, and what the shipped design asks of them."""

import re
import shutil

import numpy as np
import pytest

from models import MixtureModel
from study.compute import external
from study.design import load

PAGE = (external.PACKAGES / "README.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL))
HEADER = """\
name: mine
title: Mine
seed: 7
replicates: {}
scenarios:
  - {name: near, weights: [0.4, 0.6], means: [0, 6], sds: [1, 1], n: 100}
"""


@pytest.fixture
def mine(tmp_path):
    """What the page says, beside a design of one scenario."""
    (tmp_path / "k_means.py").write_text(BLOCKS["python"])
    (tmp_path / "k_means.R").write_text(BLOCKS["r"])
    (tmp_path / "mine.yaml").write_text(HEADER + BLOCKS["yaml"])
    return load(str(tmp_path / "mine.yaml"))


def test_each_recipe_is_shorter_than_15_lines():
    assert set(BLOCKS) == {"python", "r", "yaml"}
    assert max(block.count("\n") for block in BLOCKS.values()) < 15


@pytest.mark.parametrize("name", ["k-means", "k-means-r"])
def test_the_recipes_packages_answer_and_are_judged(mine, name):
    if mine.external_of(name).script.suffix == ".R" and shutil.which("Rscript") is None:
        pytest.skip("Rscript is not installed")
    with external.processes():
        rows = external.judge_all(mine, mine.scenario("near"), {name: [0, 1]})
    for row in rows["external"]:
        assert row["message"] == ""
        assert (row["status"], row["word"]) == (
            ("not-converged", None) if name == "k-means" else ("ok", True)
        )
        assert not row["certified"]  # k-means is no maximum of the likelihood, but near it here
        assert 0.0 < row["top"] - row["loglik"] < 3.0


def test_every_answer_that_the_page_names_is_read():
    """By answers that hold each of them."""
    names = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE))))
    assert names == {
        *("loglik", "converged", "iterations", "message", "stop"),
        *("se", "lower", "upper", "draws", "divergences"),
    }
    usual = {"weights": "0.5,0.5", "means": "0,1", "sds": "1,1"}
    blank = external.answer(usual, MixtureModel(), 0.0, "")
    for name in names - {"draws"}:
        value = ",".join("123456") if name in ("se", "lower", "upper") else "1"
        found = external.answer(usual | {name: value}, MixtureModel(), 0.0, "")
        assert str(getattr(found, name)) != str(getattr(blank, name)), name
    draws = np.ones((2, 4, 3, 2)) * [[0.5], [1.0], [1.0]]
    assert external.answer({"draws": draws}, MixtureModel(), 0.0, "").draws is draws


def test_the_peers_fit_the_first_data_sets_of_the_paper_s_study():
    peers, paper = load("peers"), load("paper")
    assert peers.seed == paper.seed
    units = {unit.name: unit for unit in paper.units()}
    for unit in peers.units():
        shown = {"title", "replicates", "intervals", "choice"}
        assert unit.model_dump(exclude=shown) == units[unit.name].model_dump(exclude=shown)
    assert set(peers.unit_names()) == {
        name
        for name, unit in units.items()
        if not name.startswith(("article-1", "article-2-large", "birds", "close"))
    }


def test_scripts_import_nothing_of_this_repository():
    for file in external.PACKAGES.glob("*.py"):
        assert not re.search(r"^\s*(from|import) (models|study)\b", file.read_text(), re.MULTILINE)
