"""What is simulated: the true densities."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from models import Mixture
from models.mixture import Floats
from study.design import Scenario
from study.report.exhibit import Drawing, Table
from study.report.grid import cells
from study.report.reasons import no_simulation
from study.report.style import COMPONENTS, DOUBLE, drawing
from study.rows import Results

ACROSS = 7  # panels of named scenarios


def densities(results: Results) -> Figure:
    """The mixtures that were simulated, with their weighted components."""
    named = results.design.scenarios
    grid = cells(results.design).drop_duplicates(["separation", "shape"])
    simulated = {s.name: s for s in results.design.all_scenarios()}
    rows = -(-len(named) // ACROSS) * 1.0, grid["shape"].nunique() * 0.85 + 0.3
    figure = Figure(figsize=(DOUBLE, sum(h for h in rows if h > 0.3) + 0.35))
    parts = [h for h in rows if h > 0.3]
    areas = list(figure.subfigures(len(parts), 1, height_ratios=parts, squeeze=False)[:, 0])
    if named:
        panels = areas.pop(0).subplots(
            -(-len(named) // ACROSS), min(len(named), ACROSS), squeeze=False
        )
        for axes, scenario in zip(panels.flat, named, strict=False):
            _density(axes, scenario)
            axes.set_title(scenario.name)
            axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        for axes in panels.flat[len(named) :]:
            axes.set_visible(False)
    if not grid.empty:
        shapes, distances = grid["shape"].unique(), sorted(grid["separation"].unique())
        panels = areas[0].subplots(
            len(shapes), len(distances), squeeze=False, sharex="col", sharey="row"
        )
        for row in grid.itertuples():
            place = list(shapes).index(row.shape), distances.index(row.separation)
            _density(panels[place], simulated[str(row.scenario)])
        for axes, d in zip(panels[0], distances, strict=True):
            axes.set_title(f"separation {d:g}")
        for axes, shape in zip(panels[:, 0], shapes, strict=True):
            axes.set_ylabel(shape)
        for axes in panels[-1]:
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        areas[0].supxlabel("Observation", fontsize=7)
    figure.supylabel("Density", fontsize=7)
    return figure


def _density(axes: Axes, scenario: Scenario) -> None:
    truth = scenario.truth()
    x = span(truth.components)
    axes.plot(x, truth.density(x), color="black", lw=1.1)
    for part, color in zip(truth.parts(x).T, COMPONENTS, strict=False):
        axes.plot(x, part, color=color, lw=0.9, ls=(0, (4, 1.5)))
    axes.set_ylim(bottom=0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def span(mixture: Mixture) -> Floats:
    """(400,): an even grid over all components, four sds to each side."""
    low = (mixture.means - 4.0 * mixture.sds).min()
    high = (mixture.means + 4.0 * mixture.sds).max()
    return np.linspace(low, high, 400)


def modes(scenario: Scenario) -> int:
    """How many local maxima the true density has."""
    truth = scenario.truth()
    x = truth.components.means
    fine = np.linspace(
        x.min() - truth.components.sds.max(), x.max() + truth.components.sds.max(), 4001
    )
    slope = np.sign(np.diff(truth.density(fine)))
    return int(np.count_nonzero(np.diff(slope[slope != 0]) < 0))


def modes_found(results: Results) -> str:
    """How many mixtures have fewer modes than components, by separation where there is a grid."""
    run = set(results.fits["scenario"])
    grid = cells(results.design).drop_duplicates(["separation", "shape"])
    named = [s for s in results.design.scenarios if s.name in run]
    scenarios = {s.name: s for s in results.design.all_scenarios() if s.name in run}
    grid = grid[grid["scenario"].isin(list(scenarios))]
    if grid.empty:
        few = sum(modes(s) < len(s.weights) for s in named)
        text = f"Of {len(named)} mixtures {few} have fewer modes than components."
        return text if named else ""
    one = grid["scenario"].map(lambda name: modes(scenarios[str(name)]) < 2)
    by = one.groupby(grid["separation"]).agg(["sum", "size"])
    said = [f"{row['sum']} of {row['size']} at separation {d:g}" for d, row in by.iterrows()]
    return f"Two components need not make two modes: {', '.join(said)} have one."


TABLES: tuple[Table, ...] = ()
FIGURES: tuple[Drawing, ...] = (
    drawing(
        "densities", "True densities", "Estimates", densities, no_simulation, finding=modes_found
    ),
)
