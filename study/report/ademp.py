"""A study's methods in a few paragraphs, from its design: aims, data, estimands, methods, measures.

The order is that of Morris, White and Crowther (2019), Statistics in Medicine 38, 2074-2102. What
is cited stands as [@key], the keys of references.bib.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from models import METHODS
from models.criteria import CRITERIA
from models.inference.certificate import CERTIFIED_DISTANCE
from models.inference.chains import MAX_DIVERGENT, MAX_RHAT, MIN_ESS
from models.methods import OPTIMISERS, SAMPLERS
from models.selection import LEVEL, OVERFITTED, select
from study.design import (
    DataSet,
    Design,
    Grid,
    NamedPrior,
    Priors,
    Remedies,
    Scenario,
    Starts,
    externals,
)

REFERENCES = Path(__file__).parent / "references.bib"


def ademp(design: Design, packages: Mapping[str, str], others: Collection[str] = ()) -> list[str]:
    """Paragraphs of plain text.

    packages: versions of what was used, by name. others: other packages that answered, with
    their versions.
    """
    found = [_aims(design), _data(design), _model(), _estimands(design), _methods(design)]
    found += [_choice(design)] if _asked(design) else []
    found += [_priors(design)] if _needs_a_prior(design) else []
    found += [_compared(design.priors)] if design.priors is not None else []
    found += [_data_sets(design)] if design.all_scenarios() and design.replicates else []
    found += filter(None, [_others(design)])
    return [*found, _measures(design), _software(packages, others)]


def _aims(design: Design) -> str:
    labels, aims = _labels(design), []
    of_each = "how good its estimates and intervals are, and what it costs"
    if len(labels) > 1:
        fitting = f"compare {_and(labels)} as they fit Gaussian mixtures to the same data"
        aims.append(f"{fitting}: which maximum each finds, {of_each}")
    elif labels:
        fitting = f"see how {labels[0]} fits Gaussian mixtures"
        aims.append(f"{fitting}: which maximum it finds, {of_each}")
    if _asked(design):
        aims.append("see which number of components criteria choose, and what that choice loses")
    if design.priors is not None:
        aims.append("see what posteriors owe to their priors")
    if design.external:
        aims.append("judge what other packages answer on the same data, all by one certificate")
    return (
        f"Aims. {' '.join(f'To {aim}.' for aim in aims)} The design is {design.name}, reported as "
        "Morris et al. [@morris2019] propose."
    )


def _data(design: Design) -> str:
    parts = []
    if design.scenarios:
        parts.append(f"{_count(len(design.scenarios), 'named scenario')}")
    parts += _grids(design.grids)
    if design.data:
        parts.append(f"{_count(len(design.data), 'fit', 'fits')} to real data")
    simulated = sum(_simulated(design, scenario) for scenario in design.all_scenarios())
    return (
        f"Data-generating mechanisms. {'; '.join(parts)}. {simulated:,} data sets were simulated; "
        f"each depends on the seed {design.seed}, its scenario and its replicate alone, and all "
        "methods were given the same, those that fit fewer the first ones."
    )


def _simulated(design: Design, scenario: Scenario) -> int:
    """How many data sets of the scenario there are: the first ones, whatever they are for."""
    counts = [*design.replicates_of(scenario).values(), *design.choice_of(scenario).values()]
    counts += externals(design, scenario).values()
    for part in (design.priors, design.remedies, design.starts):
        if part is not None and scenario.name in part.scenarios:
            counts.append(part.replicates)
    return max(counts, default=0)


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
    text = "Methods."
    if counts:
        text += f" Data sets of a scenario, unless a scenario has its own: {_and(by_count)}"
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
    if any(m in SAMPLERS for m in _used(design)):
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
        sets = sorted({e.replicates for e in design.external})
        named = any(e.scenarios for e in design.external)
        some = ", some of named scenarios alone" if named else ""
        text += f" Each is asked for the first {_range(sets)} data sets of a scenario{some}."
    options = [
        f"{METHODS[m].label} with {', '.join(f'{k} = {v}' for k, v in chosen.items())}"
        for m, chosen in design.options.items()
        if m in _used(design)
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


def _used(design: Design) -> list[str]:
    """Methods of the fits, and NUTS where priors are compared."""
    return [*design.replicates, *(["nuts"] if design.priors is not None else [])]


# How criteria are named in a sentence, and where they come from.
_CRITERIA = {
    "aic": ("AIC", "akaike1974"),
    "aicc": ("AICc", "hurvich1989"),
    "bic": ("BIC", "schwarz1978"),
    "icl": ("ICL by the entropy of the responsibilities", "biernacki2000"),
    "icl-hard": ("ICL by the most probable allocation", "biernacki2000"),
    "cv": ("cross-validation", "smyth2000"),
    "lrt": ("bootstrap tests", "mclachlan1987"),
    "laplace": ("Laplace's approximation", "tierney1986"),
    "bridge": ("bridge sampling", "meng1996"),
    "loo": ("PSIS-LOO", "vehtari2017"),
    "waic": ("WAIC", "watanabe2010"),
    "overfitted": ("an overfitted mixture with Dirichlet(0.01) weights", "malsiner2016"),
    "overfitted-half": ("one with Dirichlet(0.5) weights", "rousseau2011"),
}


def _asked(design: Design) -> dict[str, dict[str, int]]:
    """By criterion, of how many data sets of each unit it chooses the number of components."""
    by_unit = {unit.name: design.choice_of(unit) for unit in design.units()}
    return {
        name: {unit: counts[name] for unit, counts in by_unit.items() if name in counts}
        for name in CRITERIA
        if any(name in counts for counts in by_unit.values())
    }


def _choice(design: Design) -> str:
    asked = _asked(design)
    alike: dict[str, list[str]] = {}
    for name, counts in asked.items():
        words, key = _CRITERIA[name]
        alike.setdefault(_where(design, counts), []).append(f"{words} [@{key}]")
    by = [f"{_and(names)} on {where}" for where, names in alike.items()]
    units = dict.fromkeys(unit for counts in asked.values() for unit in counts)
    ends = sorted({(ks[0], ks[-1]) for ks in (design.ks_of(design.scenario(u)) for u in units)})
    among = [f"{low} to {high}" for low, high in ends]
    text = (
        f"Number of components. It is chosen among {_and(among, ' or ')}, by "
        f"{'; by '.join(by)}. Each number has the highest maximum of the likelihood that is "
        "believed, from many starts; the fits with one component less, each component in turn "
        "split in two, are among them [@ueda2000]."
    )
    more = {
        "bic": "BIC is also taken of what EM finds from k-means alone.",
        "cv": f"Cross-validation is in {_default('folds')} folds.",
        "lrt": f"Bootstrap tests are of K components against K + 1, with {_default('replicates')} "
        f"samples each, and go on until p is above {LEVEL:g}.",
        "laplace": "Laplace's approximation is at the highest mode found, in log-ratios of the "
        "weights, means and log sds, times K!.",
        "bridge": "Bridge sampling has a proposal that is symmetric in the components "
        "[@fruehwirth2004].",
    }
    if any(CRITERIA[name].needs == "posterior" for name in asked):
        text += " What needs a posterior has the default prior."
    text += "".join(f" {sentence}" for name, sentence in more.items() if name in asked)
    if any(name.startswith("overfitted") for name in asked):
        text += (
            f" Overfitted mixtures have {OVERFITTED} components, and are sampled by data "
            "augmentation [@diebolt1994]; the most probable number of components that hold "
            "observations is chosen."
        )
    return text


def _where(design: Design, counts: Mapping[str, int]) -> str:
    """On how many data sets of how many scenarios, and on how many real ones."""
    units = [design.scenario(name) for name in counts]
    simulated = sorted({counts[unit.name] for unit in units if isinstance(unit, Scenario)})
    scenarios = sum(isinstance(unit, Scenario) for unit in units)
    real = sum(isinstance(unit, DataSet) for unit in units)
    parts = []
    if scenarios:
        each = "" if scenarios == 1 else "each of "
        parts.append(f"{_range(simulated)} data sets of {each}{_count(scenarios, 'scenario')}")
    if real:
        parts.append(_count(real, "real data set"))
    return _and(parts)


def _default(name: str) -> int:
    """What `select` takes where nothing is said, as in a study."""
    value: int = inspect.signature(select).parameters[name].default
    return value


def _needs_a_prior(design: Design) -> bool:
    return (
        any(METHODS[m].engine == "pymc" for m in design.replicates)
        or any(CRITERIA[name].needs == "posterior" for name in _asked(design))
        or (design.priors is not None and any(p.rule in _ABOVE for p in design.priors.compared))
    )


def _priors(design: Design) -> str:
    text = (
        "Priors. Weights Dirichlet(2, ..., 2); means normal about the data's mean with twice its "
        "sd; variances inverse-gamma(2, b) with one unknown b for all, itself "
        "gamma(0.2, 1/s^2) with s the data's sd, integrated out [@richardson1997] and kept from "
        "falling below the data's resolution."
    )
    if "map" in design.replicates:
        text += " The posterior mode is that of the constrained parameters, without Jacobian."
    return text


# What the rules of `study.design` say of K components, and which of them are as `_priors` says.
_ABOVE = ("default", "one-scale")
_RULES = {
    "default": "as above",
    "one-scale": "as above, but each variance inverse-gamma(2, (s/K)^2) [@fraley2007]",
    "richardson-green": "weights Dirichlet(1), means normal about the middle of the range with its "
    "length R as sd, variances inverse-gamma(2, 0.02 R^2) [@richardson1997]",
    "brms": "weights Dirichlet(1), means Student's t about the median and sds half of it about 0, "
    "of three degrees of freedom, on the scale of the median absolute deviation, at least 2.5 "
    "[@buerkner2017]",
}


def _compared(priors: Priors) -> str:
    text = (
        f"Priors compared. NUTS samples {priors.replicates:,} data sets of "
        f"{_count(len(priors.scenarios), 'scenario')} under "
        f"{_count(len(priors.compared), 'prior')}: {'; '.join(map(_stated, priors.compared))}."
    )
    return f"{text} The first is what the others are held against." if priors.compared[1:] else text


def _stated(prior: NamedPrior) -> str:
    if prior.rule is not None:
        return f"{prior.name}, {_RULES[prior.rule]}"
    family, *numbers = prior.sds or [""]
    return (
        f"{prior.name}, weights Dirichlet({prior.weights:g}), means "
        f"normal({', '.join(f'{value:g}' for value in prior.means or ())}), sds "
        f"{family}({', '.join(f'{value:g}' for value in numbers)}), in the data's unit"
    )


def _software(packages: Mapping[str, str], others: Collection[str]) -> str:
    names = {"pymc": "PyMC [@pymc2023]", "nutpie": "nutpie", "scipy": "SciPy", "numpy": "NumPy"}
    names |= {
        "numba": "Numba [@numba2015]",
        "arviz": "ArviZ",
        "snakemake": "Snakemake [@molder2021]",
    }
    used = [f"{label} {packages[name]}" for name, label in names.items() if name in packages]
    text = f"Software. {_and(used)}." if used else "Software. As provenance.json says."
    return f"{text} Other packages: {_and(list(dict.fromkeys(others)))}." if others else text


def _measures(design: Design) -> str:
    text = "Performance measures."
    if design.replicates:
        text += (
            " Share of data sets on which a method ends certified at the best maximum that any "
            "method or start found; bias, empirical standard error, root mean squared error and "
            "model standard error over the fits that ended neither singular nor failed, each "
            "method's own; coverage of "
            f"{100 * design.level:g}% intervals over all data sets that a method was asked to fit, "
            "one without an interval counted as a miss; passes over the data and seconds. "
            "Means over cells or scenarios are of this design alone."
        )
    if _asked(design):
        text += (
            " Of a criterion: share of simulated data sets on which it chooses the true number of "
            "components, one without a choice counted as wrong, and Kullback-Leibler divergence "
            "from the truth to the maximum likelihood fit with the number that it chooses."
        )
    if design.priors is not None:
        text += (
            " Of a prior: coverage, bias of the posterior means and loss of the predictive "
            "density, each also as the difference from the first prior on the same data sets."
        )
    if design.external:
        text += (
            " Of another package: how far its answer is from the best maximum that is known of, "
            "in standard errors, the root of twice the nats between them, where what EM goes to "
            "from any answer counts among the maxima; and coverage of its own intervals, or of "
            "Wald's at its answer and at the maximum that EM goes to from there."
        )
    return (
        f"{text} Monte Carlo standard errors stand in brackets behind each, those of roots and "
        "ratios of mean squares by the jackknife where it differs from the formula; a share of 0 "
        "or 1, or of few, has Wilson's 95% interval."
    )


def _labels(design: Design) -> list[str]:
    return [METHODS[m].label for m in design.replicates]


def _and(parts: Sequence[str], last: str = " and ") -> str:
    return last.join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def _range(values: Sequence[int]) -> str:
    """Of ascending numbers: one, or the first and the last."""
    return f"{values[0]:,}" if len(values) == 1 else f"{values[0]:,} to {values[-1]:,}"


def _list(values: Iterable[float]) -> str:
    return _and([f"{value:,g}" for value in values])


def _count(number: int, one: str, more: str = "") -> str:
    return f"{number} {one if number == 1 else more or one + 's'}"
