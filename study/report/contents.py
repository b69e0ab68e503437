"""What the report holds: the tables and figures of all subjects, in their order.

A module of its own, and not the package's `__init__`, so that a subject loads no other one.
"""

from __future__ import annotations

from study.design import Design
from study.report import (
    alignment,
    calibration,
    convergence,
    cost,
    diagnostics,
    draws,
    estimates,
    external,
    glance,
    intervals,
    optimisation,
    priors,
    real_data,
    remedies,
    scenarios,
    speed,
    starts,
    switching,
    verdicts,
)
from study.report.exhibit import Drawing, Table

SUBJECTS = (
    glance,
    scenarios,
    estimates,
    intervals,
    real_data,
    verdicts,
    convergence,
    speed,
    starts,
    optimisation,
    draws,
    switching,
    calibration,
    remedies,
    priors,
    alignment,
    diagnostics,
    cost,
)
TABLES: tuple[Table, ...] = tuple(e for subject in SUBJECTS for e in subject.TABLES)
FIGURES: tuple[Drawing, ...] = tuple(e for subject in SUBJECTS for e in subject.FIGURES)


def tables_of(design: Design) -> tuple[Table, ...]:
    """Those of all designs and, of one that asks other packages, what these answered."""
    return TABLES + (external.TABLES if design.external else ())


def figures_of(design: Design) -> tuple[Drawing, ...]:
    """The same."""
    return FIGURES + (external.FIGURES if design.external else ())
