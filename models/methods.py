"""METHODS, fit() and the Fit record: the one way in to every method.

A method is a module-level function that keeps the contract of `Run`; adding one is that function
and a line in METHODS.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from pkgutil import resolve_name
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Protocol, cast

import numpy as np
from llvmlite.binding import get_host_cpu_name
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import LibController, ThreadpoolController

from models import checks, kernels, verdicts
from models.compression import Cells, Compressed
from models.elsewhere import compile_elsewhere, compiling
from models.frame import Frame
from models.inference.boundary import Boundary, covariance_on, face
from models.inference.certificate import (
    Certificate,
    covariance_by,
    errors,
    inverse_information,
    sandwiched,
)
from models.inference.ends import End, judged
from models.inference.intervals import wald_interval
from models.likelihood import compile_passes, score_and_information
from models.mixture import Floats, Mixture, ParameterArray, predictive
from models.model import MixtureModel
from models.priors import Prior
from models.sample import (
    TOLERANCE,
    CompressedData,
    Data,
    Sample,
    StreamedData,
    as_data,
    as_sample,
    cells_for,
)
from models.solution import Collapse, Solution, Trace
from models.starts import START_SIZE, Start, pilot, several_starts, shared_start

Status = Literal["ok", "not-converged", "singular", "failed"]

Engine = Literal["numeric", "pymc"]

# Cells of a stream, beyond which they are made coarser.
MOST_CELLS = 4096
# Draws that stand for all of them in a predictive density: the log-likelihood is low by d/2 nats,
# d the number of parameters, over so many.
PREDICTIVE = 250

# Errors that make a fit a failed one: what numbers do, not what programs do wrong.
GUARDED = (ArithmeticError, np.linalg.LinAlgError, RuntimeError)


# Starts that are tried where the first one ends with a component that is not needed.
SEARCHED = 10


class Run(Protocol):
    """The contract of a method: a fit of the data from the start. Its options are keyword-only."""

    def __call__(
        self,
        data: Sample,
        model: MixtureModel,
        start: Mixture,
        rng: np.random.Generator,
        *,
        trace: bool = ...,
    ) -> Solution:
        """The Solution; Collapse, or another ArithmeticError, where there is none."""


@dataclass(frozen=True)
class Method:
    """Where a method's function is, its label in figures, and what it needs and finds.

    place: of a `Run`, such as "models.em:em"; imported when it is asked for, so that no method
        needs what another one does.
    label: its name in figures and tables.
    engine: "numeric" needs NumPy, SciPy and the kernel; "pymc" needs PyMC.
    kind: what its estimate is: the maximum of the likelihood, the posterior mode or mean.
    compress_from: observations from which compression pays; it costs as much as six passes and
        a millisecond for its pilot, so the earlier the more passes a method takes.
    """

    place: str
    label: str
    engine: Engine = "numeric"
    kind: Literal["likelihood", "posterior mode", "posterior"] = "likelihood"
    compress_from: int = 50_000

    @property
    def run(self) -> Run:
        """The function itself."""
        found: Run = resolve_name(self.place)
        return found

    @property
    def options(self) -> tuple[str, ...]:
        """The names of the function's options."""
        return _keywords(cast(Hashable, self.run))

    @property
    def draws(self) -> bool:
        """Whether it draws from a posterior, so that there is no optimum to certify."""
        return self.kind == "posterior"

    @property
    def maximises_likelihood(self) -> bool:
        """Whether its estimate is the maximum of the likelihood, with no prior of its own."""
        return self.kind == "likelihood"


@cache
def _keywords(run: Callable[..., Any]) -> tuple[str, ...]:
    parameters = inspect.signature(run).parameters.values()
    return tuple(p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY)


# The names that fit() takes.
METHODS: dict[str, Method] = {
    "em": Method("models.em:em", "EM", compress_from=12_000),
    "em-squarem": Method("models.em:em_squarem", "SQUAREM", compress_from=30_000),
    "lbfgs": Method("models.direct:lbfgs", "L-BFGS-B"),
    "newton": Method("models.direct:newton", "Newton", compress_from=100_000),
    "nelder-mead": Method("models.direct:nelder_mead", "Nelder-Mead", compress_from=12_000),
    "map": Method("models.posterior.methods:map_estimate", "MAP", "pymc", "posterior mode"),
    "nuts": Method("models.posterior.methods:nuts", "NUTS", "pymc", "posterior", 2_000),
    "nuts-ordered": Method(
        "models.posterior.methods:nuts_ordered", "NUTS ordered", "pymc", "posterior", 2_000
    ),
}


