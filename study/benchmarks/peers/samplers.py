"""MAP and NUTS on one five-parameter posterior: this project's, PyMC's, nutpie's and NumPyro's.

The priors are those of Prior.default, the start, the number of chains and the target acceptance
are the same for all, chains run one after the other on one thread. Compilation is not counted:
each function here compiles, and gives a function that samples.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from models import Mixture, fit
from models.mixture import Floats
from models.priors import Dirichlet, InverseGamma, Normal, Prior
from models.sample import Data
from study.benchmarks.peers import OURS, Answer, load

TARGET_ACCEPT = 0.9


@dataclass(frozen=True, eq=False)
class Sampling:
    """What to sample: x (n,), from where, how much; the prior is one that all packages have."""

    x: Floats
    start: Mixture
    draws: int
    tune: int
    chains: int = 4

    @property
    def prior(self) -> Prior:
        """Of families that the peers' models can be written with."""
        return Prior.of_one_scale(Data(self.x, np.ones(self.x.size)), self.start.k)

    @property
    def priors(self) -> tuple[Dirichlet, Normal, InverseGamma]:
        """On the weights, on each mean and on each variance."""
        prior = self.prior
        match prior:
            case Prior(Dirichlet() as weights, Normal() as means, InverseGamma() as variances):
                return weights, means, variances
        raise ValueError(f"{prior}: the peers' models are written for other families")

    @property
    def values(self) -> dict[str, Floats]:
        """The start by the names of the peers' variables."""
        start = self.start
        return {"weights": start.weights, "means": start.means, "variances": start.sds**2}


@dataclass(frozen=True, eq=False)
class Sampled:
    """draws: (chains, draws, 3, K), labels as sampled; gradients: evaluations, warm-up included
    (0 where the sampler does not tell). seconds: of sampling alone, where it had to be told apart.
    """

    draws: Floats
    gradients: int
    seconds: float | None = None


@dataclass(frozen=True)
class Sampler:
    """A compiled sampler: sample(seed), and a short run that leaves nothing to be compiled."""

    sample: Callable[[int], Sampled]
    warm_up: Callable[[], object]
    version: str


def _this_project(**options: Any) -> Callable[[Sampling], Sampler]:
    def compiled(setting: Sampling) -> Sampler:
        def sample(seed: int, draws: int = setting.draws, tune: int = setting.tune) -> Sampled:
            found = fit(
                "nuts",
                setting.x,
                start=setting.start,
                rng=seed,
                draws=draws,
                tune=tune,
                chains=setting.chains,
                target_accept=TARGET_ACCEPT,
                max_draws=None,
                prior=setting.prior,
                **options,
            )
            posterior = found.draws["posterior"]
            raw = [posterior[name].values for name in ("weights", "means", "sds")]
            return Sampled(np.stack(raw, axis=-2), found.evaluations["gradients"])

        return Sampler(sample, lambda: sample(0, 10, 10), _package("mixture-routes"))

    return compiled


def pymc_model(setting: Sampling) -> Any:
    """The mixture as PyMC's documentation writes it, with the default priors."""
    import pymc as pm

    weights, means, variances = setting.priors
    k = setting.start.k
    with pm.Model() as model:
        w = pm.Dirichlet("weights", weights.concentration * np.ones(k))
        mu = pm.Normal("means", means.mean, means.sd, shape=k)
        v = pm.InverseGamma("variances", variances.shape, variances.scale, shape=k)
        sd = pm.Deterministic("sds", pm.math.sqrt(v))
        pm.NormalMixture("x", w=w, mu=mu, sigma=sd, observed=setting.x)
    return model


def _pymc(setting: Sampling) -> Sampler:
    import pymc as pm

    model = pymc_model(setting)

    def sample(seed: int, draws: int = setting.draws, tune: int = setting.tune) -> Sampled:
        with model, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = pm.sample(
                draws=draws,
                tune=tune,
                chains=setting.chains,
                cores=1,
                nuts_sampler="pymc",
                target_accept=TARGET_ACCEPT,
                random_seed=seed,
                initvals=setting.values,
                discard_tuned_samples=False,
                progressbar=False,
                quiet=True,
                compute_convergence_checks=False,
            )
        steps = tree["sample_stats"]["n_steps"].sum() + tree["warmup_sample_stats"]["n_steps"].sum()
        # It compiles at every call; what it says of the time is of the sampling.
        seconds = float(tree["posterior"].attrs["sampling_time"])
        return Sampled(_stacked(tree["posterior"]), int(steps), seconds)

    return Sampler(sample, lambda: sample(0, 5, 5), _package("pymc"))


