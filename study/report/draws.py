"""Label switching in single fits whose draws are kept: traces, joint draws, allocations."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from models.mixture import Floats
from study.report.exhibit import Drawing, Table
from study.report.reasons import no_draws
from study.report.style import (
    AS_SAMPLED,
    COMPONENTS,
    DOUBLE,
    GREY,
    RELABELLED,
    SINGLE,
    drawing,
    labelling_looks,
    nothing,
)
from study.report.switching import switchable
from study.rows import FIT, Results
from study.simulate import data_set

NO_DRAWS = "No fit of NUTS whose draws are kept is usable."
POINTS = 800  # draws in a panel, more than which hide one another
SEEN = 400  # observations under a panel at most


class Kept(NamedTuple):
    """A fit whose draws are kept: its row of labels and its draws by Stephens' relabelling.

    means: (chains, draws, K), as sampled. labellings: (chains, draws, K), the component as sampled
    that Stephens' puts at each place, from 1. allocations: rows a point and component.
    """

    row: pd.Series
    means: Floats
    labellings: NDArray[np.int_]
    allocations: pd.DataFrame

    @property
    def name(self) -> str:
        return str(self.row["scenario"])


def traces(results: Results) -> Figure:
    """The means of some NUTS fits, from frequent switching to none, raw and relabelled."""
    chosen = examples(results)
    if not chosen:
        return nothing(NO_DRAWS)
    figure = Figure(figsize=(DOUBLE, 0.6 + 1.5 * len(chosen)))
    panels = figure.subplots(len(chosen), 2, squeeze=False, sharex="row", sharey="row")
    for fit, (left, right) in zip(chosen, panels, strict=True):
        _trace(left, fit.means)
        _trace(right, np.take_along_axis(fit.means, fit.labellings - 1, axis=-1))
        switches = _count(int(fit.row["switches"]), "switch", "switches")
        left.set_title(
            f"{fit.name}: {fit.row['verdict']}, {switches}; R-hat {fit.row['rhat_raw']:.2f}",
            loc="left",
        )
        right.set_title(f"R-hat {fit.row['rhat_relabelled']:.2f}", loc="left")
        left.set_ylabel("Component mean")
    for axes, title in zip(panels[0], ("As sampled", "Relabelled"), strict=True):
        axes.annotate(title, (0.5, 1), (0, 16), "axes fraction", "offset points", ha="center")
    figure.align_ylabels(panels[:, 0])
    return figure


def joint_means(results: Results) -> Figure:
    """Draws of the first two means as sampled, by the labelling that Stephens' finds them in."""
    chosen = examples(results)
    if not chosen:
        return nothing(NO_DRAWS)
    figure = Figure(figsize=(DOUBLE if len(chosen) > 1 else SINGLE, 2.9))
    for axes, fit in zip(figure.subplots(1, len(chosen), squeeze=False)[0], chosen, strict=True):
        flat = fit.labellings.reshape(-1, fit.labellings.shape[-1])
        found, place = np.unique(flat, axis=0, return_inverse=True)
        first, second = fit.means[:, :, :2].reshape(-1, 2).T
        shown = np.arange(0, first.size, max(first.size // POINTS, 1))
        names = [" ".join(map(str, labelling)) for labelling in found]
        for i, name in enumerate(names):
            own = shown[place[shown] == i]
            axes.plot(
                first[own],
                second[own],
                labelling_looks(names)[name].marker,
                color=labelling_looks(names)[name].color,
                ms=2.2,
                mew=0.4,
                mfc="none",
                alpha=0.6,
                rasterized=True,
                label=f"labelling {name}",
            )
        ends = np.array([min(first.min(), second.min()), max(first.max(), second.max())])
        axes.plot(ends, ends, color=GREY, lw=0.6, zorder=0)
        axes.set_aspect("equal", "datalim")
        axes.set_title(f"{fit.name}: {fit.row['verdict']}")
        axes.set_xlabel("Mean with label 1")
    figure.axes[0].set_ylabel("Mean with label 2")
    return figure


def allocation(results: Results) -> Figure:
    """Mean responsibilities along the data, as sampled and relabelled."""
    chosen = examples(results)
    if not chosen:
        return nothing(NO_DRAWS)
    figure = Figure(figsize=(DOUBLE if len(chosen) > 1 else SINGLE, 2.2))
    panels = figure.subplots(1, len(chosen), squeeze=False, sharey=True)[0]
    for axes, fit in zip(panels, chosen, strict=True):
        for column, line in (("as_sampled", AS_SAMPLED), ("relabelled", RELABELLED)):
            shares = fit.allocations.pivot(index="x", columns="component", values=column)
            for j, share in enumerate(shares.to_numpy().T):
                label = f"component {j + 1}" if line == RELABELLED else None
                color = COMPONENTS[j % len(COMPONENTS)]
                axes.plot(shares.index, share, color=color, ls=line, label=label)
        axes.axhline(1.0 / fit.means.shape[-1], color="0.8", lw=0.6, zorder=0)
        seen = _some(results, fit)
        axes.plot(seen, np.full(seen.size, -0.05), "|", color="black", ms=3, mew=0.3)
        axes.set_title(f"{fit.name}: {fit.row['verdict']}")
        axes.set_xlabel("Observation")
    panels[-1].plot([], [], color="black", ls=AS_SAMPLED, label="as sampled")
    panels[-1].plot([], [], color="black", ls=RELABELLED, label="relabelled")
    panels[0].set_ylabel("Mean responsibility")
    return figure


def _some(results: Results, fit: Kept) -> Floats:
    """Up to SEEN of the fit's observations, evenly spread over their order."""
    unit = results.design.scenario(fit.name)
    x = np.sort(data_set(results.design, unit, int(fit.row["replicate"])))
    return x[np.linspace(0, x.size - 1, min(x.size, SEEN)).round().astype(int)]


def examples(results: Results) -> list[Kept]:
    """NUTS fits whose draws are kept, one of each sort that there is: the one with most switches;
    of two components and of more, one whose chains sit in different labellings without a switch;
    one whose chains all sit in the same. The design's first, of verdict "labels only" if any."""
    kept = results.draws.loc[results.draws["method"] == "nuts", FIT].drop_duplicates()
    fits = switchable(results).merge(kept, on=FIT)
    if fits.empty:
        return []
    sizes = results.fits.drop_duplicates("scenario").set_index("scenario")["k"]
    two = fits["scenario"].map(sizes) == 2
    still = fits["switches"] == 0
    apart = still & (fits["labellings"] > 1)
    fits = fits.sort_values("verdict", key=lambda word: word != "labels only", kind="stable")
    two, still, apart = (mask[fits.index] for mask in (two, still, apart))
    rows = [
        fits[~still].sort_values("switches", ascending=False, kind="stable"),
        fits[apart & two],
        fits[apart & ~two],
        fits[still & ~apart],
    ]
    return [_kept(results, row) for group in rows for _, row in group.head(1).iterrows()]


def _kept(results: Results, row: pd.Series) -> Kept:
    draws, allocations = (
        rows[(rows[FIT] == row[FIT]).all(axis=1)] for rows in (results.draws, results.allocations)
    )
    draws = draws.sort_values(["chain", "draw", "component"])
    shape = [draws[column].nunique() for column in ("chain", "draw", "component")]
    places = draws["relabelled"].to_numpy().reshape(shape)
    labellings = np.argsort(places, axis=-1) + 1
    return Kept(row, draws["mean"].to_numpy(float).reshape(shape), labellings, allocations)


def _trace(axes: Axes, values: Floats) -> None:
    chains, draws, k = values.shape
    for chain in range(chains):
        x = np.arange(chain * draws, (chain + 1) * draws)
        for j in range(k):
            axes.plot(
                x,
                values[chain, :, j],
                color=COMPONENTS[j % len(COMPONENTS)],
                lw=0.35,
                label=f"component {j + 1}" if chain == 0 else None,
            )
        if chain:
            axes.axvline(chain * draws, color=GREY, lw=0.6)
    axes.set_xticks(
        [(chain + 0.5) * draws for chain in range(chains)],
        [f"chain {chain + 1}" for chain in range(chains)],
    )
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(0, chains * draws)


def _count(number: int, one: str, more: str) -> str:
    return f"{number:,} {one if number == 1 else more}"


def traces_found(results: Results) -> str:
    """Switches and R-hats of the fits that are shown."""
    said = [
        f"in {fit.name} {_count(int(fit.row['switches']), 'switch', 'switches')} and R-hat "
        f"{fit.row['rhat_raw']:.2f} as sampled, {fit.row['rhat_relabelled']:.2f} relabelled"
        for fit in examples(results)
    ]
    return f"Single fits: {'; '.join(said)}." if said else ""


def labellings_found(results: Results) -> str:
    """In how many labellings the draws lie that are shown."""
    said = []
    for fit in examples(results):
        flat = fit.labellings.reshape(-1, fit.labellings.shape[-1])
        counts = np.unique(flat, axis=0, return_counts=True)[1]
        of = math.factorial(flat.shape[1])
        share = counts.max() / counts.sum()
        said.append(f"in {fit.name} in {counts.size} of {of}, {share:.0%} of them in one")
    return f"The draws lie in several labellings: {', '.join(said)}." if said else ""


def allocation_found(results: Results) -> str:
    """Over which range the mean responsibility of the first component runs along the data."""
    said = []
    for fit in examples(results):
        first = fit.allocations[fit.allocations["component"] == fit.allocations["component"].min()]
        raw, relabelled = (
            f"{first[column].min():.2f} to {first[column].max():.2f}"
            for column in ("as_sampled", "relabelled")
        )
        said.append(f"{raw} as sampled and {relabelled} relabelled in {fit.name}")
    if not said:
        return ""
    return f"Along the data component 1 has mean responsibilities of {', '.join(said)}."


TABLES: tuple[Table, ...] = ()
FIGURES: tuple[Drawing, ...] = (
    drawing(
        "traces", "Means as sampled and relabelled", "Label switching", traces, no_draws,
        finding=traces_found,
    ),
    drawing(
        "joint-means", "Joint draws of two means", "Label switching", joint_means, no_draws,
        finding=labellings_found,
    ),
    drawing(
        "allocation", "Allocation probabilities", "Label switching", allocation, no_draws,
        finding=allocation_found,
    ),
)  # fmt: skip
