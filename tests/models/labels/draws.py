"""Draws with known permutations, that the tests of `labels` share."""

import numpy as np

from models import Mixture


def separated(k, gap=8.0):
    """K components `gap` sds apart, weights and sds unequal."""
    weights = np.linspace(1.0, 2.0, k)
    return Mixture(weights / weights.sum(), gap * np.arange(k), np.linspace(1.0, 1.3, k))


def draws_near(truth, rng, shape=(2, 20), spread=0.05):
    """(chains, draws, 3, K): draws about a mixture, components in its order, weights summing to 1.

    Means move by `spread`, weights and sds by as much relative to themselves.
    """
    noise = spread * rng.standard_normal((*shape, 3, truth.k))
    rows = truth.as_rows()
    draws = np.stack(
        [
            rows[0] * np.exp(noise[:, :, 0]),
            rows[1] + noise[:, :, 1],
            rows[2] * np.exp(noise[:, :, 2]),
        ],
        axis=2,
    )
    draws[:, :, 0] /= draws[:, :, 0].sum(axis=-1, keepdims=True)
    return draws


def shuffled(draws, rng):
    """The draws in random labellings, and the permutations that put them back."""
    order = rng.permuted(np.broadcast_to(np.arange(draws.shape[-1]), draws[:, :, 0].shape), axis=-1)
    return np.take_along_axis(draws, order[:, :, None, :], axis=-1), np.argsort(order, axis=-1)
