"""R's random numbers after `set.seed`, in NumPy: the default generators of R since 3.6."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from models.mixture import Floats

_BIG = 2**27  # Inversion joins two uniforms, for one has but 32 bits.


class RStream:
    """The stream of uniforms and normals that R draws after set.seed(seed)."""

    def __init__(self, seed: int) -> None:
        """As in R's RNG.c: fifty scrambles of the seed, then the state from the same recursion."""
        values = []
        for _ in range(50 + 625):
            seed = (69069 * seed + 1) % 2**32
            values.append(seed)
        key = np.array(values[51:], dtype=np.uint32)  # the first of the 625 is the position
        self._bits = np.random.MT19937()
        self._bits.state = {"bit_generator": "MT19937", "state": {"key": key, "pos": 624}}

    def uniform(self, n: int) -> Floats:
        """(n,): runif(n); a zero becomes half of 1/(2^32 - 1), as in R."""
        return np.maximum(self._bits.random_raw(n) * 2.0**-32, 0.5 / (2**32 - 1))

    def normal(self, n: int) -> Floats:
        """(n,): rnorm(n), by inversion."""
        pairs = self.uniform(2 * n).reshape(n, 2)
        return ndtri((np.floor(_BIG * pairs[:, 0]) + pairs[:, 1]) / _BIG)
