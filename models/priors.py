"""Prior distributions on the parameters of a mixture: values, densities and their derivatives.

Each prior is stated on one scale (weights, mean, variance, sd or log sd), and its log density
is that scale's, without Jacobian: flat priors add nothing. A penalty on the likelihood is such a
prior. The derivatives are by the unconstrained vector of a MixtureModel. No sampling, and no
PyMC, lives here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import hyperu

from models.kernels import LOG_2PI, fixed, log_inverse_gamma
from models.likelihood import score_and_information
from models.mixture import Floats, Mixture
from models.model import MixtureModel
from models.sample import CompressedData, Data, Sample

# a_n of `LogInverseGamma.penalty`; "chen" is 1/n.
Penalty = float | Literal["chen"]


class Terms(NamedTuple):
    """Of m values.

    log_density: (m,), nats; of a joint density (1,).
    score: (m,), by the coordinate: a mean itself; the log sd for an sd and for its variance.
    information: (m,), minus the second derivative by it; of a joint density (m, m).
    """

    log_density: Floats
    score: Floats
    information: Floats


@dataclass(frozen=True)
class Flat:
    """Density 1 on the weights, the means or the sds: improper on the last two."""

    def terms(self, values: Floats) -> Terms:
        """Zeros."""
        return Terms(*np.zeros((3, values.size)))

    def standardised(self, shift: float, scale: float) -> Flat:
        """Itself."""
        return self


@dataclass(frozen=True)
class Dirichlet:
    """Symmetric Dirichlet(concentration) on the weights; concentration > 1 keeps them from 0."""

    concentration: float = 1.0

    def __post_init__(self) -> None:
        _require(self, positive=("concentration",))

    def log_constant(self, k: int) -> float:
        """Log of what the product of K weights to the power concentration - 1 is multiplied by."""
        return math.lgamma(k * self.concentration) - k * math.lgamma(self.concentration)


@dataclass(frozen=True)
class Normal:
    """Each mean is Normal(mean, sd), in data units; mean may be a tuple, one for each component.

    Means that differ break the symmetry of the components: see `Prior.exchangeable`.
    """

    mean: float | tuple[float, ...]
    sd: float

    def __post_init__(self) -> None:
        _require(self, positive=("sd",), vectors=("mean",))

    def locations(self, k: int) -> Floats:
        """(K,): the prior mean of each component's mean."""
        return np.array(np.broadcast_to(np.asarray(self.mean, dtype=float), k))

    def terms(self, means: Floats) -> Terms:
        """At the means (K,)."""
        z = (means - self.locations(means.size)) / self.sd
        log_density = -0.5 * z * z - math.log(self.sd) - 0.5 * LOG_2PI
        return Terms(log_density, -z / self.sd, np.full(z.size, self.sd**-2.0))

    def standardised(self, shift: float, scale: float) -> Normal:
        """The same prior where the data are (x - shift)/scale."""
        if isinstance(self.mean, tuple):
            moved: float | tuple[float, ...] = tuple((m - shift) / scale for m in self.mean)
        else:
            moved = (self.mean - shift) / scale
        return Normal(moved, self.sd / scale)


@dataclass(frozen=True)
class StudentT:
    """Each mean is Student's t with df degrees of freedom about a location, in data units."""

    df: float
    location: float
    scale: float

    def __post_init__(self) -> None:
        _require(self, positive=("df", "scale"))

    @property
    def log_constant(self) -> float:
        """Log of the density at the location."""
        return _log_student(self.df, self.scale)

    def terms(self, means: Floats) -> Terms:
        """At the means (K,)."""
        z = (means - self.location) / self.scale
        tail = self.df + z * z
        log_density = self.log_constant - 0.5 * (self.df + 1.0) * np.log1p(z * z / self.df)
        score = -(self.df + 1.0) * z / tail / self.scale
        information = (self.df + 1.0) * (self.df - z * z) / (tail * self.scale) ** 2
        return Terms(log_density, score, information)

    def standardised(self, shift: float, scale: float) -> StudentT:
        """The same prior where the data are (x - shift)/scale."""
        return StudentT(self.df, (self.location - shift) / scale, self.scale / scale)


