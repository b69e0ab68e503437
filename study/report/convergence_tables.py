"""Tables of the replicates that are followed closely: stops, rates, speed, starts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from models import METHODS
from models.methods import OPTIMISERS
from models.mixture import Floats
from models.theory import missing_information, quadrature
from models.verdicts import SAME
from study.compute.follow import RULES
from study.design import Design, Scenario
from study.report import measures
from study.rows import Results, sorted_rows

EARLY = 0.1  # standard errors from the maximum
TRUSTED_RATE = 0.995
COUNTS = (1, 2, 5, 10, 20)  # starts
RESAMPLES = 200  # of the bootstrap behind a Monte Carlo error


def groups(design: Design) -> dict[str, str]:
    """Scenario to the group that tables and figures put it in: grid cells by their separation."""
    found = {unit.name: unit.name for unit in design.units()}
    for grid in design.grids:
        found |= {s.name: f"separation {s.separation:g}" for s in grid.scenarios()}
    return found


def stops(results: Results) -> pd.DataFrame:
    """Where each stopping rule ends EM: iterations, and what is left in nats and standard errors.

    early: the share of runs that it ends more than a tenth of a standard error from the maximum.
    """
    rows = results.stops.assign(group=results.stops["scenario"].map(groups(results.design)))
    found = []
    for (group, rule), part in rows.groupby(["group", "rule"], sort=False):
        found.append(
            {
                "group": group,
                "rule": rule,
                "R": len(part),
            }
        )
        distance = part["distance"].to_numpy(float)
        measured = {
            "stopped": measures.proportion(part["stopped"].to_numpy(float)),
            "iterations": measures.median(part["iteration"].to_numpy(float)),
            "gap": measures.median(part["gap"].to_numpy(float)),
            "distance": measures.median(distance),
            "distance_90": measures.quantile(distance, 0.9),
            "early": measures.proportion((distance > EARLY).astype(float)),
        }
        for name, measure in measured.items():
            found[-1] |= {name: measure.value, f"{name}_mcse": measure.mcse}
    return pd.DataFrame(found, columns=None if found else ["group", "rule", "R"])


def rates(results: Results) -> pd.DataFrame:
    """EM's rate by scenario: at the truth by quadrature, at the maximum, and seen in its steps.

    largest_error: of the observed rate over the predicted one, minus 1, where the latter is below
    TRUSTED_RATE; R_trusted, how many that are.
    """
    found = []
    for scenario, part in results.rates.groupby("scenario", sort=False):
        compared = part[(part["predicted"] < TRUSTED_RATE) & part["observed"].notna()]
        error = (compared["observed"] / compared["predicted"] - 1.0).abs()
        found.append(
            {
                "scenario": scenario,
                "R": len(part),
                "rate_at_truth": rate_at_truth(results.design.scenario(str(scenario))),
                **_median("predicted", part),
                **_median("observed", part),
                "R_trusted": len(compared),
                "largest_error": error.max() if len(compared) else np.nan,
            }
        )
    columns = ["scenario", "R", "rate_at_truth", "predicted", "observed"]
    return sorted_rows(results, pd.DataFrame(found, columns=None if found else columns))


def _median(name: str, rows: pd.DataFrame) -> dict[str, float]:
    found = measures.median(rows[name].to_numpy(float))
    return {name: found.value, f"{name}_mcse": found.mcse}


def rate_at_truth(unit: object) -> float:
    """By quadrature, at what the scenario's estimates tend to; NaN where that is not identified."""
    target = unit.target() if isinstance(unit, Scenario) else None
    if not isinstance(unit, Scenario) or target is None:
        return np.nan
    return float(missing_information(target, unit.model.build(), quadrature(unit.truth()))[0])


