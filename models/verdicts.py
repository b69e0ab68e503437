"""What a fit came to, beside its method's own word: one verdict each, from evidence.

The functions take arrays, one entry a fit, so that a study judges all its fits at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.mixture import Mixture
from models.model import MixtureModel

# In order of precedence, but that "certified" is what is left.
VERDICTS = (
    "failed",
    "singular",
    "sampled",
    "undersampled",
    "spurious",
    "stopped early",
    "other local maximum",
    "certified",
)
# A maximum is not believed where a component's sd is a fiftieth of the largest, or a tenth with
# fewer than five observations: such maxima come from a few values that chance put close together.
# Size alone is no evidence: three of the 82 galaxies do stand apart.
NARROW, NARROW_IF_SMALL, SMALL = 0.02, 0.1, 5.0
# Nats between two maxima that are not the same; certified ends of one maximum are within 1e-8.
SAME = 1e-6


def sd_ratio(mixture: Mixture, model: MixtureModel) -> float:
    """The smallest over the largest sd; 1 where the sds are known or common."""
    if model.sds is not None or model.equal_sds:
        return 1.0
    return float(mixture.sds.min() / mixture.sds.max())


def believable(mixture: Mixture, model: MixtureModel, n: float) -> bool:
    """Whether no component is so narrow, for its size, that the maximum is a spurious one."""
    if model.sds is not None or model.equal_sds:
        return True
    ratios = mixture.sds / mixture.sds.max()
    small = n * mixture.weights < SMALL
    return not np.any((ratios < NARROW) | (small & (ratios < NARROW_IF_SMALL)))


def judge(
    status: ArrayLike,
    draws: ArrayLike,
    certified: ArrayLike,
    trusted: ArrayLike,
    behind: ArrayLike,
) -> NDArray[np.str_]:
    """One of VERDICTS each.

    status: of the Fit.
    draws: whether the method draws from a posterior.
    certified: whether the certificate is.
    trusted: whether the maximum is `believable`, and a regular one.
    behind: nats below the best believable maximum that is known of.

    failed: no estimate.
    singular: a component collapsed onto a point.
    sampled, undersampled: a posterior whose chains agree, or do not.
    spurious: not trusted; the information of the objective may not be positive definite there.
    stopped early: not certified, so the Newton decrement says by how many standard errors.
    other local maximum: certified, but more than SAME nats behind.
    certified: none of these.
    """
    status, posterior = np.asarray(status), np.asarray(draws, dtype=bool)
    conditions = [
        status == "failed",
        status == "singular",
        posterior & (status == "ok"),
        posterior,
        ~np.asarray(trusted, dtype=bool),
        ~np.asarray(certified, dtype=bool),
        np.asarray(behind) > SAME,
    ]
    return np.select(conditions, list(VERDICTS[:-1]), VERDICTS[-1])
