"""How well a number of components is borne out by its posterior: marginal likelihood, LOO, WAIC.

Posterior draws come in from any sampler, (chains, draws, 3, K) of weights, means and sds. They may
sit in one labelling or in any, for all that is computed here is symmetric in the components.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp

from models import kernels
from models.inference.chains import effective
from models.inference.newton import Point, climb, labelled_information
from models.mixture import Floats, Mixture, draws_by_mean
from models.model import MixtureModel
from models.priors import (
    Dirichlet,
    Flat,
    HalfNormal,
    InverseGamma,
    LogInverseGamma,
    LogNormal,
    Normal,
    Prior,
    SharedScale,
)
from models.sample import Data, Sample, Uncertified

# Products of conditional densities that the proposal is an average of.
PRODUCTS = 200
# Shape of the inverse gammas about a variance, beside what the data add: heavier than any prior's.
SHAPE = 2.0
# Iterations of the bridge, and when it has settled, in nats.
ITERATIONS, SETTLED = 1000, 1e-10
# Of the powers of the sd that a prior's density on its own scale is turned into one of the variance
# or of the log sd by: d variance = 2 sd^2 d log sd.
_POWERS: dict[type, int] = {
    SharedScale: 2,
    InverseGamma: 2,
    LogNormal: 1,
    HalfNormal: 1,
    LogInverseGamma: 0,
}


class Evidence(NamedTuple):
    """A log marginal likelihood, nats. error: its standard error, 0 where it is none of sampling.

    note: what speaks against it.
    """

    value: float
    error: float = 0.0
    note: str = ""


def check(prior: Prior, model: MixtureModel) -> None:
    """ValueError for an improper prior, with which there is no marginal likelihood.

    And for models that know some weights, or some means or sds and not all of them.
    """
    if model.weights is not None or any(row.any() and not row.all() for row in model.free[1:]):
        raise ValueError(
            f"model: {model!r} knows a part of its parameters; the evidence is there for models "
            "that know all means, or none, all sds, or none, and no weight"
        )
    parts = [("weights", model.k > 1), ("means", model.means is None), ("sds", model.sds is None)]
    for name, free in parts:
        if free and isinstance(getattr(prior, name), Flat):
            raise ValueError(
                f"prior: is flat on the {name}, and leaves no marginal likelihood; give a proper "
                "one, such as Prior.default"
            )
    prior.check(model)


# --- Laplace -----------------------------------------------------------------------------------


def laplace(data: Sample, model: MixtureModel, prior: Prior, starts: Sequence[Mixture]) -> Evidence:
    """At the highest mode of log-ratios of the weights, means and log sds that the starts lead to.

    Its density there, Jacobian included, is taken for normal, K! times where components are
    exchangeable (Tierney and Kadane 1986; the modes must not overlap). NaN where no start leads to
    a regular mode.
    """
    check(prior, model)
    best: Point | None = None
    for start in starts:
        point = _mode(data, model, prior, start)
        if point is not None and (best is None or point.loglik > best.loglik):
            best = point
    if best is None:
        return Evidence(np.nan, note="no regular mode")
    sign, log_determinant = np.linalg.slogdet(best.information)
    d = best.at.size
    value = best.loglik + 0.5 * d * kernels.LOG_2PI - 0.5 * float(log_determinant)
    symmetric = model.exchangeable and prior.exchangeable
    value += math.lgamma(model.k + 1.0) if symmetric else 0.0
    return Evidence(value if sign > 0 else np.nan)


def _mode(data: Sample, model: MixtureModel, prior: Prior, start: Mixture) -> Point | None:
    def evaluate(at: Floats) -> Point | None:
        return _at(data, model, prior, at)

    def labelled(mixture: Mixture) -> Floats:
        return labelled_information(mixture, model, data.n)

    eta = model.pack(start)
    if eta.size == 0:
        return evaluate(eta)
    point, regular = climb(evaluate, labelled, eta, np.arange(eta.size))
    return point if regular else None


def _at(data: Sample, model: MixtureModel, prior: Prior, eta: Floats) -> Point | None:
    """The log posterior density, not normalised, of the model's coordinates, and derivatives."""
    mixture = model.unpack(eta)
    if not mixture.finite or data.collapsed(mixture, model) or not mixture.weights.all():
        return None
    try:
        score, information = prior.derivatives(mixture, model, data)
        loglik = data.moments(mixture).loglik
    except Uncertified:
        return None
    w, k, power = mixture.weights, model.k, _POWERS.get(type(prior.sds), 0)
    full = np.zeros(3 * k - 1)
    full[: k - 1] = 1.0 - k * w[:-1]
    value = loglik + prior.log_density(mixture, model) + float(np.log(w).sum())
    sds = mixture.sds[: model.n_free_sds]
    full[2 * k - 1 :][: sds.size] = power
    value += power * float(np.log(sds).sum()) + sds.size * math.log(max(power, 1))
    curved = np.zeros((3 * k - 1, 3 * k - 1))
    curved[: k - 1, : k - 1] = k * (np.diag(w) - np.outer(w, w))[:-1, :-1]
    s = model.selection
    return Point(eta, mixture, value, score + s.T @ full, information + s.T @ curved @ s)


