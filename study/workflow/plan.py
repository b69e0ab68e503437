"""How precise a study will be and what it will cost, before it runs.

Precision follows from the numbers of replicates. Cost comes from a pilot: the workflow's own
functions do a few replicates of it, and their CPU time is scaled up. What a pilot cannot repeat is
in SECONDS. A stage of the workflow is one line of STAGES.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from models import METHODS
from models.criteria import CRITERIA
from models.methods import SAMPLERS, load_engine, warm_up
from study.compute import beginnings, priors, references, remedies, selection
from study.compute import follow as convergence
from study.compute.calibration import calibrate
from study.compute.chunk import fit_all
from study.compute.external import judge_all, make_ready, processes
from study.compute.fits import start_of
from study.compute.switching import barriers
from study.compute.truths import truths
from study.design import (
    DataSet,
    Design,
    Intervals,
    Scenario,
    barred,
    externals,
    followed,
    referred,
)
from study.report.contents import figures_of
from study.simulate import data_set, generator
from study.workflow import costs
from study.workflow.chunks import packed
from study.workflow.pieces import STEPS as COMPUTED

# CPU seconds of what no pilot repeats, on an AVX-512 core: from the tables `stages` of the default
# study and of the paper's.
SECONDS = {
    "Snakemake": 4.0,
    "Snakemake, a job": 1.0,
    "a job's start": 2.0,
    "walkthrough": 16.0,
    "number simulated": 5e-7,
    "chunk gathered": 0.2,
    "paper": 4.0,
    "index": 5.0,
    "tables": 15.0,
    "tables, a fit": 2e-4,
    "figure": 1.9,
    "figure, a fit": 6e-6,
}
NO_INTERVALS = {"intervals": Intervals()}
# CPU seconds; imports and loading take less, compilation more.
COMPILED = 10.0
# What compilation takes on two cores of a machine that has not compiled yet.
COMPILATION = 100.0


class Precision(NamedTuple):
    """Expected Monte Carlo standard errors at R replicates.

    bias: in empirical SEs; empirical_se: of itself; coverage: in points, at the nominal level.
    """

    bias: float
    empirical_se: float
    coverage: float


def precision(replicates: int, level: float) -> Precision:
    """From R and the level of the intervals; NaN where R is too small.

    Morris, White and Crowther (2019), table 6, for normal estimates and right coverage.
    """
    if replicates < 2:
        return Precision(np.nan, np.nan, np.nan)
    return Precision(
        replicates**-0.5,
        (2.0 * (replicates - 1)) ** -0.5,
        100.0 * (level * (1.0 - level) / replicates) ** 0.5,
    )


def replicates_for(points: float, level: float) -> int:
    """How many replicates give coverage a Monte Carlo standard error of so many points."""
    return int(np.ceil(round(level * (1.0 - level) * (100.0 / points) ** 2, 6)))


class Task(NamedTuple):
    """What a stage repeats: `run(replicate)` so many times.

    run returns CPU seconds, or is those. kind: tasks of one kind can stand for each other, best
    where n is near. job: tasks with the same one are done together, in the chunks of that step of
    computing or in one job.
    """

    kind: str
    job: str
    n: float
    times: int
    run: Callable[[int], float] | float


class Stage(NamedTuple):
    """A stage of the workflow. Those of one phase run beside each other, phase after phase."""

    name: str
    phase: int
    tasks: Callable[[Design], Iterable[Task]]


def _once(kind: str) -> Callable[[Design], list[Task]]:
    return lambda design: [Task(kind, kind, 1.0, 1, SECONDS[kind])]


def _size(design: Design, unit: Scenario | DataSet) -> float:
    return unit.n if isinstance(unit, Scenario) else data_set(design, unit, 0).size


def _number_of_fits(design: Design) -> int:
    return sum(sum(design.replicates_of(unit).values()) for unit in design.units())


def _simulated(design: Design) -> Iterator[Task]:
    numbers = int(sum(_size(design, unit) for unit in design.units()))
    yield Task("number", "simulate", 1.0, numbers, SECONDS["number simulated"])


def _gathered(design: Design) -> Iterator[Task]:
    number = sum(_jobs(design).values())
    yield Task("chunk", "gather", 1.0, number, SECONDS["chunk gathered"])


def _tables(design: Design) -> Iterator[Task]:
    seconds = SECONDS["tables"] + SECONDS["tables, a fit"] * _number_of_fits(design)
    yield Task("tables", "tables", 1.0, 1, seconds)


def _figures(design: Design) -> Iterator[Task]:
    seconds = SECONDS["figure"] + SECONDS["figure, a fit"] * _number_of_fits(design)
    yield Task("figure", "figures", 1.0, len(figures_of(design)), seconds)


def _jobs(design: Design) -> dict[str, int]:
    """By step of computing, its chunks."""
    return {step: len(packed(design, step)) for step in COMPUTED}


def _fits(design: Design) -> Iterator[Task]:
    """By scenario and method, and the data sets and starts that the methods of an engine share."""
    for unit in design.units():
        n = _size(design, unit)
        for engine in ("numeric", "pymc"):
            counts = {
                method: count
                for method, count in design.replicates_of(unit).items()
                if METHODS[method].engine == engine and count
            }
            if not counts:
                continue
            prepare = _Preparation(design, unit)
            yield Task("data and starts", engine, n, max(counts.values()), prepare)
            wanted, plain = design.intervals_of(unit), unit.model_copy(update=NO_INTERVALS)
            for method, count in counts.items():
                yield Task(method, engine, n, count, _OneFit(design, plain, method, prepare))
                if times := min(count, wanted.replicates) * (method in wanted.methods):
                    kind = f"{method}, intervals, {wanted.refits} refits"
                    run = _Intervals(design, unit, method, prepare)
                    yield Task(kind, engine, n, times, run)


class _Preparation:
    """CPU seconds of a data set and its start, kept to be taken off where they are made again."""

    def __init__(self, design: Design, unit: Scenario | DataSet) -> None:
        self.design, self.unit = design, unit
        self.seconds: dict[int, float] = {}

    def __call__(self, replicate: int) -> float:
        if replicate not in self.seconds:
            begin = costs.cpu()
            x = data_set(self.design, self.unit, replicate)
            start_of(self.design, self.unit, x, replicate)
            self.seconds[replicate] = costs.cpu() - begin
        return self.seconds[replicate]


@dataclass(frozen=True)
class _OneFit:
    """CPU seconds of a chunk of one fit, without its data set, its start and its compilation."""

    design: Design
    unit: Scenario | DataSet
    method: str
    prepare: _Preparation

    def __call__(self, replicate: int) -> float:
        begin, clock = costs.cpu(), time.perf_counter()
        rows = fit_all(self.design, self.unit, {self.method: [replicate]})
        seconds = costs.cpu() - begin
        compiled = sum(float(row["compile_seconds"]) for row in rows["timings"])
        compiled *= seconds / (time.perf_counter() - clock)
        costs.JOB["compile"] += compiled
        return max(seconds - compiled - self.prepare(replicate), 0.0)


class _Intervals:
    """CPU seconds of the intervals and losses of a fit, without the fit."""

    def __init__(
        self, design: Design, unit: Scenario | DataSet, method: str, prepare: _Preparation
    ) -> None:
        always = design.intervals_of(unit).model_copy(update={"replicates": 10**9})
        with_them, without = (
            unit.model_copy(update=change) for change in ({"intervals": always}, NO_INTERVALS)
        )
        self.whole = _OneFit(design, with_them, method, prepare)
        self.fit = _OneFit(design, without, method, prepare)

    def __call__(self, replicate: int) -> float:
        return max(self.whole(replicate) - self.fit(replicate), 0.0)


def _each(kind: str, job: str, n: float, times: int, run: Callable[[int], Any]) -> Task:
    """A task whose replicates are timed as they are."""

    def seconds(replicate: int) -> float:
        begin = costs.cpu()
        run(replicate)
        return costs.cpu() - begin

    return Task(kind, job, n, times, seconds)


def _external(design: Design) -> Iterator[Task]:
    for unit in design.units():
        for method, times in externals(design, unit).items():
            run = partial(_one_answer, design, unit, method)
            yield Task(method, "external", _size(design, unit), times, run)


def _one_answer(design: Design, unit: Scenario | DataSet, method: str, replicate: int) -> float:
    """CPU seconds of a package's answer and its judgement, without the start of its process."""
    external = design.external_of(method)
    begin = make_ready(external) + costs.cpu()
    judge_all(design, unit, {method: [replicate]})
    return make_ready(external) + costs.cpu() - begin