def costs(results: Results, target: float) -> pd.DataFrame:
    """By data set and method: passes and seconds to within `target` nats of the best; inf if never.

    seconds: the passes times the seconds a pass of the same method's untraced fit took.
    """
    keys = ["scenario", "replicate", "method"]
    rows = results.reaches[np.isclose(results.reaches["target"], target, rtol=1e-6)]
    fits = results.fits.merge(results.timings[[*keys, "seconds"]], on=keys)
    spent = fits["moments"] + fits["second_moments"] + fits["gradients"]
    fits["a_pass"] = fits["seconds"] / spent.clip(lower=1)
    costs = rows.merge(fits[[*keys, "a_pass"]], on=keys, how="left")
    costs["seconds"] = costs["passes"] * costs["a_pass"].fillna(np.inf)
    return costs[[*keys, "passes", "seconds"]]


def profile(costs: pd.DataFrame, cost: str) -> pd.DataFrame:
    """Performance ratios (problems, methods): a method's cost over the least of the problem.

    Dolan and More (2002). Failures are inf; problems that no method solves are left out.
    """
    wide = costs.pivot_table(index=["scenario", "replicate"], columns="method", values=cost)
    wide = wide.reindex(columns=[m for m in METHODS if m in wide]).fillna(np.inf)
    best = wide.min(axis=1)
    solved = np.isfinite(best)
    return wide[solved].div(best[solved], axis=0)


def profiles(results: Results) -> pd.DataFrame:
    """`_profiles` by passes over the data."""
    return _profiles(results, "passes")


def profiles_in_seconds(results: Results) -> pd.DataFrame:
    """`_profiles` by seconds."""
    return _profiles(results, "seconds")


def _profiles(results: Results, cost: str) -> pd.DataFrame:
    """By target and method: the share of problems solved, solved at the least cost, and within
    2, 5 and 10 times of it."""
    found = []
    for target in (1e-2, 1e-6):
        ratios = profile(costs(results, target), cost)
        for method in ratios:
            own = ratios[method].to_numpy(float)
            row = {"target": target, "method": method, "R": own.size}
            for name, factor in (("best", 1.0), ("in_2", 2.0), ("in_5", 5.0), ("in_10", 10.0)):
                share = measures.proportion((own <= factor).astype(float))
                row |= {name: share.value, f"{name}_mcse": share.mcse}
            share = measures.proportion(np.isfinite(own).astype(float))
            found.append(row | {"solved": share.value, "solved_mcse": share.mcse})
    return pd.DataFrame(found, columns=None if found else ["target", "method", "R"])


def overtaking(results: Results) -> pd.DataFrame:
    """By shape of the mixture and n: the separation from which EM needs no more passes.

    From the medians of whole fits, the logarithm of their ratio interpolated between separations.
    -inf: EM needs no more at any separation of the grid; inf: at none.
    """
    cells = [s for grid in results.design.grids for s in grid.scenarios()]
    if not cells:
        return pd.DataFrame(columns=["weight", "sd_ratio", "n", "method", "separation"])
    place = pd.DataFrame(
        [(s.name, s.separation, s.weight, s.sd_ratio, s.n) for s in cells],
        columns=["scenario", "separation", "weight", "sd_ratio", "size"],
    )
    fits = results.fits[results.fits["status"].isin(["ok", "not-converged"])].merge(place)
    fits["passes"] = fits["moments"] + fits["second_moments"] + fits["gradients"]
    keys = ["weight", "sd_ratio", "size"]
    found = []
    for key, part in fits.groupby(keys):
        wide = part.pivot(
            index=["separation", "replicate"], columns="method", values="passes"
        ).sort_index()
        separations = wide.index.get_level_values("separation").unique().to_numpy(float)
        counts = wide.groupby(level="separation").size().to_numpy()
        # As they are first, then resampled by data set, whose passes by all methods stay together.
        rng = np.random.default_rng(0)
        samples = [np.vstack([np.arange(r), rng.integers(r, size=(RESAMPLES, r))]) for r in counts]
        ends = np.concatenate([[0], np.cumsum(counts)])
        for method in OPTIMISERS:
            if method == "em" or method not in wide:
                continue
            medians = [
                [
                    np.nanmedian(wide[name].to_numpy(float)[first:last][rows], axis=1)
                    for first, last, rows in zip(ends[:-1], ends[1:], samples, strict=True)
                ]
                for name in ("em", method)
            ]
            excess = np.log(np.array(medians[0]) / np.array(medians[1])).T
            at = np.array([crossing(separations, y) for y in excess])
            row = dict(zip(("weight", "sd_ratio", "n"), key, strict=True))
            error = at[1:].std(ddof=1) if np.isfinite(at).all() else np.nan
            found.append(
                row
                | {"method": method, "R": int(counts.min())}
                | {"separation": at[0], "separation_mcse": error}
            )
    return pd.DataFrame(found)


