"""What other packages' answers are worth: verdicts, distances, coverage, orders, chains, seconds.

Their ends are judged as this project's own. Of a data set the best maximum that is known of is
over the study's own fits and all that any package's end leads to. Exhibits of designs that ask
packages; others have none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from models.verdicts import GOOD, SAME, VERDICTS, judge
from study.design import DataSet, Design
from study.report import measures
from study.report.exhibit import Drawing, Table, tabular
from study.report.grid import groups
from study.report.measures import Measure
from study.report.readers import with_error
from study.report.reasons import lack
from study.report.style import COLORS, GREY, SINGLE, drawing, log_ticks, looks, separation_axis
from study.report.table import table_of, with_errors
from study.report.verdicts import best
from study.rows import DATA_SET, FIT, USABLE, Results

HARD, REAL = "hard set", "real data"
# Standard errors from the maximum within which an early stop changes little that is reported.
NEAR = 0.1
NO_MAXIMUM = ("not identified", "component not needed", "spurious", "singular", "failed")
LEAST = 1e-4  # standard errors, the certificate's own
AT_END, AT_MAXIMUM = "Wald at its end", "Wald at the maximum"
_INTERVALS = {
    "own": "its own",
    "end": AT_END,
    "maximum": AT_MAXIMUM,
    "relabelled": "its own, relabelled",
}
LOST = "at its end less at the maximum"


def with_verdict(results: Results) -> pd.DataFrame:
    """external with `verdict` and, in standard errors, `early` and `away`.

    early: from the end to the maximum that EM goes to from there, the root of twice the nats
    between them. away: the same to the best maximum of the data set. behind: nats from the former
    maximum to the latter. An end that leads to another maximum is at "other local maximum", however
    early it stopped. What aims at a posterior has no verdict, unless it gave none.
    """
    fits = results.external.merge(_best(results), on=DATA_SET, how="left")
    rounding = 1e-13 * fits["best"].abs()

    def above(high: pd.Series[Any], low: pd.Series[Any]) -> pd.Series[Any]:
        nats = high - low
        return nats.where(nats.isna() | (nats > rounding), 0.0)

    fits["early"] = np.sqrt(2.0 * above(fits["top"], fits["loglik"]))
    fits["away"] = np.sqrt(2.0 * above(fits["best"], fits["loglik"]))
    fits["behind"] = above(fits["best"], fits["top"])
    elsewhere = fits["behind"] > SAME
    known = fits["distance"].notna() | fits["top"].notna()
    sampler = _sampled(results, fits)
    fits["verdict"] = judge(
        fits["status"],
        sampler,
        fits["certified"].fillna(False).to_numpy(bool) | elsewhere,
        fits["believable"] & known,
        fits["behind"].fillna(0.0),
        fits["place"].replace("", "interior").fillna("interior"),
    )
    posterior = fits["method"].map(lambda m: results.design.external_of(m).aims == "posterior")
    fits.loc[posterior & ~sampler & fits["status"].isin(USABLE), "verdict"] = ""
    return fits


def _sampled(results: Results, fits: pd.DataFrame) -> pd.Series[bool]:
    """Which fits are a sampler's; a failed one's too, by the package's others."""
    return fits["method"].isin(set(results.external_chains["method"]))


def _best(results: Results) -> pd.Series[float]:
    """`best` by data set: of the study's own ends, and of those that packages' lead to."""
    rows = results.external
    alive = rows["certified"].fillna(False).astype(bool) & rows["believable"]
    ends = [
        best(results).reset_index(),
        rows[[*DATA_SET, "top"]].rename(columns={"top": "best"}),
        rows.loc[alive, [*DATA_SET, "loglik"]].rename(columns={"loglik": "best"}),
    ]
    return pd.concat(ends).groupby(DATA_SET)["best"].max()


def _share(events: Any) -> Measure:
    return measures.proportion(np.asarray(events, dtype=float))


def _group(design: Design) -> Callable[[str], str]:
    """Of a scenario: its separation, or whether it is of the hard set or real data."""
    place = groups(design)
    real = {unit.name for unit in design.units() if isinstance(unit, DataSet)}

    def of(scenario: str) -> str:
        return (
            REAL if scenario in real else place[scenario] if place[scenario] != scenario else HARD
        )

    return of


def _labels(design: Design) -> dict[str, str]:
    return {external.name: external.label for external in design.external}


