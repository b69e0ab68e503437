"""EM by hand: the E step, the M step, the loop; and SQUAREM, which accelerates any such map.

The EM map is a pure function from a Mixture to a Mixture. It monotonically raises the
log-likelihood, or what is left of it after a penalty; without one, and with all parameters free,
it keeps the data's first two moments at every step.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from models import kernels
from models.likelihood import Moments
from models.mixture import Floats, Mixture
from models.model import MixtureModel
from models.priors import Flat, LogInverseGamma, Penalty, Prior
from models.sample import UNGUARDED, Data, Sample, Uncertified, unit_free
from models.solution import Solution, Trace

# A method's way: log-likelihood, mixture, and passes until it was known.
type Way = list[tuple[float, Mixture, int]]


def e_step(mixture: Mixture, data: Sample) -> Moments:
    """Log-likelihood at the mixture and the responsibility moments N, sum t z, sum t z^2."""
    return data.moments(mixture)


def m_step(
    mixture: Mixture,
    expected: Moments,
    model: MixtureModel,
    penalty: LogInverseGamma | None = None,
) -> Mixture:
    """The maximiser of the expected complete-data log-likelihood over the model's free parameters.

    `expected` was taken at `mixture`: its moments are about those means, in units of those sds,
    which keeps the update of the sds free of cancellation. Dempster, Laird and Rubin (1977),
    section 4.3. A component without any responsibility keeps its mean and sd.

    With a penalty, of that function plus its log density. To a component it is worth 2 shape more
    observations whose squares sum to 2 scale: sd_k^2 = (SS_k + 2 a s^2)/(N_k + 2 a) for that of
    Chen, Tan and Zhang (2008). A common sd gets them once.
    """
    settings = _settings(model, penalty)
    return Mixture.of_rows(kernels.maximise(mixture.means, mixture.sds, expected.t, *settings))


def _settings(
    model: MixtureModel, penalty: LogInverseGamma | None
) -> tuple[bool, bool, bool, float, float]:
    shape, scale = (0.0, 0.0) if penalty is None else (penalty.shape, penalty.scale)
    return model.means is None, model.sds is None, model.equal_sds, shape, scale


def step_length(before: Mixture, after: Mixture) -> float:
    """Largest move of a parameter: weights as they are, means and log sds in units of the sd."""
    return kernels.largest_move(
        before.weights, before.means, before.sds, after.weights, after.means, after.sds
    )


def em(
    data: Sample,
    model: MixtureModel,
    start: Mixture,
    rng: np.random.Generator,
    *,
    trace: bool = False,
    tol: float = 1e-9,
    min_gain: float | None = None,
    max_iter: int = 10_000,
    penalty: Penalty | None = None,
) -> Solution:
    """Repeat E and M steps until no parameter moves by more than tol (`step_length`).

    The stop is on the parameters: EM's steps shrink by a factor r, so the distance left is the
    last step times r/(1 - r), while a stop on the log-likelihood ends much too early. min_gain
    asks for that other stop, which most packages have: at the first iterate whose log-likelihood
    is less than min_gain nats above the one before. penalty: a_n of `LogInverseGamma.penalty`, or
    "chen", which is 1/n; the log-likelihood is then the penalised one, but for the trace. Raises
    Collapse when a component falls onto a point, which the penalty does not let happen.
    """
    least = -np.inf if min_gain is None else min_gain
    pull = None if penalty is None else LogInverseGamma.penalty(data, penalty)
    guard = 1.0 if pull is None else UNGUARDED
    path: Way = []
    if trace or type(data) is not Data:
        mixture, moved, gain, previous = start, np.inf, np.inf, -np.inf
        iterations = passes = 0
        while moved > tol and iterations < max_iter:
            expected = e_step(mixture, data)
            passes += 1
            value = expected.loglik + _log_penalty(pull, mixture, model)
            gain, previous = value - previous, value
            if gain < least:
                break
            path.append((expected.loglik, mixture, passes))
            before = mixture
            mixture = data.check(m_step(mixture, expected, model, pull), model, guard)
            moved = step_length(before, mixture)
            iterations += 1
    else:
        settings = _settings(model, pull)
        floor = guard * data.sd_floor if model.sds is None else 0.0
        rows, moved, gain, iterations, passes = kernels.em_loop(
            start.as_rows(), data.x, data.counts, *settings, floor, tol, least, max_iter
        )
        mixture = data.check(Mixture.of_rows(rows), model, guard)
    enough = gain < least
    score, information = _derivatives(pull, mixture, model, data)
    return Solution(
        mixture,
        moved <= tol or enough,
        f"the log-likelihood rose by {gain:.2g} nats in the last step"
        if enough
        else f"parameters moved by {moved:.2g} in the last step",
        iterations,
        {"moments": passes},
        _trace(path, mixture, data, passes) if trace else None,
        objective_score=score,
        objective_information=information,
        log_prior=_log_penalty(pull, mixture, model),
    )


def _log_penalty(penalty: LogInverseGamma | None, mixture: Mixture, model: MixtureModel) -> float:
    """But for a constant; as the compiled loop has it, to the bit."""
    if penalty is None:
        return 0.0
    sds = mixture.sds[: model.n_free_sds]
    return float(kernels.log_inverse_gamma(sds, penalty.shape, penalty.scale).sum())


def _derivatives(
    penalty: LogInverseGamma | None, mixture: Mixture, model: MixtureModel, data: Sample
) -> tuple[Floats, Floats] | tuple[None, None]:
    if penalty is None:
        return None, None
    return Prior(Flat(), Flat(), penalty).derivatives(mixture, model, data)


def squarem(
    step: Callable[[Floats], tuple[float, Floats]],
    theta: Floats,
    *,
    tol: float,
    max_iter: int,
    on_cycle: Callable[[Floats, float], None] = lambda theta, value: None,
) -> tuple[Floats, int, float]:
    """SqS3 of Varadhan and Roland (2008) around any fixed-point map: (theta, cycles, last step).

    step(theta) gives the objective at theta (to be maximised; -inf where theta is not allowed)
    and the next theta. A cycle takes two steps, extrapolates through them by alpha = |r|/|v|,
    clipped to [1, stepmax], and steps once more from there. Where the objective is then worse it
    falls back to the second step and shrinks stepmax by 4; stepmax grows by 4 when it is hit.
    Ends when no entry moves by more than tol in a cycle's first step.
    """
    stepmax = 4.0
    value, first = step(theta)
    cycle = 0
    for cycle in range(1, max_iter + 1):
        on_cycle(theta, value)
        r = first - theta
        moved = float(np.abs(r).max(initial=0.0))
        if moved <= tol:
            return first, cycle, moved
        _, second = step(first)
        v = second - first - r
        norm_v = float(np.linalg.norm(v))
        alpha = min(max(float(np.linalg.norm(r)) / max(norm_v, 1e-300), 1.0), stepmax)
        reached, leap = step(theta + 2.0 * alpha * r + alpha * alpha * v)
        ahead, after_leap = step(leap) if np.isfinite(reached) else (-np.inf, leap)
        if ahead >= value:
            theta, value, first = leap, ahead, after_leap
            stepmax *= 4.0 if alpha == stepmax else 1.0
        else:
            theta = second
            value, first = step(second)
            stepmax = max(stepmax / 4.0, 1.0)
    return theta, cycle, moved


def em_squarem(
    data: Sample,
    model: MixtureModel,
    start: Mixture,
    rng: np.random.Generator,
    *,
    trace: bool = False,
    tol: float = 1e-9,
    max_iter: int = 10_000,
    penalty: Penalty | None = None,
) -> Solution:
    """The EM map accelerated by SQUAREM, in unconstrained coordinates free of the data's units.

    tol bounds the largest entry of an EM step in those coordinates; max_iter counts cycles of
    three EM maps. penalty: as of `em`.
    """
    pull = None if penalty is None else LogInverseGamma.penalty(data, penalty)
    guard = 1.0 if pull is None else UNGUARDED
    shift, scale = unit_free(data, model)
    lowest = 0.5 * guard * data.sd_floor
    passes = 0
    path: Way = []

    def mixture_at(theta: Floats) -> Mixture:
        return model.unpack(shift + scale * theta)

    def step(theta: Floats) -> tuple[float, Floats]:
        nonlocal passes
        mixture = mixture_at(theta)
        if not mixture.finite or data.collapsed(mixture, model, guard):
            return -np.inf, theta
        passes += 1
        try:
            expected = e_step(mixture, data)
        except Uncertified:
            return -np.inf, theta
        after = m_step(mixture, expected, model, pull)
        if after.sds.min() < lowest:
            # A collapsed sd is kept above zero, so that theta is finite; the next step refuses it.
            after = Mixture.trusted(after.weights, after.means, np.maximum(after.sds, lowest))
        value = expected.loglik + _log_penalty(pull, mixture, model)
        return value, (model.pack(after) - shift) / scale

    def on_cycle(theta: Floats, value: float) -> None:
        mixture = data.check(mixture_at(theta), model, guard)
        if trace:
            path.append((value - _log_penalty(pull, mixture, model), mixture, passes))

    theta = (model.pack(start) - shift) / scale
    theta, cycles, moved = squarem(step, theta, tol=tol, max_iter=max_iter, on_cycle=on_cycle)
    mixture = data.check(mixture_at(theta), model, guard)
    score, information = _derivatives(pull, mixture, model, data)
    return Solution(
        mixture,
        moved <= tol,
        f"an EM step moved the parameters by {moved:.2g}",
        cycles,
        {"moments": passes},
        _trace(path, mixture, data, passes) if trace else None,
        objective_score=score,
        objective_information=information,
        log_prior=_log_penalty(pull, mixture, model),
    )


def _trace(path: Way, end: Mixture, data: Sample, passes: int) -> Trace:
    logliks, mixtures, counts = zip(*path, (e_step(end, data).loglik, end, passes + 1), strict=True)
    return Trace.of(logliks, mixtures, counts)
