"""Plans: precision by the measures' own formulas, costs scaled up from a pilot, time on cores."""

import numpy as np
import pandas as pd
import pytest
import yaml

from study.__main__ import main
from study.compute.chunk import fit_all
from study.design import Design, Scenario, load
from study.report import measures
from study.workflow import costs, plan
from study.workflow.plan import Pilot, Stage, Task, precision, replicates_for, wall_seconds

FAR = Scenario(name="far", weights=[0.5, 0.5], means=[0, 6], sds=[1, 1], n=100)
NEAR = FAR.model_copy(update={"name": "near", "means": [0.0, 2.0]})


def design(**replicates):
    return Design(name="d", title="", seed=1, replicates=replicates, scenarios=[FAR, NEAR])


@pytest.mark.parametrize("replicates", [20, 200, 480])
def test_precision_is_what_the_measures_say_of_such_replicates(replicates):
    estimates = np.random.default_rng(0).normal(size=replicates)
    spread = measures.empirical_se(estimates)
    held = np.arange(replicates) < 0.95 * replicates
    coverage = measures.coverage(np.where(held, -1.0, 1.0), np.full(replicates, 2.0), 0.0)
    assert precision(replicates, 0.95) == pytest.approx(
        (
            measures.bias(estimates, 0.0).mcse / spread.value,
            spread.mcse / spread.value,
            100 * coverage.mcse,
        )
    )


@pytest.mark.parametrize(("points", "expected"), [(1.0, 475), (2.0, 119), (0.5, 1900)])
def test_replicates_for_is_the_smallest_number(points, expected):
    found = replicates_for(points, 0.95)
    assert found == expected
    assert precision(found, 0.95).coverage <= points + 1e-9
    assert precision(found - 1, 0.95).coverage > points


def test_what_was_not_reached_is_judged_by_its_kind_where_n_is_nearest():
    stage = Stage("fit", 1, lambda design: [])
    sizes = [100.0, 100.0, 10_000.0, 200.0, 5_000.0]
    tasks = [(stage, Task("em", "job", n, 10, lambda r: 0.0)) for n in sizes]
    tasks += [(stage, Task("gather", "job", 1.0, 4, 0.25))]
    made = Pilot(design(em=10), tasks)
    made.measured.update({0: [1.0, 3.0], 1: [4.0], 2: [7.0]})
    assert list(plan.expected(made)["seconds"]) == [20.0, 40.0, 70.0, 30.0, 70.0, 1.0]


def test_what_the_first_of_a_kind_compiles_is_no_part_of_its_cost():
    stage = Stage("fit", 1, lambda design: [])
    took = iter([9.0, 1.0, 2.0])
    tasks = [(stage, Task("em", "job", 100.0, 10, lambda r: next(took))) for _ in range(2)]
    made = Pilot(design(em=10), tasks)
    plan._round(made, 0, [0, 1], np.inf, lambda line: None)
    assert made.measured == {0: [1.0], 1: [2.0]}
    assert made.ready == 8.0


def test_what_most_hangs_on_is_measured_next():
    """Each kind once; then the one of which most is left to each that is measured."""
    stage = Stage("x", 1, lambda design: [])
    plans = [("rare", 2), ("often", 50), ("often", 20), ("often", 30), ("rare", 3), ("rare", 40)]
    tasks = [(stage, Task(kind, "job", 100.0, times, lambda r: 1.0)) for kind, times in plans]
    made, waiting, order = Pilot(design(em=2), tasks), list(range(len(plans))), []
    while waiting:
        order.append(plan._next(made, waiting))
        waiting.remove(order[-1])
        made.measured[order[-1]].append(1.0)
    assert order == [1, 5, 3, 2, 4, 0]


def cost(*rows):
    return pd.DataFrame(rows, columns=["stage", "phase", "job", "jobs", "seconds"])


def test_time_on_cores():
    many = cost(("fit", 1, "a", 1, 6.0), ("fit", 1, "b", 2, 6.0), ("gather", 2, "c", 1, 5.0))
    assert wall_seconds(many, 1) == 17.0
    assert wall_seconds(many, 2) == 6.0 + 5.0
    assert wall_seconds(many, 100) == 6.0 + 5.0
    # A job that is cut in two takes half as long at best.
    assert wall_seconds(cost(("fit", 1, "b", 2, 6.0)), 100) == 3.0


def test_the_pilot_foretells_the_cpu_time_of_the_chunks():
    """To a factor of two: 3 of 40 replicates, of which the longest takes thrice the shortest."""
    made = plan.pilot(design(em=40, newton=40), 60.0, lambda line: None)
    table = plan.expected(made)
    fits = table[table["stage"] == "fit"]
    assert set(fits["replicates"]) == {3}
    begin = costs.cpu()
    for unit in (FAR, NEAR):
        fit_all(made.design, unit, dict.fromkeys(("em", "newton"), range(40)))
    assert 0.5 < fits["seconds"].sum() / (costs.cpu() - begin) < 2.0


def test_every_kind_is_measured_however_short_the_pilot():
    made = plan.pilot(design(em=40, newton=40), 1e-9, lambda line: None)
    table = plan.expected(made)
    piloted = table[table["stage"] == "fit"].groupby("kind")["replicates"].sum()
    assert dict(piloted) == {"data and starts": 1, "em": 1, "newton": 1}
    assert (table.loc[table["times"] > 0, "seconds"] > 0).all()


def test_the_fits_are_all_counted():
    design = load("smoke")
    counted = dict.fromkeys(design.replicates, 0)
    for task in plan._fits(design):
        if task.kind in counted:
            counted[task.kind] += task.times
    for method in counted:
        assert counted[method] == sum(
            design.replicates_of(u).get(method, 0) for u in design.units()
        )


def test_a_plan_is_printed(tmp_path, capsys):
    content = design(em=40, newton=20).model_dump(mode="json", exclude_defaults=True)
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(content))
    arguments = ["--cores", "3", "--seconds", "0.1", "--replicates", "475", "1900"]
    assert main(["plan", str(tmp_path / "my.yaml"), *arguments]) == 0
    out, err = capsys.readouterr()
    rows = [line.split() for line in out.splitlines()]
    assert ["EM", "40", "2", "0.158", "11.3%", "3.45"] in rows
    assert ["Newton", "20", "2", "0.224", "16.2%", "4.87"] in rows
    assert any(row[:4] == ["475", "0.046", "3.2%", "1.00"] for row in rows)
    assert "on 3 cores" in out
    assert "replicate 0" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--cores", "0"], "--cores: 0 is not a positive number"),
        (["--replicates", "100", "-3"], "--replicates: -3 is not a positive number"),
        (["--seconds", "0"], "--seconds: 0.0 is not a positive number"),
    ],
)
def test_bad_numbers_are_one_line_and_exit_code_2(capsys, arguments, says):
    assert main(["plan", "smoke", *arguments]) == 2
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1
