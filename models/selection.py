"""How many components: fits of each K, the criteria by which one is chosen, and their choices.

Refits are in resampling.py, what a posterior says in posterior/evidence.py and posterior/gibbs.py.
What each criterion is stands in criteria.py.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from models import checks, kernels
from models.criteria import CRITERIA, INFORMATION
from models.frame import Frame
from models.methods import Fit, fit
from models.mixture import Floats, Mixture
from models.model import MixtureModel
from models.posterior import evidence, gibbs
from models.priors import Prior
from models.resampling import RatioTest, cross_validated, folds, ratio_test
from models.sample import CompressedData, Data, StreamedData, as_sample
from models.search import highest
from models.starts import START_SIZE, several_starts
from models.verdicts import BELIEVED

# What a fit counts of its passes over the data.
PASSES = ("start", "moments", "second_moments")
# Nothing that can be believed was found for a K.
NOTHING = "nothing believable"


class Value(NamedTuple):
    """A criterion at a K.

    value: NaN where there is none. error: its standard error; 0 where it has none, as a function
    of the fit alone. note: what else is to be said.
    """

    value: float
    error: float = 0.0
    note: str = ""


@dataclass(frozen=True, eq=False)
class Candidate:
    """One number of components.

    k, equal_sds: the model.
    fit: its best believable maximum; where there is none the best of what was found.
    verdict: of `Fit.verdict`, or NOTHING.
    values: by criterion.
    higher: nats by which a maximum that is not believed was found higher, 0 if none was.
    """

    k: int
    equal_sds: bool
    fit: Fit
    verdict: str
    values: Mapping[str, Value]
    higher: float = 0.0

    @property
    def believed(self) -> bool:
        """Whether it takes part in the choice."""
        return self.verdict != NOTHING


class Cost(NamedTuple):
    """What a criterion, or the fits behind them, took: passes over the data, and seconds."""

    passes: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Selection:
    """What `select` found.

    n: the total count.
    criteria: their names, in order.
    candidates: by K, first with free, then with common sds.
    choices: by criterion, a place in candidates; None where nothing can be chosen.
    costs: by criterion, those of the fits under "fits".
    """

    n: float
    criteria: tuple[str, ...]
    candidates: tuple[Candidate, ...] = field(repr=False)
    choices: Mapping[str, int | None]
    costs: Mapping[str, Cost] = field(repr=False)

    def chosen(self, criterion: str) -> Candidate:
        """What a criterion chooses.

        Raises ValueError if it was not computed, or chooses nothing.
        """
        self._known(criterion)
        place = self.choices[criterion]
        if place is None:
            why = self.candidates[0].values[criterion].note or NOTHING
            raise ValueError(f"criterion: {criterion} chooses nothing: {why}")
        return self.candidates[place]

    def probabilities(self, criterion: str = "bridge") -> tuple[Floats, Floats]:
        """(candidates,) posterior probabilities under equal prior odds, and their errors.

        criterion: "bridge" or "laplace", the log marginal likelihoods that they come from.
        """
        if criterion not in ("bridge", "laplace"):
            raise ValueError(f"criterion: {criterion!r} is no evidence; give bridge or laplace")
        self._known(criterion)
        values = [one.values[criterion] for one in self.candidates]
        return evidence.posterior_of_k([evidence.Evidence(v.value, v.error) for v in values])

    def _known(self, criterion: str) -> None:
        if criterion not in self.choices:
            raise ValueError(f"criterion: {criterion!r} was not computed; give it in criteria")

    def values(self, criterion: str) -> Floats:
        """(candidates,): a criterion's values, NaN where it has none."""
        return np.array([one.values[criterion].value for one in self.candidates])


