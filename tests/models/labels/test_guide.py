"""The worked models of the guide, models/labels/README.md, as they stand there."""

import re
from pathlib import Path

import numpy as np
import pytest

from models import labels

GUIDE = Path(labels.__file__).with_name("README.md").read_text("utf-8")
CODE = dict(re.findall(r"^## (.*?)\n.*?^```python\n(.*?)^```", GUIDE, re.M | re.S))


def run(title, monkeypatch, tmp_path):
    """What a worked model leaves behind."""
    monkeypatch.chdir(tmp_path)
    (code,) = (code for name, code in CODE.items() if title in name)
    left = {"__name__": "guide"}
    exec(compile(code, title, "exec"), left)
    return left


def test_every_section_has_a_worked_model():
    assert len(CODE) == 3


def test_latent_classes_from_plain_arrays(monkeypatch, tmp_path):
    """Classes are .7 apart in each answer: relabelled, all chains agree on truth to 5 errors, that
    of a share of 60 persons being .05; z agrees with the probabilities that it was drawn from."""
    left = run("latent class", monkeypatch, tmp_path)
    found, tree = left["found"], left["tree"]
    assert left["verdict"].word in ("labels only", "mixes", "does not mix")
    assert left["verdict"].relabelled.rhat < 1.05 < left["verdict"].raw.rhat
    moved = labels.relabel(tree, found, dims="class")["posterior"]
    np.testing.assert_allclose(moved["theta"].mean(("chain", "draw")), left["truth"], atol=0.25)
    probabilities = labels.permuted(left["p"], found.permutations)
    own = np.take_along_axis(probabilities, moved["z"].values[..., None], axis=-1)
    before = np.take_along_axis(left["p"], left["z"][..., None], axis=-1)
    np.testing.assert_array_equal(own, before)
    assert {path.name for path in tmp_path.iterdir()} == {"draws.nc", "traces.png"}


@pytest.mark.workflow
def test_a_poisson_mixture_in_numpyro(monkeypatch, tmp_path):
    pytest.importorskip("numpyro")
    left = run("Poisson", monkeypatch, tmp_path)
    moved = labels.relabel(left["tree"], left["found"])["posterior"]
    rates = moved["rate"].mean(("chain", "draw")).values
    np.testing.assert_allclose(rates, [2.0, 8.0, 25.0], rtol=0.25)
    assert np.ptp(moved["rate"].mean("draw").values, axis=0).max() < 1.0


@pytest.mark.workflow
def test_a_two_dimensional_normal_mixture_in_pymc(monkeypatch, tmp_path):
    left = run("PyMC", monkeypatch, tmp_path)
    moved = left["relabelled"]["posterior"]
    centres = moved["mu"].mean(("chain", "draw")).values
    np.testing.assert_allclose(centres, [[0, 0], [0, 4]], atol=1.0)
    assert np.ptp(moved["mu"].mean("draw").values, axis=0).max() < 0.5
