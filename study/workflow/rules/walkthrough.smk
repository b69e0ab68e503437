# The walk through the two articles: the same for every design, and without PyMC.
from study.walkthrough import FIGURES as WALK_FIGURES
from study.walkthrough import TABLES as WALK_TABLES

WALK = f"{OUT}/walkthrough"


rule walkthrough:
    input:
        loaded("study.walkthrough", *of_engine("numeric")),
        code("study/walkthrough/page.md", "study/report/paper.mplstyle"),
        captions((*WALK_FIGURES, *WALK_TABLES)),
    output:
        report(
            f"{WALK}/walkthrough.html",
            caption="../../report/captions/walkthrough.rst",
            category="Walkthrough",
            labels={"what": "All on one page"},
        ),
        f"{WALK}/walkthrough.md",
        [shown(f"{WALK}/figures/{figure.name}.svg", figure, "figure") for figure in WALK_FIGURES],
        [f"{WALK}/figures/{f.name}.{ending}" for f in WALK_FIGURES for ending in ("pdf", "png")],
        [shown(f"{WALK}/tables/{table.name}.html", table, "table") for table in WALK_TABLES],
        [f"{WALK}/tables/{t.name}.{ending}" for t in WALK_TABLES for ending in ("csv", "md", "tex")],
    log:
        f"{OUT}/logs/walkthrough.log",
    params:
        folder=subpath(output[0], parent=True),
    resources:
        runtime=lambda wildcards, attempt: 5 * attempt,
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
    shell:
        "python -m study walkthrough --out {params.folder:q} 2> {log:q}"
