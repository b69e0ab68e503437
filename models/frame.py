"""Frame: the shift and the scale in which a sample is fitted, so that no digits are lost.

Offsets as of timestamps leave few digits to means and scores, and squares of very large or small
numbers none at all. Both are taken off before anything is computed, without rounding, and put
back into the results.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.mixture import Floats, Mixture
from models.model import MixtureModel

# Ranges of data from 2^-MODERATE to 2^MODERATE are left as they are.
MODERATE = 300


@dataclass(frozen=True)
class Frame:
    """Data as (x - shift) / 2^exponent.

    shift: data units. exponent: a power of two changes no digit.
    """

    shift: float = 0.0
    exponent: int = 0

    @classmethod
    def of(cls, low: float, high: float, beyond: float = 1.0) -> Frame:
        """That of observations from low to high.

        They are shifted where 0 is more than `beyond` times their range away: by default where they
        lie within a factor of two of each other, and x - shift is exact (Sterbenz 1974).
        """
        near = min(abs(low), abs(high)) if (low > 0) == (high > 0) else 0.0
        half = 0.5 * high - 0.5 * low  # the range itself may overflow
        offset = near > 0.0 and 0.5 * near >= beyond * half
        exponent = math.frexp(half)[1] + 1
        plain = half == 0.0 or abs(exponent) <= MODERATE
        exponent = min(exponent, 1000)  # of which 2 to the power is a number
        return cls(0.5 * low + 0.5 * high if offset else 0.0, 0 if plain else exponent)

    @property
    def plain(self) -> bool:
        """Whether it leaves everything as it is."""
        return self.shift == 0.0 and self.exponent == 0

    @property
    def log_scale(self) -> float:
        """Nats by which an observation's log-density is higher in the frame."""
        return self.exponent * math.log(2.0)

    def inside(self, x: Floats) -> Floats:
        """Values (...) of data units, in the frame."""
        return x if self.plain else np.ldexp(x - self.shift, -self.exponent)

    def outside(self, x: Floats) -> Floats:
        """Values (...) of the frame, in data units."""
        return x if self.plain else np.ldexp(x, self.exponent) + self.shift

    def widths(self, lengths: Floats) -> Floats:
        """Lengths (...) of the frame, as sds or their errors, in data units."""
        return lengths if self.exponent == 0 else np.ldexp(lengths, self.exponent)

    def mixture_inside(self, mixture: Mixture) -> Mixture:
        """A mixture of data units, in the frame."""
        if self.plain:
            return mixture
        sds = np.ldexp(mixture.sds, -self.exponent)
        return Mixture.trusted(mixture.weights, self.inside(mixture.means), sds)

    def mixture_outside(self, mixture: Mixture) -> Mixture:
        """A mixture of the frame, in data units."""
        if self.plain:
            return mixture
        means, sds = self.outside(mixture.means), self.widths(mixture.sds)
        return Mixture.trusted(mixture.weights, means, sds)

    def rows_outside(self, rows: Floats) -> Floats:
        """Rows (..., 3, K) of weights, means and sds, in data units."""
        if self.plain:
            return rows
        w, means, sds = np.moveaxis(rows, -2, 0)
        return np.stack([w, self.outside(means), self.widths(sds)], axis=-2)

    def errors_outside(self, rows: Floats) -> Floats:
        """Rows (..., 3, K) of standard errors of weights, means and sds, in data units."""
        if self.exponent == 0:
            return rows
        powers = np.array([0, self.exponent, self.exponent])[:, None]
        found: Floats = np.ldexp(rows, powers)
        return found

    def model_inside(self, model: MixtureModel) -> MixtureModel:
        """The model with its known parameters in the frame."""
        if self.plain or (model.means is None and model.sds is None):
            return model
        weights, means, sds = model.known
        known = np.stack([weights, self.inside(means), np.ldexp(sds, -self.exponent)])
        return MixtureModel.of_known(known, model.equal_sds)

    def covariance_outside(self, covariance: Floats) -> Floats:
        """A covariance (3K, 3K) of weights, means and sds, in data units."""
        if self.exponent == 0:
            return covariance
        powers = np.repeat([0, self.exponent, self.exponent], len(covariance) // 3)
        with np.errstate(over="ignore", under="ignore"):
            found: Floats = np.ldexp(covariance, powers[:, None] + powers)
        return found

    def draws_outside(self, draws: Any) -> Any:
        """A DataTree of posterior draws, in data units."""
        if self.plain or draws is None:
            return draws
        posterior = draws["posterior"].to_dataset()
        means, sds = posterior["means"], posterior["sds"]
        moved = {"means": means.copy(data=self.outside(means.values))}
        moved["sds"] = sds.copy(data=self.widths(sds.values))
        draws = draws.copy()
        draws["posterior"] = type(draws)(posterior.assign(moved))
        return draws


# That of most data.
PLAIN = Frame()
