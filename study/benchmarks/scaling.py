"""Seconds against the number of observations: a pass, a fit, an EM fit, an effective draw."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from models import METHODS
from study.benchmarks.measure import COMPRESSED
from study.benchmarks.peers import OURS
from study.benchmarks.tables import Measured
from study.benchmarks.timing import slope
from study.report.exhibit import Exhibit
from study.report.style import DOUBLE, LOOKS, Look, nothing, styled

# The separation of the panel of fits, and the parameters of the panel of packages.
SEPARATION, JOB = 3.0, "five parameters"


def scaling(measured: Measured) -> Figure:
    """Log-log, a panel a kind of work, a line an implementation with its slope."""
    rows = measured.timings.dropna(subset=["seconds"])
    panels = [
        ("A pass, two components", "Seconds a pass", _passes(rows)),
        (f"A fit, separation {SEPARATION:g}", "Seconds a fit", _fits(rows)),
        ("EM for five parameters", "Seconds a fit", _peers(rows)),
        ("NUTS for five parameters", "Seconds an effective draw", _samplers(rows)),
    ]
    panels = [panel for panel in panels if not panel[2].empty]
    if not panels:
        return nothing("Nothing was timed.")
    height = -(-len(panels) // 2)
    figure = Figure(figsize=(DOUBLE, 3.0 * height))
    areas = list(figure.subplots(height, 2, squeeze=False).flat)
    for axes, (title, label, part) in zip(areas, panels, strict=False):
        _lines(axes, part)
        axes.set_title(title)
        axes.set_ylabel(label)
        axes.set_xlabel("Observations (slope in brackets)")
    for axes in areas[len(panels) :]:
        axes.set_visible(False)
    return figure


def _passes(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[(rows["suite"] == "passes") & (rows["task"] == "moments") & (rows["k"] == 2)]


def _fits(rows: pd.DataFrame) -> pd.DataFrame:
    exact = ~rows["implementation"].str.endswith(", compressed")
    shown = exact | (rows["implementation"] == "EM, compressed")
    return rows[(rows["suite"] == "fits") & (rows["separation"] == SEPARATION) & shown]


def _peers(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[(rows["suite"] == "peers") & (rows["task"] == JOB)]


def _samplers(rows: pd.DataFrame) -> pd.DataFrame:
    part = rows[(rows["suite"] == "posterior") & (rows["task"] == "NUTS")]
    return part.assign(seconds=part["seconds"] / part["ess"])


def _lines(axes: Axes, rows: pd.DataFrame) -> None:
    names = list(rows["implementation"].unique())
    looks = _looks(names)
    ends = {name: group["seconds"].iloc[-1] for name, group in rows.groupby("implementation")}
    # The legend stands in the order of the lines' right ends.
    for name in sorted(names, key=lambda n: -ends[n]):
        groups = rows[rows["implementation"] == name].groupby("n")["seconds"]
        found = groups.quantile([0.25, 0.5, 0.75]).unstack()
        n, median = found.index.to_numpy(float), found[0.5].to_numpy(float)
        lengths = np.abs(found[[0.25, 0.75]].to_numpy(float).T - median)
        power = f" ({slope(n, median):.2f})".replace("-", "−") if n.size > 1 else ""
        look = looks[name]
        axes.errorbar(
            n,
            median,
            lengths,
            **look.both,
            lw=0.9,
            elinewidth=0.7,
            label=f"{name.removeprefix(f'{OURS}, ')}{power}",
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_formatter(NullFormatter())
    axes.legend(loc="upper center", bbox_to_anchor=(0.45, -0.2), ncols=2, columnspacing=1.0)


def _looks(names: list[str]) -> dict[str, Look]:
    """A method's own look, or the next free one; this project's come first."""
    methods = {METHODS[name].label: look for name, look in LOOKS.items()}
    if set(names) & set(methods):
        free = [look for look in LOOKS.values() if look not in [methods.get(n) for n in names]]
        others = iter(free)
        return {name: methods[name] if name in methods else next(others) for name in names}
    order = [name for name in (OURS, COMPRESSED) if name in names]
    order += [name for name in names if name not in order]
    return dict(zip(order, LOOKS.values(), strict=False))


BENCHMARK_FIGURES: tuple[Exhibit[Measured, Figure], ...] = (
    Exhibit("scaling", "Seconds against n", "Benchmarks", styled(scaling)),
)
