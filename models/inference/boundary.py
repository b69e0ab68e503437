"""The boundary of the parameter space, where weights are 0: what is left there, and its conditions.

A mixture without some of its components is a maximum of the whole model where it is one of the
smaller model and no component that the whole one allows raises the likelihood (Karush, Kuhn and
Tucker; Lindsay 1983). Intervals of the weights there are by the likelihood ratio.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import ndtri

from models.mixture import Floats, Mixture
from models.model import MixtureModel
from models.sample import Sample

# The weight of a component that is asked about: next to nothing, its square above underflow.
GHOST = 1e-120
# The gradient's maxima are looked for on bins of half an sd, the best PEAKS of them more closely,
# and between sds that are a factor FINE apart.
PEAKS, FINE, CLOSER = 48, 1.25, 8


class Ghosts(NamedTuple):
    """Lindsay's gradient D = sum c f_k/f - n of m components that the mixture f does not have.

    value: (m,), nats a unit of weight. by_mean, by_log_sd: (m,), its derivatives. bend: (m,), the
    second derivative by the mean.
    """

    value: Floats
    by_mean: Floats
    by_log_sd: Floats
    bend: Floats


class Peak(NamedTuple):
    """A component whose gradient is highest: its mean and sd, and D there.

    distance: the likelihood's slope in the weight, in standard errors; negative where it falls.
    """

    gradient: float
    distance: float
    mean: float
    sd: float


def gradient(data: Sample, mixture: Mixture, means: Floats, sds: Floats) -> Ghosts:
    """At means and sds (m,); Lindsay (1983), section 4. One pass."""
    t = data.moments(_with_ghosts(mixture, means, sds)).t[mixture.k :] / GHOST
    bend = (t[:, 2] - t[:, 0]) / sds**2
    return Ghosts(t[:, 0] - data.n, t[:, 1] / sds, t[:, 2] - t[:, 0], bend)


def _with_ghosts(mixture: Mixture, means: Floats, sds: Floats) -> Mixture:
    rows = np.stack([np.full(means.size, GHOST), means, sds])
    return Mixture.of_rows(np.hstack([mixture.as_rows(), rows]))


def in_errors(ratio: float, square: float, n: float, level: float) -> float:
    """D in standard errors, (sum c r - n)/sqrt(sum c (r - 1)^2), from the sums of c r and c r^2.

    level: in the place of the first n.

    Of a component that is the mixture itself both sums are nothing but rounding. The second is then
    as large as its terms round to, so that the quotient is about the root of that, and not any
    number.
    """
    rounding = 4.0 * np.finfo(float).eps * (square + 2.0 * abs(ratio) + n)
    return float((ratio - level) / np.sqrt(max(square - 2.0 * ratio + n, rounding)))


def multiplier(t: Floats, mixture: Mixture, free: NDArray[np.bool_], n: float) -> float:
    """What the sum of c f_k/f comes to for components (K,) whose weights are free, at a maximum.

    n, but where others are known. t: (K, 1 or more), of a pass.
    """
    return n if free.all() else float(t[free, 0].sum() / mixture.weights[free].sum())


def slope(
    data: Sample, mixture: Mixture, mean: float, sd: float, level: float | None = None
) -> Peak:
    """D of one component, and how many standard errors of it that is.

    level: in the place of n, the multiplier of a model that knows weights.
    """
    second = data.second_moments(_with_ghosts(mixture, np.array([mean]), np.array([sd])))
    k = mixture.k
    ratio, square = second.t[k, 0] / GHOST, second.cross[k, k] / GHOST**2
    level = data.n if level is None else level
    return Peak(ratio - level, in_errors(ratio, square, data.n, level), mean, sd)


def highest(
    data: Sample,
    mixture: Mixture,
    mean: float | None,
    sd: float | None,
    level: float | None = None,
) -> Peak:
    """The component with the highest gradient over all means, or all sds, that are not given."""
    if mean is None:
        assert sd is not None
        mean = _over_means(data, mixture, sd)
    elif sd is None:
        sd = _over_sds(data, mixture, mean)
    return slope(data, mixture, mean, sd, level)


def _over_means(data: Sample, mixture: Mixture, sd: float) -> float:
    """D is a sum of normal densities about the observations: binned first, then by Newton."""
    part = data.thinned(50_000, np.random.default_rng(0))
    low, width = float(part.x.min()), 0.5 * sd
    share = part.counts * np.exp(np.minimum(-mixture.log_density(part.x), 600.0))
    bins, index = np.unique(np.floor((part.x - low) / width), return_inverse=True)
    mass = np.bincount(index, share)
    places = np.unique(np.concatenate([bins + step for step in (-2, -1, 0, 1, 2)]))
    height = np.zeros(places.size)
    for step in range(-12, 13):
        found = np.searchsorted(bins, places + step)
        here = np.minimum(found, bins.size - 1)
        height += np.exp(-0.125 * step**2) * np.where(bins[here] == places + step, mass[here], 0.0)
    best = np.argsort(-height, kind="stable")[: 4 * PEAKS]
    top = np.array([i for i in best if height[i] >= height[max(i - 1, 0) : i + 2].max()][:PEAKS])
    means = low + width * (places[top] + 0.5)
    for _ in range(CLOSER):
        at = gradient(data, mixture, means, np.full(means.size, sd))
        with np.errstate(divide="ignore", invalid="ignore"):
            step_by_newton = -at.by_mean / at.bend
        uphill = np.sign(at.by_mean) * width
        means = means + np.where(at.bend < 0, np.clip(step_by_newton, -width, width), uphill)
    at = gradient(data, mixture, means, np.full(means.size, sd))
    return float(means[np.argmax(at.value)])


def _over_sds(data: Sample, mixture: Mixture, mean: float) -> float:
    part = data.thinned(50_000, np.random.default_rng(0))
    low, high = np.log(data.sd_floor), np.log(2.0 * np.abs(part.x - mean).max())
    logs = np.linspace(low, high, 2 + int((high - low) / np.log(FINE)))
    for _ in range(4):
        at = gradient(data, mixture, np.full(logs.size, mean), np.exp(logs))
        best, step = logs[np.argmax(at.value)], logs[1] - logs[0]
        logs = np.linspace(best - step, best + step, 2 * CLOSER + 1)
    return float(np.exp(best))


@dataclass(frozen=True, eq=False)
class Face:
    """What is left of a mixture and its model without the components that are gone.

    kept: (K,), which are there. own: (p', ), which coordinates of the whole model, the weights'
    apart, are the smaller one's.
    """

    model: MixtureModel
    mixture: Mixture
    kept: NDArray[np.bool_]
    own: NDArray[np.intp]


def face(mixture: Mixture, model: MixtureModel, gone: NDArray[np.bool_]) -> Face:
    """Without the components of the mask `gone` (K,)."""
    kept = ~gone
    smaller = MixtureModel.of_known(model.known[:, kept], model.equal_sds)
    rows = np.ascontiguousarray(mixture.as_rows()[:, kept])
    if model.weights is None:
        rows[0] /= rows[0].sum()
    else:
        rows[0] = smaller.admit(Mixture.of_rows(rows.copy())).weights
    at = model.n_free_weights
    means = at + np.flatnonzero(kept[model.free[1]])
    sds = [0] if model.equal_sds else np.flatnonzero(kept[model.free[2]])
    index = np.concatenate([means, at + model.n_free_means + np.asarray(sds, dtype=np.intp)])
    return Face(smaller, Mixture.of_rows(rows), kept, index)


def covariance_on(model: MixtureModel, left: Face, smaller: Floats) -> Floats:
    """(3K, 3K): the smaller model's (3K', 3K'); NaN for weights of 0 and what is free of theirs.

    Where one component is left its weight, one minus the others, has no error either.
    """
    k, kept = model.k, left.kept
    whole = np.zeros((3 * k, 3 * k))
    at = np.flatnonzero(np.tile(kept, 3))
    whole[np.ix_(at, at)] = smaller
    if model.equal_sds:  # one number, of all components
        source = np.arange(3 * k)
        source[2 * k :][~kept] = 2 * k + int(np.argmax(kept))
        whole = whole[np.ix_(source, source)]
    free = np.zeros((3, k), dtype=bool)
    some = kept & (model.free[0] if k > 1 else True)
    free[0] = ~kept | (some & (some.sum() == 1))
    free[1] = ~kept & model.free[1]
    free[2] = ~kept & model.free[2] & (not model.equal_sds)
    whole[free.ravel()], whole[:, free.ravel()] = np.nan, np.nan
    return whole


# Intervals -------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Boundary:
    """What intervals of weights at 0 are made of: the data, and the maximum on the boundary."""

    data: Sample
    model: MixtureModel
    mixture: Mixture

    def permuted(self, order: NDArray[np.intp]) -> Boundary:
        """The same with the components in another order (K,)."""
        return Boundary(self.data, self.model.permuted(order), self.mixture.permuted(order))

    def weights(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """Lower and upper ends (K,), by the likelihood ratio; NaN where weights are not at 0 or 1.

        The ratio is held against the chi-squared distribution of one degree of freedom, which at
        the boundary is conservative (Self and Liang 1987, case 5).
        """
        fall = 0.5 * float(ndtri(0.5 + 0.5 * level)) ** 2
        gone = self.mixture.weights == 0.0
        lower, upper = np.full((2, gone.size), np.nan)
        lower[gone] = 0.0
        for j in np.flatnonzero(gone).tolist():
            upper[j] = self._furthest(j, 1.0, fall)
        there = ~gone & (self.model.free[0] if gone.size > 1 else True)
        if there.sum() == 1:
            left = int(np.argmax(there))
            lower[left], upper[left] = self._furthest(left, -1.0, fall), self.model.room
        return lower, upper

    def _furthest(self, j: int, sign: float, fall: float) -> float:
        """The largest (sign 1) or smallest (-1) weight j whose likelihood is within `fall` nats."""
        own = self._within(j, sign, fall, self.mixture)
        anywhere = self.model.free[1] & (self.mixture.weights == 0)
        if not anywhere.any():
            return own
        ends = [own]
        for mean in self.mixture.means[self.mixture.weights > 0]:
            rows = self.mixture.as_rows()
            rows[1, anywhere] = mean
            ends.append(self._within(j, sign, fall, Mixture.of_rows(rows)))
        return max(ends) if sign > 0 else min(ends)

    def _within(self, j: int, sign: float, fall: float, start: Mixture) -> float:
        """From a start, by sequential quadratic programming."""
        k, model, data = self.model.k, self.model, self.data
        m = model.n_free_weights
        scale = np.concatenate([np.full(model.n_free_means, data.sd), np.ones(model.n_free_sds)])
        top = data.moments(self.mixture).loglik

        def mixture(y: Floats) -> Mixture:
            w = np.maximum(y[:k], GHOST)
            eta = np.concatenate([np.zeros(m), y[k:] * scale])
            rest = model.unpack(eta)
            return Mixture.trusted(w, rest.means.copy(), rest.sds.copy())

        def room(y: Floats) -> float:
            return (data.moments(mixture(y)).loglik - top) / fall + 1.0

        def room_slope(y: Floats) -> Floats:
            at = mixture(y)
            t = data.moments(at).t
            by_rest = np.concatenate([np.zeros(k - 1), t[:, 1] / at.sds, t[:, 2] - t[:, 0]])
            return (
                np.concatenate([t[:, 0] / at.weights, (model.selection.T @ by_rest)[m:] * scale])
                / fall
            )

        aim = np.zeros(k + scale.size)
        aim[j] = -sign
        ones = np.concatenate([np.ones(k), np.zeros(scale.size)])
        y = np.concatenate([start.weights, model.pack(start)[m:] / scale])
        known = model.known[0] if k > 1 else np.full(k, np.nan)
        within = [(0.0, 1.0) if np.isnan(w) else (w, w) for w in known.tolist()]
        found = minimize(
            lambda y: aim @ y,
            y,
            jac=lambda y: aim,
            method="SLSQP",
            bounds=within + [(None, None)] * scale.size,
            constraints=[
                {"type": "eq", "fun": lambda y: ones @ y - 1.0, "jac": lambda y: ones},
                {"type": "ineq", "fun": room, "jac": room_slope},
            ],
            options={"ftol": 1e-10, "maxiter": 200},
        )
        return float(found.x[j]) if found.success else np.nan
