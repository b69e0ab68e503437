"""What the report holds: the tables and figures of all subjects, in their order.

A module of its own, and not the package's `__init__`, so that a subject loads no other one.
"""

from __future__ import annotations

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
    glance,
    intervals,
    optimisation,
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
    remedies,
    priors,
    alignment,
    diagnostics,
    cost,
)
TABLES: tuple[Table, ...] = tuple(e for subject in SUBJECTS for e in subject.TABLES)
FIGURES: tuple[Drawing, ...] = tuple(e for subject in SUBJECTS for e in subject.FIGURES)
