"""Whether two makings of the same rows agree: pair by pair a word, and what explains it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from models.inference.chains import MAX_RHAT, MIN_ESS
from models.methods import SAMPLERS
from study.rows import FIT, KINDS, MADE_BY, PARAMETERS, USABLE, frame
from study.workflow.allowances import (
    FLOOR,
    KEYS,
    NONE,
    RULES,
    SOLVED,
    STANDS,
    is_chain,
    scale_of,
    z_of,
)

# That any of all Monte Carlo comparisons calls chains of one posterior different (Bonferroni).
FALSE_ALARM = 1e-3

WORDS = ("identical", "within rounding", "within Monte Carlo error", "not held", "different")
IDENTICAL, ROUNDING, MONTE_CARLO, NOT_HELD, DIFFERENT = WORDS

_FOLLOWS = "the last digit decides"
_CHAIN = "Monte Carlo error"
_UNHELD = "chains without such an error"
_LOST = "no maximum is there"
_ABSENT = "another version of the package, or none"


WHICHES = ("relabelled", "invariant")

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
    published, again = _named_alike(published), _named_alike(again)
    context = _context(published, again)
    found = pd.concat(
        [_of_kind(kind, published[kind], again[kind], context) for kind in KEYS],
        ignore_index=True,
    )
    of_package = found["kind"].isin(MADE_BY["external"])
    found["absent"] = of_package & found["method"].isin(_absent(published, again))
    return _judged(found, same)


def _absent(published: Mapping[str, pd.DataFrame], again: Mapping[str, pd.DataFrame]) -> list[str]:
    """Methods whose package has another version in one of both, or is not there."""
    versions: dict[str, list[set[str]]] = {}
    for i, rows in enumerate((published["external"], again["external"])):
        for method, version in zip(rows["method"], rows["version"], strict=True):
            versions.setdefault(method, [set(), set()])[i] |= {version} - {""}
    return [method for method, (there, here) in versions.items() if there != here]


def _named_alike(rows: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """All kinds, with one name for what made a row; without rows where they are not there."""
    return {
        kind: (rows[kind] if kind in rows else frame(kind, [])).rename(columns=STANDS)
        for kind in KEYS
    }


def _context(
    published: Mapping[str, pd.DataFrame], again: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Of each fit, by whatever made it, what its rows' allowances hang on.

    d, fit_n, reach (in data units): of an optimiser's. draws, tail: effective draws of parameters
    by component and of what has no labels, of good chains. counted, stop_gain: of a package's.
    drawn, lost: whether it is a sampler's; a collapse.
    """
    parts = [
        _of_fits(published, again),
        _of_priors(published, again),
        _of_packages(published, again),
    ]
    found = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    found = found.reindex(columns=list(dict.fromkeys(name for part in parts for name in part)))
    for name in ("drawn", "lost", "counted"):
        found[name] = found[name].astype("boolean").fillna(False).astype(bool)
    return found


