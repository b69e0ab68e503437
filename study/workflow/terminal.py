"""Fits and traces as tables on the terminal: the commands `fit` and `replay`."""

from __future__ import annotations

import csv
import json
import math
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from models import METHODS, Fit, MixtureModel
from models import fit as fit_one
from models.criteria import CRITERIA, INFORMATION
from models.inference.functionals import crossing, delta_method
from models.mixture import Floats, Mixture
from models.priors import Prior
from models.sample import Data, as_data
from models.solution import Trace
from models.verdicts import GOOD
from study.compute import fits
from study.compute.intervals import kinds_of
from study.compute.intervals import rows as interval_rows
from study.design import RULES, Design
from study.rows import PARAMETERS, estimated
from study.simulate import data_set, read_column
from study.workflow import choice
from study.workflow.run import say

PRIORS: dict[str, Callable[[Data, int], Prior]] = RULES | {"asymmetric": Prior.asymmetric}
REFITS = 199  # of a bootstrap
MOST = 1_000_000  # observations that counts are written out to
USUAL = ",".join(INFORMATION)  # criteria


@dataclass(frozen=True)
class Sample:
    """What is fitted: values (n,), how often each was seen, and what it is called."""

    x: Floats
    counts: Floats | None
    name: str

    def written_out(self) -> Floats:
        """Each observation by itself; ValueError where counts are no whole numbers, or too many."""
        if self.counts is None:
            return self.x
        whole = self.counts.astype(np.int64)
        if (whole != self.counts).any() or whole.sum() > MOST:
            raise ValueError(
                f"--intervals: other kinds than wald need counts that are whole numbers, and at "
                f"most {MOST:,} observations in all"
            )
        return np.repeat(self.x, whole)


def fit(
    file: Annotated[Path, "CSV file with a header line"],
    *,
    column: Annotated[str, "its column that is fitted"],
    counts: Annotated[str, "its column that says how often each value was seen"] = "",
    delimiter: Annotated[str, "between its fields: a character, or tab"] = ",",
    decimal: Annotated[str, "its decimal mark, . or ,"] = ".",
    drop_missing: Annotated[bool, "leave missing values out, and say how many"] = False,
    k: Annotated[str, "number of components; several, as 1-6, to have one chosen"] = "2",
    equal_sds: Annotated[bool, "one common sd"] = False,
    means: Annotated[tuple[float, ...], "known means, one a component"] = (),
    sds: Annotated[tuple[float, ...], "known sds, one a component"] = (),
    methods: Annotated[str, "separated by commas"] = "em,lbfgs,newton,map,nuts",
    criteria: Annotated[str, "by which K is chosen"] = USUAL,
    starts: Annotated[int, "of each optimiser and of map, the best of which counts"] = 1,
    penalty: Annotated[str, "on small sds, for optimisers and map: chen, or a number"] = "",
    prior: Annotated[str, "of map and samplers, such as one-scale, asymmetric or flat"] = "",
    intervals: Annotated[str, "kinds, separated by commas, such as wald,profile; or all"] = "",
    level: Annotated[float, "of the intervals"] = 0.95,
    responsibilities: Annotated[str, "CSV file for those of the first method"] = "",
    json: Annotated[str, "file for all numbers, whole"] = "",
    plot: Annotated[str, "file for data and densities: .pdf, .svg or .png"] = "",
    seed: Annotated[int, "root of all random numbers"] = 0,
) -> None:
    """Fit a column of a CSV file and print what came out; of several K, the choice first."""
    names = [name.strip() for name in methods.split(",")]
    for name in names:
        if name not in METHODS:
            raise ValueError(f"--methods: unknown {name!r}; choose from {', '.join(METHODS)}")
    kinds = _kinds(intervals, names)
    if not 0.0 < level < 1.0:
        raise ValueError(f"--level: {level:g} is not between 0 and 1")
    if plot and Path(plot).suffix not in (".pdf", ".svg", ".png"):
        raise ValueError(f"--plot: {plot} is no .pdf, .svg or .png")
    for option, place in (("plot", plot), ("json", json), ("responsibilities", responsibilities)):
        if place and not Path(place).parent.is_dir():
            raise ValueError(f"--{option}: there is no folder {Path(place).parent}")
    ks, start = choice.several(k), None
    sample = _read(file, column, counts, delimiter, decimal, drop_missing)
    if ks is None:
        if criteria != USUAL:
            say("--criteria: of one K there is nothing to choose; none is computed")
        model = MixtureModel(_components(k), means or None, sds or None, equal_sds=equal_sds)
    elif means or sds or starts != 1:
        raise ValueError("-k: several leave no known means or sds, and no --starts; leave them out")
    else:
        for option, given in (("penalty", penalty), ("prior", prior)):
            if given:
                say(f"--{option}: is of the fit that is chosen; the choice is made without")
        model, start = _chosen(sample, ks, criteria, equal_sds, seed, plot)
    found = []
    for name in names:
        options = _options(name, sample, model, penalty, prior, starts)
        options |= {} if start is None else {"start": start}
        found.append(fit_one(name, sample.x, model, counts=sample.counts, rng=seed, **options))
    made = {one.method: list(_intervals(one, sample, kinds, level, seed)) for one in found if kinds}
    fits_table(found)
    cut_off(found)
    if kinds:
        intervals_table(made, level)
    if responsibilities:
        _write_responsibilities(Path(responsibilities), found[0], sample)
    if json:
        _write_json(Path(json), found, made, sample)
    if plot and ks is None:
        _plot(Path(plot), found, sample)


