"""The intervals of a fit by every means that its method has, and how far it is from the truth.

Of its parameters, and of quantities that labels cannot touch. Rows only: measures of them over
replicates are in study/report.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models import METHODS, Fit, Mixture
from models.inference.bootstrap import Bootstrap, bootstrap
from models.inference.certificate import errors, sandwich_covariance
from models.inference.functionals import Functional, delta_method, functionals
from models.inference.intervals import (
    basic,
    equal_tailed,
    highest_density,
    natural_wald_interval,
    wald,
    wald_interval,
)
from models.inference.profile import profile_intervals
from models.mixture import Floats
from models.sample import as_data
from study.rows import PARAMETERS

LEVELS = (0.1, 0.5, 0.9)

# Draws of a posterior, evenly spaced, that label-free quantities are computed of: ends of their
# intervals are as good as those of the hundreds of effective draws that there are of more.
DRAWS = 1000

# A quantity that does not exist in more of the draws than these, as a crossing, gets no interval;
# else the interval is that of the draws in which it does.
UNDEFINED = 0.05


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
    names = {
        f"density at {x:g}": f"density at {p:.0%} point"
        for x, p in zip(points, LEVELS, strict=True)
    }
    names |= {"mean": "mixture mean", "variance": "mixture variance"}
    return {names.get(n, n): f for n, f in functionals(points, LEVELS).items()}


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
) -> Iterator[dict[str, Any]]:
    """A row a kind of interval and quantity: truth, estimate, se, lower and upper.

    order: (K,), which component of the result stands for each of the target's. refits: of the
    parametric bootstrap, 0 for none. An end that a kind does not find is NaN; that of a profile
    likelihood which is above its threshold as far as its maxima go is the parameter's bound.
    """
    assert result.mixture is not None
    source = as_data(x, None, result.model)
    where = source.quantiles(LEVELS)
    if density_target is not None:
        everything = functionals((), LEVELS)
        where = np.array([everything[f"quantile {p:g}"](density_target.as_rows()) for p in LEVELS])
    free = label_free(where)
    truths = dict.fromkeys(free, np.nan)
    if density_target is not None:
        truths = {name: float(f(density_target.as_rows())) for name, f in free.items()}
    estimated = np.asarray(result.se) != 0
    estimated[0, order[-1]] = False  # the last weight, one minus the others
    for kind, own, others in _kinds(result, x, free, level, refits, rng):
        if own is not None:
            truth = np.full((3, result.model.k), np.nan) if target is None else target.as_rows()
            for row, parameter in enumerate(PARAMETERS):
                for j, component in enumerate(order):
                    if estimated[row, component]:
                        values = (part[row, component] for part in own)
                        yield _row(kind, f"{parameter} {j + 1}", truth[row, j], *values)
        for name, limits in others.items():
            yield _row(kind, name, truths[name], *limits)


def _row(
    kind: str, quantity: str, truth: float, estimate: float, se: float, low: float, high: float
) -> dict[str, Any]:
    ends = {"estimate": estimate, "se": se, "lower": low, "upper": high}
    return {"kind": kind, "quantity": quantity, "truth": truth} | ends


type _Kind = tuple[str, Limits | None, dict[str, Limits]]


def _kinds(
    result: Fit,
    x: Floats,
    free: Mapping[str, Functional],
    level: float,
    refits: int,
    rng: np.random.Generator,
) -> Iterator[_Kind]:
    match METHODS[result.method].kind:
        case "posterior":
            yield from _of_posterior(result, free, level)
        case "posterior mode":
            yield _of_covariance("laplace", result, result.covariance, free, level)
        case "likelihood":
            yield from _of_likelihood(result, x, free, level)
            if refits:
                yield from _of_bootstrap(result, x.size, free, level, refits, rng)


def _of_covariance(
    kind: str, result: Fit, covariance: Floats, free: Mapping[str, Functional], level: float
) -> _Kind:
    mixture = result.mixture
    assert mixture is not None
    se = errors(covariance)
    own = Limits(mixture.as_rows(), se, *wald_interval(mixture, se, level))
    others = {}
    for name, functional in free.items():
        value, error = delta_method(functional, mixture, covariance)
        others[name] = Limits(value, error, *wald(value, error, level))
    return kind, own, others


def _of_likelihood(
    result: Fit, x: Floats, free: Mapping[str, Functional], level: float
) -> Iterator[_Kind]:
    mixture, model = result.mixture, result.model
    assert mixture is not None
    yield _of_covariance("wald", result, result.covariance, free, level)
    values, se = mixture.as_rows(), np.asarray(result.se)
    yield "wald-natural", Limits(values, se, *natural_wald_interval(mixture, se, level)), {}
    data = as_data(x, None, model)
    robust = sandwich_covariance(mixture, model, data.second_moments(mixture))
    yield _of_covariance("sandwich", result, robust, free, level)
    profile = profile_intervals(data, model, mixture, level)
    lower, upper = np.asarray(profile.lower), np.asarray(profile.upper)
    if result.certificate is not None and result.certificate.certified:
        # The likelihood does not bound the parameter on a side on which its maxima end.
        lower = np.where(profile.lower_kind == "lost", [[0.0], [-np.inf], [0.0]], lower)
        upper = np.where(profile.upper_kind == "lost", [[1.0], [np.inf], [np.inf]], upper)
    ends = lower, upper
    yield "profile", Limits(values, np.full_like(se, np.nan), *ends), {}


def _of_bootstrap(
    result: Fit,
    n: int,
    free: Mapping[str, Functional],
    level: float,
    refits: int,
    rng: np.random.Generator,
) -> Iterator[_Kind]:
    mixture, model = result.mixture, result.model
    assert mixture is not None
    values = mixture.as_rows()
    full = bootstrap(model, mixture, n, refits, rng)
    for kind, own, ends in (
        ("percentile", full.percentile, lambda value, d: equal_tailed(d, level)),
        ("basic", full.basic, lambda value, d: basic(value, d, level)),
    ):
        others = {}
        for name, functional in free.items():
            value, d = float(functional(values)), _defined(functional(full.draws))
            others[name] = Limits(value, d.std(ddof=1), *ends(value, d))
        yield kind, _limits(values, full, *own(level)), others
    se = np.asarray(result.se)
    yield "studentised", _limits(values, full, *full.studentised(se, level)), {}
    short = bootstrap(model, mixture, n, refits, rng, one_step=True)
    yield "one-step", _limits(values, short, *short.percentile(level)), {}


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
