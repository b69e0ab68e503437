"""The figure of one data set's choice of K, for the command line: no exhibit of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.criteria import CRITERIA
from models.mixture import Floats
from models.selection import Selection
from study.report.style import CHOICE_LOOKS, DOUBLE, STYLE

# Beside what is chosen, by so many components.
NEAR = 1


def draw(
    selection: Selection, x: Floats, counts: Floats | None, name: str, shown: str, file: Path
) -> None:
    """Criteria against K, and the fitted densities over a histogram, to a file of its own type.

    name: of the observations. shown: the criterion whose choice is drawn bold.
    """
    with mpl.rc_context(fname=STYLE):
        figure = Figure(figsize=(DOUBLE, 2.9))
        left, right = figure.subplots(1, 2)
        _against_k(left, selection)
        _densities(right, selection, x, counts, selection.choices[shown])
        right.set_xlabel(name, parse_math=False)
        for axes in (left, right):
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
        figure.savefig(file)


def _against_k(axes: Axes, selection: Selection) -> None:
    """Each criterion's distance to its best; tests and probabilities are left out."""
    both = len({one.equal_sds for one in selection.candidates}) > 1
    ks = np.array([one.k for one in selection.candidates], dtype=float)
    for name in selection.criteria:
        criterion, values = CRITERIA[name], selection.values(name)
        if criterion.sign == 0 or name.startswith("overfitted") or np.isnan(values).all():
            continue
        scale = 0.5 if criterion.sign < 0 else 1.0
        behind = scale * (np.nanmax(criterion.sign * values) - criterion.sign * values)
        for kind in dict.fromkeys(one.equal_sds for one in selection.candidates):
            own = [i for i, one in enumerate(selection.candidates) if one.equal_sds == kind]
            label = criterion.label + (", common sd" if kind and both else "")
            look: dict[str, Any] = {"mfc": "white"} if kind and both else {}
            axes.plot(ks[own], behind[own], **CHOICE_LOOKS[name].both, **look, label=label)
    axes.set_yscale("symlog", linthresh=1.0, linscale=0.5)
    axes.set_ylim(bottom=-0.2)
    axes.set_yticks([0, 1, 10, 100], ["0", "1", "10", "100"])
    axes.set_xticks(sorted(set(ks)))
    axes.set_xlabel("Components $K$")
    axes.set_ylabel("Behind the best (nats)")


def _densities(
    axes: Axes, selection: Selection, x: Floats, counts: Floats | None, bold: int | None
) -> None:
    bins = max(12, round(1.3 * np.sqrt(x.size)))
    axes.hist(x, bins=bins, weights=counts, density=True, color="0.88")
    margin = 0.08 * np.ptp(x)
    grid = np.linspace(x.min() - margin, x.max() + margin, 500)
    centre = 0 if bold is None else selection.candidates[bold].k
    for place, one in enumerate(selection.candidates):
        if not one.believed or one.fit.mixture is None or abs(one.k - centre) > NEAR:
            continue
        density = one.fit.mixture.density(grid)
        if place == bold:
            for part in np.exp(one.fit.mixture.log_joint(grid)).T:
                axes.plot(grid, part, color="0.4", lw=0.6)
            axes.plot(grid, density, color="black", lw=1.6, label=f"$K$ = {one.k}, chosen")
        elif bold is not None and one.equal_sds == selection.candidates[bold].equal_sds:
            line = (0, (1, 1)) if one.k < centre else (0, (5, 1.5))
            axes.plot(grid, density, color="#D55E00", ls=line, lw=0.9, label=f"$K$ = {one.k}")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("Density")
