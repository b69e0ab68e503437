"""One chunk: data sets of a scenario times the methods of one engine, to rows.

Rows come in kinds, each a table: fits (one row a fit), estimates (one a parameter of a fit),
intervals (one a quantity and kind of interval) and losses of some replicates, labels (one a NUTS
fit), occupancy (one a chain of it and labelling), draws (one a component of a kept draw), barriers
(one a data set that NUTS fits), and timings, which alone may differ between two runs. A fit that
goes wrong is a row with its status.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models import METHODS, Fit, Mixture, fit
from models.losses import Losses, losses
from models.methods import warm_up
from models.mixture import Floats
from models.sample import as_data
from models.starts import Start, shared_start
from models.verdicts import believable, sd_ratio
from study.compute.intervals import PARAMETERS
from study.compute.intervals import rows as interval_rows
from study.design import Chunk, DataSet, Design, Scenario
from study.simulate import data_set, generator

# What `labels.judge` may say of a fit whose components nothing known tells apart.
EXCHANGEABLE_WORDS = ("mixes", "labels only", "modes overlap", "does not mix")

# Relabellings whose agreement with Stephens' a NUTS fit is asked for.
AGREEMENTS = (
    *("ecr", "ecr_iterative_1", "pra", "data_based"),
    *("order_by_weights", "order_by_means", "order_by_sds"),
)

# The columns of each kind of row, in order, so that a table's bytes do not depend on how the work
# was cut into chunks.
_DATA = {"scenario": "string", "replicate": "int64"}
_KEY = _DATA | {"method": "string"}
SCHEMA: dict[str, dict[str, str]] = {
    "fits": _KEY
    | {"n": "float64", "k": "int64", "status": "string", "message": "string"}
    | {"converged": "boolean", "loglik": "float64", "certified": "boolean"}
    | dict.fromkeys(("distance", "gap", "sd_ratio", "smallest"), "float64")
    | {"believable": "bool"}
    | dict.fromkeys(("n_iter", "moments", "second_moments", "gradients"), "int64")
    | dict.fromkeys(("start_passes", "nodes", "exact_passes"), "int64"),
    "estimates": _KEY
    | {"parameter": "string", "component": "int64"}
    | dict.fromkeys(("truth", "estimate", "se", "lower", "upper"), "float64"),
    "intervals": _KEY
    | {"kind": "string", "quantity": "string"}
    | dict.fromkeys(("truth", "estimate", "se", "lower", "upper"), "float64"),
    "losses": _KEY | dict.fromkeys(Losses._fields, "float64"),
    "labels": _KEY
    | {"verdict": "string"}
    | {
        f"{number}_{which}": "float64"
        for number in ("rhat", "ess", "ess_tail")
        for which in ("raw", "relabelled", "invariant")
    }
    | dict.fromkeys(("nested_rhat", "near_ties", "chain_distance", "imbalance"), "float64")
    | dict.fromkeys(("largest_share", "bfmi", "at_max_depth"), "float64")
    | {f"agreement_{name}": "float64" for name in AGREEMENTS}
    | dict.fromkeys(("switches", "labellings", "divergences", "draws"), "int64"),
    "occupancy": _KEY | {"chain": "int64", "labelling": "string", "share": "float64"},
    "barriers": _DATA | {"barrier": "float64"},
    "draws": _KEY
    | dict.fromkeys(("chain", "draw", "component"), "int64")
    | dict.fromkeys(PARAMETERS, "float64"),
    "timings": _KEY
    | dict.fromkeys(("n", "seconds", "compile_seconds", "start_seconds", "ended"), "float64"),
}


@dataclass(frozen=True)
class Rows:
    """Rows by kind, each a list of dicts; `draws` holds the kept posterior draws in long form."""

    fits: list[dict[str, Any]] = field(default_factory=list)
    estimates: list[dict[str, Any]] = field(default_factory=list)
    intervals: list[dict[str, Any]] = field(default_factory=list)
    losses: list[dict[str, Any]] = field(default_factory=list)
    timings: list[dict[str, Any]] = field(default_factory=list)
    labels: list[dict[str, Any]] = field(default_factory=list)
    occupancy: list[dict[str, Any]] = field(default_factory=list)
    barriers: list[dict[str, Any]] = field(default_factory=list)
    draws: list[pd.DataFrame] = field(default_factory=list)


def frames(rows: Rows) -> dict[str, pd.DataFrame]:
    """The rows as a table a kind, with the columns of SCHEMA."""
    found = {kind: pd.DataFrame(getattr(rows, kind)) for kind in SCHEMA if kind != "draws"}
    found["draws"] = pd.concat(rows.draws) if rows.draws else pd.DataFrame()
    return {
        kind: found[kind].reindex(columns=list(columns)).astype(columns)
        for kind, columns in SCHEMA.items()
    }


def gather(design: Design, kind: str, files: Sequence[Path]) -> pd.DataFrame:
    """The rows of one kind from all chunks, by scenario, replicate and method in their order."""
    by = [name for name in _KEY if name in SCHEMA[kind]]
    table = pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)
    place = {name: i for i, name in enumerate([*design.unit_names(), *METHODS])}
    order = table.sort_values(
        by,
        key=lambda c: c if c.name == "replicate" else c.map(place),
        kind="stable",
    )
    return order.reset_index(drop=True)


def start_of(design: Design, unit: Scenario | DataSet, x: Floats, replicate: int) -> Start:
    """The start that all methods of a data set share."""
    model = unit.model.build()
    rng = generator(design.seed, unit.name, replicate, "start")
    return shared_start(as_data(x, None, model), model, rng)


def fit_one(
    design: Design,
    unit: Scenario | DataSet,
    x: Floats,
    start: Mixture,
    replicate: int,
    method: str,
    **options: Any,
) -> Fit:
    """One fit of the study, the same wherever and whenever it is made."""
    return fit(
        method,
        x,
        unit.model.build(),
        start=start,
        rng=generator(design.seed, unit.name, replicate, method),
        **{**design.options.get(method, {}), **options},
    )


def fit_chunk(design: Design, chunk: Chunk, say: Callable[[str], None] = lambda line: None) -> Rows:
    """All rows of a chunk; `say` gets a line of progress now and then and one for each failure."""
    unit = design.scenario(chunk.scenario)
    counts = {
        method: count
        for method, count in design.replicates_of(unit).items()
        if METHODS[method].engine == chunk.engine
    }
    target, density_target = None, None
    if isinstance(unit, Scenario):
        target, density_target = unit.target(), unit.density_target()
    wanted = design.intervals_of(unit)
    rows = Rows()
    warm_up()  # so that no start is timed with what it compiles
    begin = said = time.perf_counter()
    for replicate in range(chunk.first, chunk.last):
        x = data_set(design, unit, replicate)
        started = time.perf_counter()
        start = start_of(design, unit, x, replicate)
        start_seconds = time.perf_counter() - started
        methods = [method for method, count in counts.items() if replicate < count]
        # Interleaved in an order of the replicate's own, so that drifts of the machine's speed
        # fall on all methods alike.
        generator(design.seed, unit.name, replicate, "order").shuffle(methods)
        for method in methods:
            key = {"scenario": unit.name, "replicate": replicate, "method": method}
            try:
                result = fit_one(design, unit, x, start.mixture, replicate, method)
            except Exception as error:  # a row, whatever happened; the log has the whole story
                say(f"{unit.name} replicate {replicate} {method}: failed\n{traceback.format_exc()}")
                rows.fits.append({**key, **_failed(error, x.size, start)})
                continue
            if result.status != "ok":
                say(
                    f"{unit.name} replicate {replicate} {method}: {result.status}: {result.message}"
                )
            rows.fits.append({**key, **_fit_row(result, start)})
            found = _estimates(result, target, design.level)
            rows.estimates.extend({**key, **row} for row in found)
            rows.timings.append({**key, **_timing(result, start_seconds)})
            if method in wanted.methods and replicate < wanted.replicates and result.mixture:
                order = components(result.mixture, target)
                rng = generator(design.seed, unit.name, replicate, method, "intervals")
                found = interval_rows(
                    result, x, order, target, density_target,
                    level=design.level, refits=wanted.refits, rng=rng,
                )  # fmt: skip
                rows.intervals.extend({**key, **row} for row in found)
                if density_target is not None:
                    lost = losses(density_target, result.mixture)
                    rows.losses.append({**key, **lost._asdict()})
            if result.draws is not None:
                from models.labels import diagnose

                diagnosis = diagnose(result, x)
                rows.labels.append({**key, **diagnosis.row})
                rows.occupancy.extend({**key, **row} for row in diagnosis.occupancy)
                if replicate < design.keep_draws:
                    rows.draws.append(_draws(key, result))
        if "nuts" in methods and unit.model.k == 2 and unit.model.build().exchangeable:
            rows.barriers.append(_barrier(unit, replicate, x))
        now = time.perf_counter()
        if now - said > 10 or replicate == chunk.last - 1:
            done = replicate + 1 - chunk.first
            say(
                f"{unit.name} {chunk.engine}: {done} of {chunk.last - chunk.first} data sets, "
                f"{now - begin:.1f} s"
            )
            said = now
    return rows


def _barrier(unit: Scenario | DataSet, replicate: int, x: Floats) -> dict[str, Any]:
    """The barrier between the labellings, from the best of three ends of Newton's method."""
    from models.labels import barrier

    model = unit.model.build()
    best = fit("newton", x, model, starts=3)
    height = np.nan
    if best.status == "ok" and best.mixture is not None:
        height = barrier(as_data(x, None, model), model, best.mixture)
    return {"scenario": unit.name, "replicate": replicate, "barrier": height}


