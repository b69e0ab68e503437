"""What a job takes: seconds, roughly, for packing; minutes and megabytes, bounds, for a cluster.

All follow from the design alone, for a cluster wants them before anything runs. A job that asks
for too little is killed; one that asks for too much only waits longer.
"""

from __future__ import annotations

from math import ceil

from models.methods import SAMPLERS
from study.design import Calibration, Design, Scenario
from study.workflow.pieces import PRIOR, STEPS, Chunk, Span

# Seconds, on an ordinary core, of two components: a fit, a draw of NUTS with its four chains
# together, the intervals of a fit, a refit of its bootstrap, a data set followed closely, the
# barrier between two labellings, what a scenario's estimates tend to, and a data set's fits from
# several starts.
_FIT, _DRAW, _INTERVALS, _REFIT = 0.01, 3e-4, 0.1, 1e-3
_FOLLOW, _BARRIER, _TRUTH, _BEGIN = 0.3, 0.02, 0.2, 0.04
# And for each observation, in what passes over all of them: a fit, a data set with its start.
_PASSES, _DATA = 2e-7, 1.2e-7
# How much longer than they begin chains are in the mean, in the end, where they may go on.
_GOES_ON = 1.4
# Draws, with those before, of a posterior sampled at length, and posteriors that remedies compare.
_LENGTH, _REMEDIES = 3000, 4
# A criterion of the number of components, from one to six: the fits that the maximum likelihood's
# share are in the first; and an observation.
_CRITERION = {"cv": 0.3, "lrt": 2.0, "bridge": 8.0, "loo": 6.0, "waic": 6.0, "laplace": 0.3}
_CRITERION |= {"overfitted": 0.5, "overfitted-half": 0.7}
_INFORMATION, _CHOSEN_FROM = 0.02, 1e-5
# Of a posterior under a prior that is compared, which goes on to the end.
_LONGER = 3
# A slow core with as many neighbours as it can have, in a cell that is harder than most.
_SLOW = 6.0
# Seconds of two starts of Snakemake, of the imports and, the first time, of compiling for PyMC.
_READY = 150.0
# Megabytes of the two Snakemakes and of the job with all that it imports.
_PROCESSES = 1500.0
# Megabytes of the rows of one fit, and of one observation: its arrays in the widest pass.
_ROWS, _OBSERVATION = 0.02, 2e-4


# CPU seconds of the jobs that are no chunks, roughly; of others a few.
_OTHERS = {"walkthrough": 16.0, "figures": 60.0, "tables": 20.0}
_START = 4.0


def expected(design: Design, rule: str, chunk: Chunk | None = None) -> float:
    """CPU seconds of a job, roughly: of a rule, and of a chunk where it is one."""
    if chunk is None:
        return _START + _OTHERS.get(rule, 0.0)
    return _START + sum(map(Costs(design, chunk.step).seconds, chunk.spans()))


class Costs:
    """What the spans and chunks of one step of a design take."""

    def __init__(self, design: Design, step: str) -> None:
        self._design, self._step = design, step
        self._units = {unit.name: unit for unit in design.units()}

    def seconds(self, span: Span) -> float:
        """CPU seconds of the work, roughly, without the start of the job."""
        replicates = span.last - span.first
        each = sum(self._each(span.scenario, method) for method in span.methods or ("",))
        more = sum(self._intervals(span, method) for method in span.methods)
        return replicates * (_DATA * self._n(span.scenario) + each) + more

    def _each(self, scenario: str, method: str) -> float:
        """Of a replicate."""
        size = self._components(scenario) / 2.0
        if self._step == "external":
            return self._design.external_of(method).seconds
        draws = {"refer": _LENGTH, "remedies": _REMEDIES * self._iterations("nuts")}
        draws["priors"] = _LONGER * self._iterations("nuts")
        steps = {"truths": _TRUTH, "barrier": _BARRIER, "follow": _FOLLOW, "begin": _BEGIN}
        steps |= {step: _DRAW * number for step, number in draws.items()}
        if self._step in steps:
            return size * steps[self._step]
        if STEPS[self._step].makes == "choose":
            return _CRITERION.get(method, _INFORMATION) + _CHOSEN_FROM * self._n(scenario)
        once = _DRAW * self._iterations(method) if method in SAMPLERS else _FIT
        return size * once + _PASSES * self._n(scenario)

    def _iterations(self, method: str) -> float:
        spec: Design | Calibration | None = self._design
        if self._step == "calibrate":
            spec = self._design.calibration
        options = {} if spec is None else spec.options.get(method, {})
        draws, tune = (float(options.get(name) or 1000) for name in ("draws", "tune"))
        return tune + draws * (_GOES_ON if options.get("max_draws", True) else 1.0)

    def _intervals(self, span: Span, method: str) -> float:
        if STEPS[self._step].makes != "fit":
            return 0.0
        wanted = self._design.intervals_of(self._units[span.scenario])
        number = max(0, min(span.last, wanted.replicates) - span.first)
        each = _INTERVALS + wanted.refits * _REFIT
        return number * each * self._components(span.scenario) / 2.0 * (method in wanted.methods)

    def _components(self, scenario: str) -> int:
        if scenario == PRIOR:
            return 2 if self._design.calibration is None else self._design.calibration.k
        return self._units[scenario].model.k

    def _n(self, scenario: str) -> int:
        unit = self._units.get(scenario)
        return unit.n if isinstance(unit, Scenario) else 0


def minutes(design: Design, chunk: Chunk) -> int:
    """Minutes that a chunk ends within, its start and compilation included."""
    seconds = Costs(design, chunk.step).seconds
    return ceil((_READY + _SLOW * sum(map(seconds, chunk.spans()))) / 60.0)


def megabytes(design: Design, chunk: Chunk) -> int:
    """Megabytes (of 1e6 bytes) that a chunk, Snakemake included, stays below."""
    fits = sum(piece.last - piece.first for piece in chunk.pieces)
    named = {piece.scenario for piece in chunk.pieces}
    sizes = [u.n for u in design.all_scenarios() if u.name in named]
    return ceil(_PROCESSES + _ROWS * fits + _OBSERVATION * max(sizes, default=0))
