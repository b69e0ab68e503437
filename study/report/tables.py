"""Tables of a study: each a function from the gathered rows to a DataFrame, written three ways.

CSV is tidy, for machines: a number a column, Monte Carlo standard errors in columns ending in
_mcse. Markdown and LaTeX (booktabs) are for readers: the standard error in brackets behind its
number, both cut to its second digit.
"""

from __future__ import annotations

import hashlib
import html
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from models import METHODS
from models.methods import SAMPLERS
from models.mixture import Floats
from study.report import convergence_tables, label_tables, measures, remedy_tables, uniformity
from study.report import guide as guides
from study.report.exhibit import Exhibit
from study.report.measures import Measure
from study.report.performance import (
    LOSSES,
    intervals,
    losses,
    performance,
    performance_of,
    wide,
    with_one_r,
)
from study.report.verdicts import claims, verdicts, with_verdict
from study.rows import KEYS, Results, sorted_rows

# Below these, in seconds, what is left is the clock's own noise.
SMALLEST = {"compile": 1e-3}
TEXT_WIDTH = 17.0  # centimetres, between the margins of a page
STATUSES = ("ok", "not-converged", "singular", "failed")


ESTIMATES = [
    "bias",
    "empirical_se",
    "efficiency",
    "rmse",
    "model_se",
    "model_se_error",
    "coverage",
    "bias_eliminated_coverage",
    "interval_width",
    "relative_precision",
]


def estimates(results: Results) -> pd.DataFrame:
    """Performance of the named scenarios' estimates, a column a measure."""
    return with_one_r(_named(results, wide(performance(results), ESTIMATES)))


def grid(results: Results) -> pd.DataFrame:
    """Performance over the grid, a column a measure."""
    return with_one_r(_cells(results, wide(performance(results), ESTIMATES)))


def complete(results: Results) -> pd.DataFrame:
    """Where fits failed: bias, RMSE and coverage over the replicates on which none did, and
    coverage over all, with failures as misses."""
    long = performance(results)
    table = with_one_r(wide(long, ["bias", "rmse", "coverage"], "complete"))
    return table.merge(_all_cases(long), on=["scenario", "parameter", "component", "method"])


def _all_cases(long: pd.DataFrame) -> pd.DataFrame:
    """Coverage over all replicates, in columns all_coverage, all_coverage_mcse and all_R."""
    every = with_one_r(wide(long, ["coverage"], "all")).drop(columns="truth")
    return every.rename(columns=lambda c: f"all_{c}" if "coverage" in c or c == "R" else c)


def interval_kinds(results: Results) -> pd.DataFrame:
    """Coverage and width by kind of interval, named scenarios."""
    return _named(results, _by_kind(results))


def interval_kinds_grid(results: Results) -> pd.DataFrame:
    """Coverage and width by kind of interval, grid."""
    return _cells(results, _by_kind(results))


def _by_kind(results: Results) -> pd.DataFrame:
    long = intervals(results)
    table = with_one_r(wide(long, ["coverage", "bias_eliminated_coverage", "interval_width"]))
    keys = ["scenario", "quantity", "kind", "method"]
    return table.merge(_all_cases(long), on=keys, how="left")


def label_free_losses(results: Results) -> pd.DataFrame:
    """Mean distances of the estimate from the truth as a whole."""
    return with_one_r(wide(losses(results), list(LOSSES)))


def _named(results: Results, table: pd.DataFrame) -> pd.DataFrame:
    names = [s.name for s in results.design.scenarios]
    return table[table["scenario"].isin(names)].reset_index(drop=True)


def _cells(results: Results, table: pd.DataFrame) -> pd.DataFrame:
    names = [s.name for g in results.design.grids for s in g.scenarios()]
    return table[table["scenario"].isin(names)].reset_index(drop=True)


def guide(results: Results) -> pd.DataFrame:
    """Which optimiser to use in each cell of the grid, and what its and NUTS' intervals cover."""
    cells = [s.name for g in results.design.grids for s in g.scenarios()]
    wald = wide(performance_of(results, tuple(cells)), ["coverage"])
    kinds = wide(intervals(results), ["coverage"])
    profile = kinds[(kinds["kind"] == "profile") & kinds["scenario"].isin(cells)]
    profile = profile[profile["quantity"].str.match(r"(weight|mean|sd) \d")]
    names = profile["quantity"].str.split(" ", expand=True).reindex(columns=[0, 1])
    profile = profile.assign(parameter=names[0], component=names[1].astype(int))
    return guides.guide(results, wald, profile)


