"""What jobs take: estimates for packing, and bounds for a cluster that rise with what they do."""

import pytest

from study.design import Design, Intervals, load
from study.workflow.chunks import plan
from study.workflow.pieces import Chunk, Span
from study.workflow.resources import Costs, megabytes, minutes

DESIGN = load("default")


def seconds(span: str, step: str, design: Design = DESIGN) -> float:
    return Costs(design, step).seconds(Span.of(span))


def chunk(span: str, step: str = "numeric", design: Design = DESIGN) -> Chunk:
    return Chunk.of(design, step, "", [Span.of(span)])


def test_what_is_done_together_takes_what_its_parts_take():
    whole = seconds("birds:0-40:em,newton", "numeric")
    parts = seconds("birds:0-25:em,newton", "numeric"), seconds("birds:25-40:em,newton", "numeric")
    assert whole == pytest.approx(sum(parts))
    alone = seconds("birds:0-40:em", "numeric"), seconds("birds:0-40:newton", "numeric")
    assert whole == pytest.approx(sum(alone), rel=0.01)


def test_draws_take_longer():
    many = load("default", options={"nuts": {"draws": 50_000, "tune": 300}})
    nuts = "birds:0-20:nuts"
    assert seconds(nuts, "pymc", many) > 5 * seconds(nuts, "pymc")


def test_chains_that_go_on_take_longer():
    stay = load("default", options={"nuts": {"draws": 1000, "tune": 300, "max_draws": None}})
    nuts = "birds:0-20:nuts"
    assert seconds(nuts, "pymc") > 1.1 * seconds(nuts, "pymc", stay)


def test_the_calibration_has_options_of_its_own():
    assert DESIGN.calibration is not None
    twice = DESIGN.calibration.model_copy(update={"options": {"nuts": {"draws": 1800}}})
    more = DESIGN.model_copy(update={"calibration": twice})
    ranks = ".prior:0-10:nuts"
    assert seconds(ranks, "calibrate", more) > 2 * seconds(ranks, "calibrate")


@pytest.mark.parametrize("step", ["numeric", "truths", "barrier", "follow", "refer", "remedies"])
def test_more_components_take_longer(step):
    methods = ":em" if step == "numeric" else ""
    few, many = (seconds(f"{name}:0-2{methods}", step) for name in ("mw4", "five"))
    assert many > 2 * few


def test_large_samples_take_longer_and_more_memory():
    small, large = "grid-d1-w0.5-r1-n100:0-100:em", "article-1:0-100:em"
    assert seconds(large, "numeric") > 5 * seconds(small, "numeric")
    assert minutes(DESIGN, chunk(large)) > minutes(DESIGN, chunk(small))
    assert megabytes(DESIGN, chunk(large)) > megabytes(DESIGN, chunk(small))


def test_intervals_and_refits_take_longer():
    close = DESIGN.scenario("close").model_copy(update={"intervals": Intervals()})
    without = DESIGN.model_copy(update={"scenarios": [close]})
    span = "close:0-200:newton"
    assert seconds(span, "numeric") > 5 * seconds(span, "numeric", without)


@pytest.mark.parametrize("name", ["smoke", "default", "paper", "prior-sensitivity", "k"])
def test_no_job_asks_for_more_than_a_small_partition_gives(name):
    design = load(name)
    for one in plan(design, []).new:
        assert 3 <= minutes(design, one) <= 20
        assert 1000 <= megabytes(design, one) <= 4000
