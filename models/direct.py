"""scipy.optimize on the observed log-likelihood, in unconstrained, unit-free coordinates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.optimize import minimize

from models.likelihood import Moments, information, score
from models.mixture import Floats, Mixture
from models.model import MixtureModel
from models.priors import Penalty, Prior
from models.sample import UNGUARDED, Sample, Uncertified, unit_free
from models.solution import Solution, Trace


class Objective:
    """Minus the mean log-likelihood as scipy wants it: value, gradient, Hessian, and counts.

    With a penalty, of the penalised log-likelihood over n. Coordinates are theta of `unit_free`.
     Where an sd is below the data's floor, or a streamed sample's nodes are
    not certified, the value is inf: a line search may look there and come back, so only an end
    near the floor is a collapse. guard: of that floor, next to nothing with a penalty.
    """

    def __init__(self, data: Sample, model: MixtureModel, penalty: Penalty | None = None) -> None:
        self.data, self.model = data, model
        self.penalty = None if penalty is None else Prior.penalised(data, penalty)
        self.guard = 1.0 if penalty is None else UNGUARDED
        self.shift, self.scale = unit_free(data, model)
        self.evaluations = {"moments": 0, "second_moments": 0}

    def theta(self, mixture: Mixture) -> Floats:
        """(p,): the unit-free coordinates of a mixture."""
        return (self.model.pack(mixture) - self.shift) / self.scale

    def mixture(self, theta: Floats) -> Mixture:
        """The mixture at theta, components in the model's order."""
        return self.model.unpack(self.shift + self.scale * theta)

    def bounds(self) -> list[tuple[float, float]]:
        """By coordinate: the log sds stay just above the floor, the others are free."""
        lowest = np.log(1.5 * self.guard * self.data.sd_floor / self.data.sd)
        n_sds = self.model.n_free_sds
        free = self.model.n_free - n_sds
        return [(-np.inf, np.inf)] * free + [(lowest, np.inf)] * n_sds

    def value(self, theta: Floats) -> float:
        """Minus the log-likelihood of an observation, on average; inf where it is not to be had."""
        mixture = self.mixture(theta)
        sums = self._moments(mixture)
        return np.inf if sums is None else -(sums.loglik + self.log_penalty(mixture)) / self.data.n

    def log_penalty(self, mixture: Mixture) -> float:
        """The penalty's log density, 0 if there is none."""
        return 0.0 if self.penalty is None else self.penalty.log_density(mixture, self.model)

    def value_and_gradient(self, theta: Floats) -> tuple[float, Floats]:
        """The value and its gradient (p,) from one pass."""
        mixture = self.mixture(theta)
        sums = self._moments(mixture)
        if sums is None:
            return np.inf, np.zeros(self.model.n_free)
        gradient = self.model.selection.T @ score(mixture, sums.t)
        if self.penalty is not None:
            gradient += self.penalty.score(mixture, self.model)
        value = sums.loglik + self.log_penalty(mixture)
        return -value / self.data.n, -self.scale * gradient / self.data.n

    def _moments(self, mixture: Mixture) -> Moments | None:
        if not mixture.finite or self.data.collapsed(mixture, self.model, self.guard):
            return None
        self.evaluations["moments"] += 1
        try:
            return self.data.moments(mixture)
        except Uncertified:
            return None

    def hessian(self, theta: Floats) -> Floats:
        """(p, p): the Hessian of the value."""
        mixture = self.mixture(theta)
        self.evaluations["second_moments"] += 1
        observed = information(mixture, self.data.second_moments(mixture))
        if not np.all(np.isfinite(observed)):
            raise FloatingPointError("the observed information is not finite")
        s = self.model.selection
        curvature = s.T @ observed @ s
        if self.penalty is not None:
            curvature += self.penalty.information(mixture, self.model)
        return np.outer(self.scale, self.scale) * curvature / self.data.n


class RatioBounded(Objective):
    """The same where smallest sd / largest sd >= ratio (Hathaway 1985), which makes it bounded.

    In coordinates where that is a box: the K >= 2 log sds of theta, its last entries, are
    tau + u_k, each u_k in [0, -log ratio], and stand as (tau, u_1, ..., u_K). tau is one number
    too many, which does no harm: the gradient has no part along what leaves tau + u_k as it is.
    """

    def __init__(
        self, data: Sample, model: MixtureModel, penalty: Penalty | None, ratio: float
    ) -> None:
        super().__init__(data, model, penalty)
        self.ratio, self.width = ratio, -float(np.log(ratio))

    def theta(self, mixture: Mixture) -> Floats:
        """(p + 1,): the coordinates; log sds too far apart come nearer, about their mid-range."""
        theta = super().theta(mixture)
        rest, log_sds = np.split(theta, [-self.model.n_free_sds])
        tau = 0.5 * (log_sds.min() + log_sds.max() - self.width)
        return np.concatenate([rest, [tau], np.clip(log_sds - tau, 0.0, self.width)])

    def mixture(self, theta: Floats) -> Mixture:
        """The mixture at coordinates (p + 1,)."""
        rest, tau, heights = np.split(theta, [-self.model.n_free_sds - 1, -self.model.n_free_sds])
        return super().mixture(np.concatenate([rest, tau + heights]))

    def bounds(self) -> list[tuple[float, float]]:
        """By coordinate."""
        k = self.model.n_free_sds
        return [*super().bounds()[: 1 - k], *[(0.0, self.width)] * k]

    def value_and_gradient(self, theta: Floats) -> tuple[float, Floats]:
        """The value and its gradient (p + 1,) from one pass."""
        value, gradient = super().value_and_gradient(theta)
        rest, by_sds = np.split(gradient, [-self.model.n_free_sds])
        return value, np.concatenate([rest, [by_sds.sum()], by_sds])

    def judged(self, solution: Solution) -> Solution:
        """The solution; where the bound is active not converged, and without standard errors.

        A maximum that a bound holds is no stationary point of the likelihood: no certificate
        can be had, and the usual standard errors do not apply. The message has its multiplier.
        """
        if np.ptp(np.log(solution.mixture.sds)) < self.width - 1e-9:
            return solution
        _, gradient = self.value_and_gradient(self.theta(solution.mixture))
        apart = self.data.n * np.maximum(-gradient[-self.model.n_free_sds :], 0.0).sum()
        return replace(
            solution,
            converged=False,
            message=f"the bound sd_ratio = {self.ratio:g} is active: the objective would rise by "
            f"{apart:.3g} nats a unit of its log; {solution.message}",
            se=np.full((3, self.model.k), np.nan),
        )


