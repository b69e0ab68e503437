"""Benchmarks: suites of measurements, each a function that gives tidy rows.

Rows come in two kinds: timings, one a measured call, and estimates, one a parameter of a fit. What
cannot run here is a row that says why. Times are of whole calls on one thread, compilation apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from models import METHODS, Fit, Mixture, MixtureModel, fit
from models.likelihood import compile_passes, moments, second_moments
from models.mixture import Floats, draws_by_mean
from models.sample import CompressedData, as_data
from models.starts import shared_start
from study.benchmarks.peers import OURS, PEERS, Absent, Job, logaddexp_moments
from study.benchmarks.peers.samplers import MODES, SAMPLERS, Sampled, Sampling
from study.benchmarks.timing import Task, interleaved
from study.rows import PARAMETERS
from study.simulate import generator

SEED = 20210703
COMPRESSED = f"{OURS}, compressed"

# The columns of each kind of row, in order. n: observations; passes: over the data in a call, for
# samplers gradients (NaN where they do not tell); distance: from the optimum, in standard errors;
# ess: the least bulk effective sample size of a parameter; note: why there is no time, or what
# it includes.
_KEY = {"suite": "string", "task": "string", "implementation": "string"} | dict.fromkeys(
    ("n", "k", "draws", "tune", "repeat"), "int64"
)
SCHEMA: dict[str, dict[str, str]] = {
    "timings": _KEY
    | {"separation": "float64", "version": "string"}
    | dict.fromkeys(("seconds", "passes", "iterations", "distance", "ess"), "float64")
    | {"note": "string"},
    "estimates": _KEY
    | {"parameter": "string", "component": "int64"}
    | dict.fromkeys(("estimate", "se", "ess"), "float64"),
}
_NOTHING = {"draws": 0, "tune": 0, "repeat": 0, "version": "", "note": ""}

# The settings of the two articles: weights of known components, and five parameters.
ARTICLE_1 = Mixture([0.8, 0.2], [0.0, 2.0], [1.0, 1.0])
ARTICLE_2 = Mixture([0.3, 0.7], [1.0, 9.0], [2.0, 3.0])

type Say = Callable[[str], None]


@dataclass(frozen=True)
class Rows:
    """Rows by kind, each a list of dicts."""

    timings: list[dict[str, Any]] = field(default_factory=list)
    estimates: list[dict[str, Any]] = field(default_factory=list)

    def frames(self) -> dict[str, pd.DataFrame]:
        """A table a kind, with the columns of SCHEMA."""
        return {
            kind: pd.DataFrame([_NOTHING | row for row in getattr(self, kind)])
            .reindex(columns=list(columns))
            .astype(columns)
            for kind, columns in SCHEMA.items()
        }

    def add_times(
        self, key: dict[str, Any], seconds: Iterable[float], notes: Sequence[Mapping[str, Any]]
    ) -> None:
        """A row a repeat: its seconds, and what else is known of it."""
        for repeat, (value, note) in enumerate(zip(seconds, notes, strict=True)):
            self.timings.append({**key, "repeat": repeat, "seconds": value, **note})


def passes(
    say: Say,
    sizes: Sequence[int] = (500, 5_000, 50_000, 500_000, 5_000_000),
    components: Sequence[int] = (2, 3, 5),
    repeats: int = 15,
) -> Rows:
    """One pass over the data against n and K: the compiled kernel, the nodes, and NumPy."""
    compile_passes()
    rows = Rows()
    for k in components:
        mixture = Mixture(np.full(k, 1.0 / k), 3.0 * np.arange(k), np.ones(k))
        for n in sizes:
            rng = generator(SEED, "passes", k, n)
            data = as_data(mixture.sample(n, rng)[0], None, MixtureModel(k))
            nodes = CompressedData.of(data, mixture)
            for task, tasks in _pass_tasks(mixture, data.x, data.counts, nodes).items():
                timed = interleaved(tasks, repeats, seed=n)
                for name, seconds in timed.seconds.items():
                    key = {"suite": "passes", "task": task, "implementation": name, "n": n, "k": k}
                    rows.add_times(key | {"separation": 3.0, "passes": 1}, seconds, [{}] * repeats)
            say(f"passes: K = {k}, n = {n:,} done")
    return rows


def _pass_tasks(
    mixture: Mixture, x: Floats, counts: Floats, nodes: CompressedData
) -> dict[str, dict[str, Task]]:
    return {
        "moments": {
            OURS: Task(lambda: moments(mixture, x, counts)),
            COMPRESSED: Task(lambda: nodes.moments(mixture)),
            "NumPy, logaddexp": Task(lambda: logaddexp_moments(mixture, x)),
        },
        "second moments": {
            OURS: Task(lambda: second_moments(mixture, x, counts)),
            COMPRESSED: Task(lambda: nodes.second_moments(mixture)),
        },
    }


def fits(
    say: Say,
    sizes: Sequence[int] = (500, 5_000, 50_000, 500_000),
    separations: Sequence[float] = (2.0, 3.0, 4.0),
    repeats: int = 7,
) -> Rows:
    """Whole fits by every optimiser against n and separation, exact and compressed."""
    rows, model = Rows(), MixtureModel()
    methods = [name for name, method in METHODS.items() if not method.draws]
    for separation in separations:
        truth = Mixture([0.5, 0.5], [0.0, separation], [1.0, 1.0])
        for n in sizes:
            rng = generator(SEED, "fits", str(separation), n)
            x = truth.sample(n, rng)[0]
            start = shared_start(as_data(x, None, model), model, rng).mixture
            tasks = {
                METHODS[method].label + suffix: Task(_fitted(method, x, start, compress))
                for method in methods
                for compress, suffix in ((False, ""), (True, ", compressed"))
            }
            timed = interleaved(tasks, repeats, seed=n)
            for name, seconds in timed.seconds.items():
                key = {"suite": "fits", "task": "fit", "implementation": name, "n": n, "k": 2}
                notes = [_effort(found) for found in timed.results[name]]
                rows.add_times(key | {"separation": separation}, seconds, notes)
            say(f"fits: separation {separation:g}, n = {n:,} done")
    return rows


def _fitted(method: str, x: Floats, start: Mixture, compress: bool) -> Callable[[], Fit]:
    return lambda: fit(method, x, start=start, compress=compress)


def _effort(found: Fit) -> dict[str, Any]:
    kinds = ("moments", "second_moments", "gradients")
    return {
        "passes": sum(found.evaluations.get(kind, 0) for kind in kinds),
        "iterations": found.n_iter,
        "distance": found.certificate.distance if found.certificate else np.nan,
        "note": "" if found.status == "ok" else f"{found.status}: {found.message}",
    }


def peers(
    say: Say,
    sizes: Sequence[int] = (500, 5_000, 50_000, 500_000),
    repeats: int = 9,
    slow_repeats: int = 3,
) -> Rows:
    """EM to the same stop by this project and by other packages, on the articles' settings.

    From `sizes`' largest on mixtools and scikit-learn, which take longest, run in slow_repeats
    rounds only.
    """
    rows = Rows()
    for n in sizes:
        slow = {"mixtools", "scikit-learn"} if n >= 500_000 else set()
        for task, truth, model in (
            ("weights only", ARTICLE_1, MixtureModel(2, ARTICLE_1.means, ARTICLE_1.sds)),
            ("five parameters", ARTICLE_2, MixtureModel()),
        ):
            x = truth.sample(n, generator(SEED, "peers", task, n))[0]
            start = model.admit(crude_start(x))
            best = fit("newton", x, model, start=start)
            key = {"suite": "peers", "task": task, "n": n, "k": 2}
            key["separation"] = _separation(truth)
            job = Job(x, model, start, best.loglik)
            _run_peers(rows, key, job, best, repeats, dict.fromkeys(slow, slow_repeats))
            say(f"peers: {task}, n = {n:,} done")
    return rows


def crude_start(x: Floats) -> Mixture:
    """Two equal weights, the quartiles as means, the sample's sd twice: any package takes it."""
    return Mixture([0.5, 0.5], np.quantile(x, [0.25, 0.75]), np.full(2, x.std()))


