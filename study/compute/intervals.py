"""The intervals of a fit by every means that its method has, and how far it is from the truth.

Of its parameters, and of quantities that labels cannot touch. Rows only: measures of them over
replicates are in study/report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models import METHODS, Fit, Mixture, MixtureModel
from models.inference.bootstrap import Bootstrap, bootstrap
from models.inference.boundary import covariance_on, face
from models.inference.certificate import errors, sandwich_covariance
from models.inference.functionals import (
    Functional,
    cutoff_at,
    delta_method,
    density_at,
    functionals,
    quantile_at,
)
from models.inference.intervals import (
    basic,
    equal_tailed,
    highest_density,
    natural_wald_interval,
    percentile,
    wald,
    wald_interval,
)
from models.inference.profile import profile_intervals
from models.mixture import Floats
from models.sample import Data, as_data
from study.compute.guard import Say, guarded, silent
from study.rows import CUTOFF, FALSE_POSITIVES, PARAMETERS, arranged, estimated

LEVELS = (0.1, 0.5, 0.9)

# Draws of a posterior, evenly spaced, that label-free quantities are computed of: ends of their
# intervals are as good as those of the hundreds of effective draws that there are of more.
DRAWS = 1000

# A quantity that does not exist in more of the draws than these, as a crossing, gets no interval;
# else the interval is that of the draws in which it does.
UNDEFINED = 0.05


POSTERIOR, MODE = ("equal-tailed", "highest-density"), ("laplace",)
LIKELIHOOD = ("wald", "wald-natural", "sandwich", "profile")
REFITTED = ("percentile", "basic", "studentised")
BOOTSTRAP = (*REFITTED, "one-step")
# Those that label-free quantities have as well as parameters.
FOR_ALL = (*POSTERIOR, *MODE, "wald", "sandwich", "percentile", "basic")


class Limits(NamedTuple):
    """estimate, se (NaN where the kind has none), lower and upper: (3, K), or of one quantity."""

    estimate: Any
    se: Any
    lower: Any
    upper: Any


def label_free(points: Floats) -> dict[str, Functional]:
    """The functionals by name; the density's at the three points, quantiles at LEVELS.

    The points are the LEVELS quantiles of the truth, or of real data.
    """
    names = {"mean": "mixture mean", "variance": "mixture variance"}
    return {
        **{names.get(name, name): functional for name, functional in functionals((), ()).items()},
        CUTOFF: cutoff_at(FALSE_POSITIVES),
        **{
            f"density at {p:.0%} point": density_at(float(x))
            for x, p in zip(points, LEVELS, strict=True)
        },
        **{f"quantile {p:g}": quantile_at(p) for p in LEVELS},
    }


def rows(
    result: Fit,
    x: Floats,
    order: NDArray[np.intp],
    target: Mixture | None,
    density_target: Mixture | None,
    *,
    level: float,
    refits: int,
    rng: np.random.Generator,
    say: Say = silent,
    who: str = "",
) -> Iterator[dict[str, Any]]:
    """A row a kind of interval and quantity: truth, estimate, se, lower and upper.

    order: (K,), which component of the result stands for each of the target's. refits: of the
    parametric bootstrap, 0 for none. An end that a kind does not find is NaN; that of a profile
    likelihood which is above its threshold as far as its maxima go is the parameter's bound. A
    kind that breaks off has rows without numbers, with the reason as their message; say gets the
    whole story of it, of whom it is.
    """
    where = _points(density_target)
    free = label_free(as_data(x, None, result.model).quantiles(LEVELS) if where is None else where)
    rows_of = _Rows(result.model, order, target, density_target)
    for part in _parts(result, x, free, level, refits, rng):
        found, why = guarded(
            lambda: (list(part.make()), ""),  # noqa: B023  (called before the next turn)
            lambda why: ([], why),
            say, f"{who} {', '.join(part.kinds)}",
        )  # fmt: skip
        yield from rows_of.missing(part.kinds, why) if why else rows_of.found(found)


def missing(
    model: MixtureModel,
    method: str,
    target: Mixture | None,
    density_target: Mixture | None,
    *,
    refits: int,
    why: str,
) -> Iterator[dict[str, Any]]:
    """The rows that `rows` would have of a fit that has no intervals, without numbers, but why."""
    model = model if target is None else arranged(model, target)
    rows_of = _Rows(model, np.arange(model.k), target, density_target)
    yield from rows_of.missing(kinds_of(method, refits), why)


def kinds_of(method: str, refits: int) -> tuple[str, ...]:
    """The kinds of intervals that a method's fits have."""
    match METHODS[method].kind:
        case "posterior":
            return POSTERIOR
        case "posterior mode":
            return MODE
    return (*LIKELIHOOD, *(BOOTSTRAP if refits else ()))