def _calibrated(design: Design) -> Iterator[Task]:
    spec = design.calibration
    if spec is not None:

        def run(replicate: int) -> Any:
            return calibrate(spec, design.seed, range(replicate, replicate + 1))

        yield _each("calibration", "calibrate", spec.n, spec.replicates, run)


def _remedied(design: Design) -> Iterator[Task]:
    spec = design.remedies
    for unit in design.all_scenarios():
        if spec is not None and unit.name in spec.scenarios:
            run = partial(remedies.compare, design, unit)
            yield _each("remedies", "remedies", unit.n, spec.replicates, run)


def _under_priors(design: Design) -> Iterator[Task]:
    spec = design.priors
    for unit in design.all_scenarios():
        if spec is not None and unit.name in spec.scenarios:
            for name in (prior.name for prior in spec.compared):
                run = partial(priors.sample, design, unit, prior=name)
                yield _each(f"under {name}", "priors", unit.n, spec.replicates, run)


def _begun(design: Design) -> Iterator[Task]:
    spec = design.starts
    for unit in design.all_scenarios():
        if spec is not None and unit.name in spec.scenarios:
            run = partial(beginnings.begin, design, unit)
            yield _each("starts", "begin", unit.n, spec.replicates, run)


def _referred(design: Design) -> Iterator[Task]:
    for unit in design.units():
        if times := referred(design, unit):
            run = partial(references.refer, design, unit)
            yield _each("reference", "refer", _size(design, unit), times, run)


