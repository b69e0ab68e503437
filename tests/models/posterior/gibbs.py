"""A Gibbs sampler of two components under the default family of priors: the tests' oracle.

It augments the posterior by allocations and by the scale that the variances share, of which NUTS
has integrated out both. Diebolt and Robert (1994); Richardson and Green (1997).
"""

import numpy as np

from models.kernels import Floats
from models.priors import Dirichlet, Normal, Prior, SharedScale


def gibbs(
    x: Floats, prior: Prior, start: Floats, draws: int, rng: np.random.Generator, chains: int = 32
) -> Floats:
    """(chains, draws, 3, 2), labels as sampled, after a tenth as many draws to warm up.

    start: (3, 2), of half of the chains; of the others with its components exchanged.
    """
    weights, means, scale = prior.weights, prior.means, prior.sds
    assert isinstance(weights, Dirichlet)
    assert isinstance(means, Normal)
    assert isinstance(scale, SharedScale)
    (location,) = set(means.locations(2).tolist())
    both = np.stack([x, x * x], axis=1)
    total = np.append(x.size, both.sum(axis=0))
    state = np.tile(start, (chains, 1, 1))
    state[::2] = state[::2, :, ::-1]
    w, mu, v = state[:, 0], state[:, 1], state[:, 2] ** 2
    found = np.empty((chains, draws, 3, 2))
    for step in range(-(draws // 10), draws):
        # The log odds of the first component are a quadratic in x.
        a, b, c = -0.5 / v, mu / v, np.log(w) - 0.5 * np.log(v) - 0.5 * mu * mu / v
        quadratic, linear, constant = (np.subtract(*q.T)[:, None] for q in (a, b, c))
        odds = constant + linear * x + quadratic * both[:, 1]
        first = (rng.logistic(size=odds.shape) < odds).astype(float)
        sums = np.column_stack([first.sum(axis=1), first @ both])
        n, s, q = np.stack([sums, total - sums], axis=-1).swapaxes(0, 1)
        w = rng.standard_gamma(weights.concentration + n)
        w /= w.sum(axis=1, keepdims=True)
        precision = n / v + means.sd**-2.0
        centre = (s / v + location / means.sd**2) / precision
        mu = centre + rng.standard_normal(mu.shape) / np.sqrt(precision)
        rate = 1.0 / scale.widest + (1.0 / v).sum(axis=1, keepdims=True)
        shared = rng.standard_gamma(scale.power(2), size=(chains, 1)) / rate
        squares = np.maximum(q - 2.0 * mu * s + n * mu * mu, 0.0)
        rate = shared + scale.finest + 0.5 * squares
        v = rate / rng.standard_gamma(scale.shape + 0.5 * n)
        if step >= 0:
            found[:, step] = np.stack([w, mu, np.sqrt(v)], axis=1)
    return found