def _nutpie(setting: Sampling) -> Sampler:
    import nutpie

    compiled = nutpie.compile_pymc_model(pymc_model(setting), initial_points=setting.values)

    def sample(seed: int, draws: int = setting.draws, tune: int = setting.tune) -> Sampled:
        tree = nutpie.sample(
            compiled,
            draws=draws,
            tune=tune,
            chains=setting.chains,
            cores=1,
            target_accept=TARGET_ACCEPT,
            seed=seed,
            progress_bar=False,
        )
        steps = tree["sample_stats"]["n_steps"].sum() + tree["warmup_sample_stats"]["n_steps"].sum()
        return Sampled(_stacked(tree["posterior"]), int(steps))

    return Sampler(sample, lambda: sample(0, 5, 5), _package("nutpie"))


def _numpyro(setting: Sampling) -> Sampler:
    # Read when jax is first imported; one thread, as the others.
    os.environ.setdefault(
        "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    )
    numpyro = load("numpyro", "NumPyro")
    jax, infer = load("jax", "JAX"), load("numpyro.infer", "NumPyro")
    distributions = load("numpyro.distributions", "NumPyro")
    jax.config.update("jax_enable_x64", True)
    weights, means, variances = setting.priors
    k = setting.start.k

    def model(x: Any) -> None:
        w = numpyro.sample("weights", distributions.Dirichlet(weights.concentration * np.ones(k)))
        normal = distributions.Normal(means.mean, means.sd)
        mu = numpyro.sample("means", normal.expand([k]).to_event(1))
        inverse_gamma = distributions.InverseGamma(variances.shape, variances.scale)
        v = numpyro.sample("variances", inverse_gamma.expand([k]).to_event(1))
        sd = numpyro.deterministic("sds", jax.numpy.sqrt(v))
        components = distributions.Normal(mu, sd)
        mixing = distributions.Categorical(probs=w)
        numpyro.sample("x", distributions.MixtureSameFamily(mixing, components), obs=x)

    start = infer.init_to_value(values=setting.values)
    kernel = infer.NUTS(model, target_accept_prob=TARGET_ACCEPT, init_strategy=start)

    # One chain, compiled as a whole before it runs. MCMC.run by itself compiles its start and its
    # search for a step size at every call.
    def chain(key: Any, x: Any) -> Any:
        mcmc = infer.MCMC(
            kernel, num_warmup=setting.tune, num_samples=setting.draws, progress_bar=False
        )
        mcmc.run(key, x)
        found = mcmc.get_samples()
        return [found[name] for name in ("weights", "means", "sds")]

    x = jax.numpy.asarray(setting.x)
    compiled = jax.jit(chain).lower(jax.random.PRNGKey(0), x).compile()

    def sample(seed: int) -> Sampled:
        keys = jax.random.split(jax.random.PRNGKey(seed), setting.chains)
        chains = [[np.asarray(values) for values in compiled(key, x)] for key in keys]
        return Sampled(np.stack([np.stack(c, axis=-2) for c in chains]), 0)

    return Sampler(sample, lambda: None, _package("numpyro"))


def _package(name: str) -> str:
    return f"{name} {version(name)}"


def _stacked(posterior: Any) -> Floats:
    return np.stack([posterior[name].values for name in ("weights", "means", "sds")], axis=-2)


SAMPLERS: dict[str, Callable[[Sampling], Sampler]] = {
    OURS: _this_project(compress=False),
    f"{OURS}, compressed": _this_project(compress=True),
    f"{OURS}, pm.NormalMixture": _this_project(compress=False, likelihood="pymc"),
    "PyMC": _pymc,
    "nutpie": _nutpie,
    "NumPyro": _numpyro,
}


@dataclass(frozen=True)
class Mode:
    """find: the posterior mode, anew at every call. note: what its time includes."""

    find: Callable[[], Answer]
    version: str
    note: str = ""


def _mode(**options: Any) -> Callable[[Sampling], Mode]:
    def compiled(setting: Sampling) -> Mode:
        def find() -> Answer:
            found = fit("map", setting.x, start=setting.start, prior=setting.prior, **options)
            if found.mixture is None:
                raise RuntimeError(found.message)
            passes = found.evaluations["gradients"] + found.evaluations["second_moments"]
            return Answer(found.mixture, found.n_iter, passes)

        return Mode(find, _package("mixture-routes"))

    return compiled


def _find_map(setting: Sampling) -> Mode:
    import pymc as pm

    model = pymc_model(setting)

    def find() -> Answer:
        tree = pm.find_MAP(
            model=model,
            initvals=setting.values,
            jitter=False,
            return_inferencedata=True,
            progressbar=False,
        )
        mixture = Mixture(*_stacked(tree["posterior"])[0, 0])
        result = tree["optimizer_result"]
        return Answer(mixture, int(result["nit"]), int(result["nfev"]))

    return Mode(find, _package("pymc"), "compiles at every call, which is counted")


MODES: dict[str, Callable[[Sampling], Mode]] = {
    OURS: _mode(compress=False),
    f"{OURS}, compressed": _mode(compress=True),
    f"{OURS}, pm.NormalMixture": _mode(compress=False, likelihood="pymc"),
    "PyMC find_MAP": _find_map,
}