def failures(results: Results) -> pd.DataFrame:
    """How many fits ended in each status, by scenario and method, zeros included."""
    rows = []
    for (scenario, method), group in results.fits.groupby(["scenario", "method"], sort=False):
        status = group["status"].to_numpy()
        found = {name: measures.count((status == name).astype(float)) for name in STATUSES}
        found["not_ok"] = measures.proportion((status != "ok").astype(float))
        rows.append({"scenario": scenario, "method": method} | with_errors(found))
    columns = None if rows else ["scenario", "method", *STATUSES, "not_ok", "R"]
    return sorted_rows(results, pd.DataFrame(rows, columns=columns))


def optimisation(results: Results) -> pd.DataFrame:
    """Gap to the best log-likelihood, certificates, iterations and passes, optimisers only."""
    fits = with_verdict(results)
    optimisers = [name for name in METHODS if name not in SAMPLERS]
    fits = fits[fits["method"].isin(optimisers)]
    rows = []
    for (scenario, method), group in fits.groupby(["scenario", "method"], sort=False):
        regular = group[group["status"].isin(["ok", "not-converged"])]
        behind = regular["behind"].to_numpy(dtype=float)
        found = {
            "at_best": measures.proportion((behind < 1e-6).astype(float)),
            "mean_gap": measures.mean(behind),
            "gap_90": measures.quantile(behind, 0.9),
            "says_converged": measures.proportion(group["converged"].to_numpy(dtype=float)),
            "certified": measures.proportion(regular["certified"].to_numpy(dtype=float)),
            "iterations": measures.mean(regular["n_iter"].to_numpy(dtype=float)),
            "passes": measures.mean(
                (regular["moments"] + regular["second_moments"] + regular["gradients"]).to_numpy(
                    dtype=float
                )
            ),
        }
        rows.append({"scenario": scenario, "method": method} | with_errors(found))
    return sorted_rows(
        results, pd.DataFrame(rows, columns=None if rows else ["scenario", "method"])
    )


def timings(results: Results) -> pd.DataFrame:
    """Seconds by scenario and method: median and quartiles, compilation apart, ratio to the fastest
    method of the scenario (medians of paired ratios), bulk effective draws a second for NUTS."""
    timed = results.timings.merge(results.labels[[*KEYS, "ess_relabelled"]], on=KEYS, how="left")
    medians = timed.groupby(["scenario", "method"])["seconds"].median()
    fastest = medians.groupby("scenario").idxmin().map(lambda pair: pair[1])
    base = timed[timed["method"] == timed["scenario"].map(fastest)]
    base = base[["scenario", "replicate", "seconds"]].rename(columns={"seconds": "base"})
    timed = timed.merge(base, on=["scenario", "replicate"], how="left")
    timed["ratio"] = timed["seconds"] / timed["base"]
    timed["ess_per_second"] = timed["ess_relabelled"] / timed["seconds"]
    rows = []
    for (scenario, method), group in timed.groupby(["scenario", "method"], sort=False):
        seconds = group["seconds"].to_numpy(float)
        found = {
            "q25": measures.quantile(seconds, 0.25),
            "median": measures.median(seconds),
            "q75": measures.quantile(seconds, 0.75),
            "ratio": measures.median(group["ratio"].to_numpy(float)),
            "start": measures.median(group["start_seconds"].to_numpy(float)),
            "ess_per_second": measures.median(group["ess_per_second"].to_numpy(float)),
        }
        row = {"scenario": scenario, "method": method} | with_errors(found)
        rows.append(row | {"compile": group["compile_seconds"].max()})
    columns = None if rows else ["scenario", "method", "q25", "median", "q75", "ratio", "R"]
    return sorted_rows(results, pd.DataFrame(rows, columns=columns))


