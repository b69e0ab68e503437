"""Label switching over all NUTS fits: R-hat, verdicts, labellings by chain, and barriers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import gammaincc

from models import METHODS
from models.mixture import Floats
from study.report import measures
from study.report.exhibit import Drawing, Table, tabular
from study.report.grid import groups
from study.report.measures import Measure
from study.report.reasons import no_barrier, no_chains, switches
from study.report.style import CHAIN_LOOKS, DOUBLE, GREY, SINGLE, drawing, nothing
from study.report.table import sorted_rows, table_of, with_errors
from study.rows import AGREEMENTS, CHAIN_WORDS, Results

# Columns of `labels` of which the table has the median over fits.
MEDIANS = (
    *("rhat_raw", "rhat_relabelled", "rhat_invariant", "nested_rhat"),
    *("ess_raw", "ess_relabelled", "ess_invariant"),
    *("ess_tail_raw", "ess_tail_relabelled", "ess_tail_invariant"),
    *("largest_share", "chain_distance", "imbalance", "near_ties", "bfmi"),
)


def switchable(results: Results) -> pd.DataFrame:
    """Rows of labels of the fits whose components nothing known tells apart."""
    return results.labels[results.labels["verdict"].isin(CHAIN_WORDS)]


def label_switching(results: Results) -> pd.DataFrame:
    """Medians over fits of R-hat, ESS and occupancy, means of counts, by scenario and sampler."""

    def found(fits: pd.DataFrame) -> dict[str, Measure]:
        switches = fits["switches"].to_numpy(float)
        return {
            "fits_with_switches": measures.proportion((switches > 0).astype(float)),
            "switches_per_1000": measures.mean(1000.0 * switches / fits["draws"].to_numpy(float)),
            "labellings": measures.mean(fits["labellings"].to_numpy(float)),
            **{name: measures.median(fits[name].to_numpy(float)) for name in MEDIANS},
            "at_max_depth": measures.mean(fits["at_max_depth"].to_numpy(float)),
            "divergences": measures.mean(fits["divergences"].to_numpy(float)),
        }

    return _by_scenario(results, switchable(results), found)


def label_verdicts(results: Results) -> pd.DataFrame:
    """The share of fits with each word of the verdict, by scenario and sampler.

    none: of those that have no chains to be judged, and why is in the table of what broke off.
    convention: of those whose estimates by component are one.
    """

    def found(fits: pd.DataFrame) -> dict[str, Measure]:
        words: dict[str, Measure] = {
            word: measures.proportion((fits["verdict"] == word).to_numpy().astype(float))
            for word in (*CHAIN_WORDS, "none")
        }
        return words | {"convention": measures.proportion(fits["convention"].to_numpy(float))}

    names = [u.name for u in results.design.units() if switches(u)]
    rows = results.labels[results.labels["scenario"].isin(names)]
    rows = rows[rows["verdict"].isin([*CHAIN_WORDS, ""])]
    return _by_scenario(results, rows.replace({"verdict": {"": "none"}}), found)


def label_algorithms(results: Results) -> pd.DataFrame:
    """The share of draws that each algorithm labels as Stephens' does, means over fits."""

    def found(fits: pd.DataFrame) -> dict[str, Measure]:
        return {
            name: measures.mean(fits[f"agreement_{name}"].to_numpy(float)) for name in AGREEMENTS
        }

    return _by_scenario(results, switchable(results), found)


def _by_scenario(
    results: Results, labels: pd.DataFrame, found: Callable[[pd.DataFrame], dict[str, Measure]]
) -> pd.DataFrame:
    rows = []
    for (scenario, method), fits in labels.groupby(["scenario", "method"], sort=False):
        row: dict[str, object] = {"scenario": scenario, "method": method, "R": len(fits)}
        for name, measure in found(fits).items():
            column = name.replace(" ", "_")
            row |= with_errors({column: measure})
            if measure.r < len(fits):  # such as nested R-hat, which needs chains in two labellings
                row[f"R_{column}"] = measure.r
        rows.append(row)
    table = table_of(rows, ["scenario", "method", "R"])
    for own in [name for name in table if str(name).startswith("R_")]:
        table[own] = table[own].fillna(table["R"]).astype(int)
    return sorted_rows(results, table)


NO_FITS = "No fit of NUTS is usable."
KINDS = (
    ("rhat_raw", "parameters as sampled", "o", "white"),
    ("rhat_relabelled", "parameters relabelled", "o", "black"),
    ("rhat_invariant", "what labels cannot touch", "|", "black"),
)
FLOOR = 1e-4
# Where switching is said to be common below, and rare above, in nats; and the ends of the axis,
# at which heights beyond them are drawn.
COMMON, RARE = 3.0, 8.0
BARRIERS = (0.05, 200.0)


def rhat(results: Results) -> Figure:
    """Dumbbells of R-hat by scenario, grid cells by their separation, a panel a sampler."""
    fits = switchable(results)
    samplers = [m for m in METHODS if (fits["method"] == m).any()]
    if not samplers:
        return nothing(NO_FITS)
    group_of = groups(results.design)
    fits = fits.assign(group=fits["scenario"].map(group_of))
    medians = fits.groupby(["method", "group"])[[kind[0] for kind in KINDS]].median()
    present = set(fits["group"])
    names = list(dict.fromkeys(g for g in group_of.values() if g in present))
    figure = Figure(figsize=(DOUBLE, 1.0 + 0.15 * max(len(names), 4)))
    panels = figure.subplots(1, len(samplers), squeeze=False, sharex=True, sharey=True)[0]
    for axes, method in zip(panels, samplers, strict=True):
        _dumbbells(axes, pd.DataFrame(medians.xs(method)), names)
        axes.set_title(METHODS[method].label)
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    panels[0].set_yticks(range(len(names)), names)
    figure.supxlabel("Worst R-hat", fontsize=7)
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
    axes.tick_params(axis="y", length=0)


