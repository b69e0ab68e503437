"""A study's methods in words: of every part that a design has, and of none that it has not."""

import re
from typing import Any

import pytest

from models.criteria import CRITERIA
from study.design import DESIGNS, RULES, Design, load
from study.report import ademp
from tests.study.synthetic import FAITHFUL, NAMED, TAILS, design

VERSIONS = {"pymc": "6", "numba": "1", "snakemake": "9"}
PACKAGE = {"name": "other", "engine": "external", "script": "a.py", "label": "Other"}
ASKED = {"name": "samples", "label": "Samples", "asked": "sample(x)", "scenarios": ["named"]}
PRIORS = [
    *({"name": rule, "rule": rule} for rule in RULES),
    {"name": "mine", "weights": 1, "means": (0, 5), "sds": ["half-normal", 1]},
]


def everything(**parts: Any) -> Design:
    """Each criterion, each rule for a prior, two calls of other packages."""
    counts = dict.fromkeys(CRITERIA, 20) | {"bridge": 5}
    return design(
        ["newton"],
        scenarios=[NAMED, TAILS],
        data=[FAITHFUL],
        choice={"criteria": counts, "ks": [1, 2, 3]},
        priors={"scenarios": ["named"], "replicates": 7, "compared": PRIORS},
        external=[PACKAGE | {"replicates": 50}, PACKAGE | ASKED | {"replicates": 20}],
        **parts,
    )


def said(of: Design, *others: str) -> dict[str, str]:
    """Its paragraphs by their first words."""
    return {re.split("[.:]", text)[0]: text for text in ademp.ademp(of, VERSIONS, others)}


USUAL = ["Aims", "Data-generating mechanisms", "Model", "Estimands", "Methods"]
NUMBERS, BESIDE = "Numbers of data sets", "Beside the comparison"
LAST = ["Performance measures", "Software"]


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("default", ["Number of components", "Priors", NUMBERS, BESIDE]),
        ("k", ["Number of components", "Priors", NUMBERS]),
        ("paper", ["Number of components", "Priors", NUMBERS, BESIDE]),
        ("peers", [NUMBERS]),
        ("prior-sensitivity", ["Priors", "Priors compared", NUMBERS]),
        ("smoke", ["Number of components", "Priors", NUMBERS, BESIDE]),
    ],
)
def test_a_shipped_design_has_a_paragraph_for_each_of_its_parts(name: str, own: list[str]) -> None:
    found = said(load(name))
    assert list(found) == [*USUAL, *own, *LAST]
    for text in found.values():
        assert text.endswith(".")
        assert not re.search(r"\bNone\b|\bnan\b|  | [,;]|(?<!\.)\.\.(?!\.)| and and ", text), text


def test_every_design_is_among_those() -> None:
    shipped = {file.stem for file in DESIGNS.glob("*.yaml")}
    assert shipped == {"default", "k", "paper", "peers", "prior-sensitivity", "smoke"}


def test_which_criteria_choose_among_what_and_on_how_many_data_sets() -> None:
    found = said(everything())
    assert "To see which number of components criteria choose" in found["Aims"]
    text = found["Number of components"]
    assert "It is chosen among 1 to 3, by AIC [@akaike1974], " in text
    assert "on 20 data sets of each of 2 scenarios and 1 real data set" in text
    assert "by bridge sampling [@meng1996] on 5 data sets of each of 2 scenarios and 1 real" in text
    assert "in 10 folds" in text
    assert "with 99 samples each, and go on until p is above 0.05" in text
    assert "What needs a posterior has the default prior." in text
    assert "chooses the true number" in found["Performance measures"]
    own = {"criteria": {"bic": 3}, "ks": [1, 2, 3, 4]}
    one = design(["newton"], scenarios=[NAMED.model_dump() | {"choice": own}])
    text = said(one)["Number of components"]
    assert "among 1 to 4, by BIC [@schwarz1978] on 3 data sets of 1 scenario." in text
    assert "posterior" not in text
    assert "Priors" not in said(one)


def test_data_sets_are_counted_whatever_they_are_for() -> None:
    """Of each of two scenarios 4 are for fits, 20 for criteria, 50 for a package."""
    assert "100 data sets were simulated;" in said(everything())["Data-generating mechanisms"]
    few = everything().model_copy(update={"external": []})
    assert "40 data sets were simulated;" in said(few)["Data-generating mechanisms"]
    own = design(["newton"], scenarios=[NAMED], starts={"scenarios": ["named"], "replicates": 9})
    assert "9 data sets were simulated;" in said(own)["Data-generating mechanisms"]


def test_every_prior_that_is_compared_is_stated() -> None:
    found = said(everything())
    text = found["Priors compared"]
    assert "NUTS samples 7 data sets of 1 scenario under 5 priors: default, as above; " in text
    assert "; mine, weights Dirichlet(1), means normal(0, 5), sds half-normal(1), in " in text
    assert text.endswith("The first is what the others are held against.")
    assert "difference from the first prior" in found["Performance measures"]
    assert "NUTS [@hoffman2014] samples" in found["Methods"]
    alone = design(
        ["newton"],
        scenarios=[NAMED],
        priors={"scenarios": ["named"], "replicates": 7, "compared": PRIORS[-1:]},
    )
    assert "The first" not in said(alone)["Priors compared"]
    assert "Priors" not in said(alone)


def test_other_packages_are_named_with_what_they_were_asked_and_their_versions() -> None:
    found = said(everything(), "other 1.2", "R 4.5")
    methods = found["Methods"]
    assert "Other packages, from starts of their own: Other and Samples (sample(x))." in methods
    assert "the first 20 to 50 data sets of a scenario, some of named scenarios alone." in methods
    assert found["Software"].endswith("Other packages: other 1.2 and R 4.5.")
    assert "Of another package:" in found["Performance measures"]
    assert "Other packages" not in said(everything())["Software"]


def test_one_method_is_compared_with_none() -> None:
    text = said(design(["newton"], scenarios=[NAMED]))["Aims"]
    assert text.startswith("Aims. To see how Newton fits Gaussian mixtures: which maximum it ")
    parts = everything().model_dump() | {"replicates": {}}
    found = said(Design.model_validate(parts))
    assert found["Aims"].startswith("Aims. To see which number of components")
    assert "Share of data sets on which a method" not in found["Performance measures"]


def test_every_criterion_and_every_rule_for_a_prior_has_its_words() -> None:
    assert list(ademp._CRITERIA) == list(CRITERIA)
    assert list(ademp._RULES) == list(RULES)


def test_what_is_cited_is_in_the_references() -> None:
    text = ademp.REFERENCES.read_text(encoding="utf-8")
    keys = re.findall(r"@\w+\{(\w+),", text)
    assert keys == sorted(set(keys))
    found = [*ademp.ademp(everything(), VERSIONS), *ademp.ademp(load("smoke"), VERSIONS)]
    assert set(re.findall(r"\[@(\w+)\]", " ".join(found))) == set(keys)
