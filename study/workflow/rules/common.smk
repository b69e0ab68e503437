# Names and functions that the rules share.
#
# Snakemake does not see imported modules, so each rule lists the sources that its numbers come
# from. The design enters by what it resolves to for the scenario (params), so that editing one
# scenario re-makes that scenario alone.
import os
from functools import cache

from study.design import Chunk
from study.workflow.sources import closure, of_engine
from study.workflow.resources import chunk_minutes, follow_minutes, megabytes


def code(*files):
    """Paths of the repository's sources, which need not be in the working directory."""
    root = os.path.relpath(workflow.basedir)
    return [os.path.normpath(os.path.join(root, file)) for file in files]


def folder(name, files="*.py"):
    """The files of a package of the repository, Python's unless others are asked for."""
    root = Path(workflow.basedir)
    return [str(path.relative_to(root)) for path in sorted((root / name).glob(files))]


# What PyMC's methods load when they run, and what is said of their chains.
CHAINS = ("models.posterior.compiled", "models.posterior.density", "models.labels")


def loaded(*modules):
    """Paths of the repository's files that importing the modules loads."""
    root = Path(workflow.basedir)
    return code(*(f.relative_to(root) for f in sorted(closure(("study.__main__", *modules)))))


SOURCES = {
    "data": loaded("study.simulate"),
    "numeric": loaded("study.compute.chunk", *of_engine("numeric")),
    "pymc": loaded("study.compute.chunk", *of_engine("pymc"), *CHAINS, "study.compute.switching"),
}
KINDS = MADE_BY["fit"]
FOLLOWED = MADE_BY["follow"]
BARRED = [unit.name for unit in design.units() if barred(design, unit)]
RANKS = [f"{OUT}/calibration/{i}-{j}.parquet" for i, j in calibration_chunks(design)]
COMPARED = MADE_BY["remedies"]
REMEDIED = [] if design.remedies is None else design.remedies.scenarios
REFERRED = [unit.name for unit in design.units() if referred(design, unit)]
CHUNK = f"{OUT}/fits/{{scenario}}/{{engine}}/{{first}}-{{last}}"


# Asked for at every turn of Snakemake's scheduler, of all jobs that are ready.
content = cache(design.content)


def sources(wildcards):
    return SOURCES[wildcards.engine]


def data_file(wildcards):
    unit = design.scenario(wildcards.scenario)
    return [unit.file] if unit in design.data else []


def chunk_of(wildcards):
    """The chunk of a fit's wildcards; a scenario is followed on no more data than its first one."""
    return Chunk(
        wildcards.scenario,
        wildcards.get("engine", "numeric"),
        int(wildcards.get("first", 0)),
        int(wildcards.get("last", design.chunk)),
    )


# What a job asks a cluster for; once more of it with every attempt, for too little kills it.
def fit_minutes(wildcards, attempt):
    return attempt * chunk_minutes(design, chunk_of(wildcards))


def closely_minutes(wildcards, attempt):
    return attempt * follow_minutes(design, wildcards.scenario)


def memory(wildcards, attempt):
    return attempt * megabytes(design, chunk_of(wildcards))


def shown(path, exhibit, kind):
    """An output that the report shows, under its category and with its caption."""
    return report(
        path,
        caption=f"../../report/captions/{exhibit.name}.rst",
        category=exhibit.category,
        # One label: two that split a category in halves become a switch that breaks the report.
        labels={"what": f"{exhibit.title} ({kind})"},
    )
