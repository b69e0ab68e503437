"""Tables of a study: each a function from the gathered rows to a DataFrame, written three ways.

CSV is tidy, for machines: a number a column, Monte Carlo standard errors in columns ending in
_mcse. Markdown and LaTeX (booktabs) are for readers: the standard error in brackets behind its
number, both cut to its second digit.
"""

from __future__ import annotations

import html
from pathlib import Path

import numpy as np
import pandas as pd

from models import METHODS
from study import convergence_tables, label_tables, measures
from study.exhibit import Exhibit
from study.measures import Measure
from study.results import Results, sorted_rows, usable
from study.verdicts import claims, verdicts, with_verdict

# Below these, in seconds, what is left is the clock's own noise.
SMALLEST = {"compile": 1e-3}
STATUSES = ("ok", "not-converged", "singular", "failed")


def performance(results: Results) -> pd.DataFrame:
    """Bias, empirical SE, RMSE, model SE and coverage by scenario, parameter and method."""
    rows = []
    keys = ["scenario", "parameter", "component", "method"]
    simulated = usable(results).dropna(subset=["truth"])
    # The last weight is one minus the others.
    last = simulated.groupby("scenario")["component"].transform("max")
    simulated = simulated[(simulated["parameter"] != "weight") | (simulated["component"] < last)]
    for key, group in simulated.groupby(keys, sort=False):
        estimate, truth = group["estimate"].to_numpy(), group["truth"].to_numpy()
        found: dict[str, Measure] = {
            "bias": measures.bias(estimate, truth),
            "empirical_se": measures.empirical_se(estimate),
            "rmse": measures.rmse(estimate, truth),
            "model_se": measures.model_se(group["se"].to_numpy()),
            "coverage": measures.coverage(
                group["lower"].to_numpy(), group["upper"].to_numpy(), truth
            ),
        }
        row: dict[str, object] = dict(zip(keys, key, strict=True))
        row["truth"] = truth[0]
        row["R"] = found["bias"].r
        for name, measure in found.items():
            row[name], row[f"{name}_mcse"] = measure.value, measure.mcse
        row["R_coverage"] = found["coverage"].r
        rows.append(row)
    columns = [*keys, "truth", "R"]
    return sorted_rows(results, pd.DataFrame(rows, columns=None if rows else columns))


def estimates(results: Results) -> pd.DataFrame:
    """`performance` of the named scenarios."""
    named = [s.name for s in results.design.scenarios]
    table = performance(results)
    return table[table["scenario"].isin(named)].reset_index(drop=True)


def grid(results: Results) -> pd.DataFrame:
    """`performance` of the grid's cells."""
    cells = [s.name for g in results.design.grids for s in g.scenarios()]
    table = performance(results)
    return table[table["scenario"].isin(cells)].reset_index(drop=True)


def failures(results: Results) -> pd.DataFrame:
    """How many fits ended in each status, by scenario and method, zeros included."""
    counts = (
        results.fits.groupby(["scenario", "method"])["status"]
        .value_counts()
        .unstack(fill_value=0)
        .reindex(columns=list(STATUSES), fill_value=0)
    )
    counts["R"] = counts.sum(axis=1)
    share = counts["R"] - counts["ok"]
    counts["not_ok"] = share / counts["R"]
    counts["not_ok_mcse"] = np.sqrt(counts["not_ok"] * (1 - counts["not_ok"]) / counts["R"])
    return sorted_rows(results, counts.reset_index())


def optimisation(results: Results) -> pd.DataFrame:
    """Gap to the best log-likelihood, certificates, iterations and passes, optimisers only."""
    fits = with_verdict(results)
    optimisers = [name for name, method in METHODS.items() if method.kind != "posterior"]
    fits = fits[fits["method"].isin(optimisers)]
    rows = []
    for (scenario, method), group in fits.groupby(["scenario", "method"], sort=False):
        regular = group[group["status"].isin(["ok", "not-converged"])]
        behind = regular["behind"].to_numpy(dtype=float)
        found = {
            "at_best": measures.proportion((behind < 1e-6).astype(float)),
            "mean_gap": measures.mean(behind),
            "says_converged": measures.proportion(group["converged"].to_numpy(dtype=float)),
            "certified": measures.proportion(regular["certified"].to_numpy(dtype=float)),
            "iterations": measures.mean(regular["n_iter"].to_numpy(dtype=float)),
            "passes": measures.mean(
                (regular["moments"] + regular["second_moments"] + regular["gradients"]).to_numpy(
                    dtype=float
                )
            ),
        }
        row: dict[str, object] = {"scenario": scenario, "method": method, "R": len(regular)}
        row["max_gap"] = behind.max() if behind.size else np.nan
        for name, measure in found.items():
            row[name], row[f"{name}_mcse"] = measure.value, measure.mcse
        rows.append(row)
    return sorted_rows(
        results, pd.DataFrame(rows, columns=None if rows else ["scenario", "method"])
    )