def with_errors(found: dict[str, Measure]) -> dict[str, float]:
    """R of the first measure, then each by its name, its Monte Carlo error in NAME_mcse."""
    row: dict[str, float] = {"R": next(iter(found.values())).r}
    for name, measure in found.items():
        row |= {name: measure.value, f"{name}_mcse": measure.mcse}
    return row


def calibration(results: Results) -> pd.DataFrame:
    """Are the ranks of the calibration uniform? By sampler and quantity, with the exact p-value.

    mean and spread: of the ranks, put between 0 and 1; spread is their root mean square distance
    from 1/2 as a share of the uniform's. difference: the ECDF's largest, sign kept. p_all: p
    adjusted for all rows by Holm's method. autocorrelation: of neighbouring draws.
    """
    rows: list[dict[str, object]] = []
    keys = ["method", "quantity"]
    for key, group in results.ranks.groupby(keys, sort=False):
        ranked = group.dropna(subset=["rank"])
        row: dict[str, object] = dict(zip(keys, key, strict=True))
        lost = measures.count(np.asarray(group["rank"].isna(), dtype=float))
        rows.append({**row, "R": len(ranked), "failed": lost.value, "failed_mcse": lost.mcse})
        if ranked.empty:
            continue
        ranks, of = ranked["rank"].to_numpy(int), int(ranked["of"].iloc[0])
        z, off = uniformity.difference(ranks, of)
        worst = int(np.argmax(np.abs(off)))
        between = (ranks + 0.5) / (of + 1)
        spread, uniform = measures.rmse(between, 0.5), np.sqrt((1 - (of + 1) ** -2) / 12)
        found = {
            "mean": measures.mean(between),
            "spread": Measure(spread.value / uniform, spread.mcse / uniform, spread.r),
            "difference": Measure(
                off[worst], np.sqrt(z[worst] * (1 - z[worst]) / ranks.size), ranks.size
            ),
            "autocorrelation": measures.mean(ranked["autocorrelation"].to_numpy()),
        }
        for name, measure in found.items():
            rows[-1] |= {name: measure.value, f"{name}_mcse": measure.mcse}
        rows[-1]["p"] = uniformity.p_value(ranks, of)
    table = pd.DataFrame(rows, columns=None if rows else [*keys, "R"])
    if "p" in table:
        table["p_all"] = uniformity.holm(table["p"].fillna(1.0).to_numpy())
        table["uniform"] = np.where(table["p_all"] > 0.05, "yes", "no")
    return sorted_rows(results, table)


def calibration_chains(results: Results) -> pd.DataFrame:
    """Did the calibration's chains converge? Shares of replicates, none left out, by sampler."""
    rows: list[dict[str, object]] = []
    fits = results.ranks.drop_duplicates(["replicate", "method"])
    for method, group in fits.groupby("method", sort=False):
        found = {
            "failed": measures.proportion(np.asarray(group["rank"].isna(), dtype=float)),
            "rhat_above_1.01": measures.proportion(_known(group["rhat"], group["rhat"] > 1.01)),
            "rhat_above_1.05": measures.proportion(_known(group["rhat"], group["rhat"] > 1.05)),
            "ess_below_draws": measures.proportion(
                _known(group["ess"], group["ess"] < group["of"])
            ),
            "ess": measures.mean(group["ess"].to_numpy(float)),
            "divergent": measures.proportion(
                _known(group["divergences"], group["divergences"].fillna(0) > 0)
            ),
        }
        rows.append({"method": method, "R": len(group)})
        for name, measure in found.items():
            rows[-1] |= {name: measure.value, f"{name}_mcse": measure.mcse}
    return sorted_rows(results, pd.DataFrame(rows, columns=None if rows else ["method", "R"]))


def _known(values: pd.Series, events: pd.Series) -> Floats:
    """(R,): 1 or 0, NaN where the value is missing."""
    return np.where(values.isna(), np.nan, events.astype(float))


def real_data(results: Results) -> pd.DataFrame:
    """Estimates with standard errors and intervals, log-likelihood and status, real data sets."""
    names = [unit.name for unit in results.design.data]
    fits = results.fits[[*KEYS, "loglik", "status", "certified"]]
    table = results.estimates.drop(columns="truth").merge(fits, on=KEYS)
    table = table[table["scenario"].isin(names)].drop(columns="replicate")
    return sorted_rows(results, table)


