"""Label switching: traces of the means as sampled and relabelled, and what it does to R-hat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models import METHODS
from models.mixture import Floats
from study.figures.style import COMPONENTS, DOUBLE, GREY, legend_above, nothing
from study.results import Results

KEYS = ["scenario", "replicate", "method"]


def traces(results: Results) -> Figure:
    """The means of three NUTS fits, from frequent switching to none, raw and relabelled."""
    chosen = examples(results)
    if chosen.empty:
        return nothing("This design keeps no draws of NUTS.")
    figure = Figure(figsize=(DOUBLE, 0.6 + 1.5 * len(chosen)))
    panels = figure.subplots(len(chosen), 2, squeeze=False, sharex="row", sharey="row")
    for (_, fit), (left, right) in zip(chosen.iterrows(), panels, strict=True):
        raw = means(results.draws, str(fit["scenario"]), int(fit["replicate"]))
        _trace(left, raw)
        _trace(right, np.sort(raw, axis=-1))
        switches = _count(int(fit["switches"]), "switch", "switches")
        labellings = _count(int(fit["labellings"]), "labelling", "labellings")
        left.set_title(
            f"{fit['scenario']}: {switches}, {labellings}; R-hat {fit['rhat_raw']:.2f}", loc="left"
        )
        right.set_title(f"R-hat {fit['rhat_relabelled']:.2f}", loc="left")
        left.set_ylabel("Component mean")
    for axes, title in zip(panels[0], ("As sampled", "Relabelled by mean"), strict=True):
        axes.annotate(title, (0.5, 1), (0, 16), "axes fraction", "offset points", ha="center")
    figure.align_ylabels(panels[:, 0])
    legend_above(figure)
    return figure


def examples(results: Results) -> pd.DataFrame:
    """Rows of labels: the fit with most switches, one whose chains sit in different labellings
    without switching, one with neither; those that there are, of NUTS fits whose draws are kept
    and whose means are not known."""
    draws = results.draws[results.draws["method"] == "nuts"]
    ranges = draws.groupby([*KEYS, "component"])["mean"].agg(np.ptp)
    kept = ranges[ranges > 0].reset_index()[KEYS].drop_duplicates()
    fits = results.labels.merge(kept, on=KEYS)
    switching = fits[fits["switches"] > 0].sort_values("switches", ascending=False, kind="stable")
    still = fits[fits["switches"] == 0]
    apart = still[still["labellings"] > 1].sort_values(
        ["largest_share", "rhat_relabelled"], kind="stable"
    )
    single = still[still["labellings"] == 1].sort_values("rhat_raw", kind="stable")
    return pd.concat([switching.head(1), apart.head(1), single.head(1)])


def means(draws: pd.DataFrame, scenario: str, replicate: int) -> Floats:
    """(chains, draws, K): means as NUTS sampled them."""
    own = draws[
        (draws["scenario"] == scenario)
        & (draws["replicate"] == replicate)
        & (draws["method"] == "nuts")
    ].sort_values(["chain", "draw", "component"])
    shape = [own[column].nunique() for column in ("chain", "draw", "component")]
    return own["mean"].to_numpy(float).reshape(shape)


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


KINDS = (
    ("rhat_raw", "parameters as sampled", "o", "white"),
    ("rhat_relabelled", "parameters relabelled by mean", "o", "black"),
    ("rhat_invariant", "mean and variance of the mixture", "|", "black"),
)
FLOOR = 1e-4


def rhat(results: Results) -> Figure:
    """Dumbbells of R-hat by scenario, a panel a sampler."""
    samplers = [m for m in METHODS if (results.labels["method"] == m).any()]
    columns = [kind[0] for kind in KINDS]
    medians = results.labels.groupby(["method", "scenario"])[columns].median()
    names = [n for n in results.scenario_order if n in set(results.labels["scenario"])]
    if not samplers:
        return nothing("This design has no NUTS fits.")
    figure = Figure(figsize=(DOUBLE, 1.0 + 0.135 * max(len(names), 4)))
    panels = figure.subplots(1, len(samplers), squeeze=False, sharex=True, sharey=True)[0]
    for axes, method in zip(panels, samplers, strict=True):
        _dumbbells(axes, pd.DataFrame(medians.xs(method)), names)
        axes.set_title(METHODS[method].label)
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    panels[0].set_yticks(range(len(names)), names)
    figure.supxlabel("R-hat, worst parameter", fontsize=7)
    legend_above(figure)
    return figure


def _dumbbells(axes: Axes, medians: pd.DataFrame, names: Sequence[str]) -> None:
    place = np.array([names.index(str(name)) for name in medians.index])
    excess = np.maximum(medians - 1.0, FLOOR)
    axes.hlines(place, excess.min(axis=1), excess.max(axis=1), color="0.75", lw=0.8, zorder=1)
    for column, label, marker, fill in KINDS:
        axes.plot(excess[column], place, marker, color="black", mfc=fill, ms=3.5, label=label)
    axes.axvline(0.01, color=GREY, lw=0.6, ls=(0, (4, 2)), zorder=0)
    axes.set_xscale("log")
    ticks = [1e-4, 1e-3, 1e-2, 1e-1, 1.0]
    axes.set_xticks(ticks, ["≤ 1.0001", "1.001", "1.01", "1.1", "2"])
    axes.tick_params(axis="y", length=0, labelsize=6)
