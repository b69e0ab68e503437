"""scipy.optimize on the observed log-likelihood, in unconstrained, unit-free coordinates."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize

from models.likelihood import Moments, information, score
from models.mixture import Floats, Mixture
from models.model import MixtureModel
from models.problem import Data, Solution, Trace, Uncertified, unit_free


class Objective:
    """Minus the mean log-likelihood as scipy wants it: value, gradient, Hessian, and counts.

    Coordinates are theta of `unit_free`. Where an sd is below the data's floor, or a streamed
    sample's nodes are not certified, the value is inf: a line search may look there and come
    back, so only an end near the floor is a collapse.
    """

    def __init__(self, data: Data, model: MixtureModel) -> None:
        self.data, self.model = data, model
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
        lowest = np.log(1.5 * self.data.sd_floor / self.data.sd)
        n_sds = self.model.n_free_sds
        free = self.model.n_free - n_sds
        return [(-np.inf, np.inf)] * free + [(lowest, np.inf)] * n_sds

    def value(self, theta: Floats) -> float:
        """Minus the log-likelihood of an observation, on average; inf where it is not to be had."""
        sums = self._moments(self.mixture(theta))
        return np.inf if sums is None else -sums.loglik / self.data.n

    def value_and_gradient(self, theta: Floats) -> tuple[float, Floats]:
        """The value and its gradient (p,) from one pass."""
        mixture = self.mixture(theta)
        sums = self._moments(mixture)
        if sums is None:
            return np.inf, np.zeros_like(theta)
        gradient = self.model.selection.T @ score(mixture, sums.t)
        return -sums.loglik / self.data.n, -self.scale * gradient / self.data.n

    def _moments(self, mixture: Mixture) -> Moments | None:
        if not mixture.finite or self.data.collapsed(mixture, self.model):
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
        return np.outer(self.scale, self.scale) * (s.T @ observed @ s) / self.data.n


def _run(
    data: Data,
    model: MixtureModel,
    start: Mixture,
    *,
    trace: bool,
    derivatives: int,
    **settings: Any,
) -> Solution:
    objective = Objective(data, model)
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
    end = data.check(objective.mixture(result.x), model, times=2.0)
    evaluations = dict(objective.evaluations)
    message = result.message.decode() if isinstance(result.message, bytes) else result.message
    return Solution(
        end,
        bool(result.success),
        str(message),
        int(result.nit),
        evaluations,
        _trace(objective, path) if trace else None,
    )


def _trace(objective: Objective, path: list[tuple[Floats, int]]) -> Trace:
    points, passes = zip(*path, strict=True)
    logliks = [-objective.value(theta) * objective.data.n for theta in points]
    return Trace.of(logliks, [objective.mixture(theta) for theta in points], passes)


def lbfgs(
    data: Data,
    model: MixtureModel,
    start: Mixture,
    rng: np.random.Generator,
    *,
    trace: bool = False,
    gtol: float = 1e-9,
    max_iter: int = 1000,
) -> Solution:
    """L-BFGS-B with the closed-form score; gtol bounds the gradient of the mean log-likelihood."""
    options = {"gtol": gtol, "ftol": 0.0, "maxiter": max_iter, "maxfun": 10 * max_iter}
    return _run(data, model, start, trace=trace, derivatives=1, method="L-BFGS-B", options=options)


def newton(
    data: Data,
    model: MixtureModel,
    start: Mixture,
    rng: np.random.Generator,
    *,
    trace: bool = False,
    gtol: float = 1e-9,
    max_iter: int = 500,
) -> Solution:
    """Trust-region Newton (nearly exact subproblem) with the closed-form score and Hessian."""
    options = {"gtol": gtol, "maxiter": max_iter}
    return _run(
        data, model, start, trace=trace, derivatives=2, method="trust-exact", options=options
    )


def nelder_mead(
    data: Data,
    model: MixtureModel,
    start: Mixture,
    rng: np.random.Generator,
    *,
    trace: bool = False,
    xatol: float = 1e-8,
    fatol: float = 1e-13,
    max_iter: int = 10_000,
) -> Solution:
    """The simplex method, without derivatives."""
    options = {"xatol": xatol, "fatol": fatol, "maxiter": max_iter, "maxfev": max_iter}
    return _run(
        data, model, start, trace=trace, derivatives=0, method="Nelder-Mead", options=options
    )