def barrier(results: Results) -> Figure:
    """Switches in 1,000 draws of NUTS against the barrier, and what theory lets through."""
    fits = barriers(results)
    if fits.empty:
        return nothing(NO_FITS)
    figure = Figure(figsize=(SINGLE, 3.1))
    axes = figure.subplots()
    none = 0.4 * 1000.0 / float(fits["draws"].max())
    for word, look in CHAIN_LOOKS.items():
        own = fits[fits["verdict"] == word]
        axes.plot(
            own["barrier"].clip(*BARRIERS),
            own["per_1000"].clip(lower=none),
            look.marker,
            color=look.color,
            ms=2.8,
            mfc="none",
            mew=0.5,
            alpha=0.8,
            label=word if len(own) else None,
        )
    heights = np.geomspace(*BARRIERS, 200)
    for rate, line, label in (
        (crossing(heights), "solid", "energy bound"),
        (0.5 * np.exp(-heights), (0, (4, 2)), "½ exp(–barrier)"),
    ):
        axes.plot(heights, 1000.0 * rate, color="black", ls=line, lw=0.9, label=label)
    edges = (-np.inf, COMMON, RARE, np.inf)
    for low, high, place in zip(edges[:-1], edges[1:], (0.4, 4.9, 40.0), strict=True):
        own = fits[(fits["barrier"] >= low) & (fits["barrier"] < high)]
        if len(own):
            share = f"{np.mean(own['switches'] > 0):.0%} of {len(own)}\nswitch"
            axes.text(place, 1100.0, share, ha="center", va="bottom")
    for nats in (COMMON, RARE):
        axes.axvline(nats, color=GREY, lw=0.6, ls=(0, (1, 2)), zorder=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(0.8 * BARRIERS[0], 1.25 * BARRIERS[1])
    axes.set_ylim(0.7 * none, 1000.0)
    axes.set_xticks([0.1, 1, 3, 8, 30, 100], ["0.1", "1", "3", "8", "30", "100"])
    axes.set_yticks([none, 1, 10, 100, 1000], ["0", "1", "10", "100", "1,000"])
    axes.minorticks_off()
    axes.set_xlabel("Barrier between the labellings (nats)")
    axes.set_ylabel("Switches in 1,000 draws")
    return figure


def barriers(results: Results) -> pd.DataFrame:
    """NUTS fits with a barrier: its height in nats, switches, and switches in 1,000 draws."""
    fits = switchable(results)
    fits = fits[fits["method"] == "nuts"].merge(
        results.barriers.dropna(subset=["barrier"]), on=["scenario", "replicate"]
    )
    return fits.assign(per_1000=1000.0 * fits["switches"] / fits["draws"])


def crossing(heights: Floats, parameters: int = 5) -> Floats:
    """Half the chance that the energy of a trajectory exceeds a barrier, in nats.

    Where the posterior is near normal, twice its fall from the mode and twice the kinetic energy
    are each chi-square with as many degrees of freedom as parameters, so that the energy, which a
    trajectory keeps, is Gamma(parameters, 1). Below the barrier none crosses; above it, half of
    the draws end on either side.
    """
    return 0.5 * gammaincc(parameters, heights)


def rhat_found(results: Results) -> str:
    """R-hat of parameters as sampled and relabelled, NUTS."""
    fits = switchable(results)
    fits = fits[fits["method"] == "nuts"]
    raw, relabelled = (fits[f"rhat_{which}"].median() for which in ("raw", "relabelled"))
    if not np.isfinite([raw, relabelled]).all():
        return ""
    return (
        f"The worst R-hat of a parameter is {raw:.2f} as sampled and {relabelled:.3f} relabelled, "
        f"medians over {len(fits):,} fits of NUTS."
    )


def barrier_found(results: Results) -> str:
    """How many fits switch where the barrier is low and where it is high."""
    fits = barriers(results)
    low, high = fits[fits["barrier"] < COMMON], fits[fits["barrier"] >= RARE]
    if not (len(low) and len(high)):
        return ""
    switched = [(int((part["switches"] > 0).sum()), len(part)) for part in (low, high)]
    shares = ["all" if n == r else f"{n} of" for n, r in switched]
    shares = [f"{said} {r} fits" for said, (_, r) in zip(shares, switched, strict=True)]
    return (
        f"Below a barrier of {COMMON:g} nats {shares[0]} switch labels, above {RARE:g} nats "
        f"{shares[1]}."
    )


TABLES: tuple[Table, ...] = (
    tabular("labels", "Label switching", "Label switching", label_switching, no_chains),
    tabular(
        "label-verdicts", "Verdicts on the chains", "Label switching", label_verdicts, no_chains
    ),
    tabular(
        "label-algorithms",
        "Agreement of relabellings",
        "Label switching",
        label_algorithms,
        no_chains,
    ),
)
FIGURES: tuple[Drawing, ...] = (
    drawing(
        "rhat", "R-hat and relabelling", "Label switching", rhat, no_chains, finding=rhat_found
    ),
    drawing(
        "barrier",
        "Switching and the barrier",
        "Label switching",
        barrier,
        no_barrier,
        finding=barrier_found,
    ),
)
