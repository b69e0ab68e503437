"""scipy.optimize on the observed log-likelihood, in unconstrained, unit-free coordinates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize

from models import checks
from models.inference.newton import labelled_information, newton_step
from models.likelihood import Moments, score, score_and_information
from models.mixture import Floats, Mixture
from models.model import MixtureModel
from models.priors import Penalty, Prior
from models.sample import UNGUARDED, Sample, Uncertified, unit_free
from models.solution import Solution, Trace

EPS = float(np.finfo(float).eps)

# Newton decrement, in standard errors, at which Newton's method has converged: a thousandth of
# what a certificate asks for.
DECREMENT = 1e-7

# The standard error of a log-likelihood's rounding is (1 + GROWTH sqrt(rows)) eps of its size,
# measured against extended precision on 100 to 400,000 rows. Gains show from ROUNDING times that.
ROUNDING, GROWTH = 4.0, 0.05

# scipy's status for an L-BFGS-B whose line search finds no better value.
NOTHING_BETTER = 2


class Step(NamedTuple):
    """Newton's step (p,) from theta (p,) and its decrement, in standard errors.

    Where the information is not positive definite: no step, and inf.
    """

    theta: Floats
    step: Floats
    decrement: float


class Objective:
    """Minus the mean log-likelihood as scipy wants it: value, gradient, Hessian, and counts.

    With a penalty, of the penalised log-likelihood over n. Coordinates are theta of `unit_free`.
    Where an sd is below the data's floor, or a streamed sample's nodes are not certified, the value
    is inf: a line search may look there and come back, so only an end near the floor is a collapse.
    guard: of that floor, next to nothing with a penalty.
    """

    def __init__(self, data: Sample, model: MixtureModel, penalty: Penalty | None = None) -> None:
        self.data, self.model = data, model
        self.penalty = None if penalty is None else Prior.penalised(data, penalty)
        self.guard = 1.0 if penalty is None else UNGUARDED
        self.shift, self.scale = unit_free(data, model)
        self._log_sd = float(self.shift[-1]) if model.n_free_sds else 0.0
        self.evaluations = {"moments": 0, "second_moments": 0}
        self._last: tuple[Floats, Floats, Floats] | None = None

    def theta(self, mixture: Mixture) -> Floats:
        """(p,): the unit-free coordinates of a mixture."""
        return (self.model.pack(mixture) - self.shift) / self.scale

    def mixture(self, theta: Floats) -> Mixture:
        """The mixture at theta, components in the model's order."""
        return self.model.unpack(self.shift + self.scale * theta)

    def bounds(self) -> list[tuple[float, float]]:
        """By coordinate: the log sds stay just above the floor, the others are free."""
        lowest = np.log(1.5 * self.guard * self.data.sd_floor) - self._log_sd
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
        gradient = self.model.jacobian(mixture).T @ score(mixture, sums.t)
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
        return self.derivatives(theta)[1]

    def derivatives(self, theta: Floats) -> tuple[Floats, Floats]:
        """Gradient (p,) and Hessian (p, p) of the value; a pass, but for the last theta again."""
        if self._last is None or not np.array_equal(self._last[0], theta):
            mixture = self.mixture(theta)
            self.evaluations["second_moments"] += 1
            second = self.data.second_moments(mixture)
            slope, curvature = score_and_information(mixture, self.model, second)
            if not np.all(np.isfinite(curvature)):
                raise FloatingPointError("the observed information is not finite")
            if self.penalty is not None:
                slope += self.penalty.score(mixture, self.model)
                curvature += self.penalty.information(mixture, self.model)
            gradient = -self.scale * slope / self.data.n
            hessian = np.outer(self.scale, self.scale) * curvature / self.data.n
            self._last = (np.array(theta), gradient, hessian)
        return self._last[1:]

    def newton_step(self, theta: Floats) -> Step:
        """Newton's step from theta."""
        gradient, hessian = self.derivatives(theta)
        found = newton_step(-gradient, hessian)
        if found is None:
            return Step(theta, np.zeros_like(theta), np.inf)
        return Step(theta, found[0], found[1] * self.data.n**0.5)

    @cached_property
    def rounding(self) -> float:
        """Nats below which a gain is lost in the rounding of the log-likelihood.

        Its size is taken to be that under one normal with the data's sd, or n where that is less.
        """
        size = self.data.n * (1.5 + abs(float(np.log(self.data.sd))))
        return float(ROUNDING * (1.0 + GROWTH * self.data.terms**0.5) * EPS * size)

    def gain(self, theta: Floats, gradient: Floats) -> float:
        """Nats that Newton's step would gain if observations were labelled: fewer than there are.

        gradient (p,): of the value at theta. Takes no pass over the data.
        """
        slope = self.data.n * gradient / self.scale
        labelled = labelled_information(self.mixture(theta), self.model, self.data.n)
        told = np.maximum(np.diag(labelled), np.finfo(float).tiny)
        return 0.5 * float(np.sum(slope**2 / told))


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

    def gain(self, theta: Floats, gradient: Floats) -> float:
        """As of an `Objective`; gradient (p + 1,): that of the value in these coordinates."""
        return super().gain(theta, np.delete(gradient, -self.model.n_free_sds - 1))

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


