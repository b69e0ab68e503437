"""Are ranks uniform? An exact test, and the bands that it draws around an ECDF.

Ranks are whole numbers 0 to L, `of` = L. Below the cut j = 1, ..., L lie the ranks < j, a binomial
number of them with probability j/(L + 1) each if they are uniform: ranks are discrete, and at
these cuts and no others their ECDF is one of a continuous uniform. The statistic and the bands are
those of Saeilynoja, Buerkner and Vehtari (2022), Statistics and Computing 32, 32; their level is
not simulated here but computed, from the Markov chain that the counts are.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, poisson

from models.mixture import Floats

type Counts = NDArray[np.int_]

# Tails that are equal but for rounding count as equal.
SLACK = 1e-9


def counts(ranks: Counts, of: int) -> Counts:
    """(of,): how many of the ranks (R,) lie below each cut 1, ..., of."""
    outside = ranks[(ranks < 0) | (ranks > of)]
    if outside.size:
        raise ValueError(f"ranks: {outside[0]} is not between 0 and of = {of}")
    return np.cumsum(np.bincount(ranks, minlength=of + 1))[:-1]


def difference(ranks: Counts, of: int) -> tuple[Floats, Floats]:
    """The cuts z = j/(of + 1) and the ECDF of the ranks there minus z, (of,) each."""
    z = np.arange(1, of + 1) / (of + 1)
    return z, counts(ranks, of) / ranks.size - z


def p_value(ranks: Counts, of: int) -> float:
    """Exact probability that uniform ranks leave the middle of their binomials as far as these.

    How far: the least probability, over the cuts, of a count as small or as large as it is.
    Right to about 1e-12.
    """
    below, above = _tails(ranks.size, of)
    cuts, found = np.arange(of), counts(ranks, of)
    least = min(below[cuts, found].min(), above[cuts, found].min())
    return max(1.0 - _coverage(ranks.size, of, least * (1.0 + SLACK)), 0.0)


@cache
def band(r: int, of: int, level: float = 0.95) -> tuple[Floats, Floats]:
    """Lower and upper ends, (of,) each, for `difference` of r ranks at all cuts together.

    The narrowest bands of equal tails that hold at least `level` of all uniform ranks: ranks leave
    them if and only if p_value is at most 1 - level.
    """
    low, high = -60.0, 0.0  # logs of a tail whose bands hold the level, and of one whose do not
    while high - low > 1e-7:
        middle = 0.5 * (low + high)
        if _coverage(r, of, np.exp(middle)) >= level:
            low = middle
        else:
            high = middle
    lower, upper = _limits(r, of, np.exp(low))
    z = np.arange(1, of + 1) / (of + 1)
    return lower / r - z, upper / r - z


def holm(p: Floats) -> Floats:
    """P-values (m,), adjusted for being m: Holm (1979), Scandinavian Journal of Statistics 6, 65.

    However they depend on each other, the chance that any true hypothesis gets one below a is at
    most a.
    """
    order = np.argsort(p, kind="stable")
    adjusted = np.maximum.accumulate(np.arange(p.size, 0, -1) * p[order])
    return np.minimum(adjusted, 1.0)[np.argsort(order, kind="stable")]


@cache
def _tails(r: int, of: int) -> tuple[Floats, Floats]:
    """(of, r + 1): of each count at each cut, the probability of at most and of at least it."""
    z = np.arange(1, of + 1)[:, None] / (of + 1)
    below, count = binom.cdf(np.arange(r + 1), r, z), np.arange(-1, r)
    return below, binom.sf(count, r, z)


def _limits(r: int, of: int, tail: float) -> tuple[Counts, Counts]:
    """Least and greatest count at each cut, (of,), with more than `tail` to either side."""
    below, above = _tails(r, of)
    return (below <= tail).sum(axis=1), (above > tail).sum(axis=1) - 1


def _coverage(r: int, of: int, tail: float) -> float:
    """Probability that the counts of r uniform ranks stay within the limits at every cut.

    The numbers of ranks in the of + 1 cells are independent Poissons given that they sum to r.
    """
    lower, upper = _limits(r, of, tail)
    cell = poisson.pmf(np.arange(r + 1), r / (of + 1))
    before, mass = 0, np.ones(1)
    for low, high in zip(lower, upper, strict=True):
        if high < low:
            return 0.0
        mass = np.convolve(mass, cell)[max(low - before, 0) : high - before + 1]
        before = max(low, before)
    rest = r - before - np.arange(mass.size)
    return float(mass @ cell[rest] / poisson.pmf(r, r))
