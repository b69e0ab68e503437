# Names and functions that the rules share.
#
# Snakemake does not see imported modules, so each rule lists the sources that its numbers come
# from. The design enters by what it resolves to for the scenario (params), so that editing one
# scenario re-makes that scenario alone.
import os



def code(*files):
    """Paths of the repository's sources, which need not be in the working directory."""
    root = os.path.relpath(workflow.basedir)
    return [os.path.normpath(os.path.join(root, file)) for file in files]


def folder(name, files="*.py"):
    """The files of a package of the repository, Python's unless others are asked for."""
    root = Path(workflow.basedir)
    return [str(path.relative_to(root)) for path in sorted((root / name).glob(files))]


# The shared start takes EM steps, and what estimates are held against is found by EM, which is why
# PyMC's rows depend on em.py as well.
SHARED = code(
    "models/mixture.py",
    "models/model.py",
    "models/problem.py",
    "models/likelihood.py",
    "models/compression.py",
    "models/priors.py",
    "models/starts.py",
    "models/em.py",
    "models/uncertainty.py",
    "models/verdicts.py",
    "models/methods.py",
    "study/truth.py",
    "study/theory.py",
    "study/simulate.py",
    "study/fitting.py",
)
SOURCES = {
    "data": code("models/mixture.py", "study/truth.py", "study/simulate.py"),
    "numeric": SHARED + code("models/direct.py"),
    "pymc": SHARED
    + code(
        "models/direct.py",  # the barrier between labellings starts from Newton's maximum
        "models/bayes.py",
        "models/posterior.py",
        "models/pytensor_op.py",
        *folder("study/labels"),
    ),
}
KINDS = ["fits", "estimates", "labels", "occupancy", "barriers", "draws", "timings"]
FOLLOWED = ["reaches", "stops", "rates", "optima"]
CHUNK = f"{OUT}/fits/{{scenario}}/{{engine}}/{{first}}-{{last}}"


def sources(wildcards):
    return SOURCES[wildcards.engine]


def data_file(wildcards):
    unit = design.scenario(wildcards.scenario)
    return [unit.file] if unit in design.data else []


def shown(path, exhibit, kind):
    """An output that the report shows, under its category and with its caption."""
    return report(
        path,
        caption=f"../report/{exhibit.name}.rst",
        category=exhibit.category,
        labels={"what": exhibit.title, "kind": kind},
    )
