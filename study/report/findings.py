"""What was found, in words with numbers: from a study's tables, so that no sentence can be stale.

made: the tables by name, each with the columns of its CSV file. A finding whose rows a design does
not have is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from models import METHODS
from models.criteria import INFORMATION
from models.methods import OPTIMISERS, SAMPLERS
from study.design import Design, Scenario
from study.report import measures
from study.report.external import AT_END, AT_MAXIMUM, LOST
from study.report.measures import Share, wilson
from study.report.readers import FEW, number, with_error
from study.rows import CHOOSING

type Made = Mapping[str, pd.DataFrame]
# What an interval costs, the least first.
INTERVALS = {
    "wald": "Wald",
    "profile": "profile likelihood",
    "studentised": "studentised bootstrap",
    "percentile": "percentile bootstrap",
    "equal-tailed": "posterior, equal-tailed",
}


BAD = (
    *("other local maximum", "stopped early", "not identified", "spurious"),
    *("component not needed", "singular", "failed"),
)


class Finding(NamedTuple):
    """question: what it answers. short: in one line. more: sentences. figure: that shows it, or
    none.

    rows: the tables' rows that it is of. exploratory: whether the question came after the results.
    """

    question: str
    short: str
    more: str
    figure: str
    rows: str = ""
    exploratory: bool = False


def findings(design: Design, made: Made) -> list[Finding]:
    """All that the tables give, the five that matter most first."""
    found = (make(design, made) for make in _in_order(design))
    return [finding for finding in found if finding is not None]


def _in_order(design: Design) -> list[Callable[[Design, Made], Finding | None]]:
    """The questions that the whole design is about come first."""
    about = {
        _packages: design.external,
        _early: design.external,
        _components: design.choice,
        _priors: design.priors,
    }
    first = [make for make, asked in about.items() if asked]
    return [*first, *(make for make in FINDINGS if make not in first)]


def simulated(design: Design) -> list[str]:
    """The grid's cells, or all that is simulated where there is no grid."""
    cells = [s.name for grid in design.grids for s in grid.scenarios()]
    return cells or [s.name for s in design.all_scenarios()]


def _of(made: Made, name: str, design: Design) -> pd.DataFrame:
    table = made.get(name, pd.DataFrame())
    if table.empty:
        return table
    return table[table["scenario"].isin(simulated(design))]


def _where(design: Design) -> str:
    return "cells of the grid" if design.grids else "simulated scenarios"


# Optimisers ------------------------------------------------------------------------------------


def certified_shares(design: Design, verdicts: pd.DataFrame) -> dict[str, Share]:
    """By optimiser, the share of its fits that end certified at the best maximum known.

    On the boundary too.

    Over the grid, or over all that is simulated where there is no grid.
    """
    rows = verdicts[verdicts["scenario"].isin(simulated(design))]
    sums = rows.groupby("method")[["R", "certified", "boundary"]].sum()
    shares = {}
    for method in OPTIMISERS:
        if method in sums.index:
            good = int(sums["certified"][method] + sums["boundary"][method])
            shares[method] = measures.of_count(good, int(sums["R"][method]))
    return shares


def error_in_points(share: Share) -> str:
    """The Monte Carlo standard error in points; of 0 and 1 Wilson's interval."""
    if share.mcse > 0:
        return f"{100 * share.mcse:.{_places(share)}f}"
    return " to ".join(f"{100 * end:.1f}" for end in share.ends)


def _places(share: Share) -> int:
    """Decimals of a share in per cent: one, and two where its error would be 0.0."""
    return 2 if 0.0 < share.mcse < 0.0005 else 1


def _per_cent(share: Share) -> str:
    return f"{100 * share.value:.{_places(share)}f}% ({error_in_points(share)})"


def _fastest(table: pd.DataFrame, column: str) -> pd.Series[Any]:
    """Of how many scenarios each optimiser has the least of a column, the most often first."""
    if table.empty:
        return pd.Series(dtype=int)
    table = table[table["method"].isin(OPTIMISERS)].dropna(subset=[column])
    least = table.loc[table.groupby("scenario", sort=False)[column].idxmin(), "method"]
    return least.value_counts()