def _log_student(df: float, scale: float) -> float:
    """Log of Student's density at its location."""
    gammas = math.lgamma((df + 1.0) / 2.0) - math.lgamma(df / 2.0)
    return gammas - 0.5 * math.log(df * math.pi) - math.log(scale)


@dataclass(frozen=True)
class InverseGamma:
    """Each variance is InverseGamma(shape, scale): density ~ v^(-shape - 1) exp(-scale/v)."""

    shape: float
    scale: float

    def __post_init__(self) -> None:
        _require(self, positive=("shape", "scale"))

    def terms(self, sds: Floats) -> Terms:
        """At the sds (m,): the density of the variance sd^2, its derivatives by log sd."""
        pull = self.scale / sds**2
        constant = self.shape * math.log(self.scale) - math.lgamma(self.shape)
        log_density = constant - 2.0 * (self.shape + 1.0) * np.log(sds) - pull
        return Terms(log_density, 2.0 * pull - 2.0 * (self.shape + 1.0), 4.0 * pull)

    def standardised(self, shift: float, scale: float) -> InverseGamma:
        """The same prior where the data are (x - shift)/scale."""
        return InverseGamma(self.shape, self.scale / scale**2)

    def sample(self, m: int, rng: np.random.Generator) -> Floats:
        """m variances."""
        variances: Floats = self.scale / rng.gamma(self.shape, size=m)
        return variances


@dataclass(frozen=True)
class LogInverseGamma:
    """Each variance is InverseGamma(shape, scale), and the density is of log sd.

    The density ~ sd^(-2 shape) exp(-scale/sd^2) is proper for any shape > 0. The same function as
    a density of the variance would be InverseGamma(shape - 1, scale), and of the sd one of shape
    - 1/2: improper for the small shapes of a penalty.
    """

    shape: float
    scale: float

    def __post_init__(self) -> None:
        _require(self, positive=("shape", "scale"))

    @classmethod
    def penalty(cls, data: Sample, a: Penalty = "chen") -> LogInverseGamma:
        """LogInverseGamma(a, a s^2): but for a constant -a sum_k [s^2/sd_k^2 + log(sd_k^2/s^2)].

        The penalty of Chen, Tan and Zhang (2008), s^2 the data's variance (divisor n). It bounds
        the likelihood, and does not depend on the data's units. a: "chen" is 1/n; 1/sqrt(n) is in
        use too, and keeps sds further from 0.
        """
        weight = 1.0 / data.n if isinstance(a, str) and a == "chen" else a
        number = isinstance(weight, int | float | np.number) and not isinstance(weight, bool)
        if not number or not 0.0 < float(weight) < math.inf:
            raise ValueError(f"penalty: {a!r} is neither 'chen' nor a number > 0")
        return cls(float(weight), float(weight) * data.sd**2)

    def terms(self, sds: Floats) -> Terms:
        """At the sds (m,): the density of log sd, its derivatives by log sd."""
        pull = self.scale / sds**2
        constant = math.log(2.0) + self.shape * math.log(self.scale) - math.lgamma(self.shape)
        log_density = constant + log_inverse_gamma(fixed(sds), float(self.shape), float(self.scale))
        return Terms(log_density, 2.0 * pull - 2.0 * self.shape, 4.0 * pull)

    def standardised(self, shift: float, scale: float) -> LogInverseGamma:
        """The same prior where the data are (x - shift)/scale."""
        return LogInverseGamma(self.shape, self.scale / scale**2)


