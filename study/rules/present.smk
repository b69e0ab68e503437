# Tables, figures and provenance: what a reader opens.
from study.figures import FIGURES
from study.tables import LONG, TABLES

ROWS = rules.gather.output
FORMATS = ("svg", "pdf", "png")
PRESENTED = (
    "study/results.py",
    "study/verdicts.py",
    "study/measures.py",
    "study/performance.py",
    "study/uncertainty.py",
    "study/theory.py",
    "study/tables.py",
    "study/convergence_tables.py",
    "study/uniformity.py",
    "study/guide.py",
    "study/remedy_tables.py",
    "study/remedies.py",
    "study/references.py",
    "study/label_tables.py",
)


rule tables:
    input:
        ROWS,
        code(*PRESENTED, "study/findings.py"),
        code(*(f"study/report/{table.name}.rst" for table in TABLES)),
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
        "python -m study.worker tables {params.design} --rows {params.rows} --out {params.folder} 2> {log}"


# A rule each, for a rule's caption may not depend on a wildcard.
for figure in FIGURES:

    rule:
        name:
            f"figure_{figure.name.replace('-', '_')}"
        input:
            ROWS,
            code(*folder("study/figures"), *folder("study/labels"), "study/simulate.py"),
            code(*PRESENTED, "study/paper.mplstyle"),
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
            "python -m study.worker figures {params.design} --only {params.name}"
            " --rows {params.rows} --out {params.folder} 2> {log}"


rule paper:
    input:
        ROWS,
        code(*PRESENTED, "study/findings.py", "study/paper.mplstyle"),
        code("study/paper.py", "study/ademp.py"),
        code(*folder("study/figures")),
        code(*(f"study/report/{exhibit.name}.rst" for exhibit in (*TABLES, *FIGURES))),
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
        "python -m study.worker paper {params.design} --rows {params.rows} --out {params.folder} 2> {log}"


rule provenance:
    input:
        ROWS,
    output:
        report(
            f"{OUT}/provenance.json",
            caption="../report/provenance.rst",
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
        "python -m study.worker provenance {params.design} --rows {params.rows} --out {output} 2> {log}"