def select(
    x: ArrayLike | CompressedData,
    ks: Iterable[int] = range(1, 7),
    *,
    criteria: Sequence[str] = INFORMATION,
    equal_sds: bool | Sequence[bool] = False,
    counts: ArrayLike | None = None,
    starts: int = 15,
    replicates: int = 99,
    folds: int = 10,
    prior: Prior | None = None,
    rng: np.random.Generator | int | None = None,
    compress: bool | Literal["auto"] = "auto",
) -> Selection:
    """How many components x has, by each of the criteria.

    Returns a Selection. Each K has the highest maximum that is believed (`models.search`): one that
    is spurious or singular is no candidate, whatever its likelihood.

    x: observations (n,), or what `compress` made, as of `fit`.
    ks: numbers of components.
    criteria: names in CRITERIA; default those of the maximum likelihood.
    equal_sds: one common sd; (False, True) for both, as mclust's V and E. The tests of lrt go
        through each kind by itself, and choose within the first.
    counts: (n,) frequencies, as of `fit`.
    starts: how many of the screened starts are followed to their maxima; the halves of the fit with
        one component less are among them.
    replicates: samples of each bootstrap test; 99, so that p <= .05 has its level.
    folds: of the cross-validation.
    prior: of what needs a posterior; default Prior.default. Each K has the same one.
    rng: a Generator or a seed; default 0.
    compress: as of `fit`.

    Raises ValueError for bad input, naming the argument.
    """
    models = _models(ks, equal_sds)
    names = _checked(criteria)
    if "lrt" in names and any(b.k - a.k > 1 for a, b in pairwise(models)):
        raise ValueError("ks: have a gap, and the tests of lrt go from each K to the next; fill it")
    starts, replicates = checks.whole("starts", starts), checks.whole("replicates", replicates)
    folds = checks.whole("folds", folds, 2)
    if prior is not None and not isinstance(prior, Prior):
        raise ValueError(f"prior: {prior!r} is not a Prior; give one, or None for the default")
    generator = np.random.default_rng(0 if rng is None else rng)
    sample = as_sample(x, counts, models[-1])
    data = _searched(sample, generator, models[-1].k, names)
    begin = time.perf_counter()
    found, passes = _fits(x, counts, data, models, starts, generator, compress)
    costs = {"fits": Cost(passes, time.perf_counter() - begin)}
    # A stream each, so that no criterion depends on which others are asked for.
    names_of = [*CRITERIA, "posterior"]
    streams = dict(zip(names_of, generator.spawn(len(names_of)), strict=True))
    problem = Problem(data, found, _prior(prior, data), streams, replicates, folds, {})
    values: dict[str, list[Value]] = {}
    for name in names:
        begin = time.perf_counter()
        values[name], passes = _COMPUTED[name](problem, streams[name])
        costs[name] = Cost(passes, time.perf_counter() - begin)
    candidates = tuple(
        replace(one, values={name: values[name][i] for name in names})
        for i, one in enumerate(found)
    )
    choices = {name: _choice(name, candidates) for name in names}
    return Selection(data.whole.n, names, candidates, choices, costs)


def _models(ks: Iterable[int], equal_sds: bool | Sequence[bool]) -> list[MixtureModel]:
    """One of each kind; a single component has one sd, so it comes once."""
    numbers = sorted({checks.whole("ks", k) for k in ks})
    if not numbers:
        raise ValueError("ks: is empty; give numbers of components, such as range(1, 7)")
    kinds = [equal_sds] if isinstance(equal_sds, bool | np.bool_) else list(equal_sds)
    if not kinds:
        raise ValueError("equal_sds: is empty; give True, False, or both")
    kinds = list(dict.fromkeys(checks.flag("equal_sds", kind) for kind in kinds))
    return [
        MixtureModel(k, equal_sds=kind) for k in numbers for kind in (kinds if k > 1 else kinds[:1])
    ]


def _checked(criteria: Sequence[str]) -> tuple[str, ...]:
    names = (criteria,) if isinstance(criteria, str) else tuple(dict.fromkeys(criteria))
    if not names:
        raise ValueError(f"criteria: is empty; choose from {', '.join(CRITERIA)}")
    for name in names:
        if name not in CRITERIA:
            raise ValueError(f"criteria: unknown {name!r}; choose from {', '.join(CRITERIA)}")
    return names


class Searched(NamedTuple):
    """whole: the sample in the frame. part: what is searched, all of it or a random part."""

    frame: Frame
    whole: Data | CompressedData
    part: Data


