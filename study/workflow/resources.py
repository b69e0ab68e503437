"""What a job of the study asks a cluster for: minutes and megabytes, bounds and not estimates.

They follow from the design alone, for a cluster wants them before anything runs. A job that asks
for too little is killed; one that asks for too much only waits longer.
"""

from __future__ import annotations

from math import ceil

from models import METHODS
from models.methods import SAMPLERS
from study.design import Chunk, DataSet, Design, Scenario, followed

# Seconds of two starts of Snakemake, of the imports and, the first time, of compiling for PyMC.
_READY = 150.0
# Seconds of a fit with two components, and of a draw of NUTS, its four chains together: about the
# mean in the slowest cell of the default study, on a processor with five others to serve.
_OPTIMUM, _DRAW = 0.1, 1.5e-3
# Seconds of the intervals of a fit, and of one refit of a parametric bootstrap.
_INTERVALS, _REFIT = 0.3, 5e-3
# Seconds of following one data set step by step and from many starts.
_FOLLOW = 15.0
# Megabytes of the two Snakemakes, of the server with all that it imports, and of its fork.
_PROCESSES = 2000.0
# Megabytes of the rows of one fit, and of one observation: its arrays in the widest pass.
_ROWS, _OBSERVATION = 0.02, 2e-4


def chunk_minutes(design: Design, chunk: Chunk) -> int:
    """Minutes that a chunk ends within, its start and compilation included."""
    unit = design.scenario(chunk.scenario)
    fits = sum(count * _fit(design, unit, method) for method, count in _fits(design, chunk).items())
    wanted = design.intervals_of(unit)
    more = sum(
        max(0, min(count, wanted.replicates - chunk.first)) * _size(unit)
        for method, count in _fits(design, chunk).items()
        if method in wanted.methods
    )
    return ceil((_READY + fits + more * (_INTERVALS + wanted.refits * _REFIT)) / 60.0)


def follow_minutes(design: Design, name: str) -> int:
    """Minutes that following some data sets of a scenario or of real data ends within."""
    unit = design.scenario(name)
    return ceil((_READY + followed(design, unit) * _FOLLOW * _size(unit)) / 60.0)


def megabytes(design: Design, chunk: Chunk) -> int:
    """Megabytes (of 1e6 bytes) that a chunk, Snakemake included, stays below."""
    fits = sum(_fits(design, chunk).values())
    return ceil(_PROCESSES + _ROWS * fits + _OBSERVATION * _n(design.scenario(chunk.scenario)))


def _fits(design: Design, chunk: Chunk) -> dict[str, int]:
    """How many fits of the chunk each method makes."""
    return {
        method: max(0, min(count, chunk.last) - chunk.first)
        for method, count in design.replicates_of(design.scenario(chunk.scenario)).items()
        if METHODS[method].engine == chunk.engine
    }


def _fit(design: Design, unit: Scenario | DataSet, method: str) -> float:
    """Seconds of one fit."""
    if method not in SAMPLERS:
        return _OPTIMUM * _size(unit)
    options = design.options.get(method, {})
    return _DRAW * sum(float(options.get(name, 1000)) for name in ("draws", "tune")) * _size(unit)


def _size(unit: Scenario | DataSet) -> float:
    """How much more than a small sample of two components it takes; large ones are compressed."""
    return unit.model.k / 2.0 * (1.0 + _n(unit) / 5e5)


def _n(unit: Scenario | DataSet) -> int:
    return unit.n if isinstance(unit, Scenario) else 0
