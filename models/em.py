"""EM by hand: the E step, the M step, the loop; and SQUAREM, which accelerates any such map.

The EM map is a pure function from a Mixture to a Mixture. It monotonically raises the
log-likelihood, or what is left of it after a penalty; without one, and with all parameters free,
it keeps the data's first two moments at every step.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from models import checks, kernels
from models.likelihood import Moments
from models.mixture import Floats, Mixture
from models.model import MixtureModel
from models.priors import Flat, LogInverseGamma, Penalty, Prior
from models.sample import UNGUARDED, Sample, Uncertified, unit_free
from models.solution import Solution, Trace


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
    shape, scale = _pull(penalty)
    rows = mixture.as_rows()
    return Mixture.of_rows(
        kernels.maximise(rows, expected.t, model.free, model.equal_sds, shape, scale)
    )


def _pull(penalty: LogInverseGamma | None) -> tuple[float, float]:
    return (0.0, 0.0) if penalty is None else (penalty.shape, penalty.scale)


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
    tol, max_iter = checks.number("tol", tol), checks.whole("max_iter", max_iter)
    least = -np.inf if min_gain is None else checks.number("min_gain", min_gain)
    pull = None if penalty is None else LogInverseGamma.penalty(data, penalty)
    rules = _rules(data, model, pull)
    rest = rules, start.as_rows(), tol, least, max_iter, _room(trace, 3 * model.k)
    sample = data.in_memory
    found = kernels.em_loop(_read(data), *rest) if sample is None else kernels.em(sample, *rest)
    rows, moved, gain, iterations, passes, path = found
    mixture = data.check(Mixture.of_rows(rows), model, _guard(pull))
    enough = gain < least
    return Solution(
        mixture,
        moved <= tol or enough,
        f"the log-likelihood rose by {gain:.2g} nats in the last step"
        if enough
        else f"parameters moved by {moved:.2g} in the last step",
        iterations,
        {"moments": passes},
        _trace(path, mixture, data, passes) if trace else None,
        prior=None if pull is None else Prior(Flat(), Flat(), pull),
    )


def em_steps(
    data: Sample, model: MixtureModel, start: Mixture, steps: int
) -> tuple[Mixture, Mixture, int]:
    """Where so many steps of EM lead, the mixture before that, and how many passes they took.

    Fewer where a component collapses on the way: `Sample.collapsed` tells of the end.
    """
    rules, path = _rules(data, model, None), _room(True, 3 * model.k)
    rest = rules, start.as_rows(), -1.0, -np.inf, steps, path
    sample = data.in_memory
    found = kernels.em_loop(_read(data), *rest) if sample is None else kernels.em(sample, *rest)
    rows, _, _, _, passes, path = found
    before = path[-1, 2:].reshape(3, -1).copy()
    return Mixture.of_rows(rows), Mixture.of_rows(before), passes


def _guard(penalty: LogInverseGamma | None) -> float:
    """How much of the data's floor an sd is a collapse at."""
    return 1.0 if penalty is None else UNGUARDED


def _rules(data: Sample, model: MixtureModel, penalty: LogInverseGamma | None) -> kernels.Rules:
    floor = _guard(penalty) * data.sd_floor if model.n_free_sds else 0.0
    return kernels.Rules(model.free, model.equal_sds, *_pull(penalty), floor)


def _room(trace: bool, size: int) -> Floats:
    """For the path of a loop, which makes more when it needs it; none where there is no trace."""
    return np.empty((64 if trace else 0, 2 + size))


def _read(data: Sample) -> Callable[[Floats], tuple[float, Floats]]:
    """The E step at rows (3, K) of a sample that only Python can read."""

    def moments(rows: Floats) -> tuple[float, Floats]:
        expected = e_step(Mixture.of_rows(rows), data)
        return expected.loglik, expected.t

    return moments