def _fit_row(result: Fit, start: Start) -> dict[str, Any]:
    certificate, mixture = result.certificate, result.mixture
    return {
        "n": result.n,
        "k": result.model.k,
        "status": result.status,
        "message": result.message,
        "converged": result.converged,
        "loglik": result.loglik,
        "certified": None if certificate is None else certificate.certified,
        "distance": None if certificate is None else certificate.distance,
        "gap": None if certificate is None else certificate.gap,
        "sd_ratio": np.nan if mixture is None else sd_ratio(mixture, result.model),
        "smallest": np.nan if mixture is None else result.n * mixture.weights.min(),
        "believable": mixture is not None and believable(mixture, result.model, result.n),
        "n_iter": result.n_iter,
        "moments": result.evaluations.get("moments", 0),
        "second_moments": result.evaluations.get("second_moments", 0),
        "gradients": result.evaluations.get("gradients", 0),
        "start_passes": start.passes,
        "nodes": result.evaluations.get("nodes", 0),
        "exact_passes": result.evaluations.get("exact_passes", 0),
    }


def _failed(error: Exception, n: int, start: Start) -> dict[str, Any]:
    return {
        "n": float(n),
        "k": start.mixture.k,
        "status": "failed",
        "message": f"{type(error).__name__}: {error}",
        "converged": False,
        "loglik": np.nan,
        "certified": False,
        "distance": np.nan,
        "gap": np.nan,
        "sd_ratio": np.nan,
        "smallest": np.nan,
        "believable": False,
        "n_iter": 0,
        "moments": 0,
        "second_moments": 0,
        "gradients": 0,
        "start_passes": start.passes,
        "nodes": 0,
        "exact_passes": 0,
    }