def _components(k: str) -> int:
    """The number of components that `-k` gives."""
    try:
        return int(k)
    except ValueError:
        raise ValueError(
            f"-k: {k!r} is not a whole number of at least 1; give 2, 1-6 or 1,2,4"
        ) from None


def _kinds(text: str, names: Sequence[str]) -> tuple[str, ...]:
    """The kinds of intervals that are asked for."""
    known = tuple(dict.fromkeys(kind for name in names for kind in kinds_of(name, REFITS)))
    asked = tuple(kind.strip() for kind in text.split(",") if kind.strip())
    if asked == ("all",):
        return known
    for kind in asked:
        if kind not in known:
            raise ValueError(f"--intervals: unknown {kind!r}; choose from {', '.join(known)}, all")
    return asked


def _read(
    file: Path, column: str, counts: str, delimiter: str, decimal: str, drop_missing: bool
) -> Sample:
    x, dropped = read_column(file, column, delimiter, decimal, drop_missing)
    if dropped:
        say(f"{file}: column {column!r}: {dropped} of {dropped + x.size} values missing, left out")
    if not counts:
        return Sample(x, None, column)
    seen, lost = read_column(file, counts, delimiter, decimal, drop_missing)
    if dropped or lost:
        raise ValueError(
            f"{file}: with --counts a missing value leaves another without its partner; drop its "
            "line from the file"
        )
    return Sample(x, seen, column)


def _options(
    name: str, sample: Sample, model: MixtureModel, penalty: str, prior: str, starts: int
) -> dict[str, Any]:
    """What a method is given besides its data, of what it takes."""
    found: dict[str, Any] = {}
    taken = METHODS[name].options
    if penalty and "penalty" in taken:
        try:
            found["penalty"] = penalty if penalty == "chen" else float(penalty)
        except ValueError:
            raise ValueError(f"--penalty: {penalty!r} is neither chen nor a number") from None
    if prior and "prior" in taken and "penalty" not in found:
        data = as_data(sample.x, sample.counts, model)
        if prior not in (*PRIORS, "flat"):
            raise ValueError(f"--prior: unknown {prior!r}; choose from {', '.join(PRIORS)}, flat")
        found["prior"] = Prior.flat() if prior == "flat" else PRIORS[prior](data, model.k)
    if starts != 1 and not METHODS[name].draws:
        found["starts"] = starts
    for option, given in (("penalty", penalty), ("prior", prior), ("starts", starts != 1)):
        if given and option not in found:
            say(f"{name}: takes no {option}, and is fitted without")
    return found


