"""What jobs ask a cluster for: bounds that rise with what they do."""

import pytest

from study.design import Chunk, Intervals, load
from study.workflow.resources import chunk_minutes, follow_minutes, megabytes

DESIGN = load("default")


def minutes(scenario, engine, first, last, design=DESIGN):
    return chunk_minutes(design, Chunk(scenario, engine, first, last))


@pytest.mark.parametrize("engine", ["numeric", "pymc"])
def test_more_replicates_take_longer(engine):
    design = load("default", replicates={"em": 10_000, "map": 10_000, "nuts": 10_000})
    short, long = (minutes("birds", engine, 0, last, design) for last in (100, 10_000))
    assert long > 5 * short


def test_replicates_that_no_method_fits_ask_for_nothing_more():
    # NUTS has 20 replicates of a scenario, MAP 200.
    assert minutes("birds", "pymc", 20, 40) < minutes("birds", "pymc", 0, 20)
    assert minutes("birds", "pymc", 200, 400) == minutes("birds", "pymc", 400, 401)


def test_draws_take_longer():
    many = load("default", options={"nuts": {"draws": 50_000, "tune": 300}})
    assert minutes("birds", "pymc", 0, 20, many) > 5 * minutes("birds", "pymc", 0, 20)


def test_large_samples_take_longer_and_more_memory():
    small = Chunk("grid-d1-w0.5-r1-n100", "numeric", 0, 100)
    large = Chunk("article-1", "numeric", 0, 100)
    assert chunk_minutes(DESIGN, large) > chunk_minutes(DESIGN, small)
    assert megabytes(DESIGN, large) > megabytes(DESIGN, small)
    many = load("default", closely=20)
    assert follow_minutes(many, "article-1") > follow_minutes(many, "birds")


def test_intervals_and_refits_take_longer():
    close, plain = load("default").scenario("close"), Intervals()
    without = DESIGN.model_copy(
        update={"scenarios": [close.model_copy(update={"intervals": plain})]}
    )
    chunk = Chunk("close", "numeric", 0, 200)
    assert chunk_minutes(DESIGN, chunk) > chunk_minutes(without, chunk)


def test_no_job_of_the_default_study_asks_for_more_than_a_small_partition_gives():
    for unit in DESIGN.unit_names():
        for engine in ("numeric", "pymc"):
            chunk = Chunk(unit, engine, 0, DESIGN.chunk)
            assert chunk_minutes(DESIGN, chunk) <= 20
            assert megabytes(DESIGN, chunk) <= 4000
