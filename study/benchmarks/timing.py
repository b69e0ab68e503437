"""Paired, interleaved timings of tasks in one process, and how they are summed up.

In each round every task runs once, in an order of the round's own, so that drifts of the
machine's speed fall on all tasks alike and times of the same round may be compared in pairs.
Nothing here knows what the tasks do.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from models.mixture import Floats

# Seconds that a measurement lasts at least: a thousand times what the clock itself takes.
LEAST = 2e-3


@dataclass(frozen=True)
class Task:
    """run: what is timed. warm_up: called once before, default `run` itself; its time is not kept.

    repeats: in how many of the rounds the task runs, from the first one on; None for all.
    """

    run: Callable[[], Any]
    warm_up: Callable[[], Any] | None = None
    repeats: int | None = None


@dataclass(frozen=True, eq=False)
class Timed:
    """seconds: by task, (its rounds,), of one call. results: by task and round, what `run` gave."""

    seconds: dict[str, Floats] = field(default_factory=dict)
    results: dict[str, list[Any]] = field(default_factory=dict)


def interleaved(
    tasks: Mapping[str, Task],
    repeats: int,
    *,
    seed: int = 0,
    least: float = LEAST,
    say: Callable[[str], None] = lambda line: None,
) -> Timed:
    """Warm up each task, then run `repeats` rounds of all, each in an order drawn from `seed`.

    A call that takes less than `least` seconds is repeated within the measurement, and its time
    is the mean. The garbage collector is off while the clock runs. `say` gets a line a round.
    """
    rng = np.random.default_rng(seed)
    for task in tasks.values():
        (task.warm_up or task.run)()
    calls = dict.fromkeys(tasks, 1)
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    results: dict[str, list[Any]] = {name: [] for name in tasks}
    for turn in range(repeats):
        names = [name for name, task in tasks.items() if turn < (task.repeats or repeats)]
        rng.shuffle(names)
        gc.collect()
        for name in names:
            elapsed, result = _clock(tasks[name].run, calls[name])
            while elapsed < least:
                # Half as much again as it seems to take, so that one more step is enough.
                calls[name] *= max(2, int(np.ceil(1.5 * least / max(elapsed, 1e-7))))
                elapsed, result = _clock(tasks[name].run, calls[name])
            seconds[name].append(elapsed / calls[name])
            results[name].append(result)
        say(f"round {turn + 1} of {repeats}")
    return Timed({name: np.array(values) for name, values in seconds.items()}, results)


def _clock(run: Callable[[], Any], calls: int) -> tuple[float, Any]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        begin = time.perf_counter()
        for _ in range(calls):
            result = run()
        return time.perf_counter() - begin, result
    finally:
        if enabled:
            gc.enable()


class Summary(NamedTuple):
    """The median and the quartiles around it, and of how many values."""

    median: float
    q25: float
    q75: float
    size: int


def summary(values: Floats) -> Summary:
    """Of the values that are not NaN; NaN if there are none."""
    kept = values[~np.isnan(values)]
    if kept.size == 0:
        return Summary(np.nan, np.nan, np.nan, 0)
    q25, median, q75 = np.quantile(kept, [0.25, 0.5, 0.75])
    return Summary(float(median), float(q25), float(q75), kept.size)


def slope(n: Floats, seconds: Floats) -> float:
    """The power of n by which seconds grow: least squares on logs; NaN for fewer than two n."""
    if np.unique(n).size < 2:
        return np.nan
    x = np.log(n) - np.log(n).mean()
    return float(x @ np.log(seconds) / (x @ x))
