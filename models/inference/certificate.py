"""Certificate of an optimum, and standard errors, from score and information."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.likelihood import SecondMoments, score_and_information, score_outer
from models.mixture import Floats, Mixture
from models.model import MixtureModel

CERTIFIED_DISTANCE = 1e-4


@dataclass(frozen=True)
class Certificate:
    """How far a point is from the stationary point that Newton's method would go to.

    distance: in standard errors, the most that any linear combination of the unconstrained
        parameters would still move: the Newton decrement sqrt(g'J^-1 g).
    gap: nats still to gain, half its square.
    positive_definite: whether J is; where not there is no regular maximum, and both are NaN.
    """

    distance: float
    gap: float
    positive_definite: bool

    @property
    def certified(self) -> bool:
        """Whether a regular maximum lies within 1e-4 standard errors."""
        return self.positive_definite and self.distance <= CERTIFIED_DISTANCE


def certify(gradient: Floats, curvature: Floats) -> Certificate:
    """The certificate from the score (p,) and the observed information (p, p) at a point.

    Positive definiteness is judged on the information scaled to a unit diagonal, so that the
    data's units do not matter.
    """
    return certificate_by(gradient, inverse_information(curvature))


def certificate_by(gradient: Floats, inverse: Floats | None) -> Certificate:
    """The same from the score (p,) and `inverse_information`."""
    if gradient.size == 0:
        return Certificate(0.0, 0.0, True)
    if inverse is None:
        return Certificate(np.nan, np.nan, False)
    squared = max(float(gradient @ inverse @ gradient), 0.0)
    return Certificate(squared**0.5, 0.5 * squared, True)


def covariance(mixture: Mixture, model: MixtureModel, curvature: Floats) -> Floats:
    """(3K, 3K): covariance of (weights, means, sds) by the delta method from J^-1.

    Zero for known parameters; NaN everywhere where J is not positive definite. With the
    information of a log posterior at its mode it is Laplace's approximation.
    """
    return covariance_by(mixture, model, inverse_information(curvature))


def sandwich_covariance(mixture: Mixture, model: MixtureModel, second: SecondMoments) -> Floats:
    """(3K, 3K): as `covariance`, from J^-1 V J^-1, V the sum of the scores' outer products.

    Holds at the maximum also where the data are not from a mixture of the model (Huber 1967;
    White 1982, theorem 3.2).
    """
    inverse = inverse_information(score_and_information(mixture, model, second)[1])
    if inverse is not None:
        inverse = sandwiched(inverse, mixture, model, second)
    return covariance_by(mixture, model, inverse)


def sandwiched(
    inverse: Floats, mixture: Mixture, model: MixtureModel, second: SecondMoments
) -> Floats:
    """(p, p): J^-1 V J^-1 from J^-1 and a pass for V.

    Of survey weights V is the sum of w^2 s s' (Binder 1983): the pass has their squares as counts.
    """
    s = model.selection
    return inverse @ (s.T @ score_outer(mixture, second) @ s) @ inverse


def covariance_by(mixture: Mixture, model: MixtureModel, inverse: Floats | None) -> Floats:
    """The same as `covariance` from `inverse_information`, or another covariance (p, p)."""
    if inverse is None:
        return np.full((3 * model.k, 3 * model.k), np.nan)
    jacobian = model.natural_jacobian(mixture)
    return jacobian @ inverse @ jacobian.T


def errors(covariance: Floats) -> Floats:
    """(3, K): standard errors of weights, means and sds, of their covariance (3K, 3K)."""
    return np.sqrt(np.maximum(np.diag(covariance), 0.0)).reshape(3, -1)


def standard_errors(mixture: Mixture, model: MixtureModel, curvature: Floats) -> Floats:
    """(3, K): standard errors of weights, means and sds by the delta method from J^-1.

    Zero for known parameters; NaN everywhere where J is not positive definite.
    """
    return errors(covariance(mixture, model, curvature))


def inverse_information(curvature: Floats) -> Floats | None:
    """(p, p): J^-1, or None where J is not positive definite (to rounding, on a unit diagonal)."""
    if curvature.size == 0:
        return curvature
    diagonal = np.diag(curvature)
    if not np.all(np.isfinite(curvature)) or np.any(diagonal < np.finfo(float).tiny):
        return None
    scale = 1.0 / np.sqrt(diagonal)
    values, vectors = np.linalg.eigh(curvature * np.outer(scale, scale))
    if values[0] <= 1e-12:
        return None
    half = (vectors / np.sqrt(values)) * scale[:, None]
    return half @ half.T
