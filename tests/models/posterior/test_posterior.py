"""Laws of models/bayes.py: one density with likelihood.py and priors.py, modes, and posteriors.

Random tests are seeded, so they pass or fail once and for all; the false-alarm rate beside one
is the chance that a right program would have failed it at the seed that was chosen.
"""

import math
import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import nutpie
import pytest
from arviz_stats.base import array_stats
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from models import fit
from models.em import em
from models.likelihood import moments
from models.mixture import Floats, Mixture, draws_by_mean
from models.model import MixtureModel
from models.posterior import compiled
from models.posterior import density as pymc_model_of
from models.posterior import methods as bayes
from models.priors import (
    Dirichlet,
    Flat,
    HalfNormal,
    InverseGamma,
    LogInverseGamma,
    LogNormal,
    Normal,
    Prior,
)
from models.sample import Data
from models.solution import Collapse, Solution
from tests.models.strategies import SECOND_ARTICLE

pytestmark = pytest.mark.filterwarnings("error")

TWO = Mixture([0.3, 0.7], [0.0, 4.0], [1.0, 1.5])
THREE = Mixture([0.3, 0.5, 0.2], [-4.0, 0.0, 5.0], [1.0, 1.0, 1.0])
WEIGHTS_ONLY = MixtureModel(means=[0.0, 2.0], sds=1.0)


def sample(mixture: Mixture, n: int, seed: int = 0, counts: bool = False) -> Data:
    rng = np.random.default_rng(seed)
    x, _ = mixture.sample(n, rng)
    return Data(x, rng.integers(1, 4, n).astype(float) if counts else np.ones(n))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def stacked(solution: Solution) -> Floats:
    """(chains, draws, 3, K), labels as sampled."""
    posterior = solution.draws["posterior"]
    return np.stack([posterior[v].to_numpy() for v in ("weights", "means", "sds")], axis=2)


def z_score(draws: Floats, expected: float, variance: float = 0.0) -> float:
    """Monte Carlo standard errors between the mean of draws (chains, draws) and `expected`."""
    ess = array_stats.ess(draws, chain_axis=0, draw_axis=1, method="mean")
    return abs(draws.mean() - expected) / math.sqrt(draws.var() / ess + variance)


STRUCTURES = {
    "free": (MixtureModel(3), Prior(Dirichlet(2.5), Normal(0.7, 3.0), InverseGamma(2.5, 1.7))),
    "log-normal": (MixtureModel(2), Prior(Dirichlet(0.7), Flat(), LogNormal(0.3, 0.8))),
    "equal-sds": (MixtureModel(2, equal_sds=True), Prior(Flat(), Flat(), HalfNormal(1.9))),
    "penalty": (MixtureModel(2), Prior(Flat(), Flat(), LogInverseGamma(0.01, 0.03))),
    "penalty-equal-sds": (
        MixtureModel(3, equal_sds=True),
        Prior(Flat(), Flat(), LogInverseGamma(0.01, 0.03)),
    ),
    "known-means": (
        MixtureModel(3, means=[-1.0, 0.5, 2.0]),
        Prior(Flat(), Flat(), InverseGamma(2.5, 1.7)),
    ),
    "known-sds": (MixtureModel(2, sds=[0.4, 2.5]), Prior.flat()),
    "one-component": (MixtureModel(1), Prior.flat()),
    "asymmetric": (
        MixtureModel(3),
        Prior(Dirichlet(2.5), Normal((1.0, -2.0, 4.0), 3.0), InverseGamma(2.5, 1.7)),
    ),
}