def _run(
    objective: Objective, start: Mixture, *, trace: bool, derivatives: int, **settings: Any
) -> Solution:
    data, model, penalty = objective.data, objective.model, objective.penalty
    path = [(objective.theta(start), 1)]
    if model.n_free == 0:
        return Solution(start, True, "nothing to estimate", 0, objective.evaluations)

    def visit(theta: Floats) -> None:
        path.append((np.array(theta), sum(objective.evaluations.values())))

    result = minimize(
        objective.value_and_gradient if derivatives else objective.value,
        path[0][0],
        jac=derivatives > 0,
        hess=objective.hessian if derivatives == 2 else None,
        callback=visit if trace else None,
        bounds=objective.bounds() if settings["method"] == "L-BFGS-B" else None,
        **settings,
    )
    end = data.check(objective.mixture(result.x), model, times=2.0 * objective.guard)
    score, information = (None, None) if penalty is None else penalty.derivatives(end, model, data)
    evaluations = dict(objective.evaluations)
    message = result.message.decode() if isinstance(result.message, bytes) else result.message
    return Solution(
        end,
        bool(result.success),
        str(message),
        int(result.nit),
        evaluations,
        _trace(objective, path) if trace else None,
        objective_score=score,
        objective_information=information,
        log_prior=objective.log_penalty(end),
    )


def _trace(objective: Objective, path: list[tuple[Floats, int]]) -> Trace:
    points, passes = zip(*path, strict=True)
    mixtures = [objective.mixture(theta) for theta in points]
    values = [-objective.value(theta) * objective.data.n for theta in points]
    penalties = [objective.log_penalty(mixture) for mixture in mixtures]
    logliks = [value - penalty for value, penalty in zip(values, penalties, strict=True)]
    return Trace.of(logliks, mixtures, passes)


def lbfgs(
    data: Sample,
    model: MixtureModel,
    start: Mixture,
    rng: np.random.Generator,
    *,
    trace: bool = False,
    gtol: float = 1e-9,
    max_iter: int = 1000,
    penalty: Penalty | None = None,
    sd_ratio: float | None = None,
) -> Solution:
    """L-BFGS-B with the closed-form score; gtol bounds the gradient of the mean log-likelihood.

    penalty: as of `em`. sd_ratio: the maximum under smallest sd / largest sd >= sd_ratio, in
    (0, 1], of which sds that are known or equal have no need; `RatioBounded.judged` says what is
    reported where that bound is active.
    """
    if sd_ratio is not None and not 0.0 < sd_ratio <= 1.0:
        raise ValueError(f"sd_ratio: {sd_ratio!r} is not a ratio; give one above 0 and at most 1")
    options = {"gtol": gtol, "ftol": 0.0, "maxiter": max_iter, "maxfun": 10 * max_iter}
    run: dict[str, Any] = {
        "trace": trace,
        "derivatives": 1,
        "method": "L-BFGS-B",
        "options": options,
    }
    if sd_ratio is None or model.n_free_sds < 2:
        return _run(Objective(data, model, penalty), start, **run)
    bounded = RatioBounded(data, model, penalty, sd_ratio)
    return bounded.judged(_run(bounded, start, **run))


def newton(
    data: Sample,
    model: MixtureModel,
    start: Mixture,
    rng: np.random.Generator,
    *,
    trace: bool = False,
    gtol: float = 1e-9,
    max_iter: int = 500,
    penalty: Penalty | None = None,
) -> Solution:
    """Trust-region Newton (nearly exact subproblem) with the closed-form score and Hessian.

    penalty: as of `em`.
    """
    options = {"gtol": gtol, "maxiter": max_iter}
    objective = Objective(data, model, penalty)
    return _run(objective, start, trace=trace, derivatives=2, method="trust-exact", options=options)


def nelder_mead(
    data: Sample,
    model: MixtureModel,
    start: Mixture,
    rng: np.random.Generator,
    *,
    trace: bool = False,
    xatol: float = 1e-8,
    fatol: float = 1e-13,
    max_iter: int = 10_000,
    penalty: Penalty | None = None,
) -> Solution:
    """The simplex method, without derivatives. penalty: as of `em`."""
    options = {"xatol": xatol, "fatol": fatol, "maxiter": max_iter, "maxfev": max_iter}
    objective = Objective(data, model, penalty)
    return _run(objective, start, trace=trace, derivatives=0, method="Nelder-Mead", options=options)
