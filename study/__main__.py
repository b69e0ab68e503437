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
    ):
        step = steps.add_parser(what, help=text)
        step.add_argument("design")
        step.add_argument("scenario")
        step.add_argument("--out", type=Path, required=True, help="folder; a file a kind of row")
        step.set_defaults(run=run)

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
        from study.compute.fits import fit_chunk, frames
        from study.design import Chunk, load

        load_engine(options.engine)
    design = load(options.design)
    chunk = Chunk(options.scenario, options.engine, options.first, options.last)
    with costs.part("compile"):
        ready = warm_up()
    _say(f"{chunk.scenario} {chunk.engine}: compiled code ready in {ready:.1f} s")
    begin = time.perf_counter(), costs.cpu()
    made = frames(fit_chunk(design, chunk, _say))
    # Compilation is timed by the clock, which runs on where other processes have the core.
    on_core = (costs.cpu() - begin[1]) / (time.perf_counter() - begin[0])
    costs.JOB["compile"] += on_core * made["timings"]["compile_seconds"].sum()
    _write(made, options.out)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _follow(options: argparse.Namespace) -> None:
    from study.compute import follow as convergence
    from study.design import followed, load

    design = load(options.design)
    unit = design.scenario(options.scenario)
    rows = []
    for replicate in range(followed(design, unit)):
        rows.append(convergence.follow(design, unit, replicate))
        _say(f"{unit.name}: replicate {replicate} followed")
    _write(convergence.frames(rows), options.out)


def _remedies(options: argparse.Namespace) -> None:
    from study.compute import remedies
    from study.design import Scenario, load

    design = load(options.design)
    scenario = design.scenario(options.scenario)
    if design.remedies is None or scenario.name not in design.remedies.scenarios:
        raise ValueError(f"scenario: {scenario.name!r} is not under remedies in {design.name}")
    assert isinstance(scenario, Scenario)  # the design has checked it
    rows = [remedies.compare(design, scenario, i) for i in range(design.remedies.replicates)]
    _write(remedies.frames(rows), options.out)


def _refer(options: argparse.Namespace) -> None:
    from study.compute import references
    from study.design import load, referred

    design = load(options.design)
    unit = design.scenario(options.scenario)
    rows = [references.refer(design, unit, i) for i in range(referred(design, unit))]
    _write(references.frames(rows), options.out)


def _write(frames: dict[str, pd.DataFrame], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for kind, frame in frames.items():
        frame.to_parquet(folder / f"{kind}.parquet", index=False)


def _calibrate(options: argparse.Namespace) -> None:
    from study.compute.calibration import calibrate
    from study.design import load

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
    ranks.to_parquet(options.out, index=False)


def _gather(options: argparse.Namespace) -> None:
    import pandas as pd

    from study.compute import calibration, references, remedies
    from study.compute import follow as convergence
    from study.compute.fits import SCHEMA, gather
    from study.design import calibration_chunks, chunks, load, referred

    design = load(options.design, **({"chunk": options.chunk} if options.chunk else {}))
    options.out.mkdir(parents=True, exist_ok=True)
    folders = [options.made / "fits" / c.scenario / c.engine / c.name for c in chunks(design)]
    for kind in SCHEMA:
        frame = gather(design, kind, [folder / f"{kind}.parquet" for folder in folders])
        frame.to_parquet(options.out / f"{kind}.parquet", index=False)
    compared = [] if design.remedies is None else design.remedies.scenarios
    at_length = [unit.name for unit in design.units() if referred(design, unit)]
    for schema, folder, names in (
        (convergence.SCHEMA, "closely", design.unit_names()),
        (remedies.SCHEMA, "remedies", compared),
        (references.SCHEMA, "references", at_length),
    ):
        for kind, columns in schema.items():
            parts = [
                pd.read_parquet(options.made / folder / name / f"{kind}.parquet") for name in names
            ]
            none = pd.DataFrame(columns=list(columns)).astype(columns)
            frame = pd.concat(parts, ignore_index=True) if parts else none
            frame.to_parquet(options.out / f"{kind}.parquet", index=False)
    files = [
        options.made / "calibration" / f"{i}-{j}.parquet" for i, j in calibration_chunks(design)
    ]
    ranks = calibration.gather([pd.read_parquet(file) for file in files])
    ranks.to_parquet(options.out / "ranks.parquet", index=False)


def _tables(options: argparse.Namespace) -> None:
    from study.design import load
    from study.report.findings import findings
    from study.report.tables import LONG, TABLES, write, write_sums
    from study.rows import read_results

    options.out.mkdir(parents=True, exist_ok=True)
    results = read_results(load(options.design), options.rows)
    source, made = results.design.stamp(), {}
    for table in _chosen(TABLES, options.only):
        made[table.name] = table.make(results)
        write(made[table.name], table.caption, options.out / table.name, source)
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
    from study.report.figures import FIGURES, save
    from study.rows import read_results

    options.out.mkdir(parents=True, exist_ok=True)
    results = read_results(load(options.design), options.rows)
    for figure in _chosen(FIGURES, options.only):
        save(figure.make(results), options.out / figure.name)


def _paper(options: argparse.Namespace) -> None:
    from study.design import load
    from study.report.paper import write_paper
    from study.rows import read_results

    write_paper(read_results(load(options.design), options.rows), options.out)


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
    from study.report.tables import write
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
    from study.benchmarks.tables import BENCHMARK_TABLES, read_measured
    from study.report.figures import BENCHMARK_FIGURES, save
    from study.report.tables import write

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
