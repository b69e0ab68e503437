"""How every figure looks: widths, legends, and one look for each thing wherever it is drawn.

No figure is drawn here and nothing here reads rows.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from models import METHODS
from models.mixture import Floats
from study.report.exhibit import Drawing, Exhibit, Finding, Reason
from study.rows import CHAIN_WORDS, INTERVAL_KINDS, REMEDIES, Results

STYLE = Path(__file__).parent / "paper.mplstyle"
SINGLE, DOUBLE = 3.5, 7.2  # inches, the columns of a journal
GREY = "0.55"
FEW = 50  # replicates; what fewer say is faded, without a line through it
COMPONENTS = ("#0072B2", "#E69F00", "#000000", "#56B4E9", "#009E73", "#D55E00")

type Draw[Rows] = Callable[[Rows], Figure]
type Line = str | tuple[float, tuple[float, ...]]


class Look(NamedTuple):
    """How something is drawn in every figure."""

    color: str
    marker: str
    line: Line

    @property
    def points(self) -> dict[str, Any]:
        """Of points that no line joins."""
        return {"color": self.color, "marker": self.marker, "ls": "none"}

    @property
    def stroke(self) -> dict[str, Any]:
        """Of a line without points."""
        return {"color": self.color, "ls": self.line}

    @property
    def both(self) -> dict[str, Any]:
        """Of points on a line."""
        return self.points | self.stroke


# Okabe and Ito's colours, which the colour-blind tell apart, with grey for their yellow; the
# markers and the lines do without colour.
_COLORS = ("#000000", "#D55E00", "#0072B2", "#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#7F7F7F")
_MARKERS = ("o", "s", "^", "v", "D", "P", "X", "p", "<", ">", "h")
_LINES: tuple[Line, ...] = (
    "solid",
    (0, (5, 1.5)),
    (0, (1, 1)),
    (0, (4, 1, 1, 1)),
    (0, (2, 2)),
    (0, (7, 2)),
    (0, (3, 1)),
    (0, (1, 2)),
)


def looks(names: Iterable[str]) -> dict[str, Look]:
    """A look each, by the place of its name."""
    cycles = map(itertools.cycle, (_COLORS, _MARKERS, _LINES))
    return {name: Look(*look) for name, look in zip(names, zip(*cycles, strict=True), strict=False)}


LOOKS = looks(METHODS)
# Those that are drawn together first.
INTERVAL_LOOKS = looks(
    dict.fromkeys(("wald", "sandwich", "profile", "laplace", "equal-tailed", *INTERVAL_KINDS))
)
REMEDY_LOOKS = looks([*REMEDIES[1:], REMEDIES[0]])
CHAIN_LOOKS = {
    word: Look(color, marker, "solid")
    for word, color, marker in zip(CHAIN_WORDS, COMPONENTS, ("o", "s", "^", "D"), strict=False)
}
AS_SAMPLED: Line = (0, (1, 1))
RELABELLED: Line = "solid"
MISS = "#D55E00"
# From what is good to what is not: light to dark, the bad ones hatched.
VERDICT_FILLS: dict[str, dict[str, Any]] = {
    "certified": {"color": "0.92"},
    "sampled": {"color": "0.92"},
    "boundary": {"color": "0.80"},
    "other local maximum": {"color": "#56B4E9"},
    "stopped early": {"color": "#E69F00", "hatch": "//"},
    "undersampled": {"color": "#E69F00", "hatch": "//"},
    "not identified": {"color": "#CC79A7", "hatch": "\\\\"},
    "component not needed": {"color": "#009E73", "hatch": "++"},
    "spurious": {"color": "#D55E00", "hatch": "xx"},
    "singular": {"color": "#7F7F7F", "hatch": ".."},
    "failed": {"color": "black"},
}


def labelling_looks(labellings: Iterable[str]) -> dict[str, Look]:
    """Of labellings such as "2 1 3": each its own of up to three components, else by place."""
    names = list(labellings)
    k = len(names[0].split()) if names else 0
    if k <= 3:
        names = [" ".join(p) for p in itertools.permutations(map(str, range(1, k + 1)))]
    cycle = itertools.cycle(zip(COMPONENTS, ("o", "s", "^", "D", "v", "P"), strict=True))
    return {name: Look(*look, "solid") for name, look in zip(names, cycle, strict=False)}


def styled[Rows](draw: Draw[Rows]) -> Draw[Rows]:
    """The same drawing in the paper's style, whatever the user's own settings are."""

    @functools.wraps(draw)
    def drawn(results: Rows) -> Figure:
        with mpl.rc_context(fname=STYLE):
            return draw(results)

    return drawn


def drawing(
    name: str,
    title: str,
    category: str,
    draw: Draw[Results],
    *lacks: Reason,
    none: str = "",
    finding: Finding | None = None,
) -> Drawing:
    """The figure in the paper's style, its legend above; words where a design lacks what it needs.

    none: what it means if there is nothing to draw of what the design has.
    """

    def drawn(results: Results) -> Figure:
        why = exhibit.lacking(results.design)
        figure = nothing(why) if why else draw(results)
        legend_above(figure)
        return figure

    exhibit = Exhibit(name, title, category, styled(drawn), lacks=lacks, none=none, finding=finding)
    return exhibit


def nothing(why: str) -> Figure:
    """A small figure that says in words why there is nothing to draw."""
    figure = Figure(figsize=(SINGLE, 0.6))
    figure.set_gid("nothing")
    figure.text(0.5, 0.5, why, ha="center", va="center", color="0.3")
    return figure


def faded(r: float) -> float:
    """Opacity of what r replicates say."""
    return 1.0 if r >= FEW else 0.35


def dodge_width(places: Iterable[float]) -> float:
    """How far apart the first and the last method of a place may stand without confusion."""
    values = np.unique(np.fromiter(places, dtype=float))
    return min(0.6 * np.diff(values).min(), 0.2 * np.ptp(values)) if values.size > 1 else 0.6


def dodged(x: Floats, place: int, of: int, width: float) -> Floats:
    """x moved sideways for the place-th of `of` methods, by `width` from first to last."""
    return x + (width * (place / (of - 1) - 0.5) if of > 1 else 0.0)


def legend_above(figure: Figure) -> None:
    """One legend above the figure with each label of its axes once, in as many rows as it needs."""
    found: dict[str, Artist] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(str(label), handle)
    if not found:
        return
    inches = [0.05 * len(label) + 0.5 for label in found]
    rows = 1
    while rows < len(found) and _columns_width(inches, rows) > figure.get_figwidth():
        rows += 1
    legend = figure.legend(
        list(found.values()),
        list(found),
        loc="outside upper center",
        ncols=math.ceil(len(found) / rows),
    )
    for line in legend.get_lines():
        line.set_linewidth(max(line.get_linewidth(), 1.0))


def _columns_width(inches: Sequence[float], rows: int) -> float:
    """Of entries that fill columns of so many rows one after the other."""
    return sum(max(inches[i : i + rows]) for i in range(0, len(inches), rows))


def nested_widths(count: int) -> list[float]:
    """Line widths from thick to thin, so that lines that coincide are all seen."""
    return [0.9 + 0.35 * (count - 1 - place) for place in range(count)]


def width_for(columns: int) -> float:
    """Inches: a journal column for one panel, two for more, wider only for more than five."""
    return SINGLE if columns == 1 else max(DOUBLE, 1.4 * columns)


def names_of(methods: Sequence[str]) -> str:
    """Such as EM, Newton."""
    return ", ".join(METHODS[m].label for m in methods)


def log_ticks(axis: Axis) -> None:
    """Numbers on a log axis at 1, 2 and 5 where the axis is short, else at the decades."""
    low, high = axis.get_view_interval()
    short = math.log10(high / low) < 2.0
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if short else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def separation_axis(axes: Axes, separations: Sequence[float]) -> None:
    """A tick at each separation, with room for the methods around the first and the last."""
    room = dodge_width(separations)
    axes.set_xlim(separations[0] - room, separations[-1] + room)
    axes.set_xticks(list(separations), [f"{d:g}" for d in separations])