def _in_order(results: Results, table: pd.DataFrame) -> pd.DataFrame:
    """Packages as the design has them, then groups: separations, the hard set, real data."""
    packages = {label: i for i, label in enumerate(_labels(results.design).values())}
    last = {HARD: "~1", REAL: "~2"}  # behind all that begins with a letter

    def place(column: pd.Series[Any]) -> pd.Series[Any]:
        if column.name == "package":
            return column.map(lambda name: packages.get(name, len(packages)))
        return column.map(lambda name: last.get(name, str(name)))

    by = [name for name in ("package", "group") if name in table]
    return table.sort_values(by, key=place, kind="stable").reset_index(drop=True)


def _maximisers(results: Results) -> pd.DataFrame:
    """Verdicts of packages that maximise the likelihood and gave an answer, by group."""
    fits = with_verdict(results)
    aims = {external.name: external.aims for external in results.design.external}
    there = set(fits.loc[fits["status"] != "failed", "method"])
    kept = fits["method"].map(lambda m: aims[m] == "likelihood" and m in there)
    fits = fits[kept & ~_sampled(results, fits)].copy()
    fits["group"] = fits["scenario"].map(_group(results.design))
    fits["package"] = fits["method"].map(_labels(results.design))
    return fits


def verdicts(results: Results) -> pd.DataFrame:
    """What the ends of packages came to, by separation: shares, and how early they stopped."""
    fits = _maximisers(results)
    rows = []
    for (package, group), own in fits.groupby(["package", "group"], sort=False):
        if group not in (HARD, REAL):
            rows.append({"package": package, "group": group} | _verdicts(own))
    return _in_order(results, table_of(rows, ["package", "group", "R", "maximum"]))


def hard(results: Results) -> pd.DataFrame:
    """The same over the scenarios that are of no grid, and over real data."""
    fits = _maximisers(results)
    rows = []
    for (package, group), own in fits.groupby(["package", "group"], sort=False):
        if group in (HARD, REAL):
            rows.append({"package": package, "group": group} | _verdicts(own))
    return _in_order(results, table_of(rows, ["package", "group", "R", "maximum"]))


def _verdicts(fits: pd.DataFrame) -> dict[str, float]:
    verdict, early = fits["verdict"], fits["verdict"] == "stopped early"
    events = {
        "maximum": verdict.isin(["certified", "boundary"]),
        "near": early & (fits["early"] <= NEAR),
        "early": early & ~(fits["early"] <= NEAR),
        "other_maximum": verdict == "other local maximum",
        "no_maximum": verdict.isin(NO_MAXIMUM),
    }
    found = {name: _share(event) for name, event in events.items()}
    return with_errors(found, len(fits))


def all_verdicts(results: Results) -> pd.DataFrame:
    """How many fits came to each verdict, by package and scenario: long, for machines."""
    fits = with_verdict(results)
    rows = []
    for (scenario, method), own in fits.groupby(["scenario", "method"], sort=False):
        key = {"scenario": scenario, "method": method, "cases": "own"}
        measured: dict[str, Measure] = {
            name: measures.count(np.asarray(own["verdict"] == name, dtype=float))
            for name in VERDICTS
        }
        for name in ("early", "away", "behind"):
            measured[f"median_{name}"] = measures.median(own[name].to_numpy(float))
        for name, (value, mcse, r) in measured.items():
            rows.append(key | {"measure": name, "value": value, "mcse": mcse, "R": r})
    return table_of(rows, ["scenario", "method", "cases", "measure", "value", "mcse", "R"])


def asked(results: Results) -> pd.DataFrame:
    """What each package was asked for, and its version."""
    versions = results.external.loc[results.external["status"] != "failed"]
    first = versions.groupby("method")["version"].first()
    rows = [
        {"package": e.label, "asked": e.asked or "–", "version": first.get(e.name, "–")}
        for e in results.design.external
    ]
    return table_of(rows if len(results.external) else [], ["package", "asked", "version"])


def words(results: Results) -> pd.DataFrame:
    """What the packages' own words are worth.

    converged: share of its answers that it called converged, and wrong of them those that are
    farther than NEAR from the best maximum.
    """
    fits = with_verdict(results)
    rows = []
    for external in results.design.external:
        own = fits[fits["method"] == external.name]
        if own.empty:
            continue
        answered = own["status"] != "failed"
        said = own[own["word"].fillna(False).astype(bool)]
        near = (said["verdict"] == "stopped early") & (said["early"] <= NEAR)
        wrong = ~(said["verdict"].isin(GOOD) | near)
        found = {
            "answered": _share(answered),
            "converged": _share(own["word"].fillna(False)),
            "wrong": _share(wrong[said["verdict"] != ""]),
        }
        lost = own.loc[~answered, "message"]
        rows.append(
            {"package": external.label}
            | with_errors(found, len(own))
            | {"R_wrong": found["wrong"].r}
            | {"first_failure": lost.iloc[0] if len(lost) else "–"}
        )
    columns = ["package", "R", "answered", "converged", "wrong", "R_wrong", "first_failure"]
    return table_of(rows, columns)