# The names of those that maximise the likelihood, and of those that draw from a posterior.
OPTIMISERS = tuple(name for name, method in METHODS.items() if method.maximises_likelihood)
SAMPLERS = tuple(name for name, method in METHODS.items() if method.draws)


@dataclass(frozen=True, eq=False)
class Fit:
    """One fit of one data set by one method; components, and the model's, in order of mean.

    method: its name in METHODS.
    model: what was estimated.
    n: the total count.
    mixture: the estimate (posterior mean for NUTS); None if the method failed.
    loglik: nats, of the data at the estimate, all constants included; NaN if it failed. Of samplers
        that of the data under `density`.
    objective: nats, what the method maximises: `loglik`, and where it has a prior or a penalty
        their log density (`Prior.log_density`, constants included, whatever the method).
    status: "ok" (converged by the method's own word or by the certificate, all numbers finite),
        "not-converged", "singular" (a component collapsed onto a point) or "failed".
    message: the method's own, or what went wrong.
    converged: the method's own word.
    certificate: of the optimum of the method's objective; None for samplers and failures. On the
        boundary of the parameter space weights are 0, whatever the method left them at.
    n_iter: iterations, as the method counts them.
    evaluations: how many of each kind it took. "start" are the passes behind the shared start; of
        a compressed sample "nodes" is their number, and "exact_passes" are the passes over the
        whole sample where they could not be certified.
    seconds: of the method alone, compression included.
    start_seconds: of the shared start.
    compile_seconds: of imports and compilation.
    se: (3, K) standard errors, its rows also .weights, .means and .sds; posterior sds for NUTS, 0
        where known, NaN where there are none. Where weights are 0 the other components have those
        of the model without.
    covariance: (3K, 3K) of (weights, means, sds), from the information of the method's objective,
        for survey weights the sandwich; NaN for samplers, whose draws say more.
    start: where the method began.
    diagnostics: of samplers, the worst rank-normalised split "rhat", bulk "ess" and "ess_tail" of
        what is identified (see `models.posterior.methods.nuts`), the number of "divergences", and
        the "draws" of a chain. Of the methods with a prior "pull", by how many posterior standard
        errors it moves the estimate; above 3 the message warns of a conflict.
    exchangeable: whether labels alone tell components apart; not where known parameters do, or a
        prior whose means differ.
    believable: whether there is evidence for every narrow component (`verdicts.believable`).
    boundary: what intervals of weights at 0 are made of; None elsewhere.
    convention: of samplers, whether estimates by component are a convention, because components
        overlap and no relabelling of the draws says which is which.
    trace: a Trace, if it was asked for.
    draws: of samplers, an ArviZ DataTree; labels as sampled.
    permutations: of samplers, (chains, draws, K): which components of a draw are those of
        `mixture`.
    """

    method: str
    model: MixtureModel
    n: float
    mixture: Mixture | None
    loglik: float
    objective: float
    status: Status
    message: str
    converged: bool
    certificate: Certificate | None
    n_iter: int
    evaluations: Mapping[str, int]
    seconds: float
    start_seconds: float
    compile_seconds: float
    se: ParameterArray
    covariance: Floats = field(repr=False)
    start: Mixture
    diagnostics: Mapping[str, float]
    exchangeable: bool
    believable: bool
    boundary: Boundary | None = field(default=None, repr=False)
    convention: bool = False
    trace: Trace | None = field(default=None, repr=False)
    draws: Any = field(default=None, repr=False)
    permutations: NDArray[np.intp] | None = field(default=None, repr=False)

    def interval(self, level: float = 0.95) -> tuple[ParameterArray, ParameterArray]:
        """Lower and upper ends, each (3, K) in the layout of a Mixture.

        Wald on the logit, identity and log scale; for NUTS equal-tailed quantiles of the
        relabelled draws. Of a weight at 0, or at 1 as all others are, by the likelihood ratio
        (`Boundary.weights`); NaN for the mean and sd of a component without weight.

        level: probability that the interval is to hold the parameter.

        Raises ValueError for a level that is not between 0 and 1.
        """
        level = checks.probability("level", level)
        if self.mixture is None:
            lower = upper = np.full((3, self.model.k), np.nan)
        elif self.draws is not None:
            ends = [0.5 - 0.5 * level, 0.5 + 0.5 * level]
            lower, upper = np.quantile(self.relabelled_draws, ends, axis=(0, 1))
        else:
            lower, upper = wald_interval(self.mixture, np.asarray(self.se), level)
            if self.boundary is not None:
                for rows, found in zip((lower, upper), self.boundary.weights(level), strict=True):
                    rows[0] = np.where(np.isnan(found), rows[0], found)
        return ParameterArray.of(lower), ParameterArray.of(upper)

    @property
    def n_parameters(self) -> int:
        """How many numbers were estimated: the weights, which sum to 1, are one less than K."""
        return self.model.n_free

    @property
    def aic(self) -> float:
        """Akaike's criterion, -2 loglik + 2 n_parameters: the least is best."""
        return -2.0 * self.loglik + 2.0 * self.n_parameters

    @property
    def bic(self) -> float:
        """Schwarz's criterion, -2 loglik + n_parameters log n: the least is best."""
        return -2.0 * self.loglik + self.n_parameters * float(np.log(self.n))

    def verdict(self, best: float | None = None) -> str:
        """What the fit came to, one of verdicts.VERDICTS, whatever its method says.

        best: the highest `objective` that is known of for the data and the same prior or penalty,
        from other methods or starts; without it no maximum is called a local one.
        """
        draws, trusted, certified, place = METHODS[self.method].draws, False, False, ""
        if self.mixture is not None and self.certificate is not None:
            place, certified = self.certificate.place, self.certificate.certified
            trusted = self.believable and bool(np.isfinite(self.certificate.distance))
        behind = 0.0 if best is None else best - self.objective
        return str(verdicts.judge(self.status, draws, certified, trusted, behind, place))

    def __getstate__(self) -> dict[str, Any]:
        views = self.__dict__.items()
        return {n: dict(v) if isinstance(v, MappingProxyType) else v for n, v in views}

    def __setstate__(self, state: dict[str, Any]) -> None:
        views = {n: MappingProxyType(state[n]) for n in ("evaluations", "diagnostics")}
        self.__dict__.update(state | views)

    @cached_property
    def density(self) -> Mixture | None:
        """The estimate of the density, None if the method failed.

        `mixture`; but of samplers the posterior predictive density, which no labels can touch: the
        average over PREDICTIVE draws, as a mixture of all their components.
        """
        if self.mixture is None or self.draws is None:
            return self.mixture
        return predictive(self.relabelled_draws, PREDICTIVE)

    def pointwise(self, x: ArrayLike) -> Any:
        """`draws` with the group log_likelihood of x (n,), by which ArviZ compares models.

        An ArviZ DataTree. ValueError if the method keeps no draws.
        """
        from models.posterior.evidence import pointwise

        values = checks.vector("x", x)
        logs = pointwise(self.relabelled_draws, values)
        dims, tree = ("chain", "draw", "observation"), self.draws.copy()
        own = tree["posterior"].to_dataset()[["chain", "draw"]].assign(x=(dims, logs))
        tree["log_likelihood"] = type(tree)(own)
        return tree

    @cached_property
    def relabelled_draws(self) -> Floats:
        """(chains, draws, 3, K): the posterior draws with the components of `mixture`.

        ValueError if the method keeps no draws.
        """
        if self.draws is None or self.permutations is None:
            raise ValueError(f"draws: {self.method} keeps none; fit with nuts or nuts-ordered")
        posterior = self.draws["posterior"]
        raw = np.stack([posterior[name].values for name in ("weights", "means", "sds")], axis=-2)
        return np.take_along_axis(raw, self.permutations[:, :, None, :], axis=-1)