@pytest.mark.parametrize(("model", "prior"), STRUCTURES.values(), ids=STRUCTURES.keys())
def test_pymcs_density_is_the_likelihood_and_the_prior(model: MixtureModel, prior: Prior):
    """In original units: standardising by s costs n log s, and log s for each mean or sd."""
    data = sample(TWO, 300, counts=True)
    posterior = pymc_model_of.Posterior(data, model, prior)
    density, shared = compiled.compiled_density(posterior.structure)
    for name, value in posterior.shared.items():
        shared[name].set_value(value)
    n_sds = 1 if model.equal_sds else model.k
    constant = -data.n * math.log(data.sd)
    if model.means is None and isinstance(prior.means, Normal):
        constant -= model.k * math.log(data.sd)
    if model.sds is None:
        power = {InverseGamma: 2, LogNormal: 1, HalfNormal: 1}.get(type(prior.sds), 0)
        constant -= power * n_sds * math.log(data.sd)
    if isinstance(prior.weights, Flat):
        constant -= math.lgamma(model.k)
    random = rng(5)
    for _ in range(5):
        mixture = model.admit(
            Mixture(
                random.dirichlet(np.full(model.k, 3.0)),
                random.normal(1.0, 2.0, model.k),
                random.lognormal(0.0, 0.5, model.k),
            )
        )
        expected = moments(mixture, data.x, data.counts).loglik
        expected += prior.log_density(mixture, model)
        point = posterior.point(mixture)
        found = float(density(point)[0]) + constant
        assert found == pytest.approx(expected, rel=1e-12)
        np.testing.assert_allclose(posterior.mixture(point).as_rows(), mixture.as_rows(), 1e-12)


@pytest.mark.parametrize(
    ("truth", "model"),
    [
        (TWO, MixtureModel()),
        (SECOND_ARTICLE, MixtureModel()),
        (THREE, MixtureModel(3, equal_sds=True)),
        (TWO, MixtureModel(2, means=TWO.means)),
        (TWO, MixtureModel(2, sds=TWO.sds)),
        (TWO, MixtureModel(1)),
        (Mixture([0.8, 0.2], [0.0, 2.0], [1.0, 1.0]), WEIGHTS_ONLY),
    ],
)
def test_map_under_flat_priors_is_the_mle(truth: Mixture, model: MixtureModel):
    data = sample(truth, 400, seed=2)
    one = Mixture([1.0], [truth.mean], [1.0])
    start = model.admit(truth if model.k == truth.k else one)
    mode = bayes.map_estimate(data, model, start, rng(), prior=Prior.flat())
    mle = em(data, model, start, rng(), tol=1e-13, max_iter=5000).mixture
    np.testing.assert_allclose(mode.mixture.as_rows(), mle.as_rows(), rtol=1e-8, atol=1e-8)
    assert mode.converged


@pytest.mark.parametrize("asymmetric", [False, True])
def test_map_is_where_the_log_posterior_is_stationary_and_concave(asymmetric):
    data, model = sample(TWO, 300, counts=True), MixtureModel()
    prior = Prior.asymmetric(data, 2, 0.1) if asymmetric else Prior.default(data)
    found = bayes.map_estimate(data, model, TWO, rng(), prior=prior)
    eta = model.pack(found.mixture)

    def log_posterior(e: Floats) -> float:
        mixture = model.unpack(e)
        return moments(mixture, data.x, data.counts).loglik + prior.log_density(mixture, model)

    steps = 1e-4 * np.eye(model.n_free)
    score = [(log_posterior(eta + h) - log_posterior(eta - h)) / 2e-4 for h in steps]
    second = [
        log_posterior(eta + h) - 2 * log_posterior(eta) + log_posterior(eta - h) for h in steps
    ]
    information = found.objective_information
    np.testing.assert_allclose(score, 0.0, atol=1e-4)
    np.testing.assert_allclose(np.diag(information), -np.array(second) / 1e-8, rtol=1e-3)
    assert found.objective_score @ np.linalg.solve(information, found.objective_score) < 1e-12


def test_map_of_counts_is_the_map_of_repeated_data():
    counted = sample(TWO, 200, counts=True)
    repeated = np.repeat(counted.x, counted.counts.astype(int))
    pair = [counted, Data(repeated, np.ones(repeated.size))]
    one, other = (bayes.map_estimate(d, MixtureModel(), TWO, rng()).mixture for d in pair)
    np.testing.assert_allclose(one.as_rows(), other.as_rows(), rtol=1e-7)


def test_map_moves_with_the_units_of_the_data():
    data = sample(TWO, 300)
    moved = Data(1e4 - 1e3 * data.x, data.counts)
    start = Mixture(TWO.weights, 1e4 - 1e3 * TWO.means, 1e3 * TWO.sds)
    a = bayes.map_estimate(data, MixtureModel(), TWO, rng()).mixture
    b = bayes.map_estimate(moved, MixtureModel(), start, rng()).mixture
    np.testing.assert_allclose(b.weights, a.weights, rtol=1e-8)
    np.testing.assert_allclose(b.means, 1e4 - 1e3 * a.means, rtol=1e-8)
    np.testing.assert_allclose(b.sds, 1e3 * a.sds, rtol=1e-8)


