"""The same data sets fitted from several starts: what of a method's end is its start's doing.

Crossed, so that each optimiser begins at each start of a data set. Rows are those of fits, with the
start's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from models.methods import OPTIMISERS
from models.mixture import Floats, Mixture
from models.sample import Data, as_data
from models.starts import Start, by_moments, k_means_plus_plus, random_assignment
from study.compute.fits import failed_row, fit_one, fit_row, start_of
from study.compute.guard import Say, guarded, silent
from study.design import Design, Scenario
from study.rows import STARTS, Rows, empty
from study.simulate import data_set, generator


def begin(design: Design, unit: Scenario, replicate: int, say: Say = silent) -> Rows:
    """The rows of one data set: a fit by each of the unit's optimisers from each of STARTS."""
    x = data_set(design, unit, replicate)
    methods = [m for m in design.replicates_of(unit) if m in OPTIMISERS]
    rows = empty("begin")
    for name, start in _starts(design, unit, x, replicate):
        for method in methods:
            key = {"scenario": unit.name, "replicate": replicate, "method": method, "start": name}
            row = guarded(
                partial(_row, design, unit, x, start, replicate, method),
                lambda why: failed_row(why, float(x.size), unit.model.k, start.passes),  # noqa: B023
                say, f"{unit.name} replicate {replicate} {method} from {name}",
            )  # fmt: skip
            rows["beginnings"].append(row | key)
    return rows


def _row(
    design: Design, unit: Scenario, x: Floats, start: Start, replicate: int, method: str
) -> dict[str, Any]:
    return fit_row(fit_one(design, unit, x, start.mixture, replicate, method), start)


def _starts(
    design: Design, unit: Scenario, x: Floats, replicate: int
) -> Iterator[tuple[str, Start]]:
    """By the names of STARTS; what it takes to guess one is counted as a pass."""
    model = unit.model.build()
    data = as_data(x, None, model)
    guesses: dict[str, Callable[[Data, Any, np.random.Generator], Mixture]] = {
        "k-means++": k_means_plus_plus,
        "random assignment": random_assignment,
        "moments": lambda data, model, rng: by_moments(data, model),
    }
    for name in STARTS:
        if name == "shared":
            yield name, start_of(design, unit, x, replicate)
        else:
            rng = generator(design.seed, unit.name, replicate, f"start by {name}")
            yield name, Start(guesses[name](data, model, rng), 1)
