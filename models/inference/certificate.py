"""Certificate of an optimum, and standard errors, from score and information."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from models.likelihood import SecondMoments, score_and_information, score_outer
from models.mixture import Floats, Mixture
from models.model import MixtureModel

CERTIFIED_DISTANCE = 1e-4

Place = Literal["interior", "boundary", "not identified", "not needed", "vanished"]

# Places that are no maximum, a component having vanished.
NOWHERE = ("not needed", "vanished")


@dataclass(frozen=True)
class Certificate:
    """How far a point is from the stationary point that Newton's method would go to.

    distance: in standard errors, the most that any linear combination of the unconstrained
        parameters would still move: the Newton decrement sqrt(g'J^-1 g).
    gap: nats still to gain, half its square.
    positive_definite: whether J is; where not there is no regular maximum, and both are NaN. On
        the boundary distance, gap and J are of the model without the components that are gone.
    place: "interior"; "boundary", where weights are 0 and no component raises the likelihood (the
        conditions of Karush, Kuhn and Tucker hold); "not identified", a stationary point where J
        is singular but for rounding, its distance in the other directions; "not needed", where a
        component has vanished which the likelihood does not miss, though it is nowhere a maximum;
        "vanished", where one has that would raise the likelihood, its distance at least that of
        the slope in its weight.
    rounding: standard errors below which no distance can be told for the numbers' last digits.
    """

    distance: float
    gap: float
    positive_definite: bool
    place: Place = "interior"
    rounding: float = 0.0

    @property
    def nowhere(self) -> bool:
        """Whether a component has vanished, and the point is no maximum."""
        return self.place in NOWHERE

    @property
    def certified(self) -> bool:
        """Whether a regular maximum lies within 1e-4 standard errors, or as near as numbers go."""
        return self.positive_definite and self.distance <= max(CERTIFIED_DISTANCE, self.rounding)


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
    s = model.jacobian(mixture)
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


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigenvalues (p,), ascending, and vectors (p, p) of J scaled by `scale` (p,) on both sides."""

    scale: Floats
    values: Floats
    vectors: Floats

    @cached_property
    def inverse(self) -> Floats | None:
        """(p, p): J^-1, or None where J is not positive definite, to rounding."""
        if self.values[0] <= 1e-12:
            return None
        half = (self.vectors / np.sqrt(self.values)) * self.scale[:, None]
        return half @ half.T


def spectrum(curvature: Floats, least: Floats | float = 0.0) -> Spectrum | None:
    """Of J (p, p) on a unit diagonal, entries below `least` scaled as if they were that.

    None where J, or what is scaled, is not finite, or the diagonal not positive.
    """
    diagonal = np.maximum(np.diag(curvature), least)
    if not np.all(np.isfinite(curvature)) or np.any(diagonal <= 0):
        return None
    scale = 1.0 / np.sqrt(diagonal)
    scaled = curvature * scale[:, None] * scale
    return Spectrum(scale, *np.linalg.eigh(scaled)) if np.all(np.isfinite(scaled)) else None


def inverse_information(curvature: Floats) -> Floats | None:
    """(p, p): J^-1, or None where J is not positive definite (to rounding, on a unit diagonal)."""
    if curvature.size == 0:
        return curvature
    found = spectrum(curvature)
    return None if found is None else found.inverse


def condition(covariance: Floats, model: MixtureModel) -> float:
    """Condition number of the correlations between the free parameters' estimates.

    Of weights but the last, means and sds, by their covariance (3K, 3K): 1 where all are
    uncorrelated, large where some combination of them is hardly known. The data's units do not
    matter. NaN where there is no covariance, or on the boundary.
    """
    free = np.diag(covariance) > 0
    free[np.flatnonzero(free[: model.k])[-1:]] = False  # what the others leave
    if model.equal_sds:
        free[2 * model.k + 1 :] = False
    own = covariance[np.ix_(free, free)]
    if not own.size or not np.all(np.isfinite(covariance)):
        return np.nan
    scale = 1.0 / np.sqrt(np.diag(own))
    values = np.linalg.eigvalsh(own * scale[:, None] * scale)
    return float(values[-1] / values[0]) if values[0] > 0 else np.inf
