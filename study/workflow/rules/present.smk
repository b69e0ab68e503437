# Tables, figures and provenance: what a reader opens.
from study.report.contents import FIGURES, TABLES
from study.report.performance import LONG

ROWS = rules.gather.output
FORMATS = ("svg", "pdf", "png")
PRESENTED = loaded("study.report.contents", "study.report.findings", "study.report.write")
DRAWN = loaded("study.report.contents", "study.report.write") + code("study/report/paper.mplstyle")


rule tables:
    input:
        ROWS,
        PRESENTED,
        code(*(f"study/report/captions/{table.name}.rst" for table in TABLES)),
    output:
        [shown(f"{OUT}/tables/{table.name}.html", table, "table") for table in TABLES],
        expand(
            f"{OUT}/tables/{{name}}.{{ending}}",
            name=[table.name for table in TABLES],
            ending=["csv", "md", "tex"],
        ),
        [f"{OUT}/tables/{name}.csv" for name in LONG],
        f"{OUT}/tables/csv.sha256",
        f"{OUT}/tables/findings.rst",
    log:
        f"{OUT}/logs/tables.log",
    params:
        design=config.get("design", "default"),
        digest=design.digest(),
        rows=subpath(input[0], parent=True),
        folder=subpath(output[0], parent=True),
    localrule: True
    shell:
        "python -m study.workflow.worker tables {params.design} --rows {params.rows} --out {params.folder} 2> {log}"


# A rule each, for a rule's caption may not depend on a wildcard.
for figure in FIGURES:

    rule:
        name:
            f"figure_{figure.name.replace('-', '_')}"
        input:
            ROWS,
            DRAWN,
        output:
            shown(f"{OUT}/figures/{figure.name}.svg", figure, "figure"),
            multiext(f"{OUT}/figures/{figure.name}", ".pdf", ".png"),
        log:
            f"{OUT}/logs/figures/{figure.name}.log",
        params:
            design=config.get("design", "default"),
            digest=design.digest(),
            name=figure.name,
            rows=subpath(input[0], parent=True),
            folder=subpath(output[0], parent=True),
        localrule: True
        shell:
            "python -m study.workflow.worker figures {params.design} --only {params.name}"
            " --rows {params.rows} --out {params.folder} 2> {log}"


rule paper:
    input:
        ROWS,
        loaded("study.report.paper"),
        code("study/report/paper.mplstyle"),
        code(*(f"study/report/captions/{exhibit.name}.rst" for exhibit in (*TABLES, *FIGURES))),
    output:
        expand(
            f"{OUT}/paper/{{file}}",
            file=["macros.tex", "methods.tex", "example.tex", "README.md"],
        ),
        [f"{OUT}/paper/figures/{figure.name}.pdf" for figure in FIGURES],
        [f"{OUT}/paper/tables/{table.name}.tex" for table in TABLES],
    log:
        f"{OUT}/logs/paper.log",
    params:
        design=config.get("design", "default"),
        digest=design.digest(),
        rows=subpath(input[0], parent=True),
        folder=subpath(output[0], parent=True),
    shell:
        "python -m study.workflow.worker paper {params.design} --rows {params.rows} --out {params.folder} 2> {log}"


rule provenance:
    input:
        ROWS,
    output:
        report(
            f"{OUT}/provenance.json",
            caption="../../report/captions/provenance.rst",
            category="Provenance",
            labels={"what": "Provenance (record)"},
        ),
    log:
        f"{OUT}/logs/provenance.log",
    params:
        design=config.get("design", "default"),
        digest=design.digest(),
        rows=subpath(input[0], parent=True),
    localrule: True
    shell:
        "python -m study.workflow.worker provenance {params.design} --rows {params.rows} --out {output} 2> {log}"
