"""What the end of an optimiser is: a regular maximum, one on the boundary, not identified, or none.

On the scale of log weights every point looks stationary as a weight goes to 0, so that a component
of less than an observation is looked at again: with its weight at 0, and by the slope in the
weight itself.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.inference.boundary import (
    Face,
    Peak,
    covariance_on,
    face,
    highest,
    in_errors,
    multiplier,
)
from models.inference.certificate import (
    CERTIFIED_DISTANCE,
    Certificate,
    Place,
    certificate_by,
    covariance_by,
    spectrum,
)
from models.likelihood import SecondMoments, score_and_information
from models.mixture import Floats, Mixture
from models.model import MixtureModel
from models.sample import Sample, Uncertified
from models.verdicts import NARROW

# A component of fewer observations than this may have vanished.
FEWEST = 1.0
# Nats that a component which is not needed gains, at most.
NOTHING = 1e-6
# Smallest eigenvalue of the information, scaled to a unit diagonal, of what is not identified: two
# components that coincide leave the square of what keeps them apart, which at a certified end is
# 1e-4 standard errors at most. Of 300 regular maxima none was below 1e-4.
SINGULAR = 5e-6
# Of the information that labelled observations would have, what is rounding.
ROUNDED = 1e-7


class End(NamedTuple):
    """mixture: weights of 0 on the boundary, else as it was. covariance: (3K, 3K)."""

    mixture: Mixture
    certificate: Certificate
    covariance: Floats


class Added(NamedTuple):
    """Score (p,) and information (p, p) that an objective has beside the log-likelihood's.

    active: whether it is more than rounding.
    """

    score: Floats
    information: Floats
    active: bool


def judged(
    data: Sample,
    model: MixtureModel,
    mixture: Mixture,
    second: SecondMoments,
    score: Floats,
    information: Floats,
) -> End:
    """What the end of an optimiser is; one pass more for each question that its weights raise.

    second: moments of the data there. score (p,), information (p, p): of the objective, which is
    the log-likelihood or that with a prior.
    """
    inside = _inside(model, mixture, score, information, data.n)
    few = data.n * mixture.weights < FEWEST
    if model.weights is not None:
        few &= model.free[0]
    few[np.argmax(np.where(model.free[0], mixture.weights, -1.0))] = False
    if not few.any():
        return inside
    plain = score_and_information(mixture, model, second)
    more = score - plain[0], information - plain[1]
    added = Added(*more, active=bool(np.any(np.abs(more[1]) > 1e-12 * data.n)))
    if np.abs(added.score[: model.n_free_weights]).max(initial=0.0) > 1e-9 * data.n:
        return inside  # a prior on the weights keeps them from 0
    try:
        return _with_few(data, model, mixture, second, added, inside, few)
    except Uncertified:  # a streamed sample that cannot be asked
        nothing = np.full_like(inside.covariance, np.nan)
        return End(mixture, Certificate(np.nan, np.nan, False, "vanished"), nothing)


def _with_few(
    data: Sample,
    model: MixtureModel,
    mixture: Mixture,
    second: SecondMoments,
    added: Added,
    inside: End,
    few: NDArray[np.bool_],
) -> End:
    """The end where the components of the mask `few` have less than FEWEST observations."""
    # Of no other component is a weight of 0 ever a maximum.
    bounded = few & ~(model.free[1] & model.free[2] & (not added.active))
    if bounded.any():
        on, top = _on_a_face(data, model, mixture, few, bounded, added)
        if on is not None:
            return on
    else:
        top = None
    if inside.certificate.certified and _stationary(mixture, second, few, model.free[0], data.n):
        return inside
    nothing = np.full_like(inside.covariance, np.nan)
    if top is None:
        left = face(mixture, model, few).mixture
        needed = second.loglik - data.moments(left).loglik > NOTHING
    else:
        found = model.n_free_sds and not model.equal_sds and not added.active
        found = found and top.sd not in model.known[2]
        needed = not (found and top.sd < NARROW * mixture.sds[~few].max())
    if not needed:
        return End(mixture, Certificate(np.nan, np.nan, False, "not needed"), nothing)
    distance = np.fmax(inside.certificate.distance, 0.0 if top is None else top.distance)
    short = Certificate(float(distance), float(0.5 * distance**2), False, "vanished")
    return End(mixture, short, nothing)


def _inside(
    model: MixtureModel, mixture: Mixture, score: Floats, information: Floats, n: float
) -> End:
    """The end as a point where no weight is 0."""
    if score.size == 0:
        certificate = certificate_by(score, information)
        return End(mixture, certificate, covariance_by(mixture, model, information))
    w = mixture.weights
    with np.errstate(over="ignore"):
        labelled = np.concatenate([w[:-1] * (1.0 - w[:-1]), w / mixture.sds**2, 2.0 * w])
    found = spectrum(information, ROUNDED * n * (model.selection.T @ labelled))
    if found is None or found.values[0] < -SINGULAR:
        return End(mixture, certificate_by(score, None), covariance_by(mixture, model, None))
    covariance = covariance_by(mixture, model, found.inverse)
    large = found.inverse is None or np.diag(covariance)[: model.k].max() > 1.0
    if found.values[0] > SINGULAR or not large:
        certificate = certificate_by(score, found.inverse)
        if not certificate.certified:
            certificate = replace(certificate, rounding=_rounding(model, mixture, information))
        return End(mixture, certificate, covariance)
    along = found.vectors.T @ (found.scale * score)
    flat = found.values <= SINGULAR
    distance = float(np.sqrt(np.sum(along[~flat] ** 2 / found.values[~flat])))
    distance = max(distance, float(np.abs(along[flat]).max()))
    place: Place = "not identified" if distance <= CERTIFIED_DISTANCE else "interior"
    certificate = Certificate(distance, 0.5 * distance**2, False, place)
    return End(mixture, certificate, np.full_like(covariance, np.nan))


def _rounding(model: MixtureModel, mixture: Mixture, information: Floats) -> float:
    """Standard errors by which means move where their last digit does.

    Far from 0 in units of the sds, as of dates in seconds, there is no point nearer to the maximum.
    """
    m = model.n_free_weights
    own = np.diag(information)[m : m + model.n_free_means]
    means = mixture.means[model.free[1]]
    return float(np.spacing(np.abs(means)) @ np.sqrt(np.maximum(own, 0.0)))


def _on_a_face(
    data: Sample,
    model: MixtureModel,
    mixture: Mixture,
    few: NDArray[np.bool_],
    bounded: NDArray[np.bool_],
    added: Added,
) -> tuple[End | None, Peak]:
    """The end as a maximum on the boundary, and the component that raises the likelihood most.

    few: components that may have vanished. bounded: those among them without which there may be a
    maximum.

    Components that the likelihood would have back are taken back, with the weights that they had,
    one by one, for with one of them back others may not be wanted any more.
    """
    gone = bounded.copy()
    worst: Peak | None = None
    while True:
        left = face(mixture, model, gone)
        free, level = model.free[0][left.kept], data.n
        if model.weights is not None:
            level = multiplier(data.moments(left.mixture).t, left.mixture, free, data.n)
        tops = {
            j: _highest(data, model, mixture, left, j, added, level)
            for j in np.flatnonzero(gone).tolist()
        }
        wanted = [j for j, top in tops.items() if top.distance > CERTIFIED_DISTANCE]
        if worst is None:
            worst = max(tops.values(), key=lambda top: top.distance)
        if not wanted:
            break
        gone[max(wanted, key=lambda j: mixture.weights[j])] = False
        if not gone.any():
            return None, worst
    second = data.second_moments(left.mixture)
    score, information = score_and_information(left.mixture, left.model, second)
    w = left.model.n_free_weights
    score[w:] += added.score[left.own]
    information[w:, w:] += added.information[np.ix_(left.own, left.own)]
    end = _inside(left.model, left.mixture, score, information, data.n)
    again = few[left.kept]
    if again.any() and not _stationary(left.mixture, second, again, free, data.n):
        return None, worst
    rows = mixture.as_rows()
    rows[0] = 0.0
    rows[0, left.kept] = left.mixture.weights
    whole = Mixture.of_rows(rows)
    c = end.certificate
    if c.place == "not identified":
        nothing = np.full((3 * model.k, 3 * model.k), np.nan)
        return End(whole, c, nothing), worst
    if not c.certified:
        return None, worst._replace(distance=float(np.fmax(c.distance, worst.distance)))
    return End(
        whole, replace(c, place="boundary"), covariance_on(model, left, end.covariance)
    ), worst


def _highest(
    data: Sample,
    model: MixtureModel,
    mixture: Mixture,
    left: Face,
    j: int,
    added: Added,
    level: float,
) -> Peak:
    """Over what is free of component j alone: a common sd and one that is penalised are not."""
    free_sd = model.free[2, j] and not model.equal_sds and not added.active
    mean = None if model.free[1, j] else float(model.known[1, j])
    sd = None if free_sd else float(mixture.sds[j])
    return highest(data, left.mixture, mean, sd, level)


def _stationary(
    mixture: Mixture,
    second: SecondMoments,
    few: NDArray[np.bool_],
    free: NDArray[np.bool_],
    n: float,
) -> bool:
    """Whether the slope in each of these weights themselves, not their logs, is 0."""
    w = mixture.weights[few]
    if np.any(w < 1e-100):
        return False
    ratios, squares = second.t[few, 0] / w, np.diag(second.cross)[: mixture.k][few] / w / w
    level = multiplier(second.t, mixture, free, n)
    slopes = [in_errors(r, s, n, level) for r, s in zip(ratios, squares, strict=True)]
    return bool(np.max(np.abs(slopes)) <= CERTIFIED_DISTANCE)
