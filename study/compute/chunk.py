"""Data sets of a scenario times some of its methods, to rows: the loop behind every table.

A fit that goes wrong is a row with its status, never the end of the loop.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from models import METHODS, Fit, Mixture
from models.losses import losses
from models.mixture import Floats
from models.starts import Start
from study.compute import fits
from study.compute.guard import Say, guarded, silent
from study.compute.intervals import missing
from study.compute.intervals import rows as interval_rows
from study.compute.truths import density_target, target
from study.design import DataSet, Design, Scenario
from study.rows import USABLE, Rows, blank, empty
from study.simulate import data_set, generator


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
        found, density = guarded(
            lambda: (target(unit), density_target(unit)), lambda why: (None, None),
            say, f"{unit.name} target",
        )  # fmt: skip
        return cls(design, unit, found, density, say)


def fit_all(
    design: Design,
    unit: Scenario | DataSet,
    methods: Mapping[str, Collection[int]],
    say: Say = silent,
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

    def prepared() -> tuple[Floats, Start, float]:
        x = data_set(design, unit, replicate)
        begin = time.perf_counter()
        return x, fits.start_of(design, unit, x, replicate), time.perf_counter() - begin

    who = f"{unit.name} replicate {replicate}"
    made = guarded(prepared, str, task.say, who)
    generator(design.seed, unit.name, replicate, "order").shuffle(methods)
    for method in methods:
        if isinstance(made, str):
            yield _of_failed(
                task, replicate, method, fits.failed_row(made, np.nan, unit.model.k, 0)
            )
        else:
            yield _of_method(task, replicate, method, *made)


def _key(task: Task, replicate: int, method: str) -> dict[str, Any]:
    return {"scenario": task.unit.name, "replicate": replicate, "method": method}


def _of_method(
    task: Task, replicate: int, method: str, x: Floats, start: Start, start_seconds: float
) -> Rows:
    design, unit, key = task.design, task.unit, _key(task, replicate, method)
    who = f"{unit.name} replicate {replicate} {method}"

    def fitted() -> tuple[Fit, Rows]:
        result = fits.fit_one(design, unit, x, start.mixture, replicate, method)
        estimates = fits.estimate_rows(result, task.target, design.level)
        return result, {
            "fits": [key | fits.fit_row(result, start)],
            "estimates": [key | row for row in estimates],
            "timings": [key | fits.timing_row(result, start_seconds)],
        }

    made = guarded(fitted, str, task.say, who)
    if isinstance(made, str):
        row = fits.failed_row(made, float(x.size), unit.model.k, start.passes)
        return _of_failed(task, replicate, method, row)
    result, rows = made
    if result.status != "ok":
        task.say(f"{who}: {result.status}: {result.message}")
    if result.status not in USABLE:
        return rows | _of_unusable(task, key, f"{result.status}: {result.message}")
    return rows | _of_usable(task, key, result, x, who)


def _of_failed(task: Task, replicate: int, method: str, row: dict[str, Any]) -> Rows:
    """The row of a fit that there is not, and what would have been computed of it."""
    key = _key(task, replicate, method)
    return {"fits": [row | key]} | _of_unusable(task, key, row["message"])


def _of_unusable(task: Task, key: dict[str, Any], why: str) -> Rows:
    """What is asked of a fit, for one that gives none of it: the same rows, without numbers."""
    rows: Rows = {}
    if _asked(task, key):
        found = missing(
            task.unit.model.build(), key["method"], task.target, task.density_target,
            refits=task.design.intervals_of(task.unit).refits, why=why,
        )  # fmt: skip
        rows["intervals"] = [key | row for row in found]
        if task.density_target is not None:
            rows["losses"] = [blank("losses", **key, message=why)]
    if METHODS[key["method"]].draws:
        rows["labels"] = [blank("labels", **key, message=why)]
    return rows


def _asked(task: Task, key: dict[str, Any]) -> bool:
    """Whether the fit is to have intervals of every kind, and losses."""
    wanted = task.design.intervals_of(task.unit)
    return key["method"] in wanted.methods and key["replicate"] < wanted.replicates


def _of_usable(task: Task, key: dict[str, Any], result: Fit, x: Floats, who: str) -> Rows:
    """What is asked of a fit, each of it under a guard of its own."""
    rows: Rows = {}
    if _asked(task, key):
        rows |= _intervals(task, key, result, x, who)
    if METHODS[result.method].draws:
        rows |= _labels(task, key, result, x, who)
    return rows


def _intervals(task: Task, key: dict[str, Any], result: Fit, x: Floats, who: str) -> Rows:
    design, unit, mixture, aim = task.design, task.unit, result.mixture, task.density_target
    assert mixture is not None
    refits = design.intervals_of(unit).refits
    found = guarded(
        lambda: list(
            interval_rows(
                result, x, fits.components(mixture, task.target, result.model), task.target, aim,
                level=design.level, refits=refits, say=task.say, who=who,
                rng=generator(design.seed, unit.name, key["replicate"], result.method, "intervals"),
            )
        ),
        lambda why: list(
            missing(result.model, result.method, task.target, aim, refits=refits, why=why)
        ),
        task.say, f"{who} intervals",
    )  # fmt: skip
    rows: Rows = {"intervals": [key | row for row in found]}
    if aim is not None:
        lost = guarded(
            lambda: key | losses(aim, mixture, result.density)._asdict(),
            lambda why: blank("losses", **key, message=why),
            task.say, f"{who} losses",
        )  # fmt: skip
        rows["losses"] = [lost]
    return rows


def _labels(task: Task, key: dict[str, Any], result: Fit, x: Floats, who: str) -> Rows:
    from study.compute.switching import diagnosis  # what only samplers need

    if result.draws is None:  # of a model in which nothing is free
        return {}
    return guarded(
        lambda: diagnosis(key, result, x, key["replicate"] < task.design.keep_draws),
        lambda why: {"labels": [blank("labels", **key, message=why)]},
        task.say, f"{who} labels",
    )  # fmt: skip