# --- Bridge sampling ---------------------------------------------------------------------------


def bridge(
    data: Data, model: MixtureModel, prior: Prior, draws: Floats, rng: np.random.Generator
) -> Evidence:
    """Of Meng and Wong (1996), with a proposal that is symmetric in the components.

    That is the average, over PRODUCTS of the first half of the draws, of the densities of the
    weights, the means and the variances given an allocation of the data that is drawn from the
    posterior draw (Fruehwirth-Schnatter 2004), and over the permutations of the components where
    they are exchangeable: so it has the posterior's symmetry, and the draws may sit in any
    labelling. The second half of them, and as many draws of the proposal, make the estimate. Its
    error is Fruehwirth-Schnatter's (2004, equation 21), with effective draws.

    draws: (chains, draws, 3, K), of weights, means and sds, from the posterior with this prior.
    """
    check(prior, model)
    if model.n_free == 0:
        return Evidence(data.moments(Mixture.of_rows(draws[0, 0])).loglik)
    draws = np.ascontiguousarray(draws_by_mean(draws) if model.exchangeable else draws)
    half = draws.shape[1] // 2
    proposal = _Proposal.of(data, model, prior, draws[:, :half], rng)
    own = draws[:, half:].reshape(-1, *draws.shape[2:])
    other = proposal.sample(len(own), rng)
    gap_own = _log_joint(data, model, prior, own) - proposal.log_density(own)
    gap_other = _log_joint(data, model, prior, other) - proposal.log_density(other)
    shape = draws.shape[0], draws.shape[1] - half
    return _bridged(gap_own.reshape(shape), gap_other)


def _bridged(own: Floats, other: Floats) -> Evidence:
    """From log q/g at posterior draws (chains, draws) and at proposals (n,)."""
    flat = own.ravel()
    n_own = min(float(effective(np.exp(own - own.max())[..., None])[0]), flat.size)
    share = n_own / (n_own + other.size)
    log_s1, log_s2 = math.log(share), math.log1p(-share)
    value = float(np.median(flat))
    for _ in range(ITERATIONS):
        top = logsumexp(other - np.logaddexp(log_s1 + other - value, log_s2)) - math.log(other.size)
        below = logsumexp(-np.logaddexp(log_s1 + flat - value, log_s2)) - math.log(flat.size)
        moved, value = abs(top - below - value), float(top - below)
        if moved < SETTLED:
            break
    of_other = np.exp(other - value - np.logaddexp(log_s1 + other - value, log_s2))
    of_own = np.exp(-np.logaddexp(log_s1 + own - value, log_s2))
    n_effective = float(effective(of_own[..., None])[0])
    squared = of_other.var() / of_other.mean() ** 2 / other.size
    squared += of_own.var() / of_own.mean() ** 2 / n_effective
    return Evidence(value, float(np.sqrt(squared)))


def _log_joint(data: Data, model: MixtureModel, prior: Prior, rows: Floats) -> Floats:
    """(s,): log-likelihood plus log prior density of weights, means and variances, at (s, 3, K)."""
    found = np.empty(len(rows))
    power = _POWERS.get(type(prior.sds), 2) - 2
    for i, row in enumerate(rows):
        mixture = Mixture.of_rows(row)
        sds = row[2, : model.n_free_sds]
        found[i] = data.moments(mixture).loglik + prior.log_density(mixture, model)
        # From the prior's own scale: d sd = d variance/(2 sd), d log sd = d variance/(2 variance).
        found[i] += power * float(np.log(sds).sum())
        found[i] -= sds.size * math.log(2.0) if power < 0 else 0.0
    return found


