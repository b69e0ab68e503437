"""Do the warnings of NUTS warn? Diagnostics against answers that are known to be wrong or right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from models.inference.chains import MAX_RHAT, MIN_ESS
from models.mixture import Floats, draws_by_mean
from study.report import measures
from study.report.exhibit import Drawing, Table, tabular
from study.report.reasons import no_references
from study.report.table import table_of, with_errors
from study.rows import DATA_SET, FIT, PARAMETERS, Results, probability, trusted

# An answer is wrong if a posterior mean is off by more than SHIFT reference posterior sds, or if
# an interval's reference probability is off the nominal one by more than MASS. With an ESS of
# MIN_ESS in bulk and tails, the least that a converged fit has, both are some five Monte Carlo
# standard errors (1/20 sd; the square root of .05 times .95 over 400), so that luck alone hardly
# makes one wrong; a reference has at least that ESS itself.
SHIFT, MASS = 0.25, 0.05
BY_MEAN, SAMPLED = "by mean", "as sampled"
MIN_BFMI = 0.3  # Betancourt (2016), as in Stan's warnings


def _fires(column: str, test: Callable[[Floats], Any]) -> Callable[[pd.DataFrame], Floats]:
    """(fits,): 1 where the warning fires, 0 where not, NaN where its number is not known."""

    def fires(labels: pd.DataFrame) -> Floats:
        values = labels[column].to_numpy(float)
        return np.where(np.isnan(values), np.nan, test(values))

    return fires


def _verdict(*words: str) -> Callable[[pd.DataFrame], Floats]:
    def fires(labels: pd.DataFrame) -> Floats:
        said = labels["verdict"]
        return np.where(said.isna(), np.nan, said.isin(words).to_numpy(float))

    return fires


def _bad_rhat(rhat: Floats) -> Any:
    return rhat >= MAX_RHAT


def _low_ess(ess: Floats) -> Any:
    return ess <= MIN_ESS


# Of the rows of labels, and what each diagnostic says of them.
WATCHED = (
    *("rhat_raw", "rhat_relabelled", "rhat_invariant", "nested_rhat"),
    *("ess_raw", "ess_relabelled", "ess_tail_relabelled", "ess_invariant"),
    *("divergences", "bfmi", "at_max_depth", "verdict"),
)
DIAGNOSTICS: dict[str, Callable[[pd.DataFrame], Floats]] = {
    "R-hat, as sampled": _fires("rhat_raw", _bad_rhat),
    "R-hat, relabelled": _fires("rhat_relabelled", _bad_rhat),
    "R-hat, invariants": _fires("rhat_invariant", _bad_rhat),
    "nested R-hat": _fires("nested_rhat", _bad_rhat),
    "bulk ESS, as sampled": _fires("ess_raw", _low_ess),
    "bulk ESS, relabelled": _fires("ess_relabelled", _low_ess),
    "tail ESS, relabelled": _fires("ess_tail_relabelled", _low_ess),
    "bulk ESS, invariants": _fires("ess_invariant", _low_ess),
    "divergences": _fires("divergences", lambda count: count > 0),
    "BFMI": _fires("bfmi", lambda bfmi: bfmi < MIN_BFMI),
    "tree depth": _fires("at_max_depth", lambda share: share > 0),
    "verdict: does not mix": _verdict("does not mix"),
    "verdict: not 'mixes'": _verdict("does not mix", "labels only", "modes overlap"),
}


def warnings(results: Results) -> pd.DataFrame:
    """How often each diagnostic fires where an answer is wrong (sensitivity), and does not where
    it is right (specificity), over the fits that are held against a trusted reference.

    _low, _high: Wilson's 95% interval of each.
    """
    answers = answered(results)
    merged = answers.merge(results.labels.reindex(columns=[*FIT, *WATCHED]), on=FIT)
    found = []
    for answer in (BY_MEAN, SAMPLED):
        part = merged[merged["answer"] == answer]
        wrong = part["wrong"].to_numpy(bool)
        for name, fires in DIAGNOSTICS.items():
            fired = fires(part)
            of = {
                "sensitivity": measures.proportion(fired[wrong]),
                "specificity": measures.proportion(1.0 - fired[~wrong]),
            }
            row: dict[str, Any] = {"diagnostic": name, "answer": answer}
            known = ~np.isnan(fired)
            counts = {
                count: measures.count(np.where(known, events, np.nan))
                for count, events in (("wrong", wrong.astype(float)), ("fired", fired))
            }
            row |= with_errors(counts, of["sensitivity"].r + of["specificity"].r)
            for measure, share in of.items():
                low, high = measures.wilson(share.value, share.r)
                row |= with_errors({measure: share})
                row |= {f"{measure}_low": float(low), f"{measure}_high": float(high)}
            found.append(row)
    return table_of(found, ["diagnostic", "answer", "R", "wrong"])


def answered(results: Results) -> pd.DataFrame:
    """One row a fit whose draws are kept and whose reference is trusted, and answer.

    Answers are the parameters by component, put in the order of the means draw by draw as the
    references are, and, of the exchangeable posterior, as sampled, put in that order as a whole.
    shift: the largest error of a posterior mean, in reference posterior sds; mass: the largest of
    an interval's probability; wrong: whether one is above SHIFT or MASS.
    """
    level = results.design.level
    references = {key: part for key, part in results.references.groupby(DATA_SET) if trusted(part)}
    found = []
    for key, part in results.draws.groupby(FIT, sort=False):
        scenario, replicate, method = key
        reference = references.get((scenario, replicate))
        if reference is None:
            continue
        raw = _draws(part)
        answers = {BY_MEAN: draws_by_mean(raw)}
        if method == "nuts":
            order = np.argsort(raw[:, :, 1].mean(axis=(0, 1)), kind="stable")
            answers[SAMPLED] = raw[..., order]
        for answer, draws in answers.items():
            shift, mass = errors(draws, reference, level)
            row = dict(zip(FIT, key, strict=True)) | {"answer": answer}
            found.append(
                row | {"shift": shift, "mass": mass, "wrong": shift > SHIFT or mass > MASS}
            )
    return table_of(found, [*FIT, "answer", "shift", "mass", "wrong"])


def errors(draws: Floats, reference: pd.DataFrame, level: float) -> tuple[float, float]:
    """The largest error of a posterior mean, in reference sds, and of an interval's probability.

    draws: (chains, draws, 3, K). reference: a row a parameter and component.
    """
    ends = np.array([0.5 - 0.5 * level, 0.5 + 0.5 * level])
    shifts, masses = [], []
    for _, row in reference.iterrows():
        values = draws[:, :, PARAMETERS.index(row["parameter"]), int(row["component"]) - 1]
        shifts.append(abs(values.mean() - row["mean"]) / row["sd"])
        masses.append(abs(probability(row, *np.quantile(values, ends)) - level))
    return float(max(shifts)), float(max(masses))


def _draws(rows: pd.DataFrame) -> Floats:
    """(chains, draws, 3, K) of one fit's kept draws, which are in this order."""
    chain, draw, k = rows[["chain", "draw", "component"]].iloc[-1].tolist()
    values = rows[list(PARAMETERS)].to_numpy(float).reshape(chain + 1, draw + 1, k, -1)
    return np.ascontiguousarray(np.swapaxes(values, 2, 3))


TABLES: tuple[Table, ...] = (
    tabular("warnings", "Do the warnings warn?", "Label switching", warnings, no_references),
)
FIGURES: tuple[Drawing, ...] = ()