def timings(results: Results) -> pd.DataFrame:
    """Seconds by scenario and method: median and quartiles, compilation apart, ratio to the fastest
    method of the scenario (medians of paired ratios), bulk effective draws a second for NUTS."""
    keys = ["scenario", "replicate", "method"]
    timed = results.timings.merge(results.labels[[*keys, "ess_relabelled"]], on=keys, how="left")
    medians = timed.groupby(["scenario", "method"])["seconds"].median()
    fastest = medians.groupby("scenario").idxmin().map(lambda pair: pair[1])
    base = timed[timed["method"] == timed["scenario"].map(fastest)]
    base = base[["scenario", "replicate", "seconds"]].rename(columns={"seconds": "base"})
    timed = timed.merge(base, on=["scenario", "replicate"], how="left")
    timed["ratio"] = timed["seconds"] / timed["base"]
    timed["ess_per_second"] = timed["ess_relabelled"] / timed["seconds"]
    groups = timed.groupby(["scenario", "method"])
    table = groups["seconds"].describe()[["count", "25%", "50%", "75%"]]
    table.columns = pd.Index(["R", "q25", "median", "q75"])
    table["R"] = table["R"].astype(int)
    table["ratio"] = groups["ratio"].median()
    table["compile"] = groups["compile_seconds"].max()
    table["start"] = groups["start_seconds"].median()
    table["ess_per_second"] = groups["ess_per_second"].median()
    return sorted_rows(results, table.reset_index())


def real_data(results: Results) -> pd.DataFrame:
    """Estimates with standard errors and intervals, log-likelihood and status, real data sets."""
    names = [unit.name for unit in results.design.data]
    keys = ["scenario", "replicate", "method"]
    fits = results.fits[[*keys, "loglik", "status", "certified"]]
    table = results.estimates.drop(columns="truth").merge(fits, on=keys)
    table = table[table["scenario"].isin(names)].drop(columns="replicate")
    return sorted_rows(results, table)


TABLES: tuple[Exhibit[Results, pd.DataFrame], ...] = (
    Exhibit("estimates", "Estimates against truth, named scenarios", "Estimates", estimates),
    Exhibit("grid", "Estimates against truth, grid", "Estimates", grid),
    Exhibit("real-data", "Real data", "Real data", real_data),
    Exhibit("verdicts", "Verdicts", "Optimisation", verdicts),
    Exhibit("claims", "Convergence claimed and not certified", "Optimisation", claims),
    Exhibit("stops", "Stopping rules", "Optimisation", convergence_tables.stops),
    Exhibit("rates", "EM's rate", "Optimisation", convergence_tables.rates),
    Exhibit("overtaking", "Where EM catches up", "Optimisation", convergence_tables.overtaking),
    Exhibit("profiles", "Performance profiles", "Optimisation", convergence_tables.profiles),
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
    Exhibit("timings", "Seconds by method", "Cost", timings),
)


_PAGE = """<!doctype html>
<meta charset="utf-8">
<style>
body {{ font: 14px/1.4 system-ui, sans-serif; margin: 1em; }}
table {{ border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid; }}
th {{ position: sticky; top: 0; background: #fff; border-bottom: 1px solid; }}
th, td {{ padding: 2px 10px; text-align: left; white-space: nowrap; }}
tr:nth-child(even) td {{ background: #f4f4f4; }}
</style>
<p>{caption}</p>
{table}
"""


def write(table: pd.DataFrame, caption: str, stem: Path) -> None:
    """stem.csv, stem.md, stem.tex and stem.html."""
    table.to_csv(stem.with_suffix(".csv"), index=False, lineterminator="\n")
    shown = _for_readers(table)
    shown.columns = pd.Index([str(name).replace("_", " ") for name in shown.columns])
    text = shown.to_markdown(index=False, disable_numparse=True)
    stem.with_suffix(".md").write_text(f"{caption}\n\n{text}\n", encoding="utf-8")
    stem.with_suffix(".tex").write_text(_latex(shown, caption, stem.name), encoding="utf-8")
    page = _PAGE.format(caption=html.escape(caption), table=shown.to_html(index=False, border=0))
    stem.with_suffix(".html").write_text(page, encoding="utf-8")


def _for_readers(table: pd.DataFrame) -> pd.DataFrame:
    """Text only: a number with its Monte Carlo standard error behind it, others to four digits."""
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
            shown[name] = ["" if value is None else str(value) for value in column]
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


def _latex(shown: pd.DataFrame, caption: str, label: str) -> str:
    escaped = shown.map(_escape)
    escaped.columns = pd.Index([_escape(str(c)) for c in shown.columns])
    return escaped.to_latex(
        index=False,
        caption=_escape(caption),
        label=f"tab:{label}",
        longtable=len(shown) > 40,
        position=None if len(shown) > 40 else "t",
        column_format="l" * len(shown.columns),
    )


def _escape(text: str) -> str:
    for character in "&%$#_{}":
        text = text.replace(character, "\\" + character)
    return text.replace("–", "--")
