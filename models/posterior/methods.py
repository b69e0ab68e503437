"""MAP and NUTS on the marginalised mixture in PyMC.

The model itself is in posterior.py, which imports PyMC; it is imported inside the methods, so
that nothing loads PyMC that does not sample. Results come out in data units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from models import checks
from models.inference.certificate import certify
from models.labels.algorithms import permuted
from models.mixture import Floats, Mixture
from models.model import MixtureModel
from models.posterior import sampling
from models.posterior.sampling import Settings
from models.priors import Flat, Penalty, Prior
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

# Posterior standard errors by which a prior that suits the data does not move an estimate: in the
# settings of the default design the default prior moves it by .1 to 1, seldom by 2.
CONFLICT = 3.0


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
    polished, curvature, decrement = _newton(posterior, path[-1])
    path += polished
    pull = _pull(posterior.prior, path[-1], model, curvature)
    passes += [found.nfev + 1 + step for step, _ in enumerate(polished, 1)]
    return Solution(
        path[-1],
        decrement <= DECREMENT,
        f"{found.message}; {len(polished)} Newton steps, decrement {decrement:.2g}{_warning(pull)}",
        found.nit + len(polished),
        {"gradients": found.nfev, "second_moments": len(polished) + 1},
        _trace(path, passes, data) if trace else None,
        diagnostics={"pull": pull},
        prior=posterior.prior,
        exchangeable=posterior.exchangeable,
        compile_seconds=seconds,
    )


def _newton(
    posterior: Posterior, mixture: Mixture, max_steps: int = 10
) -> tuple[list[Mixture], Floats, float]:
    """Newton steps while they lower a decrement above DECREMENT; the information, that decrement.

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
    return steps, curvature, decrement


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
    max_draws: int | None = 16_000,
) -> Solution:
    """Posterior means and sds by NUTS under the exchangeable prior, relabelled as Stephens does.

    Each chain starts near `start`, its components numbered in an order of the chain's own, so
    that the chains start from as many labellings as there are (see `labellings`).

    Chains of `draws` go on until the criterion holds, or to `max_draws` each; with None, or no
    more than `draws`, they do not. The criterion, which is what converged means: rank-normalised
    split R-hat below MAX_RHAT, bulk and tail ESS above MIN_ESS, and at most MAX_DIVERGENT of the
    draws divergent. It is on what labels cannot touch, and on the parameters by component, but
    where these are a convention: where nothing known tells components apart and their modes overlap
    (see `labels.meaning`), no relabelling says which is which.

    Where known parameters or a prior whose means differ tell the components apart, labels are left
    as sampled, and chains start in the order that this prior likes best. Where known parameters
    tell some apart, only the others are relabelled.

    The draws depend on rng alone, not on cores. Solution.draws: a DataTree with `posterior`
    (weights, means, sds by chain, draw and component; data units; labels as sampled) and
    `sample_stats` (`lp` is of the standardised data, Jacobian in). prior: default
    Prior.default(data, k); ValueError for a Flat one on means or sds, which has no posterior.
    """
    settings = _settings(draws, tune, chains, cores, target_accept, max_draws)
    return _sample(_posterior(data, model, prior, likelihood), start, rng, settings, ordered=False)


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
    max_draws: int | None = 16_000,
) -> Solution:
    """As `nuts`, under the prior restricted to ascending means.

    That is the exchangeable posterior, each draw's components put in the order of their means:
    its density is the same on each of the K! orders. The criterion is on the parameters so ordered
    in any case. They are a convention where the order of the means does not tell components apart.
    Where known parameters do, or there is but one, this is `nuts`. ValueError for a prior that
    tells the components apart itself.
    """
    settings = _settings(draws, tune, chains, cores, target_accept, max_draws)
    posterior = _posterior(data, model, prior, likelihood)
    if not posterior.prior.exchangeable:
        raise ValueError(
            f"prior: means {posterior.prior.means} tell the components apart, and leave no order "
            "to impose; fit with nuts"
        )
    ordered = np.unique(model.kinds).size < model.k
    return _sample(posterior, start, rng, settings, ordered=ordered)


