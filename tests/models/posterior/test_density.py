"""The PyMC model is the likelihood and the priors, whichever way its density is written.

PyTensor runs the graphs in Python here, for they take longer to compile than all else in this
file; that the compiled function is the graph is tested in test_compiled.py.
"""

import math
from typing import Any

import numpy as np
import pytensor
import pytest
from pytensor.compile.mode import Mode

from models import Mixture, MixtureModel
from models.likelihood import moments
from models.mixture import Floats
from models.posterior import density
from models.posterior.density import Posterior
from models.priors import (
    Dirichlet,
    Flat,
    HalfNormal,
    HalfStudentT,
    InverseGamma,
    LogInverseGamma,
    LogNormal,
    Means,
    Normal,
    Prior,
    Sds,
    SharedScale,
    StudentT,
)
from tests.models.posterior.settings import TWO, rng, sample

pytestmark = pytest.mark.filterwarnings("error")

STRUCTURES = {
    "free": (MixtureModel(3), Prior(Dirichlet(2.5), Normal(0.7, 3.0), InverseGamma(2.5, 1.7))),
    "shared-scale": (
        MixtureModel(3),
        Prior(Dirichlet(2.5), Normal(0.7, 3.0), SharedScale(2.5, 0.3, 0.02, 3.0)),
    ),
    "shared-scale-equal-sds": (
        MixtureModel(3, equal_sds=True),
        Prior(Flat(), Flat(), SharedScale(2.5, 0.3, 0.02, 3.0)),
    ),
    "log-normal": (MixtureModel(2), Prior(Dirichlet(0.7), Flat(), LogNormal(0.3, 0.8))),
    "equal-sds": (MixtureModel(2, equal_sds=True), Prior(Flat(), Flat(), HalfNormal(1.9))),
    "student": (
        MixtureModel(2),
        Prior(Dirichlet(1.0), StudentT(3.0, 0.7, 2.5), HalfStudentT(3.0, 2.5)),
    ),
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
    "partly-known": (
        MixtureModel(3, [None, 0.5, None], [1.0, None, None], weights=[None, 0.2, None]),
        Prior(Dirichlet(2.5), Normal((1.0, -2.0, 4.0), 3.0), SharedScale(2.5, 0.3, 0.02, 3.0)),
    ),
    "known-weights": (
        MixtureModel(2, [0.0, None], 1.0, weights=[0.3, 0.7]),
        Prior(Dirichlet(2.5), Normal(0.7, 3.0), Flat()),
    ),
    "asymmetric": (
        MixtureModel(3),
        Prior(Dirichlet(2.5), Normal((1.0, -2.0, 4.0), 3.0), InverseGamma(2.5, 1.7)),
    ),
}


def graph(posterior: Posterior, *, jacobian: bool) -> Any:
    """PyTensor's function of a point and the data, its graph rewritten as for compilation."""
    model = density.build(posterior.structure, jacobian=jacobian)
    assert [variable.name for variable in model.data_vars] == density.data_names(
        posterior.structure
    )
    with pytensor.config.change_flags(mode=Mode(linker="py", optimizer="fast_run")):
        return density.density_function(model, jacobian=jacobian)


def given(posterior: Posterior) -> list[Floats]:
    return [posterior.shared[name] for name in density.data_names(posterior.structure)]


@pytest.mark.parametrize(("model", "prior"), STRUCTURES.values(), ids=STRUCTURES.keys())
def test_pymcs_density_is_the_likelihood_and_the_prior(model: MixtureModel, prior: Prior) -> None:
    """In original units: standardising by s costs n log s, and log s for each mean or sd."""
    data = sample(TWO, 300, counts=True)
    posterior = Posterior(data, model, prior)
    function, arrays = graph(posterior, jacobian=False), given(posterior)
    constant = -data.n * math.log(data.sd)
    if not isinstance(prior.means, Flat):
        constant -= model.n_free_means * math.log(data.sd)
    if model.n_free_sds:
        powers: dict[type, int] = {
            InverseGamma: 2,
            SharedScale: 2,
            LogNormal: 1,
            HalfNormal: 1,
            HalfStudentT: 1,
        }
        constant -= powers.get(type(prior.sds), 0) * model.n_free_sds * math.log(data.sd)
    if isinstance(prior.weights, Flat):
        constant -= math.lgamma(model.n_free_weights + 1)
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
        found = float(function(point, *arrays)[0]) + constant
        assert found == pytest.approx(expected, rel=1e-12)
        np.testing.assert_allclose(posterior.mixture(point).as_rows(), mixture.as_rows(), 1e-12)