def crossing(x: Floats, y: Floats) -> float:
    """The last x where y falls through zero; inf if y ends above it, -inf if it is never above."""
    above = np.flatnonzero(y > 0)
    if not above.size:
        return -np.inf
    i = int(above[-1])
    if i == x.size - 1:
        return np.inf
    return float(x[i] + (x[i + 1] - x[i]) * y[i] / (y[i] - y[i + 1]))


def hits(results: Results) -> pd.DataFrame:
    """optima with `hit`: whether a start ended at the best believable maximum of its data set."""
    rows = results.optima.copy()
    fits = results.fits
    maxima = fits[
        fits["method"].isin(OPTIMISERS)
        & fits["believable"]
        & fits["distance"].notna()
        & fits["status"].isin(["ok", "not-converged"])
    ]
    keys = ["scenario", "replicate"]
    best = pd.concat([rows[[*keys, "loglik"]], maxima[[*keys, "loglik"]]])
    rows = rows.merge(best.groupby(keys)["loglik"].max().rename("best"), on=keys)
    slack = SAME + 1e-13 * rows["best"].abs()
    rows["hit"] = (rows["best"] - rows["loglik"]) <= slack
    return rows


def chance(hit: int, of: int, draws: int) -> float:
    """That `draws` different starts of `of`, of which `hit` reach the best, hold one that does."""
    k = np.arange(min(draws, of))
    return float(1.0 - np.prod(np.clip((of - hit - k) / (of - k), 0.0, None)))


def starts(results: Results) -> pd.DataFrame:
    """By group and method: the probability of the best maximum against the number of starts.

    starts_95: the fewest with a probability of .95 over the group's data sets (inf if 20 are not
    enough); passes_95: what they take.
    """
    rows = hits(results)
    rows["group"] = rows["scenario"].map(groups(results.design))
    found = []
    for (group, method), part in rows.groupby(["group", "method"], sort=False):
        sets = part.groupby(["scenario", "replicate"])["hit"].agg(["sum", "size"])
        by_count = {
            s: np.array([chance(hit, of, s) for hit, of in sets.to_numpy()])
            for s in range(1, int(sets["size"].max()) + 1)
        }
        row: dict[str, Any] = {"group": group, "method": method, "R": len(sets)}
        for s in COUNTS:
            if s in by_count:
                share = measures.mean(by_count[s])
                row |= {f"p_{s}": share.value, f"p_{s}_mcse": share.mcse}
        spent = part.groupby(["scenario", "replicate"])["passes"].mean().to_numpy(float)
        found.append(row | _enough(np.stack(list(by_count.values()), axis=1), spent))
    return pd.DataFrame(found, columns=None if found else ["group", "method", "R"])


def _enough(chances: Floats, passes: Floats) -> dict[str, float]:
    """starts_95 and passes_95 with Monte Carlo errors, from data sets resampled.

    chances: (sets, starts), of the best maximum with 1, 2, ... starts. passes: (sets,), of one. An
    error is NaN where some resample finds no number of starts enough.
    """
    r = len(chances)
    rows = np.vstack([np.arange(r), np.random.default_rng(0).integers(r, size=(RESAMPLES, r))])
    good = chances[rows].mean(axis=1) >= 0.95
    starts = np.where(good.any(axis=1), 1.0 + good.argmax(axis=1), np.inf)
    found = {"starts_95": starts, "passes_95": starts * passes[rows].mean(axis=1)}
    row: dict[str, float] = {}
    for name, values in found.items():
        error = values[1:].std(ddof=1) if np.isfinite(values).all() else np.nan
        row |= {name: float(values[0]), f"{name}_mcse": float(error)}
    return row


def rule_order() -> list[str]:
    """The stopping rules in the order that tables and figures have them."""
    return list(RULES)
