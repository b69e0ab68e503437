"""Profile likelihood intervals of single parameters, by Newton steps along the profile.

The profile log-likelihood of a parameter is the maximum over all others. It is followed along the
branch of regular maxima that starts at the estimate, and where that ends in a fold it is taken up
by climbing from there, which cannot lead down. An end of the interval is where it has fallen by
half the chi-squared quantile, so that the interval does not depend on the parameter's scale.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtri

from models import checks
from models.inference.boundary import Boundary, face
from models.inference.newton import (
    DECREMENT,
    Point,
    climb,
    derivatives,
    labelled_information,
    newton_step,
)
from models.mixture import Floats, Mixture, ParameterArray
from models.model import MixtureModel
from models.sample import Sample, framed
from models.verdicts import believable

Name = Literal["weights", "means", "sds"]
Kind = Literal["found", "known", "boundary", "lost"]

type Evaluate = Callable[[Floats], Point | None]

NAMES: tuple[Name, ...] = ("weights", "means", "sds")

# The other parameters are at their maximum at a Newton decrement of DECREMENT standard errors.
# The branch has one there within CORRECTIONS steps, and no further than LEAP standard errors
# from where its tangent points; else the step along the profile was too long.
CORRECTIONS, LEAP = 8, 0.25

# The signed root of the likelihood ratio at an end is this close to the normal quantile.
ROOT = 1e-8

# Steps along the profile, and the share of a standard error below which a step leads nowhere.
STEPS, SHORTEST = 100, 1e-3

# Over a fold in steps of LEAPED standard errors, at most FOLDS times.
LEAPED, FOLDS = 0.1, 20

# Bounds of the parameter space, in effect: a component of FEWEST observations, means and sds of
# FAR times the data's sd, and twice the floor of the sds. With VANISHED observations or fewer a
# component's mean and sd no longer matter: the profile is flat from there on.
FEWEST, VANISHED, FAR = 1e-3, 1e-2, 100.0


class End(NamedTuple):
    """One end of an interval.

    value: data units; the parameter's own where it is known, NaN where the end is lost.
    kind: "found", where the profile log-likelihood has fallen to its threshold; "known", of a
        parameter that is not estimated; "boundary", where it is above that as far as the parameter
        space goes, whose bound is the value (0, 1 or infinite); "lost", where the branch of maxima
        ends before (in a fold, or because a component collapses).
    """

    value: float
    kind: Kind


@dataclass(frozen=True, eq=False)
class ProfileIntervals:
    """Intervals of all parameters, in the layout of a Mixture.

    lower, upper: (3, K), ends in data units.
    lower_kind, upper_kind: (3, K), their kinds, as of `End`.
    """

    lower: ParameterArray
    upper: ParameterArray
    lower_kind: NDArray[np.str_]
    upper_kind: NDArray[np.str_]


def profile_intervals(
    data: Sample, model: MixtureModel, estimate: Mixture, level: float = 0.95
) -> ProfileIntervals:
    """`profile_interval` of every parameter. Errors as there."""
    pairs = [
        profile_interval(data, model, estimate, name, component, level)
        for name in NAMES
        for component in range(model.k)
        if model.k != 2 or (name, component) != ("weights", 1)
    ]
    if model.k == 2:  # whose second weight is one minus the first
        low, high = pairs[0]
        pairs.insert(1, (End(1.0 - high.value, high.kind), End(1.0 - low.value, low.kind)))
    values = np.array([[end.value for end in pair] for pair in pairs]).T.reshape(2, 3, model.k)
    kinds = np.array([[end.kind for end in pair] for pair in pairs]).T.reshape(2, 3, model.k)
    lower, upper = map(ParameterArray.of, values)
    return ProfileIntervals(lower, upper, *kinds)


def profile_interval(
    data: Sample,
    model: MixtureModel,
    estimate: Mixture,
    name: Name,
    component: int,
    level: float = 0.95,
) -> tuple[End, End]:
    """Lower and upper end for one parameter, of the maximum likelihood estimate's branch.

    Both ends are lost where Newton's method finds no regular maximum at the estimate. The signed
    root of the likelihood ratio is nearly linear in the parameter, and is solved for by Newton's
    method; the other parameters follow along their tangent, corrected by Newton steps (Chen and
    Jennrich 1996). Raises ValueError for a name, component or level that is none.
    """
    if name not in NAMES:
        raise ValueError(f"name: {name!r} is none of {', '.join(NAMES)}")
    if component not in range(model.k):
        raise ValueError(f"component: {component!r} is not from 0 to {model.k - 1}")
    level = checks.probability("level", level)
    row = NAMES.index(name)
    if not estimate.weights.all():
        return _on_the_boundary(data, model, estimate, row, component, level)
    if not model.free[row, component]:
        end = End(float(estimate.as_rows()[row, component]), "known")
        return end, end
    frame, data, model, estimate = framed(data, model, estimate)

    # The component comes first, where its weight has a coordinate of its own.
    order = np.roll(np.arange(model.k), -component)
    turned = model.permuted(order)
    start = turned.pack(estimate.permuted(order))
    if model.n_free_weights:
        start[0] = logit(turned.shares(estimate.permuted(order))[0])

    def evaluate(at: Floats) -> Point | None:
        return _evaluate(data, turned, at)

    def over_the_fold(at: Floats, free: NDArray[np.intp]) -> Point | None:
        # In eta's coordinates, which differ from these in the first alone: it only damps.
        found, regular = climb(
            evaluate, lambda m: labelled_information(m, turned, data.n), at, free
        )
        if (
            found is None
            or not regular
            or not believable(found.mixture, turned, data, found.loglik)
        ):
            return None
        return found

    top = _corrected(evaluate, start, np.arange(start.size))
    if top is None:
        return End(np.nan, "lost"), End(np.nan, "lost")
    least, room = float(logit(FEWEST / data.n)), model.room
    index, back, limits, bounds = (
        (0, lambda share: room * expit(share), (least, -least), (0.0, room)),
        (
            model.n_free_weights,
            float,
            data.mean + FAR * data.sd * np.array([-1, 1]),
            (-np.inf, np.inf),
        ),
        (
            model.n_free - model.n_free_sds,
            np.exp,
            np.log([2.0 * data.sd_floor, FAR * data.sd]),
            (0.0, np.inf),
        ),
    )[row]
    quantile = float(ndtri(0.5 + 0.5 * level))
    ends = []
    for direction, limit, bound in zip((-1, 1), limits, bounds, strict=True):
        value, kind = _end(
            evaluate, over_the_fold, top, index, direction, quantile, float(limit), data.n
        )
        ends.append(End(bound if kind == "boundary" else float(back(value)), kind))
    out = (np.asarray, frame.outside, frame.widths)[row]
    lower, upper = (End(float(out(np.array(end.value))), end.kind) for end in ends)
    return lower, upper


def _on_the_boundary(
    data: Sample, model: MixtureModel, estimate: Mixture, row: int, component: int, level: float
) -> tuple[End, End]:
    """Where weights are 0: theirs by the likelihood ratio, and from the smaller model what has one.

    The profile of a mean or sd without weight is flat.
    """
    gone = estimate.weights == 0.0
    name = NAMES[row]
    if not model.free[row, component]:
        return (End(float(model.known[row, component]), "known"),) * 2
    if name == "weights":
        lower, upper = (float(v[component]) for v in Boundary(data, model, estimate).weights(level))
        if gone[component]:
            return End(0.0, "boundary"), End(upper, _kind(upper))
        if not np.isnan(lower):
            return End(lower, _kind(lower)), End(model.room, "boundary")
    left = face(estimate, model, gone)
    if not gone[component] or (name == "sds" and model.equal_sds):
        own = int(np.sum(~gone[:component]))
        place = min(own, left.model.k - 1)
        return profile_interval(data, left.model, left.mixture, name, place, level)
    return End(-np.inf if name == "means" else 0.0, "boundary"), End(np.inf, "boundary")


def _kind(value: float) -> Kind:
    return "lost" if np.isnan(value) else "found"


def _evaluate(data: Sample, model: MixtureModel, at: Floats) -> Point | None:
    """At eta, but with logit w_1 in the place of log w_1/w_K.

    With a_j = log w_j/w_K for 1 < j < K, log w_1/w_K = logit w_1 + log(1 + sum_j exp(a_j)). Where
    weights are known, of the K others' shares in what is left.
    """
    if model.n_free_weights <= 1:
        return derivatives(data, model, at)
    others = slice(1, model.n_free_weights)
    terms = np.append(at[others], 0.0)
    total = np.logaddexp.reduce(terms)
    eta = at.copy()
    eta[0] += total
    point = derivatives(data, model, eta)
    if point is None:
        return None
    share = np.exp(terms - total)[:-1]
    jacobian = np.eye(at.size)
    jacobian[0, others] = share
    information = jacobian.T @ point.information @ jacobian
    information[others, others] -= point.score[0] * (np.diag(share) - np.outer(share, share))
    return Point(at, point.mixture, point.loglik, jacobian.T @ point.score, information)


def _corrected(evaluate: Evaluate, at: Floats, free: NDArray[np.intp]) -> Point | None:
    """The maximum over the free coordinates next to `at`, or None if that is not so near."""
    for correction in range(CORRECTIONS):
        point = evaluate(at)
        if point is None:
            return None
        found = newton_step(point.score[free], point.information[free][:, free])
        if found is None:
            return None
        step, decrement = found
        if decrement <= DECREMENT:
            return point
        if correction == 0 and not decrement <= LEAP:
            return None
        at = at.copy()
        at[free] += step
    return None


def _end(
    evaluate: Evaluate,
    over_the_fold: Callable[[Floats, NDArray[np.intp]], Point | None],
    top: Point,
    index: int,
    direction: int,
    quantile: float,
    limit: float,
    n: float,
) -> tuple[float, Kind]:
    """The coordinate `index` at an end of its interval, and the kind of that end."""
    free = np.delete(np.arange(top.at.size), index)
    se = float(np.linalg.inv(top.information)[index, index]) ** 0.5
    inside, outside = top, np.inf
    step = quantile * se  # from `inside`, where the profile is above the threshold
    folds = 0
    for _ in range(STEPS):
        along = direction * inside.at[index] + step
        last = along >= direction * limit
        value = limit if last else direction * along
        at = inside.at + _tangent(inside, index, free) * (value - inside.at[index])
        point = _corrected(evaluate, at, free)
        if point is None and step * 0.4 >= SHORTEST * se:
            step *= 0.4
            continue
        if point is None:
            room = min(outside, direction * limit) - direction * inside.at[index]
            value = inside.at[index] + direction * min(LEAPED * se, 0.5 * room)
            at, folds = inside.at.copy(), folds + 1
            at[index] = value
            point, last = over_the_fold(at, free) if folds <= FOLDS else None, False
            if point is None:
                break
        root = np.sqrt(2.0 * max(top.loglik - point.loglik, 0.0))
        if abs(root - quantile) <= ROOT:
            return value, "found"
        fall = -direction * point.score[index]
        ahead = (quantile - root) * root / fall if fall > 0 else np.inf
        moved = direction * (value - inside.at[index])
        if root > quantile:
            outside, step = direction * value, moved + ahead
        elif last:
            return np.nan, "boundary"
        else:
            inside, step = point, min(ahead, 2.0 * moved)
        room = outside - direction * inside.at[index]
        if not 0.0 < step < room:
            step = 0.5 * room
    return np.nan, "boundary" if n * inside.mixture.weights[0] <= VANISHED else "lost"


def _tangent(point: Point, index: int, free: NDArray[np.intp]) -> Floats:
    """(p,): how all coordinates move along the profile, by unit of the one at `index`."""
    tangent = np.zeros(point.at.size)
    tangent[index] = 1.0
    coupling = point.information[free, index]
    tangent[free] = -np.linalg.solve(point.information[free][:, free], coupling)
    return tangent
