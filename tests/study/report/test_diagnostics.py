"""Do the warnings warn? On draws that are right, or wrong in a way that is known."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from models.mixture import Floats, draws_by_mean
from study.compute.references import summaries
from study.design import Scenario
from study.report.diagnostics import DIAGNOSTICS, _draws, answered, errors, warnings
from study.rows import PARAMETERS, Results
from tests.study.synthetic import changed, design, of, row

FAR = Scenario(name="far", weights=[0.5, 0.5], means=[0, 10], sds=[1, 1], n=50)
DESIGN = design(["nuts", "nuts-ordered"], scenarios=[FAR], references=1)


def posterior(rng: np.random.Generator, chains: int = 2, draws: int = 500) -> Floats:
    """Draws (chains, draws, 3, 2) of two components apart, in the order of their means."""
    weights = rng.beta(40, 60, (chains, draws))
    means = rng.normal([0.0, 10.0], 0.5, (chains, draws, 2))
    sds = rng.gamma(100, 0.01, (chains, draws, 2))
    return np.stack([np.stack([weights, 1 - weights], axis=-1), means, sds], axis=2)


def test_errors_are_in_reference_sds_and_in_probability() -> None:
    draws = posterior(np.random.default_rng(2), 4, 20_000)
    reference = pd.DataFrame(summaries(draws))
    shift, mass = errors(draws, reference, 0.95)
    assert shift < 1e-12
    assert mass < 1e-3  # what is linear between levels
    moved = draws.copy()
    moved[:, :, 1, 0] += 0.7 * draws[:, :, 1, 0].std()
    shift, mass = errors(moved, reference, 0.95)
    assert shift == pytest.approx(0.7, rel=1e-9)
    # An interval of 1.96 sds each way, .7 sds off: .8913 of the probability.
    held = stats.norm.cdf(1.96 - 0.7) - stats.norm.cdf(-1.96 - 0.7)
    assert mass == pytest.approx(0.95 - held, abs=0.01)


def kept(replicate: int, method: str, draws: Floats) -> pd.DataFrame:
    chain, draw, component = np.indices((*draws.shape[:2], 2)).reshape(3, -1)
    columns = {"scenario": "far", "replicate": replicate, "method": method}
    columns |= {"chain": chain, "draw": draw, "component": component + 1, "relabelled": 0}
    values = np.moveaxis(draws, 2, 3).reshape(-1, 3).T
    return pd.DataFrame(columns | dict(zip(PARAMETERS, values, strict=True)))


@pytest.fixture
def judged() -> Results:
    """Four exchangeable fits: sound, chains in two labellings, off, and one without a reference."""
    rng = np.random.default_rng(4)
    sound = posterior(rng)
    reference = pd.DataFrame(summaries(posterior(rng, 4, 2000)))
    apart = np.stack([sound[0], sound[1, ..., ::-1]])
    off = sound + np.array([0.0, 1.0, 0.0])[:, None]
    fits = [("nuts", sound), ("nuts", apart), ("nuts", off), ("nuts", sound)]
    draws = pd.concat([kept(i, *fit) for i, fit in enumerate(fits)])
    draws = pd.concat([draws, kept(0, "nuts-ordered", off)])
    keys = [("far", i, "nuts") for i in range(4)] + [("far", 0, "nuts-ordered")]
    found = {
        "rhat_raw": [1.0, 2.0, 1.0, 1.0, 1.0],
        "rhat_relabelled": [1.0, 1.0, 1.2, 1.2, 1.0],
        "divergences": [3, 0, 0, 0, 0],
        "verdict": ["mixes", "labels only", "does not mix", "mixes", "mixes"],
    }
    labels = [
        row("labels", *key, bfmi=np.nan, **{name: values[i] for name, values in found.items()})
        for i, key in enumerate(keys)
    ]
    references = [reference.assign(scenario="far", replicate=i) for i in range(4)]
    references[3]["rhat"] = 1.5  # not to be trusted
    study = of(DESIGN, labels=labels)
    return changed(study, draws=draws, references=pd.concat(references))


def test_answers_are_wrong_where_they_are(judged: Results) -> None:
    found = answered(judged).set_index(["replicate", "method", "answer"])["wrong"]
    assert found.to_dict() == {
        (0, "nuts", "by mean"): False,
        (0, "nuts", "as sampled"): False,
        (1, "nuts", "by mean"): False,
        (1, "nuts", "as sampled"): True,
        (2, "nuts", "by mean"): True,
        (2, "nuts", "as sampled"): True,
        (0, "nuts-ordered", "by mean"): True,
    }


def test_warnings_are_counted_against_answers(judged: Results) -> None:
    table = warnings(judged).set_index(["answer", "diagnostic"])
    columns = ["R", "wrong", "fired", "sensitivity", "specificity"]
    expected = {
        ("by mean", "R-hat, relabelled"): [4, 2, 1, 0.5, 1.0],
        ("by mean", "R-hat, as sampled"): [4, 2, 1, 0.0, 0.5],
        ("by mean", "divergences"): [4, 2, 1, 0.0, 0.5],
        ("by mean", "verdict: does not mix"): [4, 2, 1, 0.5, 1.0],
        ("by mean", "verdict: not 'mixes'"): [4, 2, 2, 0.5, 0.5],
        ("as sampled", "R-hat, as sampled"): [3, 2, 1, 0.5, 1.0],
        ("as sampled", "verdict: not 'mixes'"): [3, 2, 2, 1.0, 1.0],
    }
    for key, values in expected.items():
        assert table.loc[key, columns].tolist() == pytest.approx(values), key
    unknown = table.loc[("by mean", "BFMI")]
    assert unknown["R"] == 0
    assert np.isnan(unknown["sensitivity"])
    assert list(dict.fromkeys(table.index.get_level_values(1))) == list(DIAGNOSTICS)
    # Of two wrong answers none is missed: Wilson's interval says how little that is.
    never = table.loc[("as sampled", "verdict: not 'mixes'")]
    assert never["sensitivity_low"] == pytest.approx(2 / (2 + 1.959964**2))
    assert never["sensitivity_high"] == pytest.approx(1.0)


def test_draws_come_back_in_their_shape() -> None:
    draws = posterior(np.random.default_rng(0), 3, 7)
    np.testing.assert_array_equal(_draws(kept(0, "nuts", draws)), draws)
    np.testing.assert_array_equal(draws_by_mean(draws), draws)
