"""What each criterion chooses of a data set, and what that loses."""

import numpy as np
import pandas as pd
import pytest

from models.losses import kullback_leibler
from models.mixture import Mixture
from models.truth import Normal, SkewNormal, StudentT, Truth
from study.compute.selection import choose, loss
from study.design import Choice, DesignError, load
from study.rows import KINDS, MADE_BY, ONE_START, frames

DESIGN = load("smoke")
BIRDS = DESIGN.scenario("birds")
PARTS = Mixture([0.4, 0.6], [0, 3], [1, 0.5])


@pytest.fixture(scope="module")
def rows():
    return frames(choose(DESIGN, BIRDS, 0, ["aic", "bic"]))


def test_a_row_a_criterion_and_k_and_one_for_each_choice(rows):
    assert {kind: list(frame.columns) for kind, frame in rows.items()} == {
        kind: list(KINDS[kind].columns) for kind in MADE_BY["choose"]
    }
    assert rows["criteria"]["k"].tolist() == 2 * DESIGN.ks_of(BIRDS)
    assert rows["choices"]["criterion"].tolist() == ["aic", "bic", ONE_START]
    assert rows["choice_timings"]["criterion"].tolist() == ["aic", "bic", "fits"]
    bic = rows["criteria"][rows["criteria"]["criterion"] == "bic"].set_index("k")["value"]
    assert rows["choices"]["k"][1] == bic.idxmin()
    assert (rows["choices"]["loss"] > 0).all()


def test_the_same_rows_whatever_is_computed_beside(rows):
    alone = frames(choose(DESIGN, BIRDS, 0, ["bic"]))
    for kind in ("criteria", "choices"):
        own = rows[kind][rows[kind]["criterion"].isin(["bic", ONE_START])].reset_index(drop=True)
        pd.testing.assert_frame_equal(alone[kind], own, check_exact=True)


def test_a_loss_is_kullback_and_leiblers_divergence():
    near = Mixture([0.5, 0.5], [0.2, 2.8], [1.1, 0.6])
    assert loss(Truth(PARTS), near) == pytest.approx(kullback_leibler(PARTS, near), rel=1e-9)
    assert loss(Truth(PARTS), PARTS) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("family", [StudentT(3.0), SkewNormal(4.0), Normal()])
def test_a_loss_is_a_mean_over_draws_of_the_truth(family):
    """200,000 draws, 4.5 errors: a false alarm in 150,000 runs; and a t's far tail beside it."""
    truth, x = Truth(PARTS, family), None
    x = truth.sample(200_000, np.random.default_rng(0))
    near = Mixture([0.5, 0.5], [0, 3], [1.5, 1.5])
    gaps = np.log(truth.density(x)) - near.log_density(x)
    error = gaps.std() / np.sqrt(gaps.size)
    tail = 0.01 if isinstance(family, StudentT) else 0.0
    assert abs(loss(truth, near) - gaps.mean()) < 4.5 * error + tail


def test_what_a_design_asks_for():
    chosen = load("k")
    assert chosen.choice_of(chosen.scenario("galaxies"))["lrt"] == 1
    assert chosen.choice_of(chosen.scenario("one-n100"))["bic"] == 278
    assert DESIGN.choice_of(DESIGN.scenario("article-1")) == {}
    known = {"criteria": {"bic": 3}}
    assert load("smoke", choice=known).choice_of(DESIGN.scenario("article-1")) == {}
    with pytest.raises(DesignError, match="unknown criterion 'best'; choose from aic"):
        load("smoke", choice={"criteria": {"best": 3}})
    with pytest.raises(ValueError, match="ascending whole numbers without a gap"):
        Choice(criteria={"bic": 3}, ks=[1, 3])