def fit(
    method: str,
    x: ArrayLike | CompressedData,
    model: MixtureModel | None = None,
    *,
    counts: ArrayLike | None = None,
    survey_weights: ArrayLike | None = None,
    start: Mixture | None = None,
    starts: int = 1,
    rng: np.random.Generator | int | None = None,
    compress: bool | Literal["auto"] = "auto",
    **options: Any,
) -> Fit:
    """Fit a mixture to x by one of METHODS.

    Returns a Fit. What goes wrong in the fit itself is in its status and message.

    method: a name in METHODS.
    x: observations (n,), any array-like of real numbers without gaps (see `checks.vector`), or what
        `compress` made.
    model: default MixtureModel(), two components with everything free.
    counts: (n,) frequencies, how often each observation was made, at least 0; default once.
        Standard errors are those of sum(counts) observations.
    survey_weights: (n,) in the place of counts: how many of the population each observation stands
        for, at least 0, on any scale. The weighted log-likelihood is maximised, weights scaled to a
        mean of 1, and standard errors are the sandwich's (Binder 1983), of n observations.
        Optimisers and MAP alone.
    start: default the shared start of starts.py. Where that ends with a component that is not
        needed, which is no maximum, SEARCHED of the list are tried.
    starts: run from so many of the shared list, that start among them, and give the end with the
        highest objective that is believed (`best_of`); the message says if one that is not is
        higher. All that they took is in its evaluations and seconds.
    rng: a Generator or a seed; default 0.
    compress: whether to pass over the data through the nodes of compression.py; "auto" does from
        the method's compress_from observations on. The log-likelihood, certificate and standard
        errors are of the exact sample either way, unless it was streamed and cannot be read again.
    options: the method's own, such as trace=True; see its function.

    Raises ValueError for bad input, naming the argument.
    """
    model = _two_components() if model is None else model
    problem = _checked(method, x, model, counts, survey_weights, compress, options)
    generator = np.random.default_rng(0 if rng is None else rng)
    engine = METHODS[method].engine
    compile_seconds = load_engine(engine) + warm_up(engine)
    if starts != 1:
        _check_starts(starts, start, method)
        return _fit_from_several(problem, starts, generator, compile_seconds)
    begin = time.perf_counter()
    seed = generator.bit_generator.state
    first = _chosen_start(problem, start, generator)
    start_seconds = time.perf_counter() - begin
    found = _fit_from(problem, first, generator, start_seconds, compile_seconds)
    if start is None and found.verdict() == "component not needed":
        generator.bit_generator.state = seed
        return _fit_from_several(problem, SEARCHED, generator, 0.0, found)
    return found