def _searched(
    sample: Data | CompressedData, rng: np.random.Generator, k: int, names: Sequence[str]
) -> Searched:
    if isinstance(sample, Data):
        frame = Frame.of(*sample.ends)
        inside = sample if frame.plain else Data(frame.inside(sample.x), sample.counts)
        distinct = np.unique(sample.x).size
        if distinct < k:
            raise ValueError(
                f"ks: {k} components need at least {k} distinct values; x has {distinct}"
            )
        return Searched(frame, inside, inside.thinned(START_SIZE, rng))
    needy = [name for name in names if CRITERIA[name].needs != "fit"]
    if needy and isinstance(sample.exact, StreamedData):
        raise ValueError(
            f"criteria: {needy[0]} needs every observation, which a streamed sample has not; "
            "choose from aic, aicc, bic, or give x itself"
        )
    return Searched(sample.compressed.cells.frame, sample, sample.thinned(START_SIZE, rng))


def _fits(
    x: ArrayLike | CompressedData,
    counts: ArrayLike | None,
    data: Searched,
    models: Sequence[MixtureModel],
    starts: int,
    rng: np.random.Generator,
    compress: bool | Literal["auto"],
) -> tuple[list[Candidate], int]:
    """The candidates, without values, and the passes behind them."""
    found: list[Candidate] = []
    best: dict[tuple[int, bool], Mixture] = {}
    passes = 0
    for model in models:
        fewer = [best[k, kind] for k, kind in best if k == model.k - 1 and kind == model.equal_sds]
        fewer += [best[1, kind] for k, kind in best if k == 1 == model.k - 1 and not fewer]
        near = [best[k, kind] for k, kind in best if k == model.k]  # of the other kind of sds
        top = highest(data.part, model, rng, starts, [*near, *fewer])
        start = top.other if top.mixture is None else top.mixture
        start = None if start is None else data.frame.mixture_outside(start)
        one = fit("newton", x, model, counts=counts, start=start, rng=rng, compress=compress)
        passes += top.passes + sum(one.evaluations.get(kind, 0) for kind in PASSES)
        verdict = one.verdict()
        if verdict in BELIEVED and one.mixture is not None:
            best[model.k, model.equal_sds] = data.frame.mixture_inside(one.mixture)
        else:
            verdict = NOTHING
        found.append(Candidate(model.k, model.equal_sds, one, verdict, {}, top.higher))
    return found, passes


def _prior(prior: Prior | None, data: Searched) -> Prior:
    if prior is None:
        return Prior.default(data.whole)
    return prior.standardised(data.frame.shift, 2.0**data.frame.exponent)


def _choice(name: str, candidates: Sequence[Candidate]) -> int | None:
    if name == "lrt":
        return _by_tests(candidates)
    if any(one.values[name].note.startswith(BEYOND) for one in candidates):
        return None
    always = CRITERIA[name].needs == "posterior"
    values = np.array(
        [one.values[name].value if one.believed or always else np.nan for one in candidates]
    )
    values = CRITERIA[name].sign * values
    return None if np.isnan(values).all() else int(np.nanargmax(values))


class Problem(NamedTuple):
    """What a criterion is computed from, data and prior in the frame.

    posteriors: by place in candidates, as far as they have been sampled.
    """

    data: Searched
    candidates: Sequence[Candidate]
    prior: Prior
    streams: Mapping[str, np.random.Generator]
    replicates: int
    folds: int
    posteriors: dict[int, Fit]


# The values of all candidates, and the passes that they took.
type Compute = Callable[[Problem, np.random.Generator], tuple[list[Value], int]]


def _observed(problem: Problem) -> Data:
    whole = problem.data.whole
    exact = whole.exact if isinstance(whole, CompressedData) else whole
    assert isinstance(exact, Data)
    return exact


def _inside(problem: Problem, one: Candidate) -> Mixture:
    assert one.fit.mixture is not None
    return problem.data.frame.mixture_inside(one.fit.mixture)


# --- Information criteria ----------------------------------------------------------------------


def _of_fits(value: Callable[[Fit], float]) -> Compute:
    def compute(problem: Problem, rng: np.random.Generator) -> tuple[list[Value], int]:
        return [
            Value(value(one.fit)) if one.believed else Value(np.nan, note=NOTHING)
            for one in problem.candidates
        ], 0

    return compute


def aicc(one: Fit) -> float:
    """AIC corrected for small n; inf where n is not above the number of parameters plus one."""
    p, left = one.n_parameters, one.n - one.n_parameters - 1.0
    return one.aic + (2.0 * p * (p + 1.0) / left if left > 0.0 else math.inf)


