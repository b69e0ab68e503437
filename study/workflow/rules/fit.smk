# Data sets, fits in chunks, and the rows of all chunks together.
wildcard_constraints:
    scenario=r"[a-z0-9.-]+",
    engine="numeric|pymc",
    first=r"\d+",
    last=r"\d+",


rule simulate:
    input:
        SOURCES["data"],
        [unit.file for unit in design.data],
    output:
        expand(f"{OUT}/data/{{scenario}}.csv", scenario=design.unit_names()),
    log:
        f"{OUT}/logs/simulate.log",
    params:
        design=config.get("design", "default"),
        content=[design.content(name) for name in design.unit_names()],
        folder=subpath(output[0], parent=True),
    localrule: True
    shell:
        "python -m study.workflow.worker simulate {params.design} --out {params.folder} 2> {log}"


rule fit:
    input:
        sources,
        data_file,
    output:
        expand(f"{CHUNK}/{{kind}}.parquet", kind=KINDS, allow_missing=True),
    log:
        f"{OUT}/logs/fits/{{scenario}}/{{engine}}.{{first}}-{{last}}.log",
    params:
        design=config.get("design", "default"),
        content=lambda wildcards: content(wildcards.scenario, wildcards.engine),
        folder=subpath(output[0], parent=True),
    resources:
        runtime=fit_minutes,
        mem_mb=memory,
    shell:
        "python -m study.workflow.worker chunk {params.design} {wildcards.scenario} {wildcards.engine}"
        " {wildcards.first} {wildcards.last} --out {params.folder} 2> {log}"


rule follow:
    input:
        loaded("study.compute.follow", *of_engine("numeric")),
        data_file,
    output:
        expand(f"{OUT}/closely/{{scenario}}/{{kind}}.parquet", kind=FOLLOWED, allow_missing=True),
    log:
        f"{OUT}/logs/closely/{{scenario}}.log",
    params:
        design=config.get("design", "default"),
        content=lambda wildcards: [
            content(wildcards.scenario, "numeric"),
            followed(design, design.scenario(wildcards.scenario)),
        ],
        folder=subpath(output[0], parent=True),
    resources:
        runtime=closely_minutes,
        mem_mb=memory,
    shell:
        "python -m study.workflow.worker follow {params.design} {wildcards.scenario} --out {params.folder}"
        " 2> {log}"


rule calibrate:
    input:
        loaded("study.compute.calibration", *of_engine("pymc"), *CHAINS),
    output:
        f"{OUT}/calibration/{{first}}-{{last}}.parquet",
    log:
        f"{OUT}/logs/calibration/{{first}}-{{last}}.log",
    params:
        design=config.get("design", "default"),
        content=design.calibration_content(),
    resources:
        runtime=15,
        mem_mb=2000,
    shell:
        "python -m study.workflow.worker calibrate {params.design} {wildcards.first} {wildcards.last}"
        " --out {output} 2> {log}"


rule remedies:
    input:
        loaded("study.compute.remedies", *of_engine("pymc"), *CHAINS),
    output:
        expand(f"{OUT}/remedies/{{scenario}}/{{kind}}.parquet", kind=COMPARED, allow_missing=True),
    log:
        f"{OUT}/logs/remedies/{{scenario}}.log",
    params:
        design=config.get("design", "default"),
        content=lambda wildcards: [
            content(wildcards.scenario, "pymc"),
            design.remedies.replicates,
        ],
        folder=subpath(output[0], parent=True),
    resources:
        runtime=15,
        mem_mb=2000,
    shell:
        "python -m study.workflow.worker remedies {params.design} {wildcards.scenario}"
        " --out {params.folder} 2> {log}"


rule refer:
    input:
        loaded("study.compute.references", *of_engine("pymc"), *CHAINS),
        data_file,
    output:
        f"{OUT}/references/{{scenario}}/references.parquet",
    log:
        f"{OUT}/logs/references/{{scenario}}.log",
    params:
        design=config.get("design", "default"),
        content=lambda wildcards: [
            content(wildcards.scenario),
            referred(design, design.scenario(wildcards.scenario)),
        ],
        folder=subpath(output[0], parent=True),
    resources:
        runtime=15,
        mem_mb=2000,
    shell:
        "python -m study.workflow.worker refer {params.design} {wildcards.scenario}"
        " --out {params.folder} 2> {log}"


rule barrier:
    input:
        loaded("study.compute.switching", "models.direct", "models.labels"),
        data_file,
    output:
        f"{OUT}/barriers/{{scenario}}/barriers.parquet",
    log:
        f"{OUT}/logs/barriers/{{scenario}}.log",
    params:
        design=config.get("design", "default"),
        content=lambda wildcards: [
            content(wildcards.scenario),
            barred(design, design.scenario(wildcards.scenario)),
        ],
        folder=subpath(output[0], parent=True),
    resources:
        runtime=15,
        mem_mb=2000,
    shell:
        "python -m study.workflow.worker barrier {params.design} {wildcards.scenario}"
        " --out {params.folder} 2> {log}"


rule truths:
    input:
        loaded("study.compute.truths", "models.em"),
    output:
        expand(f"{OUT}/truths/{{kind}}.parquet", kind=MADE_BY["truths"]),
    log:
        f"{OUT}/logs/truths.log",
    params:
        design=config.get("design", "default"),
        content=[design.content(s.name) for s in design.all_scenarios()],
        folder=subpath(output[0], parent=True),
    shell:
        "python -m study.workflow.worker truths {params.design} --out {params.folder} 2> {log}"


rule gather:
    input:
        [
            f"{OUT}/fits/{c.scenario}/{c.engine}/{c.name}/{kind}.parquet"
            for c in chunks(design)
            for kind in KINDS
        ],
        expand(
            f"{OUT}/closely/{{scenario}}/{{kind}}.parquet",
            scenario=design.unit_names(),
            kind=FOLLOWED,
        ),
        expand(f"{OUT}/remedies/{{scenario}}/{{kind}}.parquet", scenario=REMEDIED, kind=COMPARED),
        expand(f"{OUT}/references/{{scenario}}/references.parquet", scenario=REFERRED),
        expand(f"{OUT}/barriers/{{scenario}}/barriers.parquet", scenario=BARRED),
        rules.truths.output,
        RANKS,
    output:
        expand(
            f"{OUT}/rows/{{kind}}.parquet",
            kind=[kind for made in MADE_BY.values() for kind in made],
        ),
    log:
        f"{OUT}/logs/gather.log",
    params:
        design=config.get("design", "default"),
        chunk=design.chunk,
        made=subpath(input[0], ancestor=5),
        folder=subpath(output[0], parent=True),
    localrule: True
    shell:
        "python -m study.workflow.worker gather {params.design} --chunk {params.chunk} --made {params.made}"
        " --out {params.folder} 2> {log}"
