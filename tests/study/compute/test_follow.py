"""Replicates followed closely: stopping rules, rates against theory, many starts."""

import numpy as np
import pandas as pd
import pytest

from models import Mixture, MixtureModel, fit
from models.em import e_step
from models.sample import as_data
from study.compute.follow import RULES, STARTS, EMPath, Step, aitken_gap, follow, reaches
from study.design import Design
from study.rows import KINDS, MADE_BY, STOPPING_RULES, TARGETS, frames

DESIGN = Design(
    name="few", title="", seed=3, closely=1, replicates={"em": 2, "newton": 2},
    scenarios=[
        {"name": "near", "weights": [0.5, 0.5], "means": [0, 2.5], "sds": [1, 1], "n": 400},
        {"name": "known", "weights": [0.3, 0.7], "means": [0, 2], "sds": [1, 1], "n": 300,
         "model": {"means": [0, 2], "sds": [1, 1]}},
    ],
)  # fmt: skip


@pytest.fixture(scope="module")
def path():
    truth = Mixture([0.4, 0.6], [0, 3], [1, 1.2])
    x = truth.sample(500, np.random.default_rng(1))[0]
    return EMPath.of(as_data(x, None, MixtureModel()), MixtureModel(), truth)


def test_rows_of_a_replicate_have_every_kind_and_the_schema():
    for name in ("near", "known"):
        rows = follow(DESIGN, DESIGN.scenario(name), 0)
        tables = frames(rows)
        assert {kind: list(table) for kind, table in tables.items()} == {
            kind: list(KINDS[kind].columns) for kind in MADE_BY["follow"]
        }
        assert len(tables["reaches"]) == 2 * len(TARGETS)
        assert tuple(tables["stops"]["rule"]) == tuple(RULES) == STOPPING_RULES
        assert len(tables["rates"]) == 1
        assert set(tables["optima"]["start"]) == set(range(STARTS))


def test_the_same_replicate_gives_the_same_rows():
    one, two = (frames(follow(DESIGN, DESIGN.scenario("near"), 1)) for _ in range(2))
    for kind in one:
        pd.testing.assert_frame_equal(one[kind], two[kind], check_exact=True)


def test_emss_observed_rate_is_the_fraction_of_missing_information(path):
    """The tail's ratio differs by the second fraction's powers, small where steps are 1e-9."""
    (row,) = path.rate()
    assert 0.5 < row["predicted"] < 0.995
    assert row["observed"] == pytest.approx(row["predicted"], rel=1e-5)


def test_rules_stop_where_they_first_hold_and_never_later_than_a_stricter_one(path):
    stops = {row["rule"]: row for row in path.stops()}
    n = path.data.n
    for rule, holds in RULES.items():
        at = stops[rule]["iteration"]
        assert stops[rule]["stopped"]
        assert holds(path.steps[at - 1], n)
        assert not any(holds(step, n) for step in path.steps[: at - 1])
    order = [
        ("gain < 1e-5 (first article)", "gain < 1e-8 (mixtools)"),
        ("parameters move < 1e-6", "parameters move < 1e-9 (here)"),
        ("Newton decrement < 1e-2", "Newton decrement < 1e-4 (certificate)"),
    ]
    for loose, strict in order:
        assert stops[loose]["iteration"] <= stops[strict]["iteration"]
        assert stops[loose]["distance"] >= stops[strict]["distance"]


def test_the_decrement_leaves_what_it_says(path):
    """The decrement is the distance to the maximum to second order: within 1% at 1e-2."""
    for row in path.stops():
        if row["rule"].startswith("Newton decrement"):
            bound = float(row["rule"].split("<")[1].split()[0])
            assert row["distance"] < 1.01 * bound
            assert row["gap"] < 0.51 * bound**2 + 16e-15 * abs(path.steps[-1].loglik)


def test_steps_hold_what_they_say(path):
    i = 7
    here, before = (e_step(m, path.data).loglik for m in (path.path[i + 1], path.path[i]))
    assert path.steps[i].loglik == here
    assert path.steps[i].gain == here - before
    assert path.steps[i].gain_before == path.steps[i - 1].gain


def test_aitkens_gap_is_exact_for_a_geometric_sequence():
    """Gains 1, r, r^2, ... after the one of size g leave g r/(1 - r)."""
    for r in (0.1, 0.9):
        step = Step(0.0, r, 1.0, 0.0, 0.0, lambda: 0.0)
        assert aitken_gap(step) == pytest.approx(r * r / (1 - r))
    for gain, before in ((1.0, 0.5), (-1.0, 1.0), (0.0, 1.0), (0.5, np.nan)):
        assert aitken_gap(Step(0.0, gain, before, 0.0, 0.0, lambda: 0.0)) == np.inf


def test_passes_to_a_gap_are_the_traces(path):
    found = fit("newton", path.data.x, start=path.path[0], trace=True)
    best = found.loglik
    for row in reaches("newton", found, best):
        gaps = best - found.trace.loglik
        first = next(i for i, gap in enumerate(gaps) if gap <= row["target"])
        assert row["passes"] == found.trace.passes[first]
    assert all(np.isinf(row["passes"]) for row in reaches("newton", found, best + 200.0))