def _optimiser(design: Design, made: Made) -> Finding | None:
    passes = _fastest(_of(made, "optimisation", design), "equivalent") if made else None
    timings = _of(made, "timings", design)
    shares = certified_shares(design, made["verdicts"]) if "verdicts" in made else {}
    if passes is None or passes.empty or timings.empty or len(shares) < 2:
        return None  # of one there is no choice
    seconds = _fastest(timings, "median")
    by_passes, by_seconds = str(passes.index[0]), str(seconds.index[0])
    of = int(passes.sum())
    same = by_passes == by_seconds
    most = int(seconds.iloc[0]), int(seconds.sum())
    short = (
        f"{METHODS[by_passes].label} takes the fewest equivalent passes over the data in "
        f"{passes.iloc[0]} of {of} {_where(design)}; "
        + ("it" if same else METHODS[by_seconds].label)
        + f" is the fastest by seconds in {most[0]} of {most[1]}."
    )
    counts = ", ".join(f"{METHODS[str(m)].label} in {n}" for m, n in seconds.items())
    ends = ", ".join(f"{METHODS[m].label} {_per_cent(s)}" for m, s in shares.items())
    sets = "; ".join(
        f"{_and([METHODS[m].label for m, s in shares.items() if s.r == r])} on {r:,} data sets"
        for r in dict.fromkeys(share.r for share in shares.values())
    )
    return Finding(
        "Which optimiser?",
        short,
        "Passes are compared by their means, a pass with a Hessian counts as what it costs, and "
        "those of the shared start are left out. In seconds, the median without that start, the "
        f"fastest is {counts}: a step of EM is compiled, one of SciPy's is Python. Certified at "
        f"the best maximum that any method or start found end: {ends} ({sets}).{_pairs(made)}",
        "missing-information",
        f"`optimisation` (equivalent) and `timings` (median), a row a scenario and method; "
        f"`verdicts` (certified and boundary, of R), sums over the {_where(design)}; `paired`",
    )


def _pairs(made: Made) -> str:
    """What Newton's method ends so more often than each other one, on the same data sets."""
    table = made.get("paired", pd.DataFrame())
    said = []
    for row in table.to_dict("records"):
        method, other = str(row["method"]), str(row["against"])
        if "newton" in (method, other):
            sign = 1.0 if method == "newton" else -1.0
            points = with_error(sign * row["difference"], row["difference_mcse"])
            said.append(f"{METHODS[other if sign > 0 else method].label} {points}")
    if not said:
        return ""
    return (
        f" On the same simulated data sets Newton's share is higher, in points, than {_and(said)}."
    )


