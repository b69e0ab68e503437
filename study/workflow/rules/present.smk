# Tables, figures and provenance: what a reader opens.
from study.report.contents import figures_of, tables_of
from study.report.exhibit import FOUND
from study.report.external import LONG as OF_PACKAGES
from study.report.performance import LONG

TABLES, FIGURES = tables_of(design), figures_of(design)

ROWS = rules.gather.output
PRESENTED = loaded(
    *("study.report.steps", "study.report.contents", "study.report.performance"),
    *("study.report.findings", "study.report.write"),
)


rule tables:
    input:
        ROWS,
        PRESENTED,
        captions(TABLES),
    output:
        [shown(f"{OUT}/tables/{table.name}.html", table, "table") for table in TABLES],
        expand(
            f"{OUT}/tables/{{name}}.{{ending}}",
            name=[table.name for table in TABLES],
            ending=["csv", "md", "tex"],
        ),
        [f"{OUT}/tables/{name}.csv" for name in (*LONG, *(OF_PACKAGES if design.external else ()))],
        f"{OUT}/tables/csv.sha256",
        f"{OUT}/tables/findings.rst",
        f"{OUT}/tables/{FOUND}",
    log:
        f"{OUT}/logs/tables.log",
    params:
        design=config.get("design", "default"),
        digest=design.digest(),
        rows=subpath(input[0], parent=True),
        folder=subpath(output[0], parent=True),
    localrule: True
    shell:
        "python -m study tables {params.design:q} --rows {params.rows:q}"
        " --out {params.folder:q} 2> {log:q}"


rule figures:
    input:
        ROWS,
        PRESENTED,
        code("study/report/paper.mplstyle"),
    output:
        [shown(f"{OUT}/figures/{figure.name}.svg", figure, "figure") for figure in FIGURES],
        [f"{OUT}/figures/{f.name}.{ending}" for f in FIGURES for ending in ("pdf", "png")],
        f"{OUT}/figures/{FOUND}",
    log:
        f"{OUT}/logs/figures.log",
    params:
        design=config.get("design", "default"),
        digest=design.digest(),
        rows=subpath(input[0], parent=True),
        folder=subpath(output[0], parent=True),
    localrule: True
    shell:
        "python -m study figures {params.design:q} --rows {params.rows:q}"
        " --out {params.folder:q} 2> {log:q}"


rule paper:
    input:
        loaded("study.report.steps", "study.report.paper"),
        captions(FIGURES),
        tables=expand(f"{OUT}/tables/{{t.name}}.{{ending}}", t=TABLES, ending=["csv", "tex"]),
        figures=[f"{OUT}/figures/{figure.name}.pdf" for figure in FIGURES],
        provenance=f"{OUT}/provenance.json",
        references=code("study/report/references.bib"),
    output:
        expand(
            f"{OUT}/paper/{{file}}",
            file=["macros.tex", "methods.tex", "references.bib", "example.tex", "README.md"],
        ),
        [f"{OUT}/paper/figures/{figure.name}.pdf" for figure in FIGURES],
        [f"{OUT}/paper/tables/{table.name}.tex" for table in TABLES],
    log:
        f"{OUT}/logs/paper.log",
    params:
        design=config.get("design", "default"),
        digest=design.digest(),
        tables=lambda wildcards, input: str(Path(input.tables[0]).parent),
        figures=lambda wildcards, input: str(Path(input.figures[0]).parent),
        folder=subpath(output[0], parent=True),
    localrule: True
    shell:
        "python -m study paper {params.design:q} --tables {params.tables:q}"
        " --figures {params.figures:q} --provenance {input.provenance:q}"
        " --out {params.folder:q} 2> {log:q}"


rule index:
    input:
        loaded("study.report.steps", "study.report.index"),
        captions((*TABLES, *FIGURES)),
        tables=[f"{OUT}/tables/{table.name}.csv" for table in TABLES],
        figures=[f"{OUT}/figures/{figure.name}.svg" for figure in FIGURES],
        provenance=f"{OUT}/provenance.json",
    output:
        f"{OUT}/index.html",
        f"{OUT}/findings.md",
    log:
        f"{OUT}/logs/index.log",
    params:
        design=config.get("design", "default"),
        digest=design.digest(),
        tables=lambda wildcards, input: str(Path(input.tables[0]).parent),
        figures=lambda wildcards, input: str(Path(input.figures[0]).parent),
        folder=subpath(output[0], parent=True),
    localrule: True
    shell:
        "python -m study index {params.design:q} --tables {params.tables:q}"
        " --figures {params.figures:q} --provenance {input.provenance:q}"
        " --out {params.folder:q} 2> {log:q}"


rule provenance:
    input:
        ROWS,
        loaded("study.workflow.provenance"),
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
        "python -m study provenance {params.design:q} --rows {params.rows:q}"
        " --out {output:q} 2> {log:q}"