def _both(
    kind: str, published: Mapping[str, pd.DataFrame], again: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    return published[kind].merge(again[kind], on=FIT, suffixes=("", "_again"))


def _of_fits(
    published: Mapping[str, pd.DataFrame], again: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    fits, chains = (_both(kind, published, again) for kind in ("fits", "labels"))
    distance = fits["distance"].fillna(0.0) + fits["distance_again"].fillna(0.0)
    found = fits[FIT].assign(
        d=2.0 * np.maximum(distance, FLOOR),
        fit_n=fits["n"],
        lost=~(fits["status"].isin(USABLE) | fits["status_again"].isin(USABLE)),
        drawn=fits["method"].isin(SAMPLERS),
        counted=False,
        stop_gain=np.nan,
    )
    alike = ~(chains["convention"] | chains["convention_again"])
    always = pd.Series(True, chains.index)
    for which, held in zip(WHICHES, (alike, always), strict=True):
        chains = _effective(chains, which, held)
    names = [f"{what}_{which}" for what in ("draws", "tail") for which in WHICHES]
    found = found.merge(chains[[*FIT, *names]], on=FIT, how="left")
    return found.merge(_reach(published["estimates"]), on=FIT, how="left")


def _effective(chains: pd.DataFrame, which: str, held: pd.Series[bool]) -> pd.DataFrame:
    """With draws and tail of both fits, where R-hat and ESS of both are good and they are held."""
    rhat, ess, tail = (
        chains[[f"{name}_{which}", f"{name}_{which}_again"]] for name in ("rhat", "ess", "ess_tail")
    )
    good = (rhat.max(axis=1) < MAX_RHAT) & (ess.min(axis=1) > MIN_ESS) & held
    numbers = {"draws": ess.min(axis=1), "tail": tail.min(axis=1)}
    return chains.assign(**{f"{k}_{which}": v.where(good) for k, v in numbers.items()})


def _of_priors(
    published: Mapping[str, pd.DataFrame], again: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    fits = _both("prior_fits", published, again)
    named = {f"{name}{own}": f"{name}_relabelled{own}"
             for name in ("rhat", "ess", "ess_tail") for own in ("", "_again")}  # fmt: skip
    fits = _effective(
        fits.rename(columns=named), "relabelled", ~(fits["convention"] | fits["convention_again"])
    )
    own = {"draws_invariant": fits["draws_relabelled"], "tail_invariant": fits["tail_relabelled"]}
    return fits[[*FIT, "draws_relabelled", "tail_relabelled"]].assign(drawn=True, **own)


def _of_packages(
    published: Mapping[str, pd.DataFrame], again: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    fits = _both("external", published, again)
    samplers = {*published["external_chains"]["method"], *again["external_chains"]["method"]}
    return fits[FIT].assign(
        drawn=fits["method"].isin(samplers),
        lost=(fits["status"] == "singular") & (fits["status_again"] == "singular"),
        counted=(fits["n_iter"] == fits["n_iter_again"]) & (fits["n_iter"] > 0),
        stop_gain=fits["stop"],
        fit_n=fits["n"],
    )


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
            reason=NONE,
            lost=False,
            chain=False,
            z=np.nan,
        )
    ]
    pairs = both[both["where"] == "both"].reset_index(drop=True)
    if keys[: len(FIT)] == FIT:
        pairs = pairs.merge(context, on=FIT, how="left")
    pairs["scale"], named = scale_of(kind, pairs), _named(kind, keys, pairs)
    columns = [column for column in KINDS[kind].columns if STANDS.get(column, column) not in keys]
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
    chain = is_chain(kind, column, pairs) if "drawn" in pairs else np.zeros(len(pairs), bool)
    return named.assign(
        column=column,
        published=a.astype(object),
        again=b.astype(object),
        equal=_equal(a, b),
        allowed=allowed,
        reason=reason,
        lost=pairs["lost"].eq(True) if "lost" in pairs else False,
        chain=chain,
        z=np.where(chain, z_of(kind, column, pairs), np.nan) if chain.any() else np.nan,
    )


def _equal(a: pd.Series[Any], b: pd.Series[Any]) -> NDArray[np.bool_]:
    """Whether they are the same to the last bit, or both missing."""
    equal = (a == b).fillna(False).to_numpy(bool)
    return np.asarray(equal | (a.isna() & b.isna()).to_numpy(bool))


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
    absent = found.pop("absent").to_numpy(bool) & ~equal
    lost = found.pop("lost").to_numpy(bool) & ~equal & (found["column"] != "status").to_numpy()
    word = np.where(equal, IDENTICAL, np.where(lost | absent, NOT_HELD, word))
    # Of what follows its fit: as that is.
    fits = pd.Series([" ".join(map(str, key)) for key in found[FIT].to_numpy(object)])
    broken = set(fits[(word == DIFFERENT) & ~follows])
    follows &= ~equal & ~chain & ~lost & ~absent
    word = np.where(follows, np.where(fits.isin(broken), DIFFERENT, ROUNDING), word)
    found["reason"] = np.where(chain, np.where(np.isnan(z), _UNHELD, _CHAIN), found["reason"])
    found.loc[lost, "reason"] = _LOST
    found.loc[absent, "reason"] = _ABSENT
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