@cache
def _two_components() -> MixtureModel:
    return MixtureModel()


class _Problem(NamedTuple):
    """What is to be fitted, and how, all of it checked; data, model and prior in the frame.

    given: the model as it was given, in data units. weighted: whether counts are survey weights.
    """

    method: str
    run: Run
    data: Data | CompressedData
    model: MixtureModel
    compress: bool | Literal["auto"]
    options: dict[str, Any]
    frame: Frame
    given: MixtureModel
    weighted: bool


def _checked(
    method: str,
    x: ArrayLike | CompressedData,
    model: MixtureModel,
    counts: ArrayLike | None,
    survey_weights: ArrayLike | None,
    compress: bool | Literal["auto"],
    options: dict[str, Any],
) -> _Problem:
    if method not in METHODS:
        raise ValueError(f"method: unknown {method!r}; choose from {', '.join(METHODS)}")
    if not isinstance(model, MixtureModel):
        raise ValueError(f"model: {model!r} is not a MixtureModel")
    if compress not in (True, False, "auto"):
        raise ValueError(f"compress: {compress!r} is none of True, False and 'auto'")
    weighted = survey_weights is not None
    if weighted and METHODS[method].draws:
        raise ValueError(f"survey_weights: give no likelihood to {method}; take an optimiser")
    data = as_sample(x, counts, model, survey_weights)
    if compress is False and isinstance(data, CompressedData):
        raise ValueError("x: is compressed; compress=False is too late")
    known = METHODS[method].options if options else ()
    for name in options:
        if name not in known:
            raise ValueError(f"{name}: no option of {method}; it takes {', '.join(known)}")
    if "trace" in options:
        checks.flag("trace", options["trace"])
    if isinstance(data, CompressedData):
        frame = data.compressed.cells.frame
    else:
        frame = Frame.of(*data.ends)
        data = data if frame.plain else Data(frame.inside(data.x), data.counts)
    if not frame.plain and isinstance(options.get("prior"), Prior):
        moved = options["prior"].standardised(frame.shift, 2.0**frame.exponent)
        options = options | {"prior": moved}
    run, inside = METHODS[method].run, frame.model_inside(model)
    return _Problem(method, run, data, inside, compress, options, frame, model, weighted)


def _check_starts(starts: int, start: Mixture | None, method: str) -> None:
    checks.whole("starts", starts)
    if start is not None:
        raise ValueError("starts: is of the shared list; give it or start, not both")
    if METHODS[method].draws:
        raise ValueError(f"starts: {method} has a start for each chain; give chains, not starts")


def _chosen_start(problem: _Problem, start: Mixture | None, rng: np.random.Generator) -> Start:
    if start is None:
        return shared_start(problem.data, problem.model, rng)
    if not isinstance(start, Mixture):
        raise ValueError(f"start: {start!r} is not a Mixture")
    return Start(problem.model.admit(problem.frame.mixture_inside(start)), 0)


def _fit_from_several(
    problem: _Problem,
    count: int,
    rng: np.random.Generator,
    compile_seconds: float,
    *before: Fit,
) -> Fit:
    """The best of the fits from so many starts, and those before, with what all of them took."""
    begin = time.perf_counter()
    starts = several_starts(problem.data, problem.model, rng, count)
    start_seconds = time.perf_counter() - begin + sum(end.start_seconds for end in before)
    tried = [problem.model.admit(one.mixture) for one in starts]
    ends = list(before) + [
        _fit_from(problem, Start(start, 0), rng)
        for start in tried
        if all(start.by_mean() != end.start for end in before)
    ]
    best = best_of(ends)
    kinds = dict.fromkeys(kind for end in ends for kind in end.evaluations)
    spent = {kind: sum(end.evaluations.get(kind, 0) for end in ends) for kind in kinds}
    spent |= {"start": spent["start"] + starts[0].passes, "starts": len(ends)}
    return replace(
        best,
        message=_with_higher(best, ends),
        evaluations=MappingProxyType(spent),
        seconds=sum(end.seconds for end in ends),
        start_seconds=start_seconds,
        compile_seconds=compile_seconds + sum(end.compile_seconds for end in ends),
    )