def _chosen(
    sample: Sample, ks: list[int], criteria: str, equal_sds: bool, seed: int, plot: str
) -> tuple[MixtureModel, Mixture | None]:
    """The model that is chosen of several K, and its maximum, with the table that shows why."""
    found = choice.chosen(sample.x, sample.counts, ks, criteria, equal_sds, seed)
    console = _console(100)
    _console(_WIDE).print(choice.table(found))
    for line in (choice.said(found), *choice.notes(found)):
        print(textwrap.fill(line, min(console.width, 100)))
    if plot:
        from study.report.one_choice import draw

        draw(found, sample.x, sample.counts, sample.name, choice.shown(found), Path(plot))
    one = found.chosen(choice.shown(found))
    console.print(f"\nThe fit that {CRITERIA[choice.shown(found)].label} chooses, K = {one.k}:\n")
    return one.fit.model, one.fit.mixture


def replay(
    design: Design,
    scenario: Annotated[str, "or real data set"],
    replicate: Annotated[int, "from 0 on"],
    method: str,
) -> None:
    """Repeat one fit of a study and print it with its trace."""
    if method not in METHODS:
        raise ValueError(f"method: unknown {method!r}; choose from {', '.join(METHODS)}")
    unit = design.scenario(scenario)
    if replicate < 0:
        raise ValueError(f"replicate: {replicate} is negative; the first is 0")
    x = data_set(design, unit, replicate)
    start = fits.start_of(design, unit, x, replicate).mixture
    trace = not METHODS[method].draws
    result = fits.fit_one(design, unit, x, start, replicate, method, trace=trace)
    if result.trace is not None:
        trace_table(result.trace)
    fits_table([result])


def fits_table(results: Sequence[Fit]) -> None:
    """Print the estimates with standard errors, and what each fit came to, as two tables."""
    table = _plain("method", "component", *PARAMETERS)
    for one in results:
        if one.mixture is None:
            table.add_row(one.method, *["–"] * 4)
            continue
        values, free = one.mixture.as_rows(), estimated(one.model)
        for j in range(one.model.k):
            cells = [
                estimate(values[r, j], one.se[r, j]) if free[r, j] else f"{values[r, j]:g} (known)"
                for r in range(3)
            ]
            table.add_row(one.method if j == 0 else "", str(j + 1), *cells)
    _print(table)
    table = _plain("method", "verdict", "log-lik.", "distance", "R-hat", "ESS", "seconds", "set-up")
    for one in results:
        table.add_row(
            *(one.method, one.verdict(), f"{one.loglik:.3f}", _distance(one)),
            *(f"{one.diagnostics[n]:.{d}f}" if n in one.diagnostics else "–" for n, d in _DRAWS),
            *(f"{one.seconds:.4f}", f"{one.compile_seconds:.1f}"),
        )
    _print(
        table,
        "Standard errors in brackets (posterior sds for NUTS). Log-likelihood in nats, at the "
        "estimate. distance: to the optimum of the method's own objective, in standard errors; "
        "certified at 1e-4. Seconds for the fit alone; set-up: imports and compilation, once.",
    )
    for one in results:
        if one.verdict() not in GOOD:
            print(f"{one.method}: {one.verdict()}: {one.message}")
        elif one.boundary is not None:
            print(f"{one.method}: weights of 0 are the maximum, on the boundary")


_DRAWS = (("rhat", 3), ("ess", 0))


def _distance(one: Fit) -> str:
    return f"{one.certificate.distance:.1e}" if one.certificate is not None else "–"


