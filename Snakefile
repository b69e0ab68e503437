# The study's workflow. `snakemake --cores all` makes the default design,
# `snakemake --cores all --config design=NAME_OR_FILE` another one, and
# `snakemake --cores all benchmarks` the benchmarks, `snakemake --cores all reproduce` a part of a
# published study (`--config draw=2`: another part); `--profile study/workflow/profiles/slurm` in
# the place of `--cores all` works on a cluster. `--config minutes=55` begins no job after those.
import shlex
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")

from study.design import find, load
from study.simulate import check_data
from study.workflow import costs, run
from study.workflow.owner import check_owner
from study.workflow.recovery import attend, stop_after

# The rules' python is the one that runs Snakemake, whatever the PATH.
beside = shlex.quote(str(Path(sys.executable).parent)).replace("{", "{{").replace("}", "}}")
shell.prefix(f"set -euo pipefail; export PATH={beside}:$PATH; ")

design = load(config.get("design", "default"), **{k: config[k] for k in ("chunk",) if k in config})
check_data(design, run.say if workflow.is_main_process else lambda line: None)
OUT = f"results/{design.name}"
check_owner(design, find(config.get("design", "default")), Path(OUT))
costs.keep(f"{OUT}/costs")
run.announce(str(workflow.basedir))


report: "study/report/captions/front.rst"


include: "study/workflow/rules/common.smk"
include: "study/workflow/rules/compute.smk"
include: "study/workflow/rules/present.smk"
include: "study/workflow/rules/walkthrough.smk"
include: "study/workflow/rules/benchmarks.smk"
include: "study/workflow/rules/reproduce.smk"

MADE = [
    rules.simulate.output,
    rules.tables.output,
    rules.figures.output,
    rules.paper.output,
    rules.walkthrough.output,
    rules.index.output,
    rules.provenance.output,
]


include: "study/workflow/rules/stages.smk"


if workflow.is_main_process:
    attend(workflow, places, begin)


onsuccess:
    targets = [str(target) for target in workflow.dag_settings.targets]
    if targets == ["reproduce"]:
        return
    if targets == ["part"]:
        name = config.get("design", "default")
        print(f"Done. `python -m study publish {name} --part` keeps it.", file=sys.stderr)
        return
    where = " and ".join(f"results/{place}/" for place in places())
    first = f" Open {OUT}/index.html first." * (OUT in where)
    print(f"Done. Tables, figures and all else are in {where}.{first}", file=sys.stderr)


onerror:
    account = log if isinstance(log, str) else ", ".join(map(str, log))
    print(
        f"Stopped. {account} has the whole account; the same command goes on from what is done.",
        file=sys.stderr,
    )


localrules:
    all,
    benchmarks,


rule all:
    default_target: True
    input:
        MADE,
        rules.stages.output,
