"""A study's methods in a few paragraphs, from its design: aims, data, estimands, methods, measures.

The order is that of Morris, White and Crowther (2019), Statistics in Medicine 38, 2074-2102. What
is cited stands as [@key], the keys of references.bib.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from models import METHODS
from models.inference.certificate import CERTIFIED_DISTANCE
from models.inference.chains import MAX_DIVERGENT, MAX_RHAT, MIN_ESS
from models.methods import OPTIMISERS, SAMPLERS
from study.design import Design, Grid, Remedies, Scenario, Starts

REFERENCES = Path(__file__).parent / "references.bib"


def ademp(design: Design, packages: Mapping[str, str]) -> list[str]:
    """Paragraphs of plain text. packages: versions of what was used, by name."""
    found = [_aims(design), _data(design), _model(), _estimands(design), _methods(design)]
    found += [_priors()] if any(METHODS[m].engine == "pymc" for m in design.replicates) else []
    found += [_data_sets(design)] if design.all_scenarios() else []
    return [*found, *filter(None, [_others(design)]), _measures(design), _software(packages)]


def _aims(design: Design) -> str:
    return (
        f"Aims. To compare {_and(_labels(design))} as they fit Gaussian mixtures to the same data: "
        "which maximum each finds, how good its estimates and intervals are, and what it costs. "
        f"The design is {design.name}, reported as Morris et al. [@morris2019] propose."
    )


def _data(design: Design) -> str:
    parts = []
    if design.scenarios:
        parts.append(f"{_count(len(design.scenarios), 'named scenario')}")
    parts += _grids(design.grids)
    if design.data:
        parts.append(f"{_count(len(design.data), 'fit', 'fits')} to real data")
    simulated = sum(
        max(design.replicates_of(s).values(), default=0) for s in design.all_scenarios()
    )
    return (
        f"Data-generating mechanisms. {'; '.join(parts)}. {simulated:,} data sets were simulated; "
        f"each depends on the seed {design.seed}, its scenario and its replicate alone, and all "
        "methods were given the same, those that fit fewer the first ones."
    )


def _grids(grids: Sequence[Grid]) -> list[str]:
    """In words; those that differ in n alone are one."""
    sizes: dict[tuple[tuple[float, ...], ...], list[int]] = {}
    for grid in grids:
        shape = tuple(map(tuple, (grid.separation, grid.weight, grid.sd_ratio)))
        sizes.setdefault(shape, []).extend(grid.n)
    return [
        f"a grid of {math.prod(map(len, shape)) * len(set(n))} cells with two components: "
        f"separation of the means {_list(shape[0])} root-mean-square sds, weight of the first "
        f"{_list(shape[1])}, ratio of the sds {_list(shape[2])}, n = {_list(sorted(set(n)))}"
        for shape, n in sizes.items()
    ]


def _model() -> str:
    return (
        "Model. Observations are independent draws of a mixture of normal densities with weights, "
        "means and sds as parameters, all free unless a scenario says which are known. The "
        "likelihood is unbounded [@kiefer1956]; the maximum likelihood estimate is the highest "
        "regular maximum in the interior, or on the boundary by the conditions of Karush, Kuhn and "
        "Tucker, and a component much narrower than the others is believed on evidence alone."
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
            " EM is that of Dempster et al. [@dempster1977], its acceleration SQUAREM "
            "[@varadhan2008], the direct methods those of SciPy [@scipy2020] on unconstrained "
            "parameters, Newton's in a trust region. Optimisers start from the same point: the "
            "best, after a few EM steps, of a quantile split, k-means, a split by scale and random "
            f"centres [@biernacki2003]. They end certified if the Newton decrement is at most "
            f"{CERTIFIED_DISTANCE:g} standard errors; their intervals are Wald's from the "
            "observed information [@louis1982]."
        )
        text += _intervals(design)
    if any(m in SAMPLERS for m in design.replicates):
        parameters = inspect.signature(METHODS[SAMPLERS[0]].run).parameters
        chains, most = (parameters[name].default for name in ("chains", "max_draws"))
        text += (
            " NUTS [@hoffman2014] samples the marginalised mixture. Unless it is said otherwise, "
            f"{chains} chains start from different labellings and go on, to {most:,} draws each, "
            f"until R-hat [@vehtari2021] < {MAX_RHAT:g}, bulk and tail "
            f"effective draws > {MIN_ESS:g} and at most {100 * MAX_DIVERGENT:g}% of the draws "
            "divergent hold for what labels cannot touch, and for parameters by component unless "
            "these are a convention. Draws are relabelled by Stephens' algorithm "
            "[@stephens2000]; NUTS ordered is the same posterior, sampled anew, each draw in the "
            "order of its means. Intervals are equal-tailed."
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


def _intervals(design: Design) -> str:
    """Of every kind, and on how many data sets."""
    asked = [design.intervals_of(s) for s in design.all_scenarios()]
    asked = [intervals for intervals in asked if intervals.replicates]
    if not asked:
        return ""
    least, most = (f(i.replicates for i in asked) for f in (min, max))
    span = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    text = (
        f" On the first {span} data sets of {_count(len(asked), 'scenario')} there are others by "
        "the profile likelihood and the sandwich"
    )
    if refits := {intervals.refits for intervals in asked if intervals.refits}:
        text += f", and by the parametric bootstrap of {_list(sorted(refits))} refits in some"
    return f"{text}."


def _others(design: Design) -> str:
    """What is studied beside the main comparison, by name."""
    parts = []
    if design.calibration is not None:
        own = design.calibration
        labels = _and([METHODS[m].label for m in own.methods])
        parts.append(
            f"simulation-based calibration of {labels} [@talts2018] on {own.replicates:,} data "
            f"sets of n = {own.n:,} from a proper prior, its ranks held against exact simultaneous "
            "bands [@saeilynoja2022], all tests together at 5% by Holm's method"
        )
    if design.remedies:
        parts.append(f"remedies for label switching, {_each(design.remedies)}")
    if design.starts:
        parts.append(f"optimisers from other starts, {_each(design.starts)}")
    if choosing := [unit for unit in design.units() if design.choice_of(unit)]:
        units = _count(len(choosing), "scenario or real data set", "scenarios and real data sets")
        parts.append(f"criteria that choose the number of components, of {units}")
    return f"Beside the comparison: {'; '.join(parts)}." if parts else ""


def _each(where: Remedies | Starts) -> str:
    own = _count(len(where.scenarios), "scenario")
    return (
        f"on {where.replicates:,} data sets of {own if own.startswith('1 ') else f'each of {own}'}"
    )


def _data_sets(design: Design) -> str:
    """How many each method has, and how many have intervals of every kind, by scenarios alike."""
    alike: dict[str, list[Scenario]] = {}
    for scenario in design.all_scenarios():
        by_count: dict[int, list[str]] = {}
        for method, count in design.replicates_of(scenario).items():
            by_count.setdefault(count, []).append(METHODS[method].label)
        text = ", ".join(f"{r:,} by {_and(labels)}" for r, labels in by_count.items())
        wanted = design.intervals_of(scenario)
        by = [METHODS[m].label for m in wanted.methods if m in design.replicates_of(scenario)]
        if wanted.replicates and by:
            text += f", the first {wanted.replicates:,} with intervals of every kind by {_and(by)}"
        alike.setdefault(text, []).append(scenario)
    parts = [f"{_named(design, own)}: {text}" for text, own in alike.items()]
    return f"Numbers of data sets. {'; '.join(parts)}."


def _named(design: Design, scenarios: Sequence[Scenario]) -> str:
    """Scenarios by name, those of grids by their number and n."""
    alone = {scenario.name for scenario in design.scenarios}
    words = [scenario.name for scenario in scenarios if scenario.name in alone]
    cells = [scenario for scenario in scenarios if scenario.name not in alone]
    if cells:
        sizes = _list(sorted({cell.n for cell in cells}))
        words.append(f"{_count(len(cells), 'cell')} of the grid at n = {sizes}")
    return _and(words)


def _priors() -> str:
    return (
        "Priors. Weights Dirichlet(2, ..., 2); means normal about the data's mean with twice its "
        "sd; variances inverse-gamma(2, b) with one unknown b for all, itself "
        "gamma(0.2, 1/s^2) with s the data's sd, integrated out [@richardson1997] and kept from "
        "falling below the data's resolution. The posterior mode is that of the "
        "constrained parameters, without Jacobian."
    )


def _software(packages: Mapping[str, str]) -> str:
    names = {"pymc": "PyMC [@pymc2023]", "nutpie": "nutpie", "scipy": "SciPy", "numpy": "NumPy"}
    names |= {
        "numba": "Numba [@numba2015]",
        "arviz": "ArviZ",
        "snakemake": "Snakemake [@molder2021]",
    }
    used = [f"{label} {packages[name]}" for name, label in names.items() if name in packages]
    return f"Software. {_and(used)}." if used else "Software. As provenance.json says."


def _measures(design: Design) -> str:
    return (
        "Performance measures. Share of data sets on which a method ends certified at the best "
        "maximum that any method or start found; bias, empirical standard error, root mean squared "
        "error and model standard error over the fits that ended neither singular nor failed, each "
        "method's own; coverage of "
        f"{100 * design.level:g}% intervals over all data sets that a method was asked to fit, one "
        "without an interval counted as a miss; passes over the data and seconds. Means over cells "
        "or scenarios are of this design alone. Monte Carlo standard errors stand in brackets "
        "behind each, those of roots and ratios of mean squares by the jackknife where it differs "
        "from the formula; a share of 0 or 1, or of few, has Wilson's 95% interval."
    )


def _labels(design: Design) -> list[str]:
    return [METHODS[m].label for m in design.replicates]


def _and(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def _list(values: Iterable[float]) -> str:
    return _and([f"{value:,g}" for value in values])


def _count(number: int, one: str, more: str = "") -> str:
    return f"{number} {one if number == 1 else more or one + 's'}"
