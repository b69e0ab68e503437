"""How many components: what each criterion chooses, how often that is right, and what it loses."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from models.criteria import CRITERIA, INFORMATION
from models.mixture import Floats
from study.design import Design, Scenario
from study.report import measures
from study.report.exhibit import Drawing, Table, tabular
from study.report.measures import Measure
from study.report.readers import per_cent, with_error
from study.report.reasons import no_choice, no_real_choice
from study.report.series import Z
from study.report.style import CHOICE_LOOKS, DOUBLE, drawing, faded, log_ticks, nothing
from study.report.table import table_of, with_errors
from study.rows import CHOOSING, DATA_SET, ONE_START, Results

CATEGORY = "How many components"
# What a table has a column each for; the others, of few scenarios, have rows of their own.
COMMON = tuple(INFORMATION)
# Nats by which the losses of two ends at one maximum differ at most.
SAME_LOSS = 1e-8
# Of real data, how many columns a table has, and which criteria have them first.
SHOWN = 6
PREFERRED = tuple(dict.fromkeys(("bic", "icl", "cv", "lrt", "bridge", "loo", *CRITERIA)))


def true_k(design: Design) -> dict[str, int]:
    """By simulated scenario the number of its components, whatever their family."""
    return {
        unit.name: int(np.count_nonzero(unit.truth().components.weights))
        for unit in design.all_scenarios()
    }


def simulated(results: Results) -> pd.DataFrame:
    """The choices of simulated data sets, with the true K; in the design's order."""
    known = true_k(results.design)
    rows = results.choices[results.choices["scenario"].isin(list(known))].copy()
    rows["true_k"] = rows["scenario"].map(known).astype(float)
    rows["k"] = rows["k"].astype(float)
    return rows


def _by_scenario(
    results: Results, of: Callable[[pd.DataFrame], Measure], names: Sequence[str]
) -> pd.DataFrame:
    """A row a scenario, a column each criterion: what `of` makes of its choices."""
    rows, known = simulated(results), true_k(results.design)
    found = []
    for scenario, part in rows[rows["criterion"].isin(names)].groupby("scenario", sort=False):
        own = {
            name.replace("-", "_"): of(part[part["criterion"] == name])
            for name in names
            if (part["criterion"] == name).any()
        }
        counts = part.groupby("criterion").size()
        row = {"scenario": scenario, "true_K": str(known[str(scenario)]), "R": int(counts.max())}
        found.append(row | with_errors(own))
    return table_of(found, ["scenario", "true_K", "R"])


def _right(part: pd.DataFrame) -> Measure:
    """A choice that could not be made is not right."""
    return _share(part["k"] == part["true_k"])


def _share(events: Any) -> Measure:
    return measures.proportion(np.asarray(events, dtype=float))


def _loss(part: pd.DataFrame) -> Measure:
    return measures.mean(part["loss"].to_numpy(float))


def choices(results: Results) -> pd.DataFrame:
    """By scenario: how often each information criterion chooses the true number of components."""
    return _by_scenario(results, _right, COMMON)


def choice_losses(results: Results) -> pd.DataFrame:
    """By scenario: mean loss of what each information criterion chooses."""
    return _by_scenario(results, _loss, COMMON)


def other_choices(results: Results) -> pd.DataFrame:
    """By scenario and criterion, those of `choices` apart: right, below, above, none; mean loss."""
    rows, known = simulated(results), true_k(results.design)
    rows = rows[~rows["criterion"].isin([*COMMON, ONE_START])]
    found = []
    for (scenario, criterion), part in rows.groupby(["scenario", "criterion"], sort=False):
        below, above = part["k"] < part["true_k"], part["k"] > part["true_k"]
        own = {
            "right": _right(part),
            "below": _share(below),
            "above": _share(above),
            "none": _share(part["k"].isna()),
            "loss": _loss(part),
        }
        row = {"scenario": scenario, "criterion": CHOOSING[str(criterion)]}
        row |= {"true_K": str(known[str(scenario)])}
        found.append(row | with_errors(own, len(part)))
    return table_of(found, ["scenario", "criterion", "true_K", "R"])