def _selected(design: Design) -> Iterator[Task]:
    for unit in design.units():
        by_count: dict[tuple[str, int], list[str]] = defaultdict(list)
        for name, count in design.choice_of(unit).items():
            job = "evidence" if CRITERIA[name].needs == "posterior" else "choose"
            by_count[job, count].append(name)
        for (job, count), names in by_count.items():
            run = partial(_choose, design, unit, names)
            yield _each(", ".join(names), job, _size(design, unit), count, run)


def _choose(design: Design, unit: Scenario | DataSet, names: list[str], replicate: int) -> Any:
    return selection.choose(design, unit, replicate, names)


def _followed(design: Design) -> Iterator[Task]:
    for unit in design.units():
        run = partial(convergence.follow, design, unit)
        times = followed(design, unit)
        yield _each("followed closely", "follow", _size(design, unit), times, run)


def _barred(design: Design) -> Iterator[Task]:
    for unit in design.units():
        if times := barred(design, unit):
            run = partial(_barrier, design, unit)
            yield _each("barrier", "barrier", _size(design, unit), times, run)


def _barrier(design: Design, unit: Scenario | DataSet, replicate: int) -> Any:
    return barriers(design, unit, replicate, replicate + 1)


def _true(design: Design) -> Iterator[Task]:
    for scenario in design.all_scenarios():
        alone = {"scenarios": [scenario], "grids": [], "data": []}
        run = partial(_truth, design.model_copy(update=alone))
        yield _each("target", "truths", scenario.n, 1, run)


def _truth(alone: Design, replicate: int) -> Any:
    return truths(alone)


