"""Whether two makings of the same rows agree: column by column, within what, for which reason.

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
- What is counted on the way, and words on how a fit ended, hang on comparisons that the last digit
  decides: they may differ where all numbers of the fit agree.
- Where both ends are a collapse, numbers on the way to an unbounded likelihood are not held.
- Posterior means, sds and ends of equal-tailed intervals have Monte Carlo errors by the effective
  draws, sds where the interval is as wide as a normal's. They are held where both fits' R-hat and
  ESS are good and, of components, where which is which is more than a convention; the others, and
  what has no such error, are said not to be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from models.inference.chains import MAX_RHAT, MIN_ESS
from models.methods import SAMPLERS
from models.mixture import Floats
from study.compute.intervals import DRAWS
from study.rows import FIT, KINDS, PARAMETERS, USABLE

FLOOR, CURVED, SOLVED, SUMMED, STEEP = 1e-8, 20.0, 1e-6, 1e-13, 10.0
CERTIFIED = 1e-4
# That any of all Monte Carlo comparisons calls chains of one posterior different (Bonferroni).
FALSE_ALARM = 1e-3
# Of a normal, in sds: its 97.5% quantile, and of a sample's sqrt(p (1 - p)) over the density there.
# The level of intervals may be another one; 95% is close enough for their errors.
NORMAL = float(norm.isf(0.025))
TAIL = float(np.sqrt(0.025 * 0.975) / norm.pdf(NORMAL))

WORDS = ("identical", "within rounding", "within Monte Carlo error", "not held", "different")
IDENTICAL, ROUNDING, MONTE_CARLO, NOT_HELD, DIFFERENT = WORDS

KEYS = {
    "fits": FIT,
    "estimates": [*FIT, "parameter", "component"],
    "intervals": [*FIT, "kind", "quantity"],
    "losses": FIT,
    "labels": FIT,
    "targets": ["scenario", "parameter", "component"],
    "em_rates": ["scenario"],
}

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


_NONE = "none"
_MOVES = f"{CURVED:g} d + {SOLVED:g} standard errors"
_TARGET = f"{CERTIFIED:g} standard errors"
_LOSS = "d, in that distance"
RULES: dict[tuple[str, str], tuple[str, Callable[[pd.DataFrame], Any]]] = {
    ("fits", "n"): (_NONE, _count),
    ("fits", "k"): (_NONE, _count),
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
}
_FOLLOWS = "the last digit decides"
_CHAIN = "Monte Carlo error"
_LOST = "no maximum is there"
_UNHELD = "chains without such an error"


# Pairs -------------------------------------------------------------------------------------------


def compare(
    published: Mapping[str, pd.DataFrame], again: Mapping[str, pd.DataFrame], *, same: bool
) -> pd.DataFrame:
    """A row a pair: kind, column, scenario, replicate, method, of, published, again, word, reason,
    share.

    published, again: rows by kind, of the same pieces. same: whether one processor made both with
    the same versions and sources, so that no reason holds. share: the difference over what is
    allowed, or over the critical number of Monte Carlo errors. A row that one of both has not is a
    pair of the column "row".
    """
    context = _context(published, again)
    found = pd.concat(
        [_of_kind(kind, published[kind], again[kind], context) for kind in KEYS],
        ignore_index=True,
    )
    return _judged(found, same)


def _context(published: Mapping[str, pd.DataFrame], again: Mapping[str, pd.DataFrame]) -> Any:
    """By fit: d, n, reach (in data units), and of samplers ess and ess_tail where they are good."""
    fits = published["fits"].merge(again["fits"], on=FIT, suffixes=("", "_again"))
    distance = fits["distance"].fillna(0.0) + fits["distance_again"].fillna(0.0)
    lost = ~(fits["status"].isin(USABLE) | fits["status_again"].isin(USABLE))
    d = 2.0 * np.maximum(distance, FLOOR)
    found = fits[FIT].assign(d=d, fit_n=fits["n"], lost=lost)
    chains = published["labels"].merge(again["labels"], on=FIT, suffixes=("", "_again"))
    for which in ("relabelled", "invariant"):
        numbers = {
            name: chains[[f"{name}_{which}", f"{name}_{which}_again"]]
            for name in ("rhat", "ess", "ess_tail")
        }
        ess = numbers["ess"].min(axis=1)
        good = (numbers["rhat"].max(axis=1) < MAX_RHAT) & (ess > MIN_ESS)
        if which == "relabelled":
            good &= ~(chains["convention"] | chains["convention_again"])
        chains[f"draws_{which}"] = ess.where(good)
        chains[f"tail_{which}"] = numbers["ess_tail"].min(axis=1).where(good)
    whiches = ("relabelled", "invariant")
    names = [f"{what}_{which}" for what in ("draws", "tail") for which in whiches]
    found = found.merge(chains[[*FIT, *names]], on=FIT, how="left")
    return found.merge(_reach(published["estimates"]), on=FIT, how="left")


def _reach(estimates: pd.DataFrame) -> pd.DataFrame:
    """How far Wasserstein's distance goes when each parameter moves by its standard error."""
    spread = estimates[estimates["parameter"] == "mean"].groupby(FIT)["estimate"].agg(np.ptp)
    wide = estimates.pivot_table(index=FIT, columns="parameter", values="se", aggfunc="sum")
    wide = wide.reindex(columns=list(PARAMETERS)).fillna(0.0)
    reach = wide["mean"] + wide["sd"] + wide["weight"] * spread.reindex(wide.index).fillna(0.0)
    return reach.rename("reach").reset_index()


