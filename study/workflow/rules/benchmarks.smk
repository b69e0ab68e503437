# Benchmarks, apart from any design: `snakemake --cores all benchmarks`. A suite takes all cores,
# so that nothing else runs beside it while the clock does.
from study.benchmarks.tables import BENCHMARK_TABLES
from study.benchmarks.measure import SUITES
from study.benchmarks.scaling import BENCHMARK_FIGURES
from study.workflow.pieces import STEPS

BENCHMARKS = "results/benchmarks"


wildcard_constraints:
    suite="|".join(SUITES),


rule benchmark:
    input:
        loaded(
            *("study.benchmarks.steps", "study.benchmarks.measure", "study.workflow.provenance"),
            *STEPS["numeric"].loads,
            *STEPS["pymc"].loads,
        ),
        code(*folder("study/benchmarks/peers", "*.R")),
    output:
        expand(
            f"{BENCHMARKS}/rows/{{suite}}/{{file}}",
            file=["timings.parquet", "estimates.parquet", "provenance.json"],
            allow_missing=True,
        ),
    log:
        f"{BENCHMARKS}/logs/{{suite}}.log",
    params:
        folder=subpath(output[0], parent=True),
    threads: workflow.cores
    shell:
        "python -m study benchmark {wildcards.suite:q} --out {params.folder:q} 2> {log:q}"


rule benchmark_exhibits:
    input:
        expand(
            f"{BENCHMARKS}/rows/{{suite}}/{{kind}}.parquet",
            suite=list(SUITES),
            kind=["timings", "estimates"],
        ),
        loaded(
            *("study.benchmarks.steps", "study.benchmarks.tables"),
            *("study.benchmarks.scaling", "study.report.write"),
        ),
        code("study/report/paper.mplstyle"),
        captions(BENCHMARK_TABLES),
    output:
        [shown(f"{BENCHMARKS}/tables/{t.name}.html", t, "table") for t in BENCHMARK_TABLES],
        [shown(f"{BENCHMARKS}/figures/{f.name}.svg", f, "figure") for f in BENCHMARK_FIGURES],
        expand(
            f"{BENCHMARKS}/tables/{{name}}.{{ending}}",
            name=[table.name for table in BENCHMARK_TABLES],
            ending=["csv", "md", "tex"],
        ),
        expand(
            f"{BENCHMARKS}/figures/{{name}}.{{ending}}",
            name=[figure.name for figure in BENCHMARK_FIGURES],
            ending=["pdf", "png"],
        ),
    log:
        f"{BENCHMARKS}/logs/exhibits.log",
    params:
        rows=subpath(input[0], ancestor=2),
        folder=subpath(output[0], ancestor=2),
    shell:
        "python -m study benchmark-exhibits --rows {params.rows:q} --out {params.folder:q} 2> {log:q}"


rule benchmarks:
    input:
        rules.benchmark_exhibits.output,