def stops(results: Results) -> pd.DataFrame:
    """What is left where a package stops, beside what its stop predicts in EM's last linear phase.

    Both in standard errors. predicted: at most; of the nats of its stop times r^2/(1 - r^2), r EM's
    rate at the maximum. short: the share of ends where more is left than that.
    """
    fits = _maximisers(results)
    fits = fits[fits["stop"].gt(0.0) & fits["rate"].between(0.0, 1.0) & fits["early"].notna()]
    squared = fits["rate"] ** 2
    fits = fits.assign(predicted=np.sqrt(2.0 * fits["stop"] * squared / (1.0 - squared)))
    rows = []
    for (package, group), own in fits.groupby(["package", "group"], sort=False):
        if group in (HARD, REAL):
            continue
        left, predicted = own["early"].to_numpy(float), own["predicted"].to_numpy(float)
        found: dict[str, Measure] = {
            "left": measures.median(left),
            "left_90": measures.quantile(left, 0.9),
            "predicted": measures.median(predicted),
            "short": _share(left > predicted),
        }
        rows.append({"package": package, "group": group} | with_errors(found, len(own)))
    columns = ["package", "group", "R", "left", "left_90", "predicted", "short"]
    return _in_order(results, table_of(rows, columns))


def coverage(results: Results) -> pd.DataFrame:
    """Mean coverage over a mixture's free parameters, by package, kind of interval and separation.

    Of an answer's parameters the share that its intervals hold, averaged over data sets: those of a
    data set are not independent, and the Monte Carlo error knows. missing: the share without an
    interval, which holds nothing. LOST: data set by data set, where there is a maximum.
    """
    of_packages = _held(results)
    held = pd.concat([of_packages, _lost(of_packages), _held_by_newton(results)])
    held["group"] = held["scenario"].map(_group(results.design))
    held = held[~held["group"].isin([HARD, REAL])]
    rows = []
    for (package, kind), own in held.groupby(["package", "intervals"], sort=False):
        row: dict[str, Any] = {"package": package, "intervals": kind}
        row |= with_errors({"missing": _mean_by_scenario(own, "missing")}, len(own))
        for group in sorted(held["group"].unique()):
            row |= with_errors({group: _mean_by_scenario(own[own["group"] == group], "held")})
        rows.append(row)
    return _in_order(results, table_of(rows, ["package", "intervals", "R", "missing"]))


def _mean_by_scenario(rows: pd.DataFrame, column: str) -> Measure:
    """Over the scenarios, which have data sets of their own; the mean of their means."""
    return measures.mean_of(
        [measures.mean(own.to_numpy(float)) for _, own in rows.groupby("scenario")[column]]
    )


def _lost(held: pd.DataFrame) -> pd.DataFrame:
    """What a package's intervals hold at its end, less what they hold at the maximum.

    Of data sets where there is a maximum that its end leads to, with an interval.
    """
    key = [*DATA_SET, "package"]
    end, maximum = (
        held[held["intervals"] == kind].set_index(key)[["held", "missing"]]
        for kind in (AT_END, AT_MAXIMUM)
    )
    lost = (end - maximum[maximum["missing"] < 1.0]).dropna()
    return lost.reset_index().assign(intervals=LOST)


def _held(results: Results) -> pd.DataFrame:
    """`_shares` by package and kind of interval."""
    rows, labels = results.external_estimates, _labels(results.design)
    parts = []
    for (method, kind), own in rows.groupby(["method", "kind"], sort=False):
        if kind == "maximum" and results.design.external_of(str(method)).aims != "likelihood":
            continue  # of what it does not aim at
        fits = results.external.loc[results.external["method"] == method, DATA_SET]
        named = {"package": labels[str(method)], "intervals": _INTERVALS[str(kind)]}
        parts.append(_shares(fits, own).assign(**named))
    columns = [*DATA_SET, "held", "missing", "package", "intervals"]
    return pd.concat(parts) if parts else pd.DataFrame(columns=columns)