def _of_kind(
    kind: str, published: pd.DataFrame, again: pd.DataFrame, context: pd.DataFrame
) -> pd.DataFrame:
    keys = KEYS[kind]
    both = published.merge(again, on=keys, how="outer", suffixes=("", "_again"), indicator="where")
    alone = both[both["where"] != "both"]
    there = (alone["where"] == "left_only").to_numpy()
    parts = [
        _named(kind, keys, alone).assign(
            column="row",
            published=np.where(there, "there", "missing"),
            again=np.where(there, "missing", "there"),
            equal=False,
            allowed=0.0,
            reason=_NONE,
            lost=False,
            chain=False,
            z=np.nan,
        )
    ]
    pairs = both[both["where"] == "both"].reset_index(drop=True)
    if keys[: len(FIT)] == FIT:
        pairs = pairs.merge(context, on=FIT, how="left")
    pairs["scale"], named = _scale(kind, pairs), _named(kind, keys, pairs)
    columns = [column for column in KINDS[kind].columns if column not in keys]
    parts += [_of_column(kind, column, named, pairs) for column in columns]
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def _named(kind: str, keys: list[str], rows: pd.DataFrame) -> pd.DataFrame:
    """Of which kind, fit and part of it the rows are."""
    fit = {name: rows[name].to_numpy(object) if name in keys else "" for name in FIT}
    rest = [name for name in keys if name not in FIT]
    of = [" ".join(map(str, row)) for row in rows[rest].to_numpy()]
    return pd.DataFrame({"kind": kind, **fit, "of": of}, index=rows.index)