def test_map_keeps_the_labels_of_its_start():
    data, swap = sample(TWO, 300), [1, 0]
    a = bayes.map_estimate(data, MixtureModel(), TWO, rng()).mixture
    b = bayes.map_estimate(data, MixtureModel(), TWO.permuted(swap), rng()).mixture
    np.testing.assert_allclose(b.as_rows(), a.permuted(swap).as_rows(), rtol=1e-8)


def test_map_raises_collapse_where_the_likelihood_is_unbounded():
    data = sample(TWO, 100)
    start = Mixture([0.01, 0.99], [data.x[0], 3.0], [1e-3, 2.0])
    with pytest.raises(Collapse):
        bayes.map_estimate(data, MixtureModel(), start, rng(), prior=Prior.flat())
    bounded = bayes.map_estimate(data, MixtureModel(), start, rng())
    assert bounded.converged
    assert bounded.mixture.sds.min() > 0.01 * data.sd


def test_map_trace_climbs_from_the_start_to_the_mode():
    data = sample(TWO, 200)
    found = bayes.map_estimate(data, MixtureModel(), TWO, rng(), trace=True, prior=Prior.flat())
    path = found.trace
    np.testing.assert_array_equal(path.parameters[0], TWO.as_rows())
    np.testing.assert_array_equal(path.parameters[-1], found.mixture.as_rows())
    assert len(path.loglik) == found.n_iter + 1
    assert path.loglik[-1] == pytest.approx(path.loglik.max(), abs=1e-9)


def test_second_map_compiles_nothing():
    first, *others = [sample(TWO, 500, seed).x for seed in range(3)]
    fit("map", first)
    for x in others:
        assert fit("map", x).compile_seconds == 0.0


def quadrature(data: Data, prior: Prior, model: MixtureModel) -> tuple[float, float]:
    """Posterior mean and variance of the first weight, the components known, on a fine grid."""
    assert model.means is not None
    assert model.sds is not None
    grid = (np.arange(4000) + 0.5) / 4000
    mixtures = [Mixture([w, 1 - w], model.means, model.sds) for w in grid]
    logs = np.array(
        [moments(m, data.x, data.counts).loglik + prior.log_density(m, model) for m in mixtures]
    )
    p = np.exp(logs - logs.max())
    p /= p.sum()
    mean = float(p @ grid)
    return mean, float(p @ (grid - mean) ** 2)


def test_nuts_with_known_components_agrees_with_quadrature():
    """False-alarm rate: two normal tests at 4 standard errors, 1.3e-4."""
    data = sample(Mixture([0.8, 0.2], [0.0, 2.0], [1.0, 1.0]), 100)
    start = Mixture([0.5, 0.5], WEIGHTS_ONLY.means, WEIGHTS_ONLY.sds)
    found = bayes.nuts(data, WEIGHTS_ONLY, start, rng(1), draws=2000)
    mean, variance = quadrature(data, Prior.default(data), WEIGHTS_ONLY)
    w = stacked(found)[:, :, 0, 0]
    assert z_score(w, mean) < 4
    assert z_score((w - mean) ** 2, variance) < 4
    assert found.converged
    np.testing.assert_array_equal(found.mixture.means, WEIGHTS_ONLY.means)
    np.testing.assert_allclose(found.se, [[w.std(ddof=1)] * 2, [0, 0], [0, 0]], rtol=1e-6)


def metropolis(
    log_density: Callable[[Floats], float], start: Floats, covariance: Floats, n: int
) -> Floats:
    """(4, n, d): random-walk draws of 4 chains, after as many again / 10 to warm up."""
    random = rng(11)
    factor = 2.38 / math.sqrt(start.size) * np.linalg.cholesky(covariance)
    warm_up = n // 10
    chains = np.empty((4, warm_up + n, start.size))
    for chain in chains:
        at, value = start, log_density(start)
        for i, move in enumerate(random.standard_normal(chain.shape) @ factor.T):
            proposed = log_density(at + move)
            if math.log(random.random()) < proposed - value:
                at, value = at + move, proposed
            chain[i] = at
    return chains[:, warm_up:]


