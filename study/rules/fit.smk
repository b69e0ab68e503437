# Data sets, fits in chunks, and the rows of all chunks together.
#
# Snakemake does not see imported modules, so each rule lists the sources that its numbers come
# from. The design enters by what it resolves to for the scenario (params), so that editing one
# scenario re-makes that scenario alone.
SOURCES = {
    "data": ["models/mixture.py", "study/simulate.py"],
    # The shared start takes EM steps, which is why PyMC's fits depend on em.py as well.
    "numeric": expand(
        "{file}.py",
        file=[
            "models/mixture",
            "models/model",
            "models/problem",
            "models/likelihood",
            "models/starts",
            "models/em",
            "models/direct",
            "models/uncertainty",
            "models/methods",
            "study/simulate",
            "study/fitting",
        ],
    ),
}
SOURCES["pymc"] = [f for f in SOURCES["numeric"] if f != "models/direct.py"] + [
    "models/priors.py",
    "models/bayes.py",
    "models/posterior.py",
    "models/pytensor_op.py",
    "study/labels.py",
]
KINDS = ["fits", "estimates", "labels", "draws", "timings"]
CHUNK = OUT + "/fits/{scenario}/{engine}/{first}-{last}"


wildcard_constraints:
    scenario=r"[a-z0-9.-]+",
    engine="numeric|pymc",
    first=r"\d+",
    last=r"\d+",


def sources(wildcards):
    return SOURCES[wildcards.engine]


def data_file(wildcards):
    unit = design.scenario(wildcards.scenario)
    return [unit.file] if unit in design.data else []


rule simulate:
    input:
        SOURCES["data"],
        data_file,
    output:
        OUT + "/data/{scenario}.csv",
    log:
        OUT + "/logs/data/{scenario}.log",
    params:
        design=config.get("design", "default"),
        content=lambda wildcards: design.content(wildcards.scenario),
    shell:
        "{sys.executable} -m study simulate {params.design} {wildcards.scenario} --out {output} 2> {log}"


rule simulate_all:
    input:
        expand(OUT + "/data/{scenario}.csv", scenario=design.unit_names()),


rule fit:
    input:
        sources,
        data_file,
    output:
        expand(CHUNK + "/{kind}.parquet", kind=KINDS, allow_missing=True),
    log:
        OUT + "/logs/fits/{scenario}/{engine}.{first}-{last}.log",
    params:
        design=config.get("design", "default"),
        content=lambda wildcards: design.content(wildcards.scenario, wildcards.engine),
        folder=subpath(output[0], parent=True),
    shell:
        "{sys.executable} -m study chunk {params.design} {wildcards.scenario} {wildcards.engine}"
        " {wildcards.first} {wildcards.last} --out {params.folder} 2> {log}"


rule gather:
    input:
        [
            f"{OUT}/fits/{c.scenario}/{c.engine}/{c.name}/{kind}.parquet"
            for c in chunks(design)
            for kind in KINDS
        ],
    output:
        expand(OUT + "/rows/{kind}.parquet", kind=KINDS),
    log:
        OUT + "/logs/gather.log",
    params:
        design=config.get("design", "default"),
        chunk=design.chunk,
        folder=subpath(output[0], parent=True),
    shell:
        "{sys.executable} -m study gather {params.design} --chunk {params.chunk} --fits {OUT}/fits"
        " --out {params.folder} 2> {log}"
