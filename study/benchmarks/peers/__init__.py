"""The packages that a user could take instead, each asked for the same EM fit.

A Job says what is fitted, from where and until when; a peer turns it into a function that makes
the fit anew at every call and gives an Answer. Peers are optional: one that cannot run here raises
Absent, which says why. Samplers are in samplers.py.
"""

from __future__ import annotations

import importlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import numpy as np

from models import Mixture, MixtureModel, fit
from models.em import m_step
from models.kernels import LOG_2PI, Floats
from models.likelihood import Moments

HERE = Path(__file__).parent
# Observations in the small sample that warms a peer up.
SMALL = 1000


class Absent(RuntimeError):
    """A peer that cannot run here; the message says why."""


@dataclass(frozen=True, eq=False)
class Job:
    """EM on x (n,) from `start` to the first gain of the log-likelihood below `min_gain` nats.

    loglik: at the maximum, about, for packages that stop at a relative gain.
    """

    x: Floats
    model: MixtureModel
    start: Mixture
    loglik: float
    min_gain: float = 1e-5


@dataclass(frozen=True, eq=False)
class Answer:
    """Where a fit ended, after how many iterations, and passes over the data (E steps).

    seconds: of the fit alone by the package's own clock, where it runs in a process of its own.
    """

    mixture: Mixture
    iterations: int
    passes: int
    seconds: float | None = None


@dataclass(frozen=True)
class Ready:
    """A peer that is loaded and has the data. warm_up: the same fit of a small sample, or None."""

    run: Callable[[], Answer]
    version: str
    warm_up: Callable[[], object] | None = None


@dataclass(frozen=True)
class Peer:
    """does: whether it fits such a model. open: loads it and hands it the data; raises Absent."""

    does: Callable[[MixtureModel], bool]
    open: Callable[[Job], AbstractContextManager[Ready]]