def _points(density_target: Mixture | None) -> Floats | None:
    """The LEVELS quantiles of the truth."""
    if density_target is None:
        return None
    rows = density_target.as_rows()
    return np.array([float(quantile_at(level)(rows)) for level in LEVELS])


class _Rows:
    """The rows of the intervals of a fit, by kind, with the truths that they are held against.

    order: (K,), which component of the fit stands for each of the target's.
    """

    def __init__(
        self,
        model: MixtureModel,
        order: NDArray[np.intp],
        target: Mixture | None,
        density_target: Mixture | None,
    ) -> None:
        truth = np.full((3, model.k), np.nan) if target is None else target.as_rows()
        free = estimated(model)
        free[0, order[-1]] = False  # the last weight, one minus the others
        self.parameters = [
            (f"{parameter} {j + 1}", truth[row, j], (row, own))
            for row, parameter in enumerate(PARAMETERS)
            for j, own in enumerate(order)
            if free[row, own]
        ]
        points = _points(density_target)
        names = label_free(np.full(len(LEVELS), np.nan) if points is None else points)
        self.truths = dict.fromkeys(names, np.nan)
        if density_target is not None:
            true = density_target.as_rows()
            self.truths = {name: float(f(true)) for name, f in names.items()}

    def found(self, kinds: Iterable[_Kind]) -> Iterator[dict[str, Any]]:
        for kind, own, others in kinds:
            for name, truth, place in self.parameters if own is not None else ():
                assert own is not None
                yield _row(kind, name, truth, *(part[place] for part in own))
            for name, limits in others.items():
                yield _row(kind, name, self.truths[name], *limits)

    def missing(self, kinds: Iterable[str], why: str) -> Iterator[dict[str, Any]]:
        for kind in kinds:
            truths = {name: truth for name, truth, _ in self.parameters}
            for name, truth in (truths | (self.truths if kind in FOR_ALL else {})).items():
                yield _row(kind, name, truth, *[np.nan] * 4) | {"message": why}


def _row(
    kind: str, quantity: str, truth: float, estimate: float, se: float, low: float, high: float
) -> dict[str, Any]:
    ends = {"estimate": estimate, "se": se, "lower": low, "upper": high}
    return {"kind": kind, "quantity": quantity, "truth": truth} | ends


type _Kind = tuple[str, Limits | None, dict[str, Limits]]


class _Part(NamedTuple):
    """Kinds that are made together."""

    kinds: tuple[str, ...]
    make: Callable[[], Iterable[_Kind]]


def _parts(
    result: Fit,
    x: Floats,
    free: Mapping[str, Functional],
    level: float,
    refits: int,
    rng: np.random.Generator,
) -> Iterator[_Part]:
    match METHODS[result.method].kind:
        case "posterior":
            yield _Part(POSTERIOR, lambda: _of_posterior(result, free, level))
        case "posterior mode":
            covered = result.covariance
            yield _Part(MODE, lambda: [_of_covariance("laplace", result, covered, free, level)])
        case "likelihood":
            covered = result.covariance
            yield _Part(("wald",), lambda: [_of_covariance("wald", result, covered, free, level)])
            yield _Part(("wald-natural",), lambda: [_natural(result, level)])
            yield _Part(("sandwich",), lambda: [_sandwich(result, x, free, level)])
            yield _Part(("profile",), lambda: [_profile(result, x, level)])
            if refits:
                drawn = x.size, free, level, refits, rng
                yield _Part(REFITTED, lambda: _refitted(result, *drawn))
                yield _Part(("one-step",), lambda: [_one_step(result, *drawn)])


def _of_covariance(
    kind: str, result: Fit, covariance: Floats, free: Mapping[str, Functional], level: float
) -> _Kind:
    mixture = result.mixture
    assert mixture is not None
    se = errors(covariance)
    own = Limits(mixture.as_rows(), se, *wald_interval(mixture, se, level))
    others = {}
    if result.boundary is not None:  # of the model without the components that are gone
        covariance = np.nan_to_num(covariance)
    for name, functional in free.items():
        value, error = delta_method(functional, mixture, covariance)
        others[name] = Limits(value, error, *wald(value, error, level))
    return kind, own, others