def test_nuts_agrees_with_metropolis():
    """Means and second moments of five parameters; false-alarm rate: 10 tests at 4, 6e-4."""
    data, model = sample(SECOND_ARTICLE, 300), MixtureModel()
    prior = Prior.default(data)
    mode = bayes.map_estimate(data, model, SECOND_ARTICLE, rng())

    def log_density(eta: Floats) -> float:
        mixture = model.unpack(eta)
        loglik = moments(mixture, data.x, data.counts).loglik
        jacobian = np.log(mixture.weights).sum() + 2 * np.log(mixture.sds).sum()
        return loglik + prior.log_density(mixture, model) + float(jacobian)

    covariance = np.linalg.inv(mode.objective_information)
    reference = metropolis(log_density, model.pack(mode.mixture), covariance, 10_000)
    found = bayes.nuts(data, model, SECOND_ARTICLE, rng(3))
    draws = draws_by_mean(stacked(found)).reshape(4, -1, 6)[:, :, 1:]
    rows = np.array([model.unpack(eta).as_rows() for eta in reference.reshape(-1, 5)])
    for j, truth in enumerate(np.moveaxis(rows.reshape(4, -1, 6)[:, :, 1:], 2, 0)):
        for power in (1, 2):
            own, other = ((d - truth.mean()) ** power for d in (draws[:, :, j], truth))
            ess = array_stats.ess(other, chain_axis=0, draw_axis=1, method="mean")
            assert z_score(own, other.mean(), other.var() / ess) < 4
    np.testing.assert_allclose(found.mixture.as_rows().ravel()[1:], draws.mean(axis=(0, 1)))
    np.testing.assert_allclose(found.se.ravel()[1:], draws.std(axis=(0, 1)), rtol=1e-3)


