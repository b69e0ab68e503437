"""The cut-off between two components: whether there is one, its estimate, what its intervals cover.

Two of them: where both components are as probable, between the means; and above which the lower
component has a given share of its own, the rate of false positives.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from models.inference.functionals import crossing, crossings
from models.methods import SAMPLERS
from models.mixture import Floats
from study.report import measures
from study.report.exhibit import Drawing, Table, tabular
from study.report.grid import cells
from study.report.held import NAMES
from study.report.performance import reference
from study.report.readers import per_cent
from study.report.reasons import no_cutoff, no_grid_intervals
from study.report.series import nominal_level
from study.report.style import (
    DOUBLE,
    INTERVAL_LOOKS,
    dodge_width,
    dodged,
    drawing,
    faded,
    nothing,
    separation_axis,
    shade,
)
from study.report.table import sorted_rows, table_of, with_errors
from study.rows import CROSSING, CUTOFF, DATA_SET, PARAMETERS, Results, usable

COLUMNS = ["scenario", "true_points", "R", "between", "two", "bias", "rmse", "wald", "posterior"]
# Kinds that these have as well as the parameters, one of each route.
KINDS = ("wald", "percentile", "equal-tailed")


def cutoffs(results: Results) -> pd.DataFrame:
    """By scenario with two components: the point between the means where both are as probable.

    true_points: how many points of the truth are so, and whether one is between the means. between,
    two: shares of data sets whose estimate has one between the means, and two in all. bias, rmse:
    where there is one. wald, posterior: coverage; an estimate without a cut-off counts as a miss.
    """
    return _table(results, CROSSING)


def cutoffs_by_rate(results: Results) -> pd.DataFrame:
    """The same of the point above which the lower component has 5% of its own."""
    table = _table(results, CUTOFF)
    return table.drop(
        columns=[c for c in map(str, table) if c.startswith(("between", "two", "true_"))]
    )


def _table(results: Results, quantity: str) -> pd.DataFrame:
    rows = results.intervals
    rows = rows[(rows["quantity"] == quantity) & rows["scenario"].isin(_simulated(results))]
    own, method = fitted(results), reference(results)
    found = []
    for scenario, part in rows.groupby("scenario", sort=False):
        truth = target_of(results, str(scenario))
        if truth is None:
            continue
        wald = part[(part["kind"] == "wald") & (part["method"] == method)]
        draws = [part[(part["kind"] == "equal-tailed") & (part["method"] == m)] for m in SAMPLERS]
        drawn = next((p for p in draws if len(p)), part.iloc[:0])
        estimates = _mixtures(own[own["scenario"] == scenario])
        points, between = crossings(estimates), crossing(estimates)
        of = {
            "between": measures.proportion(np.isfinite(between).astype(float)),
            "two": measures.proportion(np.isfinite(points).all(axis=-1).astype(float)),
            "bias": measures.bias(wald["estimate"].to_numpy(float), wald["truth"].to_numpy(float)),
            "rmse": measures.rmse(wald["estimate"].to_numpy(float), wald["truth"].to_numpy(float)),
            "wald": _coverage(wald),
            "posterior": _coverage(drawn),
        }
        row: dict[str, Any] = {"scenario": scenario, "true_points": _words(truth)}
        row |= with_errors(of, of["wald"].r) | {"R_between": of["between"].r}
        row |= {"R_bias": of["bias"].r, "R_posterior": of["posterior"].r}
        found.append(row)
    return sorted_rows(results, table_of(found, COLUMNS))


def _mixtures(rows: pd.DataFrame) -> Floats:
    """(rows, 3, 2): weights, means and sds of rows of `fitted`."""
    return rows[_ROWS].to_numpy(float).reshape(-1, 3, 2)


def _coverage(rows: pd.DataFrame) -> measures.Share:
    low, high, true = (rows[c].to_numpy(float) for c in ("lower", "upper", "truth"))
    return measures.coverage(low, high, true)


def _words(truth: Floats) -> str:
    number = int(np.isfinite(crossings(truth)).sum())
    inside = "one between the means" if np.isfinite(crossing(truth)) else "none between the means"
    return f"{number}, {inside}" if number else "none"


def target_of(results: Results, scenario: str) -> Floats | None:
    """(3, 2): what a scenario's estimates tend to; None where that is not identified, or K != 2."""
    own = results.targets[results.targets["scenario"] == scenario]
    if len(own) != 6 or own["target"].isna().any():
        return None
    wide = own.pivot(index="parameter", columns="component", values="target")
    return wide.loc[list(PARAMETERS)].to_numpy(float)


_ROWS = [f"{parameter} {j}" for parameter in PARAMETERS for j in (1, 2)]


def fitted(results: Results) -> pd.DataFrame:
    """A row a data set that the optimiser which stands for all fits with two components: its
    weights, means and sds, known ones filled in."""
    rows = usable(results)
    rows = rows[(rows["method"] == reference(results)) & rows["scenario"].isin(_simulated(results))]
    wide = rows.assign(name=rows["parameter"] + " " + rows["component"].astype(str))
    wide = wide.pivot(index=DATA_SET, columns="name", values="estimate").reset_index()
    for name in _ROWS:
        parameter, j = name.split(" ")
        true = {
            s: known[int(j) - 1]
            for s in wide["scenario"].unique()
            if (known := _known(results, str(s), parameter)) is not None
        }
        filled = wide["scenario"].map(true).astype(float)
        wide[name] = wide[name].fillna(filled) if name in wide else filled
    return wide.dropna(subset=_ROWS)


