"""The findings on the report's front page, in reStructuredText, from a study's tables."""

from __future__ import annotations

import pandas as pd

from models import METHODS
from models.methods import OPTIMISERS
from study.design import Design
from study.report import measures
from study.report.measures import Share
from study.report.write import for_readers

COLUMNS = {
    "n": "n",
    "separation": "d",
    "by_passes": "By passes",
    "by_seconds": "By seconds",
    "interval": "Interval",
    "coverage": "Covers",
    "bayes": "The posterior",
}


def findings(design: Design, guide: pd.DataFrame, verdicts: pd.DataFrame) -> str:
    """Paragraphs and a short table: where methods end, and what to use where.

    guide, verdicts: the tables of those names.
    """
    parts = [_counts(design), _ends(design, verdicts)]
    if not guide.empty:
        parts.append(_guide(guide))
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


def _guide(guide: pd.DataFrame) -> str:
    shown = guide[[c for c in map(str, guide) if c in COLUMNS or c.startswith("coverage_")]]
    text = for_readers(shown)
    lines = [",".join(COLUMNS[c] for c in shown if c in COLUMNS)]
    lines += [",".join(f'"{cell}"' for cell in row) for row in text.itertuples(index=False)]
    body = "\n".join(f"   {line}" for line in lines)
    return (
        "**Which method, which interval.** All weights and sd ratios of the grid together; d is "
        "the separation of the means, *covers* is for all parameters, a data set without an "
        f"interval a miss.\n\n.. csv-table::\n   :header-rows: 1\n\n{body}"
    )