@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_chains_are_spread_evenly_over_the_labellings(chains, k, seed):
    found = bayes.labellings(chains, k, np.random.default_rng(seed))
    assert found.shape == (chains, k)
    np.testing.assert_array_equal(np.sort(found, axis=1), np.tile(np.arange(k), (chains, 1)))
    _, times = np.unique(found, axis=0, return_counts=True)
    assert len(times) == min(chains, math.factorial(k))
    assert times.max() <= -(-chains // math.factorial(k))


def test_nuts_draws_have_all_parameters_in_data_units():
    data = sample(TWO, 300)
    found = bayes.nuts(data, MixtureModel(), TWO, rng(), draws=200, tune=200)
    draws = stacked(found)
    assert found.draws["posterior"]["weights"].dims == ("chain", "draw", "component")
    assert set(found.draws.children) == {"posterior", "sample_stats"}
    np.testing.assert_allclose(draws[:, :, 0].sum(axis=-1), 1.0, rtol=1e-12)
    assert draws.shape == (4, 200, 3, 2)
    first_is_lower = (draws[:, :, 1, 0] < draws[:, :, 1, 1]).mean(axis=1)
    assert sorted(first_is_lower) == [0.0, 0.0, 1.0, 1.0]  # two chains in each labelling
    stats = found.draws["sample_stats"]
    assert {"diverging", "n_steps", "tree_depth", "energy"} <= set(stats.data_vars)
    assert found.evaluations["gradients"] > stats["n_steps"].sum()


def test_nuts_under_a_prior_on_log_sds_agrees_with_the_conjugate_posterior():
    """One component with a known mean: the variance is InverseGamma(shape + n/2, scale + SS/2).

    False-alarm rate of the two means 1e-4 at |z| < 4.1.
    """
    data, shape, scale = sample(Mixture([1.0], [0.0], [2.0]), 6, seed=3), 3.0, 5.0
    prior = Prior(Flat(), Flat(), LogInverseGamma(shape, scale))
    found = bayes.nuts(
        data, MixtureModel(1, means=0.0), Mixture([1.0], [0.0], [2.0]), rng(2), prior=prior
    )
    sds = stacked(found)[:, :, 2, 0]
    posterior = stats.invgamma(shape + 3.0, scale=scale + 0.5 * float(data.x @ data.x))
    assert z_score(sds**2, posterior.mean()) < 4.1
    assert z_score(np.log(sds), 0.5 * posterior.expect(np.log)) < 4.1


def test_second_nuts_compiles_nothing_and_a_seed_gives_its_draws_on_any_cores(monkeypatch):
    data, model = sample(TWO, 300), MixtureModel()
    runs = [bayes.nuts(data, model, TWO, rng(4), draws=100, tune=100)]

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("compiled again")

    monkeypatch.setattr(nutpie, "compile_pymc_model", refuse)
    monkeypatch.setattr(compiled, "c_function", refuse)
    other = bayes.nuts(sample(TWO, 200, seed=1), model, TWO, rng(4), draws=100, tune=100)
    runs += [bayes.nuts(data, model, TWO, rng(4), draws=100, tune=100, cores=c) for c in (1, 2)]
    assert [run.compile_seconds for run in runs[1:]] == [0.0, 0.0]
    for run in runs[1:]:
        np.testing.assert_array_equal(stacked(run), stacked(runs[0]))
    assert not np.array_equal(stacked(other), stacked(runs[0]))


def test_nutpies_undocumented_constructor_takes_what_it_is_given():
    """Where this fails `compiled.native_model` is to be written anew, or left for the other."""
    sampler = compiled.compiled_sampler(
        pymc_model_of.Posterior(
            sample(TWO, 50), MixtureModel(), Prior.default(sample(TWO, 50))
        ).structure
    )
    arrays = [np.zeros(1) for _ in sampler.names]
    try:
        compiled.native_model(sampler, arrays, lambda seed: np.zeros(sampler.d))
    except (ImportError, TypeError) as error:
        pytest.fail(f"nutpie {nutpie.__version__} has closed CompiledPyMCModel: {error}")


def test_the_documented_way_into_nutpie_draws_the_same(monkeypatch):
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


def test_the_process_that_compiles_and_one_that_loads_draw_the_same(tmp_path):
    """With an empty cache and with the one that the first process left, to the last bit.

    Two processes start on the empty cache at once. One that loads does so without PyMC.
    """
    code = (
        "from tests.models.posterior.test_posterior import *\n"
        "found = bayes.nuts(sample(TWO, 300), MixtureModel(), TWO, rng(9), draws=50, tune=100)\n"
        "print(stacked(found).tobytes().hex())\n"
        "found = bayes.map_estimate(sample(TWO, 300), MixtureModel(), TWO, rng())\n"
        "print(found.mixture.as_rows().tobytes().hex())\n"
        "print('pymc' in sys.modules)\n"
    )
    flags = f"base_compiledir={tmp_path}"
    environment = {**os.environ, "PYTENSOR_FLAGS": flags}
    command = [sys.executable, "-c", code]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(command, env=environment, **pipes) for _ in range(2)]
    outputs = [process.communicate() for process in both]
    outputs.append(subprocess.Popen(command, env=environment, **pipes).communicate())
    assert [error for _, error in outputs] == [""] * 3
    *results, compiled = zip(*[output.split() for output, _ in outputs], strict=True)
    assert [len(set(result)) for result in results] == [1, 1]
    assert min(len(result[0]) for result in results) > 90
    assert compiled[2] == "False"


def test_the_compiled_functions_key_changes_with_whatever_it_is_compiled_from(
    tmp_path, monkeypatch
):
    structure = pymc_model_of.Structure(2, Normal, InverseGamma, False, False)
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
            installed = compiled.version
            other = lambda name, p=package, v=installed: "0" if name == p else v(name)  # noqa: E731
            patch.setattr(compiled, "version", other)
            keys.add(compiled.key(structure, True))
    names = {file.name for file in compiled.SOURCES}
    assert names == {"kernels.py", "op.py", "priors.py", "density.py", "compiled.py"}
    assert len(keys) == 2 + len(names) + 4
    assert compiled.key(structure._replace(k=3), True) not in keys


