"""One pass over the data: log-likelihood, responsibility moments, score, information.

Everything that EM, direct maximisation, certificates and standard errors need of the data are
sums over observations of c_i t_ik z_ik^p, with responsibilities t_ik, z_ik = (x_i - mean_k)/sd_k
and counts c_i. `moments` gives the log-likelihood and p = 0, 1, 2 (all of EM and of the score);
`second_moments` adds p = 3, 4 and the cross products that the observed information needs.
`reference_moments` is the same in textbook NumPy: the reading copy, and the oracle of the tests.

The compiled pass works through blocks of observations that stay in the first-level cache, with
exp and log written out so that the loops vectorise.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from models import kernels
from models.kernels import Sample
from models.mixture import Floats, Mixture
from models.model import MixtureModel

_NO_CROSS = np.zeros((0, 0))
# Of a sample that is not compressed.
_NOTHING, _NO_CELLS, _NO_TALLY = (
    kernels.fixed(np.zeros(0)),
    kernels.fixed(np.zeros((0, 3))),
    np.zeros(0),
)


class Moments(NamedTuple):
    """Sums over a sample.

    loglik: nats, of the data, all constants included.
    t: (K, 3), sums of c t z^p, p = 0, 1, 2.
    """

    loglik: float
    t: Floats


class SecondMoments(NamedTuple):
    """Sums over a sample, with what the observed information needs.

    loglik: nats, of the data, all constants included.
    t: (K, 5), sums of c t z^p, p = 0, ..., 4.
    cross: (3K, 3K), sums of c u u', u = (t, t z, t z^2).
    """

    loglik: float
    t: Floats
    cross: Floats


def reference_moments(mixture: Mixture, x: Floats, counts: Floats) -> Moments:
    """`moments` as a textbook writes it: x (n,), counts (n,)."""
    t = counts[:, None] * mixture.responsibilities(x)
    z = (x[:, None] - mixture.means) / mixture.sds
    loglik = float(counts @ mixture.log_density(x))
    return Moments(loglik, np.stack([(t * z**p).sum(axis=0) for p in range(3)], axis=1))


def reference_second_moments(mixture: Mixture, x: Floats, counts: Floats) -> SecondMoments:
    """`second_moments` as a textbook writes it: x (n,), counts (n,)."""
    t = mixture.responsibilities(x)
    z = (x[:, None] - mixture.means) / mixture.sds
    u = np.hstack([t, t * z, t * z * z])
    sums = np.stack([(counts[:, None] * t * z**p).sum(axis=0) for p in range(5)], axis=1)
    return SecondMoments(float(counts @ mixture.log_density(x)), sums, (counts[:, None] * u).T @ u)


def moments(mixture: Mixture, x: Floats, counts: Floats) -> Moments:
    """One compiled pass over x (n,), float64 and contiguous, with counts (n,)."""
    t = np.zeros((mixture.k, 3))
    return Moments(_pass(mixture, x, counts, t, _NO_CROSS), t)


def second_moments(mixture: Mixture, x: Floats, counts: Floats) -> SecondMoments:
    """One compiled pass that also gathers what the observed information needs."""
    k = mixture.k
    t, cross = np.zeros((k, 5)), np.zeros((3 * k, 3 * k))
    return SecondMoments(_pass(mixture, x, counts, t, cross), t, cross)


def _pass(mixture: Mixture, x: Floats, counts: Floats, t: Floats, cross: Floats) -> float:
    w, means, sds = mixture.weights, mixture.means, mixture.sds
    x, counts, entry = kernels.fixed(x), kernels.fixed(counts), kernels.pass_entry()
    return float(kernels.plain_pass(entry, w, means, sds, x, counts, t, cross))


def guarded_moments(mixture: Mixture, sample: Sample) -> Moments:
    """`moments` of nodes or the exact sample; the log-likelihood is -inf where it is neither."""
    t = np.zeros((mixture.k, 3))
    w, means, sds = mixture.weights, mixture.means, mixture.sds
    return Moments(kernels.run_pass(sample, w, means, sds, t, _NO_CROSS), t)


def guarded_second_moments(mixture: Mixture, sample: Sample) -> SecondMoments:
    """`second_moments` of nodes or the exact sample."""
    k = mixture.k
    t, cross = np.zeros((k, 5)), np.zeros((3 * k, 3 * k))
    w, means, sds = mixture.weights, mixture.means, mixture.sds
    return SecondMoments(kernels.run_pass(sample, w, means, sds, t, cross), t, cross)


def plain_sample(x: Floats, counts: Floats) -> Sample:
    """x (n,) with counts (n,), float64 and contiguous, for compiled loops."""
    x, counts = kernels.fixed(x), kernels.fixed(counts)
    return Sample(x, counts, _NO_CELLS, *(_NOTHING,) * 3, _NO_TALLY, kernels.pass_entry())


def score(mixture: Mixture, t: Floats) -> Floats:
    """(3K - 1,): gradient of the log-likelihood by (log w_k/w_K, means, log sds).

    Fisher's identity: the responsibility-weighted complete-data score. t: (K, 3 or more).
    """
    return kernels.score(mixture.weights, mixture.sds, t)


def information(mixture: Mixture, second: SecondMoments) -> Floats:
    """(3K - 1, 3K - 1): observed information, minus the Hessian in the coordinates of `score`.

    Louis (1982): expected complete-data information less the variance of the complete-data
    score given the data, sum_k t_k s_k s_k' - sbar sbar'.
    """
    complete, expected_outer, outer = kernels.louis_terms(
        mixture.weights, mixture.sds, second.t, second.cross
    )
    return complete - (expected_outer - outer)


def complete_information(mixture: Mixture, second: SecondMoments) -> Floats:
    """(3K - 1, 3K - 1): expected complete-data information given the data."""
    return kernels.louis_terms(mixture.weights, mixture.sds, second.t, second.cross)[0]


def score_outer(mixture: Mixture, second: SecondMoments) -> Floats:
    """(3K - 1, 3K - 1): sum of c s_i s_i' over the observations' scores s_i (for sandwiches)."""
    return kernels.louis_terms(mixture.weights, mixture.sds, second.t, second.cross)[2]


def compile_passes() -> float:
    """Compile (or load from the cache) both passes now; the seconds it took, 0.0 when loaded."""
    if kernels.plain_pass.signatures:
        return 0.0
    begin = time.perf_counter()
    mixture, x = Mixture([0.5, 0.5], [-1.0, 1.0], [1.0, 1.0]), np.zeros(2)
    moments(mixture, x, np.ones(2))
    second_moments(mixture, x, np.ones(2))
    return time.perf_counter() - begin


def score_and_information(
    mixture: Mixture, model: MixtureModel, second: SecondMoments
) -> tuple[Floats, Floats]:
    """Score (p,) and observed information (p, p) in the model's unconstrained coordinates."""
    if model.partial_weights:
        return model.pulled(mixture, score(mixture, second.t), information(mixture, second))
    return kernels.score_and_information(
        model.selection, mixture.weights, mixture.sds, second.t, second.cross
    )