def _held_by_newton(results: Results) -> pd.DataFrame:
    """The same of this project's Newton's method, on the data sets that packages were asked for."""
    asked_for = results.external[DATA_SET].drop_duplicates()
    fits = results.fits.loc[results.fits["method"] == "newton", DATA_SET]
    own = results.estimates[results.estimates["method"] == "newton"]
    shares = _shares(fits.merge(asked_for, on=DATA_SET), own)
    return shares.assign(package="this project", intervals=AT_MAXIMUM)


def _shares(fits: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Of each of the fits the share of its parameters that it holds, and without an interval."""
    last = rows.groupby("scenario")["component"].transform("max")
    rows = rows[(rows["parameter"] != "weight") | (rows["component"] < last)]
    inside = (rows["lower"] <= rows["truth"]) & (rows["truth"] <= rows["upper"])
    missing = rows["lower"].isna() | rows["upper"].isna()
    rows = rows.assign(held=inside.astype(float), missing=missing.astype(float))
    share = rows.dropna(subset=["truth"]).groupby(DATA_SET)[["held", "missing"]].mean()
    return fits.merge(share.reset_index(), on=DATA_SET, how="left").fillna(
        {"held": 0.0, "missing": 1.0}
    )


def orders(results: Results) -> pd.DataFrame:
    """How often BIC chooses the true number of components, and more.

    By the package's log-likelihoods, and by those of the maxima that its ends lead to: what
    stopping early does to the choice. changed: share of data sets where the two differ.
    """
    rows = results.external_orders
    whole = rows.groupby(FIT)["loglik"].transform(lambda values: values.notna().all())
    rows = rows[whole.astype(bool)]
    penalty = rows["free"] * np.log(rows["n"])
    chosen = {}
    for name in ("loglik", "top"):
        bic = (penalty - 2.0 * rows[name]).to_numpy(float)
        table = rows.assign(bic=bic).sort_values("bic", kind="stable").groupby(FIT).first()
        chosen[name] = table["k"]
    table = pd.DataFrame(chosen).reset_index()
    truth = {s.name: sum(w > 0 for w in s.weights) for s in results.design.all_scenarios()}
    table["true"] = table["scenario"].map(truth)
    table["group"] = table["scenario"].map(_group(results.design))
    found = []
    for (method, group), own in table.groupby(["method", "group"], sort=False):
        measured: dict[str, Measure] = {}
        places = (("loglik", "at_its_end"), ("top", "at_the_maximum"))
        measured |= {f"right_{at}": _share(own[name] == own["true"]) for name, at in places}
        measured |= {f"more_{at}": _share(own[name] > own["true"]) for name, at in places}
        measured["changed"] = _share(own["loglik"] != own["top"])
        key = {"package": _labels(results.design)[str(method)], "group": group}
        found.append(key | with_errors(measured, len(own)))
    columns = ["package", "group", "R", "right_at_its_end", "right_at_the_maximum"]
    return _in_order(results, table_of(found, columns))


def chains(results: Results) -> pd.DataFrame:
    """Samplers: what they say of their chains, what labels cannot touch says, and switching."""
    fits = with_verdict(results)
    rows = fits[[*FIT, "word", "verdict"]].rename(columns={"verdict": "came_to"})
    rows = rows[rows["method"].isin(set(results.external_chains["method"]))]
    rows = rows.merge(results.external_chains, on=FIT, how="left")
    found = []
    for method, own in rows.groupby("method", sort=False):
        events = {
            "says_converged": own["word"].fillna(False).astype(bool),
            "sampled": own["came_to"] == "sampled",
            "switched": own["switches"].fillna(0).gt(0) | own["labellings"].fillna(1).gt(1),
            "modes_overlap": own["verdict"] == "modes overlap",
            "divergent": own["divergences"].fillna(0).gt(0),
        }
        measured = {name: _share(e) for name, e in events.items()}
        package = _labels(results.design)[str(method)]
        found.append({"package": package} | with_errors(measured, len(own)))
    return _in_order(results, table_of(found, ["package", "R", *("says_converged", "sampled")]))


def seconds(results: Results) -> pd.DataFrame:
    """Median seconds of a fit by sample size, start-up apart."""
    rows = results.external_timings
    sizes = sorted(int(n) for n in rows["n"].unique())
    groups = rows["scenario"].map(_group(results.design))
    rows = rows[~groups.isin([HARD, REAL])]
    found = []
    for method, own in rows.groupby("method", sort=False):
        measured = {
            f"n_{n}": measures.median(own.loc[own["n"] == n, "seconds"].to_numpy(float))
            for n in sizes
            if (rows["n"] == n).any()
        }
        starts = own["start_seconds"].drop_duplicates().to_numpy(float)
        measured["start"] = measures.median(starts)
        package = _labels(results.design)[str(method)]
        found.append({"package": package} | with_errors(measured, len(own)))
    return _in_order(results, table_of(found, ["package", "R", "start"]))


def distance(results: Results) -> Figure:
    """Standard errors from the best maximum against separation, a line a package."""
    fits = _maximisers(results)
    apart = {s.name: s.separation for grid in results.design.grids for s in grid.scenarios()}
    fits["separation"] = fits["scenario"].map(apart)
    fits = fits.dropna(subset=["separation"])
    figure = Figure(figsize=(SINGLE, 3.5))
    axes = figure.subplots()
    packages = list(_in_order(results, fits[["package"]].drop_duplicates())["package"])
    separations = sorted(fits["separation"].unique())
    for place, (package, look) in enumerate(looks(packages, COLORS).items()):
        x, low, middle, high = _quartiles(fits[fits["package"] == package], place, len(packages))
        axes.errorbar(
            x, middle, yerr=[middle - low, high - middle], **look.both, label=package,
            elinewidth=0.6, ms=3.5, lw=1.1,
        )  # fmt: skip
    axes.set_yscale("log")
    log_ticks(axes.yaxis)
    axes.axhline(1.0, color=GREY, lw=0.8, ls="--", zorder=0)
    if separations:
        separation_axis(axes, separations)
    axes.set_xlabel("Separation of the means (root-mean-square sds)")
    axes.set_ylabel("Distance from the maximum (standard errors)")
    return figure


def _quartiles(fits: pd.DataFrame, place: int, of: int) -> Iterator[np.ndarray]:
    """Separations, moved aside a little, and quartiles of the distance there."""
    by = fits.groupby("separation")["away"]
    table = by.quantile(np.array([0.25, 0.5, 0.75])).unstack()
    yield table.index.to_numpy(float) + 0.05 * (place - 0.5 * (of - 1))
    for level in (0.25, 0.5, 0.75):
        yield np.maximum(table[level].to_numpy(float), LEAST)


def distance_found(results: Results) -> str:
    """Median distances of the packages' ends where the components are closest."""
    fits = _maximisers(results)
    apart = {s.name: s.separation for grid in results.design.grids for s in grid.scenarios()}
    fits["separation"] = fits["scenario"].map(apart).astype(float)
    fits = fits[fits["separation"] == fits["separation"].min()]
    said = []
    for package in _in_order(results, fits[["package"]].drop_duplicates())["package"]:
        own = measures.median(fits.loc[fits["package"] == package, "away"].to_numpy(float))
        if own.r:
            said.append(f"{package} {with_error(own.value, own.mcse)}")
    if not said:
        return ""
    d = fits["separation"].iloc[0]
    return (
        f"Median distance from the maximum at separation {d:g}, in standard errors: "
        f"{'; '.join(said)}."
    )


no_packages = lack("This design asks no other package.", lambda d: d.external)
no_grid = lack(
    "This design asks no other package for a maximum of the likelihood on a grid.",
    lambda d: d.grids and any(e.aims == "likelihood" for e in d.external),
)
no_orders = lack(
    "This design asks no package for several numbers of components.",
    lambda d: any(e.orders is not None for e in d.external),
)
_SUBJECT = "Other packages"
_NONE = "No package of the kind gave an answer."
TABLES: tuple[Table, ...] = (
    tabular("external-asked", "What packages were asked for", _SUBJECT, asked, no_packages),
    tabular("external-words", "What packages say of themselves", _SUBJECT, words, no_packages),
    tabular("external-verdicts", "Verdicts of packages", _SUBJECT, verdicts, no_grid, none=_NONE),
    tabular("external-hard", "The same off the grid", _SUBJECT, hard, no_packages, none=_NONE),
    tabular("external-stops", "Where packages stop", _SUBJECT, stops, no_grid, none=_NONE),
    tabular("external-coverage", "Coverage", _SUBJECT, coverage, no_packages, none=_NONE),
    tabular("external-orders", "Choice of K by BIC", _SUBJECT, orders, no_orders, none=_NONE),
    tabular("external-chains", "Samplers", _SUBJECT, chains, no_packages, none=_NONE),
    tabular("external-seconds", "Seconds", _SUBJECT, seconds, no_packages, none=_NONE, timed=True),
)
FIGURES: tuple[Drawing, ...] = (
    drawing(
        "external-distance", "Distance from the maximum", _SUBJECT, distance, no_grid,
        finding=distance_found,
    ),
)  # fmt: skip
LONG: dict[str, Callable[[Results], pd.DataFrame]] = {"measures-external": all_verdicts}
