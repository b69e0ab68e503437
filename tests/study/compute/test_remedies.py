"""What the remedies for label switching answer, on one small data set."""

import numpy as np
import pandas as pd
import pytest

from study.compute.remedies import compare, distances
from study.design import DesignError, load
from study.rows import DISTANCE, KINDS, MADE_BY, REMEDIES, REMEDY_PARAMETERS, frames

DESIGN = load("smoke")
SCENARIO = DESIGN.scenario("grid-d2-w0.5-r1-n100")


@pytest.fixture(scope="module")
def rows():
    return frames(compare(DESIGN, SCENARIO, 0))


def test_distances_are_the_parameters_and_their_difference():
    rows = np.array([[[0.3, 0.7], [1.0, 9.0], [2.0, 3.0]]])
    np.testing.assert_array_equal(distances(rows), [[0.3, 1.0, 9.0, 2.0, 3.0, 8.0]])


def test_every_remedy_has_a_row_for_every_parameter(rows):
    found = rows["remedies"]
    assert {kind: list(frame.columns) for kind, frame in rows.items()} == {
        kind: list(KINDS[kind].columns) for kind in MADE_BY["remedies"]
    }
    assert (
        list(found["remedy"].unique()) == list(REMEDIES) == list(rows["remedy_timings"]["remedy"])
    )
    for _, own in found.groupby("remedy"):
        assert tuple(own["parameter"]) == REMEDY_PARAMETERS
    truth = dict(zip(found["parameter"], found["truth"], strict=True))
    assert truth[DISTANCE] == pytest.approx(2.0)
    assert (rows["remedy_timings"]["seconds"] > 0).all()


def test_the_same_rows_every_time(rows):
    again = frames(compare(DESIGN, SCENARIO, 0))
    pd.testing.assert_frame_equal(rows["remedies"], again["remedies"], check_exact=True)


def test_no_relabelling_sees_the_means_further_apart_than_ordering(rows):
    """Draw by draw it takes the absolute value of what any other labelling takes with a sign."""
    table = rows["remedies"].pivot(index="remedy", columns="parameter", values="mean")
    for remedy in ("none", "Stephens", "PRA"):
        assert table.loc["by mean", DISTANCE] >= table.loc[remedy, DISTANCE]
        # Labels move means between components, and leave their sum.
        total = table.loc[remedy, "mean 1"] + table.loc[remedy, "mean 2"]
        assert total == pytest.approx(table.loc["by mean", ["mean 1", "mean 2"]].sum(), rel=1e-12)
    differences = table["mean 2"] - table["mean 1"]
    np.testing.assert_allclose(table[DISTANCE], differences, rtol=1e-9, atol=1e-12)


def test_ordered_means_and_relabelling_by_mean_are_one_posterior(rows):
    """Six tests, of five parameters and the distance, at 4.5: false-alarm rate below 5e-5."""
    table = rows["remedies"].set_index(["remedy", "parameter"])
    one, other = table.loc["ordered"], table.loc["by mean"]
    error = np.sqrt(one["sd"] ** 2 / one["ess"] + other["sd"] ** 2 / other["ess"])
    assert ((one["mean"] - other["mean"]).abs() < 4.5 * error).all()
    assert (one["mean"] != other["mean"]).all()  # two runs, not one twice
    assert one.loc[DISTANCE, "lower"] > 0 < other.loc[DISTANCE, "lower"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"remedies": {"scenarios": ["galaxies"], "replicates": 1}}, "no scenario is called"),
        ({"remedies": {"scenarios": ["article-1"], "replicates": 1}}, "only an order tells apart"),
        ({"references": 2}, "references: 2 is above keep_draws, 1"),
    ],
)
def test_what_cannot_be_compared_is_named(changes, message):
    with pytest.raises(DesignError, match=message):
        load("smoke", **changes)