def estimate(value: float, se: float) -> str:
    """To the second digit of the standard error, which stands in brackets; five digits without."""
    if not math.isfinite(se) or se <= 0.0 or not math.isfinite(value):
        return f"{value:.5g}"
    decimals = min(max(1 - math.floor(math.log10(se)), 0), 15)
    return f"{value:.{decimals}f} ({se:.{decimals}f})"


def cut_off(results: Sequence[Fit]) -> None:
    """Print where two components are as probable, of fits of two."""
    for one in results:
        if one.mixture is None or one.model.k != 2:
            continue
        value, se = delta_method(crossing, one.mixture, np.asarray(one.covariance))
        if math.isnan(value):
            print(f"{one.method}: no cut-off: nowhere between the means are the two as probable")
            continue
        print(f"{one.method}: cut-off, where the two are as probable: {estimate(value, se)}")


def _intervals(
    one: Fit, sample: Sample, kinds: Sequence[str], level: float, seed: int
) -> Iterator[Mapping[str, Any]]:
    """Rows of kind, quantity, estimate, lower and upper, of those of the kinds that a fit has."""
    own = [kind for kind in kinds if kind in kinds_of(one.method, REFITS)]
    if not own or one.mixture is None:
        return
    simple = one.method if own == ["wald"] else ""
    if simple and (sample.counts is not None or one.boundary is not None):
        lower, upper = one.interval(level)
        for r, j in zip(*np.nonzero(estimated(one.model)), strict=True):
            name = f"{PARAMETERS[r]} {j + 1}"
            ends = {"estimate": one.mixture.as_rows()[r, j], "lower": lower[r, j]}
            yield {"kind": "wald", "quantity": name, "upper": upper[r, j]} | ends
        return
    refits = REFITS if set(own) & set(_REFITTED) else 0
    rows = interval_rows(
        one, sample.written_out(), np.arange(one.model.k), None, None,
        level=level, refits=refits, rng=np.random.default_rng(seed),
    )  # fmt: skip
    wanted = (*(f"{p} {j + 1}" for p in PARAMETERS for j in range(one.model.k)), "crossing")
    yield from (row for row in rows if row["kind"] in own and row["quantity"] in wanted)


_REFITTED = ("percentile", "basic", "studentised", "one-step")


def intervals_table(made: Mapping[str, Sequence[Mapping[str, Any]]], level: float) -> None:
    """Print intervals by quantity, kind and method."""
    table = _plain("quantity", "kind", "method", "lower", "upper")
    rows = [(row, method) for method, own in made.items() for row in own]
    order = list(dict.fromkeys(row["quantity"] for row, _ in rows))
    for row, method in sorted(rows, key=lambda pair: order.index(pair[0]["quantity"])):
        width = row["upper"] - row["lower"]
        ends = [estimate(row[end], width / 4.0).partition(" ")[0] for end in ("lower", "upper")]
        name = "cut-off" if row["quantity"] == "crossing" else row["quantity"]
        table.add_row(name, row["kind"], method, *ends)
    _print(table, f"Intervals at {level:.4g}.")


