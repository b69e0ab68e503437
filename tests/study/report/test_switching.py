"""Label switching over all fits: tables on rows whose answers are known, and what theory says."""

import numpy as np
import pandas as pd
import pytest

from models.labels import NOT_EXCHANGEABLE
from study.report.switching import (
    crossing,
    label_algorithms,
    label_switching,
    label_verdicts,
)
from study.rows import AGREEMENTS, CHAIN_WORDS
from tests.study.synthetic import of, row


def label_row(replicate: int, verdict: str, **numbers: float) -> dict[str, object]:
    return row("labels", replicate=replicate, method="nuts", verdict=verdict, **numbers)


def test_verdicts_are_shares_of_the_fits_that_can_switch() -> None:
    words = ["labels only", "labels only", "mixes", "does not mix", NOT_EXCHANGEABLE]
    rows = [label_row(i, word, convention=i == 1) for i, word in enumerate(words)]
    study = of(labels=rows)
    (found,) = label_verdicts(study).to_dict("records")
    assert (found["R"], found["none"]) == (4, 0.0)
    columns = [word.replace(" ", "_") for word in CHAIN_WORDS]
    assert [found[column] for column in columns] == [0.25, 0.5, 0.0, 0.25]
    assert found["labels_only_mcse"] == pytest.approx(0.25)
    assert found["convention"] == 0.25


def test_a_fit_without_chains_counts_among_the_verdicts_and_nowhere_else() -> None:
    study = of(labels=[label_row(0, "mixes"), label_row(1, "", message="failed: no draws")])
    (found,) = label_verdicts(study).to_dict("records")
    assert (found["R"], found["none"], found["mixes"]) == (2, 0.5, 0.5)
    assert label_switching(study)["R"].tolist() == [1]


def test_every_number_of_the_label_tables_has_its_standard_error() -> None:
    study = of(labels=[label_row(i, "mixes", rhat_raw=1 + i / 10) for i in range(5)])
    for make in (label_switching, label_verdicts, label_algorithms):
        table = make(study)
        numbers = [str(c) for c in table if not str(c).endswith(("_mcse", "_low", "_high"))]
        assert numbers[:3] == ["scenario", "method", "R"]
        assert all(f"{c}_mcse" in table for c in numbers[3:])
        assert np.isfinite(table.filter(like="_mcse").to_numpy(float)).all()
    assert label_switching(study)["rhat_raw"].tolist() == [1.2]
    assert list(label_algorithms(study).filter(like="_mcse")) == [
        f"{name}_mcse" for name in AGREEMENTS
    ]


def test_switches_are_counted_in_1000_draws_and_nested_r_hat_has_an_r_of_its_own() -> None:
    rows = [
        label_row(i, "labels only", switches=s, nested_rhat=nested)
        for i, (s, nested) in enumerate([(0, np.nan), (8, 1.0), (4, 1.2)])
    ]
    table = label_switching(of(labels=rows))
    assert table["switches_per_1000"].tolist() == [1.0]
    assert table["fits_with_switches"].tolist() == [pytest.approx(2 / 3)]
    assert (table["R"].tolist(), table["R_nested_rhat"].tolist()) == ([3], [2])
    assert pd.isna(table["nested_rhat_mcse"].iloc[0])


def test_the_energy_of_a_trajectory_exceeds_a_barrier_as_often_as_theory_says() -> None:
    """A million energies of a normal posterior of five parameters, their fall from the mode and
    the kinetic energy; five Monte Carlo standard errors, missed less than once in 1e6."""
    rng = np.random.default_rng(0)
    energy = 0.5 * (rng.standard_normal((10, 1_000_000)) ** 2).sum(axis=0)
    for height in (1.0, 5.0, 10.0):
        share = (energy > height).mean()
        mcse = np.sqrt(share * (1 - share) / energy.size)
        assert crossing(np.array([height]))[0] == pytest.approx(share / 2, abs=2.5 * mcse)
