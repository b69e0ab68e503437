"""Newton's method on the log-likelihood from a point near its maximum, for refits by the thousand.

Where the observed information J does not do, it is damped by Ic, the Fisher information that
labelled observations would have, which is always positive definite: J + d Ic goes from Newton's
step to a short one along the EM gradient (Titterington 1984), free of the data's units.
"""

from __future__ import annotations

from typing import NamedTuple

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
    """Coordinates (p,); the mixture there, log-likelihood, score (p,) and information (p, p)."""

    at: Floats
    mixture: Mixture
    loglik: float
    score: Floats
    information: Floats


def derivatives(data: Data, model: MixtureModel, eta: Floats) -> Point | None:
    """The point at eta (n_free,); None where the likelihood is not to be had."""
    mixture = model.unpack(eta)
    if not mixture.finite or data.collapsed(mixture, model):
        return None
    try:
        second = data.second_moments(mixture)
    except Uncertified:
        return None
    return Point(eta, mixture, second.loglik, *score_and_information(mixture, model, second))


def newton_step(score: Floats, information: Floats) -> tuple[Floats, float] | None:
    """The step (p,) and its Newton decrement, in standard errors; None if J is not definite."""
    try:
        np.linalg.cholesky(information)
        step = np.linalg.solve(information, score)
    except np.linalg.LinAlgError:
        return None
    return step, max(float(score @ step), 0.0) ** 0.5


def ascend(
    data: Data, model: MixtureModel, start: Mixture, max_steps: int = 200
) -> tuple[Point | None, bool]:
    """The last point of an ascent, and whether it is a regular maximum; None without a first one.

    The log-likelihood never falls by more than rounding.
    """
    point, damping = derivatives(data, model, model.pack(start)), 0.0
    if point is None:
        return None, False
    for _ in range(max_steps):
        information = point.information
        if damping > 0.0:
            information = information + damping * _labelled(point.mixture, model, data.n)
        found = newton_step(point.score, information)
        if found is not None:
            step, decrement = found
            if damping == 0.0 and decrement <= DECREMENT:
                return point, True
            ahead = derivatives(data, model, point.at + step)
            rounding = 1e-12 * abs(point.loglik)
            if ahead is not None and ahead.loglik >= point.loglik - rounding:
                point, damping = ahead, damping / FACTOR if damping > LEAST else 0.0
                continue
        damping = max(FACTOR * damping, LEAST)
        if damping > MOST:
            break
    return point, False


def _labelled(mixture: Mixture, model: MixtureModel, n: float) -> Floats:
    """(p, p): Fisher information of n observations with their labels."""
    k, w = mixture.k, mixture.weights
    full = np.zeros((3 * k - 1, 3 * k - 1))
    full[: k - 1, : k - 1] = (np.diag(w) - np.outer(w, w))[:-1, :-1]
    rest = np.arange(k - 1, 3 * k - 1)
    full[rest, rest] = np.concatenate([w / mixture.sds**2, 2.0 * w])
    return n * (model.selection.T @ full @ model.selection)
