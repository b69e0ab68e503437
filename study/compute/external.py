"""Other packages' fits, judged as the study's own: their answers, and what came of them.

A package works in a process of its own, one for all data sets of a job: packages/serve.py or
serve.R, which a script of a few lines tells what to call. A package that is not there, breaks off,
says nothing, leaves half an answer or takes too long costs rows with the reason, and no others.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from models import Fit, Mixture, MixtureModel, fit, labels
from models.frame import Frame
from models.inference.certificate import Certificate, errors
from models.inference.chains import MAX_DIVERGENT, MAX_RHAT
from models.inference.ends import judged
from models.inference.intervals import wald_interval
from models.likelihood import score_and_information
from models.methods import PREDICTIVE
from models.mixture import Floats, predictive
from models.sample import Data, as_data
from models.theory import missing_information
from models.verdicts import believable, on_a_point, sd_ratio
from study.compute.fits import parameter_rows
from study.compute.guard import Say, guarded, silent
from study.compute.truths import target
from study.design import DataSet, Design, External, Scenario
from study.rows import Rows, blank, empty
from study.simulate import data_set, generator

PACKAGES = Path(__file__).parent / "packages"
# Weights of a package in single precision sum to one within this.
ROUNDED = 1e-5
# Seconds that a package's start may take at the least: a busy machine loads for a minute.
START = 300.0
# Seconds after which one that has closed its output has ended, on a busy machine too.
ENDING = 10.0
# Steps of EM from a package's end before Newton's method takes over.
MOST = 5_000


class Broken(RuntimeError):
    """A package gave no answer; the message says why."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What a package says of a data set.

    mixture: its estimate, with components of weight 0 for those that it dropped.
    loglik: its own, NaN if it does not tell.
    converged: its own word, None if it has none.
    iterations: as it counts them, 0 if it does not tell.
    stop: nats, the gain of the log-likelihood below which it ends, NaN if it does not tell.
    message: its own.
    se, lower, upper: (3, K), its own standard errors and intervals; None if it has none.
    draws: (chains, draws, 3, K), labels as sampled; None if it is no sampler.
    divergences: of a sampler.
    seconds: of the fit, by a clock in its process.
    start_seconds: of its process, until it was ready.
    version: of the package, and of R.
    """

    mixture: Mixture
    loglik: float
    converged: bool | None
    iterations: int
    stop: float
    message: str
    se: Floats | None
    lower: Floats | None
    upper: Floats | None
    draws: Floats | None
    divergences: int
    seconds: float
    start_seconds: float
    version: str


# Processes ---------------------------------------------------------------------------------------


class Process:
    """A script's process: started when it is first asked, and anew after it broke off.

    folder: its own, where data and answers lie.
    """

    def __init__(self, script: Path, folder: Path) -> None:
        self.script, self.folder = script, folder
        self._running: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._version = self._absent = ""
        self._start_seconds = 0.0
        self._number = 0
        self._asked_at = 0  # of what it says on stderr, where the last request begins

    def ask(self, external: External, x: Floats, model: MixtureModel, seed: int) -> Answer:
        """The answer of one of the script's functions; Broken if there is none."""
        self.start()
        self._number += 1
        data, out = self.folder / "x", self.folder / f"answer-{self._number}"
        x.astype("<f8").tofile(data)
        given = [f"{name}={json.dumps(value)}" for name, value in external.options.items()]
        words = [data, model.k, int(model.equal_sds), seed, out, external.function, *given]
        assert self._running is not None
        assert self._running.stdin is not None
        self._asked_at = (self.folder / "stderr").stat().st_size
        try:
            self._running.stdin.write("\t".join(map(str, words)) + "\n")
            self._running.stdin.flush()
        except OSError:
            raise Broken(self._ended()) from None
        self._wait(external.timeout, "answered", str(out))  # which no package prints by chance
        try:
            found = read(out)
        finally:
            for file in (out, Path(f"{out}.draws")):
                file.unlink(missing_ok=True)
        return answer(found, model, self._start_seconds, self._version)

    def start(self) -> None:
        """Have it ready to be asked; Broken if it cannot be."""
        if self._absent:
            raise Broken(self._absent)
        if self._running is not None and self._running.poll() is None:
            return
        self.close()
        begin = time.perf_counter()
        self._lines, self._asked_at = queue.Queue(), 0
        with open(self.folder / "stderr", "wb") as stderr:
            self._running = subprocess.Popen(
                command(self.script),
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
                env=os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
            )
        threading.Thread(target=_listen, args=(self._running, self._lines), daemon=True).start()
        try:
            self._version = self._wait(START, "ready")
        except Broken as error:
            self._absent = str(error)  # what cannot start is not tried again
            self.close()
            raise
        self._start_seconds = time.perf_counter() - begin

    def _wait(self, patience: float, word: str, rest: str | None = None) -> str:
        """What follows the word in the next line that it begins; all other lines are passed by."""
        until = time.perf_counter() + patience
        while True:
            try:
                line = self._lines.get(timeout=max(until - time.perf_counter(), 0.0))
            except queue.Empty:
                self.close()
                raise Broken(f"no answer within {patience:g} s") from None
            if line is None:
                raise Broken(self._ended())
            said, _, told = line.rstrip("\n").partition("\t")
            if (said, word) == ("absent", "ready"):
                raise Broken(told)
            if said == word and rest in (None, told):
                return told

    def _ended(self) -> str:
        """How the process ended, which it has."""
        code = self.close(ENDING)
        said = (self.folder / "stderr").read_bytes()[self._asked_at :].decode("utf-8", "replace")
        lines = [line.strip() for line in said.split("\n") if line.strip()]
        last = lines[-1] if lines else "it said nothing"
        return f"its process ended with code {code} before it answered: {last}"

    def cpu(self) -> float:
        """CPU seconds of the process that runs; 0 if none does."""
        if self._running is None:
            return 0.0
        with suppress(psutil.Error):
            times = psutil.Process(self._running.pid).cpu_times()
            return float(times.user + times.system)
        return 0.0

    def close(self, patience: float = 0.2) -> int | None:
        """End it, with what it started, unless it ends by itself in so many seconds; its code."""
        running, self._running = self._running, None
        if running is None:
            return None
        code = running.poll()
        if code is None:
            try:
                code = running.wait(patience)
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)
                running.wait()
        for pipe in (running.stdin, running.stdout):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()
        return code