def best_of(ends: Sequence[Fit]) -> Fit:
    """The highest objective among ends that are believed, whether certified or not.

    Of those that are as high the one with the best verdict, then the first. Where none is
    believed, one with a component too many before one that is spurious, and that before the rest.
    """
    tiers = (verdicts.BELIEVED, ("component not needed",), ("spurious",), verdicts.VERDICTS)
    words = [end.verdict() for end in ends]
    tier = next(tier for tier in tiers if not set(tier).isdisjoint(words))
    height = {
        i: -np.inf if np.isnan(ends[i].objective) else ends[i].objective
        for i, word in enumerate(words)
        if word in tier
    }
    top = max(height.values())
    near = [i for i in height if height[i] >= top - verdicts.SAME - 1e-13 * abs(top)]
    return ends[max(near, key=lambda i: verdicts.VERDICTS.index(words[i]))]


def _with_higher(best: Fit, ends: Sequence[Fit]) -> str:
    """The message, and by how much another end that is not believed is higher."""
    heights = np.nan_to_num([end.objective for end in ends], nan=-np.inf)
    top = ends[int(np.argmax(heights))]
    if not top.objective > best.objective + verdicts.SAME:
        return best.message
    return (
        f"{best.message}; another of {len(ends)} starts ended {top.objective - best.objective:.3g} "
        f"nats higher, {top.verdict()}"
    )


def _fit_from(
    problem: _Problem,
    start: Start,
    rng: np.random.Generator,
    start_seconds: float = 0.0,
    compile_seconds: float = 0.0,
) -> Fit:
    """Run the method, judge what came of it, and record both."""
    data = problem.data
    exact_before = int(data.exact_passes[0]) if isinstance(data, CompressedData) else 0
    attempt = _attempted(problem, start.mixture, rng)
    try:
        evidence = None if attempt.status == "failed" else _evidence(problem, attempt)
    except GUARDED as error:
        evidence, solution = None, replace(attempt.solution, message=_said(error))
        attempt = attempt._replace(status="failed", solution=solution)
    if evidence is None:
        evidence = _Evidence.none(attempt.solution.mixture)
    extra = {"start": start.passes}
    if isinstance(attempt.used, CompressedData):  # which may have served other fits before
        exact = int(attempt.used.exact_passes[0]) - exact_before
        extra |= {"nodes": attempt.used.compressed.nodes[0].size, "exact_passes": exact}
    compiled = attempt.solution.compile_seconds
    times = _Times(attempt.seconds - compiled, start_seconds, compile_seconds + compiled)
    return _record(problem, start.mixture, attempt, evidence, extra, times)


class _Attempt(NamedTuple):
    """What came of running the method.

    used: the sample that it was given. status: None where it gave a solution of its own.
    """

    solution: Solution
    status: Status | None
    used: Sample
    seconds: float


def _attempted(problem: _Problem, start: Mixture, rng: np.random.Generator) -> _Attempt:
    data = problem.data
    begin = time.perf_counter()
    used: Sample = data
    status: Status | None = None
    try:
        with _one_thread():
            used = _compressed(problem, start)
            solution = problem.run(used, problem.model, start, rng, **problem.options)
    except Collapse as collapse:
        status = "singular"
        solution = Solution(collapse.mixture, False, collapse.said(problem.frame), 0, {})
    except GUARDED as error:
        status = "failed"
        solution = Solution(start, False, _said(error), 0, {})
    return _Attempt(solution, status, used, time.perf_counter() - begin)


def _compressed(problem: _Problem, start: Mixture) -> Data | CompressedData:
    """The data, through nodes where the fit is to go over those and cells can hold them."""
    data, model = problem.data, problem.model
    if isinstance(data, CompressedData):
        return data
    enough = problem.compress == "auto" and data.x.size >= METHODS[problem.method].compress_from
    if problem.compress is True or enough:
        near = pilot(data, model, start)
        if cells_for(near).reach(*data.ends):
            return CompressedData.of(data, near)
    return data


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


class _Evidence(NamedTuple):
    """What is known of an end beside the method's own word.

    point: a component that is on its way onto one value of the data, or None.
    """

    mixture: Mixture
    loglik: float
    certificate: Certificate | None
    covariance: Floats
    believable: bool
    point: int | None = None

    @classmethod
    def none(cls, mixture: Mixture) -> _Evidence:
        return cls(mixture, np.nan, None, np.full((3 * mixture.k, 3 * mixture.k), np.nan), False)


