"""By how much the numbers of two makings of a row may differ, column by column, and why.

Between processors sums are rounded differently, an optimiser stops elsewhere within its
certificate, and a sampler's chains, whose every step hangs on the last digit, are others. What that
lets a number differ by:

- Certificates say how far both ends are from the maximum, in standard errors of any combination of
  the parameters (the Newton decrement, by Cauchy and Schwarz), so that the ends differ by the sum.
  d is twice that, for the likelihood is no exact quadratic, and at least FLOOR.
- Standard errors and ends of intervals move with the estimate, CURVED times as far, and have the
  rounding of an information that is solved for, SOLVED of a standard error.
- The kernels' sums are right to 8e-15 of the sum of their terms' sizes (SUMMED, with room); a
  log-likelihood is that, and what both ends are below the maximum, at most d². At a posterior mode
  it has the prior's slope, which moves an estimate by few standard errors: STEEP times d.
- Distances in the large are of a quadratic: Hellinger's is d/sqrt(8 n), and obeys the triangle.
- A criterion for the number of components is of fits within CERTIFIED of their maxima: of BIC and
  its like that is squared, where the entropy or other data come in it has a slope.
- Other packages end where their rule says. Where they count the same steps their ends differ by
  rounding, SOLVED of a standard error; else by the step that the rule allows, of a gain of `stop`.
- What is counted on the way, and words on how a fit ended, hang on comparisons that the last digit
  decides: they may differ where all numbers of the fit agree.
- Where both ends are a collapse, numbers on the way to an unbounded likelihood are not held; nor
  are those of a package of another version, or of one that is not there.
- Posterior means, sds and ends of equal-tailed intervals have Monte Carlo errors by the effective
  draws, sds where the interval is as wide as a normal's. They are held where both fits' R-hat and
  ESS are good and, of components, where which is which is more than a convention; the others, and
  what has no such error, are said not to be. Criteria that tell their own Monte Carlo error have
  that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from models.criteria import CRITERIA
from models.mixture import Floats
from study.compute.intervals import DRAWS
from study.rows import FIT, PARAMETERS

FLOOR, CURVED, SOLVED, SUMMED, STEEP = 1e-8, 20.0, 1e-6, 1e-13, 10.0
CERTIFIED = 1e-4
# Of a normal, in sds: its 97.5% quantile, and of a sample's sqrt(p (1 - p)) over the density there.
# The level of intervals may be another one; 95% is close enough for their errors.
NORMAL = float(norm.isf(0.025))
TAIL = float(np.sqrt(0.025 * 0.975) / norm.pdf(NORMAL))

# What tells a row; of a criterion, or of a prior, its name stands for the method.
STANDS = {"criterion": "method", "prior": "method"}
KEYS = {
    "fits": FIT,
    "estimates": [*FIT, "parameter", "component"],
    "intervals": [*FIT, "kind", "quantity"],
    "losses": FIT,
    "labels": FIT,
    "targets": ["scenario", "parameter", "component"],
    "em_rates": ["scenario"],
    "criteria": [*FIT, "k"],
    "choices": FIT,
    "priors": [*FIT, "parameter"],
    "prior_fits": FIT,
    "external": FIT,
    "external_estimates": [*FIT, "kind", "parameter", "component"],
    "external_chains": FIT,
    "external_orders": [*FIT, "k"],
}

NONE = "none"

# What a column may differ by ---------------------------------------------------------------------


def _count(p: pd.DataFrame) -> Any:
    return 0.0


def _estimate(p: pd.DataFrame) -> Any:
    return p["d"] * p["scale"]


def _moved(p: pd.DataFrame) -> Any:
    return (CURVED * p["d"] + SOLVED) * p["scale"]


def _end(p: pd.DataFrame) -> Any:
    """As `_moved`, where a step of the estimate is longer: ends of sds and weights are Wald's on
    the scales of the logarithm and the logit."""
    end, estimate = p["value"].abs(), p["estimate"].abs()
    of = p["parameter"] if "parameter" in p else p["quantity"].str.split(" ").str[0]
    longer = (end / estimate).where(of == "sd", 1.0)
    logit = end * (1.0 - end) / (estimate * (1.0 - estimate))
    return _moved(p) * np.fmax(longer.where(of != "weight", logit), 1.0)


def _target(p: pd.DataFrame) -> Any:
    return CERTIFIED * p["scale"]


def _solved(p: pd.DataFrame) -> Any:
    return SOLVED * p["scale"]


def _loglik(p: pd.DataFrame) -> Any:
    summed = SUMMED * np.maximum(p["value"].abs(), p["n"])
    return summed + np.where(p["method"] == "map", STEEP * p["d"], p["d"] ** 2)


def _distance(p: pd.DataFrame) -> Any:
    return np.maximum(CERTIFIED, 0.01 * p["value"].abs())


def _gap(p: pd.DataFrame) -> Any:
    return np.maximum(0.5 * CERTIFIED**2, 0.02 * p["value"].abs())


def _hellinger(p: pd.DataFrame) -> Any:
    return 2.0 * p["d"] / np.sqrt(8.0 * p["n"]) + 1e-8


def _divergence(p: pd.DataFrame) -> Any:
    # It is (close to) four times Hellinger's squared.
    return 4.0 * p["d"] * np.sqrt(p["value"].abs() / p["n"]) + 2.0 * p["d"] ** 2 / p["n"] + 1e-10


def _wasserstein(p: pd.DataFrame) -> Any:
    return 2.0 * p["d"] * p["reach"] + SOLVED * p["value"].abs()


def _criterion(p: pd.DataFrame) -> Any:
    steep = ~p["method"].isin(["aic", "aicc", "bic"])
    return SUMMED * p["value"].abs() + np.where(steep, STEEP * CERTIFIED, 2.0 * CERTIFIED**2)


def _chosen_loss(p: pd.DataFrame) -> Any:
    # As half a squared distance, of which each unit is at least a standard error.
    return np.sqrt(2.0 * p["value"].abs()) * CERTIFIED + CERTIFIED**2


def _ended(p: pd.DataFrame) -> Any:
    """Standard errors by which a package's ends may be apart."""
    return np.where(p["counted"], SOLVED, 2.0 * np.sqrt(2.0 * p["stop_gain"]))


