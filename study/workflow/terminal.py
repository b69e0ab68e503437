"""Fits and traces as tables on the terminal: the commands `fit` and `replay`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from rich.console import Console
from rich.table import Table

from models import METHODS, Fit, MixtureModel
from models import fit as fit_one
from models.solution import Trace
from models.verdicts import GOOD
from study.compute import fits
from study.design import Design
from study.rows import estimated
from study.simulate import data_set, read_column
from study.workflow.run import say


def fit(
    file: Annotated[Path, "CSV file with a header line"],
    *,
    column: Annotated[str, "its column that is fitted"],
    delimiter: Annotated[str, "between its fields: a character, or tab"] = ",",
    decimal: Annotated[str, "its decimal mark, . or ,"] = ".",
    drop_missing: Annotated[bool, "leave missing values out, and say how many"] = False,
    k: Annotated[int, "number of components"] = 2,
    equal_sds: Annotated[bool, "one common sd"] = False,
    methods: Annotated[str, "separated by commas"] = "em,lbfgs,newton,map,nuts",
    seed: Annotated[int, "root of all random numbers"] = 0,
) -> None:
    """Fit a column of a CSV file and print a table."""
    names = [name.strip() for name in methods.split(",")]
    for name in names:
        if name not in METHODS:
            raise ValueError(f"--methods: unknown {name!r}; choose from {', '.join(METHODS)}")
    x, dropped = read_column(file, column, delimiter, decimal, drop_missing)
    if dropped:
        say(f"{file}: column {column!r}: {dropped} of {dropped + x.size} values missing, left out")
    model = MixtureModel(k, equal_sds=equal_sds)
    fits_table([fit_one(name, x, model, rng=seed) for name in names])


def replay(
    design: Design,
    scenario: Annotated[str, "or real data set"],
    replicate: Annotated[int, "from 0 on"],
    method: str,
) -> None:
    """Repeat one fit of a study and print it with its trace."""
    if method not in METHODS:
        raise ValueError(f"method: unknown {method!r}; choose from {', '.join(METHODS)}")
    unit = design.scenario(scenario)
    if replicate < 0:
        raise ValueError(f"replicate: {replicate} is negative; the first is 0")
    x = data_set(design, unit, replicate)
    start = fits.start_of(design, unit, x, replicate).mixture
    trace = not METHODS[method].draws
    result = fits.fit_one(design, unit, x, start, replicate, method, trace=trace)
    if result.trace is not None:
        trace_table(result.trace)
    fits_table([result])


def fits_table(results: Sequence[Fit]) -> None:
    """Print estimates with standard errors, log-likelihood, status and seconds, a block a fit."""
    console = _console(110)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("method", "component", "weight", "mean", "sd"):
        table.add_column(heading, justify="left" if heading == "method" else "right", no_wrap=True)
    for heading in ("log-lik.", "status", "seconds", "set-up"):
        table.add_column(heading, justify="left" if heading == "status" else "right", no_wrap=True)
    for one in results:
        seconds = (f"{one.seconds:.4f}", f"{one.compile_seconds:.1f}")
        tail = [f"{one.loglik:.3f}", one.status, *seconds]
        if one.mixture is None:
            table.add_row(one.method, "–", "–", "–", "–", *tail)
            continue
        values, free = one.mixture.as_rows(), estimated(one.model)
        for j in range(one.model.k):
            errors = [f"{one.se[r, j]:.2g}" if free[r, j] else "known" for r in range(3)]
            cells = [f"{values[r, j]:.5g} ({error})" for r, error in enumerate(errors)]
            table.add_row(
                one.method if j == 0 else "", str(j + 1), *cells, *(tail if j == 0 else [])
            )
    console.print(table)
    console.print(
        "Standard errors in brackets (posterior sds for NUTS). Log-likelihood in "
        "nats, at the estimate. Seconds for the fit alone; set-up: imports and compilation, once."
    )
    for one in results:
        if one.verdict() not in GOOD:
            console.print(f"{one.method}: {one.verdict()}: {one.message}")
        elif one.boundary is not None:
            console.print(f"{one.method}: weights of 0 are the maximum, on the boundary")


def trace_table(trace: Trace, rows: int = 40) -> None:
    """Print a trace by iteration; a long one loses its middle."""
    m, _, k = trace.parameters.shape
    table = Table(box=None, header_style="bold", pad_edge=False)
    names = [f"{name}{j + 1}" for name in ("weight", "mean", "sd") for j in range(k)]
    for heading in ("iteration", "log-lik.", *names):
        table.add_column(heading, justify="right", no_wrap=True)
    shown = [*range(m)] if m <= rows else [*range(rows // 2), -1, *range(m - rows // 2, m)]
    for i in shown:
        if i < 0:
            table.add_row("…", *[""] * (1 + 3 * k))
            continue
        values = trace.parameters[i].ravel()
        table.add_row(str(i), f"{trace.loglik[i]:.9g}", *(f"{v:.7g}" for v in values))
    _console(120).print(table)


def _console(width: int) -> Console:
    """As wide as the terminal, or so wide; texts are shown as they are."""
    return Console(
        width=None if Console().is_terminal else width, highlight=False, markup=False, emoji=False
    )