def _evidence(problem: _Problem, attempt: _Attempt) -> _Evidence:
    """By one more pass, over the exact sample if it can be read."""
    solution, model, exact = attempt.solution, problem.model, attempt.used.final
    if solution.draws is not None:
        loglik = _predictive_loglik(solution, attempt.used)
        return _Evidence.none(solution.mixture)._replace(
            loglik=loglik,
            believable=verdicts.believable(
                solution.mixture, model, exact, float(exact.moments(solution.mixture).loglik)
            ),
        )
    second = exact.second_moments(solution.mixture)
    loglik = float(second.loglik)
    found = _Evidence.none(solution.mixture)._replace(
        loglik=loglik,
        believable=verdicts.believable(solution.mixture, model, exact, loglik),
    )
    if METHODS[problem.method].draws:  # of a model without unknowns
        return found
    gradient, curvature = score_and_information(solution.mixture, model, second)
    if solution.prior is not None:
        gradient = gradient + solution.prior.score(solution.mixture, model)
        curvature = curvature + solution.prior.information(solution.mixture, model)
    end = judged(exact, model, solution.mixture, second, gradient, curvature)
    found = found._replace(certificate=end.certificate)
    if end.mixture is not solution.mixture:
        loglik = exact.moments(end.mixture).loglik
        believable = verdicts.believable(end.mixture, model, exact, loglik)
        found = found._replace(mixture=end.mixture, loglik=loglik, believable=believable)
    if attempt.status is None and solution.se is None and not end.certificate.certified:
        found = found._replace(point=verdicts.on_a_point(end.mixture, model, exact))
        if found.point is not None:
            return found
    if solution.se is None and (attempt.status is None or end.certificate.place == "boundary"):
        covered = _sandwich(problem, end, curvature) if problem.weighted else end.covariance
        found = found._replace(covariance=covered)
    return found


def _sandwich(problem: _Problem, end: End, curvature: Floats) -> Floats:
    """(3K, 3K): of an end with survey weights; of the model without the components of weight 0."""
    mixture, model, data = end.mixture, problem.model, problem.data
    assert isinstance(data, Data)
    squared = Data(data.x, data.counts**2)
    if mixture.weights.all():
        inverse = inverse_information(curvature)
        if inverse is None or not end.certificate.positive_definite:
            return end.covariance
        robust = sandwiched(inverse, mixture, model, squared.second_moments(mixture))
        return covariance_by(mixture, model, robust)
    left = face(mixture, model, mixture.weights == 0.0)
    second = data.second_moments(left.mixture)
    inverse = inverse_information(score_and_information(left.mixture, left.model, second)[1])
    if inverse is None:
        return end.covariance
    robust = sandwiched(inverse, left.mixture, left.model, squared.second_moments(left.mixture))
    return covariance_on(model, left, covariance_by(left.mixture, left.model, robust))


def _predictive_loglik(solution: Solution, used: Sample) -> float:
    """Of the data under the predictive density, in nats.

    Of a compressed sample the log-likelihood at the estimate, exact, and through the nodes what the
    predictive density has beside it. Where these are not certified and the sample is not in
    memory, that of the estimate alone.
    """
    posterior = solution.draws["posterior"]
    draws = np.stack([posterior[name].values for name in ("weights", "means", "sds")], axis=-2)
    density = predictive(draws, PREDICTIVE)
    estimate = solution.mixture
    if isinstance(used, CompressedData) and not used.certified(estimate):
        used = used.final
    if isinstance(used, Data):
        return _loglik(density, used.x, used.counts)
    if not isinstance(used, CompressedData):
        return float(used.moments(estimate).loglik)
    nodes = used.compressed.nodes
    gained = _loglik(density, *nodes) - _loglik(estimate, *nodes)
    return float(used.final.moments(estimate).loglik) + gained


def _loglik(density: Mixture, x: Floats, counts: Floats, block: int = 2_000) -> float:
    """Of x (m,) with counts (m,), a block at a time, so that not all components are held of all."""
    ends = range(0, x.size, block)
    parts = (counts[i : i + block] @ density.log_density(x[i : i + block]) for i in ends)
    return float(sum(parts))


