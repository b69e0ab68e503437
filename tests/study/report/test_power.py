"""The power of a calibration against priors that are wrong."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from models.mixture import Floats
from models.priors import Prior, SharedScale
from study.compute.calibration import prior_draw
from study.design import Design, load
from study.report.calibration import calibration
from study.report.power import NOTHING, PARTS, calibration_power
from study.rows import frame, of_frames

OF, R = 99, 2_000


@pytest.fixture(scope="module")
def design() -> Design:
    return load("smoke")


@pytest.fixture(scope="module")
def posterior(design: Design) -> Floats:
    """Draws (4000, 6) of the design's prior, which is the posterior of no data."""
    rng = np.random.default_rng(0)
    own = prior_of(design)
    return np.array([prior_draw(own, 2, rng).as_rows().ravel() for _ in range(4_000)])


def without_data(posterior: Floats, truths: Prior, replicates: int, seed: int) -> pd.DataFrame:
    """Ranks of parameters from the prior `truths` among draws of the posterior."""
    rng = np.random.default_rng(seed)
    names = ["weight 1", "weight 2", "mean 1", "mean 2", "sd 1", "sd 2"]
    rows: list[dict[str, object]] = []
    for replicate in range(replicates):
        truth = prior_draw(truths, 2, rng).as_rows().ravel()
        ranks = (posterior[rng.integers(len(posterior), size=OF)] < truth).sum(axis=0)
        key = {"replicate": replicate, "method": "nuts", "of": OF}
        rows += [
            {**key, "quantity": names[i], "truth": truth[i], "rank": ranks[i]}
            for i in (0, 2, 3, 4, 5)
        ]
    return frame("ranks", rows)


def prior_of(design: Design) -> Prior:
    assert design.calibration is not None
    return design.calibration.prior.build()


def power_of(design: Design, ranks: pd.DataFrame) -> pd.DataFrame:
    return calibration_power(of_frames(design, {"ranks": ranks}))


def seen(design: Design, ranks: pd.DataFrame) -> bool:
    table = calibration(of_frames(design, {"ranks": ranks}))
    return bool((table["uniform"] == "no").any())


def test_the_power_of_parts_is_that_of_fresh_data_sets_under_the_other_prior(
    design: Design, posterior: Floats
) -> None:
    own = prior_of(design)
    assert isinstance(own.sds, SharedScale)
    table = power_of(design, without_data(posterior, own, R, 1)).set_index(
        ["wrong", "factor", "data_sets"]
    )
    found = table.loc[(PARTS[1], 1 / 1.4, 100)]
    wide = replace(own, sds=own.sds.standardised(0.0, np.sqrt(1 / 1.4)))
    fresh = [seen(design, without_data(posterior, wide, 100, 10 + i)) for i in range(40)]
    error = np.hypot(found["power_mcse"], 0.5 / np.sqrt(len(fresh)))
    assert abs(found["power"] - np.mean(fresh)) < 3.3 * error  # a false alarm in 1,000


def test_nothing_wrong_is_seen_at_the_level(design: Design, posterior: Floats) -> None:
    table = power_of(design, without_data(posterior, prior_of(design), R, 2))
    nothing = table[table["wrong"] == NOTHING].set_index("data_sets")
    # The smallest part is the best estimated; a false alarm in 1,000.
    least = nothing.iloc[0]
    assert least["power"] < 0.05 + 3.1 * least["power_mcse"]
    assert nothing["R_power"].eq(R).all()
    # Of one part alone nothing is said.
    assert nothing.index.max() == R // 2


def test_ranks_without_the_parameters_have_no_power(design: Design) -> None:
    key = {"method": "nuts", "quantity": "mean 1", "of": 9}
    ranks = frame("ranks", [{**key, "replicate": i, "rank": i % 10} for i in range(50)])
    assert power_of(design, ranks).empty
