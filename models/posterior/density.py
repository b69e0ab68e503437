"""The marginalised Gaussian mixture in PyMC, and a posterior of it.

Data, counts, known parameters and the priors' numbers are put in after compilation. The model runs
on standardised data, (x - mean)/sd, so that starts and steps are free of scale.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from models.mixture import Floats, Mixture
from models.model import MixtureModel
from models.posterior.op import DATA, ENTRY, loglik_and_gradient
from models.priors import (
    Dirichlet,
    Flat,
    HalfStudentT,
    InverseGamma,
    LogInverseGamma,
    Normal,
    Prior,
    SharedScale,
    StudentT,
)
from models.sample import UNGUARDED, CompressedData, Data

if TYPE_CHECKING:
    import pymc as pm


PARAMETERS = ("weights", "means", "sds")

# Priors on the sds that are stated on the variances.
VARIANCES = (InverseGamma, SharedScale)

# Two components overlap where less than half of the mixture's variance lies between them, the
# squared tanh of this; and they are alike where the logs of their variances differ by less.
OVERLAP = math.atanh(math.sqrt(0.5))
ALIKE = 2.5


class Structure(NamedTuple):
    """What a compiled model depends on.

    k: number of components.
    means: class of the prior on the means; None where all are known.
    sds: class of the prior on the sds; None where all are known.
    equal_sds: whether there is one common sd.
    likelihood: "kernel", the compiled pass of likelihood.py; or "pymc", the idiomatic
        pm.NormalMixture, the baseline and the check.
    moments: whether points are in the coordinates of `to_moments`.
    known: by parameter, weights, means and sds, the components of which it is known.
    """

    k: int
    means: type | None
    sds: type | None
    equal_sds: bool
    likelihood: str = "kernel"
    moments: bool = False
    known: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] = ((), (), ())

    @property
    def sizes(self) -> tuple[int, int, int]:
        """How many weights, means and sds are estimated, a common sd once."""
        weights, means, sds = (self.k - len(known) for known in self.known)
        return weights, means, 1 if self.equal_sds else sds


def size(structure: Structure) -> int:
    """d, the number of a point's entries."""
    weights, means, sds = structure.sizes
    return max(weights - 1, 0) + means + sds


def data_names(structure: Structure) -> list[str]:
    """What is put into the model, all of them vectors, in the order of the compiled function."""
    names = [*_observations(structure)]
    priors = structure.sizes[0] > 1, *(f and fields(f) for f in (structure.means, structure.sds))
    for name, prior, known in zip(PARAMETERS, priors, structure.known, strict=True):
        names += [f"{name}_prior"] if prior else []
        names += [f"known_{name}"] if known else []
    return names


def _observations(structure: Structure) -> tuple[str, ...]:
    return DATA if structure.likelihood == "kernel" else ("x", "counts")


def first_value(name: str) -> Floats:
    """What stands in the model's place for the data of a name until they are set."""
    # The Op calls what stands at the entry, whatever the other data are.
    return ENTRY if name == "entry" else np.ones(2)


