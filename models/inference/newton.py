"""Newton's method on the log-likelihood from a point near its maximum, for refits by the thousand.

Where the observed information J does not do, it is damped by Ic, the Fisher information that
labelled observations would have, which is always positive definite: J + d Ic goes from Newton's
step to a short one along the EM gradient (Titterington 1984), free of the data's units.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models import kernels
from models.likelihood import score_and_information
from models.mixture import Floats, Mixture
from models.model import MixtureModel
from models.sample import Sample, Uncertified

# Newton decrement, in standard errors, at which a point is a maximum.
DECREMENT = 1e-6

# What damping begins with, what it grows and shrinks by, and where no step is left.
LEAST, FACTOR, MOST = 1e-6, 4.0, 1e8


class Point(NamedTuple):
    """What Newton's method knows of a point.

    at: (p,), its coordinates.
    mixture: the one there.
    loglik: nats.
    score: (p,).
    information: (p, p).
    """

    at: Floats
    mixture: Mixture
    loglik: float
    score: Floats
    information: Floats


def derivatives(data: Sample, model: MixtureModel, eta: Floats) -> Point | None:
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
    step, squared = kernels.newton_step(score, information)
    return (step, squared**0.5) if squared == squared else None


def ascend(
    data: Sample, model: MixtureModel, start: Mixture, max_steps: int = 200
) -> tuple[Point | None, bool]:
    """The last point of an ascent, and whether it is a regular maximum; None without a first one.

    The log-likelihood never falls by more than rounding.
    """

    def evaluate(at: Floats) -> Point | None:
        return derivatives(data, model, at)

    def labelled(mixture: Mixture) -> Floats:
        return labelled_information(mixture, model, data.n)

    eta = model.pack(start)
    return climb(evaluate, labelled, eta, np.arange(eta.size), max_steps)


def climb(
    evaluate: Callable[[Floats], Point | None],
    labelled: Callable[[Mixture], Floats],
    at: Floats,
    free: NDArray[np.intp],
    max_steps: int = 200,
) -> tuple[Point | None, bool]:
    """`ascend` in the free coordinates alone, from `at` (p,), the others as they are.

    evaluate: the point at coordinates. labelled: (p, p), what damps; any positive definite matrix
    does.
    """
    point, damping = evaluate(at), 0.0
    if point is None:
        return None, False
    block = np.ix_(free, free)
    for _ in range(max_steps):
        information = point.information[block]
        if damping > 0.0:
            information = information + damping * labelled(point.mixture)[block]
        found = newton_step(point.score[free], information)
        if found is not None:
            step, decrement = found
            if damping == 0.0 and decrement <= DECREMENT:
                return point, True
            forward = point.at.copy()
            forward[free] += step
            ahead = evaluate(forward)
            rounding = 1e-12 * abs(point.loglik)
            if ahead is not None and ahead.loglik >= point.loglik - rounding:
                point, damping = ahead, damping / FACTOR if damping > LEAST else 0.0
                continue
        damping = max(FACTOR * damping, LEAST)
        if damping > MOST:
            break
    return point, False


def labelled_information(mixture: Mixture, model: MixtureModel, n: float) -> Floats:
    """(p, p): Fisher information of n observations with their labels."""
    k, w = mixture.k, mixture.weights
    full = np.zeros((3 * k - 1, 3 * k - 1))
    full[: k - 1, : k - 1] = (np.diag(w) - np.outer(w, w))[:-1, :-1]
    rest = np.arange(k - 1, 3 * k - 1)
    full[rest, rest] = np.concatenate([w / mixture.sds**2, 2.0 * w])
    jacobian = model.jacobian(mixture)
    return n * (jacobian.T @ full @ jacobian)
