"""One job of computing: a chunk's rows, in files, with a record of what they were made from.

What the chunk is made from was fixed when the run began; the job holds it against the design that
it reads and the sources that it loads, so that an edit under a run never mixes two versions.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from study.design import Design, Scenario
from study.workflow import costs
from study.workflow.pieces import STEPS, Chunk, Span, write_record
from study.workflow.run import say

if TYPE_CHECKING:
    from models.methods import Engine
    from study.rows import Rows

type Replicates = Mapping[str, Sequence[int]]

PACKAGES = ("numba", "numpy", "nutpie", "pandas", "pymc", "pytensor", "scipy")


def compute(
    design: Design,
    step: Annotated[str, f"one of {', '.join(STEPS)}"],
    *pieces: Annotated[str, "SCENARIO:FIRST-LAST:METHOD,..., without methods where it has none"],
    out: Annotated[Path, "folder; a file a kind of row"],
    digest: Annotated[str, "what the chunk has to be, if that is known"] = "",
) -> None:
    """Compute a chunk: some pieces of one step."""
    if step not in STEPS:
        raise ValueError(f"step: unknown {step!r}; choose from {', '.join(STEPS)}")
    if not pieces:
        raise ValueError("pieces: there are none; give SCENARIO:FIRST-LAST:METHOD,...")
    spans = [Span.of(word) for word in pieces]
    chunk = Chunk.of(design, step, STEPS[step].digest(), spans)
    with costs.part("import"):
        for module in STEPS[step].loads:
            importlib.import_module(module)
    _check(design, chunk, spans, digest)
    rows = computed(design, chunk)
    _check(design, chunk, spans, digest)
    _write(out, chunk, rows)


def _check(design: Design, chunk: Chunk, spans: Iterable[Span], digest: str) -> None:
    """ValueError if the sources or the data are no longer what they were, or not what they should
    have been."""
    now = Chunk.of(design, chunk.step, STEPS[chunk.step].digest(), spans)
    if now != chunk or digest not in ("", chunk.digest):
        raise ValueError(
            "the design, its data or the sources were edited since the run began; run it again"
        )


def computed(design: Design, chunk: Chunk) -> Rows:
    """The rows of a chunk, by kind."""
    from study.rows import empty

    _make_ready(chunk.step)
    begin = time.perf_counter(), costs.cpu()
    rows = empty(STEPS[chunk.step].makes)
    with _within(chunk.step):
        for scenario, replicates in chunk.replicates().items():
            for kind, own in _DO[chunk.step](design, scenario, replicates).items():
                rows[kind] += own
    # Compilation is timed by the clock, which runs on where other processes have the core.
    compiled = sum(row["compile_seconds"] for row in rows.get("timings", ()))
    costs.JOB["compile"] += compiled * (costs.cpu() - begin[1]) / (time.perf_counter() - begin[0])
    return rows


def _within(step: str) -> AbstractContextManager[None]:
    """What holds over all scenarios of a chunk: of other packages, their processes."""
    if step != "external":
        return nullcontext()
    from study.compute.external import processes

    return processes()


def _make_ready(step: str) -> None:
    """Import, and load from the disk or compile, what fits call, so that it is no part of them."""
    from models.methods import load_engine, warm_up

    engine: Engine = "pymc" if "models.posterior.density" in STEPS[step].loads else "numeric"
    with costs.part("import"):
        load_engine(engine)
    with costs.part("compile"):
        warm_up(engine)


def _write(out: Path, chunk: Chunk, rows: Rows) -> None:
    """Each file as a whole, for a job that was not seen to end may be writing the same."""
    from study.rows import frames

    out.mkdir(parents=True, exist_ok=True)
    sums = {}
    for kind, frame in frames(rows).items():
        name = f"{kind}.parquet"
        half = out / f".{name}.{os.getpid()}"
        frame.to_parquet(half, index=False)
        sums[name] = hashlib.sha256(half.read_bytes()).hexdigest()
        half.replace(out / name)
    versions = {name: version(name) for name in PACKAGES}
    write_record(out, chunk, sums, {"python": platform.python_version(), **versions})


# What a step does, of a scenario: (design, scenario, replicates by method) -> rows ---------------


def _fit(design: Design, scenario: str, replicates: Replicates) -> Rows:
    from study.compute.chunk import fit_all

    return fit_all(design, design.scenario(scenario), replicates, say)


def _barrier(design: Design, scenario: str, replicates: Replicates) -> Rows:
    from study.compute.switching import barriers

    unit = design.scenario(scenario)
    return _merged("barrier", (barriers(design, unit, i, i + 1, say) for i in replicates[""]))


def _follow(design: Design, scenario: str, replicates: Replicates) -> Rows:
    from study.compute.follow import follow

    unit = design.scenario(scenario)
    return _merged("follow", (follow(design, unit, i, say) for i in replicates[""]))


def _begin(design: Design, scenario: str, replicates: Replicates) -> Rows:
    from study.compute.beginnings import begin

    unit = cast(Scenario, design.scenario(scenario))
    return _merged("begin", (begin(design, unit, i, say) for i in replicates[""]))


def _remedies(design: Design, scenario: str, replicates: Replicates) -> Rows:
    from study.compute.remedies import compare

    unit = cast(Scenario, design.scenario(scenario))
    return _merged("remedies", (compare(design, unit, i, say) for i in replicates[""]))


def _priors(design: Design, scenario: str, replicates: Replicates) -> Rows:
    from study.compute.priors import sample

    unit = cast(Scenario, design.scenario(scenario))
    return _merged(
        "priors",
        (sample(design, unit, i, prior, say) for prior, own in replicates.items() for i in own),
    )


def _refer(design: Design, scenario: str, replicates: Replicates) -> Rows:
    from study.compute.references import refer

    unit = design.scenario(scenario)
    return _merged("refer", ({"references": refer(design, unit, i, say)} for i in replicates[""]))


def _choose(design: Design, scenario: str, replicates: Replicates) -> Rows:
    from study.compute.selection import choose

    unit = design.scenario(scenario)
    asked: dict[int, list[str]] = {}
    for criterion, own in replicates.items():
        for i in own:
            asked.setdefault(i, []).append(criterion)
    return _merged("choose", (choose(design, unit, i, asked[i], say) for i in sorted(asked)))


def _calibrate(design: Design, scenario: str, replicates: Replicates) -> Rows:
    from study.compute.calibration import calibrate

    spec = design.calibration
    assert spec is not None  # the design asks for it
    return _merged(
        "calibrate",
        (
            calibrate(spec.model_copy(update={"methods": [method]}), design.seed, own, say)
            for method, own in replicates.items()
        ),
    )


def _external(design: Design, scenario: str, replicates: Replicates) -> Rows:
    from study.compute.external import judge_all

    return judge_all(design, design.scenario(scenario), replicates, say)


def _truths(design: Design, scenario: str, replicates: Replicates) -> Rows:
    from study.compute.truths import truths

    alone = {"scenarios": [design.scenario(scenario)], "grids": [], "data": []}
    return truths(design.model_copy(update=alone), say)


def _merged(step: str, parts: Iterable[Mapping[str, list[dict[str, Any]]]]) -> Rows:
    from study.rows import empty

    rows = empty(step)
    for part in parts:
        for kind, own in part.items():
            rows[kind] += own
    return rows


_DO: dict[str, Callable[[Design, str, Replicates], Rows]] = {
    "truths": _truths,
    "numeric": _fit,
    "pymc": _fit,
    "barrier": _barrier,
    "follow": _follow,
    "begin": _begin,
    "calibrate": _calibrate,
    "remedies": _remedies,
    "priors": _priors,
    "refer": _refer,
    "external": _external,
    "choose": _choose,
    "evidence": _choose,
}
