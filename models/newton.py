"""Newton's method on the log-likelihood from a point near its maximum, for refits by the thousand.

Where the observed information J does not do, it is damped by Ic, the Fisher information that
labelled observations would have, which is always positive definite: J + d Ic goes from Newton's
step to a short one along the EM gradient (Titterington 1984), free of the data's units.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from models.mixture import Floats, Mixture
from models.model import MixtureModel
from models.problem import Data, Uncertified
from models.uncertainty import score_and_information

# Newton decrement, in standard errors, at which a point is a maximum.
DECREMENT = 1e-6

# What damping begins with, what it grows and shrinks by, and where no step is left.
LEAST, FACTOR, MOST = 1e-6, 4.0, 1e8


class Point(NamedTuple):
    """Coordinates (p,); the mixture there, log-likelihood, score (p,) and the two informations."""

    at: Floats
    mixture: Mixture
    loglik: float
    score: Floats
    observed: Floats
    labelled: Floats


type Evaluate = Callable[[Floats], Point | None]


def derivatives(data: Data, model: MixtureModel, eta: Floats) -> Point | None:
    """The point at eta (n_free,); None where the likelihood is not to be had."""
    mixture = model.unpack(eta)
    if not mixture.finite or data.collapsed(mixture, model):
        return None
    try:
        second = data.second_moments(mixture)
    except Uncertified:
        return None
    score, observed = score_and_information(mixture, model, second)
    return Point(eta, mixture, second.loglik, score, observed, _labelled(mixture, model, data.n))


def _labelled(mixture: Mixture, model: MixtureModel, n: float) -> Floats:
    k, w = mixture.k, mixture.weights
    full = np.zeros((3 * k - 1, 3 * k - 1))
    full[: k - 1, : k - 1] = (np.diag(w) - np.outer(w, w))[:-1, :-1]
    rest = np.arange(k - 1, 3 * k - 1)
    full[rest, rest] = np.concatenate([w / mixture.sds**2, 2.0 * w])
    return n * (model.selection.T @ full @ model.selection)


def newton_step(point: Point, free: Any = slice(None), damping: float = 0.0) -> Floats | None:
    """The step of the free coordinates, an index of them; None if J + d Ic is not definite."""
    curvature = point.observed[free][:, free]
    if damping > 0.0:
        curvature = curvature + damping * point.labelled[free][:, free]
    try:
        np.linalg.cholesky(curvature)
        return np.linalg.solve(curvature, point.score[free])
    except np.linalg.LinAlgError:
        return None


def decrement(point: Point, step: Floats, free: Any = slice(None)) -> float:
    """Newton decrement of the free coordinates, in standard errors, from their step."""
    return float(np.sqrt(max(point.score[free] @ step, 0.0)))


def ascend(
    evaluate: Evaluate, start: Point, free: Any = slice(None), max_steps: int = 200
) -> tuple[Point, bool]:
    """The last point of an ascent over the free coordinates, and whether it is a regular maximum.

    The log-likelihood never falls by more than rounding.
    """
    point, damping = start, 0.0
    for _ in range(max_steps):
        step = newton_step(point, free, damping)
        if step is not None:
            if damping == 0.0 and decrement(point, step, free) <= DECREMENT:
                return point, True
            at = point.at.copy()
            at[free] += step
            ahead = evaluate(at)
            rounding = 1e-12 * abs(point.loglik)
            if ahead is not None and ahead.loglik >= point.loglik - rounding:
                point, damping = ahead, damping / FACTOR if damping > LEAST else 0.0
                continue
        damping = max(FACTOR * damping, LEAST)
        if damping > MOST:
            break
    return point, False


def maximum(data: Data, model: MixtureModel, start: Mixture) -> tuple[Point | None, bool]:
    """`ascend` over all of the model's coordinates; no point if the start has no likelihood."""

    def evaluate(eta: Floats) -> Point | None:
        return derivatives(data, model, eta)

    first = evaluate(model.pack(start))
    return (None, False) if first is None else ascend(evaluate, first)