def agreement(results: Results) -> pd.DataFrame:
    """Each criterion against BIC on the same data sets: who agrees, and who is right where not."""
    rows = simulated(results)
    base = rows.loc[rows["criterion"] == "bic", [*DATA_SET, "k"]].rename(columns={"k": "bic"})
    rows = rows.merge(base, on=DATA_SET)
    found = []
    for criterion, part in rows[rows["criterion"] != "bic"].groupby("criterion", sort=False):
        apart = part[part["k"] != part["bic"]]
        own = {
            "same": _share(part["k"] == part["bic"]),
            "fewer": _share(part["k"] < part["bic"]),
            "more": _share(part["k"] > part["bic"]),
            "none": _share(part["k"].isna()),
        }
        if len(apart):
            own |= {
                "right_if_apart": _share(apart["k"] == apart["true_k"]),
                "BIC_right_if_apart": _share(apart["bic"] == apart["true_k"]),
            }
        row = {"criterion": CHOOSING[str(criterion)]} | with_errors(own, len(part))
        found.append(row | {"R_apart": len(apart)})
    return table_of(found, ["criterion", "R", "R_apart"])


def local_choices(results: Results) -> pd.DataFrame:
    """What BIC of the maximum that one start finds costs, against that of the best believable one.

    By scenario: how often it chooses another K, how often each is right, and the mean difference
    of the losses of what they choose.
    """
    rows = simulated(results)
    columns = [*DATA_SET, "k", "loss"]
    one = rows.loc[rows["criterion"] == ONE_START, columns]
    best = rows.loc[rows["criterion"] == "bic", [*columns, "true_k"]]
    both = best.merge(one, on=DATA_SET, suffixes=("", "_one"))
    found = []
    for scenario, part in both.groupby("scenario", sort=False):
        lost = (part["loss_one"] - part["loss"]).to_numpy(float)
        lost = np.where(np.abs(lost) < SAME_LOSS, 0.0, lost)
        own: dict[str, Measure] = {
            "other_K": _share(part["k"] != part["k_one"]),
            "right_best": _share(part["k"] == part["true_k"]),
            "right_one": _share(part["k_one"] == part["true_k"]),
            "more_loss": measures.mean(lost),
        }
        found.append({"scenario": scenario} | with_errors(own, len(part)))
    return table_of(found, ["scenario", "R"])


def real_choices(results: Results) -> pd.DataFrame:
    """Of real data: each criterion at each K, with its standard error, the choice with a star.

    Of SHOWN criteria at most; the rows have all of them.
    """
    found = []
    there = set(results.criteria["criterion"])
    names = [name for name in CRITERIA if name in [n for n in PREFERRED if n in there][:SHOWN]]
    for name in [unit.name for unit in results.design.data]:
        rows = results.criteria[results.criteria["scenario"] == name]
        chosen = results.choices[results.choices["scenario"] == name].set_index("criterion")["k"]
        for k, part in rows.groupby("k"):
            own = {
                CHOOSING[str(row["criterion"])]: _value(row, chosen.get(row["criterion"]))
                for row in part.to_dict("records")
                if row["criterion"] in names
            }
            found.append({"data_set": name, "K": str(k)} | own)
    return table_of(found, ["data_set", "K"])


def _value(row: Mapping[Any, Any], chosen: Any) -> str:
    if np.isnan(row["value"]):
        return "–"
    decimals = 2 if abs(row["value"]) >= 1.0 else 3
    text = f"{row['value']:.{decimals}f}".replace("-", "\N{MINUS SIGN}")
    text += f" ({row['error']:.{decimals}f})" if row["error"] > 0 else ""
    return f"{text} *" if not pd.isna(chosen) and chosen == row["k"] else text


def choice_costs(results: Results) -> pd.DataFrame:
    """Median seconds and passes of each criterion over all data sets; the fits are shared."""
    found = []
    rows = results.choice_timings
    for criterion, part in rows.groupby("criterion", sort=False):
        own = {
            "seconds": measures.median(part["seconds"].to_numpy(float)),
            "passes": measures.median(part["passes"].to_numpy(float)),
        }
        label = CHOOSING.get(str(criterion), "the fits themselves")
        found.append({"criterion": label} | with_errors(own, len(part)))
    return table_of(found, ["criterion", "R"])