@pytest.mark.parametrize(
    ("k", "ordered", "jacobian"),
    [(2, False, True), (2, True, True), (2, False, False), (3, True, True)],
)
def test_the_kernels_density_and_gradient_are_pymcs_and_take_one_pass(k, ordered, jacobian):
    """At the same points, to rounding of sums of 300 terms; constants included."""
    data = sample(TWO, 300, counts=True)
    values = []
    for likelihood in ("kernel", "pymc"):
        posterior = pymc_model_of.Posterior(
            data, MixtureModel(k), Prior.default(data, k), ordered, likelihood
        )
        structure = posterior.structure
        model = pymc_model_of.build(structure, jacobian=jacobian)
        function = pymc_model_of.density_function(model, jacobian=jacobian)
        names = pymc_model_of.data_names(structure)
        given = [posterior.shared[name] for name in names]
        points = rng(3).normal(0, 0.5, (5, pymc_model_of.size(structure)))
        values.append([np.append(*reversed(function(point, *given))) for point in points])
        assert [variable.name for variable in model.data_vars] == names
        nodes = [type(node.op).__name__ for node in function.maker.fgraph.apply_nodes]
        assert nodes.count("LoglikAndGradient") == (1 if likelihood == "kernel" else 0)
    np.testing.assert_allclose(values[0], values[1], rtol=1e-11, atol=1e-9)


def test_ordered_means_ascend_and_agree_with_the_exchangeable_model(capfd):
    """Well separated, so that the order cuts nothing; 5 tests at 4: false-alarm rate 3e-4."""
    data, model = sample(TWO, 300), MixtureModel()
    free = bayes.nuts(data, model, TWO, rng(5))
    ordered = bayes.nuts_ordered(data, model, TWO.permuted([1, 0]), rng(6))
    draws = stacked(ordered)
    assert np.all(draws[:, :, 1, 0] < draws[:, :, 1, 1])
    other = draws_by_mean(stacked(free)).reshape(4, -1, 6)
    for j, own in enumerate(np.moveaxis(draws.reshape(4, -1, 6), 2, 0)):
        ess = array_stats.ess(other[:, :, j], chain_axis=0, draw_axis=1, method="mean")
        assert z_score(own, other[:, :, j].mean(), other[:, :, j].var() / ess) < 4
    assert capfd.readouterr() == ("", "")


def test_labels_stay_as_sampled_where_the_prior_tells_the_components_apart():
    """The prior's order is against that of the means, and components overlap, so that draws cross.

    The labelled posterior of a narrow prior is the exchangeable one, reweighted by the ratio of
    the two priors over both labellings of each draw; false-alarm rate: 3 tests at 4, 2e-4.
    """
    data, model = sample(Mixture([0.5, 0.5], [0.0, 1.0], [1.0, 1.0]), 100), MixtureModel(2, sds=1.0)
    flat, narrow = (Prior(Dirichlet(2.0), Normal(m, 1.0), Flat()) for m in (0.5, (1.0, 0.0)))
    found = bayes.nuts(data, model, Mixture([0.5, 0.5], [0.0, 1.0], [1, 1]), rng(1), prior=narrow)
    draws = stacked(found)
    assert not found.exchangeable
    assert 0.02 < np.mean(draws[:, :, 1, 0] < draws[:, :, 1, 1]) < 0.4
    np.testing.assert_allclose(found.mixture.as_rows(), draws.mean(axis=(0, 1)), rtol=1e-12)
    np.testing.assert_allclose(found.se, draws.std(axis=(0, 1), ddof=1), rtol=1e-12)

    free = stacked(bayes.nuts(data, model, TWO, rng(2), prior=flat, draws=4000))
    both = np.stack([free, free[..., ::-1]])
    gain = [stats.norm(m, 1.0).logpdf(both[..., 1, :]).sum(axis=-1) for m in ((1.0, 0.0), 0.5)]
    weights = np.exp(gain[0] - gain[1])
    for row, component in ((0, 0), (1, 0), (1, 1)):
        expected = float((weights * both[..., row, component]).sum() / weights.sum())
        influence = (weights * (both[..., row, component] - expected)).mean(axis=0)
        influence /= weights.mean()
        ess = array_stats.ess(influence, chain_axis=0, draw_axis=1, method="mean")
        assert z_score(draws[:, :, row, component], expected, influence.var() / ess) < 4