def _listen(running: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert running.stdout is not None
    try:
        for line in running.stdout:
            lines.put(line)
    except ValueError:  # closed meanwhile
        pass
    lines.put(None)


def command(script: Path) -> list[str]:
    """What starts a script's process; Broken if there is nothing to start it with."""
    if script.suffix == ".py":
        # Its own folder, whose files are named after packages, is no place to import from.
        return [sys.executable, "-P", str(PACKAGES / "serve.py"), str(script)]
    program = shutil.which("Rscript")
    if program is None:
        raise Broken("Rscript is not installed")
    return [program, "--vanilla", str(PACKAGES / "serve.R"), str(script)]


def read(file: Path) -> dict[str, Any]:
    """An answer's values by name; Broken if it is not whole, or says that the fit broke off."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        raise Broken("it left no answer") from None
    if lines[-2:] != ["end", ""]:
        raise Broken("its answer breaks off")
    found: dict[str, Any] = dict(line.split("=", 1) for line in lines[:-2] if "=" in line)
    if "error" in found:
        raise Broken(found["error"] or "an error without a message")
    if "draws" in found:
        shape = _numbers(found, "draws").astype(int)
        values = np.fromfile(f"{file}.draws", "<f8")
        if shape.size != 4 or shape[2] != 3 or values.size != np.prod(shape):
            raise Broken(f"draws: are {values.size} numbers, not chains x draws x 3 x K, {shape}")
        found["draws"] = values.reshape(shape)
    return found


def answer(
    found: Mapping[str, Any], model: MixtureModel, start_seconds: float, version: str
) -> Answer:
    """From an answer's values by name; Broken if they are no estimate."""
    draws = found.get("draws")
    if draws is None:
        rows = [_numbers(found, name) for name in ("weights", "means", "sds")]
    else:
        rows = list(draws.mean(axis=(0, 1)))
    mixture = _mixture(rows, model.k)
    own = {name: _rows(found, name, len(rows[0]), model.k) for name in ("se", "lower", "upper")}
    word = _one(found, "converged")
    return Answer(
        mixture=mixture,
        loglik=_one(found, "loglik"),
        converged=None if np.isnan(word) else word != 0.0,
        iterations=_count(found, "iterations"),
        stop=_one(found, "stop"),
        message=str(found.get("message", "")),
        **own,
        draws=draws,
        divergences=_count(found, "divergences"),
        seconds=_one(found, "seconds"),
        start_seconds=start_seconds,
        version=version,
    )


def _mixture(rows: Sequence[Floats], k: int) -> Mixture:
    """From weights, means and sds, of K components or fewer; Broken if they are none's."""
    size = len(rows[0])
    if not 0 < size <= k or any(len(row) != size for row in rows):
        raise Broken(f"it gave {[len(row) for row in rows]} weights, means and sds for K = {k}")
    if not np.all(np.isfinite(rows)):
        raise Broken("its estimates are not finite")
    w, means, sds = rows
    if abs(w.sum() - 1.0) > ROUNDED or w.min() < 0.0 or sds.min() <= 0.0:
        raise Broken(f"weights {w.tolist()} and sds {sds.tolist()} are no mixture's")
    most = int(np.argmax(w))
    kept = np.append(np.arange(size), np.full(k - size, most))  # where those are means nothing
    weights = np.append(w / w.sum(), np.zeros(k - size))
    return Mixture(weights, means[kept], sds[kept])


def _rows(found: Mapping[str, Any], name: str, size: int, k: int) -> Floats | None:
    """(3, K) of 3 x size numbers, NaN for components that it dropped; None if there are none."""
    values = _numbers(found, name)
    if values.size not in (0, 3 * size):
        raise Broken(f"{name}: are {values.size} numbers, not 3 x {size}")
    if values.size == 0:
        return None
    return np.pad(values.reshape(3, size), ((0, 0), (0, k - size)), constant_values=np.nan)


def _numbers(found: Mapping[str, Any], name: str) -> Floats:
    try:
        return np.array([float(part) for part in found.get(name, "").split(",") if part])
    except ValueError:
        raise Broken(f"{name}: {found[name]!r} are no numbers") from None


def _one(found: Mapping[str, Any], name: str) -> float:
    values = _numbers(found, name)
    return float(values[0]) if values.size else float("nan")


def _count(found: Mapping[str, Any], name: str) -> int:
    """A whole number; 0 if there is none."""
    value = _one(found, name)
    return int(value) if abs(value) < 2.0**53 else 0


# Evidence ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of an estimate, whoever made it.

    loglik: nats, of the data at it. certificate: of it as a maximum of the likelihood.
    se: (3, K), by the observed information there. collapsed: whether it is on its way onto a value.
    """

    loglik: float
    certificate: Certificate
    se: Floats
    believable: bool
    collapsed: bool

    @classmethod
    def of(cls, x: Floats, model: MixtureModel, mixture: Mixture) -> Evidence:
        """By a pass or two over x (n,)."""
        data = as_data(x, None, model)
        frame = Frame.of(*data.ends)
        data = Data(frame.inside(data.x), data.counts)
        model, mixture = frame.model_inside(model), frame.mixture_inside(mixture)
        second = data.second_moments(mixture)
        gradient, information = score_and_information(mixture, model, second)
        end = judged(data, model, mixture, second, gradient, information)
        point = None if end.certificate.certified else on_a_point(end.mixture, model, data)
        return cls(
            loglik=second.loglik - data.n * frame.log_scale,
            certificate=end.certificate,
            se=frame.errors_outside(errors(end.covariance)),
            believable=believable(end.mixture, model, data),
            collapsed=point is not None,
        )


def summit(x: Floats, model: MixtureModel, mixture: Mixture) -> Fit | None:
    """The maximum that EM goes to from an estimate, as the package would; None if that is none.

    Newton's method takes the last steps, for EM's are many.
    """
    if mixture.weights.min() <= 0.0:
        return None
    near = fit("em", x, model, start=mixture, max_iter=MOST, compress=False).mixture
    if near is None or near.weights.min() <= 0.0:
        return None
    found = fit("newton", x, model, start=near, compress=False)
    certified = found.certificate is not None and found.certificate.certified
    return found if certified and found.believable else None


# Rows --------------------------------------------------------------------------------------------


@contextmanager
def processes() -> Iterator[None]:
    """Ends the packages' processes that were started inside."""
    try:
        yield
    finally:
        for process in _PROCESSES.values():
            process.close()
            shutil.rmtree(process.folder, ignore_errors=True)
        _PROCESSES.clear()


_PROCESSES: dict[Path, Process] = {}


def make_ready(external: External) -> float:
    """Start the package's process, if it can be; CPU seconds of all that run."""
    with suppress(Broken):
        _process(external).start()
    return sum(process.cpu() for process in _PROCESSES.values())


def _process(external: External) -> Process:
    """That of the package's script; one for a whole job."""
    script = external.script
    if script not in _PROCESSES:
        _PROCESSES[script] = Process(script, Path(tempfile.mkdtemp(prefix="package-")))
    return _PROCESSES[script]


def judge_all(
    design: Design,
    unit: Scenario | DataSet,
    methods: Mapping[str, Collection[int]],
    say: Say = silent,
) -> Rows:
    """All rows of some packages' methods, each with the data sets that it fits."""
    rows = empty("external")
    aim = None
    if isinstance(unit, Scenario):
        aim = guarded(lambda: target(unit), lambda why: None, say, f"{unit.name} target")
    for method, replicates in methods.items():
        external = design.external_of(method)
        for replicate in replicates:
            for kind, own in _of_data_set(design, unit, external, replicate, aim, say).items():
                rows[kind] += own
        say(f"{unit.name} {method}: {len(replicates)} data sets")
    return rows


def _of_data_set(
    design: Design,
    unit: Scenario | DataSet,
    external: External,
    replicate: int,
    aim: Mixture | None,
    say: Say,
) -> Rows:
    key = {"scenario": unit.name, "replicate": replicate, "method": external.name}
    who = f"{unit.name} replicate {replicate} {external.name}"
    model = unit.model.build()

    def asked() -> tuple[Floats, Answer] | str:
        x = data_set(design, unit, replicate)
        rng = generator(design.seed, unit.name, replicate, external.name)
        try:
            return x, _process(external).ask(external, x, model, int(rng.integers(2**31 - 1)))
        except Broken as error:  # no fault of this repository's, whose log needs no more
            say(f"{who}: failed: {error}")
            return str(error)

    def failed(why: str) -> Rows:
        row = blank("external", **key, k=model.k, status="failed", message=why)
        return {"external": [row | {"word": None, "certified": False}]}

    made = guarded(asked, str, say, who)
    if isinstance(made, str):
        return failed(made)
    x, found = made
    timing = {"n": float(x.size), "seconds": found.seconds, "start_seconds": found.start_seconds}
    rows = guarded(lambda: _of_answer(design, external, key, x, model, found, aim),
                   failed, say, who)  # fmt: skip
    rows |= {"external_timings": [key | timing]}
    wanted = external.orders
    if wanted is not None and replicate < wanted.replicates and isinstance(unit, Scenario):
        rows["external_orders"] = [
            key | _order(design, unit, external, replicate, x, k, say)
            for k in range(1, wanted.most + 1)
        ]
    return rows


def _of_answer(
    design: Design,
    external: External,
    key: dict[str, Any],
    x: Floats,
    model: MixtureModel,
    found: Answer,
    aim: Mixture | None,
) -> Rows:
    if found.draws is not None:
        return _of_draws(design, key, x, model, found, found.draws, aim)
    order = found.mixture.order()
    mixture = found.mixture.permuted(order)
    evidence = Evidence.of(x, model, mixture)
    top = summit(x, model, mixture)
    certificate = evidence.certificate
    status = "singular" if evidence.collapsed else "ok" if found.converged else "not-converged"
    row: dict[str, Any] = {
        "n": float(x.size),
        "k": model.k,
        "status": status,
        "message": found.message,
        "word": found.converged,
        "own_loglik": found.loglik,
        "loglik": evidence.loglik,
        "certified": certificate.certified,
        "distance": certificate.distance,
        "gap": certificate.gap,
        "place": certificate.place,
        "sd_ratio": sd_ratio(mixture, model),
        "smallest": x.size * mixture.weights.min(),
        "believable": evidence.believable,
        "n_iter": found.iterations,
        "stop": found.stop,
        "top": np.nan if top is None else top.loglik,
        "rate": np.nan if top is None else _rate(x, model, top),
        "version": found.version,
    }
    kinds = {"end": (mixture, evidence.se, *wald_interval(mixture, evidence.se, design.level))}
    if top is not None and top.mixture is not None:
        kinds["maximum"] = (top.mixture, top.se, *top.interval(design.level))
    if found.lower is not None and found.upper is not None:
        se = np.full_like(found.lower, np.nan) if found.se is None else found.se
        kinds["own"] = (mixture, se[:, order], found.lower[:, order], found.upper[:, order])
    elif found.se is not None:
        own = found.se[:, order]
        kinds["own"] = (mixture, own, *wald_interval(mixture, own, design.level))
    return {
        "external": [key | row],
        "external_estimates": [
            key | {"kind": kind} | estimate
            for kind, (own, *columns) in kinds.items()
            for estimate in parameter_rows(own, model, aim, *columns)
        ],
    }


def _of_draws(
    design: Design,
    key: dict[str, Any],
    x: Floats,
    model: MixtureModel,
    found: Answer,
    draws: Floats,
    aim: Mixture | None,
) -> Rows:
    """Of a sampler: its own word is R-hat and divergences of the parameters as it labels them."""
    judged = labels.judge(draws, *labels.condensed(x))
    relabelled = labels.permuted(draws, judged.relabelling.permutations)
    size = draws.shape[0] * draws.shape[1]
    few = found.divergences <= MAX_DIVERGENT * size
    density = predictive(draws, PREDICTIVE)
    row: dict[str, Any] = {
        "n": float(x.size),
        "k": model.k,
        "status": "ok" if judged.invariant.good and few else "not-converged",
        "message": found.message,
        "word": judged.raw.rhat < MAX_RHAT and found.divergences == 0,
        "own_loglik": found.loglik,
        "loglik": float(density.log_density(x).sum()),
        "certified": None,
        "believable": True,
        "version": found.version,
    }
    chains = {
        "verdict": judged.word,
        "rhat_raw": judged.raw.rhat,
        "rhat_relabelled": judged.relabelled.rhat,
        "rhat_invariant": judged.invariant.rhat,
        "ess_invariant": min(judged.invariant.ess_bulk, judged.invariant.ess_tail),
        "switches": sum(judged.switches),
        "labellings": len(set(judged.occupancy.argmax(axis=1).tolist())),
        "divergences": found.divergences,
        "draws": size,
    }
    estimates = []
    for kind, values in (("own", draws), ("relabelled", relabelled)):
        ends = [0.5 - 0.5 * design.level, 0.5 + 0.5 * design.level]
        lower, upper = np.quantile(values, ends, axis=(0, 1))
        mean, se = values.mean(axis=(0, 1)), values.std(axis=(0, 1))
        order = Mixture.trusted(*mean).order()  # which is first is no matter of the package's
        rows = (part[:, order] for part in (se, lower, upper))
        mixture = Mixture.trusted(*mean).permuted(order)
        own = parameter_rows(mixture, model, aim, *rows)
        estimates += [key | {"kind": kind} | row for row in own]
    return {
        "external": [blank("external") | key | row],
        "external_estimates": estimates,
        "external_chains": [key | chains],
    }


def _order(
    design: Design,
    unit: Scenario,
    external: External,
    replicate: int,
    x: Floats,
    k: int,
    say: Say,
) -> dict[str, Any]:
    """What BIC needs of K components: the log-likelihood at the package's end, and at the maximum
    that it leads to."""
    model = MixtureModel(k, equal_sds=unit.model.equal_sds)
    known = {"k": k, "free": model.n_free, "n": float(x.size)}
    nothing = {"loglik": np.nan, "top": np.nan}

    def judged(mixture: Mixture) -> dict[str, Any]:
        loglik = Evidence.of(x, model, mixture).loglik
        top = summit(x, model, mixture) if k > 1 else None
        return {"loglik": loglik, "top": loglik if top is None else top.loglik, "message": ""}

    rng = generator(design.seed, unit.name, replicate, external.name, k)
    try:
        found = _process(external).ask(external, x, model, int(rng.integers(2**31 - 1)))
    except Broken as error:
        return known | nothing | {"message": str(error)}
    return known | guarded(
        lambda: judged(found.mixture), lambda why: nothing | {"message": why},
        say, f"{unit.name} replicate {replicate} {external.name} K = {k}",
    )  # fmt: skip


def _rate(x: Floats, model: MixtureModel, top: Fit) -> float:
    assert top.mixture is not None
    return float(missing_information(top.mixture, model, as_data(x, None, model))[0])