def evidence(results: Results) -> pd.DataFrame:
    """Against bridge sampling at the true K, by scenario: Laplace, and minus half of BIC; nats."""
    known = true_k(results.design)
    rows = results.criteria
    rows = rows[rows["k"] == rows["scenario"].map(known)]
    wide = rows.pivot_table(index=DATA_SET, columns="criterion", values="value", sort=False)
    errors = rows.pivot_table(index=DATA_SET, columns="criterion", values="error", sort=False)
    if not {"bridge", "laplace"} <= set(wide):
        return table_of([], ["scenario", "n", "true_K", "R"])
    found = []
    for scenario, part in wide.dropna(subset="bridge").groupby("scenario", sort=False):
        unit = results.design.scenario(str(scenario))
        own = {"laplace_above": measures.mean((part["laplace"] - part["bridge"]).to_numpy(float))}
        if "bic" in part:
            half = -0.5 * part["bic"] - part["bridge"]
            own["half_bic_above"] = measures.mean(half.to_numpy(float))
        spread = errors.loc[part.index, "bridge"].to_numpy(float)
        own["bridge_error"] = measures.mean(spread)
        row = {"scenario": scenario, "true_K": str(known[str(scenario)])}
        assert isinstance(unit, Scenario)
        found.append(row | {"n": unit.n} | with_errors(own, len(part)))
    return table_of(found, ["scenario", "n", "true_K", "R"])


# --- Figures -----------------------------------------------------------------------------------

# Shares of K = 1, 2, ... from light to dark (ColorBrewer's PuBu), in grey too.
FILLS = ("#D0D1E6", "#A6BDDB", "#74A9CF", "#3690C0", "#045A8D", "#023858")
MOST_SETTINGS = 10
# Of criteria that are nearly others, one is drawn.
DRAWN = (
    "aic",
    "bic",
    "icl",
    "bridge",
    "lrt",
    "cv",
    "loo",
    "laplace",
    "overfitted",
    "overfitted-half",
)


def setting(name: str) -> str:
    """A scenario's name without its n: what is the same data but for their number."""
    return re.sub(r"-n[0-9]+$", "", name)


def settings(results: Results) -> dict[str, list[Scenario]]:
    """Simulated scenarios in which K is chosen, by setting, each in the order of n."""
    there = set(results.choices["scenario"])
    found: dict[str, list[Scenario]] = {}
    for unit in results.design.all_scenarios():
        if unit.name in there:
            found.setdefault(setting(unit.name), []).append(unit)
    return {name: sorted(own, key=lambda unit: unit.n) for name, own in found.items()}


def chosen_shares(results: Results) -> Figure:
    """Stacked bars of the shares of each K, a row a scenario; the true K first, with its error."""
    rows, known, found = simulated(results), true_k(results.design), settings(results)
    names = _drawn(rows)[:5]
    if not names or not found:
        return nothing("No number of components is chosen.")
    units = [unit for key in _spread(list(found), MOST_SETTINGS) for unit in found[key]]
    figure = Figure(figsize=(DOUBLE, 0.8 + 0.21 * len(units)))
    panels = figure.subplots(1, len(names), squeeze=False, sharey=True)[0]
    most = max(max(results.design.ks_of(unit), default=1) for unit in units)
    for axes, name in zip(panels, names, strict=True):
        own = rows[rows["criterion"] == name]
        for place, unit in enumerate(units):
            k = own.loc[own["scenario"] == unit.name, "k"].to_numpy(float)
            if k.size:
                _stack(axes, place, k, known[unit.name], min(most, len(FILLS)))
        axes.set_title(CHOOSING[name])
        axes.set_xlim(0.0, 1.0)
        axes.set_xticks([0.0, 0.5, 1.0], ["0", "0.5", "1"])
    words = [f"{_short(u.name)}, $n$ = {u.n:,}, $K$ = {known[u.name]}" for u in units]
    panels[0].set_yticks(range(len(units)), words)
    panels[0].set_ylim(len(units) - 0.4, -0.6)
    for axes in panels:
        axes.tick_params(axis="y", length=0)
    for number, fill in enumerate(FILLS[:most], 1):
        panels[0].add_patch(Rectangle((0, 0), 0, 0, fc=fill, label=f"$K$ = {number}"))
    figure.supxlabel("Share of the data sets", fontsize=7)
    return figure


def _drawn(rows: pd.DataFrame) -> list[str]:
    return [name for name in DRAWN if (rows["criterion"] == name).any()]


def _spread(names: list[str], most: int) -> list[str]:
    """So many of the names at most, evenly from first to last."""
    places = np.linspace(0, len(names) - 1, min(most, len(names))).round().astype(int)
    return [names[i] for i in places]


def _short(name: str) -> str:
    return setting(name).replace("grid-", "").replace("-w0.5-r1", "")