TABLES: tuple[Exhibit[Results, pd.DataFrame], ...] = (
    Exhibit("guide", "Which method, and what its intervals cover", "At a glance", guide),
    Exhibit("estimates", "Estimates against truth, named scenarios", "Estimates", estimates),
    Exhibit("grid", "Estimates against truth, grid", "Estimates", grid),
    Exhibit("losses", "Distance from the truth as a whole", "Estimates", label_free_losses),
    Exhibit("complete", "Where fits failed", "Estimates", complete),
    Exhibit("intervals", "Intervals by kind, named scenarios", "Uncertainty", interval_kinds),
    Exhibit("intervals-grid", "Intervals by kind, grid", "Uncertainty", interval_kinds_grid),
    Exhibit("real-data", "Real data", "Real data", real_data),
    Exhibit("verdicts", "Verdicts", "Optimisation", verdicts),
    Exhibit("claims", "Convergence claimed and not certified", "Optimisation", claims),
    Exhibit("stops", "Stopping rules", "Optimisation", convergence_tables.stops),
    Exhibit("rates", "EM's rate", "Optimisation", convergence_tables.rates),
    Exhibit("overtaking", "Where EM catches up", "Optimisation", convergence_tables.overtaking),
    Exhibit("profiles", "Performance profiles", "Optimisation", convergence_tables.profiles),
    Exhibit(
        "profiles-seconds",
        "Performance profiles in seconds",
        "Cost",
        convergence_tables.profiles_in_seconds,
        timed=True,
    ),
    Exhibit("starts", "Starts needed", "Optimisation", convergence_tables.starts),
    Exhibit("failures", "Fits by status", "Optimisation", failures),
    Exhibit("optimisation", "Gap, certificates, iterations", "Optimisation", optimisation),
    Exhibit("labels", "Label switching", "Label switching", label_tables.label_switching),
    Exhibit(
        "label-verdicts", "Verdicts on the chains", "Label switching", label_tables.label_verdicts
    ),
    Exhibit(
        "label-algorithms",
        "Agreement of relabellings",
        "Label switching",
        label_tables.label_algorithms,
    ),
    Exhibit("calibration", "Ranks of the calibration", "Calibration", calibration),
    Exhibit("calibration-chains", "Chains of the calibration", "Calibration", calibration_chains),
    Exhibit("remedies", "What remedies answer", "Label switching", remedy_tables.remedies),
    Exhibit("folding", "Ordering and relabelling", "Label switching", remedy_tables.folding),
    Exhibit("alignment", "Alignment of estimates", "Label switching", remedy_tables.alignment),
    Exhibit("warnings", "Do the warnings warn?", "Label switching", remedy_tables.warnings),
    Exhibit("remedy-costs", "What remedies cost", "Cost", remedy_tables.remedy_costs, timed=True),
    Exhibit("timings", "Seconds by method", "Cost", timings, timed=True),
)

# Everything of a kind in one long table, a number a row: CSV alone, for machines.
LONG: dict[str, Callable[[Results], pd.DataFrame]] = {
    "measures-estimates": performance,
    "measures-intervals": intervals,
    "measures-losses": losses,
}

_PAGE = """<!doctype html>
<meta charset="utf-8">
<meta name="source" content="{source}">
<style>
body {{ font: 14px/1.4 system-ui, sans-serif; margin: 1em; }}
table {{ border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid; }}
th {{ position: sticky; top: 0; background: #fff; border-bottom: 1px solid; }}
th, td {{ padding: 2px 10px; text-align: left; white-space: nowrap; }}
tr:nth-child(even) td {{ background: #f4f4f4; }}
</style>
<p>{caption}</p>
{table}
<p><small>{source}</small></p>
"""