def _settings(
    draws: int, tune: int, chains: int, cores: int, target_accept: float, max_draws: int | None
) -> Settings:
    draws = checks.whole("draws", draws, 4)
    tune, chains = checks.whole("tune", tune), checks.whole("chains", chains)
    cores = checks.whole("cores", cores)
    target_accept = checks.probability("target_accept", target_accept)
    if max_draws is not None:
        max_draws = checks.whole("max_draws", max_draws, 4)
    return Settings(draws, tune, chains, cores, target_accept, max_draws)


def _sample(
    posterior: Posterior,
    start: Mixture,
    rng: np.random.Generator,
    settings: Settings,
    *,
    ordered: bool,
) -> Solution:
    if posterior.model.n_free == 0:
        return Solution(start, True, "nothing to estimate", 0, {}, se=np.zeros((3, start.k)))
    _check_proper(posterior)
    from models.posterior.compiled import compiled_sampler, timed

    posterior = posterior.suited_to(start)
    sampler, seconds = timed(compiled_sampler, posterior.structure)
    found, judged = sampling.sample(posterior, sampler, start, rng, settings, ordered=ordered)
    by_component = permuted(judged.draws, judged.permutations)
    worst, divergences = judged.worst, found.stats["diverging"].sum()
    chains, draws = by_component.shape[:2]
    mixture = Mixture(*posterior.in_data_units(by_component.mean(axis=(0, 1))))
    pull = np.nan
    if not judged.convention:
        information = posterior.derivatives(mixture)[1]
        pull = _pull(posterior.prior, mixture, posterior.model, information)
    return Solution(
        mixture,
        judged.good,
        sampling.said(found, judged) + _warning(pull),
        found.iterations,
        {"gradients": found.gradients, "draws": chains * draws},
        se=_posterior_sds(by_component, posterior),
        draws=_draws(posterior.in_data_units(judged.draws), found.stats),
        permutations=judged.permutations,
        convention=judged.convention,
        diagnostics={
            "rhat": worst.rhat,
            "ess": worst.ess_bulk,
            "ess_tail": worst.ess_tail,
            "divergences": float(divergences),
            "draws": float(draws),
            "pull": pull,
        },
        exchangeable=posterior.exchangeable,
        compile_seconds=seconds,
    )


def _pull(prior: Prior, mixture: Mixture, model: MixtureModel, information: Floats) -> float:
    """By how many posterior standard errors the prior moves an estimate, to first order.

    NaN where the information of the posterior is not positive definite there.
    """
    certificate = certify(prior.score(mixture, model), information)
    return certificate.distance if certificate.positive_definite else np.nan


def _warning(pull: float) -> str:
    """What a fit says of a prior that conflicts with the data."""
    if not pull > CONFLICT:
        return ""
    return (
        f"; prior and data conflict: the prior moves the estimate by {pull:.1f} posterior standard "
        "errors, so look at its scale"
    )


def _posterior_sds(draws: Floats, posterior: Posterior) -> Floats:
    """(3, K): of draws (chains, draws, 3, K) of standardised data, in data units; 0 where known."""
    unit = posterior.data.sd
    sds: Floats = draws.std(axis=(0, 1), ddof=1) * [[1.0], [unit], [unit]]
    sds[~posterior.model.free] = 0.0
    return sds


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


def _check_proper(posterior: Posterior) -> None:
    """ValueError where a component that may have no observation has a flat prior."""
    for name, free in zip(("means", "sds"), posterior.model.free[1:], strict=True):
        if free.any() and len(free) > 1 and isinstance(getattr(posterior.prior, name), Flat):
            raise ValueError(
                f"prior: is Flat on {name}, so that there is no posterior to sample (a component "
                "may have no observation); give a proper one, or take map"
            )


def _posterior(
    data: Sample,
    model: MixtureModel,
    prior: Prior | None,
    likelihood: Likelihood,
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
    return Posterior(used, model, chosen, likelihood)


def _trace(path: list[Mixture], passes: list[int], data: Sample) -> Trace:
    return Trace.of([data.moments(mixture).loglik for mixture in path], path, passes)