def _known(results: Results, scenario: str, parameter: str) -> list[float | None] | None:
    model = results.design.scenario(scenario).model
    return {"weight": model.weights, "mean": model.means, "sd": model.sds}[parameter]


def _simulated(results: Results) -> list[str]:
    return [s.name for s in results.design.all_scenarios() if s.model.k == 2]


def figure(results: Results) -> Figure:
    """Over the grid: how often there is a cut-off, and what intervals for the two cover."""
    grid = cells(results.design)
    rows = results.intervals[results.intervals["quantity"].isin((CROSSING, CUTOFF))]
    rows = rows[rows["scenario"].isin(grid["scenario"])].dropna(subset=["truth"])
    if rows.empty:
        return nothing("No cut-off of the grid was to have intervals.")
    n = rows.merge(grid, on="scenario").groupby("n").size().idxmax()
    here = grid[grid["n"] == n]
    separations = sorted(here["separation"].unique())
    made = Figure(figsize=(DOUBLE, 2.5))
    left, centre, right = made.subplots(1, 3)
    _found(left, fitted(results).merge(here, on="scenario"), separations)
    for axes, quantity in ((centre, CROSSING), (right, CUTOFF)):
        part = rows[rows["quantity"] == quantity].merge(here, on="scenario")
        nominal_level(axes, results.design.level, 0)
        _covered(axes, part, separations)
        axes.set_title(f"Coverage, {quantity}")
        separation_axis(axes, separations)
        axes.set_ylim(top=1.02)
    left.set_title("Share with a cut-off between the means")
    separation_axis(left, separations)
    made.supxlabel(f"Separation of the means (root-mean-square sds); $n$ = {n:,}", fontsize=7)
    return made


def _found(axes: Any, own: pd.DataFrame, separations: list[float]) -> None:
    """The share of estimates with a cut-off between the means, a line a shape of the mixture."""
    shapes = list(dict.fromkeys(own["shape"]))
    for place, shape in enumerate(shapes):
        part = own[own["shape"] == shape]
        there = np.isfinite(crossing(_mixtures(part))).astype(float)
        apart = part["separation"].to_numpy(float)
        found = [measures.proportion(there[apart == d]) for d in separations]
        ends = np.array([[m.value - m.ends[0], m.ends[1] - m.value] for m in found]).T
        look = shade(place, len(shapes))
        axes.errorbar(
            dodged(np.array(separations), place, len(shapes), 0.5 * dodge_width(separations)),
            [m.value for m in found], np.maximum(np.nan_to_num(ends), 0.0), **look.both, lw=0.7,
            elinewidth=0.7, label=shape,
        )  # fmt: skip


def _covered(axes: Any, part: pd.DataFrame, separations: list[float]) -> None:
    for place, kind in enumerate(KINDS):
        own = part[part["kind"] == kind]
        own = own[own["method"] != "nuts-ordered"] if (own["method"] == "nuts").any() else own
        there = [(d, _coverage(own[own["separation"] == d])) for d in separations]
        there = [(d, share) for d, share in there if share.r]
        for d, share in there:
            x = dodged(np.array([d]), place, len(KINDS), 0.5 * dodge_width(separations))
            low, high = share.ends
            axes.errorbar(
                x, [share.value], [[share.value - low], [high - share.value]],
                **INTERVAL_LOOKS[kind].points, elinewidth=0.7, alpha=faded(share.r),
                label=NAMES.get(kind, "bootstrap, percentile"),
            )  # fmt: skip


def cutoffs_found(results: Results) -> str:
    """How often there is a cut-off to estimate, and what Wald's interval for it covers."""
    table = cutoffs(results)
    table = table.merge(cells(results.design)[["scenario", "separation"]], on="scenario")
    if table.empty:
        return ""
    ends = sorted(table["separation"].unique())
    said, covered = [], []
    for d in dict.fromkeys((ends[0], ends[-1])):
        own = table[table["separation"] == d]
        there, wald = _mean(own, "between"), _mean(own[own["bias"].notna()], "wald")
        said.append(f"{per_cent(there)} at separation {d:g}")
        if wald.r:
            covered.append(f"{per_cent(wald)} at {d:g}")
    text = f"Of the estimates {' and '.join(said)} have a cut-off between the means"
    if covered:
        text += f"; Wald intervals for it, where the truth has one, cover {' and '.join(covered)}"
    return f"{text}, in the mean over the cells."


def _mean(table: pd.DataFrame, name: str) -> measures.Measure:
    """Of a share, over the cells of a table."""
    columns = [name, f"{name}_mcse", "R"]
    return measures.mean_of([measures.Measure(*row) for row in table[columns].to_numpy(float)])


TABLES: tuple[Table, ...] = (
    tabular("cutoffs", "Where to cut", "Estimates", cutoffs, no_cutoff, finding=cutoffs_found),
    tabular("cutoffs-rate", "Where to cut, at 5% false positives", "Estimates", cutoffs_by_rate,
            no_cutoff),
)  # fmt: skip
FIGURES: tuple[Drawing, ...] = (
    drawing(
        "cut-off", "Where to cut", "Estimates", figure, no_grid_intervals, no_cutoff,
        none="No cut-off of the grid was to have intervals.", finding=cutoffs_found,
    ),
)  # fmt: skip