def _stack(axes: Axes, place: int, k: Floats, true: int, most: int) -> None:
    """A bar of the shares of 1 to `most` in k (data sets,), the true one first and edged."""
    left = 0.0
    for number in sorted(range(1, most + 1), key=lambda number: number != true):
        share, right = float((k == number).mean()), number == true
        edge = {"edgecolor": "black", "linewidth": 0.9, "zorder": 2} if right else {"linewidth": 0}
        axes.barh(place, share, 0.5, left=left, color=FILLS[number - 1], **edge)
        if right:
            low, high = measures.wilson(share, float(k.size))
            axes.plot([low, high], [place + 0.38] * 2, color="black", lw=0.9, clip_on=False)
            axes.plot(share, place + 0.38, "o", color="black", ms=2.0, clip_on=False)
        left += share


def choice_risks(results: Results) -> Figure:
    """Mean loss of the choice against how often it is right, a point a scenario and criterion."""
    rows = simulated(results)
    simple = rows["scenario"].map(lambda name: _simple(results.design, str(name)))
    kinds = {"Normal components": rows[simple], "Other components, or rounded": rows[~simple]}
    kinds = {title: own for title, own in kinds.items() if own["loss"].notna().any()}
    if not kinds:
        return nothing("No number of components is chosen.")
    figure = Figure(figsize=(DOUBLE, 2.9))
    panels = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    for axes, (title, own) in zip(panels, kinds.items(), strict=True):
        for name in _drawn(own):
            for _, part in own[own["criterion"] == name].groupby("scenario", sort=False):
                _risk(axes, _right(part), _loss(part), name)
        axes.set_title(title)
        axes.set_xlabel("Share of choices of the true $K$")
        axes.set_xlim(-0.03, 1.03)
    panels[0].set_ylabel("Mean loss (nats)")
    panels[0].set_yscale("log")
    log_ticks(panels[0].yaxis)
    return figure


def _risk(axes: Axes, right: Measure, loss: Measure, name: str) -> None:
    """A point, its bars those of Wilson and, on the log scale, of the delta method."""
    low, high = measures.wilson(right.value, right.r)
    factor = float(np.exp(Z * np.nan_to_num(loss.mcse) / loss.value)) if loss.value > 0 else 1.0
    axes.errorbar(
        right.value, loss.value, [[loss.value - loss.value / factor], [loss.value * (factor - 1)]],
        [[right.value - float(low)], [float(high) - right.value]], **CHOICE_LOOKS[name].points,
        ms=3.5, elinewidth=0.5, alpha=faded(right.r), label=CHOOSING[name],
    )  # fmt: skip


def _simple(design: Design, name: str) -> bool:
    unit = design.scenario(name)
    return isinstance(unit, Scenario) and unit.family == "normal" and unit.round_to is None


def real_criteria(results: Results) -> Figure:
    """Each criterion's distance from its best against K, real data, with errors."""
    units = [u for u in results.design.data if (results.criteria["scenario"] == u.name).any()]
    if not units:
        return nothing("No real data have their number of components chosen.")
    columns = min(len(units), 3)
    figure = Figure(figsize=(DOUBLE, 2.6))
    panels = figure.subplots(1, columns, squeeze=False)[0]
    for axes, unit in zip(panels, units[:columns], strict=False):
        _against_k(axes, results.criteria[results.criteria["scenario"] == unit.name])
        axes.set_title(unit.title or unit.name, parse_math=False)
        axes.set_xlabel("Components $K$")
    panels[0].set_ylabel("Behind the best (nats)")
    return figure


def _with_a_best(name: str) -> bool:
    """Whether a criterion has a value at each K, of which one is best."""
    return CRITERIA[name].sign != 0 and not name.startswith("overfitted")


def _against_k(axes: Axes, rows: pd.DataFrame) -> None:
    """On the scale of log-likelihoods: half of what is on that of deviances."""
    for name, part in rows.groupby("criterion", sort=False):
        criterion = CRITERIA[str(name)]
        if not _with_a_best(str(name)):
            continue
        values = criterion.sign * part["value"].to_numpy(float)
        scale = 0.5 if criterion.sign < 0 else 1.0
        if np.isnan(values).all():
            continue
        behind = scale * (np.nanmax(values) - values)
        errors = part["error"].to_numpy(float) if name in ("bridge", "cv", "loo", "waic") else None
        k = part["k"].to_numpy(float)
        look = CHOICE_LOOKS[str(name)]
        if name == "bridge":
            axes.errorbar(k, behind, errors, **look.both, ms=3.0, label=criterion.label)
        else:
            axes.plot(k, behind, **look.both, ms=3.0, label=criterion.label)
    axes.set_yscale("symlog", linthresh=1.0, linscale=0.5)
    axes.set_ylim(bottom=-0.2)
    axes.set_yticks([0, 1, 10, 100], ["0", "1", "10", "100"])
    axes.set_xticks(sorted(rows["k"].unique()))


