# Names and functions that the rules share.
#
# Snakemake does not see imported modules, so each rule lists the sources that its step loads.
import os

from study.workflow.owner import own
from study.workflow.progress import Progress, attach
from study.workflow.resources import expected
from study.workflow.sources import closure, of_engine


def code(*files):
    """Paths of the repository's sources, which need not be in the working directory."""
    root = os.path.relpath(workflow.basedir)
    return [os.path.normpath(os.path.join(root, file)) for file in files]


def folder(name, files="*.py"):
    """The files of a package of the repository, Python's unless others are asked for."""
    root = Path(workflow.basedir)
    return [str(path.relative_to(root)) for path in sorted((root / name).glob(files))]


def loaded(*modules):
    """Paths of the repository's files that importing the modules loads."""
    root = Path(workflow.basedir)
    return code(*(f.relative_to(root) for f in sorted(closure(("study.__main__", *modules)))))


def shown(path, exhibit, kind):
    """An output that the report shows, under its category and with its caption."""
    return report(
        path,
        caption=f"../../report/captions/{exhibit.name}.rst",
        category=exhibit.category,
        # One label: two that split a category in halves become a switch that breaks the report.
        labels={"what": f"{exhibit.title} ({kind})"},
    )


def places():
    """The folders of results that a run writes to, which are its own while it lives."""
    targets = [str(target) for target in workflow.dag_settings.targets] or ["all"]
    apart = {target.startswith(("benchmark", BENCHMARKS)) for target in targets}
    return ["benchmarks" if benchmarks else design.name for benchmarks in apart]


def begin():
    """What a run does once its places are its own."""
    own(find(config.get("design", "default")), Path(OUT))
    write_new(new, Path(NEW))
    attach(Progress(seconds_of, all_seconds), logger)
    if "minutes" in config:
        stop_after(float(config["minutes"]))


def seconds_of(rule, wildcards):
    """What a job is expected to take."""
    return expected(design, rule, BY_DIGEST.get(wildcards.get("digest")))


def all_seconds(jobs):
    """What the jobs to do are expected to take, by their numbers by rule."""
    asked = IN_PARTS if "part" in jobs else new
    chunks = sum(expected(design, "compute", chunk) for chunk in asked)
    return chunks + sum(n * expected(design, r) for r, n in jobs.items() if r != "compute")


def chunk_of(wildcards):
    """The chunk whose folder a job makes."""
    return BY_DIGEST[wildcards.digest]


def captions(exhibits):
    """Paths of the exhibits' captions."""
    return code(*(f"study/report/captions/{exhibit.name}.rst" for exhibit in exhibits))