class _Proposal(NamedTuple):
    """An average of m products of densities: see `kernels.log_kernels`, whose arguments these are.

    alphas: (m, K), of the Dirichlets. model: what is free.
    """

    model: MixtureModel
    symmetric: bool
    alphas: Floats
    centres: Floats
    precisions: Floats
    shapes: Floats
    scales: Floats

    @classmethod
    def of(
        cls,
        data: Data,
        model: MixtureModel,
        prior: Prior,
        draws: Floats,
        rng: np.random.Generator,
    ) -> _Proposal:
        flat = draws.reshape(-1, *draws.shape[2:])
        count = min(PRODUCTS, len(flat))
        rows = flat[np.linspace(0, len(flat) - 1, count).round().astype(int)].copy()
        rows[:, 2] **= 2
        # About the mean, for the digits of the sums of squares.
        moved = rows - np.array([0.0, data.mean, 0.0])[:, None]
        x = kernels.fixed(data.x - data.mean)
        n, first, second = np.moveaxis(kernels.allocation_moments(x, data.counts, moved, rng), 1, 0)
        _, means, variances = np.moveaxis(moved, 1, 0)
        k, nothing = model.k, np.zeros_like(n)
        alphas = n + (prior.weights.concentration if isinstance(prior.weights, Dirichlet) else 1.0)
        centres = precisions = shapes = scales = nothing
        if model.means is None:
            assert isinstance(prior.means, Normal)
            own = prior.means.sd**-2.0
            precisions = own + n / variances
            weighed = own * (prior.means.locations(k) - data.mean) + first / variances
            centres = data.mean + weighed / precisions
        if model.sds is None:
            squares = np.maximum(second - 2.0 * means * first + n * means**2, 0.0)
            if model.equal_sds:
                squares = np.repeat(squares.sum(axis=1, keepdims=True), k, axis=1)
                n = np.repeat(n.sum(axis=1, keepdims=True), k, axis=1)
            shapes, scales = SHAPE + 0.5 * n, SHAPE * variances + 0.5 * squares
        symmetric = k > 1 and model.exchangeable and prior.exchangeable
        return cls(model, symmetric, alphas, centres, precisions, shapes, scales)

    def sample(self, size: int, rng: np.random.Generator) -> Floats:
        """(size, 3, K), of weights, means and sds, from one permutation: the others are alike."""
        model, k = self.model, self.model.k
        each = rng.integers(len(self.alphas), size=size)
        gammas = np.maximum(rng.standard_gamma(self.alphas[each]), 1e-300)
        rows = np.empty((size, 3, k))
        rows[:, 0] = gammas / gammas.sum(axis=1, keepdims=True)
        rows[:, 1] = 0.0 if model.means is None else model.means
        if model.means is None:
            noise = rng.standard_normal((size, k)) / np.sqrt(self.precisions[each])
            rows[:, 1] = self.centres[each] + noise
        if model.sds is not None:
            rows[:, 2] = model.sds
            return rows
        m = model.n_free_sds
        drawn = self.scales[each, :m] / rng.standard_gamma(self.shapes[each, :m])
        rows[:, 2] = np.sqrt(drawn)
        return rows

    def log_density(self, rows: Floats) -> Floats:
        """(s,): at rows (s, 3, K), of weights, means and variances."""
        model, k = self.model, self.model.k
        constants = np.zeros(len(self.alphas))
        if k > 1:
            constants += gammaln(self.alphas.sum(axis=1)) - gammaln(self.alphas).sum(axis=1)
        if model.means is None:
            constants += 0.5 * (np.log(self.precisions) - kernels.LOG_2PI).sum(axis=1)
        if model.sds is None:
            m = model.n_free_sds
            shapes, scales = self.shapes[:, :m], self.scales[:, :m]
            constants += (shapes * np.log(scales) - gammaln(shapes)).sum(axis=1)
        squared = rows.copy()
        squared[:, 2] **= 2
        found: Floats = kernels.log_kernels(
            squared, constants, self.alphas - 1.0, self.centres, self.precisions,
            self.shapes, self.scales, self.symmetric, model.equal_sds,
        )  # fmt: skip
        return found


