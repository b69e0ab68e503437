"""The real data: estimates, and histograms with the densities that the routes fitted."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models import METHODS, Mixture
from models.mixture import Floats
from study.design import DataSet
from study.report.exhibit import Drawing, Table, tabular
from study.report.reasons import no_real_data
from study.report.style import LOOKS, drawing, nested_widths, nothing, width_for
from study.report.table import sorted_rows
from study.rows import FIT, PARAMETERS, Results, usable
from study.simulate import data_set


def real_data(results: Results) -> pd.DataFrame:
    """Estimates with standard errors and intervals, log-likelihood and status, real data sets."""
    names = [unit.name for unit in results.design.data]
    fits = results.fits[[*FIT, "loglik", "status", "certified", "believable"]]
    table = results.estimates.drop(columns="truth").merge(fits, on=FIT)
    table = table[table["scenario"].isin(names)].drop(columns="replicate")
    return sorted_rows(results, table)


# One method for each route: the first that was fitted.
ROUTES = (
    ("em", "em-squarem"),
    ("newton", "lbfgs", "nelder-mead"),
    ("map",),
    ("nuts", "nuts-ordered"),
)


LETTERS = 12  # of a title, an inch of its panel


def fitted_densities(results: Results) -> Figure:
    """A histogram a data set under the fitted densities, and their differences to the first."""
    estimates = usable(results)
    units = [u for u in results.design.data if (estimates["scenario"] == u.name).any()]
    if not units:
        return nothing("No fit to real data is usable.")
    columns = min(len(units), 3)
    rows = -(-len(units) // columns)
    figure = Figure(figsize=(width_for(columns), 0.4 + 3.0 * rows))
    panels = figure.subplots(
        2 * rows, columns, squeeze=False, sharex=False, height_ratios=[3, 1] * rows
    )
    for place in range(rows * columns):
        row, column = divmod(place, columns)
        upper, lower = panels[2 * row, column], panels[2 * row + 1, column]
        if place >= len(units):
            upper.set_visible(False)
            lower.set_visible(False)
            continue
        unit = units[place]
        own = estimates[(estimates["scenario"] == unit.name) & (estimates["replicate"] == 0)]
        x = data_set(results.design, unit, 0)
        _panel(upper, lower, x, fitted(own, unit))
        # As they are in the design: dollars are no mathematics, and capitals stay.
        letters = int(LETTERS * width_for(columns) / columns)
        upper.set_title(textwrap.fill(unit.title or unit.name, letters), parse_math=False)
        label = f"{unit.column} ({unit.unit})" if unit.unit else unit.column
        lower.set_xlabel(textwrap.fill(label, letters), parse_math=False)
        if column == 0:
            upper.set_ylabel("Density")
            lower.set_ylabel("Difference\n(% of peak)")
    figure.align_ylabels(panels[:, 0])
    return figure


def fitted(estimates: pd.DataFrame, unit: DataSet) -> dict[str, Mixture]:
    """The mixture of each route's method from the estimates of one data set."""
    available = set(estimates["method"])
    methods = [next((m for m in route if m in available), None) for route in ROUTES]
    return {
        method: mixture(estimates[estimates["method"] == method], unit)
        for method in methods
        if method is not None
    }


def mixture(estimates: pd.DataFrame, unit: DataSet) -> Mixture:
    """One fit's estimates, with the parameters that the model knows."""
    model = unit.model.build()
    order = np.argsort(model.known[1], kind="stable")
    values = np.full((3, model.k), np.nan)
    for row, (parameter, known) in enumerate(zip(PARAMETERS, model.known[:, order], strict=True)):
        own = estimates[estimates["parameter"] == parameter]
        values[row, own["component"].to_numpy(int) - 1] = own["estimate"].to_numpy(float)
        missing = np.isnan(values[row])
        values[row, missing] = known[~np.isnan(known)]
    return Mixture(values[0] / values[0].sum(), values[1], values[2])


def _span(x: Floats) -> Floats:
    """(500,): an even grid over the data and a little beyond."""
    margin = 0.08 * np.ptp(x)
    return np.linspace(x.min() - margin, x.max() + margin, 500)


def _panel(upper: Axes, lower: Axes, x: Floats, fits: dict[str, Mixture]) -> None:
    upper.hist(x, bins=max(12, round(1.3 * np.sqrt(x.size))), density=True, color="0.88")
    grid = _span(x)
    first = next(iter(fits.values()))
    base = first.density(grid)
    for part in np.exp(first.log_joint(grid)).T:
        upper.plot(grid, part, color="0.4", lw=0.6)
    for (method, found), width in zip(fits.items(), nested_widths(len(fits)), strict=True):
        look = LOOKS[method]
        density = found.density(grid)
        upper.plot(grid, density, **look.stroke, lw=width, label=METHODS[method].label)
        lower.plot(grid, 100 * (density - base) / base.max(), **look.stroke, lw=width)
    upper.set_ylim(bottom=0)
    upper.tick_params(labelbottom=False)
    lower.set_xlim(upper.get_xlim())
    for axes in (upper, lower):
        axes.locator_params(axis="y", nbins=4)


def differences_found(results: Results) -> str:
    """How far each route's density is from the first one's, by data set."""
    estimates = usable(results)
    units = [u for u in results.design.data if (estimates["scenario"] == u.name).any()]
    apart: dict[str, list[str]] = {}
    firsts: set[str] = set()
    for unit in units:
        own = estimates[(estimates["scenario"] == unit.name) & (estimates["replicate"] == 0)]
        (first, base), *others = fitted(own, unit).items()
        firsts.add(METHODS[first].label)
        x = _span(data_set(results.design, unit, 0))
        peak = base.density(x).max()
        for method, found in others:
            most = 100.0 * np.abs(found.density(x) - base.density(x)).max() / peak
            said = f"{most:.2g}" if most >= 0.01 else "less than 0.01"
            apart.setdefault(METHODS[method].label, []).append(said)
    if not apart:
        return ""
    names = ", ".join(unit.name for unit in units)
    parts = [f"{label} by {', '.join(most)}" for label, most in apart.items()]
    return (
        f"From the density of {' or '.join(sorted(firsts))} others depart at most, in per cent of "
        f"its peak ({names}): {'; '.join(parts)}."
    )


TABLES: tuple[Table, ...] = (
    tabular(
        "real-data", "Real data", "Real data", real_data, no_real_data, over=("method", "scenario")
    ),
)
FIGURES: tuple[Drawing, ...] = (
    drawing(
        "fitted-densities", "Real data and fits", "Real data", fitted_densities, no_real_data,
        finding=differences_found,
    ),
)  # fmt: skip
