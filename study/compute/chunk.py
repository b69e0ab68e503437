"""Data sets of a scenario times some of its methods, to rows: the loop behind every table.

A fit that goes wrong is a row with its status, never the end of the loop.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from models import Mixture
from models.losses import losses
from models.mixture import Floats
from models.starts import Start
from study.compute import fits
from study.compute.intervals import rows as interval_rows
from study.compute.truths import density_target, target
from study.design import DataSet, Design, Scenario
from study.rows import Rows, empty
from study.simulate import data_set, generator

type Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Task:
    """What a data set's methods are asked for: the unit, and what its estimates are held against.

    target, density_target: of the parameters, and of what labels cannot touch; None of real data
    and where they are not identified.
    """

    design: Design
    unit: Scenario | DataSet
    target: Mixture | None
    density_target: Mixture | None
    say: Say

    @classmethod
    def of(cls, design: Design, unit: Scenario | DataSet, say: Say) -> Task:
        """Targets are computed here, once for all data sets."""
        if isinstance(unit, DataSet):
            return cls(design, unit, None, None, say)
        return cls(design, unit, target(unit), density_target(unit), say)


def fit_all(
    design: Design,
    unit: Scenario | DataSet,
    methods: Mapping[str, Collection[int]],
    say: Say = lambda line: None,
) -> Rows:
    """All rows of some methods, each with the data sets that it fits.

    say: gets a line of progress now and then, and one for each fit that is not ok.
    """
    task, rows = Task.of(design, unit, say), empty("fit")
    begin = said = time.perf_counter()
    asked = {method: set(replicates) for method, replicates in methods.items()}
    replicates = sorted(set().union(*asked.values()))
    for done, replicate in enumerate(replicates, 1):
        chosen = [method for method, all_its in asked.items() if replicate in all_its]
        for found in _of_data_set(task, replicate, chosen):
            for kind, own in found.items():
                rows[kind] += own
        now = time.perf_counter()
        if now - said > 10 or done == len(replicates):
            say(f"{unit.name}: {done} of {len(replicates)} data sets, {now - begin:.1f} s")
            said = now
    return rows


def _of_data_set(task: Task, replicate: int, methods: list[str]) -> Iterator[Rows]:
    """The rows of each method, in an order of the replicate's own.

    So that drifts of the machine's speed fall on all methods alike.
    """
    design, unit = task.design, task.unit
    x = data_set(design, unit, replicate)
    begin = time.perf_counter()
    start = fits.start_of(design, unit, x, replicate)
    seconds = time.perf_counter() - begin
    generator(design.seed, unit.name, replicate, "order").shuffle(methods)
    for method in methods:
        yield _of_method(task, replicate, method, x, start, seconds)


def _of_method(
    task: Task, replicate: int, method: str, x: Floats, start: Start, start_seconds: float
) -> Rows:
    design, unit = task.design, task.unit
    key: dict[str, Any] = {"scenario": unit.name, "replicate": replicate, "method": method}
    who = f"{unit.name} replicate {replicate} {method}"
    try:
        result = fits.fit_one(design, unit, x, start.mixture, replicate, method)
    except Exception as error:  # a row, whatever happened; the log has the whole story
        task.say(f"{who}: failed\n{traceback.format_exc()}")
        return {"fits": [{**key, **fits.failed_row(error, x.size, start)}]}
    if result.status != "ok":
        task.say(f"{who}: {result.status}: {result.message}")
    rows: Rows = {
        "fits": [{**key, **fits.fit_row(result, start)}],
        "estimates": [
            {**key, **row} for row in fits.estimate_rows(result, task.target, design.level)
        ],
        "timings": [{**key, **fits.timing_row(result, start_seconds)}],
    }
    wanted = design.intervals_of(unit)
    if method in wanted.methods and replicate < wanted.replicates and result.mixture:
        order = fits.components(result.mixture, task.target)
        rng = generator(design.seed, unit.name, replicate, method, "intervals")
        intervals = interval_rows(
            result, x, order, task.target, task.density_target,
            level=design.level, refits=wanted.refits, rng=rng,
        )  # fmt: skip
        rows["intervals"] = [{**key, **row} for row in intervals]
        if task.density_target is not None:
            found = losses(task.density_target, result.mixture, result.density)
            rows["losses"] = [{**key, **found._asdict()}]
    if result.draws is not None:
        from study.compute.switching import diagnosis  # what only samplers need

        rows |= diagnosis(key, result, x, replicate < design.keep_draws)
    return rows
