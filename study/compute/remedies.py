"""What each remedy for label switching answers: the same data sets, a posterior each.

Remedies are the exchangeable posterior as sampled, relabelled in several ways, or replaced by one
whose prior orders the means or tells components apart. Rows come in two kinds: remedies (one a
parameter) and remedy_timings, which alone may differ between two runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import numpy as np

from models.inference.chains import rhat_and_ess
from models.mixture import Floats
from models.priors import Prior
from models.sample import as_data
from study.compute.fits import fit_one, start_of
from study.compute.guard import Say, guarded, silent
from study.compute.truths import target
from study.design import Design, Scenario
from study.rows import REMEDY_PARAMETERS, Rows, blank, empty
from study.simulate import data_set

# Of the exchangeable posterior's draws: (draws, x) to draws.
RELABELLINGS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "none": lambda draws, x: draws,
    "by mean": lambda draws, x: _labels().ordering(draws).apply(draws),
    "Stephens": lambda draws, x: _labels().stephens(draws, x).apply(draws),
    "PRA": lambda draws, x: _labels().pra_in_units_of_the_data(draws, x).apply(draws),
}
# Sds of the asymmetric priors on the means, in units of the exchangeable one's, twice the data's.
WIDTHS = {"asymmetric, wide": 1.0, "asymmetric, narrow": 0.25}


def _labels() -> Any:
    from models import labels

    return labels


def compare(design: Design, scenario: Scenario, replicate: int, say: Say = silent) -> Rows:
    """The rows of one data set, by kind; those of a remedy that breaks off have no numbers."""
    rows = empty("remedies")
    who = f"{scenario.name} replicate {replicate}"
    aim = guarded(lambda: target(scenario), lambda why: None, say, f"{who} target")
    nothing = np.full((3, 2), np.nan)
    truth = distances(nothing if aim is None else aim.as_rows())
    for names, make in _posteriors(design, scenario, replicate):
        found, why = guarded(
            lambda: (list(make()), ""),  # noqa: B023  (called before the next turn)
            lambda why: ([], why),
            say, f"{who} {', '.join(names)}",
        )  # fmt: skip
        for remedy, draws, seconds in found:
            key = {"scenario": scenario.name, "replicate": replicate, "remedy": remedy}
            rows["remedy_timings"].append({**key, "seconds": seconds})
            for parameter, true, summary in zip(
                REMEDY_PARAMETERS, truth, summaries(distances(draws), design.level), strict=True
            ):
                row = {"parameter": parameter, "truth": true, **summary}
                rows["remedies"].append(key | row)
        for remedy in names if why else ():
            key = {"scenario": scenario.name, "replicate": replicate, "remedy": remedy}
            for parameter, true in zip(REMEDY_PARAMETERS, truth, strict=True):
                known = key | {"parameter": parameter, "truth": true, "message": why}
                rows["remedies"].append(blank("remedies", **known))
    return rows


type _Posterior = tuple[str, Floats, float]


def _posteriors(
    design: Design, scenario: Scenario, replicate: int
) -> Iterator[tuple[tuple[str, ...], Callable[[], Iterator[_Posterior]]]]:
    """The remedies, those of one posterior together, and what samples it.

    That gives by remedy: draws (chains, draws, 3, 2), labels as the remedy leaves them, and
    seconds.
    """
    labels = _labels()

    @cache
    def sample() -> tuple[Floats, Any]:
        x = data_set(design, scenario, replicate)
        return x, start_of(design, scenario, x, replicate).mixture

    def sampled(method: str, **options: Any) -> tuple[Floats, float]:
        result = fit_one(design, scenario, *sample(), replicate, method, **options)
        if result.draws is None:
            raise RuntimeError(f"{result.status}: {result.message}")
        return labels.component_draws(result.draws), result.seconds

    def relabelled() -> Iterator[_Posterior]:
        draws, seconds = sampled("nuts")
        for remedy, relabel in RELABELLINGS.items():
            begin = time.perf_counter()
            found = relabel(draws, sample()[0])
            yield remedy, found, seconds + time.perf_counter() - begin

    def ordered() -> Iterator[_Posterior]:
        yield "ordered", *sampled("nuts-ordered")

    def asymmetric(remedy: str, width: float) -> Iterator[_Posterior]:
        data = as_data(sample()[0], None, scenario.model.build())
        yield remedy, *sampled("nuts", prior=Prior.asymmetric(data, 2, width))

    yield tuple(RELABELLINGS), relabelled
    yield ("ordered",), ordered
    for remedy, width in WIDTHS.items():
        yield (remedy,), partial(asymmetric, remedy, width)


def distances(rows: Floats) -> Floats:
    """(..., 6): the REMEDY_PARAMETERS of mixtures (..., 3, 2) of weights, means and sds."""
    (w, _), (m1, m2), (s1, s2) = (np.moveaxis(rows[..., row, :], -1, 0) for row in range(3))
    return np.stack([w, m1, m2, s1, s2, m2 - m1], axis=-1)


def summaries(values: Floats, level: float) -> list[dict[str, float]]:
    """Of each quantity (chains, draws, q): mean, sd, interval's ends, bulk and tail ESS, R-hat."""
    found = rhat_and_ess(values)
    lower, upper = np.quantile(values, [0.5 - 0.5 * level, 0.5 + 0.5 * level], axis=(0, 1))
    columns = {
        "mean": values.mean(axis=(0, 1)),
        "sd": values.std(axis=(0, 1), ddof=1),
        "lower": lower,
        "upper": upper,
        "ess": found.ess_bulk,
        "ess_tail": found.ess_tail,
        "rhat": found.rhat,
    }
    return [
        {name: float(column[i]) for name, column in columns.items()}
        for i in range(values.shape[-1])
    ]
