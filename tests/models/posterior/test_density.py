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
    InverseGamma,
    LogInverseGamma,
    LogNormal,
    Normal,
    Prior,
    SharedScale,
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
    n_sds = 1 if model.equal_sds else model.k
    constant = -data.n * math.log(data.sd)
    if model.means is None and isinstance(prior.means, Normal):
        constant -= model.k * math.log(data.sd)
    if model.sds is None:
        powers: dict[type, int] = {
            InverseGamma: 2,
            SharedScale: 2,
            LogNormal: 1,
            HalfNormal: 1,
        }
        constant -= powers.get(type(prior.sds), 0) * n_sds * math.log(data.sd)
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
        found = float(function(point, *arrays)[0]) + constant
        assert found == pytest.approx(expected, rel=1e-12)
        np.testing.assert_allclose(posterior.mixture(point).as_rows(), mixture.as_rows(), 1e-12)


@pytest.mark.parametrize(("k", "jacobian"), [(2, True), (2, False), (3, True)])
def test_the_kernels_density_and_gradient_are_pymcs_and_take_one_pass(
    k: int, jacobian: bool
) -> None:
    """At the same points, to rounding of sums of 300 terms; constants included."""
    data = sample(TWO, 300, counts=True)
    values = []
    for likelihood in ("kernel", "pymc"):
        posterior = Posterior(data, MixtureModel(k), Prior.default(data, k), likelihood)
        function, arrays = graph(posterior, jacobian=jacobian), given(posterior)
        points = rng(3).normal(0, 0.5, (5, density.size(posterior.structure)))
        values.append([np.append(*reversed(function(point, *arrays))) for point in points])
        nodes = [type(node.op).__name__ for node in function.maker.fgraph.apply_nodes]
        assert nodes.count("LoglikAndGradient") == (1 if likelihood == "kernel" else 0)
    np.testing.assert_allclose(values[0], values[1], rtol=1e-11, atol=1e-9)
