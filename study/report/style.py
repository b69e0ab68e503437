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
from study.rows import CHAIN_WORDS, CHOOSING, REMEDIES, STARTS, Results

STYLE = Path(__file__).parent / "paper.mplstyle"
SINGLE, DOUBLE = 3.5, 7.2  # inches, the columns of a journal
GREY = "0.55"
FEW = 50  # replicates; what fewer say is faded, without a line through it
# Of what is no method: Tol's high-contrast and muted colours, none of which a method has.
COMPONENTS = ("#004488", "#DDAA33", "#BB5566", "#88CCEE", "#117733", "#882255")

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


def looks(names: Iterable[str], colors: Sequence[str]) -> dict[str, Look]:
    """A look each, by the place of its name; markers and lines do without the colours.

    When the colours come again, each has another line.
    """
    found = {}
    for i, name in enumerate(names):
        turn, place = divmod(i, len(colors))
        line = _LINES[(i + turn) % len(_LINES)]
        found[name] = Look(colors[place], _MARKERS[i % len(_MARKERS)], line)
    return found


# Methods have Okabe and Ito's colours, which the colour-blind tell apart, and grey for their
# yellow; maximum likelihood, by whichever optimiser, is black.
COLORS = (
    *("#0072B2", "#D55E00", "#56B4E9", "#E69F00", "#7F7F7F"),
    *("#009E73", "#CC79A7", "#7B3294"),
)
LOOKS = looks(METHODS, COLORS)
ML = Look("#000000", "o", "solid")
# A kind of interval has the colour of its route and a marker of its own, those by refits grey ones.
_KINDS = {
    "wald": ("o", ML),
    "wald-natural": ("P", ML),
    "sandwich": ("s", ML),
    "profile": ("^", ML),
    "percentile": ("<", LOOKS["nelder-mead"]),
    "basic": (">", LOOKS["nelder-mead"]),
    "studentised": ("p", LOOKS["nelder-mead"]),
    "one-step": ("X", LOOKS["nelder-mead"]),
    "laplace": ("v", LOOKS["map"]),
    "equal-tailed": ("D", LOOKS["nuts"]),
    "highest-density": ("h", LOOKS["nuts"]),
}
INTERVAL_LOOKS = {
    kind: Look(route.color, marker, line)
    for (kind, (marker, route)), line in zip(_KINDS.items(), itertools.cycle(_LINES), strict=False)
}
REMEDY_LOOKS = looks([*REMEDIES[1:], REMEDIES[0]], (*COMPONENTS, "0.5"))
START_LOOKS = {
    start: Look(color, marker, "solid")
    for start, color, marker in zip(STARTS, ("#000000", *COMPONENTS), _MARKERS, strict=False)
}
# Of criteria, what is nearly another one has that one's colour, and a marker and a line of its own.
CHOICE_LOOKS = looks(
    dict.fromkeys(("aic", "bic", "icl", "cv", "bridge", "loo", "laplace", "lrt", *CHOOSING)),
    COLORS,
)
CHOICE_LOOKS |= {
    name: Look(CHOICE_LOOKS[near].color, CHOICE_LOOKS[name].marker, line)
    for name, near, line in (("aicc", "aic", (0, (4, 1, 1, 1))), ("icl-hard", "icl", "solid"))
}
CHAIN_LOOKS = {
    word: Look(color, marker, "solid")
    for word, color, marker in zip(CHAIN_WORDS, COMPONENTS, ("o", "s", "^", "D"), strict=False)
}


def shade(place: int, of: int) -> Look:
    """Of the place-th level of an ordered factor of so many: dark to light, the same in grey."""
    share = place / max(of - 1, 1)
    red, green, blue = (0.13 + 0.47 * share, 0.25 + 0.45 * share, 0.20 + 0.43 * share)
    return Look(
        mpl.colors.to_hex((red, green, blue)),
        _MARKERS[place % len(_MARKERS)],
        _LINES[place % len(_LINES)],
    )


AS_SAMPLED: Line = (0, (1, 1))
RELABELLED: Line = "solid"
MISS = "#BB5566"


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
            kept = found.setdefault(str(label), handle)
            if opacity(handle) > opacity(kept):
                found[str(label)] = handle
    if not found:
        return
    inches = [0.06 * len(label) + 0.5 for label in found]  # of DejaVu, the widest
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


def opacity(handle: Any) -> float:
    """Of what a legend shows; of points with error bars that of the points."""
    parts = [part for part in handle if part is not None] if isinstance(handle, tuple) else [handle]
    alpha = parts[0].get_alpha()
    return 1.0 if alpha is None else float(alpha)


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
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_formatter(NullFormatter())


def separation_axis(axes: Axes, separations: Sequence[float]) -> None:
    """A tick at each separation, with room for the methods around the first and the last."""
    room = dodge_width(separations)
    axes.set_xlim(separations[0] - room, separations[-1] + room)
    axes.set_xticks(list(separations), [f"{d:g}" for d in separations])
