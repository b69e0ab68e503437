"""Command line: a subcommand for each step of the workflow, and `fit` and `replay` for people.

Bad input is one line on stderr and exit code 2.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

from study.workflow import costs

# One thread a process: the workflow runs a process a core, and small BLAS calls only lose by more.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        with costs.recorded(options):
            options.run(options)
    except (ValueError, OSError) as error:
        print(f"study {options.command}: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m study", description=__doc__)
    steps = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    step = steps.add_parser("check", help="check a design and print what it holds")
    step.add_argument("design")
    step.set_defaults(run=_check)

    step = steps.add_parser("plan", help="print how precise a study will be and what it will cost")
    step.add_argument("design")
    step.add_argument("--cores", type=int, default=os.cpu_count(), help="default all")
    step.add_argument("--replicates", type=int, nargs="+", default=[], help="others to try")
    step.add_argument(
        "--seconds", type=float, default=45.0, help="CPU time of the pilot (default 45)"
    )
    step.set_defaults(run=_plan)

    step = steps.add_parser("simulate", help="write each scenario's first data set as CSV")
    step.add_argument("design")
    step.add_argument("--out", type=Path, required=True, help="folder")
    step.set_defaults(run=_simulate)

    step = steps.add_parser("chunk", help="fit one chunk: an engine's methods, some replicates")
    step.add_argument("design")
    step.add_argument("scenario")
    step.add_argument("engine", choices=["numeric", "pymc"])
    step.add_argument("first", type=int)
    step.add_argument("last", type=int)
    step.add_argument("--out", type=Path, required=True, help="folder; a file a kind of row")
    step.set_defaults(run=_chunk)

    step = steps.add_parser("follow", help="follow some replicates step by step, from many starts")
    step.add_argument("design")
    step.add_argument("scenario")
    step.add_argument("--out", type=Path, required=True, help="folder; a file a kind of row")
    step.set_defaults(run=_follow)

    step = steps.add_parser("calibrate", help="rank prior draws among their posteriors' draws")
    step.add_argument("design")
    step.add_argument("first", type=int)
    step.add_argument("last", type=int)
    step.add_argument("--out", type=Path, required=True, help="file of the ranks")
    step.set_defaults(run=_calibrate)
    for what, run, text in (
        ("remedies", _remedies, "compare the remedies for label switching"),
        ("refer", _refer, "sample some posteriors at length, as references"),
        ("barrier", _barrier, "find the barriers between the labellings of NUTS' data sets"),
    ):
        step = steps.add_parser(what, help=text)
        step.add_argument("design")
        step.add_argument("scenario")
        step.add_argument("--out", type=Path, required=True, help="folder; a file a kind of row")
        step.set_defaults(run=run)

    step = steps.add_parser("truths", help="find what the scenarios' estimates tend to")
    step.add_argument("design")
    step.add_argument("--out", type=Path, required=True, help="folder; a file a kind of row")
    step.set_defaults(run=_truths)

    step = steps.add_parser("gather", help="put the rows of all chunks together")
    step.add_argument("design")
    step.add_argument("--chunk", type=int, help="replicates in a job, if not the design's own")
    step.add_argument("--made", type=Path, required=True, help="folder that the jobs wrote under")
    step.add_argument("--out", type=Path, required=True)
    step.set_defaults(run=_gather)

    for what, run in (("tables", _tables), ("figures", _figures)):
        step = steps.add_parser(what, help=f"make the {what}")
        step.add_argument("design")
        step.add_argument("--rows", type=Path, required=True, help="folder that gather wrote")
        step.add_argument("--out", type=Path, required=True, help="folder")
        step.add_argument("--only", metavar="NAME", help="one of them, by its name")
        step.set_defaults(run=run)

    step = steps.add_parser("paper", help="make what a manuscript takes: figures, tables, macros")
    step.add_argument("design")
    step.add_argument("--rows", type=Path, required=True, help="folder that gather wrote")
    step.add_argument("--out", type=Path, required=True, help="folder")
    step.set_defaults(run=_paper)

    step = steps.add_parser("walkthrough", help="make the guided walk through the two articles")
    step.add_argument("--out", type=Path, required=True, help="folder")
    step.set_defaults(run=_walkthrough)

    step = steps.add_parser("stages", help="make the table of CPU time by stage")
    step.add_argument("design")
    step.add_argument("--chunk", type=int, help="replicates in a job, if not the design's own")
    step.add_argument("--costs", type=Path, required=True, help="folder of the jobs' records")
    step.add_argument("--out", type=Path, required=True, help="folder")
    step.set_defaults(run=_stages)

    step = steps.add_parser("provenance", help="write design, versions, git revision and machine")
    step.add_argument("design")
    step.add_argument("--rows", type=Path, required=True, help="folder that gather wrote")
    step.add_argument("--out", type=Path, required=True)
    step.set_defaults(run=_provenance)

    step = steps.add_parser("benchmark", help="measure one suite of the benchmarks")
    step.add_argument("suite", help="passes, fits, peers or posterior")
    step.add_argument("--out", type=Path, required=True, help="folder; a file a kind of row")
    step.set_defaults(run=_benchmark)

    step = steps.add_parser("benchmark-exhibits", help="make the benchmarks' tables and figure")
    step.add_argument("--rows", type=Path, required=True, help="folder of the suites' folders")
    step.add_argument("--out", type=Path, required=True, help="folder of their two folders")
    step.set_defaults(run=_benchmark_exhibits)

    step = steps.add_parser("fit", help="fit a column of a CSV file and print a table")
    step.add_argument("file", type=Path)
    step.add_argument("--column", required=True)
    step.add_argument("-k", type=int, default=2, help="number of components (default 2)")
    step.add_argument("--equal-sds", action="store_true", help="one common sd")
    step.add_argument("--methods", default="em,lbfgs,newton,map,nuts", help="comma-separated")
    step.add_argument("--seed", type=int, default=0)
    step.set_defaults(run=_fit)

    step = steps.add_parser("replay", help="repeat one fit of a study and print it with its trace")
    step.add_argument("design")
    step.add_argument("scenario")
    step.add_argument("replicate", type=int)
    step.add_argument("method")
    step.set_defaults(run=_replay)
    return parser


def _check(options: argparse.Namespace) -> None:
    from study.design import chunks, load
    from study.simulate import check_data

    design = load(options.design)
    check_data(design)
    fits = sum(sum(design.replicates_of(unit).values()) for unit in design.units())
    print(
        f"{design.name}: {len(design.all_scenarios())} scenarios, {len(design.data)} data sets, "
        f"{fits} fits in {len(chunks(design))} jobs, digest {design.digest()}"
    )


def _plan(options: argparse.Namespace) -> None:
    for name in ("cores", "seconds", "replicates"):
        given = getattr(options, name)
        for value in given if name == "replicates" else [given]:
            if value <= 0:
                raise ValueError(f"--{name}: {value} is not a positive number")

    from study.design import load
    from study.simulate import check_data
    from study.workflow import plan, terminal

    design = load(options.design)
    check_data(design)
    terminal.precision_table(plan.replicates_by_method(design), design.level)
    made = plan.pilot(design, options.seconds, _say)
    cost = plan.expected(made)
    terminal.cost_table(plan.overheads(cost), made, options.cores)
    if options.replicates:
        terminal.replicates_table(cost, options.replicates, design.level)


def _simulate(options: argparse.Namespace) -> None:
    import pandas as pd

    from study.design import load
    from study.simulate import data_set

    design = load(options.design)
    options.out.mkdir(parents=True, exist_ok=True)
    for unit in design.units():
        table = pd.DataFrame({"x": data_set(design, unit, 0)})
        table.to_csv(options.out / f"{unit.name}.csv", index=False, lineterminator="\n")


def _chunk(options: argparse.Namespace) -> None:
    with costs.part("import"):
        from models.methods import load_engine, warm_up
        from study.compute.chunk import fit_all, methods_of
        from study.design import load
        from study.rows import frames

        load_engine(options.engine)
    design = load(options.design)
    unit = design.scenario(options.scenario)
    with costs.part("compile"):
        ready = warm_up(options.engine)
    _say(f"{unit.name} {options.engine}: compiled code ready in {ready:.1f} s")
    begin = time.perf_counter(), costs.cpu()
    methods = methods_of(design, unit, options.engine)
    made = frames(fit_all(design, unit, options.first, options.last, methods, _say))
    # Compilation is timed by the clock, which runs on where other processes have the core.
    on_core = (costs.cpu() - begin[1]) / (time.perf_counter() - begin[0])
    costs.JOB["compile"] += on_core * made["timings"]["compile_seconds"].sum()
    _write(made, options.out)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _follow(options: argparse.Namespace) -> None:
    from study.compute.follow import follow
    from study.design import followed, load

    design = load(options.design)
    unit = design.scenario(options.scenario)
    _write(
        _merged("follow", (follow(design, unit, i) for i in range(followed(design, unit)))),
        options.out,
    )


def _barrier(options: argparse.Namespace) -> None:
    from study.compute.switching import barriers
    from study.design import barred, load
    from study.rows import frames

    design = load(options.design)
    unit = design.scenario(options.scenario)
    _write(frames(barriers(design, unit, 0, barred(design, unit))), options.out)


def _truths(options: argparse.Namespace) -> None:
    from study.compute.truths import truths
    from study.design import load
    from study.rows import frames

    _write(frames(truths(load(options.design))), options.out)


def _remedies(options: argparse.Namespace) -> None:
    from study.compute.remedies import compare
    from study.design import Scenario, load

    design = load(options.design)
    scenario = design.scenario(options.scenario)
    if design.remedies is None or scenario.name not in design.remedies.scenarios:
        raise ValueError(f"scenario: {scenario.name!r} is not under remedies in {design.name}")
    assert isinstance(scenario, Scenario)  # the design has checked it
    made = (compare(design, scenario, i) for i in range(design.remedies.replicates))
    _write(_merged("remedies", made), options.out)


def _refer(options: argparse.Namespace) -> None:
    from study.compute.references import refer
    from study.design import load, referred

    design = load(options.design)
    unit = design.scenario(options.scenario)
    made = ({"references": refer(design, unit, i)} for i in range(referred(design, unit)))
    _write(_merged("refer", made), options.out)


def _merged(step: str, parts: Any) -> dict[str, pd.DataFrame]:
    from study.rows import empty, frames

    rows = empty(step)
    for part in parts:
        for kind, own in part.items():
            rows[kind] += own
    return frames(rows)


def _write(frames: dict[str, pd.DataFrame], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for kind, frame in frames.items():
        frame.to_parquet(folder / f"{kind}.parquet", index=False)


def _calibrate(options: argparse.Namespace) -> None:
    from study.compute.calibration import calibrate
    from study.design import load
    from study.rows import frame

    design = load(options.design)
    if design.calibration is None:
        raise ValueError(f"{options.design}: has no calibration; give the key")
    replicates = range(options.first, options.last)
    ranks = calibrate(
        design.calibration,
        design.seed,
        replicates,
        lambda line: print(line, file=sys.stderr, flush=True),
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    frame("ranks", ranks["ranks"]).to_parquet(options.out, index=False)


def _gather(options: argparse.Namespace) -> None:
    import pandas as pd

    from study.design import barred, calibration_chunks, chunks, load, referred
    from study.rows import MADE_BY, gather

    design = load(options.design, **({"chunk": options.chunk} if options.chunk else {}))
    options.out.mkdir(parents=True, exist_ok=True)
    made = options.made
    folders = {
        "fit": [made / "fits" / c.scenario / c.engine / c.name for c in chunks(design)],
        "follow": [made / "closely" / name for name in design.unit_names()],
        "barrier": [made / "barriers" / u.name for u in design.units() if barred(design, u)],
        "remedies": [
            made / "remedies" / name
            for name in ([] if design.remedies is None else design.remedies.scenarios)
        ],
        "refer": [made / "references" / u.name for u in design.units() if referred(design, u)],
        "truths": [made / "truths"],
    }
    for step, own in folders.items():
        for kind in MADE_BY[step]:
            parts = [pd.read_parquet(folder / f"{kind}.parquet") for folder in own]
            gather(design, kind, parts).to_parquet(options.out / f"{kind}.parquet", index=False)
    files = [made / "calibration" / f"{i}-{j}.parquet" for i, j in calibration_chunks(design)]
    ranks = gather(design, "ranks", [pd.read_parquet(file) for file in files])
    ranks.to_parquet(options.out / "ranks.parquet", index=False)


def _tables(options: argparse.Namespace) -> None:
    from study.design import load
    from study.report.contents import TABLES
    from study.report.findings import findings
    from study.report.performance import LONG
    from study.report.write import write, write_sums
    from study.rows import read

    options.out.mkdir(parents=True, exist_ok=True)
    results = read(load(options.design), options.rows)
    source, made = results.design.stamp(), {}
    for table in _chosen(TABLES, options.only):
        made[table.name] = table.make(results)
        none = table.nothing(results.design)
        write(made[table.name], table.caption, options.out / table.name, source, none)
    if options.only is None:
        for name, make in LONG.items():
            make(results).to_csv(options.out / f"{name}.csv", index=False, lineterminator="\n")
        lasting = [table.name for table in TABLES if not table.timed]
        files = [options.out / f"{name}.csv" for name in (*lasting, *LONG)]
        write_sums(files, options.out / "csv.sha256", source)
        text = findings(results.design, made["guide"], made["verdicts"])
        (options.out / "findings.rst").write_text(text, encoding="utf-8")


def _figures(options: argparse.Namespace) -> None:
    from study.design import load
    from study.report.contents import FIGURES
    from study.report.write import save
    from study.rows import read

    options.out.mkdir(parents=True, exist_ok=True)
    results = read(load(options.design), options.rows)
    for figure in _chosen(FIGURES, options.only):
        save(figure.make(results), options.out / figure.name)


def _paper(options: argparse.Namespace) -> None:
    from study.design import load
    from study.report.paper import write_paper
    from study.rows import read

    write_paper(read(load(options.design), options.rows), options.out)


def _chosen(exhibits: Sequence[Any], name: str | None) -> Sequence[Any]:
    chosen = [exhibit for exhibit in exhibits if name in (None, exhibit.name)]
    if not chosen:
        known = ", ".join(exhibit.name for exhibit in exhibits)
        raise ValueError(f"--only: there is no {name!r}; choose from {known}")
    return chosen


def _walkthrough(options: argparse.Namespace) -> None:
    from study.walkthrough import make

    make(options.out)


def _stages(options: argparse.Namespace) -> None:
    from study.design import load
    from study.report.write import write
    from study.workflow.stages import STAGES, of_design

    design = load(options.design, **({"chunk": options.chunk} if options.chunk else {}))
    records = of_design(design, costs.read(options.costs))
    records.append(costs.record(options.command, []))
    options.out.mkdir(parents=True, exist_ok=True)
    write(STAGES.make(records), STAGES.caption, options.out / STAGES.name)


def _provenance(options: argparse.Namespace) -> None:
    import json

    import pandas as pd

    from study.design import load
    from study.workflow.provenance import provenance

    options.out.parent.mkdir(parents=True, exist_ok=True)
    timings = pd.read_parquet(options.rows / "timings.parquet")
    record = provenance(load(options.design), timings)
    options.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _benchmark(options: argparse.Namespace) -> None:
    import json

    from study.benchmarks.measure import SUITES
    from study.workflow.provenance import environment

    if options.suite not in SUITES:
        raise ValueError(f"suite: unknown {options.suite!r}; choose from {', '.join(SUITES)}")
    rows = SUITES[options.suite](_say)
    options.out.mkdir(parents=True, exist_ok=True)
    for kind, frame in rows.frames().items():
        frame.to_parquet(options.out / f"{kind}.parquet", index=False)
    record = json.dumps(environment(), indent=2)
    (options.out / "provenance.json").write_text(record + "\n", encoding="utf-8")


def _benchmark_exhibits(options: argparse.Namespace) -> None:
    from study.benchmarks.scaling import BENCHMARK_FIGURES
    from study.benchmarks.tables import BENCHMARK_TABLES, read_measured
    from study.report.write import save, write

    measured = read_measured(options.rows)
    tables, figures = options.out / "tables", options.out / "figures"
    for folder in (tables, figures):
        folder.mkdir(parents=True, exist_ok=True)
    for table in BENCHMARK_TABLES:
        write(table.make(measured), table.caption, tables / table.name)
    for figure in BENCHMARK_FIGURES:
        save(figure.make(measured), figures / figure.name)


def _fit(options: argparse.Namespace) -> None:
    from models import METHODS, MixtureModel, fit
    from study.simulate import read_column
    from study.workflow.terminal import fits_table

    methods = [name.strip() for name in options.methods.split(",")]
    for name in methods:
        if name not in METHODS:
            raise ValueError(f"--methods: unknown {name!r}; choose from {', '.join(METHODS)}")
    x = read_column(options.file, options.column)
    model = MixtureModel(options.k, equal_sds=options.equal_sds)
    fits_table([fit(name, x, model, rng=options.seed) for name in methods])


def _replay(options: argparse.Namespace) -> None:
    from models import METHODS
    from study.compute.fits import fit_one, start_of
    from study.design import load
    from study.simulate import data_set
    from study.workflow.terminal import fits_table, trace_table

    if options.method not in METHODS:
        raise ValueError(f"method: unknown {options.method!r}; choose from {', '.join(METHODS)}")
    design = load(options.design)
    unit = design.scenario(options.scenario)
    if options.replicate < 0:
        raise ValueError(f"replicate: {options.replicate} is negative; the first is 0")
    x = data_set(design, unit, options.replicate)
    start = start_of(design, unit, x, options.replicate)
    trace = not METHODS[options.method].draws
    result = fit_one(design, unit, x, start.mixture, options.replicate, options.method, trace=trace)
    if result.trace is not None:
        trace_table(result.trace)
    fits_table([result])


if __name__ == "__main__":
    sys.exit(main())
