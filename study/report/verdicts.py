"""Verdicts of a study's fits: which reached the best maximum that is known of, and which did not.

The best of a data set is over all methods, and over the many starts of those replicates that are
followed closely (convergence.py).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from models import METHODS
from models.methods import OPTIMISERS, SAMPLERS
from models.verdicts import VERDICTS, judge
from study.report import measures
from study.rows import Results, sorted_rows

KEYS = ["scenario", "replicate"]


def with_verdict(results: Results) -> pd.DataFrame:
    """fits with `behind`, nats behind the best of the data set, and `verdict`.

    Only maxima of the likelihood that are believable set the best; an end that is not believable
    has no `behind`.
    """
    fits = results.fits.copy()
    trusted = (fits["believable"] & fits["distance"].notna()).to_numpy(bool)
    alive = fits["status"].isin(["ok", "not-converged"])
    certified = fits["certified"].fillna(False).to_numpy(bool)
    maxima = fits["method"].isin(OPTIMISERS) & alive & trusted
    ends = pd.concat([fits.loc[maxima, [*KEYS, "loglik"]], results.optima[[*KEYS, "loglik"]]])
    best = ends.groupby(KEYS)["loglik"].max().rename("best")
    fits = fits.merge(best, on=KEYS, how="left")
    # Differences at the level of rounding of a sum of n terms are no differences.
    rounding = 1e-13 * fits["best"].abs()
    behind = (fits["best"] - fits["loglik"]).where(maxima.to_numpy())
    fits["behind"] = behind.where(behind.isna() | (behind > rounding), 0.0)
    draws = fits["method"].isin(SAMPLERS)
    fits["verdict"] = judge(fits["status"], draws, certified, trusted, fits["behind"].fillna(0.0))
    return fits.drop(columns="best")


def verdicts(results: Results) -> pd.DataFrame:
    """How many fits came to each verdict, by scenario and method, zeros included."""
    fits = with_verdict(results)
    rows: list[dict[str, object]] = []
    for (scenario, method), group in fits.groupby(["scenario", "method"], sort=False):
        verdict = group["verdict"].to_numpy()
        found = {name: measures.count((verdict == name).astype(float)) for name in VERDICTS[::-1]}
        good = np.isin(verdict, ["certified", "sampled"])
        found["share_good"] = measures.proportion(good.astype(float))
        rows.append({"scenario": scenario, "method": method, "R": len(group)})
        for name, measure in found.items():
            rows[-1] |= {name: measure.value, f"{name}_mcse": measure.mcse}
    columns = None if rows else ["scenario", "method", "R", *VERDICTS[::-1], "share_good"]
    return sorted_rows(results, pd.DataFrame(rows, columns=columns))


def claims(results: Results) -> pd.DataFrame:
    """Every scenario and method that says converged of fits whose verdict says otherwise.

    And how far off these were: in standard errors, and in nats behind the best. Optimisers only.
    """
    fits = with_verdict(results)
    optimisers = [name for name in METHODS if name not in SAMPLERS]
    said_so = fits[fits["method"].isin(optimisers) & fits["converged"].fillna(False).astype(bool)]
    wrong = said_so[said_so["verdict"].to_numpy() != "certified"]
    rows = []
    for (scenario, method, verdict), group in wrong.groupby(["scenario", "method", "verdict"]):
        said = int(((said_so["scenario"] == scenario) & (said_so["method"] == method)).sum())
        events = (np.arange(said) < len(group)).astype(float)
        share, number = measures.proportion(events), measures.count(events)
        rows.append(
            {
                "scenario": scenario,
                "method": method,
                "verdict": verdict,
                "R": said,
                "wrong": number.value,
                "wrong_mcse": number.mcse,
                "share": share.value,
                "share_mcse": share.mcse,
            }
        )
        for name in ("distance", "behind"):
            middle = measures.median(group[name].to_numpy(float))
            rows[-1] |= {f"median_{name}": middle.value, f"median_{name}_mcse": middle.mcse}
    columns = ["scenario", "method", "verdict", "R", "wrong", "share", "share_mcse"]
    return sorted_rows(results, pd.DataFrame(rows, columns=None if rows else columns))
