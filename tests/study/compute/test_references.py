"""References: exact where an integral is there to hold them against, honest about themselves."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from models.priors import Prior
from models.sample import as_data
from study.compute import references
from study.compute.references import refer, summaries
from study.design import Design, ModelSpec, Scenario
from study.rows import LEVELS, QUANTILES, frame, probability, trusted
from study.simulate import data_set

KNOWN = Scenario(
    name="known",
    weights=[0.7, 0.3],
    means=[0, 1.5],
    sds=[1, 1],
    n=60,
    model=ModelSpec(means=[0, 1.5], sds=[1, 1]),
)
NEAR = Scenario(name="near", weights=[0.5, 0.5], means=[0, 2], sds=[1, 1], n=60)
DESIGN = Design(name="d", title="", seed=3, replicates={"nuts": 1}, scenarios=[KNOWN, NEAR])


def test_a_reference_agrees_with_numerical_integration():
    """Known components: one weight. Mean, sd and quantiles within 4.5 Monte Carlo errors of what
    midpoints give; 12 tests, false-alarm rate below 1e-4."""
    table = frame("references", refer(DESIGN, KNOWN, 0))
    assert set(table["parameter"]) == {"weight"}
    own = table[table["component"] == 1].iloc[0]
    x, model = data_set(DESIGN, KNOWN, 0), KNOWN.model.build()
    data = as_data(x, None, model)
    prior = Prior.default(data, 2)
    w = (np.arange(20_000) + 0.5) / 20_000
    parts = stats.norm(model.means, model.sds).pdf(x[:, None])
    logs = np.log(np.outer(parts[:, 0], w) + np.outer(parts[:, 1], 1 - w)).sum(axis=0)
    logs += (prior.weights.concentration - 1) * (np.log(w) + np.log1p(-w))
    p = np.exp(logs - logs.max())
    p /= p.sum()
    mean = p @ w
    sd = np.sqrt(p @ (w - mean) ** 2)
    assert abs(own["mean"] - mean) < 4.5 * sd / np.sqrt(own["ess"])
    assert abs(own["sd"] - sd) < 4.5 * sd / np.sqrt(own["ess"])
    for level in (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975):
        reached = np.interp(own[f"q{level:g}"], w, np.cumsum(p))
        assert abs(reached - level) < 4.5 * np.sqrt(level * (1 - level) / own["ess"])


def test_the_same_reference_every_time():
    one, other = (frame("references", refer(DESIGN, NEAR, 0)) for _ in range(2))
    pd.testing.assert_frame_equal(one, other, check_exact=True)


@pytest.mark.parametrize("enough", [True, False])
def test_a_run_that_does_not_converge_is_made_anew_and_longer(monkeypatch, enough):
    lengths = []

    def counted(*arguments, draws, **options):
        lengths.append(draws)
        return fit(*arguments, draws=draws if enough else draws // 100, **options)

    fit = references.fit
    monkeypatch.setattr(references, "fit", counted)
    table = frame("references", refer(DESIGN, KNOWN, 0))
    first, second = references.LENGTHS
    assert lengths == [first] * 4 + ([] if enough else [second] * 4)
    assert trusted(table) == enough


def test_probabilities_of_intervals_of_a_known_law():
    """An end is off by at most h^2 |f'| / (8 f^2) between levels h apart: .00125 at h = .025."""
    law = stats.norm(3.0, 2.0)
    row = pd.Series(dict(zip(QUANTILES, law.ppf(np.clip(LEVELS, 1e-6, 1 - 1e-6)), strict=True)))
    assert np.all(np.diff(LEVELS) > 0)
    np.testing.assert_allclose(LEVELS, 1.0 - LEVELS[::-1], atol=1e-12)
    for low, high in ((-0.92, 6.92), (0.0, 5.0), (3.0, 3.5), (-9.0, 3.0), (-99.0, 99.0)):
        assert probability(row, low, high) == pytest.approx(
            law.cdf(high) - law.cdf(low), abs=2.5e-3
        )
    assert probability(row, 20.0, 30.0) == 0.0


def test_summaries_are_of_draws_in_the_order_of_their_means():
    rng = np.random.default_rng(0)
    draws = np.stack(
        [
            np.full((2, 50, 2), 0.5),
            rng.normal([[[0.0, 10.0]]], 1.0, (2, 50, 2)),
            rng.uniform([[[1.0, 3.0]]], [[[2.0, 4.0]]], (2, 50, 2)),
        ],
        axis=2,
    )
    swapped = draws.copy()
    swapped[:, ::2] = swapped[:, ::2, :, ::-1]
    one, other = (pd.DataFrame(summaries(d)) for d in (draws, swapped))
    pd.testing.assert_frame_equal(one, other)
    assert set(one["parameter"]) == {"mean", "sd"}  # weights do not vary
    np.testing.assert_allclose(one["mean"], [*draws[:, :, 1:].mean(axis=(0, 1)).ravel()])
