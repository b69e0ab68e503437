# Tables, figures and provenance: what a reader opens.
from study.figures import FIGURES
from study.tables import TABLES

ROWS = rules.gather.output


def shown(path, exhibit, kind):
    """An output that the report shows, under its category and with its caption."""
    return report(
        path,
        caption=f"../report/{exhibit.name}.rst",
        category=exhibit.category,
        labels={"what": exhibit.title, "kind": kind},
    )


rule tables:
    input:
        ROWS,
        "study/tables.py",
        "study/measures.py",
        [f"study/report/{table.name}.rst" for table in TABLES],
    output:
        [shown(f"{OUT}/tables/{table.name}.html", table, "table") for table in TABLES],
        expand(
            OUT + "/tables/{name}.{ending}",
            name=[table.name for table in TABLES],
            ending=["csv", "md", "tex"],
        ),
    log:
        OUT + "/logs/tables.log",
    params:
        design=config.get("design", "default"),
        digest=design.digest(),
        rows=subpath(input[0], parent=True),
        folder=subpath(output[0], parent=True),
    shell:
        "{sys.executable} -m study tables {params.design} --rows {params.rows} --out {params.folder} 2> {log}"


rule figures:
    input:
        ROWS,
        "study/figures.py",
        "study/tables.py",
        "study/measures.py",
        "study/paper.mplstyle",
    output:
        [shown(f"{OUT}/figures/{figure.name}.svg", figure, "figure") for figure in FIGURES],
        expand(
            OUT + "/figures/{name}.{ending}",
            name=[figure.name for figure in FIGURES],
            ending=["pdf", "png"],
        ),
    log:
        OUT + "/logs/figures.log",
    params:
        design=config.get("design", "default"),
        digest=design.digest(),
        rows=subpath(input[0], parent=True),
        folder=subpath(output[0], parent=True),
    shell:
        "{sys.executable} -m study figures {params.design} --rows {params.rows} --out {params.folder} 2> {log}"


rule provenance:
    input:
        ROWS,
    output:
        report(
            OUT + "/provenance.json",
            caption="../report/provenance.rst",
            category="Provenance",
            labels={"what": "Provenance", "kind": "record"},
        ),
    log:
        OUT + "/logs/provenance.log",
    params:
        design=config.get("design", "default"),
        digest=design.digest(),
    shell:
        "{sys.executable} -m study provenance {params.design} --out {output} 2> {log}"