def _package(p: pd.DataFrame) -> Any:
    return _ended(p) * p["scale"]


def _package_moved(p: pd.DataFrame) -> Any:
    return (CURVED * _ended(p) + SOLVED) * p["scale"]


def _package_loglik(p: pd.DataFrame) -> Any:
    return np.where(p["counted"], SOLVED, 2.0 * p["stop_gain"]) + SUMMED * p["value"].abs()


def _package_distance(p: pd.DataFrame) -> Any:
    return _distance(p) + _ended(p)


def _package_gap(p: pd.DataFrame) -> Any:
    return _gap(p) + _package_loglik(p)


def _maximum(p: pd.DataFrame) -> Any:
    return SUMMED * p["value"].abs() + CERTIFIED**2


_MOVES = f"{CURVED:g} d + {SOLVED:g} standard errors"
_TARGET = f"{CERTIFIED:g} standard errors"
_LOSS = "d, in that distance"
_STOP = "the package's own stop"

# (kind, column) -> why, and the allowance of pairs: rows with `value`, `scale`, d, n and reach.
RULES: dict[tuple[str, str], tuple[str, Callable[[pd.DataFrame], Any]]] = {
    ("fits", "n"): (NONE, _count),
    ("fits", "k"): (NONE, _count),
    ("fits", "loglik"): ("rounding of sums, and d²; MAP: 10 d", _loglik),
    ("fits", "distance"): ("1e-4, or 1%", _distance),
    ("fits", "gap"): ("5e-9 nats, or 2%", _gap),
    ("estimates", "truth"): (_TARGET, _target),
    ("estimates", "estimate"): ("d standard errors", _estimate),
    ("estimates", "se"): (_MOVES, _moved),
    **{("estimates", name): (_MOVES, _end) for name in ("lower", "upper")},
    ("intervals", "truth"): (_TARGET, _target),
    **{("intervals", name): (_MOVES, _moved) for name in ("estimate", "se")},
    **{("intervals", name): (_MOVES, _end) for name in ("lower", "upper")},
    ("losses", "hellinger"): (_LOSS, _hellinger),
    ("losses", "kullback_leibler"): (_LOSS, _divergence),
    ("losses", "wasserstein"): (_LOSS, _wasserstein),
    ("targets", "target"): (_TARGET, _target),
    ("targets", "bound"): ("1e-6 of it", _solved),
    ("em_rates", "rate"): ("1e-6 of it", _solved),
    ("priors", "truth"): (_TARGET, _target),
    ("criteria", "value"): ("1e-4 standard errors of the fits, squared or not", _criterion),
    ("choices", "loss"): (_LOSS, _chosen_loss),
    ("external", "n"): (NONE, _count),
    ("external", "k"): (NONE, _count),
    **{("external", name): (_STOP, _package_loglik) for name in ("own_loglik", "loglik")},
    ("external", "distance"): (_STOP, _package_distance),
    ("external", "gap"): (_STOP, _package_gap),
    ("external", "top"): ("rounding of sums, and 1e-8", _maximum),
    ("external_estimates", "truth"): (_TARGET, _target),
    ("external_estimates", "estimate"): (_STOP, _package),
    **{("external_estimates", name): (_STOP, _package_moved) for name in ("se", "lower", "upper")},
    ("external_orders", "loglik"): (_STOP, _package_loglik),
    ("external_orders", "top"): ("rounding of sums, and 1e-8", _maximum),
}