STAGES = (
    Stage("workflow", 0, _once("Snakemake")),
    Stage("simulate", 1, _simulated),
    Stage("fit", 1, _fits),
    Stage("truths", 1, _true),
    Stage("barrier", 1, _barred),
    Stage("follow", 1, _followed),
    Stage("begin", 1, _begun),
    Stage("calibrate", 1, _calibrated),
    Stage("remedies", 1, _remedied),
    Stage("priors", 1, _under_priors),
    Stage("refer", 1, _referred),
    Stage("external", 1, _external),
    Stage("choose", 1, _selected),
    Stage("walkthrough", 1, _once("walkthrough")),
    Stage("gather", 2, _gathered),
    Stage("tables", 3, _tables),
    Stage("draw", 3, _figures),
    Stage("paper", 3, _once("paper")),
    Stage("index", 3, _once("index")),
)


@dataclass
class Pilot:
    """What the pilot measured: CPU seconds by task, a list over its replicates.

    ready: CPU seconds of imports and compiled code, in no task.
    """

    design: Design
    tasks: list[tuple[Stage, Task]]
    measured: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    ready: float = 0.0

    @property
    def compiled(self) -> bool:
        """Whether something had to be compiled, rather than loaded from the disk."""
        return self.ready > COMPILED

    def seconds(self, index: int) -> float:
        """CPU seconds of a task once: as measured, else as its kind where n is nearest."""
        _, task = self.tasks[index]
        if isinstance(task.run, float):
            return task.run
        if self.measured.get(index):
            return float(np.mean(self.measured[index]))
        near: dict[float, list[float]] = defaultdict(list)
        for other, seconds in self.measured.items():
            if self.tasks[other][1].kind == task.kind and seconds:
                distance = abs(np.log(self.tasks[other][1].n / task.n))
                near[float(distance)].append(float(np.mean(seconds)))
        return float(np.mean(near[min(near)])) if near else 0.0


def pilot(design: Design, budget: float, say: Callable[[str], None]) -> Pilot:
    """Do replicates of the design's tasks for so many CPU seconds, compilation apart.

    Optimisers come first, one replicate of all of them; then all else once, in the order of
    `_next`, so that what is not reached can be judged by what is; then more of both.
    """
    made = Pilot(design, [(stage, task) for stage in STAGES for task in stage.tasks(design)])
    say("importing, and loading or compiling what fits call")
    for method in {task.kind for _, task in made.tasks if task.kind in METHODS}:
        load_engine(METHODS[method].engine)
    warm_up()
    made.ready, begin, compiled = costs.cpu(), _spent(), costs.JOB["compile"]
    order = [i for i, (_, task) in enumerate(made.tasks) if not isinstance(task.run, float)]
    generator(design.seed, "plan").shuffle(order)
    quick = [i for i in order if _quick(made.tasks[i][1])]
    slow = [i for i in order if i not in set(quick)]
    rounds = [(0, quick), (0, slow), (1, quick), (1, slow), (2, quick)]
    with processes():
        for replicate, indices in rounds:
            _round(made, replicate, indices, begin + budget, say)
    made.ready += costs.JOB["compile"] - compiled
    return made


def _round(
    made: Pilot, replicate: int, indices: list[int], until: float, say: Callable[[str], None]
) -> None:
    """One replicate of tasks while there is CPU time left, but one of each kind in any case."""
    waiting = [i for i in indices if replicate < made.tasks[i][1].times]
    reached = {made.tasks[i][1].kind for i in made.measured}
    kinds = {made.tasks[i][1].kind for i in waiting}
    if not waiting or (_spent() > until and kinds <= reached):
        return
    count = len(waiting)
    say(f"replicate {replicate} of {count} cells: {', '.join(sorted(kinds))}")
    said = time.perf_counter()
    while waiting:
        i = _next(made, waiting)
        waiting.remove(i)
        task = made.tasks[i][1]
        if _spent() > until and task.kind in reached:
            continue
        assert callable(task.run)
        seconds = task.run(replicate)
        if task.kind not in reached:  # what a kind loads or compiles it does once
            first, seconds = seconds, task.run(replicate)
            made.ready += max(first - seconds, 0.0)
            reached.add(task.kind)
        made.measured[i].append(seconds)
        if time.perf_counter() - said > 10:
            said = time.perf_counter()
            say(f"  {count - len(waiting)} of {count} cells")


