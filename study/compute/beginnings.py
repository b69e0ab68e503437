"""The same data sets fitted from several starts: what of a method's end is its start's doing.

Crossed, so that each optimiser begins at each start of a data set. Rows are those of fits, with the
start's name.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from models.methods import OPTIMISERS
from models.mixture import Floats
from models.sample import as_data
from models.starts import Start, by_moments, k_means_plus_plus, random_assignment
from study.compute.fits import failed_row, fit_one, fit_row, start_of
from study.compute.guard import Say, guarded, silent
from study.design import Design, Scenario
from study.rows import STARTS, Rows, empty
from study.simulate import data_set, generator


def begin(design: Design, unit: Scenario, replicate: int, say: Say = silent) -> Rows:
    """The rows of one data set: a fit by each of the unit's optimisers from each of STARTS."""
    who, model = f"{unit.name} replicate {replicate}", unit.model.build()
    methods = [m for m in design.replicates_of(unit) if m in OPTIMISERS]
    rows = empty("begin")

    def add(method: str, name: str, row: dict[str, Any]) -> None:
        key = {"scenario": unit.name, "replicate": replicate, "method": method, "start": name}
        rows["beginnings"].append(row | key)

    made = guarded(lambda: _starts(design, unit, replicate), str, say, who)
    for name in STARTS:
        for method in methods:
            if isinstance(made, str):
                add(method, name, failed_row(made, np.nan, model.k, 0))
                continue
            x, starts = made
            row = guarded(
                partial(_row, design, unit, x, starts[name], replicate, method),
                partial(failed_row, n=float(x.size), k=model.k, passes=starts[name].passes),
                say, f"{who} {method} from {name}",
            )  # fmt: skip
            add(method, name, row)
    return rows


def _row(
    design: Design, unit: Scenario, x: Floats, start: Start, replicate: int, method: str
) -> dict[str, Any]:
    return fit_row(fit_one(design, unit, x, start.mixture, replicate, method), start)


def _starts(design: Design, unit: Scenario, replicate: int) -> tuple[Floats, dict[str, Start]]:
    """The data, and by the names of STARTS where to begin; a guess is counted as a pass."""
    x, model = data_set(design, unit, replicate), unit.model.build()
    data = as_data(x, None, model)

    def drawn(name: str) -> np.random.Generator:
        return generator(design.seed, unit.name, replicate, f"start by {name}")

    guesses = {"k-means++": k_means_plus_plus, "random assignment": random_assignment}
    found = {name: guess(data, model, drawn(name)) for name, guess in guesses.items()}
    found["moments"] = by_moments(data, model)
    shared = {"shared": start_of(design, unit, x, replicate)}
    return x, shared | {name: Start(mixture, 1) for name, mixture in found.items()}