@pytest.mark.parametrize(
    ("model", "jacobian"),
    [
        (MixtureModel(2), True),
        (MixtureModel(2), False),
        (MixtureModel(3), True),
        (MixtureModel(3, [0, None, None], [1, None, None], weights=[None, None, 0.2]), True),
    ],
    ids=["2-True", "2-False", "3-True", "partly-known"],
)
def test_the_kernels_density_and_gradient_are_pymcs_and_take_one_pass(
    model: MixtureModel, jacobian: bool
) -> None:
    """At the same points, to rounding of sums of 300 terms; constants included."""
    data = sample(TWO, 300, counts=True)
    values = []
    for likelihood in ("kernel", "pymc"):
        posterior = Posterior(data, model, Prior.default(data, model.k), likelihood)
        function, arrays = graph(posterior, jacobian=jacobian), given(posterior)
        points = rng(3).normal(0, 0.5, (5, density.size(posterior.structure)))
        values.append([np.append(*reversed(function(point, *arrays))) for point in points])
        nodes = [type(node.op).__name__ for node in function.maker.fgraph.apply_nodes]
        assert nodes.count("LoglikAndGradient") == (1 if likelihood == "kernel" else 0)
    np.testing.assert_allclose(values[0], values[1], rtol=1e-11, atol=1e-9)


def test_moment_coordinates_and_back():
    """And the Jacobian that their text gives, by central differences; the variance too."""
    points = rng(1).normal(0.0, 1.0, (5, 5))
    np.testing.assert_allclose(density.of_moments(density.to_moments(points)), points, atol=1e-13)
    for point in points:
        ends = [[density.of_moments(point + s * e) for s in (1e-5, -1e-5)] for e in np.eye(5)]
        jacobian = np.array([np.subtract(*pair) / 2e-5 for pair in ends])
        y, mean, log_variance, _, ratio = point
        weights = np.exp([y, -y]) / np.exp([y, -y]).sum()
        expected = 0.5 * (log_variance - np.log(weights).sum())
        assert np.log(abs(np.linalg.det(jacobian))) == pytest.approx(expected, abs=1e-8)
        natural = density.of_moments(point)
        found = Mixture(weights, natural[1:3], np.exp(0.5 * natural[3:]))
        assert (found.mean, np.log(found.variance)) == pytest.approx(
            (mean, log_variance), abs=1e-12
        )
        assert natural[3] - natural[4] == pytest.approx(ratio, abs=1e-12)


BY_MOMENTS = {
    "shared-scale": (Normal((0.7, -0.3), 3.0), SharedScale(2.5, 0.3, 0.02, 3.0)),
    "inverse-gamma": (StudentT(3.0, 0.7, 2.5), InverseGamma(2.5, 1.7)),
}


@pytest.mark.parametrize(("means", "sds"), BY_MOMENTS.values(), ids=BY_MOMENTS.keys())
def test_the_density_by_moments_is_that_of_the_same_posterior(means: Means, sds: Sds) -> None:
    """Likelihood, prior and the Jacobian of all transforms, on the standardised data."""
    data = sample(TWO, 300, counts=True)
    posterior = Posterior(data, MixtureModel(), Prior(Dirichlet(2.5), means, sds)).by_moments
    function, arrays = graph(posterior, jacobian=True), given(posterior)
    standard = posterior.prior.standardised(data.mean, data.sd)
    for point in rng(2).normal(0.0, 0.7, (4, 5)):
        mixture = Mixture.of_rows(posterior.rows(point))
        x = (data.x - data.mean) / data.sd
        expected = moments(mixture, x, data.counts).loglik
        expected += standard.log_density(mixture, MixtureModel())
        jacobian = np.log(2.0 * mixture.weights.prod()) + 2.0 * np.log(mixture.sds).sum()
        jacobian += 0.5 * np.log(mixture.variance / mixture.weights.prod())
        assert float(function(point, *arrays)[0]) == pytest.approx(expected + jacobian, rel=1e-12)
        own = Mixture.of_rows(posterior.in_data_units(posterior.rows(point)))
        np.testing.assert_allclose(posterior.point(own), point, atol=1e-12)


def test_coordinates_hang_on_whether_the_start_overlaps():
    data = sample(TWO, 100)
    posterior = Posterior(data, MixtureModel(), Prior.default(data))
    starts = {
        True: ([0.0, 1.0], [1.0, 1.0]),
        False: ([0.0, 4.0], [1.0, 1.0]),
    }
    for moment, (means, sds) in starts.items():
        assert posterior.suited_to(Mixture([0.5, 0.5], means, sds)).moments == moment
    assert not posterior.suited_to(Mixture([0.5, 0.5], [0.0, 0.0], [1.0, 10.0])).moments
    for other in (
        Posterior(data, MixtureModel(equal_sds=True), Prior.default(data)),
        Posterior(data, MixtureModel(3), Prior.default(data)),
        Posterior(data, MixtureModel(), Prior.default(data), "pymc"),
        Posterior(data, MixtureModel(), Prior.flat()),
    ):
        assert other.by_moments is other
