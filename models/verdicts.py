"""What a fit came to, beside its method's own word: one verdict each, from evidence.

The functions take arrays, one entry a fit, so that a study judges all its fits at once.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.mixture import Mixture
from models.model import MixtureModel
from models.sample import CompressedData, Data, Sample, StreamedData, Uncertified

# In order of precedence, but that "certified" is what is left.
VERDICTS = (
    "failed",
    "singular",
    "sampled",
    "undersampled",
    "component not needed",
    "spurious",
    "not identified",
    "stopped early",
    "other local maximum",
    "boundary",
    "certified",
)
# Of fits that came to what their method is for.
GOOD = ("certified", "boundary", "sampled")
# Of ends that are, or lead to, a maximum that there is evidence for.
BELIEVED = ("certified", "boundary", "other local maximum", "stopped early", "not identified")
# A component is narrow whose sd is below this share of what is about it without it.
NARROW = 0.1
# Distinct values that a narrow component must have within REACH of its sds: fewer are what
# rounding or one repeated value leaves.
FEWEST, REACH = 5, 3.0
# Nats that a narrow component must gain beyond those of the place that it was chosen from. Of the
# best of the narrow maxima of a sample without such components 5% gain as much.
SPURIOUS = 2.5
# Nats between two maxima that are not the same; certified ends of one maximum are within 1e-8.
SAME = 1e-6


def sd_ratio(mixture: Mixture, model: MixtureModel) -> float:
    """The smallest over the largest sd; 1 where all sds are known or one is common."""
    if not model.n_free_sds or model.equal_sds:
        return 1.0
    return float(mixture.sds.min() / mixture.sds.max())


def believable(
    mixture: Mixture, model: MixtureModel, data: Sample, loglik: float | None = None
) -> bool:
    """Whether there is evidence for every component that is narrow: else the maximum is spurious.

    Without a narrow component k, or with one that is no longer narrow, let the density be f. Of the
    1/(f(mean_k) sd_k) places of its size that are as probable under f, one was chosen, so that
    a gain of the log of their number is chance (the size-dependent critical values of scan
    statistics; Walther 2022). The component is believed if it gains SPURIOUS nats more than that
    against both, on FEWEST distinct values or more. A pass or two for each narrow one, none if
    there is none.

    loglik: of the data at the mixture, if it is known.
    """
    if not model.n_free_sds or model.equal_sds or mixture.k == 1:
        return True
    suspects = _narrow(mixture, model)
    if not suspects:
        return True
    loglik = data.moments(mixture).loglik if loglik is None else loglik
    return all(_evident(mixture, data, k, loglik) for k in suspects)


def on_a_point(mixture: Mixture, model: MixtureModel, data: Sample) -> int | None:
    """A component with one value of the data in REACH, if there is one: its sd only shrinks."""
    if not model.n_free_sds or model.equal_sds or mixture.k == 1:
        return None
    for k in _narrow(mixture, model):
        reach = REACH * mixture.sds[k]
        if _distinct(data, mixture.means[k] - reach, mixture.means[k] + reach) == 1:
            return k
    return None


def _narrow(mixture: Mixture, model: MixtureModel) -> list[int]:
    """Components with weight whose sds are not known, and below NARROW times the largest."""
    there = mixture.weights > 0.0
    found: list[int] = np.flatnonzero(
        there & model.free[2] & (mixture.sds < NARROW * mixture.sds[there].max())
    ).tolist()
    return found


def _evident(mixture: Mixture, data: Sample, k: int, loglik: float) -> bool:
    """Whether component k is not narrow, or there is evidence that it is."""
    mean, sd = mixture.means[k], mixture.sds[k]
    others = mixture.as_rows()
    others[0, k] = 0.0
    if not others[0].any():
        return True
    others[0] /= others[0].sum()
    rest = Mixture.trusted(*others)
    about = float(np.sqrt(rest.responsibilities(mean[None])[0] @ mixture.sds**2))
    if sd >= NARROW * about:
        return True
    wider = mixture.as_rows()
    wider[2, k] = about
    for without in (rest, Mixture.trusted(*wider)):
        chance = -float(without.log_density(mean[None])[0]) - float(np.log(sd))
        try:
            gained = loglik - data.moments(without).loglik
        except Uncertified:
            return False
        if not gained > chance + SPURIOUS:
            return False
    return _distinct(data, mean - REACH * sd, mean + REACH * sd) >= FEWEST


def _distinct(data: Sample, low: float, high: float) -> int:
    """How many different values there are between two ends; of a streamed sample, of its cells."""
    exact = data.exact if isinstance(data, CompressedData) else data
    x = exact.rows.x if isinstance(exact, StreamedData) else cast(Data, exact).x
    return int(np.unique(x[(x >= low) & (x <= high)]).size)


def judge(
    status: ArrayLike,
    draws: ArrayLike,
    certified: ArrayLike,
    trusted: ArrayLike,
    behind: ArrayLike,
    place: ArrayLike = "interior",
) -> NDArray[np.str_]:
    """One of VERDICTS each.

    status: of the Fit.
    draws: whether the method draws from a posterior.
    certified: whether the certificate is.
    trusted: whether the maximum is `believable`, and a regular one.
    behind: nats below the best believable maximum that is known of.
    place: of the certificate, where there is one.

    failed: no estimate.
    singular: a component collapsed onto a point.
    sampled, undersampled: a posterior whose chains agree, or do not.
    component not needed: one has vanished which the likelihood does not miss; with free means and
        sds no maximum is there, for some other component always gains.
    spurious: not trusted; the information of the objective may not be positive definite there.
    not identified: stationary, and the information singular but for rounding.
    stopped early: not certified, so the Newton decrement says by how many standard errors.
    other local maximum: certified, but more than SAME nats behind.
    boundary: certified, weights of 0 among the estimates.
    certified: none of these.
    """
    place, status, posterior = np.asarray(place), np.asarray(status), np.asarray(draws, dtype=bool)
    conditions = [
        status == "failed",
        status == "singular",
        posterior & (status == "ok"),
        posterior,
        place == "not needed",
        ~np.asarray(trusted, dtype=bool),
        place == "not identified",
        ~np.asarray(certified, dtype=bool),
        np.asarray(behind) > SAME,
        place == "boundary",
    ]
    return np.select(conditions, list(VERDICTS[:-1]), VERDICTS[-1])
