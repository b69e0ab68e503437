"""The Monte Carlo error of a risk."""

from collections.abc import Callable

import numpy as np
import pytest

from models import Mixture
from models.losses import hellinger, kullback_leibler, wasserstein
from study.report import measures

TWO = Mixture([0.3, 0.7], [1.0, 4.0], [1.0, 1.0])


@pytest.mark.parametrize("loss", [hellinger, kullback_leibler, wasserstein])
def test_the_monte_carlo_error_of_a_risk_is_its_spread_over_studies(
    loss: Callable[[Mixture, Mixture], float],
) -> None:
    """100 studies of 30 replicates, each an estimate with normal errors, one in ten missing.

    The spread has a relative error of 1/sqrt(198) = 7%, and the mean Monte Carlo error a smaller
    one; five of the former (false-alarm rate below 2e-6).
    """
    rng = np.random.default_rng(9)
    found = []
    for _ in range(100):
        errors = 0.1 * rng.standard_normal((27, 5))
        estimates = [
            Mixture([0.3 + e[0] / 5, 0.7 - e[0] / 5], TWO.means + e[1:3], 1 + e[3:]) for e in errors
        ]
        values = np.full(30, np.nan)
        values[3:] = [loss(TWO, estimate) for estimate in estimates]
        found.append(measures.mean(values))
    spread = np.std([m.value for m in found], ddof=1)
    claimed = np.sqrt(np.mean([m.mcse**2 for m in found]))
    assert claimed == pytest.approx(spread, rel=0.36)
    assert {m.r for m in found} == {27}
