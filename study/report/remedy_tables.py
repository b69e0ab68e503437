"""What remedies for label switching answer and cost, estimates aligned, and what warnings say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from models import METHODS, Mixture
from models.inference.chains import MAX_RHAT, MIN_ESS
from models.methods import OPTIMISERS
from models.mixture import Floats, aligned, draws_by_mean
from study.compute.fits import PARAMETERS
from study.compute.references import probability, trusted
from study.design import Scenario
from study.report import measures
from study.report.measures import Measure
from study.rows import Results, sorted_rows, usable

KEYS = ["scenario", "replicate", "method"]
FIT = ["scenario", "replicate"]

# An answer is wrong if a posterior mean is off by more than SHIFT reference posterior sds, or if
# an interval's reference probability is off the nominal one by more than MASS. With an ESS of
# MIN_ESS in bulk and tails, the least that a converged fit has, both are some five Monte Carlo
# standard errors (1/20 sd; the square root of .05 times .95 over 400), so that luck alone hardly
# makes one wrong; a reference has at least that ESS itself.
SHIFT, MASS = 0.25, 0.05
RELABELLED, SAMPLED = "relabelled", "as sampled"
MIN_BFMI = 0.3  # Betancourt (2016), as in Stan's warnings


def remedies(results: Results) -> pd.DataFrame:
    """Bias, RMSE, coverage and width by scenario, remedy and parameter.

    from_stephens: mean difference of the posterior mean from that after Stephens' relabelling, on
    the same data. unconverged: share of fits whose R-hat of the parameter is not below MAX_RHAT.
    """
    rows = results.remedies
    base = rows.loc[rows["remedy"] == "Stephens", [*FIT, "parameter", "mean"]]
    rows = rows.merge(base.rename(columns={"mean": "stephens"}), on=[*FIT, "parameter"])
    found = []
    for key, part in rows.groupby(["scenario", "remedy", "parameter"], sort=False):
        mean, truth, stephens, lower, upper, rhat = (
            part[c].to_numpy(float) for c in ("mean", "truth", "stephens", "lower", "upper", "rhat")
        )
        of: dict[str, Measure] = {
            "bias": measures.bias(mean, truth),
            "rmse": measures.rmse(mean, truth),
            "coverage": measures.coverage(lower, upper, truth),
            "width": measures.interval_width(lower, upper),
            "from_stephens": measures.mean(mean - stephens),
            "unconverged": measures.proportion((rhat >= MAX_RHAT).astype(float)),
        }
        row = dict(zip(("scenario", "remedy", "parameter"), key, strict=True))
        found.append(row | {"R": len(part), "truth": truth[0]} | _columns(of))
    return _table(found, ["scenario", "remedy", "parameter", "R"])


def remedy_costs(results: Results) -> pd.DataFrame:
    """Seconds, and effective draws a second of the worst parameter, by scenario and remedy.

    Medians over data sets; the effective draws are the smaller of bulk and tail.
    """
    least = results.remedies.assign(ess=results.remedies[["ess", "ess_tail"]].min(axis=1))
    worst = least.groupby([*FIT, "remedy"], sort=False)["ess"].min()
    timed = results.remedy_timings.merge(worst.reset_index(), on=[*FIT, "remedy"])
    timed["rate"] = timed["ess"] / timed["seconds"]
    found = []
    for (scenario, remedy), part in timed.groupby(["scenario", "remedy"], sort=False):
        of = {
            name: measures.median(part[column].to_numpy(float))
            for name, column in (("seconds", "seconds"), ("ess", "ess"), ("ess_per_second", "rate"))
        }
        found.append({"scenario": scenario, "remedy": remedy, "R": len(part)} | _columns(of))
    return _table(found, ["scenario", "remedy", "R"])


def folding(results: Results) -> pd.DataFrame:
    """Ordered means against relabelling by mean, which is the same posterior, by parameter.

    difference: of the posterior means, in posterior sds, mean over data sets. squared_z: mean of
    its square over the Monte Carlo variance of both, 1 where only chance parts them.
    """
    wide = {
        name: results.remedies[results.remedies["remedy"] == name].set_index(
            ["scenario", "replicate", "parameter"]
        )
        for name in ("ordered", "by mean")
    }
    one, other = wide["ordered"], wide["by mean"].reindex(wide["ordered"].index)
    gap = one["mean"] - other["mean"]
    both = pd.DataFrame(
        {
            "difference": gap / other["sd"],
            "squared_z": gap**2 / (one["sd"] ** 2 / one["ess"] + other["sd"] ** 2 / other["ess"]),
        }
    )
    found = []
    for key, part in both.groupby(["scenario", "parameter"], sort=False):
        of = {str(name): measures.mean(part[name].to_numpy(float)) for name in part}
        row = dict(zip(("scenario", "parameter"), key, strict=True))
        found.append(row | {"R": len(part)} | _columns(of))
    return _table(found, ["scenario", "parameter", "R"])


def alignment(results: Results) -> pd.DataFrame:
    """Estimates sorted by mean against the best assignment to the truth, and the bias of each.

    Of L-BFGS-B, or the first optimiser of the design, and of all optimisers: then over a data
    set's estimates first. disagreement: share of the estimates that the two label differently.
    """
    found = []
    rows = usable(results).dropna(subset=["truth"])
    rows = rows[rows["method"].isin(OPTIMISERS)]
    present = [m for m in OPTIMISERS if m in rows["method"].unique()]
    one = "lbfgs" if "lbfgs" in present else (present or [""])[0]
    for scenario, part in rows.groupby("scenario", sort=False):
        unit = results.design.scenario(str(scenario))
        target = unit.target() if isinstance(unit, Scenario) else None
        if target is None or not unit.model.build().exchangeable or target.k == 1:
            continue
        keys, sort = _mixtures(part, target)
        best = aligned(sort, target)
        for label, own in (
            (METHODS[one].label, keys["method"] == one),
            ("all", keys["method"].notna()),
        ):
            found += _alignments(str(scenario), label, keys[own], sort[own], best[own], target)
    table = _table(found, ["scenario", "optimiser", "parameter", "component", "R"])
    return sorted_rows(results, table)


def _mixtures(rows: pd.DataFrame, target: Mixture) -> tuple[pd.DataFrame, Floats]:
    """The fits (their KEYS) and their estimates (fits, 3, K), as they are in the rows.

    Known sds are no estimates; they are the target's.
    """
    wide = rows.pivot(index=KEYS, columns=["parameter", "component"], values="estimate")
    values = np.tile(target.as_rows(), (len(wide), 1, 1))
    for i, parameter in enumerate(PARAMETERS):
        for j in range(target.k):
            if (parameter, j + 1) in wide:
                values[:, i, j] = wide[(parameter, j + 1)]
    return wide.index.to_frame(index=False), values


def _alignments(
    scenario: str, label: str, keys: pd.DataFrame, sort: Floats, best: Floats, target: Mixture
) -> list[dict[str, Any]]:
    def over_data_sets(values: Floats) -> Measure:
        of_each = pd.Series(values).groupby(keys["replicate"].to_numpy()).mean()
        return measures.mean(np.asarray(of_each, dtype=float))

    truth = target.as_rows()
    differ = over_data_sets(np.any(sort != best, axis=(1, 2)).astype(float))
    found = []
    for i, parameter in enumerate(PARAMETERS):
        # The last weight is one minus the others.
        for j in range(target.k - (parameter == "weight")):
            of = {
                "disagreement": differ,
                "bias_sorted": over_data_sets(sort[:, i, j] - truth[i, j]),
                "bias_assigned": over_data_sets(best[:, i, j] - truth[i, j]),
                "change": over_data_sets(best[:, i, j] - sort[:, i, j]),
            }
            row = {"scenario": scenario, "optimiser": label, "parameter": parameter}
            found.append(row | {"component": j + 1, "R": differ.r} | _columns(of))
    return found


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
    merged = answers.merge(results.labels.reindex(columns=[*KEYS, *WATCHED]), on=KEYS)
    found = []
    for answer in (RELABELLED, SAMPLED):
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
            row["R"] = of["sensitivity"].r + of["specificity"].r
            for count, events in (("wrong", wrong.astype(float)), ("fired", fired)):
                number = measures.count(np.where(known, events, np.nan))
                row |= {count: int(np.nan_to_num(number.value)), f"{count}_mcse": number.mcse}
            for measure, (value, mcse, r) in of.items():
                low, high = measures.wilson(value, r)
                row |= {measure: value, f"{measure}_mcse": mcse}
                row |= {f"{measure}_low": float(low), f"{measure}_high": float(high)}
            found.append(row)
    return _table(found, ["diagnostic", "answer", "R", "wrong"])


def answered(results: Results) -> pd.DataFrame:
    """One row a fit whose draws are kept and whose reference is trusted, and answer.

    Answers are the parameters by component, relabelled by mean draw by draw, and, of the
    exchangeable posterior, as sampled, put in that order as a whole.
    shift: the largest error of a posterior mean, in reference posterior sds; mass: the largest of
    an interval's probability; wrong: whether one is above SHIFT or MASS.
    """
    level = results.design.level
    references = {key: part for key, part in results.references.groupby(FIT) if trusted(part)}
    found = []
    for key, part in results.draws.groupby(KEYS, sort=False):
        scenario, replicate, method = key
        reference = references.get((scenario, replicate))
        if reference is None:
            continue
        raw = _draws(part)
        answers = {RELABELLED: draws_by_mean(raw)}
        if method == "nuts":
            order = np.argsort(raw[:, :, 1].mean(axis=(0, 1)), kind="stable")
            answers[SAMPLED] = raw[..., order]
        for answer, draws in answers.items():
            shift, mass = errors(draws, reference, level)
            row = dict(zip(KEYS, key, strict=True)) | {"answer": answer}
            found.append(
                row | {"shift": shift, "mass": mass, "wrong": shift > SHIFT or mass > MASS}
            )
    return _table(found, [*KEYS, "answer", "shift", "mass", "wrong"])


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


def _columns(of: dict[str, Measure]) -> dict[str, float]:
    """value and MCSE of each, as columns."""
    return {
        name: number
        for measure, (value, mcse, _) in of.items()
        for name, number in ((measure, value), (f"{measure}_mcse", mcse))
    }


def _table(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=None if rows else columns)
