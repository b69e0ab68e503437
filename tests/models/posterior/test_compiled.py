"""The compiled density: PyTensor's graph to rounding, compiled once, and loaded to the last bit."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import nutpie
import pytest

from models import MixtureModel, fit
from models.mixture import Floats
from models.posterior import compiled, density
from models.posterior import methods as bayes
from models.posterior.density import Posterior
from models.priors import InverseGamma, Normal, Prior
from tests.models.posterior.settings import TWO, rng, sample, stacked
from tests.models.posterior.test_density import given, graph

pytestmark = pytest.mark.filterwarnings("error")


def test_the_compiled_function_is_the_graph() -> None:
    """Value and gradient at the same points, to rounding of sums of 300 terms."""
    data = sample(TWO, 300, counts=True)
    posterior = Posterior(data, MixtureModel(), Prior.default(data))
    function, shared = compiled.compiled_density(posterior.structure)
    for name, value in posterior.shared.items():
        shared[name].set_value(value)
    expected, arrays = graph(posterior, jacobian=False), given(posterior)
    for point in rng(3).normal(0, 0.5, (5, density.size(posterior.structure))):
        for one, other in zip(function(point), expected(point, *arrays), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-9)


def test_a_second_map_compiles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (sample(TWO, n, n) for n in (300, 200))
    fit("map", first.x)
    refuse_to_compile(monkeypatch)
    assert fit("map", second.x).compile_seconds == 0.0


def refuse_to_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("compiled again")

    monkeypatch.setattr(nutpie, "compile_pymc_model", refuse)
    monkeypatch.setattr(compiled, "c_function", refuse)


def test_second_nuts_compiles_nothing_and_a_seed_gives_its_draws_on_any_cores(monkeypatch):
    data, model = sample(TWO, 300), MixtureModel()
    runs = [bayes.nuts(data, model, TWO, rng(4), draws=100, tune=100)]

    refuse_to_compile(monkeypatch)
    other = bayes.nuts(sample(TWO, 200, seed=1), model, TWO, rng(4), draws=100, tune=100)
    runs += [bayes.nuts(data, model, TWO, rng(4), draws=100, tune=100, cores=c) for c in (1, 2)]
    assert [run.compile_seconds for run in runs[1:]] == [0.0, 0.0]
    for run in runs[1:]:
        np.testing.assert_array_equal(stacked(run), stacked(runs[0]))
    assert not np.array_equal(stacked(other), stacked(runs[0]))


def test_nutpies_undocumented_constructor_takes_what_it_is_given() -> None:
    """Where this fails `compiled.native_model` is to be written anew, or left for the other."""
    data = sample(TWO, 50)
    structure = Posterior(data, MixtureModel(), Prior.default(data)).structure
    sampler = compiled.compiled_sampler(structure)
    arrays = [np.zeros(1) for _ in sampler.names]
    try:
        model = compiled.native_model(sampler, arrays, lambda seed: np.zeros(sampler.d))
    except (ImportError, TypeError) as error:
        pytest.fail(f"nutpie {nutpie.__version__} has closed CompiledPyMCModel: {error}")
    assert model.n_dim == sampler.d


def test_the_documented_way_into_nutpie_draws_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit, from several chains at once; a warning says that it is taken."""
    data, model = sample(TWO, 200), MixtureModel()

    def draws() -> Floats:
        return stacked(bayes.nuts(data, model, TWO, rng(4), draws=100, tune=100, cores=2))

    native = draws()

    def closed(*args: object) -> None:
        raise TypeError("unexpected keyword argument")

    monkeypatch.setattr(compiled, "native_model", closed)
    with pytest.warns(UserWarning, match=r"C function \(unexpected keyword argument\)"):
        np.testing.assert_array_equal(draws(), native)


SAMPLED = """
import sys
import numpy as np
from models import Mixture, fit
truth = Mixture([0.3, 0.7], [0.0, 4.0], [1.0, 1.5])
x, _ = truth.sample(300, np.random.default_rng(0))
found = fit("nuts", x, start=truth, rng=9, draws=50, tune=100, max_draws=None)
print(found.relabelled_draws.tobytes().hex())
print('pymc' in sys.modules)
"""


def drawn(**environment: str) -> Any:
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(
        [sys.executable, "-c", SAMPLED], env={**os.environ, **environment}, **pipes
    )


def test_another_process_loads_what_this_one_compiled_and_draws_the_same() -> None:
    """To the last bit, and without PyMC."""
    x = TWO.sample(300, rng())[0]
    here = fit("nuts", x, start=TWO, rng=9, draws=50, tune=100, max_draws=None).relabelled_draws
    output, error = drawn().communicate()
    assert error == ""
    assert output.split() == [here.tobytes().hex(), "False"]


@pytest.mark.workflow
def test_the_process_that_compiles_and_one_that_loads_draw_the_same(tmp_path: Path) -> None:
    """With an empty cache, on which two start at once, and with the one that they left."""
    empty = {"PYTENSOR_FLAGS": f"base_compiledir={tmp_path}"}
    both = [drawn(**empty) for _ in range(2)]
    outputs = [process.communicate() for process in both] + [drawn(**empty).communicate()]
    assert [error for _, error in outputs] == [""] * 3
    draws, compiles = zip(*[output.split() for output, _ in outputs], strict=True)
    assert len(set(draws)) == 1
    assert len(draws[0]) == 2 * 8 * 4 * 50 * 3 * 2
    assert set(compiles) == {"False"}  # a process of its own has compiled


def test_the_compiled_functions_key_changes_with_whatever_it_is_compiled_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    structure = density.Structure(2, Normal, InverseGamma, False)
    keys = {compiled.key(structure, jacobian) for jacobian in (False, True)}
    for i, file in enumerate(compiled.SOURCES):
        edited = tmp_path / file.name
        edited.write_bytes(file.read_bytes() + b"#")
        files = [*compiled.SOURCES]
        files[i] = edited
        with monkeypatch.context() as patch:
            patch.setattr(compiled, "SOURCES", files)
            keys.add(compiled.key(structure, True))
    for package in ("pymc", "pytensor", "numba", "llvmlite"):
        with monkeypatch.context() as patch:
            installed = importlib.metadata.version

            def other(name: str, changed: str = package, version: Any = installed) -> Any:
                return "0" if name == changed else version(name)

            patch.setattr(compiled, "version", other)
            keys.add(compiled.key(structure, True))
    names = {file.name for file in compiled.SOURCES}
    assert names == {"kernels.py", "op.py", "priors.py", "density.py", "compiled.py"}
    assert len(keys) == 2 + len(names) + 4
    assert compiled.key(structure._replace(k=3), True) not in keys
