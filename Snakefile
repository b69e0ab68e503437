# The study's workflow. `snakemake --cores all` makes the default design,
# `snakemake --cores all --config design=NAME_OR_FILE` another one, and
# `snakemake --cores all benchmarks` the benchmarks.
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")

from study.design import chunks, followed, load, referred
from study.recovery import recover
from study.simulate import check_data
from study.worker import start

recover()
# The rules' python is the one that runs Snakemake, whatever the PATH.
shell.prefix(f'set -euo pipefail; export PATH="{Path(sys.executable).parent}:$PATH"; ')

design = load(config.get("design", "default"), **{k: config[k] for k in ("chunk",) if k in config})
check_data(design)
OUT = f"results/{design.name}"


onstart:
    start()


report: "study/report/front.rst"


include: "study/rules/common.smk"
include: "study/rules/fit.smk"
include: "study/rules/present.smk"
include: "study/rules/walkthrough.smk"
include: "study/rules/benchmarks.smk"


localrules:
    all,
    benchmarks,


rule all:
    default_target: True
    input:
        rules.simulate.output,
        rules.tables.output,
        [f"{OUT}/figures/{f.name}.{ending}" for f in FIGURES for ending in FORMATS],
        rules.walkthrough.output,
        rules.provenance.output,
