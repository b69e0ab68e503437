# Where the CPU time went: from the records that all other jobs left, and so after all of them.
from study.workflow.stages import STAGES


rule stages:
    input:
        MADE,
        loaded("study.workflow.stages"),
        code(f"study/report/captions/{STAGES.name}.rst"),
    output:
        shown(f"{OUT}/tables/{STAGES.name}.html", STAGES, "table"),
        multiext(f"{OUT}/tables/{STAGES.name}", ".csv", ".md", ".tex"),
    log:
        f"{OUT}/logs/stages.log",
    params:
        design=config.get("design", "default"),
        chunk=design.chunk,
        costs=f"{OUT}/costs",
        folder=subpath(output[0], parent=True),
    shell:
        "python -m study.workflow.worker stages {params.design} --chunk {params.chunk}"
        " --costs {params.costs} --out {params.folder} 2> {log}"