def build(structure: Structure, *, jacobian: bool) -> pm.Model:
    """The PyMC model of a structure, on two observations in place of the data.

    Its free values are, in this order and where they are not known: weights (by their log-ratios),
    means, and variances, sds or log sds, whichever the prior is stated on.
    Its data are those of `data_names`. jacobian: what `density_function` will be asked for.
    """
    import pymc as pm
    import pytensor.tensor as pt

    k, (m, n_means, n_sds) = structure.k, structure.sizes
    with pm.Model(check_bounds=False) as model:
        data = {name: pm.Data(name, first_value(name)) for name in _observations(structure)}
        log_weights: Any = pt.zeros(1)
        if m > 1 and structure.likelihood == "pymc":
            concentration = pm.Data("weights_prior", np.ones(2))[0]
            log_weights = pt.log(pm.Dirichlet("weights", concentration * pt.ones(m)))
        elif m > 1:
            log_weights = _log_weights(m, jacobian)
        if structure.known[0]:
            log_weights = _with_known_weights(log_weights, structure)
        if structure.moments:
            means, sds = _by_moments(structure, log_weights)
        else:
            means = _with_known("means", _variable("means", structure.means, n_means), structure)
            sds = _variable("sds", structure.sds, n_sds)
        if structure.sds in VARIANCES:
            sds = pt.sqrt(sds)
        elif structure.sds is LogInverseGamma:
            sds = pt.exp(sds)
        sds = _with_known("sds", sds, structure)
        if structure.likelihood == "pymc":
            mixture = pm.NormalMixture.dist(w=pt.exp(log_weights), mu=means, sigma=sds)
            loglik: Any = pt.sum(data["counts"] * pm.logp(mixture, data["x"]))
        else:
            log_sds = pt.log(sds) * pt.ones(k)
            inputs = (log_weights, means, log_sds, *data.values())
            loglik = loglik_and_gradient.make_node(*inputs).outputs[0]
        pm.Potential("loglik", loglik)
    return model


def _log_weights(k: int, jacobian: bool) -> Any:
    """Log weights (K,) with a Dirichlet prior, in the coordinates of PyMC's own transform.

    These are the first K - 1 centred log-ratios y, and the weights softmax(y, -sum y), with the
    Jacobian K prod w. The density is then a power of prod w, and takes a third of the operations
    of pm.Dirichlet with its transform, half of the time of a gradient of a small sample.
    """
    import pymc as pm
    import pytensor.tensor as pt
    from pytensor.tensor.special import log_softmax

    prior = pm.Data("weights_prior", np.ones(2))
    ratios = pm.Flat("weights", shape=k - 1)
    log_weights = log_softmax(pt.concatenate([ratios, -pt.sum(ratios, keepdims=True)]), axis=0)
    power = prior[0] if jacobian else prior[0] - 1.0
    constant = prior[1] + (math.log(k) if jacobian else 0.0)
    pm.Potential("weights_density", power * pt.sum(log_weights) + constant)
    return log_weights


def _with_known_weights(log_shares: Any, structure: Structure) -> Any:
    """Log weights (K,) from the log shares (m,) of those that are estimated in what is left."""
    import pymc as pm
    import pytensor.tensor as pt

    given = pm.Data("known_weights", np.full(len(structure.known[0]), 0.5 / structure.k))
    if structure.sizes[0] == 0:
        return pt.log(given)
    left = pt.log(1.0 - pt.sum(given))
    return _in_places(log_shares + left, pt.log(given), structure.known[0], structure.k)


def _with_known(name: str, free: Any, structure: Structure) -> Any:
    """(K,): what is estimated, and what is known in its place."""
    import pymc as pm

    known = structure.known[PARAMETERS.index(name)]
    if not known:
        return free
    given = pm.Data(f"known_{name}", np.ones(len(known)))
    if len(known) == structure.k:
        return given
    return _in_places(free, given, known, structure.k)


def _in_places(free: Any, given: Any, known: tuple[int, ...], k: int) -> Any:
    """(K,): the given ones in the places that are known, the free ones in the others."""
    import pytensor.tensor as pt

    others = [j for j in range(k) if j not in known]
    at = {j: given[i] for i, j in enumerate(known)} | {j: free[i] for i, j in enumerate(others)}
    return pt.stack([at[j] for j in range(k)])


