"""How many components a column has, on the terminal and in a figure: `fit` with several K."""

from __future__ import annotations

import re

from rich.table import Table

from models.criteria import CRITERIA
from models.mixture import Floats
from models.selection import NOTHING, Selection, Value, select

# Seconds of a criterion that are worth saying.
WORTH_SAYING = 0.05
# Components, of which more are a slip of the hand.
MOST = 1000
# What decides which fit is shown, of the criteria that were asked for the first of these.
SHOWN = ("bic", "icl", "aicc", "aic")


def several(k: str) -> list[int] | None:
    """The numbers of components that "1-6" or "1,2,4" name; None of a single one.

    Raises ValueError for what names none.
    """
    if not re.search(r"[,-]", k):
        return None
    found: set[int] = set()
    for part in k.split(","):
        ends = re.fullmatch(r"\s*([0-9]+)(?:\s*-\s*([0-9]+))?\s*", part)
        low, high = (0, 0) if ends is None else (int(ends[1]), int(ends[2] or ends[1]))
        if not 1 <= low <= high:
            raise ValueError(f"-k: {k!r} names no numbers of components; give 2, 1-6 or 1,2,4")
        if high > MOST:
            raise ValueError(f"-k: {high} is more than {MOST}, the most components that are tried")
        found |= set(range(low, high + 1))
    return sorted(found)


def chosen(
    x: Floats, counts: Floats | None, ks: list[int], criteria: str, equal_sds: bool, seed: int
) -> Selection:
    """`select` as the command line has it."""
    names = [name.strip() for name in criteria.split(",")]
    return select(x, ks, criteria=names, equal_sds=equal_sds, counts=counts, rng=seed)


def shown(selection: Selection) -> str:
    """The criterion whose choice is the fit to show."""
    return next((name for name in SHOWN if name in selection.criteria), selection.criteria[0])


def table(selection: Selection) -> Table:
    """Rows K, columns criteria, each one's choice marked with a star.

    What comes from a posterior is there whether a maximum can be believed or not.
    """
    made = Table(box=None, header_style="bold", pad_edge=False)
    both = len({one.equal_sds for one in selection.candidates}) > 1
    headings = ["K", *(["sds"] if both else []), "log-lik."]
    for heading in [*headings, *(CRITERIA[name].label for name in selection.criteria)]:
        made.add_column(heading, justify="right", no_wrap=True)
    for place, one in enumerate(selection.candidates):
        cells = [str(one.k), *(["common" if one.equal_sds else "free"] if both else [])]
        cells.append(f"{one.fit.loglik:.3f}" if one.believed else NOTHING)
        for name in selection.criteria:
            text = _shown(one.values[name])
            text = "–" if text == NOTHING else text
            cells.append(text + (" *" if selection.choices[name] == place else "  "))
        made.add_row(*cells)
    return made


def _shown(found: Value) -> str:
    """The value with its error, or why there is none."""
    value, error, note = found
    if value != value:
        return note
    decimals = 2 if abs(value) >= 1.0 else 3
    return f"{value:.{decimals}f}" + (f" ({error:.2g})" if error else "")


def notes(selection: Selection) -> list[str]:
    """What is to be said of values, a line a criterion, and of maxima that do not count."""
    found = {
        name: [
            f"K = {one.k}: {one.values[name].note}"
            for one in selection.candidates
            if one.values[name].note and one.values[name].value == one.values[name].value
        ]
        for name in selection.criteria
    }
    lines = [f"{CRITERIA[name].label}: {'; '.join(own)}" for name, own in found.items() if own]
    higher = [
        f"K = {one.k} by {one.higher:.2f} nats" for one in selection.candidates if one.higher > 0.0
    ]
    if higher:
        lines.append(
            f"A higher maximum was found that cannot be believed, and does not count: "
            f"{', '.join(higher)}."
        )
    return lines


def said(selection: Selection) -> str:
    """What stands under the table."""
    signs = {CRITERIA[name].sign for name in selection.criteria}
    least = "* chosen: the least value" if signs <= {-1} else "* chosen"
    fits = selection.costs["fits"]
    slow = [
        f"{CRITERIA[name].label} {selection.costs[name].passes:,} passes, "
        f"{selection.costs[name].seconds:.2f} s"
        for name in selection.criteria
        if selection.costs[name].seconds > WORTH_SAYING
    ]
    text = (
        f"{least}. Fits are the highest maxima that can be believed: {fits.passes:,} passes, "
        f"{fits.seconds:.2f} s"
    )
    return "; ".join([text, *slow]) + "."
