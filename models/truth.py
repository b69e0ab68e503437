"""Truth: what data are simulated from, a mixture of normal, t or skew-normal components.

Every family is scaled to mean 0 and sd 1, so that the means and sds of a mixture are those of its
components, whatever their family.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import gammaln, ndtr, owens_t, stdtr

from models.kernels import LOG_2PI, Floats
from models.mixture import Mixture

# Where a quadrature over a family of normal tails is cut: beyond 12 sds there is no mass that
# doubles can hold beside 1.
NORMAL_EDGES = np.linspace(-12.0, 12.0, 97)


class Family(Protocol):
    """A distribution of mean 0 and sd 1; z (any shape) are values of it."""

    @property
    def edges(self) -> Floats:
        """Ends, ascending, of cells in which the density is smooth.

        All mass, but for a t's, is within them.
        """

    def density(self, z: Floats) -> Floats:
        """The density at z."""

    def cdf(self, z: Floats) -> Floats:
        """The probability of values up to z."""

    def sample(self, n: int, rng: np.random.Generator) -> Floats:
        """(n,): draws."""


@dataclass(frozen=True)
class Normal:
    """The standard normal."""

    edges = NORMAL_EDGES

    def density(self, z: Floats) -> Floats:
        """As of `Family`."""
        density: Floats = np.exp(-0.5 * (z * z + LOG_2PI))
        return density

    def cdf(self, z: Floats) -> Floats:
        """As of `Family`."""
        mass: Floats = ndtr(z)
        return mass

    def sample(self, n: int, rng: np.random.Generator) -> Floats:
        """As of `Family`."""
        return rng.standard_normal(n)


@dataclass(frozen=True)
class StudentT:
    """Student's t with df > 2 degrees of freedom over its sd, (df/(df - 2))^1/2."""

    df: float

    @property
    def sd(self) -> float:
        """Of the t itself."""
        return float(np.sqrt(self.df / (self.df - 2.0)))

    @property
    def edges(self) -> Floats:
        """As of `Family`."""
        far = 12.0 * np.geomspace(1.0, 100.0, 25)[1:]
        return np.concatenate([-far[::-1], NORMAL_EDGES, far])

    def density(self, z: Floats) -> Floats:
        """As of `Family`."""
        v, t = self.df, self.sd * z
        log_height = gammaln(0.5 * (v + 1.0)) - gammaln(0.5 * v) - 0.5 * np.log(v * np.pi)
        density: Floats = self.sd * np.exp(log_height - 0.5 * (v + 1.0) * np.log1p(t * t / v))
        return density

    def cdf(self, z: Floats) -> Floats:
        """As of `Family`."""
        mass: Floats = stdtr(self.df, self.sd * z)
        return mass

    def sample(self, n: int, rng: np.random.Generator) -> Floats:
        """As of `Family`."""
        return rng.standard_t(self.df, n) / self.sd


@dataclass(frozen=True)
class SkewNormal:
    """The skew-normal of density 2 phi(y) Phi(slant y), standardised (Azzalini 1985)."""

    slant: float

    @property
    def delta(self) -> float:
        """slant/(1 + slant^2)^1/2."""
        return float(self.slant / np.hypot(1.0, self.slant))

    @property
    def mean(self) -> float:
        """Of y."""
        return self.delta * float(np.sqrt(2.0 / np.pi))

    @property
    def sd(self) -> float:
        """Of y."""
        return float(np.sqrt(1.0 - self.mean**2))

    @property
    def edges(self) -> Floats:
        """As of `Family`."""
        # Phi(slant y) rises from 0 to 1 within a few 1/slant.
        steep = NORMAL_EDGES / max(abs(self.slant), 1.0)
        return (np.union1d(NORMAL_EDGES, steep) - self.mean) / self.sd

    def density(self, z: Floats) -> Floats:
        """As of `Family`."""
        y = self.mean + self.sd * z
        density: Floats = 2.0 * self.sd * np.exp(-0.5 * (y * y + LOG_2PI)) * ndtr(self.slant * y)
        return density

    def cdf(self, z: Floats) -> Floats:
        """As of `Family`."""
        y = self.mean + self.sd * z
        mass: Floats = ndtr(y) - 2.0 * owens_t(y, self.slant)
        return mass

    def sample(self, n: int, rng: np.random.Generator) -> Floats:
        """As of `Family`."""
        first, second = rng.standard_normal((2, n))
        y: Floats = self.delta * np.abs(first) + np.sqrt(1.0 - self.delta**2) * second
        return (y - self.mean) / self.sd


@dataclass(frozen=True, eq=False)
class Truth:
    """A mixture of components of one family, its observations rounded to multiples of round_to.

    components: weights, means and sds of the components, before rounding.
    family: of their distributions.
    round_to: data units; None for observations as they come.
    """

    components: Mixture
    family: Family = Normal()
    round_to: float | None = None

    def parts(self, x: Floats) -> Floats:
        """(n, K): the components' densities before rounding times their weights, at x (n,)."""
        c = self.components
        return c.weights / c.sds * self.family.density((x[:, None] - c.means) / c.sds)

    def density(self, x: Floats) -> Floats:
        """(n,): the density before rounding."""
        return self.parts(x).sum(axis=1)

    def cdf(self, x: Floats) -> Floats:
        """(n,): the probability of values up to x (n,), before rounding."""
        c = self.components
        return self.family.cdf((x[:, None] - c.means) / c.sds) @ c.weights

    def sample(self, n: int, rng: np.random.Generator) -> Floats:
        """(n,): draws, rounded if called for."""
        c = self.components
        labels = np.searchsorted(np.cumsum(c.weights)[:-1], rng.random(n), side="right")
        x = c.means[labels] + c.sds[labels] * self.family.sample(n, rng)
        return x if self.round_to is None else self.round_to * np.rint(x / self.round_to)


DEGREE = 16


def legendre(edges: Floats) -> tuple[Floats, Floats]:
    """Gauss-Legendre points and weights of the cells between ascending edges."""
    points, weights = np.polynomial.legendre.leggauss(DEGREE)
    half = 0.5 * np.diff(edges)[:, None]
    return (edges[:-1, None] + half + half * points).ravel(), (half * weights).ravel()