def _separation(mixture: Mixture) -> float:
    """Distance of the two means over the root-mean-square sd."""
    return float(np.ptp(mixture.means) / np.sqrt(np.mean(mixture.sds**2)))


def _run_peers(
    rows: Rows,
    key: dict[str, Any],
    job: Job,
    best: Fit,
    repeats: int,
    fewer: Mapping[str, int],
) -> None:
    tasks, versions = {}, {}
    with ExitStack() as stack:
        for name, peer in PEERS.items():
            if not peer.does(job.model):
                continue
            try:
                ready = stack.enter_context(peer.open(job))
            except Absent as reason:
                rows.timings.append({**key, "implementation": name, "note": str(reason)})
                continue
            tasks[name] = Task(ready.run, ready.warm_up, fewer.get(name))
            versions[name] = ready.version
        timed = interleaved(tasks, repeats, seed=job.x.size)
    for name, answers in timed.results.items():
        own = {**key, "implementation": name}
        seconds = [
            measured if answer.seconds is None else answer.seconds
            for measured, answer in zip(timed.seconds[name], answers, strict=True)
        ]
        notes = [
            {
                "version": versions[name],
                "passes": answer.passes,
                "iterations": answer.iterations,
                "distance": distance(answer.mixture, best),
            }
            for answer in answers
        ]
        rows.add_times(own, seconds, notes)
        rows.estimates.extend({**own, **row} for row in _estimates(answers[0].mixture, best))