def write(table: pd.DataFrame, caption: str, stem: Path, source: str = "") -> None:
    """stem.csv, stem.md, stem.tex and stem.html.

    source: of the numbers, such as a design and its digest; for readers' forms, for a comment in
    a CSV file is a row to most readers of it. `write_sums` ties those to it.
    """
    table.to_csv(stem.with_suffix(".csv"), index=False, lineterminator="\n")
    shown = for_readers(table)
    text = shown.to_markdown(index=False, disable_numparse=True)
    origin = f"<!-- {source} -->\n" if source else ""
    stem.with_suffix(".md").write_text(f"{origin}{caption}\n\n{text}\n", encoding="utf-8")
    stem.with_suffix(".tex").write_text(latex(table, caption, stem.name, source), encoding="utf-8")
    page = _PAGE.format(
        caption=html.escape(caption),
        table=shown.to_html(index=False, border=0),
        source=html.escape(source),
    )
    stem.with_suffix(".html").write_text(page, encoding="utf-8")


def write_sums(files: Iterable[Path], out: Path, source: str) -> None:
    """The SHA-256 sums of files beside `out`, under a comment with the source of their numbers.

    `sha256sum -c` in that folder checks them.
    """
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}" for file in files]
    out.write_text("\n".join([f"# {source}", *lines]) + "\n", encoding="utf-8")


def for_readers(table: pd.DataFrame) -> pd.DataFrame:
    """Text only: a number with its Monte Carlo standard error behind it, others to four digits.

    The columns' names have spaces for their underscores.
    """
    shown = pd.DataFrame(index=table.index)
    for name in table.columns:
        column = table[name]
        if str(name).endswith("_mcse"):
            continue
        if f"{name}_mcse" in table:
            pairs = zip(column, table[f"{name}_mcse"], strict=True)
            shown[name] = [with_error(value, error) for value, error in pairs]
        elif pd.api.types.is_float_dtype(column):
            shown[name] = [_number(str(name), value) for value in column]
        else:
            shown[name] = ["" if pd.isna(value) else str(value) for value in column]
    shown.columns = pd.Index([str(name).replace("_", " ") for name in shown.columns])
    return shown


def with_error(value: float, error: float) -> str:
    """Such as 0.1234 (0.0056): both to the second digit of the error."""
    if not np.isfinite(value):
        return "–"
    if not np.isfinite(error):
        return f"{value:.4g}"
    if error == 0:
        return f"{value:.4g} (0)"
    decimals = max(1 - int(np.floor(np.log10(error))), 0)
    return f"{value:.{decimals}f} ({error:.{decimals}f})"


def _number(name: str, value: float) -> str:
    if pd.isna(value):
        return "–"
    if name.endswith("loglik"):
        return f"{value:.3f}"
    return "0" if abs(value) < SMALLEST.get(name, 0.0) else f"{value:.4g}"


def latex(table: pd.DataFrame, caption: str, label: str, source: str = "") -> str:
    """The table for readers as a booktabs table, or a longtable where it is longer than a page.

    In small type where it would be wider than a page otherwise.
    """
    shown = for_readers(table).map(escaped)
    shown.columns = pd.Index([escaped(str(c)) for c in shown.columns])
    origin = f"% {source}\n" if source else ""
    text = shown.to_latex(
        index=False,
        caption=escaped(caption),
        label=f"tab:{label}",
        longtable=len(shown) > 40,
        position=None if len(shown) > 40 else "t",
        column_format="l" * max(len(shown.columns), 1),
    )
    if latex_width(table, small=False) <= TEXT_WIDTH:
        return origin + text
    small = "\\scriptsize\\setlength{\\tabcolsep}{3pt}\n"
    if len(shown) > 40:
        return f"{origin}{{{small}{text}}}\n"
    return origin + text.replace("\\begin{tabular}", f"{small}\\begin{{tabular}}")


def latex_width(table: pd.DataFrame, small: bool = True) -> float:
    """About how wide `latex` sets the table, in centimetres; in its small type unless it is not."""
    shown = for_readers(table)
    widest = [max([len(str(name)), *shown[name].map(len)]) for name in shown.columns]
    letter, between = (0.145, 0.21) if small else (0.19, 0.42)
    return sum(letter * letters + between for letters in widest)


_LATEX = {character: "\\" + character for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "–": "--",
    "−": "$-$",
    "×": r"$\times$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "²": "$^2$",
}


def escaped(text: str) -> str:
    """Text as LaTeX sets it."""
    return "".join(_LATEX.get(character, character) for character in text)
