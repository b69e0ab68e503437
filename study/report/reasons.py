"""Why a design leaves an exhibit nothing to show: a sentence each, or nothing if it does not.

From the design alone: rows that should be there and are not are no reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from models.methods import OPTIMISERS, SAMPLERS
from study.design import DataSet, Design, Scenario, barred, followed, referred
from study.report.exhibit import Reason
from study.report.table import POINT_ESTIMATORS

type Unit = Scenario | DataSet


def lack(words: str, has: Callable[[Design], object]) -> Reason:
    """Says the words of a design that does not have something."""
    return lambda design: "" if has(design) else words


def _fit(design: Design, units: Iterable[Unit], methods: Iterable[str]) -> bool:
    """Whether one of the methods fits one of the units."""
    wanted = set(methods)
    return any(wanted & set(design.replicates_of(unit)) for unit in units)


def _gridded(design: Design) -> list[Scenario]:
    return [cell for grid in design.grids for cell in grid.scenarios()]


def switches(unit: Unit) -> bool:
    """Whether nothing known tells its components apart."""
    return unit.model.k > 1 and unit.model.build().exchangeable


def _race(design: Design) -> bool:
    """Whether another maximiser of the likelihood fits what EM fits, somewhere on a grid."""
    fitting = [set(design.replicates_of(cell)) & set(OPTIMISERS) for cell in _gridded(design)]
    return any("em" in methods and len(methods) > 1 for methods in fitting)


def _intervals(design: Design, units: Iterable[Scenario]) -> bool:
    asked = [(unit, design.intervals_of(unit)) for unit in units]
    return any(i.replicates and _fit(design, [unit], i.methods) for unit, i in asked)


def _followed(design: Design) -> list[Unit]:
    return [unit for unit in design.units() if followed(design, unit)]


def _switching(design: Design) -> list[Unit]:
    return list(filter(switches, design.units()))


no_grid = lack("This design has no grid.", _gridded)
no_named = lack("This design names no scenario.", lambda d: d.scenarios)
no_simulation = lack("This design simulates nothing.", lambda d: d.all_scenarios())
no_real_data = lack("This design fits no real data.", lambda d: d.data)
no_optimisers = lack(
    "This design has no optimiser.", lambda d: _fit(d, d.units(), POINT_ESTIMATORS)
)
no_race = lack("This design has no other optimiser beside EM on a grid.", _race)
no_pairs = lack(
    "This design has no two optimisers that fit the same simulated data sets.",
    lambda d: any(
        len(set(d.replicates_of(unit)) & set(OPTIMISERS)) > 1 for unit in d.all_scenarios()
    ),
)
no_cutoff = lack(
    "No simulated data set of two components has intervals of every kind.",
    lambda d: _intervals(d, [unit for unit in d.all_scenarios() if unit.model.k == 2]),
)
no_starts = lack("This design compares no starts.", lambda d: d.starts)
no_alignment = lack(
    "This design simulates nothing whose components an order alone tells apart.",
    lambda d: _fit(d, filter(switches, d.all_scenarios()), OPTIMISERS),
)
not_followed = lack("No data set of this design is followed closely.", _followed)
not_traced = lack(
    "No optimiser of this design is followed closely.", lambda d: _fit(d, _followed(d), OPTIMISERS)
)
_NO_INTERVALS = "No data set of this design has intervals of every kind."
no_intervals = lack(_NO_INTERVALS, lambda d: _intervals(d, d.all_scenarios()))
no_named_intervals = lack(_NO_INTERVALS, lambda d: _intervals(d, d.scenarios))
no_grid_intervals = lack(_NO_INTERVALS, lambda d: _intervals(d, _gridded(d)))
no_samplers = lack("This design samples no posterior.", lambda d: _fit(d, d.units(), SAMPLERS))
no_chains = lack(
    "This design has no NUTS fits whose components can switch.",
    lambda d: _fit(d, _switching(d), SAMPLERS),
)
no_draws = lack(
    "This design keeps no draws of NUTS.",
    lambda d: d.keep_draws and _fit(d, _switching(d), ["nuts"]),
)
no_barrier = lack(
    "This design has no NUTS fits of two components that can switch.",
    lambda d: any(barred(d, unit) for unit in d.units()),
)
no_references = lack(
    "No fit of this design is held against a reference.",
    lambda d: any(referred(d, unit) for unit in d.units()),
)
no_calibration = lack("This design has no calibration of the samplers.", lambda d: d.calibration)
no_remedies = lack("This design compares no remedies.", lambda d: d.remedies)
no_choice = lack(
    "This design chooses no number of components of simulated data.",
    lambda d: any(d.choice_of(unit) for unit in d.all_scenarios()),
)
no_real_choice = lack(
    "This design chooses no number of components of real data.",
    lambda d: any(d.choice_of(unit) for unit in d.data),
)
no_priors = lack("This design compares no priors.", lambda d: d.priors)