def _variable(name: str, family: type | None, size: int) -> Any:
    import pymc as pm

    if family is None:
        return None
    if family is Normal:  # a location for each component, and the sd
        hyper = pm.Data(f"{name}_prior", np.ones(size + 1))
        return pm.Normal(name, hyper[:size], hyper[size], shape=size)
    if family is SharedScale:
        return _variances(size)
    if family in (StudentT, HalfStudentT):
        values = (pm.Flat if family is StudentT else pm.HalfFlat)(name, shape=size)
        _student(name, values)
        return values
    n = len(fields(family))
    hyper = pm.Data(f"{name}_prior", np.ones(n)) if n else []
    if family is LogInverseGamma:
        return _log_sds(name, hyper[0], hyper[1], size)
    positive_flat = name == "sds" and family is Flat
    distribution = pm.HalfFlat if positive_flat else getattr(pm, family.__name__)
    return distribution(name, *(hyper[i] for i in range(n)), shape=size)


def _student(name: str, values: Any) -> None:
    """The density of means under a StudentT, or of sds under a HalfStudentT.

    PyMC's own finds gamma functions anew each time, takes a reciprocal for the one and for the
    other the log of 2 in single precision.
    """
    import pymc as pm
    import pytensor.tensor as pt

    hyper = pm.Data(f"{name}_prior", np.ones(4))
    df, location, scale, constant = (hyper[i] for i in range(4))
    logs = pt.log1p(((values - location) / scale) ** 2 / df)
    density = values.shape[0] * constant - 0.5 * (df + 1.0) * pt.sum(logs)
    pm.Potential(f"{name}_density", density)


def _log_sds(name: str, prior_shape: Any, prior_scale: Any, size: int) -> Any:
    """Half the logs of inverse-gamma variances, (size,): PyMC derives the density."""
    import pymc as pm
    import pytensor.tensor as pt

    def half_log(shape: Any, scale: Any, _: Any) -> Any:
        # Not of the size that PyMC hands over, which would leave the length of a point unknown.
        return 0.5 * pt.log(pm.InverseGamma.dist(shape, scale, shape=size))

    return pm.CustomDist(name, prior_shape, prior_scale, dist=half_log, shape=size)


def _variances(size: int) -> Any:
    """Variances (size,) of a SharedScale."""
    import pymc as pm
    import pytensor.tensor as pt

    variances = pm.HalfFlat("sds", shape=size)
    _share_a_scale(pt.log(variances))
    return variances


def _share_a_scale(logs: Any) -> None:
    """The density of variances, given by their logs, under a SharedScale."""
    import pymc as pm
    import pytensor.tensor as pt

    hyper = pm.Data("sds_prior", np.ones(5))
    shape, finest, rate, power, constant = (hyper[i] for i in range(5))
    total: Any = pt.sum(pt.exp(-logs))  # PyTensor's reciprocals are single precision in Python
    density = -(shape + 1.0) * pt.sum(logs) - finest * total - power * pt.log(rate + total)
    pm.Potential("sds_density", density + constant)


def _by_moments(structure: Structure, log_weights: Any) -> tuple[Any, Any]:
    """Means (2,) and variances (2,) of two components by the coordinates of `to_moments`.

    With the prior's density and the Jacobian of all transforms.
    """
    import pymc as pm
    import pytensor.tensor as pt

    mean, log_variance, between, ratio = pm.Flat("moments", shape=4)
    first, second = log_weights[0], log_weights[1]
    distance = pt.tanh(between) * pt.exp(0.5 * (log_variance - first - second))
    means = mean + distance * pt.stack([-pt.exp(second), pt.exp(first)])
    within = log_variance + 2.0 * between + math.log(4.0) - 2.0 * pt.softplus(2.0 * between)
    split = first - second + ratio
    logs: Any = within - pt.stack([pt.softplus(-split) + first, pt.softplus(split) + second])
    if structure.means is Normal:
        hyper = pm.Data("means_prior", np.ones(3))
        pm.Potential("means_density", pt.sum(pm.logp(pm.Normal.dist(hyper[:2], hyper[2]), means)))
    elif structure.means is StudentT:
        _student("means", means)
    if structure.sds is SharedScale:
        _share_a_scale(logs)
    else:
        hyper = pm.Data("sds_prior", np.ones(2))
        of_one = pm.InverseGamma.dist(hyper[0], hyper[1])
        pm.Potential("sds_density", pt.sum(pm.logp(of_one, pt.exp(logs))))
    jacobian = pt.sum(logs) + 0.5 * (log_variance - first - second)
    pm.Potential("jacobian", jacobian)
    return means, pt.exp(logs)