@dataclass(frozen=True)
class SharedScale:
    """The variances share a scale that is not known: between `finest` and `widest`, in their units.

    Each variance is InverseGamma(shape, b), and b ~ Gamma(tail, rate 1/widest), after Richardson
    and Green (1997), which adapts to components of any size, and lets them differ: at shape 2, one
    of two components a thousandth as wide as the other is 30 nats less likely than one as wide,
    where an inverse-gamma on the scale of the data makes that a million. Integrated over b it is
    the product of v^(-shape - 1) times (1/widest + S)^-(m shape + tail), S the sum of 1/v over the
    m variances. Its tail is a power of S, which the likelihood of a few tied values outdoes; the
    factor exp(-finest S) makes the posterior proper whatever ties there are.
    """

    shape: float
    tail: float
    finest: float
    widest: float

    def __post_init__(self) -> None:
        _require(self, positive=("shape", "tail", "finest", "widest"))

    def power(self, m: int) -> float:
        """Of 1/widest + S, for m variances."""
        return m * self.shape + self.tail

    def log_constant(self, m: int) -> float:
        """Log of what the density of m variances is multiplied by.

        The integral over S is Tricomi's function (DLMF 13.4.4).
        """
        tricomi = hyperu(m * self.shape, 1.0 - self.tail, self.finest / self.widest)
        found = -m * math.lgamma(self.shape) - self.tail * math.log(self.widest) - np.log(tricomi)
        return float(found)

    def terms(self, sds: Floats) -> Terms:
        """At the sds (m,): the joint density of their variances, its derivatives by log sd."""
        precisions, power = sds**-2.0, self.power(sds.size)
        total = 1.0 / self.widest + precisions.sum()
        log_density = self.log_constant(sds.size) - self.finest * precisions.sum()
        log_density += 2.0 * (self.shape + 1.0) * -np.log(sds).sum() - power * np.log(total)
        pull = 2.0 * (self.finest + power / total) * precisions
        together = 4.0 * power / total**2 * np.outer(precisions, precisions)
        score = pull - 2.0 * (self.shape + 1.0)
        return Terms(np.array([log_density]), score, 2.0 * np.diag(pull) - together)

    def standardised(self, shift: float, scale: float) -> SharedScale:
        """The same prior where the data are (x - shift)/scale."""
        finest, widest = self.finest / scale**2, self.widest / scale**2
        return SharedScale(self.shape, self.tail, finest, widest)

    def sample(self, m: int, rng: np.random.Generator) -> Floats:
        """m variances, by rejection from those without the factor of `finest`."""
        while True:
            b = self.widest * rng.gamma(self.tail)
            with np.errstate(divide="ignore"):
                precisions = rng.gamma(self.shape, size=m) / b
            if rng.random() < np.exp(-self.finest * precisions.sum()):
                variances: Floats = 1.0 / precisions
                return variances


@dataclass(frozen=True)
class LogNormal:
    """The log of each sd is Normal(mu, sigma)."""

    mu: float
    sigma: float

    def __post_init__(self) -> None:
        _require(self, positive=("sigma",))

    def terms(self, sds: Floats) -> Terms:
        """At the sds (m,): the density of the sd, its derivatives by log sd."""
        log_sds = np.log(sds)
        z = (log_sds - self.mu) / self.sigma
        log_density = -log_sds - 0.5 * z * z - math.log(self.sigma) - 0.5 * LOG_2PI
        return Terms(log_density, -1.0 - z / self.sigma, np.full(z.size, self.sigma**-2.0))

    def standardised(self, shift: float, scale: float) -> LogNormal:
        """The same prior where the data are (x - shift)/scale."""
        return LogNormal(self.mu - math.log(scale), self.sigma)


@dataclass(frozen=True)
class HalfNormal:
    """Each sd is the absolute value of Normal(0, scale). Leaves the likelihood unbounded."""

    scale: float

    def __post_init__(self) -> None:
        _require(self, positive=("scale",))

    def terms(self, sds: Floats) -> Terms:
        """At the sds (m,): the density of the sd, its derivatives by log sd."""
        squares = (sds / self.scale) ** 2
        log_density = -0.5 * squares + math.log(2.0 / self.scale) - 0.5 * LOG_2PI
        return Terms(log_density, -squares, 2.0 * squares)

    def standardised(self, shift: float, scale: float) -> HalfNormal:
        """The same prior where the data are (x - shift)/scale."""
        return HalfNormal(self.scale / scale)


@dataclass(frozen=True)
class HalfStudentT:
    """Each sd is the absolute value of Student's t about 0. Leaves the likelihood unbounded."""

    df: float
    scale: float

    def __post_init__(self) -> None:
        _require(self, positive=("df", "scale"))

    @property
    def log_constant(self) -> float:
        """Log of the density at 0."""
        return _log_student(self.df, self.scale) + math.log(2.0)

    def terms(self, sds: Floats) -> Terms:
        """At the sds (m,): the density of the sd, its derivatives by log sd."""
        squares = (sds / self.scale) ** 2
        tail = self.df + squares
        log_density = self.log_constant - 0.5 * (self.df + 1.0) * np.log1p(squares / self.df)
        score = -(self.df + 1.0) * squares / tail
        return Terms(log_density, score, 2.0 * (self.df + 1.0) * self.df * squares / tail**2)

    def standardised(self, shift: float, scale: float) -> HalfStudentT:
        """The same prior where the data are (x - shift)/scale."""
        return HalfStudentT(self.df, self.scale / scale)