def allocation_terms(mixture: Mixture, data: Data) -> tuple[float, float]:
    """Entropy of the responsibilities, and minus the log of the largest ones, summed; in nats.

    Biernacki, Celeux and Govaert (2000), equation 2.3, and its form with hard allocations.
    """
    there = mixture.weights > 0.0
    w, m, s = (row[there] for row in mixture.as_rows())
    out = np.zeros((1, 2))
    scale, precisions = np.log(w / s)[None], 1.0 / s[None]
    kernels.loglik_and_entropy(scale, m[None], precisions, data.x, data.counts, out)
    hard, block = 0.0, 20_000
    for i in range(0, data.x.size, block):
        z = (data.x[i : i + block, None] - m) * precisions
        joint = scale - 0.5 * z * z
        lost = np.logaddexp.reduce(joint, axis=1) - joint.max(axis=1)
        hard += float(data.counts[i : i + block] @ lost)
    return float(out[0, 1]), hard


def _icl(which: int) -> Compute:
    def compute(problem: Problem, rng: np.random.Generator) -> tuple[list[Value], int]:
        data = _observed(problem)
        values = [
            Value(one.fit.bic + 2.0 * allocation_terms(_inside(problem, one), data)[which])
            if one.believed
            else Value(np.nan, note=NOTHING)
            for one in problem.candidates
        ]
        return values, len(values)

    return compute


# --- Refits -------------------------------------------------------------------------------------

# Of the sequence of tests, above which it ends.
LEVEL = 0.05


def _cv(problem: Problem, rng: np.random.Generator) -> tuple[list[Value], int]:
    """The same folds for every K, so that their differences are known better than their values."""
    data = _observed(problem)
    parts = folds(data, min(problem.folds, int(data.n)), rng)
    values, passes = [], 0
    for one in problem.candidates:
        if not one.believed:
            values.append(Value(np.nan, note=NOTHING))
            continue
        found = cross_validated(parts, one.fit.model, _inside(problem, one), rng)
        passes += found.passes
        scale = data.n * problem.data.frame.log_scale
        note = NOTHING if np.isnan(found.value) else ""
        values.append(Value(found.value - scale, found.error, note))
    return values, passes


def _lrt(problem: Problem, rng: np.random.Generator) -> tuple[list[Value], int]:
    """In sequence, of each kind of sds: from the first K on until one is not rejected."""
    data, passes = _observed(problem), 0
    values = [Value(np.nan, note="not tested") for _ in problem.candidates]
    for kind in dict.fromkeys(one.equal_sds for one in problem.candidates):
        for place, above in _steps(problem.candidates, kind):
            one, more = problem.candidates[place], problem.candidates[above]
            if not one.believed:
                values[place] = Value(np.nan, note=NOTHING)
                continue
            models = one.fit.model, MixtureModel(more.k, equal_sds=kind)
            found = ratio_test(data, models, _inside(problem, one), problem.replicates, rng)
            passes += found.passes
            values[place] = Value(found.p, found.error, _said(found))
            if found.p > LEVEL:
                break
    return values, passes


def _said(found: RatioTest) -> str:
    return f"{found.behind} refits behind" if found.behind else ""


def _steps(candidates: Sequence[Candidate], kind: bool) -> list[tuple[int, int]]:
    """Places of K and K + 1 components; a single one belongs to both kinds of sds."""
    own = [i for i, one in enumerate(candidates) if one.k == 1 or one.equal_sds == kind]
    return list(pairwise(own))


def _by_tests(candidates: Sequence[Candidate]) -> int | None:
    """The first K, of the first kind of sds, that is not rejected; the last where all are."""
    steps = _steps(candidates, candidates[0].equal_sds)
    for place, _ in steps:
        if candidates[place].values["lrt"].value > LEVEL:
            return place
    tested = [above for place, above in steps if candidates[place].values["lrt"].value <= LEVEL]
    believed = [place for place in tested if candidates[place].believed]
    return believed[-1] if believed else None


# --- The posterior -----------------------------------------------------------------------------

