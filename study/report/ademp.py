"""A study's methods in a few paragraphs, from its design: aims, data, estimands, methods, measures.

The order is that of Morris, White and Crowther (2019), Statistics in Medicine 38, 2074-2102.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from models import METHODS
from models.inference.certificate import CERTIFIED_DISTANCE
from models.methods import OPTIMISERS, SAMPLERS
from study.design import Design, Grid


def ademp(design: Design) -> list[str]:
    """Five paragraphs of plain text."""
    return [_aims(design), _data(design), _estimands(design), _methods(design), _measures(design)]


def _aims(design: Design) -> str:
    return (
        f"Aims. To compare {_and(_labels(design))} as they fit Gaussian mixtures to the same data: "
        "which maximum each finds, how good its estimates and intervals are, and what it costs. "
        f"Design: {design.name}. {design.description}".rstrip()
    )


def _data(design: Design) -> str:
    parts = []
    if design.scenarios:
        parts.append(f"{_count(len(design.scenarios), 'named scenario')}")
    parts += [_grid(grid) for grid in design.grids]
    if design.data:
        parts.append(f"{_count(len(design.data), 'fit', 'fits')} to real data")
    simulated = sum(
        max(design.replicates_of(s).values(), default=0) for s in design.all_scenarios()
    )
    return (
        f"Data-generating mechanisms. {_and(parts)}. {simulated:,} data sets were simulated; each "
        f"depends on the seed {design.seed}, its scenario and its replicate alone, and all methods "
        "were given the same."
    )


def _grid(grid: Grid) -> str:
    cells = sum(1 for _ in grid.scenarios())
    return (
        f"a grid of {cells} cells with two components: separation of the means "
        f"{_list(grid.separation)} root-mean-square sds, weight of the first {_list(grid.weight)}, "
        f"ratio of the sds {_list(grid.sd_ratio)}, n = {_list(grid.n)}"
    )


def _estimands(design: Design) -> str:
    text = "Estimands. Weights, means and sds of the components, in the order of their means"
    if any(s.family != "normal" or s.round_to or len(s.weights) != s.model.k
           for s in design.scenarios):  # fmt: skip
        text += (
            "; where the fitted model does not hold, those of the fitted mixture that is nearest "
            "to the truth in Kullback-Leibler divergence, if there is one alone"
        )
    return f"{text}."


def _methods(design: Design) -> str:
    counts: dict[int, list[str]] = {}
    for method, replicates in design.replicates.items():
        counts.setdefault(replicates, []).append(METHODS[method].label)
    by_count = [f"{_and(labels)} on {r:,}" for r, labels in counts.items()]
    own = sum(s.replicates is not None for s in design.all_scenarios())
    text = f"Methods. Data sets of a scenario, unless a scenario has its own: {_and(by_count)}"
    text += f" ({own} have)." if own else "."
    if any(m in OPTIMISERS for m in design.replicates):
        text += (
            " Optimisers start from the same point and end certified if the Newton decrement is at "
            f"most {CERTIFIED_DISTANCE:g} standard errors; their intervals are Wald's from the "
            "observed information."
        )
    if any(m in SAMPLERS for m in design.replicates):
        text += (
            " Draws are relabelled by Stephens' algorithm, with ordered means by mean; intervals "
            "are equal-tailed."
        )
    if design.external:
        asked = [f"{e.label} ({e.asked})" if e.asked else e.label for e in design.external]
        text += f" Other packages, from starts of their own: {_and(asked)}."
    options = [
        f"{METHODS[m].label} with {', '.join(f'{k} = {v}' for k, v in chosen.items())}"
        for m, chosen in design.options.items()
        if m in design.replicates
    ]
    return f"{text} {_and(options)}.".replace(" .", "")


def _measures(design: Design) -> str:
    return (
        "Performance measures. Share of data sets on which a method ends certified at the best "
        "maximum that any method or start found; bias, empirical standard error, root mean squared "
        "error and model standard error over the fits that ended regularly; coverage of "
        f"{100 * design.level:g}% intervals over all data sets that a method was asked to fit, one "
        "without an interval counted as a miss; passes over the data and seconds. Monte Carlo "
        "standard errors stand in brackets behind each."
    )


def _labels(design: Design) -> list[str]:
    return [METHODS[m].label for m in design.replicates]


def _and(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def _list(values: Iterable[float]) -> str:
    return _and([f"{value:,g}" for value in values])


def _count(number: int, one: str, more: str = "") -> str:
    return f"{number} {one if number == 1 else more or one + 's'}"