Means = Normal | StudentT | Flat
Sds = SharedScale | InverseGamma | LogInverseGamma | LogNormal | HalfNormal | HalfStudentT | Flat


@dataclass(frozen=True)
class Prior:
    """Independent priors on the weights, on each unknown mean and on each unknown sd.

    A common sd has one term; known parameters, and the weight of a single component, have none.
    Raises ValueError where a prior does not suit its parameter.
    """

    weights: Dirichlet | Flat
    means: Means
    sds: Sds

    def __post_init__(self) -> None:
        suited = {
            "weights": (Dirichlet, Flat),
            "means": get_args(Means),
            "sds": get_args(Sds),
        }
        for name, kinds in suited.items():
            value = getattr(self, name)
            if not isinstance(value, kinds):
                choice = ", ".join(kind.__name__ for kind in kinds)
                raise ValueError(f"{name}: {value!r} is not a prior for {name}; give {choice}")

    @classmethod
    def default(cls, data: Sample, k: int = 2) -> Prior:
        """Weakly informative for K components, from the resolution of the data to their scale.

        After Richardson and Green (1997), with their shape 2 and tail .2: wide normal means, and
        variances of a SharedScale, between `resolution` and the data's variance, which suits
        components of any sizes, and bounds the posterior where an sd goes to 0. Dirichlet(2), one
        pseudo-observation a component, keeps the posterior mode off weights of 0, where a
        component's mean and sd mean nothing.
        """
        variances = SharedScale(2.0, 0.2, resolution(data), data.sd**2)
        return cls(Dirichlet(2.0), Normal(data.mean, 2.0 * data.sd), variances)

    @classmethod
    def of_one_scale(cls, data: Sample, k: int = 2) -> Prior:
        """`default`, but each variance InverseGamma(2, b) for itself: for components of like sizes.

        b = (sd/K)^2, the prior mean of a variance, is the scale of Fraley and Raftery (2007). A
        component much narrower than that conflicts with it, and is made wider.
        """
        prior = cls.default(data, k)
        return cls(prior.weights, prior.means, InverseGamma(2.0, (data.sd / k) ** 2))

    @classmethod
    def richardson_and_green(cls, data: Data, k: int = 2) -> Prior:
        """Richardson and Green's (1997), by the data's range R, with a scale that is fixed.

        Weights Dirichlet(1), means about the middle of the range with R for their sd, and each
        variance InverseGamma(2, 0.02 R^2): the scale is the mean of their gamma(0.2, 10/R^2), and
        that of P. J. Green's own program (R package Nmix 2.0.5: alpha = 2, beta = 0.02, kappa = 1,
        delta = 1, in units of the range), where it need not be random (qbeta = 0).
        """
        low, high = data.ends
        spread = high - low
        means = Normal(0.5 * (low + high), spread)
        return cls(Dirichlet(1.0), means, InverseGamma(2.0, 0.02 * spread**2))

    @classmethod
    def brms(cls, data: Data, k: int = 2) -> Prior:
        """The defaults of the R package brms for `y ~ 1`, a mixture of gaussians.

        Weights Dirichlet(1); means Student's t with 3 degrees of freedom about the median, sds
        half of it about 0, both with the larger of 2.5 and the scaled median absolute deviation
        for their scale, all to one decimal (brms, R/priors.R: `prior_predictor.brmsterms`,
        `def_dpar_prior` and `def_scale_prior`). The 2.5 is in the data's unit, whatever that is.
        """
        median = _median(data)
        deviation = 1.4826 * _median(Data(np.abs(data.x - median), data.counts))
        scale = max(2.5, round(deviation, 1))
        return cls(Dirichlet(1.0), StudentT(3.0, round(median, 1), scale), HalfStudentT(3.0, scale))

    @classmethod
    def asymmetric(cls, data: Data, k: int = 2, width: float = 1.0) -> Prior:
        """`default`, but each mean normal about a quantile of its own, with `width` times its sd.

        The quantiles are the middles of K equal shares of the data, so that component j is the
        j-th from below, as far as the prior goes. The narrower, the more it says so.
        """
        levels = (np.arange(k) + 0.5) / k
        prior = cls.default(data, k)
        means = Normal(tuple(data.quantiles(levels).tolist()), width * 2.0 * data.sd)
        return cls(prior.weights, means, prior.sds)

    @classmethod
    def flat(cls) -> Prior:
        """Density 1 everywhere, with which the MAP is the MLE."""
        return cls(Flat(), Flat(), Flat())

    @classmethod
    def penalised(cls, data: Sample, penalty: Penalty = "chen") -> Prior:
        """`LogInverseGamma.penalty` on the sds, else flat.

        The MAP then maximises the penalised likelihood of Chen, Tan and Zhang (2008).
        """
        return cls(Flat(), Flat(), LogInverseGamma.penalty(data, penalty))

    @property
    def exchangeable(self) -> bool:
        """Whether permuting the components leaves the prior as it is."""
        means = self.means.mean if isinstance(self.means, Normal) else 0.0
        return not isinstance(means, tuple) or len(set(means)) == 1

    def check(self, model: MixtureModel) -> None:
        """ValueError unless there are as many prior means as components, or one for all."""
        means = self.means.mean if isinstance(self.means, Normal) else 0.0
        if isinstance(means, tuple) and len(means) != model.k:
            raise ValueError(
                f"prior: has {len(means)} means; the model has {model.k} components, give one each"
            )

    def oriented(self, mixture: Mixture) -> Mixture:
        """The permutation of the mixture that the prior likes best: means ascend as its own do."""
        if self.exchangeable or not isinstance(self.means, Normal):
            return mixture
        ranks = np.argsort(np.argsort(self.means.locations(mixture.k), kind="stable"))
        return mixture.by_mean().permuted(ranks)

    def standardised(self, shift: float, scale: float) -> Prior:
        """The same prior where the data are (x - shift)/scale."""
        means, sds = self.means.standardised(shift, scale), self.sds.standardised(shift, scale)
        return Prior(self.weights, means, sds)

    def log_density(self, mixture: Mixture, model: MixtureModel) -> float:
        """Log of the normalised prior density, in nats, each parameter on its prior's own scale."""
        total = 0.0
        if isinstance(self.weights, Dirichlet) and model.n_free_weights:
            total += self.weights.log_constant(model.n_free_weights + 1)
            if self._excess:
                with np.errstate(divide="ignore"):
                    total += self._excess * float(np.log(model.shares(mixture)).sum())
        if model.n_free_means:
            free = model.free[1]
            total += float(self.means.terms(mixture.means).log_density[free].sum())
        if model.n_free_sds:
            total += float(self.sds.terms(_sds(mixture, model)).log_density.sum())
        return total

    def units(self, model: MixtureModel) -> int:
        """The power of the data's unit that the density is divided by.

        Where everything is multiplied by a factor, `log_density` falls by so many logs of it.
        """
        means = 0 if isinstance(self.means, Flat) else model.n_free_means
        powers: dict[type, int] = {SharedScale: 2, InverseGamma: 2}
        powers |= dict.fromkeys((LogNormal, HalfNormal, HalfStudentT), 1)
        each = powers.get(type(self.sds), 0)
        return means + each * model.n_free_sds

    def score(self, mixture: Mixture, model: MixtureModel) -> Floats:
        """(n_free,): gradient of `log_density` by the model's unconstrained vector."""
        k, m = model.k, model.n_free_weights
        full = np.zeros(3 * k - 1)
        full[k - 1 : 2 * k - 1] = self.means.terms(mixture.means).score
        if model.n_free_sds:
            full[_places(model)] = self.sds.terms(_sds(mixture, model)).score
        found: Floats = model.selection.T @ full
        found[:m] = self._excess * (1.0 - (m + 1) * model.shares(mixture)[:m])
        return found

    def information(self, mixture: Mixture, model: MixtureModel) -> Floats:
        """(n_free, n_free): minus the Hessian of `log_density`, in the coordinates of `score`."""
        k, m = model.k, model.n_free_weights
        diagonal = np.zeros(3 * k - 1)
        diagonal[k - 1 : 2 * k - 1] = self.means.terms(mixture.means).information
        full = np.diag(diagonal)
        if model.n_free_sds:
            of_sds, places = self.sds.terms(_sds(mixture, model)).information, _places(model)
            full[np.ix_(places, places)] = of_sds if of_sds.ndim == 2 else np.diag(of_sds)
        found: Floats = model.selection.T @ full @ model.selection
        v = model.shares(mixture)[:m]
        found[:m, :m] = self._excess * (m + 1) * (np.diag(v) - np.outer(v, v))
        return found

    def derivatives(
        self, mixture: Mixture, model: MixtureModel, data: Sample
    ) -> tuple[Floats, Floats]:
        """Score (n_free,) and information (n_free, n_free) of log-likelihood plus log density."""
        score, information = score_and_information(mixture, model, data.second_moments(mixture))
        return score + self.score(mixture, model), information + self.information(mixture, model)

    @property
    def _excess(self) -> float:
        """Pseudo-observations that the weights' prior adds to each component."""
        return self.weights.concentration - 1.0 if isinstance(self.weights, Dirichlet) else 0.0


