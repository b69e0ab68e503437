"""Estimates sorted by mean against their best assignment to the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from models import METHODS, Mixture
from models.methods import OPTIMISERS
from models.mixture import Floats, aligned
from study.report import measures
from study.report.exhibit import Drawing, Table, tabular
from study.report.measures import Measure
from study.report.reasons import no_alignment
from study.report.table import sorted_rows, table_of, with_errors
from study.rows import FIT, PARAMETERS, Results, target_of, usable


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
        model = results.design.scenario(str(scenario)).model.build()
        if not model.exchangeable or model.k == 1:
            continue
        target = target_of(results, str(scenario))
        keys, sort = _mixtures(part, target)
        best = aligned(sort, target)
        for label, own in (
            (METHODS[one].label, keys["method"] == one),
            ("all", keys["method"].notna()),
        ):
            found += _alignments(str(scenario), label, keys[own], sort[own], best[own], target)
    table = table_of(found, ["scenario", "optimiser", "parameter", "component", "R"])
    return sorted_rows(results, table)


def _mixtures(rows: pd.DataFrame, target: Mixture) -> tuple[pd.DataFrame, Floats]:
    """The fits, by FIT, and their estimates (fits, 3, K), as they are in the rows.

    Known sds are no estimates; they are the target's.
    """
    wide = rows.pivot(index=FIT, columns=["parameter", "component"], values="estimate")
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
            found.append(row | {"component": j + 1} | with_errors(of, differ.r))
    return found


TABLES: tuple[Table, ...] = (
    tabular("alignment", "Alignment of estimates", "Label switching", alignment, no_alignment),
)
FIGURES: tuple[Drawing, ...] = ()