def posterior_of_k(found: Sequence[Evidence]) -> tuple[Floats, Floats]:
    """(K,) posterior probabilities under equal prior odds, and their standard errors.

    Those without a value have probability 0.
    """
    values = np.array([one.value for one in found])
    errors = np.array([one.error if np.isfinite(one.value) else 0.0 for one in found])
    values = np.where(np.isnan(values), -np.inf, values)
    if not np.isfinite(values).any():
        return np.full(len(found), np.nan), np.full(len(found), np.nan)
    p = np.exp(values - logsumexp(values))
    slopes = p[:, None] * (np.eye(p.size) - p)
    return p, np.sqrt((slopes**2) @ errors**2)


# --- Prediction --------------------------------------------------------------------------------

# Draws that the predictive criteria are made of at most, and observations at a time.
DRAWS, BLOCK = 2000, 500
# Of a term of WAIC, above which it cannot be relied on (Vehtari, Gelman and Gabry 2017).
VARIANCE = 0.4


class Prediction(NamedTuple):
    """An expected log predictive density of the data's size, nats. error: its standard error.

    by: (n,), its terms, an observation each. high: observations whose term cannot be relied on: by
    Pareto's k, or of WAIC by the variance. pareto: (n,), k; NaN of WAIC.
    """

    value: float
    error: float
    by: Floats
    high: int
    pareto: Floats


def pointwise(draws: Floats, x: Floats) -> Floats:
    """(chains, draws, n): log density of each observation x (n,) at draws (chains, draws, 3, K)."""
    flat = draws.reshape(-1, *draws.shape[2:])
    found = np.empty((len(flat), x.size))
    for own, (w, m, s) in zip(found, flat, strict=True):
        with np.errstate(divide="ignore"):
            joint = np.log(w / s) - 0.5 * ((x[:, None] - m) / s) ** 2
        top = joint.max(axis=1)
        own[:] = top + np.log(np.exp(joint - top[:, None]).sum(axis=1)) - 0.5 * kernels.LOG_2PI
    return found.reshape(*draws.shape[:2], x.size)


def predictions(
    draws: Floats, x: Floats, counts: Floats | None = None
) -> tuple[Prediction, Prediction]:
    """PSIS-LOO and WAIC of x (n,) with counts (n,), by draws (chains, draws, 3, K).

    DRAWS of them are enough. LOO is ArviZ's (Vehtari, Gelman and Gabry 2017; Vehtari and others
    2024). WAIC (Watanabe 2010), which ArviZ 1 has no more, is by hand.
    """
    each = max(DRAWS // draws.shape[0], 4)
    some = np.linspace(0, draws.shape[1] - 1, min(each, draws.shape[1])).round().astype(int)
    kept = draws[:, some]
    left_out, widely = [], []
    for begin in range(0, x.size, BLOCK):
        logs = pointwise(kept, x[begin : begin + BLOCK])
        left_out.append(loo_terms(logs))
        widely.append(waic_terms(logs))
    samples = kept.shape[0] * kept.shape[1]
    by, pareto = np.concatenate(left_out, axis=1)
    high = pareto > min(1.0 - 1.0 / math.log10(samples), 0.7)
    loo = _predicted(by, counts, high, pareto)
    by, variance = np.concatenate(widely, axis=1)
    return loo, _predicted(by, counts, variance > VARIANCE, np.full(by.size, np.nan))


def loo_terms(logs: Floats) -> Floats:
    """(2, n): PSIS-LOO of each observation and its Pareto k, from logs (chains, draws, n)."""
    from arviz_stats.base import array_stats

    samples = logs.shape[0] * logs.shape[1]
    relative = effective(np.exp(logs - logs.max(axis=(0, 1)))) / samples
    each = zip(np.moveaxis(logs, -1, 0), np.minimum(relative, 1.0), strict=True)
    return np.array([array_stats.loo(own, r_eff=float(r))[:2] for own, r in each], dtype=float).T


def waic_terms(logs: Floats) -> Floats:
    """(2, n): WAIC of each observation and its posterior variance, from logs (chains, draws, n)."""
    flat = logs.reshape(-1, logs.shape[-1])
    variance = flat.var(axis=0, ddof=1)
    return np.stack([logsumexp(flat, axis=0) - math.log(len(flat)) - variance, variance])


def _predicted(
    by: Floats, counts: Floats | None, high: NDArray[np.bool_], pareto: Floats
) -> Prediction:
    c = np.ones(by.size) if counts is None else counts
    n, total = float(c.sum()), float(c @ by)
    spread = float(c @ (by - total / n) ** 2) / max(n - 1.0, 1.0)
    return Prediction(total, math.sqrt(n * spread), by, round(float(c[high].sum())), pareto)
