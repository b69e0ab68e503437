"""Parametric bootstrap of a fitted mixture: refits of samples from it, or one Newton step each.

Every replicate starts from the estimate, and its components are then assigned to the estimate's:
where they overlap labels can change places, and would pass for sampling error.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from models.intervals import equal_tailed
from models.mixture import Floats, Mixture, ParameterArray, aligned
from models.model import MixtureModel
from models.newton import ascend, derivatives, newton_step
from models.problem import Data

# A refit that ends with an sd below this multiple of the floor was on its way onto a point.
COLLAPSED = 100.0


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """estimate: what was sampled from. draws (R, 3, K): the refits, components as in the estimate.

    failures: how many replicates are not among the draws, by reason: "singular" (a component
    collapsed onto a point) or "not-converged".
    """

    estimate: Mixture
    draws: Floats
    failures: Counter[str]

    @property
    def se(self) -> ParameterArray:
        """(3, K): standard deviations of the draws."""
        return ParameterArray.of(self.draws.std(axis=0, ddof=1))

    def percentile(self, level: float = 0.95) -> tuple[ParameterArray, ParameterArray]:
        """Lower and upper ends (3, K): quantiles of the draws."""
        found = equal_tailed(self.draws, level)
        return ParameterArray.of(found.lower), ParameterArray.of(found.upper)

    def basic(self, level: float = 0.95) -> tuple[ParameterArray, ParameterArray]:
        """Lower and upper ends (3, K): those of `percentile`, mirrored at the estimate.

        On the logit of a weight, a mean and a log sd, so that no end leaves the parameter space
        (Davison and Hinkley 1997, section 5.2).
        """
        lower, upper = self.percentile(level)
        return self._mirrored(upper), self._mirrored(lower)

    def _mirrored(self, ends: Floats) -> ParameterArray:
        centre = self.estimate.as_rows()
        (w, m, s), (w0, m0, s0) = np.asarray(ends), centre
        with np.errstate(invalid="ignore"):
            far = np.stack([expit(2.0 * logit(w0) - logit(w)), 2.0 * m0 - m, s0 * (s0 / s)])
        # Parameters without spread stay, a single component's weight, whose logit is infinite, too.
        return ParameterArray.of(np.where(ends == centre, centre, far))


def bootstrap(
    model: MixtureModel,
    estimate: Mixture,
    n: int,
    replicates: int,
    rng: np.random.Generator,
    *,
    one_step: bool = False,
) -> Bootstrap:
    """`replicates` samples of n observations from the estimate, each fitted from there.

    A refit goes on to a regular maximum of the likelihood, or with one_step by one Newton step.
    Efron and Tibshirani (1993), section 6.5. The draws come in the order of the samples, less
    the failures. Raises ValueError for numbers that are too small.
    """
    for name, value, least in (("n", n, model.k), ("replicates", replicates, 2)):
        if value < least:
            raise ValueError(f"{name}: {value!r} is too few; give at least {least}")
    ones = np.ones(n)
    found: list[Floats] = []
    failures = Counter[str]()
    for _ in range(replicates):
        data = Data(estimate.sample(n, rng)[0], ones)
        mixture, reason = (_one_step if one_step else _refit)(data, model, estimate)
        if reason:
            failures[reason] += 1
        else:
            found.append(mixture.as_rows())
    draws = np.reshape(found, (-1, 3, model.k))
    return Bootstrap(estimate, aligned(draws, estimate) if model.exchangeable else draws, failures)


def _refit(data: Data, model: MixtureModel, estimate: Mixture) -> tuple[Mixture, str]:
    point, regular = ascend(data, model, estimate)
    if point is None or data.collapsed(point.mixture, model, COLLAPSED):
        return estimate, "singular"
    return point.mixture, "" if regular else "not-converged"


def _one_step(data: Data, model: MixtureModel, estimate: Mixture) -> tuple[Mixture, str]:
    point = derivatives(data, model, model.pack(estimate))
    found = None if point is None else newton_step(point.score, point.information)
    if point is None or found is None:
        return estimate, "not-converged"
    return model.unpack(point.at + found[0]), ""