def to_moments(points: Floats) -> Floats:
    """Points (..., 5) of two components, variances last, in coordinates of the mixture's moments.

    Weights as they are; the mean and the log variance of the mixture, which the data know best; the
    inverse hyperbolic tangent of u, the signed root of the share of that variance that lies between
    the components; and the log of the ratio of their variances. After Mengersen and Robert (1996)
    and Kamary, Lee and Robert (2018). The Jacobian of the way back is the root of variance/(w1 w2).
    """
    y, means, logs = points[..., 0], points[..., 1:3], points[..., 3:]
    weights = np.stack([expit(2.0 * y), expit(-2.0 * y)], axis=-1)
    mean = (weights * means).sum(axis=-1)
    distance = means[..., 1] - means[..., 0]
    within = (weights * np.exp(logs)).sum(axis=-1)
    apart = np.sqrt(weights.prod(axis=-1)) * distance
    # tanh of it is apart over the root of the variance, so its sinh is apart over that of within.
    between = np.arcsinh(apart / np.sqrt(within))
    ratio = logs[..., 0] - logs[..., 1]
    return np.stack([y, mean, np.log(within + apart**2), between, ratio], axis=-1)


def of_moments(points: Floats) -> Floats:
    """The points (..., 5) that `to_moments` takes to these."""
    y, mean, log_variance, between, ratio = np.moveaxis(points, -1, 0)
    first, second = -np.logaddexp(0.0, -2.0 * y), -np.logaddexp(0.0, 2.0 * y)
    distance = np.tanh(between) * np.exp(0.5 * (log_variance - first - second))
    within = log_variance - 2.0 * np.logaddexp(between, -between) + math.log(4.0)
    split = 2.0 * y + ratio
    return np.stack(
        [
            y,
            mean - np.exp(second) * distance,
            mean + np.exp(first) * distance,
            within - np.logaddexp(0.0, -split) - first,
            within - np.logaddexp(0.0, split) - second,
        ],
        axis=-1,
    )


def density_function(model: pm.Model, *, jacobian: bool) -> Any:
    """PyTensor's function of a point (d,) and the model's data: log posterior and gradient."""
    import pymc as pm
    import pytensor.tensor as pt
    from pytensor.graph.replace import clone_replace

    sizes = [variable.type.shape[0] for variable in model.value_vars]
    point = pt.vector("point", shape=(sum(sizes),))
    ends = np.cumsum(sizes)
    parts = [point[end - size : end] for size, end in zip(sizes, ends, strict=True)]
    data = [variable.type(variable.name) for variable in model.data_vars]
    given: Any = dict(zip([*model.value_vars, *model.data_vars], [*parts, *data], strict=True))
    logp: Any = model.logp(jacobian=jacobian)
    gradient: Any = pt.concatenate(pt.grad(logp, model.value_vars))
    with model:  # whose check_bounds=False leaves out the checks of the priors' numbers
        outputs = clone_replace([logp, gradient], given)
        return pm.compile([point, *data], outputs, trust_input=True)