def resolution(data: Sample) -> float:
    """The variance of rounding, as far as the data tell, times half of the most ties.

    Of values rounded to multiples of u the sds below u/sqrt(12) are none of the data's. m of them
    that are tied raise the likelihood of a component of variance v on them as v^(-m/2), and the
    factor exp(-f/v) with f = m u^2/24 turns that where v = u^2/12. u is the least distance of
    distinct values; of those that come more than once, where these make up half of the data, for
    then a few others are rounded otherwise. Of a large sample a part tells. Of a stream, whose
    values are gone, nothing does: it is then the least that the sds may come to.
    """
    exact = data.exact if isinstance(data, CompressedData) else data
    if not isinstance(exact, Data):
        return data.sd_floor**2
    x, counts = _part(exact)
    x, place = np.unique(x, return_inverse=True)
    counts = np.bincount(place, counts)
    tied = counts > 1.5 * counts.min()
    if tied.sum() > 1 and counts[tied].sum() > 0.5 * counts.sum():
        x = x[tied]
    if x.size < 2:
        return data.sd_floor**2
    return float(np.diff(x).min() ** 2 * counts.max() * (data.n / counts.sum()) / 24.0)


def _median(data: Data) -> float:
    """The mean of the two middle ones where there are two."""
    return float(data.quantiles([0.5, 0.5 + 1e-11]).mean())