def _estimates(result: Fit, target: Mixture | None, level: float) -> Iterator[dict[str, Any]]:
    if result.mixture is None:
        return
    values, (lower, upper), se = result.mixture.as_rows(), result.interval(level), result.se
    truth = np.full_like(values, np.nan) if target is None else target.as_rows()
    order = components(result.mixture, target)
    for row, parameter in enumerate(PARAMETERS):
        for j, own in enumerate(order):
            if se[row, own] == 0:  # known, not estimated
                continue
            yield {
                "parameter": parameter,
                "component": j + 1,
                "truth": truth[row, j],
                "estimate": values[row, own],
                "se": se[row, own],
                "lower": lower[row, own],
                "upper": upper[row, own],
            }


def components(estimate: Mixture, target: Mixture | None) -> NDArray[np.intp]:
    """(K,): `matching`, or the components as they are where there is no target."""
    return np.arange(estimate.k) if target is None else matching(estimate, target)


def matching(estimate: Mixture, target: Mixture) -> NDArray[np.intp]:
    """(K,): which component of the estimate stands for each of the target's.

    They match in the order of their means; among components whose target means are equal, and
    which means therefore cannot tell apart, in the order of their sds. Both mixtures have their
    components in the order of their means, ties by sd.
    """
    group = np.unique(target.means, return_inverse=True)[1]
    return np.lexsort((estimate.sds, group))


def _timing(result: Fit, start_seconds: float) -> dict[str, Any]:
    return {
        "n": result.n,
        "seconds": result.seconds,
        "compile_seconds": result.compile_seconds,
        "start_seconds": start_seconds,
        "ended": time.time(),
    }


def _draws(key: dict[str, Any], result: Fit) -> pd.DataFrame:
    posterior = result.draws["posterior"]
    raw = np.stack([posterior[name].values for name in ("weights", "means", "sds")], axis=-1)
    chains, draws, k, _ = raw.shape
    chain, draw, component = np.indices((chains, draws, k)).reshape(3, -1)
    columns = {"chain": chain, "draw": draw, "component": component + 1}
    values = dict(zip(PARAMETERS, raw.reshape(-1, 3).T, strict=True))
    return pd.DataFrame({**key, **columns, **values})