def distance(mixture: Mixture, best: Fit) -> float:
    """The largest distance of a free parameter from `best`, in its standard errors."""
    assert best.mixture is not None
    se = np.asarray(best.se)
    moved = mixture.by_mean().as_rows() - best.mixture.as_rows()
    return float(np.abs(moved[se > 0] / se[se > 0]).max())


def _estimates(mixture: Mixture, best: Fit) -> Iterator[dict[str, Any]]:
    for (row, j), value in np.ndenumerate(mixture.by_mean().as_rows()):
        if best.se[row, j] > 0:
            yield {
                "parameter": PARAMETERS[row],
                "component": j + 1,
                "estimate": value,
                "se": best.se[row, j],
            }


@dataclass(frozen=True)
class Plan:
    """Sampling at one n: draws and tune a chain, rounds, and by which of SAMPLERS."""

    n: int
    draws: int
    tune: int
    repeats: int
    names: tuple[str, ...] = tuple(SAMPLERS)


# Fewer draws and rounds where the pass over the data makes most samplers slow; compressed ones
# draw as much at every n, so that their time can be compared.
PLANS = (
    Plan(500, 1000, 500, 3),
    Plan(5_000, 1000, 500, 2),
    Plan(50_000, 500, 500, 1, (OURS, COMPRESSED, "PyMC", "nutpie", "NumPyro")),
    Plan(50_000, 1000, 500, 3, (COMPRESSED,)),
    Plan(500_000, 300, 300, 1, (OURS, COMPRESSED)),
    Plan(500_000, 1000, 500, 3, (COMPRESSED,)),
)


def posterior(say: Say, plans: Sequence[Plan] = PLANS, mode_repeats: int = 5) -> Rows:
    """The posterior mode and NUTS by this project and others, on the second article's setting."""
    rows = Rows()
    key = {"suite": "posterior", "k": 2, "separation": _separation(ARTICLE_2)}
    for plan in plans:
        setting = _setting(plan.n, plan.draws, plan.tune)
        _sample(rows, key | {"task": "NUTS", "n": plan.n}, setting, plan, say)
    for n in sorted({plan.n for plan in plans}):
        _find_modes(rows, key | {"task": "MAP", "n": n}, _setting(n), mode_repeats)
        say(f"posterior: MAP, n = {n:,} done")
    return rows


