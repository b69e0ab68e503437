# Data sets, computing in chunks, and the rows of all chunks together.
#
# A chunk's folder is named after all that its rows depend on, sources and data included, so that
# Snakemake need not know them: a chunk that is there is finished, and an edit gives others.
from study.rows import KINDS
from study.workflow.chunks import finished, plan, read_new, write_new
from study.workflow.parts import is_kept
from study.workflow.pieces import RECORD
from study.workflow.resources import megabytes, minutes

CHUNKS = f"{OUT}/chunks"
NEW = f"{CHUNKS}/new.json"

made = plan(design, finished(Path("results"), design.name))
# What another run finishes meanwhile changes nothing for the jobs of a run.
new = made.new if workflow.is_main_process else read_new(design, Path(NEW))
BY_DIGEST = {chunk.digest: chunk for chunk in new}
# Those with anything that parts of the study keep (study/workflow/parts.py), which is what takes hours.
IN_PARTS = [c for c in new if any(is_kept(design, c.step, piece) for piece in c.pieces)]


wildcard_constraints:
    digest="|".join(BY_DIGEST) or "none",


rule simulate:
    input:
        loaded("study.simulate"),
        [unit.file for unit in design.data],
    output:
        expand(f"{OUT}/data/{{scenario}}.csv", scenario=design.unit_names()),
    log:
        f"{OUT}/logs/simulate.log",
    params:
        design=config.get("design", "default"),
        digest=design.digest(),
        folder=subpath(output[0], parent=True),
    localrule: True
    shell:
        "python -m study simulate {params.design:q} --out {params.folder:q} 2> {log:q}"


rule compute:
    output:
        f"{CHUNKS}/{{step}}/{{digest}}/{RECORD}",
    log:
        f"{OUT}/logs/{{step}}/{{digest}}.log",
    params:
        design=config.get("design", "default"),
        pieces=lambda wildcards: [str(span) for span in chunk_of(wildcards).spans()],
        folder=subpath(output[0], parent=True),
    resources:
        # Once more of it with every attempt, for too little kills a job.
        runtime=lambda wildcards, attempt: attempt * minutes(design, chunk_of(wildcards)),
        mem_mb=lambda wildcards, attempt: attempt * megabytes(design, chunk_of(wildcards)),
    shell:
        "python -m study compute {params.design:q} {wildcards.step:q} {params.pieces:q}"
        " --digest {wildcards.digest:q} --out {params.folder:q} 2> {log:q}"


rule part:
    input:
        [f"{CHUNKS}/{chunk.place}/{RECORD}" for chunk in IN_PARTS],
    localrule: True


rule gather:
    input:
        [f"{CHUNKS}/{chunk.place}/{RECORD}" for chunk in new],
        [str(one.folder / RECORD) for one, pieces in made.used],
        loaded("study.workflow.gather"),
    output:
        expand(f"{OUT}/rows/{{kind}}.parquet", kind=KINDS),
    log:
        f"{OUT}/logs/gather.log",
    params:
        design=config.get("design", "default"),
        digest=design.digest(),
        results=subpath(output[0], ancestor=3),
        folder=subpath(output[0], parent=True),
    localrule: True
    shell:
        "python -m study gather {params.design:q} --results {params.results:q}"
        " --out {params.folder:q} 2> {log:q}"