def compress(
    chunks: Iterable[ArrayLike],
    model: MixtureModel | None = None,
    *,
    cells: Cells | None = None,
) -> CompressedData:
    """A sample that comes in chunks, as weighted nodes that fit() takes for x.

    Returns a CompressedData. Memory is bounded by START_SIZE distinct values, a chunk and the
    nodes.

    chunks: arrays of observations, of any lengths, gone through once. If they can be gone through
        again (a list, or an object whose __iter__ begins anew, but not a generator), fit() comes
        back to them where the nodes are not certified and at the end.
    model: whose estimate from the stream the cells are fit for; default MixtureModel(). The stream
        may come in any order, sorted too, as long as no component that comes late has an sd below
        a hundredth of what is estimated from the first START_SIZE distinct values.
    cells: those of another compressed sample, `.compressed.cells`, to which this one is to be
        added by `merged`; default fit for the model.

    Raises ValueError for values that are not finite, or no observations.
    """
    model = MixtureModel() if model is None else model
    again = None if iter(chunks) is chunks else (chunks,)
    checked = (checks.vector(f"chunks[{i}]", chunk) for i, chunk in enumerate(chunks))
    if cells is not None:
        inside = map(cells.frame.inside, checked)
        return CompressedData.streamed(Compressed.stream(inside, cells=cells), again)
    x, counts = _beginning(checked)
    data = as_data(x, counts, model)
    # A moderate offset does no harm to cells, and leaves them in data units.
    frame = Frame.of(*data.ends, beyond=2.0**20)
    model, data = frame.model_inside(model), Data(frame.inside(data.x), data.counts)
    fine = _cells_of(data, model, frame).fine
    found = Compressed.of(data.x, data.counts, cells=fine)
    for chunk in checked:
        found = found.grown(frame.inside(chunk), MOST_CELLS)
    final = _cells_of(StreamedData(found, None).rows, model, frame)
    return CompressedData.streamed(found.certified_in(final, TOLERANCE), again)


def _beginning(chunks: Iterator[Floats]) -> tuple[Floats, Floats]:
    """The distinct values, START_SIZE or more if there are, of the first chunks; their counts."""
    x, counts = np.zeros(0), np.zeros(0)
    while x.size < START_SIZE and (chunk := next(chunks, None)) is not None:
        x, into = np.unique(np.concatenate([x, chunk]), return_inverse=True)
        counts = np.bincount(into, np.concatenate([counts, np.ones(chunk.size)]), x.size)
    return x, counts


def _cells_of(data: Data, model: MixtureModel, frame: Frame) -> Cells:
    """Cells that are fit for the model's estimate from the data."""
    start = shared_start(data, model, np.random.default_rng(0)).mixture
    return cells_for(pilot(data, model, start, START_SIZE), frame)


def warm_up(engine: Engine = "numeric") -> float:
    """Load from disk, or compile, what fits call; the seconds it took, 0.0 from the second on.

    By fits of eighteen numbers. The densities of PyMC's methods are not among it: they are
    compiled, and timed, where they are needed.
    """
    before = _warm.cache_info().misses
    begin = time.perf_counter()
    _warm(engine)
    return time.perf_counter() - begin if _warm.cache_info().misses > before else 0.0


@cache
def _warm(engine: Engine) -> None:
    _fill_cache()
    compile_passes()
    model, rng = MixtureModel(), np.random.default_rng(0)
    side = np.linspace(1.0, 3.0, 9)
    data = as_data(np.concatenate([-side, side]), None, model)
    start = shared_start(data, model, rng).mixture
    with _one_thread():
        samples: list[Sample] = [data, CompressedData.of(data, pilot(data, model, start))]
        for sample in samples:
            score_and_information(start, model, sample.second_moments(start))
            for name in ("em", "em-squarem", "newton") if engine == "numeric" else ():
                METHODS[name].run(sample, model, start, rng)


@cache
def _fill_cache() -> None:
    """Have all that `compile_all` compiles in Numba's cache, before any of it is called."""
    if not compiling() and not _whole().exists():
        compile_elsewhere("from models.methods import compile_all; compile_all()")


def _whole() -> Path:
    """The mark of a cache that holds all that `compile_all` compiles: its name tells of what."""
    parts = (Path(kernels.__file__).read_bytes(), version("numba"), get_host_cpu_name())
    told = sha256(repr((*parts, os.environ.get("NUMBA_CPU_NAME"))).encode()).hexdigest()[:12]
    return Path(str(kernels.all_finite.stats.cache_path)) / f"kernels-{told}.whole"