# Components of the overfitted mixture, and Dirichlet parameters of its weights.
OVERFITTED = 10
# What is said where the most probable number of components is none of the candidates'.
BEYOND = "most probable:"
# Draws of a chain, at most: what is known of components that are not needed grows slowly.
MOST_DRAWS = 4000
# Starts of the search for the posterior's mode.
MODES = 10


def _laplace(problem: Problem, rng: np.random.Generator) -> tuple[list[Value], int]:
    data = problem.data.whole
    values = []
    for one in problem.candidates:
        model = one.fit.model
        starts = [found.mixture for found in several_starts(data, model, rng, MODES)]
        starts += [_inside(problem, one)] if one.believed else []
        values.append(_of_evidence(problem, evidence.laplace(data, model, problem.prior, starts)))
    return values, 0


def _bridge(problem: Problem, rng: np.random.Generator) -> tuple[list[Value], int]:
    data, values, passes = _observed(problem), [], 0
    for place, one in enumerate(problem.candidates):
        sampled, taken = _posterior(problem, place)
        passes += taken
        if sampled.draws is None:
            values.append(Value(np.nan, note=sampled.message))
            continue
        draws = sampled.relabelled_draws
        found = evidence.bridge(data, one.fit.model, problem.prior, draws, rng)
        passes += draws.shape[0] * draws.shape[1]
        values.append(_of_evidence(problem, found, sampled.verdict()))
    return values, passes


def _of_evidence(problem: Problem, found: evidence.Evidence, verdict: str = "sampled") -> Value:
    scale = problem.data.whole.n * problem.data.frame.log_scale
    note = found.note or ("" if verdict == "sampled" else verdict)
    return Value(found.value - scale, found.error, note)


def _posterior(problem: Problem, place: int) -> tuple[Fit, int]:
    """By NUTS, and the gradients that it took; 0 where it was there already."""
    if place in problem.posteriors:
        return problem.posteriors[place], 0
    one, data = problem.candidates[place], _observed(problem)
    start = _inside(problem, one) if one.believed else None
    own: Any = {"counts": data.counts, "start": start, "rng": problem.streams["posterior"]}
    sampled = fit("nuts", data.x, one.fit.model, prior=problem.prior, max_draws=MOST_DRAWS, **own)
    problem.posteriors[place] = sampled
    return sampled, sampled.evaluations.get("gradients", 0)


def _predictive(which: int) -> Compute:
    def compute(problem: Problem, rng: np.random.Generator) -> tuple[list[Value], int]:
        data, values, passes = _observed(problem), [], 0
        for place in range(len(problem.candidates)):
            sampled, taken = _posterior(problem, place)
            passes += taken
            if sampled.draws is None:
                values.append(Value(np.nan, note=sampled.message))
                continue
            found = evidence.predictions(sampled.relabelled_draws, data.x, data.counts)[which]
            note = f"{found.high} unreliable" if found.high else ""
            scale = data.n * problem.data.frame.log_scale
            values.append(Value(found.value - scale, found.error, note))
        return values, passes

    return compute


def _overfitted(concentration: float) -> Compute:
    def compute(problem: Problem, rng: np.random.Generator) -> tuple[list[Value], int]:
        k = max(OVERFITTED, max(one.k for one in problem.candidates))
        found = gibbs.overfitted(_observed(problem), rng, concentration, k=k, prior=problem.prior)
        most = 1 + int(np.argmax(found.probability))
        note = "" if any(one.k == most for one in problem.candidates) else f"{BEYOND} {most}"
        values = [
            Value(np.nan, note="free sds alone")
            if one.equal_sds and one.k > 1
            else Value(found.probability[one.k - 1].item(), found.error[one.k - 1].item(), note)
            for one in problem.candidates
        ]
        return values, 0

    return compute


_COMPUTED: dict[str, Compute] = {
    "aic": _of_fits(lambda one: one.aic),
    "aicc": _of_fits(aicc),
    "bic": _of_fits(lambda one: one.bic),
    "icl": _icl(0),
    "icl-hard": _icl(1),
    "cv": _cv,
    "lrt": _lrt,
    "laplace": _laplace,
    "bridge": _bridge,
    "loo": _predictive(0),
    "waic": _predictive(1),
    "overfitted": _overfitted(0.01),
    "overfitted-half": _overfitted(0.5),
}