def test_an_asymmetric_prior_starts_its_methods_where_it_likes_best():
    data, model = sample(TWO, 100), MixtureModel()
    prior = Prior(Dirichlet(2.0), Normal((4.0, 0.0), 1.0), InverseGamma(2.0, 1.0))
    swapped = TWO.permuted([1, 0])
    modes = [bayes.map_estimate(data, model, m, rng(), prior=prior) for m in (TWO, swapped)]
    np.testing.assert_array_equal(*(mode.mixture.as_rows() for mode in modes))
    assert modes[0].mixture.means[0] > modes[0].mixture.means[1]
    posterior = pymc_model_of.Posterior(data, model, prior)
    starts = [bayes.starting_points(posterior, TWO)(seed) for seed in range(8)]
    np.testing.assert_allclose(starts, np.tile(posterior.point(swapped), (8, 1)), atol=0.5)


def test_a_fit_under_an_asymmetric_prior_has_its_draws_labels():
    x = sample(Mixture([0.5, 0.5], [0.0, 1.0], [1.0, 1.0]), 100).x
    prior = Prior(Dirichlet(2.0), Normal((1.0, 0.0), 1.0), InverseGamma(2.0, 0.5))
    found = fit("nuts", x, rng=1, prior=prior, draws=200, tune=200)
    whole = found.ordered_draws
    np.testing.assert_allclose(whole.mean(axis=(0, 1)), found.mixture.as_rows(), rtol=1e-12)
    assert not np.all(np.diff(whole[:, :, 1]) > 0)
    assert not found.exchangeable
    assert not fit("map", x, prior=prior).exchangeable


def test_three_components_with_equal_sds():
    data, model = sample(THREE, 300), MixtureModel(3, equal_sds=True)
    found = bayes.nuts(data, model, THREE, rng(), draws=300, tune=500)
    mode = bayes.map_estimate(data, model, THREE, rng())
    assert np.all(np.diff(found.mixture.means) > 0)
    assert np.ptp(found.mixture.sds) < 1e-12
    assert np.all(np.abs(found.mixture.as_rows() - mode.mixture.as_rows()) < found.se)


def test_one_component_is_the_same_by_both_samplers():
    """And its mean is that of the data: prior and posterior differ by less than 4 errors."""
    data, model = sample(Mixture([1.0], [3.0], [2.0]), 100), MixtureModel(1, sds=[2.0])
    start = Mixture([1.0], [data.mean], [2.0])
    one = bayes.nuts(data, model, start, rng(), draws=500, tune=300)
    two = bayes.nuts_ordered(data, model, start, rng(), draws=500, tune=300)
    np.testing.assert_array_equal(stacked(one), stacked(two))
    precision = data.n / 4.0 + 1.0 / (2.0 * data.sd) ** 2
    assert z_score(stacked(one)[:, :, 1, 0], data.mean) < 4
    assert one.se[1, 0] == pytest.approx(precision**-0.5, rel=0.1)


def test_what_sampling_needs_is_checked():
    data, model = sample(TWO, 50), MixtureModel()
    bad = {
        "draws": 0,
        "tune": 0,
        "chains": 0.5,
        "cores": True,
        "target_accept": 1.0,
        "prior": "flat",
    }
    for name, value in bad.items():
        with pytest.raises(ValueError, match=rf"^{name}: "):
            bayes.nuts(data, model, TWO, rng(), **{name: value})
    for name, value in {"max_iter": 0, "prior": Flat()}.items():
        with pytest.raises(ValueError, match=rf"^{name}: "):
            bayes.map_estimate(data, model, TWO, rng(), **{name: value})


def test_ordering_is_nuts_itself_where_known_parameters_tell_the_components_apart():
    data, model = sample(TWO, 100), MixtureModel(means=TWO.means)
    few = {"draws": 50, "tune": 100}
    one = bayes.nuts(data, model, TWO, rng(2), **few)
    other = bayes.nuts_ordered(data, model, TWO, rng(2), **few)
    np.testing.assert_array_equal(stacked(one), stacked(other))


def test_nothing_to_estimate():
    data, model = sample(TWO, 50), MixtureModel(1, means=[0.0], sds=[1.0])
    start = Mixture([1.0], [0.0], [1.0])
    for method in (bayes.map_estimate, bayes.nuts, bayes.nuts_ordered):
        assert method(data, model, start, rng()).mixture == start