def load(module: str, package: str) -> ModuleType:
    """The optional module; Absent if its package is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise Absent(f"{package} is not installed") from None


def logaddexp_moments(mixture: Mixture, x: Floats) -> Moments:
    """`models.likelihood.moments` at x (n,) as a careful NumPy user writes it, in log space."""
    z = (x - mixture.means[:, None]) / mixture.sds[:, None]
    scale = np.log(mixture.weights) - np.log(mixture.sds) - 0.5 * LOG_2PI
    joint = scale[:, None] - 0.5 * z * z
    density = np.logaddexp.reduce(joint, axis=0)
    t = np.exp(joint - density)
    tz = t * z
    return Moments(float(density.sum()), np.stack([t.sum(1), tz.sum(1), (tz * z).sum(1)], axis=1))


@contextmanager
def _numpy(job: Job) -> Iterator[Ready]:
    yield Ready(lambda: _numpy_em(job), f"NumPy {np.__version__}")


def _numpy_em(job: Job) -> Answer:
    mixture, iterations = job.start, 0
    moments = logaddexp_moments(mixture, job.x)
    gain = np.inf
    while gain >= job.min_gain:
        mixture, before = m_step(mixture, moments, job.model), moments.loglik
        moments = logaddexp_moments(mixture, job.x)
        gain = moments.loglik - before
        iterations += 1
    return Answer(mixture, iterations, iterations + 1)


def _this_project(method: str, **options: Any) -> Callable[[Job], AbstractContextManager[Ready]]:
    @contextmanager
    def opened(job: Job) -> Iterator[Ready]:
        settings: dict[str, Any] = {"min_gain": job.min_gain} if method == "em" else {}

        def run() -> Answer:
            found = fit(method, job.x, job.model, start=job.start, **settings, **options)
            if found.mixture is None:
                raise RuntimeError(found.message)
            passes = found.evaluations["moments" if method == "em" else "gradients"]
            return Answer(found.mixture, found.n_iter, passes)

        yield Ready(run, f"mixture-routes {version('mixture-routes')}")

    return opened


@contextmanager
def _scikit_learn(job: Job) -> Iterator[Ready]:
    mixtures = load("sklearn.mixture", "scikit-learn")
    start = job.start

    def run(x: Floats = job.x) -> Answer:
        found = mixtures.GaussianMixture(
            n_components=start.k,
            covariance_type="full",
            weights_init=start.weights,
            means_init=start.means[:, None],
            precisions_init=start.sds[:, None, None] ** -2.0,
            tol=job.min_gain / job.x.size,
            reg_covar=0.0,
            max_iter=1_000_000,
        ).fit(x[:, None])
        sds = np.sqrt(found.covariances_[:, 0, 0])
        mixture = Mixture(found.weights_, found.means_[:, 0], sds)
        # One more pass, at the end, makes its labels.
        return Answer(mixture, found.n_iter_, found.n_iter_ + 1)

    yield Ready(run, f"scikit-learn {version('scikit-learn')}", lambda: run(job.x[:SMALL].copy()))


def _in_r(script: str, package: str) -> Callable[[Job], AbstractContextManager[Ready]]:
    @contextmanager
    def opened(job: Job) -> Iterator[Ready]:
        program = shutil.which("Rscript")
        if program is None:
            raise Absent("Rscript is not installed")
        with tempfile.TemporaryDirectory() as folder:
            data, errors = Path(folder) / "x", Path(folder) / "errors"
            job.x.astype("<f8").tofile(data)
            given: dict[str, object] = {"data": data, "n": job.x.size, "loglik": job.loglik}
            given["min_gain"] = job.min_gain
            for name in ("weights", "means", "sds"):
                given[name] = ",".join(repr(float(v)) for v in getattr(job.start, name))
            with (
                open(errors, "w+", encoding="utf-8") as stderr,
                subprocess.Popen(
                    [program, script, *(f"{name}={value}" for name, value in given.items())],
                    cwd=HERE,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    text=True,
                ) as process,
            ):
                try:
                    hello = _reply(process, "ready", stderr)
                    label = f"{package} {hello['version']}, R {hello['r']}"
                    # R has made a small fit of its own before it said that it is ready.
                    yield Ready(lambda: _ask(process, stderr), label, lambda: None)
                finally:
                    process.kill()

    return opened


def _ask(process: subprocess.Popen[str], stderr: IO[str]) -> Answer:
    assert process.stdin is not None
    process.stdin.write("fit\n")
    process.stdin.flush()
    reply = _reply(process, "answer", stderr)
    rows = ([float(v) for v in reply[name].split(",")] for name in ("weights", "means", "sds"))
    iterations, passes = int(reply["iterations"]), int(reply["passes"])
    return Answer(Mixture(*rows), iterations, passes, float(reply["seconds"]))


def _reply(process: subprocess.Popen[str], kind: str, stderr: IO[str]) -> Mapping[str, str]:
    """The next line of that kind, as names and values; Absent if there is none to come."""
    assert process.stdout is not None
    for line in process.stdout:
        word, _, rest = line.strip().partition(" ")
        if word == kind:
            return dict(part.split("=", 1) for part in rest.split(" "))
        if word == "absent":
            raise Absent(rest)
    process.wait()
    stderr.seek(0)
    said = stderr.read().strip().splitlines()
    raise Absent(f"R ended early: {said[-1] if said else 'it said nothing'}")


def _any(model: MixtureModel) -> bool:
    return True


def _weights(model: MixtureModel) -> bool:
    return not model.free[1:].any()


def _five(model: MixtureModel) -> bool:
    return bool(model.free[1:].any())


# "this project" is what the others are compared with.
OURS = "this project"
PEERS: dict[str, Peer] = {
    OURS: Peer(_any, _this_project("em", compress=False)),
    f"{OURS}, compressed": Peer(_any, _this_project("em", compress=True)),
    f"{OURS}, NUTS": Peer(
        _weights, _this_project("nuts", compress=True, draws=1000, tune=500, rng=1)
    ),
    "NumPy, logaddexp": Peer(_any, _numpy),
    "dplyr": Peer(_weights, _in_r("dplyr_em.R", "dplyr")),
    "mclust": Peer(_five, _in_r("mclust_em.R", "mclust")),
    "mixtools": Peer(_five, _in_r("mixtools_em.R", "mixtools")),
    "scikit-learn": Peer(_five, _scikit_learn),
}