def _of_column(kind: str, column: str, named: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    a, b = pairs[column], pairs[f"{column}_again"]
    reason, rule = RULES.get((kind, column), (_FOLLOWS, None))
    allowed = np.full(len(pairs), np.nan)
    if rule is not None:
        values = a.to_numpy(float)
        bounds = np.asarray(rule(pairs.assign(value=values, n=pairs.get("fit_n"))), float)
        # Of what has no standard error, as of a collapse: 1e-6 of it.
        known = bounds + 1e-14 * np.abs(values)
        allowed = np.where(np.isfinite(bounds), known, SOLVED * np.abs(values))
    chain = "method" in pairs and column not in ("truth", "n", "k")
    return named.assign(
        column=column,
        published=a.astype(object),
        again=b.astype(object),
        equal=_equal(a, b),
        allowed=allowed,
        reason=reason,
        lost=pairs["lost"].to_numpy(bool) if "lost" in pairs else False,
        chain=pairs["method"].isin(SAMPLERS).to_numpy(bool) if chain else False,
        z=_z(kind, column, pairs) if chain else np.nan,
    )


def _equal(a: pd.Series[Any], b: pd.Series[Any]) -> NDArray[np.bool_]:
    """Whether they are the same to the last bit, or both missing."""
    equal = (a == b).fillna(False).to_numpy(bool)
    return np.asarray(equal | (a.isna() & b.isna()).to_numpy(bool))


def _scale(kind: str, pairs: pd.DataFrame) -> Any:
    """What an allowance is counted in: a standard error, by the interval's width where none is."""
    if kind == "targets":
        return pairs["bound"].where(pairs["bound"] > 0, pairs["target"].abs())
    if kind == "em_rates":
        return pairs["rate"]
    if kind not in ("estimates", "intervals"):
        return np.nan
    ends = pairs[["lower", "upper"]].sub(pairs["estimate"], axis=0).abs()
    width = ends.where(np.isfinite(ends)).mean(axis=1) / NORMAL
    return pairs["se"].where(pairs["se"] > 0, width).replace(0.0, np.nan)


def _z(kind: str, column: str, pairs: pd.DataFrame) -> Floats:
    """The difference in its Monte Carlo standard errors; NaN where there is none."""
    if kind not in ("estimates", "intervals"):
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
            case "lower" | "upper":
                local = np.abs(a - pairs["estimate"].to_numpy(float)) / NORMAL
                error = np.maximum(se, local) * TAIL / np.sqrt(tail)
            case _:
                error = np.full(len(pairs), np.nan)
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


# Words -------------------------------------------------------------------------------------------


def critical(comparisons: int) -> float:
    """The number of Monte Carlo errors that none of so many differences exceeds, but for the
    FALSE_ALARM."""
    return float(norm.isf(0.5 * FALSE_ALARM / max(comparisons, 1)))


def _judged(found: pd.DataFrame, same: bool) -> pd.DataFrame:
    equal, chain = found.pop("equal").to_numpy(bool), found.pop("chain").to_numpy(bool)
    allowed, z = found.pop("allowed").to_numpy(float), found["z"].to_numpy(float)
    numbers = [pd.to_numeric(found[name], errors="coerce") for name in ("published", "again")]
    with np.errstate(invalid="ignore"):  # of infinite ends
        apart = np.abs(numbers[0].to_numpy(float) - numbers[1].to_numpy(float))
    follows = np.isnan(allowed)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(chain, np.abs(z) / critical(int(np.isfinite(z).sum())), apart / allowed)
    share = np.where(equal, 0.0, np.where(np.isnan(share) & ~follows & ~chain, np.inf, share))
    word = np.where(share <= 1.0, np.where(chain, MONTE_CARLO, ROUNDING), DIFFERENT)
    word = np.where(chain & np.isnan(z), NOT_HELD, word)
    lost = found.pop("lost").to_numpy(bool) & ~equal & (found["column"] != "status").to_numpy()
    word = np.where(equal, IDENTICAL, np.where(lost, NOT_HELD, word))
    # Of what follows its fit: as that is.
    fits = pd.Series([" ".join(map(str, key)) for key in found[FIT].to_numpy(object)])
    broken = set(fits[(word == DIFFERENT) & ~follows])
    follows &= ~equal & ~chain & ~lost
    word = np.where(follows, np.where(fits.isin(broken), DIFFERENT, ROUNDING), word)
    found["reason"] = np.where(chain, np.where(np.isnan(z), _UNHELD, _CHAIN), found["reason"])
    found.loc[lost, "reason"] = _LOST
    share = np.where(word == NOT_HELD, np.nan, share)
    if same:
        word = np.where(equal, IDENTICAL, DIFFERENT)
        found["reason"] = "none: same processor, versions and sources"
    return found.assign(word=word, share=share)


def summary(found: pd.DataFrame) -> pd.DataFrame:
    """How many pairs have which word, and the largest share, by kind, column and reason; columns
    that differ in none of it together."""
    by = ["kind", "column", "reason"]
    counts = found.groupby(by, sort=False)["word"].value_counts().unstack(fill_value=0)
    counts = counts.reindex(columns=list(WORDS), fill_value=0)
    largest = found.groupby(by, sort=False)["share"].max()
    table = counts.assign(pairs=counts.sum(axis=1), largest=largest).reset_index()
    alike = ["kind", "pairs", *WORDS, "largest", "reason"]
    joined = table.groupby(alike, sort=False, dropna=False)["column"].agg(", ".join).reset_index()
    return joined[["kind", "column", "pairs", *WORDS, "largest", "reason"]]