@dataclass(frozen=True, eq=False)
class Posterior:
    """One data set's posterior, and the map between its mixtures and the model's points.

    A point (d,) holds the model's free values as PyMC transforms them, of standardised data:
    the first K - 1 centred log-ratios of the weights, the means, and the logs of the variances, or
    of the sds, where the prior is not stated on the variances; or, if `moments`, what `to_moments`
    makes of these.
    Flat weights run as Dirichlet(1), which is the same but for a constant.
    """

    data: Data | CompressedData
    model: MixtureModel
    prior: Prior
    likelihood: str = "kernel"
    moments: bool = False

    @property
    def by_moments(self) -> Posterior:
        """The same with points in the coordinates of `to_moments`, where there are such."""
        known = self.model.k != 2 or self.model.n_free != 5
        families = isinstance(self.prior.sds, VARIANCES) and self.likelihood == "kernel"
        return self if known or not families else replace(self, moments=True)

    def suited_to(self, start: Mixture) -> Posterior:
        """The same in the coordinates in which NUTS works better near a start.

        By moments where two components of like size overlap: there an effective draw takes a third
        to nine tenths of the gradients. Where they are apart it would take twice as many, and four
        times as many where one is much narrower.
        """
        other = self.by_moments
        if not other.moments:
            return self
        between, ratio = other.point(start)[3:]
        return other if abs(between) < OVERLAP and abs(ratio) < ALIKE else self

    @cached_property
    def structure(self) -> Structure:
        """The key of the compiled model."""
        return Structure(
            self.model.k,
            type(self.prior.means) if self.model.n_free_means else None,
            type(self.prior.sds) if self.model.n_free_sds else None,
            self.model.equal_sds,
            self.likelihood,
            self.moments,
            self._known,
        )

    @property
    def _known(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        weights, means, sds = (tuple(np.flatnonzero(~row).tolist()) for row in self.model.free)
        return (() if self.model.weights is None else weights), means, sds

    @cached_property
    def shared(self) -> dict[str, Floats]:
        """The compiled model's data by name: observations, known parameters, priors' numbers."""
        data, model = self.data, self.model
        standard = self.prior.standardised(data.mean, data.sd)
        nothing = np.zeros(0)
        shared = dict.fromkeys(DATA, nothing)
        if isinstance(data, Data):
            x, counts = data.x, data.counts
        else:
            x, counts = data.compressed.nodes
            cells = data.compressed.geometry - [data.mean, 0.0, 0.0]
            if isinstance(data.exact, Data):
                shared["exact_x"] = (data.exact.x - data.mean) / data.sd
                shared["exact_counts"] = data.exact.counts
            shared |= {
                "cells": (cells / [data.sd, data.sd, 1.0]).ravel(),
                "tolerance": np.array([data.tolerance]),
                "tally": data.exact_passes,
            }
        shared |= {"x": (x - data.mean) / data.sd, "counts": counts, "entry": ENTRY}
        names = data_names(self.structure)
        shared = {name: value for name, value in shared.items() if name in names}
        if model.n_free_weights:
            weights = standard.weights if isinstance(standard.weights, Dirichlet) else Dirichlet()
            shared["weights_prior"] = np.array(
                [weights.concentration, weights.log_constant(model.n_free_weights + 1)]
            )
        weights, means, sds = (
            row[~free] for row, free in zip(model.known, model.free, strict=True)
        )
        given = {
            "known_weights": weights,
            "known_means": (means - data.mean) / data.sd,
            "known_sds": sds / data.sd,
        }
        shared |= {name: value for name, value in given.items() if name in names}
        if model.n_free_means and isinstance(standard.means, Normal):
            locations = standard.means.locations(model.k)[model.free[1]]
            shared["means_prior"] = np.append(locations, standard.means.sd)
        elif model.n_free_means and isinstance(standard.means, StudentT):
            student = standard.means
            numbers = student.df, student.location, student.scale, student.log_constant
            shared["means_prior"] = np.array(numbers)
        if not model.n_free_sds:
            return shared
        if isinstance(standard.sds, SharedScale):
            own, m = standard.sds, model.n_free_sds
            joint = own.power(m), own.log_constant(m)
            shared["sds_prior"] = np.array([own.shape, own.finest, 1.0 / own.widest, *joint])
        elif isinstance(standard.sds, HalfStudentT):
            half = standard.sds
            shared["sds_prior"] = np.array([half.df, 0.0, half.scale, half.log_constant])
        elif astuple(standard.sds):
            shared["sds_prior"] = np.array(astuple(standard.sds))
        return shared

    @property
    def exchangeable(self) -> bool:
        """Whether permuting the components leaves the posterior as it is."""
        return self.model.exchangeable and self.prior.exchangeable

    @property
    def kinds(self) -> NDArray[np.intp]:
        """(K,): a number for each component, the same for those that may change places."""
        return self.model.kinds if self.prior.exchangeable else np.arange(self.model.k)

    @property
    def _power(self) -> float:
        return 2.0 if isinstance(self.prior.sds, VARIANCES) else 1.0

    @property
    def guard(self) -> float:
        """Of the data's floor, below which an sd is a collapse: next to nothing for a penalty."""
        return UNGUARDED if isinstance(self.prior.sds, LogInverseGamma) else 1.0

    def point(self, mixture: Mixture) -> Floats:
        """(d,): the mixture's point."""
        _, free_means, free_sds = self.model.free
        log_weights = np.log(np.maximum(self.model.shares(mixture), 1e-300))
        sds = mixture.sds[:1] if self.model.equal_sds else mixture.sds[free_sds]
        parts = [
            (log_weights - log_weights.mean())[: self.model.n_free_weights],
            (mixture.means[free_means] - self.data.mean) / self.data.sd,
            self._power * np.log(sds / self.data.sd),
        ]
        point = np.concatenate(parts)
        return to_moments(point) if self.moments else point

    def rows(self, points: Floats) -> Floats:
        """(..., 3, K): weights, means and sds of the standardised data at the points (..., d)."""
        model, data = self.model, self.data
        points = of_moments(points) if self.moments else points
        logits, means, log_sds = np.split(
            points, [model.n_free_weights, points.shape[-1] - model.n_free_sds], axis=-1
        )
        logits = np.concatenate([logits, -logits.sum(axis=-1, keepdims=True)], axis=-1)
        weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        known = model.known
        rows = np.empty((*points.shape[:-1], 3, model.k))
        rows[...] = np.stack([known[0], (known[1] - data.mean) / data.sd, known[2] / data.sd])
        if model.n_free_weights:
            rows[..., 0, model.free[0]] = weights if model.weights is None else model.room * weights
        rows[..., 1, model.free[1]] = means
        rows[..., 2, model.free[2]] = np.exp(log_sds / self._power)
        return rows

    def in_data_units(self, rows: Floats) -> Floats:
        """Rows (..., 3, K) of the standardised data in data units; known parameters exactly."""
        model, data = self.model, self.data
        weights, means, sds = np.moveaxis(rows, -2, 0)
        moved = np.stack([weights, data.mean + data.sd * means, data.sd * sds], -2)
        return np.where(model.free, moved, model.known)

    def oriented(self, start: Mixture) -> Mixture:
        """The start, its components in the order that the prior likes best, if it likes one."""
        return self.prior.oriented(start) if self.model.exchangeable else start

    def mixture(self, point: Floats) -> Mixture:
        """The mixture at a point (d,)."""
        return Mixture.of_rows(self.in_data_units(self.rows(point)))

    def bounds(self) -> list[tuple[float, float]]:
        """By entry of a point: wide enough for any mode, and no overflow within them.

        The lowest sds lie below the data's floor, so a search that falls there is a collapse.
        """
        model = self.model
        lowest = np.log(0.1 * self.guard * self.data.sd_floor / self.data.sd)
        return [
            *[(-100.0, 100.0)] * model.n_free_weights,
            *[(-np.inf, np.inf)] * model.n_free_means,
            *[(self._power * lowest, self._power * 20.0)] * model.n_free_sds,
        ]

    def derivatives(self, mixture: Mixture) -> tuple[Floats, Floats]:
        """Score (n_free,) and information (n_free, n_free) of the log posterior, no Jacobian."""
        return self.prior.derivatives(mixture, self.model, self.data)