def compile_all() -> None:
    """Compile every function of kernels.py that fits and relabelling call, into Numba's cache."""
    from models import labels

    rng = np.random.default_rng(0)
    x, draws = rng.normal(size=60), np.tile([[0.5, 0.5], [-1.0, 1.0], [1.0, 1.0]], (2, 20, 1, 1))
    draws += 0.01 * rng.random(draws.shape)
    draws[..., 0, :] /= draws[..., 0, :].sum(axis=-1, keepdims=True)
    _warm("numeric")
    kernels.pass_entry()
    kernels.expand_function()
    labels.relabel_by_all(draws, x)
    labels.judge(draws, x)
    for options in ({}, {"penalty": "chen"}, {"counts": np.arange(1.0, 61.0)}):
        for method in ("em", "em-squarem", "newton"):
            fit(method, x, **options)
    with suppress(OSError):
        _whole().touch()


def load_engine(engine: Engine) -> float:
    """Import what the engine needs now; the seconds it took, 0.0 when it is there."""
    if engine == "numeric" or "models.posterior.density" in sys.modules:
        return 0.0
    begin = time.perf_counter()
    _fill_cache()
    for module in ("models.posterior.density", "nutpie", "xarray"):
        importlib.import_module(module)
    return time.perf_counter() - begin


@cache
def _blas() -> list[LibController]:
    found: list[LibController] = ThreadpoolController().select(user_api="blas").lib_controllers
    return found


@contextmanager
def _one_thread() -> Iterator[None]:
    # BLAS on vectors of five numbers loses tenths of a second a fit to threads that wait.
    # threadpoolctl's own context takes a third of a millisecond, as long as a small fit.
    many = [(library, n) for library in _blas() if (n := library.get_num_threads()) != 1]
    for library, _ in many:
        library.set_num_threads(1)
    try:
        yield
    finally:
        for library, n in many:
            library.set_num_threads(n)


class _Times(NamedTuple):
    seconds: float
    start_seconds: float
    compile_seconds: float


def _record(
    problem: _Problem,
    start: Mixture,
    attempt: _Attempt,
    evidence: _Evidence,
    extra: Mapping[str, int],
    times: _Times,
) -> Fit:
    """The Fit, out of the frame, its components in order of mean."""
    solution, status, used, _ = attempt
    within, loglik, certificate, covered, believable, point = evidence
    frame, model, message = problem.frame, problem.model, solution.message
    if point is not None:
        status = "singular"
        at, sd = frame.outside(within.means[point]), frame.widths(within.sds[point])
        message = f"component at {at:.6g} collapses onto one value, sd {sd:.3g}; {message}"
    boundary, good, no_errors = None, solution.converged, False
    if certificate is not None:
        good = (good and not certificate.nowhere) or certificate.certified
        no_errors = certificate.place == "boundary"
        status = None if no_errors else status
        if no_errors and not problem.weighted:
            boundary = Boundary(used.final, model, within)
    log_prior = units = 0.0
    if solution.prior is not None:
        log_prior = solution.prior.log_density(within, model)
        units = solution.prior.units(model)
    se = frame.errors_outside(errors(covered) if solution.se is None else solution.se)
    loglik -= problem.data.n * frame.log_scale
    objective = loglik + log_prior - units * frame.log_scale
    mixture, trace = frame.mixture_outside(within), solution.trace
    if status is None:
        finite = mixture.finite and np.isfinite(objective)
        finite = finite and (no_errors or bool(np.isfinite(se).all()))
        status = "ok" if good and finite else "not-converged"
        if good and not finite:
            message = f"{message}; but likelihood, estimates or standard errors are not finite"
    if not mixture.finite:
        status = "failed"
    order = mixture.order()
    places = (np.arange(3)[:, None] * model.k + order).ravel()
    if trace is not None:
        trace = replace(
            trace,
            loglik=trace.loglik - problem.data.n * frame.log_scale,
            parameters=frame.rows_outside(trace.parameters)[:, :, order],
        )
    return Fit(
        method=problem.method,
        model=problem.given.permuted(order),
        n=float(round(problem.data.n)) if problem.weighted else problem.data.n,
        mixture=None if status == "failed" else mixture.by_mean(),
        loglik=loglik,
        objective=float(objective),
        status=status,
        message=message,
        converged=solution.converged,
        certificate=certificate,
        n_iter=solution.n_iter,
        evaluations=MappingProxyType({**solution.evaluations, **extra}),
        seconds=times.seconds,
        start_seconds=times.start_seconds,
        compile_seconds=times.compile_seconds,
        se=ParameterArray.of(se[:, order]),
        covariance=frame.covariance_outside(covered)[places[:, None], places],
        start=frame.mixture_outside(start).by_mean(),
        diagnostics=MappingProxyType(solution.diagnostics),
        exchangeable=model.exchangeable and solution.exchangeable,
        believable=believable and status != "failed",
        boundary=None if boundary is None else boundary.permuted(order),
        convention=solution.convention,
        trace=trace,
        draws=frame.draws_outside(solution.draws),
        permutations=None if solution.permutations is None else solution.permutations[..., order],
    )
