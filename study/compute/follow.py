"""Some replicates followed closely: every optimiser step by step, EM's stops and rate, many starts.

Where `chunk.py` records how fits end, this records how they get there. Rows come in four kinds:
reaches (passes until a gap to the best log-likelihood), stops (where each stopping rule would have
ended EM), rates (EM's rate, predicted and observed), and optima (where each of many starts ends).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from models import METHODS, Fit, Mixture, MixtureModel, fit
from models.direct import newton
from models.em import e_step, m_step, step_length
from models.inference.certificate import certify
from models.likelihood import score, score_and_information
from models.methods import OPTIMISERS
from models.mixture import Floats
from models.sample import CompressedData, Data, Sample, as_data, unit_free
from models.starts import candidates, pilot
from models.theory import missing_information
from study.compute.fits import fit_one, start_of
from study.compute.guard import Say, guarded, silent
from study.design import DataSet, Design, Scenario
from study.rows import TARGETS, Rows, empty
from study.simulate import data_set, generator

LIMIT = 10_000  # EM iterations
STARTS = 20
# The methods whose ends from many starts are compared: one that climbs, one that leaps.
FROM_STARTS = ("em-squarem", "newton")


class Step(NamedTuple):
    """What a stopping rule may look at after an EM step, n apart.

    gain: of the log-likelihood, and the two before; moved: `step_length`; slope: the largest
    entry of the mean log-likelihood's gradient in unit-free coordinates; decrement: Newton's, in
    standard errors (inf where the information is not positive definite).
    """

    loglik: float
    gain: float
    gain_before: float
    moved: float
    slope: float
    decrement: Callable[[], float]


def aitken_gap(step: Step) -> float:
    """What Aitken's extrapolation says is left, inf where its ratio is not in (0, 1)."""
    if not 0.0 < step.gain < step.gain_before:
        return np.inf
    ratio = step.gain / step.gain_before
    return step.gain * ratio / (1.0 - ratio)


# As packages have them by default, and as theory would. Each: (step, n) -> whether to stop.
RULES: dict[str, Callable[[Step, float], bool]] = {
    "gain < 1e-3 an observation (scikit-learn)": lambda s, n: s.gain < 1e-3 * n,
    "relative gain < 1e-5 (mclust)": lambda s, n: s.gain < 1e-5 * (1.0 + abs(s.loglik)),
    "gain < 1e-5 (first article)": lambda s, n: s.gain < 1e-5,
    "gain < 1e-8 (mixtools)": lambda s, n: s.gain < 1e-8,
    "Aitken's gap < 1e-5": lambda s, n: aitken_gap(s) < 1e-5,
    "parameters move < 1e-6": lambda s, n: s.moved < 1e-6,
    "parameters move < 1e-9 (here)": lambda s, n: s.moved < 1e-9,
    "gradient < 1e-5 (SciPy)": lambda s, n: s.slope < 1e-5,
    "Newton decrement < 1e-2": lambda s, n: s.decrement() < 1e-2,
    "Newton decrement < 1e-4 (certificate)": lambda s, n: s.decrement() < 1e-4,
}


def follow(design: Design, unit: Scenario | DataSet, replicate: int, say: Say = silent) -> Rows:
    """All rows of one replicate, by kind.

    Where they break off, or no optimiser ends at a regular maximum, no method reaches any target,
    and the rows say why.
    """
    key = {"scenario": unit.name, "replicate": replicate}
    methods = [m for m in design.replicates_of(unit) if m in OPTIMISERS]
    rows = empty("follow")
    found = guarded(
        lambda: _followed(design, unit, replicate, methods, say),
        lambda why: {"reaches": list(_nowhere(methods, why))},
        say, f"{unit.name} replicate {replicate} followed",
    )  # fmt: skip
    return rows | {kind: [key | row for row in own] for kind, own in found.items()}


def _followed(
    design: Design, unit: Scenario | DataSet, replicate: int, methods: list[str], say: Say
) -> Rows:
    x, model = data_set(design, unit, replicate), unit.model.build()
    data = as_data(x, None, model)
    start = start_of(design, unit, x, replicate).mixture
    traced = {m: fit_one(design, unit, x, start, replicate, m, trace=True) for m in methods}
    optima = list(_optima(design, unit, data, replicate, say))
    ends = [f for f in traced.values() if _trusted(f)]
    if not ends:
        nowhere = _nowhere(methods, "no optimiser ended at a regular maximum")
        return {"reaches": list(nowhere), "optima": optima}
    best = max([f.loglik for f in ends] + [o["loglik"] for o in optima if o["believable"]])
    large = data.x.size >= METHODS["em"].compress_from
    used = CompressedData.of(data, pilot(data, model, start)) if large else data
    em = EMPath.of(used, model, start)
    return {
        "reaches": [row for m, f in traced.items() for row in reaches(m, f, best)],
        "stops": list(em.stops()),
        "rates": list(em.rate()),
        "optima": optima,
    }


def _nowhere(methods: list[str], why: str) -> Iterator[dict[str, Any]]:
    for method in methods:
        for target in TARGETS:
            yield {"method": method, "target": target, "passes": np.inf, "message": why}


def _trusted(result: Fit) -> bool:
    if result.mixture is None or result.certificate is None:
        return False
    regular = result.certificate.positive_definite and result.status in ("ok", "not-converged")
    return regular and result.believable


def reaches(method: str, result: Fit, best: float) -> Iterator[dict[str, Any]]:
    """Passes until the log-likelihood is within each of TARGETS of the best; inf if it never is."""
    assert result.trace is not None or result.status in ("singular", "failed")
    for target in TARGETS:
        passes = np.inf
        if result.trace is not None:
            near = best - result.trace.loglik <= target
            passes = float(result.trace.passes[np.argmax(near)]) if near.any() else np.inf
        yield {"method": method, "target": target, "passes": passes}


