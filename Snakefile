# The study's workflow. `snakemake --cores all` makes the default design,
# `snakemake --cores all --config design=NAME_OR_FILE` another one, and
# `snakemake --cores all benchmarks` the benchmarks; `--profile study/workflow/profiles/slurm` in
# the place of `--cores all` works on a cluster.
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")

from study.workflow import costs
from study.design import barred, calibration_chunks, chunks, followed, load, referred
from study.rows import MADE_BY
from study.workflow.recovery import recover
from study.simulate import check_data
from study.workflow.worker import leave, start

if workflow.is_main_process:
    recover()
else:
    leave()  # A job of a cluster works where the cluster has put it.
# The rules' python is the one that runs Snakemake, whatever the PATH.
shell.prefix(f'set -euo pipefail; export PATH="{Path(sys.executable).parent}:$PATH"; ')

design = load(config.get("design", "default"), **{k: config[k] for k in ("chunk",) if k in config})
check_data(design)
OUT = f"results/{design.name}"
costs.keep(f"{OUT}/costs")


onstart:
    # Snakemake's limit of 100 jobs a second wakes the scheduler once a second, and once more for each
    # job that has ended, until that takes half a core of two. The jobs here are no such flood.
    workflow.scheduler.job_rate_limiter = None
    start()


report: "study/report/captions/front.rst"


include: "study/workflow/rules/common.smk"
include: "study/workflow/rules/fit.smk"
include: "study/workflow/rules/present.smk"
include: "study/workflow/rules/walkthrough.smk"
include: "study/workflow/rules/benchmarks.smk"

MADE = [
    rules.simulate.output,
    rules.tables.output,
    [f"{OUT}/figures/{f.name}.{ending}" for f in FIGURES for ending in FORMATS],
    rules.paper.output,
    rules.walkthrough.output,
    rules.provenance.output,
]


include: "study/workflow/rules/stages.smk"


localrules:
    all,
    benchmarks,


rule all:
    default_target: True
    input:
        MADE,
        rules.stages.output,