def _natural(result: Fit, level: float) -> _Kind:
    assert result.mixture is not None
    values, se = result.mixture.as_rows(), np.asarray(result.se)
    ends = natural_wald_interval(result.mixture, se, level)
    return "wald-natural", Limits(values, se, *ends), {}


def _sandwich(result: Fit, x: Floats, free: Mapping[str, Functional], level: float) -> _Kind:
    assert result.mixture is not None
    robust = _robust(as_data(x, None, result.model), result.model, result.mixture)
    return _of_covariance("sandwich", result, robust, free, level)


def _profile(result: Fit, x: Floats, level: float) -> _Kind:
    mixture, model = result.mixture, result.model
    assert mixture is not None
    profile = profile_intervals(as_data(x, None, model), model, mixture, level)
    lower, upper = np.asarray(profile.lower), np.asarray(profile.upper)
    if result.certificate is not None and result.certificate.certified:
        # The likelihood does not bound the parameter on a side on which its maxima end.
        lower = np.where(profile.lower_kind == "lost", [[0.0], [-np.inf], [0.0]], lower)
        upper = np.where(profile.upper_kind == "lost", [[1.0], [np.inf], [np.inf]], upper)
    values = mixture.as_rows()
    return "profile", Limits(values, np.full_like(values, np.nan), lower, upper), {}


def _robust(data: Data, model: MixtureModel, mixture: Mixture) -> Floats:
    """(3K, 3K): the sandwich; of the model without the components whose weights are 0."""
    if mixture.weights.all():
        return sandwich_covariance(mixture, model, data.second_moments(mixture))
    left = face(mixture, model, mixture.weights == 0.0)
    second = data.second_moments(left.mixture)
    return covariance_on(model, left, sandwich_covariance(left.mixture, left.model, second))


def _refitted(
    result: Fit,
    n: int,
    free: Mapping[str, Functional],
    level: float,
    refits: int,
    rng: np.random.Generator,
) -> Iterator[_Kind]:
    mixture = result.mixture
    assert mixture is not None
    values = mixture.as_rows()
    full = bootstrap(result.model, mixture, n, refits, rng)
    for kind, own, ends in (
        ("percentile", full.percentile, lambda value, d: percentile(d, level)),
        ("basic", full.basic, lambda value, d: basic(value, d, level)),
    ):
        others = {}
        for name, functional in free.items():
            value, d = float(functional(values)), _defined(functional(full.draws))
            others[name] = Limits(value, d.std(ddof=1), *ends(value, d))
        yield kind, _limits(values, full, *own(level)), others
    se = np.asarray(result.se)
    yield "studentised", _limits(values, full, *full.studentised(se, level)), {}


def _one_step(
    result: Fit,
    n: int,
    free: Mapping[str, Functional],
    level: float,
    refits: int,
    rng: np.random.Generator,
) -> _Kind:
    mixture = result.mixture
    assert mixture is not None
    short = bootstrap(result.model, mixture, n, refits, rng, one_step=True)
    return "one-step", _limits(mixture.as_rows(), short, *short.percentile(level)), {}


def _limits(values: Floats, of: Bootstrap, lower: Floats, upper: Floats) -> Limits:
    return Limits(values, np.asarray(of.se), np.asarray(lower), np.asarray(upper))


def _of_posterior(result: Fit, free: Mapping[str, Functional], level: float) -> Iterator[_Kind]:
    draws = result.relabelled_draws
    flat = draws.reshape(-1, *draws.shape[2:])
    assert result.mixture is not None
    own = result.mixture.as_rows(), np.asarray(result.se)
    some = flat[:: max(len(flat) // DRAWS, 1)]
    found = {name: _defined(f(some)) for name, f in free.items()}
    for kind, ends in (("equal-tailed", equal_tailed), ("highest-density", highest_density)):
        others = {
            name: Limits(d.mean(), d.std(ddof=1), *ends(d, level)) for name, d in found.items()
        }
        yield kind, Limits(*own, *ends(flat, level)), others


def _defined(draws: Floats) -> Floats:
    """The draws in which a quantity exists; two NaNs if it does not in more than UNDEFINED."""
    exists = np.isfinite(draws)
    return draws[exists] if exists.mean() >= 1.0 - UNDEFINED else np.full(2, np.nan)