class EMPath(NamedTuple):
    """EM to rounding, with all that stopping rules see, and the maximum that it goes to."""

    data: Sample
    model: MixtureModel
    path: list[Mixture]
    steps: list[Step]

    @classmethod
    def of(cls, data: Sample, model: MixtureModel, start: Mixture) -> EMPath:
        """From the start, until the steps are at rounding, a component collapses, or LIMIT."""
        scale = unit_free(data, model)[1]
        path, steps = [start], []
        expected = e_step(start, data)
        gain = np.nan
        for _ in range(LIMIT):
            mixture = m_step(path[-1], expected, model)
            if data.collapsed(mixture, model):
                break
            after = e_step(mixture, data)
            gain, before = after.loglik - expected.loglik, gain
            gradient = scale * (model.jacobian(mixture).T @ score(mixture, after.t)) / data.n
            moved = step_length(path[-1], mixture)
            slope = float(np.abs(gradient).max(initial=0.0))
            steps.append(
                Step(after.loglik, gain, before, moved, slope, _decrement(data, model, mixture))
            )
            path.append(mixture)
            expected = after
            if moved < 1e-13:
                break
        return cls(data, model, path, steps)

    def maximum(self) -> tuple[Mixture, float, Floats] | None:
        """Where the path goes to, by Newton from its end: mixture, log-likelihood, information.

        None if that is no certified maximum.
        """
        try:
            mixture = newton(self.data, self.model, self.path[-1], np.random.default_rng(0)).mixture
        except (ArithmeticError, np.linalg.LinAlgError):
            return None
        second = self.data.second_moments(mixture)
        gradient, information = score_and_information(mixture, self.model, second)
        if not certify(gradient, information).certified:
            return None
        return mixture, second.loglik, information

    def stops(self) -> Iterator[dict[str, Any]]:
        """By rule: the iteration where it first holds, the gap and the distance left there.

        distance: in standard errors, by the information at the maximum. A rule that never holds
        is not `stopped`, and its numbers are of the last iteration.
        """
        end = self.maximum()
        if end is None or not self.steps:
            return
        mixture, loglik, information = end
        eta = self.model.pack(mixture)
        for rule, holds in RULES.items():
            hits = (i for i, step in enumerate(self.steps) if holds(step, self.data.n))
            first = next(hits, None)
            at = len(self.steps) if first is None else first + 1
            away = self.model.pack(self.path[at]) - eta
            yield {
                "rule": rule,
                "iteration": at,
                "stopped": first is not None,
                "gap": max(loglik - self.steps[at - 1].loglik, 0.0),
                "distance": max(float(away @ information @ away), 0.0) ** 0.5,
            }

    def rate(self) -> Iterator[dict[str, Any]]:
        """EM's rate: the largest fraction of missing information at the maximum, and the steps'.

        observed: the mean factor by which steps shrink, in standard errors, over the last half of
        those within a hundredth of a standard error of the maximum and above rounding. NaN where
        these are fewer than six, as on EM's long ways that end all at once.
        """
        end = self.maximum()
        if end is None or self.model.n_free == 0:
            return
        mixture, _, information = end
        etas = np.array([self.model.pack(m) for m in self.path])

        def length(moves: Floats) -> Floats:
            return np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", moves, information, moves), 0.0))

        sizes = length(np.diff(etas, axis=0))
        near = length(etas[:-1] - self.model.pack(mixture)) < 1e-2
        tail = np.flatnonzero(near & (sizes > 1e-9))
        observed = np.nan
        if tail.size >= 6:
            first, last = int(tail[tail.size // 2]), int(tail[-1])
            observed = float((sizes[last] / sizes[first]) ** (1.0 / (last - first)))
        yield {
            "predicted": float(missing_information(mixture, self.model, self.data)[0]),
            "observed": observed,
            "certified": True,
            "iterations": len(self.steps),
        }


def _decrement(data: Sample, model: MixtureModel, mixture: Mixture) -> Callable[[], float]:
    def decrement() -> float:
        second = data.second_moments(mixture)
        certificate = certify(*score_and_information(mixture, model, second))
        return certificate.distance if certificate.positive_definite else np.inf

    return decrement


def _optima(
    design: Design, unit: Scenario | DataSet, data: Data, replicate: int, say: Say
) -> Iterator[dict[str, Any]]:
    """The ends from the first STARTS of the list, none shortened or chosen by short runs."""
    model = unit.model.build()
    if model.n_free == 0 or model.k == 1:
        return
    rng = generator(design.seed, unit.name, replicate, "starts")
    for number, start in enumerate(candidates(data, model, rng, STARTS - 3)):
        for method in FROM_STARTS:
            key = {"method": method, "start": number}
            yield key | guarded(
                lambda: _optimum(method, data, model, start),  # noqa: B023  (called at once)
                lambda why: {"loglik": np.nan, "believable": False, "passes": 0, "message": why},
                say, f"{unit.name} replicate {replicate} {method} from start {number}",
            )  # fmt: skip


def _optimum(method: str, data: Data, model: MixtureModel, start: Mixture) -> dict[str, Any]:
    """Where one start ends; the log-likelihood of a regular and believable end alone."""
    result = fit(method, data.x, model, counts=data.counts, start=start)
    passes = sum(result.evaluations.get(k, 0) for k in ("moments", "second_moments"))
    trusted = _trusted(result)
    loglik = result.loglik if trusted else np.nan
    return {"loglik": loglik, "believable": trusted, "passes": passes, "message": ""}
