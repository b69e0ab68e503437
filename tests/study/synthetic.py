"""Rows made up for tests: one of any kind, and a whole study that every exhibit can show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models import METHODS, Mixture
from models.labels import NOT_EXCHANGEABLE
from models.methods import OPTIMISERS
from study.compute.follow import FROM_STARTS
from study.design import (
    Calibration,
    DataSet,
    Design,
    Grid,
    ModelSpec,
    Scenario,
    barred,
    followed,
    load,
    referred,
)
from study.rows import (
    CHAIN_WORDS,
    CROSSING,
    CUTOFF,
    INTERVAL_KINDS,
    KINDS,
    LEVELS,
    LOSSES,
    ONE_START,
    PARAMETERS,
    QUANTILES,
    REMEDIES,
    REMEDY_PARAMETERS,
    STARTS,
    STOPPING_RULES,
    TARGETS,
    Results,
    Rows,
    frame,
    of_frames,
)

type Known = dict[str, Any]

REPLICATES = 4
NAMED = Scenario(name="named", weights=[0.3, 0.7], means=[1, 9], sds=[2, 3], n=50)
KNOWN = Scenario(
    name="known",
    weights=[0.8, 0.2],
    means=[0, 2],
    sds=[1, 1],
    n=50,
    model=ModelSpec(means=[0, 2], sds=[1, 1]),
)
TAILS = Scenario(
    name="tails",
    family="t",
    df=3,
    weights=[0.2, 0.3, 0.5],
    means=[0, 4, 8],
    sds=[1, 1, 1],
    round_to=0.5,
    n=50,
    model=ModelSpec(k=2),
)
FAITHFUL = DataSet(
    name="faithful",
    file=Path(__file__).parents[2] / "study/data/faithful.csv",
    column="waiting",
    unit="minutes",
)
TRUTH = Mixture([0.3, 0.7], [1.0, 9.0], [2.0, 3.0])
_OF_DRAWS = ("equal-tailed", "highest-density")
_OF_MAXIMA = tuple(kind for kind in INTERVAL_KINDS if kind not in ("laplace", *_OF_DRAWS))
KINDS_OF = {"newton": _OF_MAXIMA, "map": ("laplace",), "nuts": _OF_DRAWS, "nuts-ordered": _OF_DRAWS}
_EMPTY = {"string": "", "float64": np.nan, "int64": 0, "Int64": 0, "bool": False, "boolean": True}
_USUAL: dict[str, Known] = {
    "fits": {
        **{"n": 100.0, "k": 2, "status": "ok", "certified": True, "believable": True},
        **{"loglik": -100.0, "distance": 1e-6, "gap": 1e-12, "sd_ratio": 0.5, "smallest": 40.0},
        "condition": 20.0,
        **{"n_iter": 9, "moments": 20, "second_moments": 1, "start_passes": 54},
        "place": "interior",
    },
    "estimates": {"parameter": "mean", "component": 1, "se": 1.0},
    "labels": {
        **dict.fromkeys(KINDS["labels"].columns, 0.9),
        **{
            "message": "",
            "verdict": "mixes",
            "convention": False,
            "switches": 0,
            "labellings": 2,
            "divergences": 0,
            "draws": 4000,
        },
    },
    "timings": {"n": 100.0, "compile_seconds": 0.0, "start_seconds": 0.1},
}


def row(
    kind: str, /, scenario: str = "birds", replicate: int = 0, method: str = "em", **known: Any
) -> Known:
    """A row of the kind: what is known of it, over what is usual."""
    columns = KINDS[kind].columns
    made = {name: _EMPTY[dtype] for name, dtype in columns.items()} | _USUAL.get(kind, {})
    made |= {"scenario": scenario, "replicate": replicate, "method": method} | known
    return {name: made[name] for name in columns}


def of(design: Design | str = "smoke", **rows: Iterable[Mapping[str, Any]]) -> Results:
    """Results of these rows, by kind; the others have none."""
    design = load(design) if isinstance(design, str) else design
    return of_frames(design, {kind: frame(kind, own) for kind, own in rows.items()})


def changed(results: Results, **kinds: pd.DataFrame) -> Results:
    """The same results but for these kinds of rows."""
    return of_frames(results.design, {k: getattr(results, k) for k in KINDS} | kinds)


def design(methods: Iterable[str] = METHODS, **parts: Any) -> Design:
    """A design of these methods, with what else it has."""
    counts = dict.fromkeys(methods, REPLICATES)
    return Design.model_validate(
        {"name": "d", "title": "", "seed": 1, "replicates": counts, **parts}
    )


def rich(**parts: Any) -> Design:
    """A design that every exhibit has something of."""
    cells = Grid(name="grid", separation=[2, 4], weight=[0.5, 0.1], sd_ratio=[1], n=[100])
    calibration = Calibration.model_validate(
        {
            **{"replicates": 20, "n": 20, "of": 9, "methods": ["nuts", "nuts-ordered"]},
            "prior": {"weights": 2, "means": (0, 2), "variances": (2, 1)},
        }
    )
    more: Known = {
        "closely": 2,
        "references": 1,
        "intervals": {"replicates": 3},
        "data": [FAITHFUL],
    }
    more |= {"grids": [cells], "scenarios": [NAMED, KNOWN], "calibration": calibration}
    more |= {"remedies": {"scenarios": ["named"], "replicates": 3}}
    chosen = dict.fromkeys(("aic", "bic", "icl", "cv", "laplace", "bridge"), 4)
    more |= {"choice": {"criteria": chosen, "ks": [1, 2, 3]}}
    compared = [{"name": "default", "rule": "default"}, {"name": "other", "rule": "brms"}]
    more |= {"priors": {"scenarios": ["named"], "replicates": 3, "compared": compared}}
    more |= {"starts": {"scenarios": ["named"], "replicates": 3}}
    return design(**more | parts)


def study(design: Design, draws: int = 20) -> Results:
    """Rows of every kind that the design asks for, few of each and quickly made.

    The optimisers agree but for rounding; EM fails on the last data set.
    """
    rng = np.random.default_rng(0)
    rows: Rows = {kind: [] for kind in KINDS}
    for unit in design.units():
        truth = TRUTH if isinstance(unit, DataSet) else _target(unit)
        for kind, own in _of_unit(design, unit, truth, draws, rng):
            rows[kind].append(own)
        if isinstance(unit, Scenario):
            rows["em_rates"].append({"scenario": unit.name, "rate": 0.9})
            rows["targets"] += _targets(unit, truth)
    if design.calibration is not None:
        rows["ranks"] = list(_ranks(design.calibration, rng))
    for name in design.starts.scenarios if design.starts else []:
        rows["beginnings"] += list(_beginnings(design, name, rng))
    for name in design.remedies.scenarios if design.remedies else []:
        for kind, own in _remedies(name, rng):
            rows[kind].append(own)
    for name in design.priors.scenarios if design.priors else []:
        for kind, own in _under_priors(design, name, rng):
            rows[kind].append(own)
    for unit in design.units():
        for kind, own in _choices(design, unit, rng):
            rows[kind].append(own)
    return of(design, **rows)


def _choices(
    design: Design, unit: Scenario | DataSet, rng: np.random.Generator
) -> Iterator[tuple[str, Known]]:
    """The last criterion cannot choose on the last data set; BIC comes with that of one start."""
    asked = design.choice_of(unit)
    for name, count in asked.items():
        for replicate in range(count):
            key: Known = {"scenario": unit.name, "replicate": replicate, "criterion": name}
            lost = name == list(asked)[-1] and replicate == count - 1
            ks = design.ks_of(unit)
            for k in ks:
                value = -100.0 + rng.standard_normal()
                yield "criteria", row("criteria", **key, k=k, value=value, error=0.1)
            yield "choice_timings", row("choice_timings", **key, seconds=0.1, passes=9)
            for chosen in [name, ONE_START] if name == "bic" else [name]:
                known: Known = key | {"criterion": chosen, "loss": rng.exponential(0.01)}
                known |= {"k": int(rng.choice(ks))} if not lost else {"k": None, "loss": np.nan}
                yield "choices", row("choices", **known)


def _target(unit: Scenario) -> Mixture:
    parts = unit.truth().components
    return parts.by_mean() if parts.k == unit.model.k else TRUTH


def _targets(unit: Scenario, target: Mixture) -> list[Known]:
    bound = np.nan if unit.family != "normal" or unit.round_to else 0.05
    return [
        {"scenario": unit.name, "parameter": parameter, "component": j + 1, "bound": bound}
        | {"target": target.as_rows()[i, j]}
        for i, parameter in enumerate(PARAMETERS)
        for j in range(target.k)
    ]


def _of_unit(
    design: Design, unit: Scenario | DataSet, truth: Mixture, draws: int, rng: np.random.Generator
) -> Iterator[tuple[str, Known]]:
    counts = design.replicates_of(unit)
    for replicate in range(1 if isinstance(unit, DataSet) else REPLICATES):
        shared = 0.05 * rng.standard_normal((3, truth.k))
        here: Known = {"scenario": unit.name, "replicate": replicate}
        if replicate < barred(design, unit):
            height, lost = rng.exponential(10.0), replicate == 3
            known: Known = {"message": "singular: at 3"} if lost else {}
            yield "barriers", row("barriers", **here, barrier=np.nan if lost else height, **known)
        if replicate < followed(design, unit):
            yield from _followed(here, counts, rng)
        if replicate < referred(design, unit):
            yield from _reference(here, truth)
        for method in counts:
            failed = replicate == 3 and method == "em"
            key: Known = here | {"method": method}
            yield (
                "fits",
                row(
                    "fits",
                    **key,
                    n=float(_size(unit)),
                    k=truth.k,
                    status="failed" if failed else "ok",
                    believable=not failed,
                    loglik=-100 - rng.exponential(1e-3),
                    moments=int(rng.integers(5, 50)),
                ),
            )
            if not failed:
                noise = 0.02 * rng.standard_normal((3, truth.k))
                noise *= METHODS[method].kind != "likelihood"
                values = truth.as_rows() + shared + noise
                yield from _fitted(design, unit, key, truth, values, rng)
                if METHODS[method].kind == "posterior" and truth.k > 1:
                    yield from _switching(design, unit, key, truth, draws, rng)


def _size(unit: Scenario | DataSet) -> int:
    return 272 if isinstance(unit, DataSet) else unit.n


def _fitted(
    design: Design,
    unit: Scenario | DataSet,
    key: Known,
    truth: Mixture,
    values: np.ndarray,
    rng: np.random.Generator,
) -> Iterator[tuple[str, Known]]:
    known = unit.model.build()
    true = np.full((3, truth.k), np.nan) if isinstance(unit, DataSet) else truth.as_rows()
    for i, parameter in enumerate(PARAMETERS):
        if (parameter == "mean" and known.means is not None) or (
            parameter == "sd" and known.sds is not None
        ):
            continue
        for j in range(truth.k):
            value = values[i, j]
            ends: Known = {"estimate": value, "lower": value - 0.1, "upper": value + 0.1, "se": 0.1}
            place: Known = {"parameter": parameter, "component": j + 1, "truth": true[i, j]}
            yield "estimates", row("estimates", **key, **place, **ends)
            asked = design.intervals_of(unit)
            if key["method"] in asked.methods and key["replicate"] < asked.replicates:
                quantity: Known = {"quantity": f"{parameter} {j + 1}", "truth": true[i, j]}
                for kind in KINDS_OF[key["method"]]:
                    yield "intervals", row("intervals", **key, **quantity, **ends, kind=kind)
    asked = design.intervals_of(unit)
    if truth.k == 2 and key["method"] in asked.methods and key["replicate"] < asked.replicates:
        for quantity in (CROSSING, CUTOFF):
            held: Known = {
                "truth": 4.0 if np.isfinite(true).all() else np.nan,
                "quantity": quantity,
            }
            for kind in sorted(
                set(KINDS_OF[key["method"]]) & {"wald", "percentile", "equal-tailed"}
            ):
                value = {"estimate": 4.01, "lower": 3.8, "upper": 4.2, "se": 0.1}
                yield "intervals", row("intervals", **key, **held, **value, kind=kind)
    seconds = _size(unit) ** 0.5 * rng.exponential(1e-3)
    yield "timings", row("timings", **key, n=float(_size(unit)), seconds=seconds)
    if not isinstance(unit, DataSet) and design.intervals_of(unit).replicates > key["replicate"]:
        lost: Known = dict.fromkeys(LOSSES, 0.1 * rng.exponential())
        yield "losses", row("losses", **key, **lost)


def _switching(
    design: Design,
    unit: Scenario | DataSet,
    key: Known,
    truth: Mixture,
    draws: int,
    rng: np.random.Generator,
) -> Iterator[tuple[str, Known]]:
    switches = unit.model.build().exchangeable
    word = str(rng.choice(CHAIN_WORDS)) if switches else NOT_EXCHANGEABLE
    yield "labels", row(
        "labels", **key, verdict=word, rhat_raw=1.5, rhat_relabelled=1.01, rhat_invariant=0.999,
        largest_share=0.5, switches=int(rng.integers(3)), labellings=int(rng.integers(1, 3)),
        draws=2 * draws,
    )  # fmt: skip
    labellings = [" ".join(p) for p in ("123"[: truth.k], "213"[: truth.k])] if switches else []
    for chain in range(2):
        for labelling in labellings:
            place: Known = {"chain": chain, "labelling": labelling, "share": 0.5}
            yield "occupancy", row("occupancy", **key, **place)
    if key["replicate"] >= design.keep_draws:
        return
    for chain, draw, j in np.ndindex(2, draws, truth.k):
        place = {
            "chain": chain,
            "draw": draw,
            "component": j + 1,
            "weight": 1 / truth.k,
            "sd": 1.0,
        }
        # Chains sit in two labellings.
        place |= {"relabelled": (truth.k - j if chain and switches else j + 1)}
        place["mean"] = truth.means[int(place["relabelled"]) - 1] + 0.1 * rng.standard_normal()
        yield "draws", row("draws", **key, **place)
    for x in np.linspace(0.0, 9.0, 5):
        for j in range(truth.k):
            shares: Known = {"as_sampled": 1 / truth.k, "relabelled": abs(j - x / 9.0)}
            yield "allocations", row("allocations", **key, x=x, component=j + 1, **shares)


def _followed(
    here: Known, methods: Iterable[str], rng: np.random.Generator
) -> Iterator[tuple[str, Known]]:
    for i, rule in enumerate(STOPPING_RULES):
        left: Known = {"gap": 10.0**-i, "distance": 10.0 ** (-i / 2)}
        yield "stops", row("stops", **here, rule=rule, iteration=5, stopped=True, **left)
    yield "rates", row("rates", **here, predicted=0.9, observed=0.9, certified=True, iterations=99)
    for method in FROM_STARTS:
        for start in range(5):
            end: Known = {"loglik": -100.0 - 5.0 * (rng.random() < 0.3), "believable": True}
            yield "optima", row("optima", **here, method=method, start=start, passes=20, **end)
    for method in methods:
        for target in TARGETS if METHODS[method].kind == "likelihood" else ():
            passes = rng.choice([5.0 - np.log10(target), np.inf], p=[0.9, 0.1])
            yield "reaches", row("reaches", **here, method=method, target=target, passes=passes)


def _reference(here: Known, truth: Mixture) -> Iterator[tuple[str, Known]]:
    for i, parameter in enumerate(PARAMETERS):
        for j in range(truth.k):
            mean, z = truth.as_rows()[i, j], np.interp(LEVELS, [0, 0.5, 1], [-3, 0, 3])
            quantiles = dict(zip(QUANTILES, mean + 0.1 * z, strict=True))
            numbers: Known = {"mean": mean, "sd": 0.1, "ess": 1e4, "rhat": 1.0}
            place: Known = {"parameter": parameter, "component": j + 1}
            yield "references", row("references", **here, **place, **numbers, **quantiles)


def _ranks(spec: Calibration, rng: np.random.Generator) -> Iterator[Known]:
    for i in range(spec.replicates):
        for method in spec.methods:
            truths = {"weight 1": 0.4, "mean 1": 0.0, "mean 2": 1.0 + 0.1 * i}
            for quantity, truth in (
                truths | {"sd 1": 1.0, "sd 2": 2.0, "log-likelihood": 0.0}
            ).items():
                rank = None if i == 0 else int(rng.integers(spec.of + 1))
                numbers: Known = {"truth": truth, "autocorrelation": 0.0, "rhat": 1.0, "ess": 99.0}
                key: Known = {"replicate": i, "method": method, "quantity": quantity}
                yield row("ranks", **key, rank=rank, of=spec.of, **numbers)


def _beginnings(design: Design, name: str, rng: np.random.Generator) -> Iterator[Known]:
    methods = [m for m in design.replicates_of(design.scenario(name)) if m in OPTIMISERS]
    for replicate in range(3):
        for start in STARTS:
            for method in methods:
                key: Known = {"scenario": name, "replicate": replicate, "method": method}
                loglik = -100.0 - 5.0 * (start != "shared" and rng.random() < 0.3)
                made = row("fits", **key, loglik=loglik, moments=int(rng.integers(5, 50)))
                yield made | {"start": start}


def _remedies(name: str, rng: np.random.Generator) -> Iterator[tuple[str, Known]]:
    for replicate in range(3):
        for remedy in REMEDIES:
            key: Known = {"scenario": name, "replicate": replicate, "remedy": remedy}
            yield "remedy_timings", row("remedy_timings", **key, seconds=rng.exponential())
            for parameter in REMEDY_PARAMETERS:
                value = 1.0 + 0.1 * rng.standard_normal()
                numbers: Known = {
                    "truth": 1.0,
                    "mean": value,
                    "sd": 1.0,
                    "ess": 100.0,
                    "ess_tail": 50.0,
                }
                numbers |= {"lower": value - 0.2, "upper": value + 0.2, "rhat": 1.0}
                yield "remedies", row("remedies", **key, parameter=parameter, **numbers)


def _under_priors(
    design: Design, name: str, rng: np.random.Generator
) -> Iterator[tuple[str, Known]]:
    assert design.priors is not None
    for replicate in range(3):
        for prior in design.priors.compared:
            key: Known = {"scenario": name, "replicate": replicate, "prior": prior.name}
            lost: Known = dict.fromkeys(LOSSES, 0.1 * rng.exponential())
            yield "prior_fits", row("prior_fits", **key, status="ok", **lost)
            for parameter in ("weight 1", "mean 1", "mean 2", "sd 1", "sd 2"):
                value = 1.0 + 0.1 * rng.standard_normal()
                numbers: Known = {"truth": 1.0, "mean": value, "sd": 0.1}
                numbers |= {"lower": value - 0.2, "upper": value + 0.2}
                yield "priors", row("priors", **key, parameter=parameter, **numbers)