def _log_penalty(penalty: LogInverseGamma | None, mixture: Mixture, model: MixtureModel) -> float:
    """But for a constant."""
    return kernels.log_penalty(mixture.sds, model.free, model.equal_sds, *_pull(penalty))


def squarem(
    step: Callable[[Floats], tuple[float, Floats]],
    theta: Floats,
    *,
    tol: float,
    max_iter: int,
) -> tuple[Floats, int, float]:
    """SqS3 of Varadhan and Roland (2008) around any fixed-point map: (theta, cycles, last step).

    step(theta) gives the objective at theta (to be maximised; -inf where theta is not allowed)
    and the next theta. A cycle takes two steps, extrapolates through them by alpha = |r|/|v|,
    clipped to [1, stepmax], and steps once more from there. Where the objective is then worse it
    falls back to the second step and shrinks stepmax by 4; stepmax grows by 4 when it is hit.
    Ends when no entry moves by more than tol in a cycle's first step. The last step is inf where
    a cycle starts where theta is not allowed.
    """
    room = _room(False, theta.size)
    end, cycles, moved, _, _ = kernels.squarem(step, theta, tol, max_iter, room)
    return end, cycles, float(moved)


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
    tol, max_iter = checks.number("tol", tol), checks.whole("max_iter", max_iter)
    pull = None if penalty is None else LogInverseGamma.penalty(data, penalty)
    rules = _rules(data, model, pull)
    shift, scale = unit_free(data, model)
    coordinates = kernels.Coordinates(model.selection, model.known, shift, scale)
    theta = (model.pack(start) - shift) / scale
    rest = theta, tol, max_iter, _room(trace, theta.size)
    sample = data.in_memory
    if sample is None:
        found = kernels.squarem(_map_of(data, rules, coordinates), *rest)
    else:
        found = kernels.em_squarem(kernels.Problem(sample, rules, coordinates), *rest)
    theta, cycles, moved, passes, path = found
    mixture = data.check(model.unpack(shift + scale * theta), model, _guard(pull))
    if moved == np.inf:
        e_step(mixture, data)  # which says why the sample cannot be read there
    return Solution(
        mixture,
        moved <= tol,
        f"an EM step moved the parameters by {moved:.2g}",
        cycles,
        {"moments": passes},
        _trace(_unpacked(path, pull, model, shift, scale), mixture, data, passes)
        if trace
        else None,
        prior=None if pull is None else Prior(Flat(), Flat(), pull),
    )


def _map_of(
    data: Sample, rules: kernels.Rules, coordinates: kernels.Coordinates
) -> Callable[[Floats], tuple[float, Floats]]:
    """The EM map of a sample that only Python can read; -inf where it cannot be read."""
    read = _read(data)

    def step(theta: Floats) -> tuple[float, Floats]:
        try:
            found: tuple[float, Floats] = kernels.em_map(read, rules, coordinates, theta)
        except Uncertified:
            return -np.inf, theta
        return found

    return step


def _unpacked(
    path: Floats, pull: LogInverseGamma | None, model: MixtureModel, shift: Floats, scale: Floats
) -> Floats:
    """The path of `em`, from that of objectives and thetas."""
    mixtures = [model.unpack(shift + scale * theta) for theta in path[:, 2:]]
    logliks = [
        value - _log_penalty(pull, mixture, model)
        for value, mixture in zip(path[:, 0], mixtures, strict=True)
    ]
    rows = np.reshape([mixture.as_rows() for mixture in mixtures], (-1, 3 * model.k))
    return np.column_stack([logliks, path[:, 1], rows])


def _trace(path: Floats, end: Mixture, data: Sample, passes: int) -> Trace:
    """Of a path (m, 2 + 3K): log-likelihood, passes and parameters at each iteration; its end."""
    last = np.concatenate([[e_step(end, data).loglik, passes + 1], end.as_rows().ravel()])
    whole = np.vstack([path, last])
    return Trace(whole[:, 0], whole[:, 2:].reshape(-1, 3, end.k), whole[:, 1].astype(np.int64))
