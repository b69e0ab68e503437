"""Parametric bootstrap of a fitted mixture: refits of samples from it, or one Newton step each.

Every replicate starts from the estimate, and its components are then assigned to the estimate's:
where they overlap labels can change places, and would pass for sampling error.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from models import checks
from models.frame import Frame
from models.inference.certificate import standard_errors
from models.inference.intervals import percentile
from models.inference.newton import ascend, derivatives, newton_step
from models.mixture import Floats, Mixture, ParameterArray, alignment
from models.model import MixtureModel
from models.sample import Data

# A refit that ends with an sd below this share of the estimate's smallest was on its way onto a
# point.
COLLAPSED = 1e-4


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Parametric bootstrap of an estimate.

    estimate: what was sampled from.
    draws: (R, 3, K), the refits, components as in the estimate, data units.
    errors: (R, 3, K), the refits' own standard errors; NaN for single steps.
    failures: how many replicates are not among the draws, by reason: "singular" (a component
        collapsed onto a point) or "not-converged".
    """

    estimate: Mixture
    draws: Floats
    errors: Floats
    failures: Counter[str]

    @property
    def se(self) -> ParameterArray:
        """(3, K): standard deviations of the draws; inf where a single step went too far."""
        with np.errstate(over="ignore"):
            return ParameterArray.of(self.draws.std(axis=0, ddof=1))

    def percentile(self, level: float = 0.95) -> tuple[ParameterArray, ParameterArray]:
        """Lower and upper ends (3, K): the draws of `intervals.percentile`."""
        found = percentile(self.draws, level)
        return ParameterArray.of(found.lower), ParameterArray.of(found.upper)

    def basic(self, level: float = 0.95) -> tuple[ParameterArray, ParameterArray]:
        """Lower and upper ends (3, K): those of `percentile`, mirrored at the estimate.

        On the logit of a weight, a mean and a log sd, so that no end leaves the parameter space
        (Davison and Hinkley 1997, section 5.2).
        """
        lower, upper = self.percentile(level)
        return self._mirrored(upper), self._mirrored(lower)

    def studentised(self, se: Floats, level: float = 0.95) -> tuple[ParameterArray, ParameterArray]:
        """Lower and upper ends (3, K): by the refits' t statistics of those ranks.

        se (3, K): of the estimate. On the logit of a weight, a mean and a log sd (Davison and
        Hinkley 1997, section 5.2.1). NaN for single steps.
        """
        centre = self.estimate.as_rows()
        with np.errstate(divide="ignore", invalid="ignore"):
            t = (_free(self.draws) - _free(centre)) / (self.errors * _slopes(self.draws))
            low, high = percentile(t, level)
            spread = np.asarray(se) * _slopes(centre)
            ends = (_natural(_free(centre) - q * spread) for q in (high, low))
            lower, upper = (np.where(np.asarray(se) == 0, centre, end) for end in ends)
        return ParameterArray.of(lower), ParameterArray.of(upper)

    def _mirrored(self, ends: Floats) -> ParameterArray:
        centre = self.estimate.as_rows()
        with np.errstate(divide="ignore", invalid="ignore"):
            far = _natural(2.0 * _free(centre) - _free(np.asarray(ends)))
        # Parameters without spread stay, a single component's weight, whose logit is infinite, too.
        return ParameterArray.of(np.where(ends == centre, centre, far))


def _free(rows: Floats) -> Floats:
    """(..., 3, K): logits of the weights, means, log sds."""
    w, m, s = (rows[..., row, :] for row in range(3))
    return np.stack([logit(w), m, np.log(s)], axis=-2)


def _natural(free: Floats) -> Floats:
    w, m, s = (free[..., row, :] for row in range(3))
    return np.stack([expit(w), m, np.exp(s)], axis=-2)


def _slopes(rows: Floats) -> Floats:
    """(..., 3, K): derivatives of `_free`."""
    w, m, s = (rows[..., row, :] for row in range(3))
    return np.stack([1.0 / (w * (1.0 - w)), np.ones_like(m), 1.0 / s], axis=-2)


def bootstrap(
    model: MixtureModel,
    estimate: Mixture,
    n: int,
    replicates: int,
    rng: np.random.Generator,
    *,
    one_step: bool = False,
) -> Bootstrap:
    """Samples from the estimate, each fitted from there.

    Returns a Bootstrap, its draws in the order of the samples, less the failures. A refit goes on
    to a regular maximum of the likelihood. Efron and Tibshirani (1993), section 6.5.

    model: what is estimated.
    estimate: what is sampled from.
    n: observations of a sample, at least K.
    replicates: samples, at least 2; for intervals 199 or 999, see `intervals.percentile`.
    rng: that they are drawn with.
    one_step: one Newton step from the estimate in the place of a refit.

    Raises ValueError for numbers that are too small, and for an estimate on the boundary, a weight
    of 0, where the bootstrap is not consistent (Andrews 2000).
    """
    if not estimate.weights.all():
        raise ValueError(
            "estimate: has a weight of 0, on the boundary, where the bootstrap does not hold; take "
            "the profile likelihood"
        )
    n, replicates = checks.whole("n", n, model.k), checks.whole("replicates", replicates, 2)
    reach = 5.0 * estimate.sds
    frame = Frame.of((estimate.means - reach).min(), (estimate.means + reach).max())
    given, model, estimate = estimate, frame.model_inside(model), frame.mixture_inside(estimate)
    ones = np.ones(n)
    found: list[Floats] = []
    failures = Counter[str]()
    for _ in range(replicates):
        data = Data(estimate.sample(n, rng)[0], ones)
        refit = (_one_step if one_step else _refit)(data, model, estimate)
        if isinstance(refit, str):
            failures[refit] += 1
        else:
            found.append(refit)
    both = np.reshape(found, (-1, 2, 3, model.k))
    if model.exchangeable or model.partly_exchangeable:
        order = alignment(both[:, 0], estimate, model.kinds)
        both = np.take_along_axis(both, order[:, None, None], axis=-1)
    draws, own = frame.rows_outside(both[:, 0]), frame.errors_outside(both[:, 1])
    return Bootstrap(given, draws, own, failures)


def _refit(data: Data, model: MixtureModel, estimate: Mixture) -> Floats | str:
    """(2, 3, K): the refit and its standard errors, or why there is none."""
    point, regular = ascend(data, model, estimate)
    if point is None or _on_a_point(point.mixture, model, estimate):
        return "singular"
    if not regular:
        return "not-converged"
    se = standard_errors(point.mixture, model, point.information)
    return np.stack([point.mixture.as_rows(), se])


def _on_a_point(mixture: Mixture, model: MixtureModel, estimate: Mixture) -> bool:
    free = model.free[2]
    least = estimate.sds[free].min(initial=np.inf)
    return bool(mixture.sds[free].min(initial=np.inf) < COLLAPSED * least)


def _one_step(data: Data, model: MixtureModel, estimate: Mixture) -> Floats | str:
    point = derivatives(data, model, model.pack(estimate))
    found = None if point is None else newton_step(point.score, point.information)
    if point is None or found is None:
        return "not-converged"
    mixture = model.unpack(point.at + found[0])
    # A long step may take an sd to where its exponential underflows.
    if not mixture.finite or _on_a_point(mixture, model, estimate):
        return "singular"
    return np.stack([mixture.as_rows(), np.full((3, model.k), np.nan)])
