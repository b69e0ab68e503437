"""What the report holds: the tables and figures of all subjects, in their order.

A module of its own, and not the package's `__init__`, so that a subject loads no other one.
"""

from __future__ import annotations

from types import ModuleType

from study.design import Design
from study.report import (
    alignment,
    calibration,
    convergence,
    cost,
    cutoffs,
    diagnostics,
    distrust,
    draws,
    estimates,
    external,
    glance,
    intervals,
    optimisation,
    posteriors,
    power,
    priors,
    real_data,
    remedies,
    scenarios,
    selection,
    speed,
    starts,
    switching,
    trust,
    verdicts,
)
from study.report.exhibit import Drawing, Table

SUBJECTS = (
    glance,
    scenarios,
    estimates,
    cutoffs,
    trust,
    intervals,
    posteriors,
    distrust,
    real_data,
    selection,
    verdicts,
    convergence,
    speed,
    starts,
    optimisation,
    draws,
    switching,
    calibration,
    power,
    remedies,
    alignment,
    diagnostics,
    cost,
)
TABLES: tuple[Table, ...] = tuple(e for subject in SUBJECTS for e in subject.TABLES)
FIGURES: tuple[Drawing, ...] = tuple(e for subject in SUBJECTS for e in subject.FIGURES)


def tables_of(design: Design) -> tuple[Table, ...]:
    """Those of all designs, and those of the parts that this one alone may have."""
    return sum((subject.TABLES for subject in _own(design)), TABLES)


def figures_of(design: Design) -> tuple[Drawing, ...]:
    """The same."""
    return sum((subject.FIGURES for subject in _own(design)), FIGURES)


def _own(design: Design) -> list[ModuleType]:
    parts = {external: design.external, priors: design.priors}
    return [subject for subject, wanted in parts.items() if wanted]