def _and(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def _ends(design: Design, made: Made) -> Finding | None:
    verdicts = _of(made, "verdicts", design)
    rows = verdicts[verdicts["method"].isin(OPTIMISERS)] if len(verdicts) else verdicts
    shares = certified_shares(design, made["verdicts"]) if len(rows) else {}
    if not shares:
        return None
    counts = rows.set_index("method").select_dtypes("number").groupby(level=0, sort=False).sum()
    bad = [name for name in BAD if name in counts]
    most = max(s.r for s in shares.values())
    ordered = sorted((s for s in shares.values() if s.r == most), key=lambda s: s.value)
    span = " to ".join(dict.fromkeys(_per_cent(share) for share in (ordered[0], ordered[-1])))
    fewer = [m for m, s in shares.items() if s.r < most]
    parts, left = [], f" {_and([METHODS[m].label for m in fewer])} had fewer." if fewer else ""
    for name in bad:
        worst = str((counts[name] / counts["R"]).idxmax())
        if number_ := int(counts[name][worst]):
            share = measures.of_count(number_, int(counts["R"][worst]))
            few = "1 fit" if number_ == 1 else f"{number_} fits"
            said = _per_cent(share) if share.value > 1e-3 else few
            parts.append(f"{name} (at most {said}, {METHODS[worst].label})")
    return Finding(
        "Where do optimisers end?",
        f"{span} of fits, by method, end certified at the best maximum known, from a shared "
        "polished start.",
        f"The range is of methods with all {most:,} data sets of the {_where(design)}.{left} "
        + (f"What is missing: {'; '.join(parts)}." if parts else "Nothing is missing."),
        "beginnings-ends",
        f"`verdicts`, sums over the {_where(design)}",
    )


# Intervals -------------------------------------------------------------------------------------


def coverages(design: Design, made: Made) -> pd.DataFrame:
    """By scenario and kind of interval, over the model's parameters: what the intervals cover.

    Columns scenario, kind, R, coverage (the mean over the parameters), low and high (Wilson's 95%
    interval, as if a data set's intervals held or missed together), worst and of (the parameter).
    """
    parts = []
    table = _of(made, "grid" if design.grids else "estimates", design)
    if len(table):
        own = table.assign(of=table["parameter"] + " " + table["component"].astype(str))
        own = own.assign(r=own["R_coverage" if "R_coverage" in own else "R"])
        parts += [
            own[own["method"] == method].assign(kind=kind)
            for method, kind in ((_optimiser_of(own), "wald"), ("nuts", "equal-tailed"))
        ]
    table = _of(made, "intervals-grid" if design.grids else "intervals", design)
    if len(table):
        own = table[table["quantity"].str.fullmatch(r"(weight|mean|sd) \d+")]
        own = own[own["kind"].isin(set(INTERVALS) - {"wald", "equal-tailed"})]
        parts.append(own.rename(columns={"quantity": "of", "R": "r"}))
    columns = ["scenario", "kind", "of", "coverage", "r"]
    rows = pd.concat([part[columns] for part in parts]) if parts else pd.DataFrame(columns=columns)
    found = []
    for (scenario, kind), group in rows.dropna().groupby(["scenario", "kind"], sort=False):
        r, mean = float(group["r"].min()), float(group["coverage"].mean())
        worst = group.sort_values("coverage", kind="stable").iloc[0]
        low, high = (float(end) for end in wilson(mean, r))
        found.append(
            {"scenario": scenario, "kind": kind, "R": int(r), "coverage": mean}
            | {"low": low, "high": high, "worst": worst["coverage"], "of": worst["of"]}
        )
    names = ["scenario", "kind", "R", "coverage", "low", "high", "worst", "of"]
    return pd.DataFrame(found, columns=names)


def _optimiser_of(table: pd.DataFrame) -> str:
    """The optimiser that fitted the most data sets, Newton's method of several.

    They end at one point.
    """
    sums = table[table["method"].isin(OPTIMISERS)].groupby("method", sort=False)["r"].sum()
    most = [str(method) for method in sums.index[sums == sums.max()]]
    return "newton" if "newton" in most else next(iter(most), "")


def pick(cell: pd.DataFrame, level: float) -> pd.Series[Any] | None:
    """Of a scenario's rows of `coverages` the cheapest kind that may hold, else the best.

    A kind may hold if Wilson's interval around its coverage reaches the level. Kinds on fewer than
    FEW data sets, whose interval reaches nearly everything, are not considered.
    """
    cell = cell[cell["R"] >= FEW]
    if cell.empty:
        return None
    order = {kind: place for place, kind in enumerate(INTERVALS)}
    by_cost = cell.sort_values("kind", key=lambda kinds: kinds.map(order), kind="stable")
    holds = by_cost[by_cost["high"] >= level]
    if len(holds):
        return holds.iloc[0]
    return by_cost.sort_values("coverage", ascending=False, kind="stable").iloc[0]


def _pooled(rows: pd.DataFrame) -> str:
    """Mean coverage over scenarios, and its Monte Carlo standard error at most."""
    p, r = rows["coverage"].to_numpy(float), rows["R"].to_numpy(float)
    error = float(np.sqrt((p * (1.0 - p) / r).sum()) / p.size)
    if error == 0.0:
        low, high = wilson(float(p.mean()), float(r.sum()))
        return f"{p.mean():.3f} ({low:.2f} to {high:.2f})"
    return f"{p.mean():.3f} ({error:.3f})"


def _intervals(design: Design, made: Made) -> Finding | None:
    found = coverages(design, made)
    if found.empty or "wald" not in set(found["kind"]):
        return None
    separations = {s.name: s.separation for s in design.all_scenarios()}
    found["separation"] = found["scenario"].map(separations).astype(float)
    distinct = sorted(found["separation"].dropna().unique())
    if not design.grids or not distinct:
        return None
    kinds = [kind for kind in INTERVALS if kind in set(found["kind"])]
    common = found.groupby("scenario")["kind"].nunique() == len(kinds)
    found = found[found["scenario"].map(common)]
    said: dict[str, dict[float, str]] = {}
    for kind in kinds:
        by = found[found["kind"] == kind].groupby("separation")
        said[kind] = {float(str(d)): _pooled(rows) for d, rows in by}
    lines = [
        f"{INTERVALS[kind]} {', '.join(f'{p} at {d:g}' for d, p in by.items())}"
        for kind, by in said.items()
    ]
    if not said["wald"]:
        return None
    first, last = min(said["wald"]), max(said["wald"])
    short = f"Nominal {design.level:.0%} Wald intervals cover {said['wald'][first]}"
    short += f" at separation {first:g}"
    if last > first:
        short += f", {said['wald'][last]} at {last:g}"
    others = [kind for kind in ("profile", "equal-tailed") if kind in said]
    also = [f"{INTERVALS[kind].partition(',')[0]} ones {said[kind][first]}" for kind in others]
    if also:
        short += f"; at {first:g} {' and '.join(also)}"
    hardest = found[found["separation"] == first].groupby("kind")["coverage"].agg(["min", "max"])
    span = ", ".join(
        f"{INTERVALS[kind]} {hardest['min'][kind]:.2f} to {hardest['max'][kind]:.2f}"
        for kind in kinds
    )
    cells_, most = int(common.sum()), found.groupby("kind")["R"].agg(["min", "max"])
    sizes = ", ".join(
        f"{INTERVALS[kind]} {'–'.join(map(str, sorted({*most.loc[kind]})))}" for kind in kinds
    )
    return Finding(
        "Which interval, and what does it cover?",
        f"{short}.",
        f"Mean over the parameters and over the cells of a separation, in the {cells_} cells that "
        f"have every kind, an interval that is missing counted as a miss: {'; '.join(lines)}. A "
        f"mean over cells is of this grid alone: at {first:g} single ones have {span}. Data sets a "
        f"cell, the first ones: {sizes}. In brackets Monte Carlo standard errors, at most.",
        "trust-map",
        "`grid` (coverage of the optimiser with the most data sets, and of nuts) and "
        "`intervals-grid` (coverage), a row a scenario and parameter",
    )


# Posteriors, cost, stops -----------------------------------------------------------------------


def _posterior(design: Design, made: Made) -> Finding | None:
    ranks, verdicts = made.get("calibration", pd.DataFrame()), made.get("verdicts", pd.DataFrame())
    own = verdicts[verdicts["method"].isin(SAMPLERS)] if len(verdicts) else verdicts
    parts, short = [], ""
    if len(own):
        share = measures.of_count(int(own["sampled"].sum()), int(own["R"].sum()))
        short = f"{_per_cent(share)} of the NUTS fits are sampled to the end"
        parts.append(
            f"Sampled to the end, by R-hat, effective draws and divergences, are "
            f"{int(own['sampled'].sum()):,} of {int(own['R'].sum()):,} NUTS fits, by all samplers. "
            "Chains go on until these hold, or to their greatest length: it says that they can be "
            "met, not that the draws that were asked for are enough."
            + _without_others([made[n] for n in ("posteriors", "posteriors-grid") if n in made])
        )
    if len(ranks) and design.calibration is not None:
        tests = int(ranks["p_all"].notna().sum())
        failed = int((ranks["uniform"] != "yes").sum())
        said = "none rejects" if not failed else f"{failed} reject"
        short += f"; of {tests} tests of their calibration {said}"
        parts.append(
            f"Of {tests} exact tests that ranks among posterior draws are uniform, at a "
            f"family-wise level of 5%, {said}. Each is of {int(ranks['R'].max()):,} data sets of "
            f"n = {design.calibration.n:,}, and passes over what moves the middle of an ECDF by "
            f"less than {ranks['seen'].max():.2f}."
            + _would_have_seen(made.get("calibration-power", pd.DataFrame()))
        )
    if not parts:
        return None
    return Finding(
        "Are the posteriors right?",
        f"{short.lstrip('; ')}.",
        " ".join(parts),
        "calibration-bands",
        "`verdicts` (sampled, of R, of the samplers), all rows; `posteriors`; `posteriors-grid`; "
        "`calibration` (uniform, seen); `calibration-power`, factor 1.4",
    )


def _without_others(tables: Sequence[pd.DataFrame]) -> str:
    """What coverage is without the posteriors that are not sampled to the end."""
    table = pd.concat([one for one in tables if len(one)]) if any(map(len, tables)) else None
    if table is None or "coverage" not in table:
        return ""
    least = table.sort_values("sampled", kind="stable").iloc[0]
    share = Share(least["sampled"], least["sampled_mcse"], int(least["R"]))
    if share.value == 1.0:
        return ""
    change = (table["coverage_sampled"] - table["coverage"]).abs().max()
    others = [
        f"{row['scenario']} {replicate} ({METHODS[str(row['method'])].label})"
        for row in table.to_dict("records")
        for replicate in re.findall(r"replicate (\d+):", str(row["not_sampled"]))
    ]
    named = f" These are {_and(others)}." if len(others) <= FEW else ""
    return (
        f" Fewest are, by scenario and sampler, {_per_cent(share)} of {share.r} by "
        f"{METHODS[str(least['method'])].label} in {least['scenario']}. Without the others the "
        f"coverage of a scenario changes by {change:.3f} at most.{named}"
    )


def _would_have_seen(power: pd.DataFrame) -> str:
    """Of the largest samples, what share tells a sampler's prior that is 1.4 times too wide."""
    if power.empty:
        return ""
    own = power[(power["factor"] - 1.4).abs() < 1e-6].sort_values("data_sets")
    last = own.drop_duplicates(["method", "wrong"], keep="last")
    said = [
        f"{row['power']:.2f} ({row['power_mcse']:.2f}) of samples of {int(row['data_sets']):,} if "
        f"the {row['wrong']} is 1.4 times too large"
        for row in last.to_dict("records")
    ]
    return f" Their power, by resampling: an error is told in {'; in '.join(said)}." if said else ""


def _cost(design: Design, made: Made) -> Finding | None:
    timings = _of(made, "timings", design)
    if timings.empty:
        return None
    sizes = {s.name: s.n for s in design.all_scenarios()}
    timings = timings.assign(n=timings["scenario"].map(sizes))
    counts = timings.groupby("n")["scenario"].nunique()
    usual = counts.index[counts == counts.max()]
    n = int(usual[len(usual) // 2])
    here = timings[timings["n"] == n]
    medians = here.groupby("method", sort=False)["median"].median()
    said = ", ".join(f"{METHODS[str(m)].label} {seconds(s)}" for m, s in medians.items())
    routes = [m for m in ("em", "newton", "map", "nuts") if m in medians.index]
    first, *rest = routes or [str(medians.index[0])]
    times = [f"{METHODS[m].label} {number(medians[m] / medians[first], significant=2)}"
             for m in rest]  # fmt: skip
    longer = f", {_and(times)} times as long" if times else ""
    return Finding(
        "What does a fit cost?",
        f"At n = {n:,} {METHODS[first].label} takes {seconds(medians[first])}{longer}.",
        f"Seconds on one thread of the machine that made this, without compilation and the start, "
        f"the median over data sets and over the {here['scenario'].nunique()} scenarios of that n: "
        f"{said}. Another machine has other ratios too, by up to two.",
        "time",
        f"`timings` (median), rows of n = {n:,}",
    )


def seconds(value: float) -> str:
    """Such as 0.4 ms or 1.2 s."""
    return f"{number(1e3 * value, significant=2)} ms" if value < 0.1 else (
        f"{number(value, significant=2)} s"
    )  # fmt: skip


def _stops(design: Design, made: Made) -> Finding | None:
    stops = made.get("stops", pd.DataFrame())
    if stops.empty:
        return None
    first = next((g for g in stops["group"] if str(g).startswith("separation")), None)
    if first is None:
        return None
    here = stops[stops["group"] == first].dropna(subset=["distance"])
    if here.empty:
        return None
    said = [
        f"{row.rule} {number(row.distance, significant=2)}" for row in here.itertuples(index=False)
    ]
    worst = here.loc[here["distance"].idxmax()]
    return Finding(
        "When may EM stop?",
        f"Of {len(here)} rules “{worst['rule']}” leaves the median run farthest from the maximum, "
        f"{with_error(worst['distance'], worst['distance_mcse'])} standard errors at {first}.",
        f"Median distance that is left, in standard errors, at {first}, over {int(worst['R'])} "
        f"runs: {'; '.join(said)}.",
        "stopping",
        f"`stops` (distance), rows of {first}",
    )


def _rate(design: Design, made: Made) -> Finding | None:
    rates = made.get("rates", pd.DataFrame())
    if rates.empty or not rates["R_trusted"].sum():
        return None
    runs, largest = int(rates["R_trusted"].sum()), float(rates["largest_error"].max())
    near = largest < ALIKE
    return Finding(
        "Is EM as slow as theory says?",
        f"Yes: observed and predicted rate differ by less than {ALIKE:g} in all of {runs} runs."
        if near
        else f"Not in all of {runs} runs: observed and predicted rate differ by {number(largest)} "
        "at most.",
        f"The rate seen in EM's last steps against the fraction of missing information at the same "
        f"maximum, relative, in {runs} of {int(rates['R'].sum())} runs: those predicted below .995 "
        f"whose last steps are above rounding. The greatest difference here is {number(largest)}; "
        "other data sets have another one.",
        "missing-information",
        "`rates` (largest_error), its greatest",
    )


ALIKE = 1e-3  # of rates: a step in a thousand


def _words(design: Design, made: Made) -> Finding | None:
    claims = made.get("claims", pd.DataFrame())
    if claims.empty:
        return None
    wrong = claims.groupby("verdict", sort=False)[["wrong", "R"]].sum()
    total = int(wrong["wrong"].sum())
    kinds = ", ".join(f"{verdict} {int(row.wrong):,}" for verdict, row in wrong.iterrows())
    said = _claimed(made)
    methods = made["optimisation"]["method"].nunique() if said else 1
    # As if the fits of a data set were all right or all wrong, which makes the error no smaller.
    known = (
        Share(total / said, measures.of_count(total, said).mcse * methods**0.5, said)
        if said
        else None
    )
    share = f" ({100 * known.value:.1f}%, error {error_in_points(known)} at most)" if known else ""
    return Finding(
        "Is a method's own word a verdict?",
        f"No: {total:,}{f' of {said:,}' if said else ''} fits that said they had converged{share} "
        "had not ended at the best believable maximum.",
        f"By what they came to: {kinds}. Fits of one data set by several methods count each.",
        "beginnings-ends",
        "`claims` (wrong), all rows; `optimisation` (says_converged times R)",
        exploratory=True,
    )


def _claimed(made: Made) -> int:
    """How many fits said that they had converged."""
    table = made.get("optimisation", pd.DataFrame())
    return int((table["says_converged"] * table["R"]).round().sum()) if len(table) else 0


def _labels(design: Design, made: Made) -> Finding | None:
    labels = made.get("labels", pd.DataFrame())
    labels = labels[labels["method"] == "nuts"] if len(labels) else labels
    if labels.empty or labels["rhat_raw"].isna().all():
        return None
    raw, relabelled = (labels[f"rhat_{which}"].median() for which in ("raw", "relabelled"))
    return Finding(
        "Does label switching harm?",
        f"The worst R-hat of a parameter is {number(raw, significant=3)} as sampled and "
        f"{number(relabelled, significant=4)} relabelled (medians over scenarios, NUTS).",
        "Chains start spread over the labellings on purpose, so that what differs before "
        "relabelling and not after is the labels alone; how often chains switch by themselves is "
        f"another question. Over the {len(labels)} scenarios the quartiles are "
        f"{_quartiles(labels['rhat_raw'])} and {_quartiles(labels['rhat_relabelled'])}.",
        "rhat",
        "`labels` (rhat_raw, rhat_relabelled), rows of nuts",
    )


def _quartiles(values: pd.Series[Any]) -> str:
    return " to ".join(number(float(values.quantile(q)), significant=4) for q in (0.25, 0.75))


ENOUGH = 500  # replicates, for a variance to 6%


def _bound(design: Design, made: Made) -> Finding | None:
    table = made.get("estimates", pd.DataFrame())
    if table.empty or "efficiency" not in table:
        return None
    own = table[(table["R"] >= ENOUGH) & table["efficiency"].notna()]
    own = own[own["method"].isin(OPTIMISERS)].rename(columns={"R": "r"})
    if own.empty:
        return None
    first = own[own["scenario"] == own["scenario"].iloc[0]]
    first = first[first["method"] == _optimiser_of(first)]
    error, share_error = first["efficiency_mcse"].max(), first["coverage_mcse"].max()
    efficient, covered = first["efficiency"], first["coverage"]
    return Finding(
        "Are estimates as good as theory allows?",
        f"In {first['scenario'].iloc[0]} their variances are {100 / efficient.max():.0f}% to "
        f"{100 / efficient.min():.0f}% of Cramer and Rao's bound ({100 * error:.0f} points), and "
        f"Wald intervals cover {covered.min():.3f} to {covered.max():.3f} ({share_error:.3f}).",
        f"{METHODS[str(first['method'].iloc[0])].label}, the {len(first)} parameters, "
        f"R = {int(first['r'].min()):,}; an interval that is missing counted as a miss.",
        "profile",
        f"`estimates` (efficiency, coverage), rows of {first['scenario'].iloc[0]}",
    )


def _warnings(design: Design, made: Made) -> Finding | None:
    table = made.get("warnings", pd.DataFrame())
    own = table[table["answer"] == "by mean"] if len(table) else table
    own = own[own["R"] > 0] if len(own) else own
    if own.empty:
        return None
    wrong, of = int(own["wrong"].max()), int(own["R"].max())
    said = [
        f"{name} {_per_cent(measures.of_count(int(fired), int(r)))}"
        for name, fired, r in own[["diagnostic", "fired", "R"]].to_numpy()
    ]
    short = (
        f"It cannot be told: none of {of:,} answers held against posteriors sampled at length was "
        "wrong."
        if not wrong
        else f"Of {of:,} answers held against posteriors sampled at length {wrong} were wrong."
    )
    alarms = "So often each diagnostic was up" + ("" if wrong else ", every time a false alarm")
    return Finding(
        "Do diagnostics tell wrong answers from right ones?",
        short,
        "Answers are of all samplers on the first data set of each scenario, components in the "
        f"order of the means draw by draw. {alarms}: {', '.join(said)}.",
        "rhat",
        "`warnings`, rows of the answer by mean",
        exploratory=True,
    )


# Further questions -----------------------------------------------------------------------------


def _components(design: Design, made: Made) -> Finding | None:
    table = made.get("choices", pd.DataFrame())
    if table.empty:
        return None
    names = [name for name in INFORMATION if name.replace("-", "_") in table]
    right = {CHOOSING[n]: _mean_of(table, n.replace("-", "_")) for n in names}
    same = _of_others(made.get("other-choices", pd.DataFrame()))
    more = (
        "A choice is right where it is the number of components that the data were drawn from, "
        "normal or not; a criterion takes the best believable maximum of each K from many "
        f"starts.{same}"
    )
    said = ", ".join(f"{label} {_per_cent(share)}" for label, share in right.items())
    data_sets = int(table["R"].max())
    return Finding(
        "How many components?",
        f"The right number is chosen, in the mean of {len(table)} scenarios of {data_sets} data "
        f"sets each at most, by {said}.",
        more,
        "chosen-shares",
        "`choices`, means over all rows" + ("; `other-choices` (right)" if same else ""),
    )


def _of_others(table: pd.DataFrame) -> str:
    """Criteria by refits or a posterior, in the mean of the scenarios that have all of them."""
    if table.empty:
        return ""
    counts = table.groupby("scenario")["criterion"].nunique()
    whole = table[table["scenario"].map(counts) == counts.max()]
    shares = {
        str(criterion): measures.mean_of(
            [measures.of_count(round(row["right"] * row["R"]), int(row["R"])) for row in rows]
        )
        for criterion, own in whole.groupby("criterion", sort=False)
        for rows in [own.to_dict("records")]
    }
    said = ", ".join(f"{name} {_per_cent(Share(*share))}" for name, share in shares.items())
    names, r = _and(list(dict.fromkeys(whole["scenario"]))), int(whole["R"].min())
    return f" By refits or a posterior, in the mean of {names} (R = {r} each): {said}."


def _mean_of(table: pd.DataFrame, column: str, r: str = "R") -> Share:
    """Of a share, over the rows of a table, which are of other data sets each."""
    rows = table[[column, f"{column}_mcse", r]].to_numpy(float)
    return Share(*measures.mean_of([Share(value, mcse, int(n)) for value, mcse, n in rows]))


def _priors(design: Design, made: Made) -> Finding | None:
    table = made.get("priors", pd.DataFrame())
    if table.empty or design.priors is None:
        return None
    by_prior = table.groupby("prior", sort=False)
    covers = {str(prior): _mean_of(own, "coverage") for prior, own in by_prior}
    paired = made.get("prior-differences", pd.DataFrame())
    said = []
    for prior, own in paired.groupby("prior", sort=False) if len(paired) else ():
        points = 100.0 * own[["coverage", "coverage_mcse"]].to_numpy(float)
        each = [
            f"{with_error(*pair)} points in {scenario}"
            for scenario, pair in zip(own["scenario"], points, strict=True)
        ]
        said.append(f"{prior} {', '.join(each)}")
    first = design.priors.compared[0].name
    return Finding(
        "How much of a posterior is its prior?",
        f"Nominal {100 * design.level:g}% intervals cover, in the mean of "
        f"{table['scenario'].nunique()} scenarios (R = {int(table['R'].min())}), "
        + ", ".join(f"{_per_cent(share)} under {prior}" for prior, share in covers.items())
        + ".",
        f"Coverage more than under {first} on the same data sets: {'; '.join(said)}.",
        "prior-measures",
        "`priors` (coverage), means over the rows of a prior; `prior-differences` (coverage)",
    )


def _packages(design: Design, made: Made) -> Finding | None:
    words, verdicts = (made.get(f"external-{n}", pd.DataFrame()) for n in ("words", "verdicts"))
    if words.empty or verdicts.empty:
        return None
    said = words[words["wrong"].notna()]
    wrong = "; ".join(
        f"{row['package']} {_per_cent(Share(row['wrong'], row['wrong_mcse'], int(row['R_wrong'])))}"
        for row in said.to_dict("records")
    )
    ends = []
    for package, own in verdicts.groupby("package", sort=False):
        within = [
            measures.of_count(round((row["maximum"] + row["near"]) * row["R"]), int(row["R"]))
            for row in own.to_dict("records")
        ]
        ends.append(f"{package} {_per_cent(Share(*measures.mean_of(within)))}")
    return Finding(
        "What do other packages give?",
        f"Of the answers that a package calls converged these are further than .1 standard errors "
        f"from the best maximum known: {wrong}.",
        "At that maximum or within .1 standard errors of it end, in the mean over the separations "
        f"of the grid: {'; '.join(ends)}. "
        "A package's own start may lead to another maximum, which is no fault of its stop; the "
        "tables tell the two apart.",
        "external-distance",
        "`external-words` (wrong); `external-verdicts` (maximum and near), means over the rows of "
        "a package",
    )


def _early(design: Design, made: Made) -> Finding | None:
    table = made.get("external-coverage", pd.DataFrame())
    names = [str(name) for name in table]
    groups = [name for name in names if f"{name}_mcse" in names and name.startswith("separation")]
    if not groups or LOST not in set(table["intervals"]):
        return None
    rows = table.set_index(["package", "intervals"])

    def percent(row: tuple[str, str], group: str, form: str = ".1f", unit: str = "%") -> str:
        value, error = 100.0 * rows.loc[row, [group, f"{group}_mcse"]].astype(float)
        return f"{value:{form}}{unit} ({error:.1f})".replace("-", "−")

    def at(group: str) -> str:
        return "; ".join(
            f"{package} {percent((package, AT_END), group)}, "
            f"{percent((package, LOST), group, '+.1f', ' points')}"
            for package, kind in rows.index
            if kind == LOST
        )

    missing = [
        f"{package} {percent((package, AT_END), 'missing')}"
        for package, kind in rows.index
        if kind == LOST
    ]
    own = rows.index[rows.index.get_level_values("intervals") == AT_MAXIMUM][-1]
    ours = _and([f"{percent(own, group)} at {group}" for group in groups])
    return Finding(
        "What does stopping early do to coverage?",
        f"At {groups[0]} nominal {100 * design.level:g}% Wald intervals at a package's end cover, "
        f"followed by how much more that is than at the maximum that it leads to: {at(groups[0])}.",
        f"At {groups[-1]}: {at(groups[-1])}. Where the information at the end is not positive "
        f"definite there is no interval, which counts as a miss: {'; '.join(missing)} of the "
        f"grid's. The intervals of {own[0]} cover {ours}.",
        "external-distance",
        "`external-coverage` (its end; its end less the maximum; missing)",
    )


FINDINGS: tuple[Callable[[Design, Made], Finding | None], ...] = (
    *(_optimiser, _intervals, _posterior, _ends, _cost),
    *(_components, _priors, _packages, _early),
    *(_bound, _stops, _rate, _words, _labels, _warnings),
)


# Which method here -----------------------------------------------------------------------------


class Advice(NamedTuple):
    """For one scenario: its place, what to use in a sentence, and a table of texts behind it."""

    place: dict[str, float | str]
    sentence: str
    table: pd.DataFrame


def advice(design: Design, made: Made) -> list[Advice]:
    """A piece of advice for each scenario: which method, which interval, what it covers."""
    covered, optimised = coverages(design, made), _of(made, "optimisation", design)
    verdicts, timings = _of(made, "verdicts", design), _of(made, "timings", design)
    scenarios = {s.name: s for s in design.all_scenarios()}
    found = []
    for name in simulated(design):
        cell = covered[covered["scenario"] == name]
        tables = [t[t["scenario"] == name] if len(t) else t for t in (optimised, verdicts, timings)]
        sentence = " ".join([*_which_method(*tables), *_which_interval(cell, design.level)])
        if sentence:
            found.append(Advice(_place(design, scenarios[name]), sentence, _texts_of(cell)))
    return found


def _place(design: Design, scenario: Scenario) -> dict[str, float | str]:
    if not design.grids:
        return {"scenario": scenario.title or scenario.name}
    assert scenario.separation is not None
    assert scenario.weight is not None
    assert scenario.sd_ratio is not None
    return {
        "n": scenario.n,
        "separation": scenario.separation,
        "weight": scenario.weight,
        "sd ratio": scenario.sd_ratio,
    }


def _which_method(
    optimised: pd.DataFrame, verdicts: pd.DataFrame, timings: pd.DataFrame
) -> Iterator[str]:
    own = optimised[optimised["method"].isin(OPTIMISERS)] if len(optimised) else optimised
    own = own.dropna(subset=["equivalent"]) if len(own) else own
    if own.empty or verdicts.empty:
        return
    best = own.sort_values("equivalent", kind="stable").iloc[0]
    method = str(best["method"])
    row = verdicts[verdicts["method"] == method].iloc[0]
    share = Share(row["share_good"], row["share_good_mcse"], int(row["R"]))
    text = (
        f"Use {METHODS[method].label}: {with_error(best['equivalent'], best['equivalent_mcse'])} "
        f"equivalent passes after the shared start, and {_per_cent(share)} of {int(row['R'])} data "
        "sets end certified at the best maximum known."
    )
    clock = timings[timings["method"].isin(OPTIMISERS)] if len(timings) else timings
    if len(clock):
        fastest = clock.sort_values("median", kind="stable").iloc[0]
        other = str(fastest["method"])
        if other != method:
            mine = clock.loc[clock["method"] == method, "median"]
            than = f" against {seconds(float(mine.iloc[0]))}" if len(mine) else ""
            text += f" {METHODS[other].label} is faster, {seconds(float(fastest['median']))}{than}."
    yield text


def _which_interval(cell: pd.DataFrame, level: float) -> Iterator[str]:
    chosen = pick(cell, level)
    if chosen is None:
        if len(cell):
            yield f"Too few data sets (R = {cell['R'].max()}) to say which interval holds."
        return
    share = _covers(chosen)
    label = INTERVALS[chosen["kind"]]
    text = f"Of intervals at {level:.0%} take {label}: they cover {share}, R = {chosen['R']}."
    if chosen["high"] < level:
        text = (
            f"No interval holds its {level:.0%} here; best is {label}, {share}, R = {chosen['R']}."
        )
    yield text


def _covers(row: pd.Series[Any]) -> str:
    return f"{row['coverage']:.3f} ({row['low']:.2f} to {row['high']:.2f})"


def _texts_of(cell: pd.DataFrame) -> pd.DataFrame:
    order = [kind for kind in INTERVALS if kind in set(cell["kind"])]
    rows = [cell[cell["kind"] == kind].iloc[0] for kind in order]
    return pd.DataFrame(
        [
            {
                "interval": INTERVALS[row["kind"]][0].upper() + INTERVALS[row["kind"]][1:],
                "covers": _covers(row),
                "least covered": f"{row['of']}, {row['worst']:.2f}",
                "R": str(row["R"]),
            }
            for row in rows
        ],
        columns=["interval", "covers", "least covered", "R"],
    )


# Forms -----------------------------------------------------------------------------------------


def counts(design: Design) -> str:
    """What was run, in a sentence."""
    fits = sum(sum(design.replicates_of(unit).values()) for unit in design.units())
    return (
        f"{fits:,} fits of {len(design.all_scenarios())} simulated scenarios and "
        f"{len(design.data)} real data sets; {design.stamp()}. Numbers in brackets are Monte Carlo "
        "standard errors."
    )


def restructured(design: Design, found: Sequence[Finding]) -> str:
    """For the front page of Snakemake's report."""
    parts = [f"**What was run.** {counts(design)}"]
    parts += [f"**{one.question}** {one.short} {one.more}" for one in found]
    return f".. {design.stamp()}\n\n" + "\n\n".join(parts) + "\n"


def in_markdown(design: Design, found: Sequence[Finding], made_on: str = "") -> str:
    """A page of its own. made_on: revision and machine."""
    head = f"# What was found\n\n{counts(design)} {made_on}".rstrip()
    parts = [
        f"## {one.question}\n\n**{one.short}** {one.more}\n\n"
        + ("Exploratory: asked after the results were seen. " if one.exploratory else "")
        + f"From `tables/`: {one.rows}."
        + (f"\n\n![{one.question}](figures/{one.figure}.png)" if one.figure else "")
        for one in found
    ]
    return "\n\n".join([f"<!-- {design.stamp()} -->", head, *parts]) + "\n"
