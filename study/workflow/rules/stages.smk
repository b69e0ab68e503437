# Where the CPU time went: from the records that all other jobs left, and so after all of them.
from study.workflow.stages import STAGES


rule stages:
    input:
        MADE,
        loaded("study.workflow.stages"),
        captions([STAGES]),
    output:
        shown(f"{OUT}/tables/{STAGES.name}.html", STAGES, "table"),
        multiext(f"{OUT}/tables/{STAGES.name}", ".csv", ".md", ".tex"),
    log:
        f"{OUT}/logs/stages.log",
    params:
        design=config.get("design", "default"),
        results=subpath(output[0], ancestor=3),
        folder=subpath(output[0], parent=True),
    localrule: True
    shell:
        "python -m study stages {params.design:q} --results {params.results:q}"
        " --out {params.folder:q} 2> {log:q}"
