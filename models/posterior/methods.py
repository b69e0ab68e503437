"""MAP and NUTS on the marginalised mixture in PyMC.

The model itself is in posterior.py, which imports PyMC; it is imported inside the methods, so
that nothing loads PyMC that does not sample. Results come out in data units.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle, islice, permutations
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from models import checks
from models.inference.certificate import certify
from models.inference.chains import MAX_RHAT, MIN_ESS, convergence
from models.mixture import Floats, Mixture, draws_by_mean
from models.model import MixtureModel
from models.priors import Penalty, Prior
from models.sample import CompressedData, Data, Sample
from models.solution import Solution, Trace

if TYPE_CHECKING:
    import xarray as xr

    from models.posterior.density import Posterior

Likelihood = Literal["kernel", "pymc"]

# L-BFGS-B stops at a gradient of GRADIENT nats; Newton steps, where needed, go on to a Newton
# decrement of DECREMENT, in standard errors.
GRADIENT = 1e-6
DECREMENT = 1e-7

# Spread of the chains' starting points, in standardised unconstrained coordinates.
JITTER = 0.1

# nutpie's statistics that are kept, under their names in the ArviZ schema.
_STATISTICS = {
    "diverging": "diverging",
    "n_steps": "n_steps",
    "depth": "tree_depth",
    "maxdepth_reached": "reached_max_treedepth",
    "energy": "energy",
    "energy_error": "energy_error",
    "logp": "lp",
    "mean_tree_accept": "acceptance_rate",
    "step_size_bar": "step_size",
}


def map_estimate(
    data: Sample,
    model: MixtureModel,
    start: Mixture,
    rng: np.random.Generator,
    *,
    trace: bool = False,
    prior: Prior | None = None,
    likelihood: Likelihood = "kernel",
    max_iter: int = 1000,
    penalty: Penalty | None = None,
) -> Solution:
    """The posterior mode on the constrained scale: PyMC's density by L-BFGS-B, then Newton.

    Without Jacobian, so that flat priors give the MLE. Converged: the Newton decrement of the
    log posterior is at most DECREMENT standard errors; Newton steps are taken only where
    L-BFGS-B, whose differences of the log posterior end at rounding, stops short of that.
    prior: default Prior.default(data, k). penalty: the prior is Prior.penalised(data, penalty), and
    the mode the maximum of the penalised likelihood, as of `em`. Raises Collapse when a component
    falls onto a point.
    """
    checks.whole("max_iter", max_iter)
    if penalty is not None:
        if prior is not None:
            raise ValueError("penalty: is a prior itself; give one or the other")
        prior = Prior.penalised(data, penalty)
    posterior = _posterior(data, model, prior, likelihood)
    if model.n_free == 0:
        return Solution(start, True, "nothing to estimate", 0, {})
    start = posterior.oriented(start)
    from models.posterior.compiled import compiled_density, timed

    (density, slots), seconds = timed(compiled_density, posterior.structure)
    for name, value in posterior.shared.items():
        slots[name].set_value(value)

    calls = 0

    def objective(point: Floats) -> tuple[float, Floats]:
        nonlocal calls
        calls += 1
        logp, gradient = density(point)
        # A mean, so that L-BFGS-B's first step, of the gradient's length at most 1, is no leap.
        return -float(logp) / data.n, -gradient / data.n

    path, passes = [start], [1]

    def visit(xk: Floats) -> None:
        path.append(data.check(posterior.mixture(xk), model, posterior.guard))
        passes.append(calls)

    gtol = GRADIENT / data.n
    found = minimize(
        objective,
        posterior.point(start),
        jac=True,
        method="L-BFGS-B",
        bounds=posterior.bounds(),
        callback=visit,
        options={"maxiter": max_iter, "maxfun": 50 * max_iter, "ftol": 1e-14, "gtol": gtol},
    )
    polished, decrement = _newton(posterior, path[-1])
    path += polished
    passes += [found.nfev + 1 + step for step, _ in enumerate(polished, 1)]
    return Solution(
        path[-1],
        decrement <= DECREMENT,
        f"{found.message}; {len(polished)} Newton steps, decrement {decrement:.2g}",
        found.nit + len(polished),
        {"gradients": found.nfev, "second_moments": len(polished) + 1},
        _trace(path, passes, data) if trace else None,
        prior=posterior.prior,
        exchangeable=posterior.exchangeable,
        compile_seconds=seconds,
    )


def _newton(
    posterior: Posterior, mixture: Mixture, max_steps: int = 10
) -> tuple[list[Mixture], float]:
    """Newton steps while they lower a decrement above DECREMENT, and that decrement.

    Only from within a standard error of a mode, where they cannot leave its basin.
    """
    steps: list[Mixture] = []
    gradient, curvature = posterior.derivatives(mixture)
    decrement = _decrement(gradient, curvature)
    while DECREMENT < decrement < 1.0 and len(steps) < max_steps:
        eta = posterior.model.pack(mixture) + np.linalg.solve(curvature, gradient)
        mixture = posterior.model.unpack(eta)
        closer = posterior.derivatives(mixture)
        if not _decrement(*closer) < decrement:
            break
        gradient, curvature = closer
        decrement = _decrement(gradient, curvature)
        steps.append(posterior.data.check(mixture, posterior.model, posterior.guard))
    return steps, decrement


def _decrement(gradient: Floats, curvature: Floats) -> float:
    certificate = certify(gradient, curvature)
    return certificate.distance if certificate.positive_definite else np.inf


def nuts(
    data: Sample,
    model: MixtureModel,
    start: Mixture,
    rng: np.random.Generator,
    *,
    trace: bool = False,
    prior: Prior | None = None,
    likelihood: Likelihood = "kernel",
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    cores: int = 1,
    target_accept: float = 0.9,
) -> Solution:
    """Posterior means and sds by NUTS under the exchangeable prior, relabelled by the means.

    Each chain starts near `start`, its components numbered in an order of the chain's own, so
    that the chains start from as many labellings as there are (see `labellings`). Each draw's
    components are put in the order of its means by one permutation, unless known parameters or a
    prior whose means differ tell them apart: then labels are left as sampled, and chains start in
    the order that this prior likes best. Converged: over these parameters rank-normalised split
    R-hat below MAX_RHAT and bulk ESS above MIN_ESS, and no divergence after warm-up. The draws
    depend on rng alone, not on cores. Solution.draws: a DataTree with `posterior` (weights, means,
    sds by chain, draw and component; data units; labels as sampled) and `sample_stats` (`lp` is of
    the standardised data, Jacobian in). prior: default Prior.default(data, k).
    """
    posterior = _posterior(data, model, prior, likelihood)
    return _sample(posterior, start, rng, draws, tune, chains, cores, target_accept)


def nuts_ordered(
    data: Sample,
    model: MixtureModel,
    start: Mixture,
    rng: np.random.Generator,
    *,
    trace: bool = False,
    prior: Prior | None = None,
    likelihood: Likelihood = "kernel",
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    cores: int = 1,
    target_accept: float = 0.9,
) -> Solution:
    """As `nuts`, under the prior restricted to ascending means.

    Where known parameters tell the components apart, or there is but one, nothing is left to
    order and this is `nuts`.
    """
    ordered = model.k > 1 and model.exchangeable
    posterior = _posterior(data, model, prior, likelihood, ordered=ordered)
    return _sample(posterior, start, rng, draws, tune, chains, cores, target_accept)


def _sample(
    posterior: Posterior,
    start: Mixture,
    rng: np.random.Generator,
    draws: int,
    tune: int,
    chains: int,
    cores: int,
    target_accept: float,
) -> Solution:
    checks.whole("draws", draws, 4)
    for name, value in (("tune", tune), ("chains", chains), ("cores", cores)):
        checks.whole(name, value)
    checks.probability("target_accept", target_accept)
    if posterior.model.n_free == 0:
        return Solution(start, True, "nothing to estimate", 0, {}, se=np.zeros((3, start.k)))
    import nutpie

    from models.posterior.compiled import compiled_sampler, timed

    sampler, seconds = timed(compiled_sampler, posterior.structure)
    try:
        trace = nutpie.sample(
            sampler.with_data(posterior.shared, starting_points(posterior, start)),
            draws=draws,
            tune=tune,
            chains=chains,
            cores=cores,
            target_accept=target_accept,
            seed=int(rng.integers(2**63)),
            progress_bar=False,
            return_raw_trace=True,
        )
    except BaseException as error:  # a panic of Rust is no Exception, and would end the process
        if type(error).__name__ != "PanicException":
            raise
        raise RuntimeError(f"the sampler cannot go on from the start: {error}") from None
    points, stats = _arrays(trace)
    sampled = np.stack(posterior.parameters(points[:, tune:]), axis=2)
    if posterior.exchangeable and not posterior.ordered:
        orders = labellings(chains, posterior.model.k, rng)
        sampled = np.take_along_axis(sampled, orders[:, None, None, :], axis=-1)
    kept = {name: values[:, tune:] for name, values in stats.items()}
    ordered = draws_by_mean(sampled) if posterior.exchangeable else sampled
    found = diagnose(ordered, kept["diverging"])
    rhat, ess, divergences = found.values()
    return Solution(
        Mixture(*ordered.mean(axis=(0, 1))),
        rhat < MAX_RHAT and ess > MIN_ESS and divergences == 0,
        f"R-hat {rhat:.4f}, bulk ESS {ess:.0f}, {divergences:.0f} divergences",
        tune + draws,
        {"gradients": int(stats["n_steps"].sum()), "draws": chains * draws},
        se=ordered.std(axis=(0, 1), ddof=1),
        draws=_draws(sampled, kept),
        diagnostics=found,
        exchangeable=posterior.exchangeable,
        compile_seconds=seconds,
    )


def _arrays(trace: Any) -> tuple[Floats, dict[str, NDArray[Any]]]:
    """Of nutpie's raw trace: points (chains, tune + draws, d), and statistics likewise, by name.

    Its own reading into a DataTree, with all that it stores, takes as long as sampling a small
    data set.
    """
    import pyarrow

    parts, stats = ([pyarrow.record_batch(b) for b in part] for part in trace.get_arrow_trace())
    points = [part["point"].flatten().to_numpy().reshape(len(part), -1) for part in parts]
    by_name = {
        new: np.stack([batch[old].to_numpy(zero_copy_only=False) for batch in stats])
        for old, new in _STATISTICS.items()
    }
    return np.stack(points), by_name


def starting_points(posterior: Posterior, start: Mixture) -> Callable[[int], Floats]:
    """A chain's starting point (d,) by its seed: `start` and jitter."""
    centre = posterior.point(start.by_mean() if posterior.ordered else posterior.oriented(start))

    def point(seed: int) -> Floats:
        return centre + JITTER * np.random.default_rng(seed).standard_normal(centre.size)

    return point