class End(NamedTuple):
    """Where a search ended, theta (p,), whether at a maximum, what it says, and its iterations."""

    theta: Floats
    converged: bool
    message: str
    n_iter: int


def _run(
    objective: Objective,
    start: Mixture,
    *,
    trace: bool,
    derivatives: int,
    decrement: float = DECREMENT,
    **settings: Any,
) -> Solution:
    """The end of scipy's minimize with `settings`; derivatives: how many of them it is given.

    With the Hessian, Newton's steps follow, down to `decrement` (see `newton`).
    """
    data, model = objective.data, objective.model
    path = [(objective.theta(start), 1)]
    if model.n_free == 0:
        return Solution(start, True, "nothing to estimate", 0, objective.evaluations)

    def visit(theta: Floats) -> None:
        if trace:
            path.append((np.array(theta), sum(objective.evaluations.values())))

    if derivatives == 2:
        found = _by_newton_steps(objective, path[0][0], visit, decrement, settings)
    else:
        settings["callback"] = visit if trace else None
        found = _by_values(objective, path[0][0], derivatives == 1, settings)
    end = data.check(objective.mixture(found.theta), model, times=2.0 * objective.guard)
    return Solution(
        end,
        found.converged,
        found.message,
        found.n_iter,
        dict(objective.evaluations),
        _trace(objective, path) if trace else None,
        prior=objective.penalty,
    )


def _by_values(
    objective: Objective, theta: Floats, with_gradient: bool, settings: dict[str, Any]
) -> End:
    """The end of a method that compares values; a line search that fails in rounding converged."""
    box = settings["method"] == "L-BFGS-B"
    found = minimize(
        objective.value_and_gradient if with_gradient else objective.value,
        theta,
        jac=with_gradient,
        bounds=objective.bounds() if box else None,
        **settings,
    )
    converged, message = bool(found.success), str(found.message)
    if box and found.status == NOTHING_BETTER:
        gain = objective.gain(found.x, found.jac)
        converged = gain <= objective.rounding
        word = "CONVERGENCE" if converged else "ABNORMAL"
        message = f"{word}: NO BETTER VALUE IS FOUND WHERE THE GRADIENT PROMISES {gain:.2g} NATS"
    return End(found.x, converged, message, int(found.nit))