def _write_responsibilities(file: Path, one: Fit, sample: Sample) -> None:
    if one.mixture is None:
        raise ValueError(f"--responsibilities: {one.method} has no estimate: {one.message}")
    shares = one.mixture.responsibilities(sample.x)
    with file.open("w", encoding="utf-8", newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([sample.name, *(f"component {j + 1}" for j in range(one.model.k))])
        writer.writerows(
            [repr(float(x)), *(f"{p:.9g}" for p in row)]
            for x, row in zip(sample.x, shares, strict=True)
        )


def _write_json(
    file: Path,
    found: Sequence[Fit],
    made: Mapping[str, Sequence[Mapping[str, Any]]],
    sample: Sample,
) -> None:
    """All numbers of the fits; what is not finite is null."""
    content = {
        "column": sample.name,
        "n": float(sample.x.size if sample.counts is None else sample.counts.sum()),
        "fits": [_as_json(one) | {"intervals": made.get(one.method, [])} for one in found],
    }
    text = json.dumps(_finite(content), indent=1, allow_nan=False)
    file.write_text(text + "\n", encoding="utf-8")


def _as_json(one: Fit) -> dict[str, Any]:
    rows = None if one.mixture is None else one.mixture.as_rows()
    return {
        **{"method": one.method, "k": one.model.k, "verdict": one.verdict()},
        **{"status": one.status, "message": one.message, "loglik": one.loglik},
        "distance": None if one.certificate is None else one.certificate.distance,
        **{f"{p}s": None if rows is None else rows[i] for i, p in enumerate(PARAMETERS)},
        "se": {f"{p}s": np.asarray(one.se)[i] for i, p in enumerate(PARAMETERS)},
        **{"diagnostics": dict(one.diagnostics), "evaluations": dict(one.evaluations)},
        **{"seconds": one.seconds, "set_up_seconds": one.compile_seconds},
    }


def _finite(value: Any) -> Any:
    match value:
        case Mapping():
            return {str(key): _finite(one) for key, one in value.items()}
        case np.ndarray() | list() | tuple():
            return [_finite(one) for one in value]
        case bool() | np.bool_():
            return bool(value)
        case int() | np.integer():
            return int(value)
        case float() | np.floating():
            return float(value) if math.isfinite(value) else None
    return value


def _plot(file: Path, found: Sequence[Fit], sample: Sample) -> None:
    """A histogram, each method's density, and the components of the first."""
    from matplotlib.figure import Figure

    from study.report.style import LOOKS, SINGLE, legend_above

    figure = Figure(figsize=(SINGLE, 2.6), layout="constrained")
    axes = figure.subplots()
    weights = None if sample.counts is None else sample.counts
    bins = np.histogram_bin_edges(sample.x, "auto" if weights is None else 40)
    axes.hist(sample.x, list(bins), weights=weights, density=True, color="0.85")
    x = np.linspace(sample.x.min(), sample.x.max(), 400)
    for one in found:
        if one.density is not None:
            axes.plot(x, one.density.density(x), label=one.method, **LOOKS[one.method].stroke)
    axes.set_xlabel(sample.name)
    axes.set_ylabel("Density")
    legend_above(figure)
    figure.savefig(file, dpi=300)


def trace_table(trace: Trace, rows: int = 40) -> None:
    """Print a trace by iteration; a long one loses its middle."""
    m, _, k = trace.parameters.shape
    table = Table(box=None, header_style="bold", pad_edge=False)
    names = [f"{name}{j + 1}" for name in ("weight", "mean", "sd") for j in range(k)]
    for heading in ("iteration", "log-lik.", *names):
        table.add_column(heading, justify="right", no_wrap=True)
    shown = [*range(m)] if m <= rows else [*range(rows // 2), -1, *range(m - rows // 2, m)]
    for i in shown:
        if i < 0:
            table.add_row("…", *[""] * (1 + 3 * k))
            continue
        values = trace.parameters[i].ravel()
        table.add_row(str(i), f"{trace.loglik[i]:.9g}", *(f"{v:.7g}" for v in values))
    _console(_WIDE).print(table)


def _plain(*headings: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in headings:
        words = heading in ("method", "verdict", "quantity", "kind")
        table.add_column(heading, justify="left" if words else "right", no_wrap=True)
    return table


# Columns of what is piped, where nothing may be cut off.
_WIDE = 1000


def _print(table: Table, note: str = "") -> None:
    """As wide as the table is; a note as wide as the terminal, or 100 columns."""
    _console(_WIDE).print(table)
    if note:
        print(textwrap.fill(note, min(_console(100).width, 100)))
    print()


def _console(width: int) -> Console:
    """As wide as the terminal, or so wide; texts are shown as they are."""
    return Console(
        width=None if Console().is_terminal else width, highlight=False, markup=False, emoji=False
    )