def _part(exact: Data, size: int = 20_000) -> tuple[Floats, Floats]:
    """x and counts of the data, or of some of them, none twice."""
    if exact.x.size <= size:
        return exact.x, exact.counts
    rows = np.random.default_rng(0).choice(exact.x.size, size, replace=False, shuffle=False)
    return exact.x[rows], exact.counts[rows]


def _sds(mixture: Mixture, model: MixtureModel) -> Floats:
    """The sds that have a prior of their own: the first alone where they are equal."""
    return mixture.sds[:1] if model.equal_sds else mixture.sds[model.free[2]]


def _places(model: MixtureModel) -> NDArray[np.intp]:
    """Where these stand in the full vector."""
    free = np.zeros(1, dtype=np.intp) if model.equal_sds else np.flatnonzero(model.free[2])
    return 2 * model.k - 1 + free


def _require(prior: object, positive: tuple[str, ...], vectors: tuple[str, ...] = ()) -> None:
    for field in fields(prior):  # type: ignore[arg-type]
        value = getattr(prior, field.name)
        where = f"{type(prior).__name__} {field.name}"
        several = field.name in vectors and isinstance(value, tuple) and len(value) > 0
        for one in value if several else (value,):
            if not isinstance(one, int | float | np.number) or not math.isfinite(one):
                raise ValueError(f"{where}: {value!r} is not a finite number; give one")
        if field.name in positive and not value > 0:
            raise ValueError(f"{where}: {value!r} is not positive; give a number > 0")