def _by_newton_steps(
    objective: Objective,
    theta: Floats,
    visit: Callable[[Floats], None],
    decrement: float,
    settings: dict[str, Any],
) -> End:
    """The end of a trust region, and of plain Newton steps from where values tell no gain."""
    n_iter, said = 0, ""
    blind = (2.0 * objective.rounding) ** 0.5
    near = max(decrement, blind)
    here = objective.newton_step(theta)

    def callback(x: Floats) -> None:
        nonlocal here, n_iter
        visit(x)
        n_iter += 1
        if not np.array_equal(x, here.theta):
            here = objective.newton_step(x)
        if here.decrement <= near:
            raise StopIteration

    if here.decrement > near:
        try:
            found = minimize(
                objective.value_and_gradient,
                theta,
                jac=True,
                hess=objective.hessian,
                callback=callback,
                **settings,
            )
        except (UnboundLocalError, ValueError):  # scipy's, of subproblems that it cannot solve
            said = "The trust region's subproblem was not solved. "
        else:
            n_iter = int(found.nit)
            said = "" if here.decrement <= near else f"{found.message} "
    most, falling = settings["options"].get("maxiter", np.inf), True
    # Only from within a standard error, where a step cannot leave the basin.
    while falling and decrement < here.decrement < 1.0 and n_iter < most:
        try:
            ahead = objective.newton_step(here.theta + here.step)
        except ArithmeticError:
            break
        falling = ahead.decrement < here.decrement
        if falling:
            here, n_iter = ahead, n_iter + 1
            visit(here.theta)
    if here.decrement == np.inf:
        return End(here.theta, False, f"{said}The information is not positive definite.", n_iter)
    converged = here.decrement <= (decrement if falling else near)
    message = f"{said}The Newton decrement is {here.decrement:.2g} standard errors."
    return End(here.theta, converged, message, n_iter)


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

    Values that are rounded cannot always lead there. It has converged as well where a step leaves
    the value as it is, and where its line search finds no better one and the `gain` that the
    gradient promises is below the `rounding` of the objective.

    penalty: as of `em`. sd_ratio: the maximum under smallest sd / largest sd >= sd_ratio, in
    (0, 1], of which sds that are known or equal have no need; `RatioBounded.judged` says what is
    reported where that bound is active.
    """
    gtol, max_iter = checks.number("gtol", gtol), checks.whole("max_iter", max_iter)
    if sd_ratio is not None:
        sd_ratio = checks.number("sd_ratio", sd_ratio, 0.0, 1.0, above=True)
        if model.n_free_sds and model.sds is not None:
            raise ValueError("sd_ratio: bounds sds that are all free; give penalty, some are known")
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
    decrement: float = DECREMENT,
    max_iter: int = 500,
    penalty: Penalty | None = None,
) -> Solution:
    """Trust-region Newton (nearly exact subproblem) with the closed-form score and Hessian.

    Converged: the Newton decrement sqrt(g'J^-1 g) is at most `decrement` standard errors. A step
    gains half its square in nats. Where that is lost in the `rounding` of the values that a trust
    region compares, plain steps follow while they lower the decrement, and where they no longer do
    it has converged too: `decrement` may be 0. penalty: as of `em`.
    """
    decrement = checks.number("decrement", decrement)
    max_iter = checks.whole("max_iter", max_iter)
    run = {"method": "trust-exact", "options": {"gtol": 0.0, "maxiter": max_iter}}
    objective = Objective(data, model, penalty)
    return _run(objective, start, trace=trace, derivatives=2, decrement=decrement, **run)


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
    """The simplex method, without derivatives. penalty: as of `em`.

    xatol, fatol: how near in theta and in mean log-likelihood the simplex's corners have to be; a
    fatol below the rounding of the mean log-likelihood is taken as that.
    """
    xatol, fatol = checks.number("xatol", xatol), checks.number("fatol", fatol)
    max_iter = checks.whole("max_iter", max_iter)
    objective = Objective(data, model, penalty)
    options = {
        "xatol": xatol,
        "fatol": max(fatol, objective.rounding / data.n),
        "maxiter": max_iter,
        "maxfev": max_iter,
    }
    return _run(objective, start, trace=trace, derivatives=0, method="Nelder-Mead", options=options)
