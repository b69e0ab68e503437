# Tables, figures and provenance: what a reader opens.
from study.figures import FIGURES
from study.tables import TABLES

ROWS = rules.gather.output


rule tables:
    input:
        ROWS,
        code("study/tables.py", "study/measures.py"),
        code(*(f"study/report/{table.name}.rst" for table in TABLES)),
    output:
        [shown(f"{OUT}/tables/{table.name}.html", table, "table") for table in TABLES],
        expand(
            f"{OUT}/tables/{{name}}.{{ending}}",
            name=[table.name for table in TABLES],
            ending=["csv", "md", "tex"],
        ),
    log:
        f"{OUT}/logs/tables.log",
    params:
        design=config.get("design", "default"),
        digest=design.digest(),
        rows=subpath(input[0], parent=True),
        folder=subpath(output[0], parent=True),
    shell:
        "python -m study tables {params.design} --rows {params.rows} --out {params.folder} 2> {log}"


rule figures:
    input:
        ROWS,
        code(*folder("study/figures")),
        code("study/tables.py", "study/measures.py", "study/paper.mplstyle"),
    output:
        [shown(f"{OUT}/figures/{figure.name}.svg", figure, "figure") for figure in FIGURES],
        expand(
            f"{OUT}/figures/{{name}}.{{ending}}",
            name=[figure.name for figure in FIGURES],
            ending=["pdf", "png"],
        ),
    log:
        f"{OUT}/logs/figures.log",
    params:
        design=config.get("design", "default"),
        digest=design.digest(),
        rows=subpath(input[0], parent=True),
        folder=subpath(output[0], parent=True),
    shell:
        "python -m study figures {params.design} --rows {params.rows} --out {params.folder} 2> {log}"


rule provenance:
    input:
        ROWS,
    output:
        report(
            f"{OUT}/provenance.json",
            caption="../report/provenance.rst",
            category="Provenance",
            labels={"what": "Provenance", "kind": "record"},
        ),
    log:
        f"{OUT}/logs/provenance.log",
    params:
        design=config.get("design", "default"),
        digest=design.digest(),
    shell:
        "python -m study provenance {params.design} --out {output} 2> {log}"