# --- Findings ----------------------------------------------------------------------------------


def _over_scenarios(
    rows: pd.DataFrame, name: str, of: Callable[[pd.DataFrame], Measure]
) -> Measure:
    """The mean over scenarios of what `of` makes of a criterion's choices."""
    parts = rows[rows["criterion"] == name].groupby("scenario", sort=False)
    return measures.mean_of([of(part) for _, part in parts])


def shares_found(results: Results) -> str:
    """How often each criterion chooses the true K, over the scenarios."""
    rows = simulated(results)
    said = [
        f"{CHOOSING[name]} {per_cent(_over_scenarios(rows, name, _right))}" for name in _drawn(rows)
    ]
    if not said:
        return ""
    sets, scenarios = len(rows[DATA_SET].drop_duplicates()), rows["scenario"].nunique()
    return (
        f"The true K is chosen, in the mean of {scenarios} scenarios ({sets:,} data sets), by "
        f"{', '.join(said)}."
    )


def risks_found(results: Results) -> str:
    """The mean loss of what each criterion chooses, by whether the model holds."""
    rows = simulated(results)
    simple = rows["scenario"].map(lambda name: _simple(results.design, str(name))).astype(bool)
    parts = []
    for words, own in (("normal components", rows[simple]), ("others", rows[~simple])):
        losses = {name: _over_scenarios(own, name, _loss) for name in _drawn(own)}
        said = [
            f"{CHOOSING[name]} {with_error(loss.value, loss.mcse)}"
            for name, loss in losses.items()
            if np.isfinite(loss.value)
        ]
        if said:
            parts.append(f"of {words} {', '.join(said)}")
    return f"Mean loss in nats over scenarios: {'; '.join(parts)}." if parts else ""


def criteria_found(results: Results) -> str:
    """Which K each criterion is best at, by data set."""
    parts = []
    for unit in results.design.data:
        rows = results.criteria[results.criteria["scenario"] == unit.name]
        chosen: dict[int, list[str]] = {}
        for name, own in rows.groupby("criterion", sort=False):
            values = CRITERIA[str(name)].sign * own["value"].to_numpy(float)
            if _with_a_best(str(name)) and not np.isnan(values).all():
                k = int(own["k"].iloc[int(np.nanargmax(values))])
                chosen.setdefault(k, []).append(CRITERIA[str(name)].label.replace(", ", " "))
        if chosen:
            said = [f"K = {k} by {', '.join(names)}" for k, names in sorted(chosen.items())]
            parts.append(f"{unit.name} has {'; '.join(said)}")
    return f"Best of the real data sets: {'. '.join(parts)}." if parts else ""


NO_OTHERS = "Of criteria only those of information are asked for."
NO_BRIDGE = "Laplace's approximation and bridge sampling are not asked for together."
TABLES: tuple[Table, ...] = (
    tabular("choices", "Right choices", CATEGORY, choices, no_choice),
    tabular("choice-losses", "Losses of choices", CATEGORY, choice_losses, no_choice),
    tabular("other-choices", "Other criteria", CATEGORY, other_choices, no_choice, none=NO_OTHERS),
    tabular("choice-agreement", "Who agrees with BIC", CATEGORY, agreement, no_choice),
    tabular("local-choices", "Choices at local maxima", CATEGORY, local_choices, no_choice),
    tabular("evidence", "Evidence", CATEGORY, evidence, no_choice, none=NO_BRIDGE),
    tabular("real-choices", "Criteria of real data", CATEGORY, real_choices, no_real_choice),
    tabular("choice-costs", "What choices cost", CATEGORY, choice_costs, no_choice, timed=True),
)
FIGURES: tuple[Drawing, ...] = (
    drawing(
        "chosen-shares", "What is chosen", CATEGORY, chosen_shares, no_choice, finding=shares_found
    ),
    drawing(
        "choice-risks", "Right, or near", CATEGORY, choice_risks, no_choice, finding=risks_found
    ),
    drawing(
        "real-criteria", "Criteria of real data", CATEGORY, real_criteria, no_real_choice,
        finding=criteria_found,
    ),
)  # fmt: skip