# Scales and Monte Carlo errors -----------------------------------------------------------------


def scale_of(kind: str, pairs: pd.DataFrame) -> Any:
    """What an allowance is counted in: a standard error, by the interval's width where none is."""
    if kind == "targets":
        return pairs["bound"].where(pairs["bound"] > 0, pairs["target"].abs())
    if kind == "em_rates":
        return pairs["rate"]
    if kind == "priors":
        return pairs["sd"]
    if kind not in ("estimates", "intervals", "external_estimates"):
        return np.nan
    ends = pairs[["lower", "upper"]].sub(pairs["estimate"], axis=0).abs()
    width = ends.where(np.isfinite(ends)).mean(axis=1) / NORMAL
    return pairs["se"].where(pairs["se"] > 0, width).replace(0.0, np.nan)


def z_of(kind: str, column: str, pairs: pd.DataFrame) -> Floats:
    """The difference in its Monte Carlo standard errors; NaN where there is none."""
    if kind == "criteria" and column == "value":
        error = np.hypot(*(pairs[f"error{own}"].to_numpy(float) for own in ("", "_again")))
        with np.errstate(invalid="ignore", divide="ignore"):
            z = np.asarray(pairs["value_again"] - pairs["value"], float) / error
        return np.where(np.isfinite(z), z, np.nan)
    if kind == "priors":
        pairs = pairs.rename(columns={f"mean{o}": f"estimate{o}" for o in ("", "_again")})
        pairs = pairs.rename(columns={f"sd{o}": f"se{o}" for o in ("", "_again")})
        column = {"mean": "estimate", "sd": "se"}.get(column, column)
    known = ("estimate", "se", "lower", "upper")
    if kind not in ("estimates", "intervals", "priors") or column not in known:
        return np.full(len(pairs), np.nan)
    parameter = pd.Series(True, pairs.index)
    if kind == "intervals":
        parameter = pairs["quantity"].str.match(rf"({'|'.join(PARAMETERS)}) \d+$")
    ess, tail = (
        pairs[f"{what}_relabelled"]
        .where(parameter, np.minimum(pairs[f"{what}_invariant"], DRAWS))
        .to_numpy(float)
        for what in ("draws", "tail")
    )
    a, b, se = (pairs[name].to_numpy(float) for name in (column, f"{column}_again", "se"))
    with np.errstate(invalid="ignore", divide="ignore"):
        match column:
            case "estimate":
                error = se / np.sqrt(ess)
            case "se":
                error = np.where(_normal(pairs), se * np.sqrt(1.5 / tail), np.nan)
            case _:
                local = np.abs(a - pairs["estimate"].to_numpy(float)) / NORMAL
                error = np.maximum(se, local) * TAIL / np.sqrt(tail)
        z = (b - a) / (np.sqrt(2.0) * error)
    if kind == "intervals":
        z = np.where(pairs["kind"] == "highest-density", np.nan, z)
    return np.where(np.isfinite(z), z, np.nan)


def _normal(pairs: pd.DataFrame) -> Any:
    """Whether both posteriors' intervals are as wide as a normal's of their sds, to a fifth.

    Where tails are heavier an sd hangs on a few draws, and has an error that rows do not tell.
    """
    ratios = [
        (pairs[f"upper{own}"] - pairs[f"lower{own}"]) / (2.0 * NORMAL * pairs[f"se{own}"])
        for own in ("", "_again")
    ]
    return np.logical_and(*(np.abs(np.log(ratio)) < 0.2 for ratio in ratios))


def is_chain(kind: str, column: str, pairs: pd.DataFrame) -> Any:
    """Whether a number hangs on draws, pair by pair."""
    if column in ("truth", "n", "k") and kind != "choices":
        return np.zeros(len(pairs), bool)
    if kind in ("criteria", "choices"):
        posterior = [name for name, one in CRITERIA.items() if one.needs == "posterior"]
        drawn = pairs["method"].isin(posterior)
        if kind == "criteria":
            drawn |= (pairs["error"] > 0.0) | (pairs["error_again"] > 0.0)
        return drawn.to_numpy(bool)
    return pairs["drawn"].eq(True).to_numpy(bool)
