"""The findings on the report's front page, in reStructuredText, from a study's tables."""

from __future__ import annotations

import pandas as pd

from models import METHODS
from models.methods import OPTIMISERS
from study.design import Design
from study.report import measures
from study.report.measures import Share
from study.report.write import for_readers, with_error

COLUMNS = {
    "n": "n",
    "separation": "d",
    "method": "Use",
    "at_best": "At best",
    "passes": "Passes",
    "wald_mean_1": "Wald covers",
    "wald_says": "Wald",
    "nuts_mean_1": "NUTS covers",
    "nuts_says": "NUTS",
}


def findings(design: Design, guide: pd.DataFrame, verdicts: pd.DataFrame) -> str:
    """Paragraphs and a short table: where methods end, and what to use in the grid's first shape.

    guide, verdicts: the tables of those names.
    """
    parts = [_counts(design), _ends(design, verdicts)]
    if not guide.empty:
        parts += [_intervals(design, guide), _first_shape(design, guide)]
    return f".. {design.stamp()}\n\n" + "\n\n".join(part for part in parts if part) + "\n"


def _counts(design: Design) -> str:
    fits = sum(sum(design.replicates_of(unit).values()) for unit in design.units())
    return (
        f"**What was run.** {fits:,} fits of {len(design.all_scenarios())} simulated scenarios and "
        f"{len(design.data)} real data sets; {design.stamp()}. Numbers in brackets are Monte Carlo "
        "standard errors."
    )


def certified_shares(design: Design, verdicts: pd.DataFrame) -> dict[str, Share]:
    """By optimiser, the share of its fits that end certified at the best maximum known.

    On the boundary too.

    Over the grid, or over all that is simulated where there is no grid.
    """
    cells = [s.name for grid in design.grids for s in grid.scenarios()]
    simulated = cells or [s.name for s in design.all_scenarios()]
    rows = verdicts[verdicts["scenario"].isin(simulated)]
    sums = rows.groupby("method")[["R", "certified", "boundary"]].sum()
    shares = {}
    for method in OPTIMISERS:
        if method in sums.index:
            good, r = (
                int(sums["certified"][method] + sums["boundary"][method]),
                int(sums["R"][method]),
            )
            shares[method] = measures.of_count(good, r)
    return shares


def error_in_points(share: Share) -> str:
    """The Monte Carlo standard error in points; of 0 and 1 Wilson's interval."""
    if share.mcse > 0:
        return f"{100 * share.mcse:.1f}"
    return " to ".join(f"{100 * end:.1f}" for end in share.ends)


def _ends(design: Design, verdicts: pd.DataFrame) -> str:
    shares = [
        f"{METHODS[method].label} {100 * share.value:.1f}% ({error_in_points(share)})"
        for method, share in certified_shares(design, verdicts).items()
    ]
    where = "grid" if design.grids else "simulated scenarios"
    return (
        f"**Where they end.** Over the {where}, these shares of fits end certified at the best "
        f"maximum that any method or start found: {', '.join(shares)}."
        if shares
        else ""
    )


def _intervals(design: Design, guide: pd.DataFrame) -> str:
    says = guide["wald_says"].value_counts()
    text = (
        f"**What intervals cover.** The optimiser's Wald intervals, nominally {design.level:.0%}, "
        f"hold for every parameter in {says.get('holds', 0)} of {len(guide)} cells of the grid, "
        f"and are too low in {says.get('too low', 0)}; a data set without an interval is a miss."
    )
    lowest = guide.sort_values("wald_mean_1", kind="stable").to_dict("records")[0]
    ends = (lowest[f"wald_mean_1_{end}"] for end in ("mcse", "low", "high"))
    return text + (
        f" For the first mean they cover least, {with_error(lowest['wald_mean_1'], *ends)}, at n = "
        f"{lowest['n']:,}, separation {lowest['separation']:g}, weight {lowest['weight']:g}, "
        f"sd ratio {lowest['sd_ratio']:g}."
    )


def _first_shape(design: Design, guide: pd.DataFrame) -> str:
    weight, ratio = design.grids[0].weight[0], design.grids[0].sd_ratio[0]
    shown = guide[(guide["weight"] == weight) & (guide["sd_ratio"] == ratio)]
    columns = [c for c in COLUMNS if c in shown]
    behind = [f"{c}_{end}" for c in columns for end in ("mcse", "low", "high")]
    errors = [name for name in behind if name in shown]
    shown = shown.assign(method=shown["method"].map(lambda m: METHODS[m].label))
    text = for_readers(shown[[*columns, *errors]])
    lines = [",".join(COLUMNS[c] for c in columns)]
    lines += [",".join(f'"{cell}"' for cell in row) for row in text.itertuples(index=False)]
    body = "\n".join(f"   {line}" for line in lines)
    return (
        f"**Which method.** For weight {weight:g} and sd ratio {ratio:g}; d is the separation of "
        "the means, *covers* is for the first mean, and the word behind it is for the worst of the "
        f"five parameters.\n\n.. csv-table::\n   :header-rows: 1\n\n{body}"
    )