def _next(made: Pilot, waiting: list[int]) -> int:
    """The task of which a second of the pilot tells most.

    Of the kind with the most left to be judged by each of those that are measured, what the study
    does most often.
    """
    left, measured = Counter[str](), Counter[str]()
    for i in waiting:
        left[made.tasks[i][1].kind] += made.tasks[i][1].times
    for i, seconds in made.measured.items():
        measured[made.tasks[i][1].kind] += len(seconds)
    kind = max(left, key=lambda kind: (not measured[kind], left[kind] / max(measured[kind], 1)))
    own = (i for i in waiting if made.tasks[i][1].kind == kind)
    return max(own, key=lambda i: made.tasks[i][1].times)


def _spent() -> float:
    return costs.cpu() - costs.JOB["compile"]


def _quick(task: Task) -> bool:
    return task.kind == "data and starts" or (task.kind in METHODS and task.kind not in SAMPLERS)


def expected(made: Pilot) -> pd.DataFrame:
    """Expected cost by task: stage, phase, kind, job, jobs, times, measured cells, CPU seconds."""
    jobs = _jobs(made.design)
    rows = [
        {
            "stage": stage.name,
            "phase": stage.phase,
            "kind": task.kind,
            "job": task.job,
            "jobs": jobs.get(task.job, 1),
            "times": task.times,
            "replicates": len(made.measured.get(i, ())),
            "seconds": task.times * made.seconds(i),
        }
        for i, (stage, task) in enumerate(made.tasks)
    ]
    return pd.DataFrame(rows)


def overheads(cost: pd.DataFrame) -> pd.DataFrame:
    """The same, with what Snakemake and the start of each job take as jobs of their own."""
    jobs = cost[cost["phase"] > 0].groupby(["stage", "job", "phase"], as_index=False)["jobs"].max()
    count = jobs.groupby("phase")["jobs"].sum()
    extra = [
        {"stage": stage, "phase": phase, "kind": what, "job": what, "jobs": n, "times": n,
         "replicates": 0, "seconds": n * SECONDS[what]}
        for phase, n in count.items()
        for stage, what in (("workflow", "Snakemake, a job"), ("start", "a job's start"))
    ]  # fmt: skip
    return pd.concat([cost, pd.DataFrame(extra)], ignore_index=True)


def wall_seconds(cost: pd.DataFrame, cores: int) -> float:
    """Seconds of the clock: each phase takes its longest job or its sum over the cores."""
    total = 0.0
    for _, phase in cost.groupby("phase"):
        jobs = phase.groupby(["stage", "job"]).agg({"seconds": "sum", "jobs": "max"})
        longest = (jobs["seconds"] / jobs["jobs"]).max()
        total += max(longest, phase["seconds"].sum() / cores)
    return float(total)


def by_replicates(cost: pd.DataFrame, replicates: int) -> tuple[float, float]:
    """CPU seconds of optimisers and MAP, and of samplers, for R replicates of each scenario."""
    fits = cost[(cost["stage"] == "fit") & (cost["times"] > 1)]
    seconds = fits["seconds"] / fits["times"] * replicates
    sampled = fits["kind"].isin(SAMPLERS)
    return float(seconds[~sampled].sum()), float(seconds[sampled].sum())


def replicates_by_method(design: Design) -> dict[str, dict[int, int]]:
    """By method, how many scenarios have so many replicates; real data sets are none."""
    found: dict[str, Counter[int]] = defaultdict(Counter)
    for unit in design.all_scenarios():
        for method, count in design.replicates_of(unit).items():
            found[method][count] += 1
    return {m: dict(sorted(found[m].items(), reverse=True)) for m in METHODS if m in found}