def labellings(chains: int, k: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """(chains, K): the order in which each chain numbers the components, spread evenly.

    No labelling twice before each of the K! has come once: of two components, half of the chains
    have each. An exchangeable posterior is the same function whatever the numbering, so that a
    chain numbered otherwise is one that starts in another labelling.
    """
    return np.array(list(islice(cycle(permutations(rng.permutation(k))), chains)))


def diagnose(parameters: Floats, diverging: NDArray[np.bool_]) -> dict[str, float]:
    """The worst R-hat and bulk ESS of the parameters, and the number of divergences.

    parameters: (chains, draws, 3, K), relabelled; those that do not vary are left out, and so is
    the last weight, one minus the others. diverging: (chains, draws).
    """
    k = parameters.shape[-1]
    flat = np.delete(parameters.reshape(*parameters.shape[:2], -1), k - 1, axis=2)
    found = convergence(flat)
    return {
        "rhat": found.rhat,
        "ess": found.ess_bulk,
        "divergences": float(diverging.sum()),
    }


def _draws(sampled: Floats, stats: dict[str, NDArray[Any]]) -> xr.DataTree:
    import xarray as xr

    dims = ("chain", "draw", "component")
    arrays = (sampled[:, :, row] for row in range(3))
    named = zip(("weights", "means", "sds"), arrays, strict=True)
    coords = {name: np.arange(n) for name, n in zip(dims, sampled[:, :, 0].shape, strict=True)}
    kept = {name: (dims[:2], values) for name, values in stats.items()}
    return xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset({name: (dims, v) for name, v in named}, coords),
            "sample_stats": xr.Dataset(kept, {name: coords[name] for name in dims[:2]}),
        }
    )


def _posterior(
    data: Sample,
    model: MixtureModel,
    prior: Prior | None,
    likelihood: Likelihood,
    ordered: bool = False,
) -> Posterior:
    from models.posterior.density import Posterior

    if likelihood not in ("kernel", "pymc"):
        raise ValueError(f"likelihood: {likelihood!r} is neither 'kernel' nor 'pymc'")
    if prior is not None and not isinstance(prior, Prior):
        raise ValueError(f"prior: {prior!r} is not a Prior; give one, or None for the default")
    used = data
    if likelihood == "pymc" and isinstance(data, CompressedData):
        used = data.exact  # pm.NormalMixture has no guard for where the nodes do not hold
    if not isinstance(used, Data | CompressedData):
        raise ValueError("likelihood: 'pymc' needs the sample in memory; 'kernel' does not")
    chosen = Prior.default(used, model.k) if prior is None else prior
    chosen.check(model)
    return Posterior(used, model, chosen, ordered, likelihood)


def _trace(path: list[Mixture], passes: list[int], data: Sample) -> Trace:
    return Trace.of([data.moments(mixture).loglik for mixture in path], path, passes)