def _setting(n: int, draws: int = 0, tune: int = 0) -> Sampling:
    rng = generator(SEED, "posterior", n)
    x = ARTICLE_2.sample(n, rng)[0]
    model = MixtureModel()
    return Sampling(x, shared_start(as_data(x, None, model), model, rng).mixture, draws, tune)


def _sample(rows: Rows, key: dict[str, Any], setting: Sampling, plan: Plan, say: Say) -> None:
    key = key | {"draws": plan.draws, "tune": plan.tune}
    tasks, versions = {}, {}
    for name in plan.names:
        try:
            sampler = SAMPLERS[name](setting)
        except Absent as reason:
            rows.timings.append({**key, "implementation": name, "note": str(reason)})
            continue
        tasks[name] = Task(_seeded(sampler.sample, name, plan), sampler.warm_up)
        versions[name] = sampler.version
        say(f"posterior: {name}, n = {plan.n:,} compiled")
    timed = interleaved(
        tasks, plan.repeats, seed=plan.n, say=lambda line: say(f"posterior: n = {plan.n:,} {line}")
    )
    for name, found in timed.results.items():
        own = {**key, "implementation": name}
        summaries = [list(posterior_summary(sampled.draws)) for sampled in found]
        seconds = [
            measured if sampled.seconds is None else sampled.seconds
            for measured, sampled in zip(timed.seconds[name], found, strict=True)
        ]
        notes = [
            {
                "version": versions[name],
                "passes": sampled.gradients or np.nan,
                "iterations": plan.draws + plan.tune,
                "ess": min(row["ess"] for row in summary),
            }
            for sampled, summary in zip(found, summaries, strict=True)
        ]
        rows.add_times(own, seconds, notes)
        for repeat, summary in enumerate(summaries):
            rows.estimates.extend({**own, "repeat": repeat, **row} for row in summary)


def _seeded(sample: Callable[[int], Sampled], name: str, plan: Plan) -> Callable[[], Sampled]:
    """The sampler with a seed of its own at every call, other than those of other samplers."""
    rng = generator(SEED, "seeds", name, plan.n)
    return lambda: sample(int(rng.integers(2**31)))


def posterior_summary(draws: Floats) -> Iterator[dict[str, Any]]:
    """Mean, sd and bulk ESS of each free parameter of draws (chains, draws, 3, K), by mean."""
    from arviz_stats.base import array_stats

    ordered = draws_by_mean(draws)
    k = ordered.shape[-1]
    for row, parameter in enumerate(PARAMETERS):
        for j in range(k - 1 if parameter == "weight" else k):
            values = ordered[..., row, j]
            yield {
                "parameter": parameter,
                "component": j + 1,
                "estimate": values.mean(),
                "se": values.std(ddof=1),
                "ess": float(array_stats.ess(values, chain_axis=0, draw_axis=1)),
            }


def _find_modes(rows: Rows, key: dict[str, Any], setting: Sampling, repeats: int) -> None:
    modes = {name: compiled(setting) for name, compiled in MODES.items()}
    best = fit("map", setting.x, start=setting.start, prior=setting.prior, compress=False)
    timed = interleaved({n: Task(m.find) for n, m in modes.items()}, repeats, seed=setting.x.size)
    for name, answers in timed.results.items():
        notes = [
            {
                "version": modes[name].version,
                "passes": answer.passes,
                "iterations": answer.iterations,
                "distance": distance(answer.mixture, best),
                "note": modes[name].note,
            }
            for answer in answers
        ]
        rows.add_times({**key, "implementation": name}, timed.seconds[name], notes)


SUITES: dict[str, Callable[[Say], Rows]] = {
    "passes": passes,
    "fits": fits,
    "peers": peers,
    "posterior": posterior,
}
