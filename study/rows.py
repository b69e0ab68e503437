"""What a study is made of: every kind of row, its columns and its words, said once.

Computing makes rows, by kind; a job leaves a file of each kind (`frames`), `gather` puts the files
of all jobs together, and `Results` reads back what is asked for. Presenting sees nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from models import METHODS, Mixture, MixtureModel
from models.criteria import CRITERIA
from models.inference.chains import MAX_RHAT, MIN_ESS
from models.losses import Losses
from models.mixture import Floats
from study.design import Design

type Rows = dict[str, list[dict[str, Any]]]

# Words -----------------------------------------------------------------------------------------

PARAMETERS = ("weight", "mean", "sd")
STATUSES = ("ok", "not-converged", "singular", "failed")
USABLE = ("ok", "not-converged")
LOSSES = Losses._fields

# Kinds of intervals, in the order of tables and figures, and what readers see.
INTERVAL_KINDS = {
    "wald": "Wald, unconstrained scale",
    "wald-natural": "Wald, natural scale",
    "sandwich": "sandwich",
    "profile": "profile likelihood",
    "percentile": "bootstrap, percentile",
    "basic": "bootstrap, basic",
    "studentised": "bootstrap, studentised",
    "one-step": "one-step bootstrap",
    "laplace": "Laplace",
    "equal-tailed": "posterior, equal-tailed",
    "highest-density": "posterior, highest density",
}

# Cut-offs between two components: where they are as probable, and above which the lower one has
# only this share of its own.
FALSE_POSITIVES = 0.05
CROSSING, CUTOFF = "crossing", f"cut-off at {FALSE_POSITIVES:.0%} false positives"

# What `labels.judge` may say of a fit whose components nothing known tells apart.
CHAIN_WORDS = ("mixes", "labels only", "modes overlap", "does not mix")

# Relabellings whose agreement with Stephens' is asked of a NUTS fit.
AGREEMENTS = (
    *("ecr", "ecr_iterative_1", "pra", "data_based"),
    *("order_by_weights", "order_by_means", "order_by_sds"),
)

# Rules that end EM, as packages have them by default, and as theory would.
STOPPING_RULES = (
    "gain < 1e-3 an observation (scikit-learn)",
    "relative gain < 1e-5 (mclust)",
    "gain < 1e-5 (first article)",
    "gain < 1e-8 (mixtools)",
    "Aitken's gap < 1e-5",
    "parameters move < 1e-6",
    "parameters move < 1e-9 (here)",
    "gradient < 1e-5 (SciPy)",
    "Newton decrement < 1e-2",
    "Newton decrement < 1e-4 (certificate)",
)

# Gaps to the best log-likelihood, in nats, until which passes are counted.
TARGETS = tuple(10.0**power for power in range(2, -9, -1))

# Starts that methods are compared from: the one that all share, the best of a list after short EM
# runs; and three that are one guess each, taken as they are.
STARTS = ("shared", "k-means++", "random assignment", "moments")

# What a pass that also makes the Hessian costs, in passes that make the value and the gradient, by
# the number of observations: medians of 15 ratios of the two compiled passes for two components,
# taken in turns on one thread of a server with AVX-512; quartiles within .03. A call of either
# takes some two microseconds whatever the number.
HESSIAN_PASS = {100: 1.3, 500: 1.8, 2_000: 2.3, 5_000: 2.8, 50_000: 3.2}

# Remedies for label switching: the exchangeable posterior as sampled and relabelled, and posteriors
# whose prior orders the means or tells components apart; and what each of them answers.
REMEDIES = (
    *("none", "by mean", "Stephens", "PRA", "ordered"),
    *("asymmetric, wide", "asymmetric, narrow"),
)
DISTANCE = "mean 2 - mean 1"
REMEDY_PARAMETERS = ("weight 1", "mean 1", "mean 2", "sd 1", "sd 2", DISTANCE)

# BIC as other packages have it: of the one maximum that EM finds from k-means, whatever that is.
ONE_START = "bic-one-start"
CHOOSING = {name: criterion.label for name, criterion in CRITERIA.items()} | {
    ONE_START: "BIC, one start"
}

# Levels of the quantiles that are kept of a posterior sampled at length: dense where the ends of
# intervals are.
_TAIL = (0.0, 0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.035, 0.04, 0.045)
_INNER = np.round(np.arange(0.05, 0.951, 0.025), 3)
LEVELS: Floats = np.concatenate([_TAIL, _INNER, np.round(1.0 - np.array(_TAIL[::-1]), 4)])
QUANTILES = tuple(f"q{level:g}" for level in LEVELS)

# Kinds -----------------------------------------------------------------------------------------

DATA_SET = ["scenario", "replicate"]
FIT = [*DATA_SET, "method"]

_DATA_SET = {"scenario": "string", "replicate": "int64"}
_FIT = _DATA_SET | {"method": "string"}
# Of what was to be computed and could not be: why.
_MESSAGE = {"message": "string"}


def _floats(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "float64")


def _counts(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "int64")


# How a fit ended, what was certified of it, and what it took.
_ENDED = {
    **{"n": "float64", "k": "int64", "status": "string", "message": "string"},
    **{"converged": "boolean", "loglik": "float64", "certified": "boolean"},
    **_floats("distance", "gap", "sd_ratio", "smallest", "condition"),
    **{"place": "string", "believable": "bool"},
    **_counts("n_iter", "moments", "second_moments", "gradients"),
    **_counts("start_passes", "nodes", "exact_passes"),
}


@dataclass(frozen=True)
class Kind:
    """One kind of row.

    of: what a row is of.
    columns: their dtypes by name, in order, so that a file's bytes do not depend on its rows.
    order: the columns that gathered rows are ordered by; rows of one place stay as they came.
    timed: whether it holds seconds, which alone may differ between two runs.
    """

    of: str
    columns: Mapping[str, str]
    order: tuple[str, ...] = ("scenario", "replicate", "method")
    timed: bool = False


KINDS: dict[str, Kind] = {
    "fits": Kind(
        "a fit",
        _FIT | _ENDED,
    ),
    "estimates": Kind(
        "a parameter of a fit",
        _FIT
        | {"parameter": "string", "component": "int64"}
        | _floats("truth", "estimate", "se", "lower", "upper"),
    ),
    "intervals": Kind(
        "a quantity of a fit and a kind of interval",
        _FIT
        | {"kind": "string", "quantity": "string"}
        | _floats("truth", "estimate", "se", "lower", "upper")
        | _MESSAGE,
    ),
    "losses": Kind("a fit", _FIT | _floats(*LOSSES) | _MESSAGE),
    "labels": Kind(
        "a NUTS fit",
        _FIT
        # convention: whether the fit's estimates by component are no more than that.
        | {"verdict": "string", "convention": "bool"}
        | _floats(
            *(
                f"{number}_{which}"
                for number in ("rhat", "ess", "ess_tail")
                for which in ("raw", "relabelled", "invariant")
            )
        )
        | _floats("nested_rhat", "near_ties", "chain_distance", "imbalance")
        | _floats("largest_share", "bfmi", "at_max_depth")
        | _floats(*(f"agreement_{name}" for name in AGREEMENTS))
        | _counts("switches", "labellings", "divergences", "draws")
        | _MESSAGE,
    ),
    "occupancy": Kind(
        "a chain of a NUTS fit and a labelling",
        _FIT | {"chain": "int64", "labelling": "string", "share": "float64"},
    ),
    "draws": Kind(
        "a component of a kept draw",
        # relabelled: its place after Stephens' relabelling; where nothing can switch, as sampled.
        _FIT | _counts("chain", "draw", "component", "relabelled") | _floats(*PARAMETERS),
    ),
    "allocations": Kind(
        "a component along the data of a fit whose draws are kept: its mean responsibility",
        _FIT | {"x": "float64", "component": "int64"} | _floats("as_sampled", "relabelled"),
    ),
    "timings": Kind(
        "a fit",
        _FIT | _floats("n", "seconds", "compile_seconds", "start_seconds", "ended"),
        timed=True,
    ),
    "barriers": Kind("a data set that NUTS fits", _DATA_SET | _floats("barrier") | _MESSAGE),
    "reaches": Kind(
        "a traced fit and a gap to the best log-likelihood",
        _FIT | _floats("target", "passes") | _MESSAGE,
    ),
    "stops": Kind(
        "EM on a data set and a stopping rule",
        _DATA_SET
        | {"rule": "string", "iteration": "int64", "stopped": "bool"}
        | _floats("gap", "distance"),
    ),
    "rates": Kind(
        "EM on a data set",
        _DATA_SET | _floats("predicted", "observed") | {"certified": "bool", "iterations": "int64"},
    ),
    "optima": Kind(
        "a fit from one of many starts",
        _FIT
        | {"start": "int64", "loglik": "float64", "believable": "bool", "passes": "int64"}
        | _MESSAGE,
        order=("scenario", "replicate"),
    ),
    "beginnings": Kind("a fit from a start of its own", _FIT | {"start": "string"} | _ENDED),
    "remedies": Kind(
        "a parameter by a remedy for label switching",
        _DATA_SET
        | {"remedy": "string", "parameter": "string"}
        | _floats("truth", "mean", "sd", "lower", "upper", "ess", "ess_tail", "rhat")
        | _MESSAGE,
    ),
    "remedy_timings": Kind(
        "a remedy on a data set", _DATA_SET | {"remedy": "string", "seconds": "float64"}, timed=True
    ),
    "priors": Kind(
        "a parameter of a posterior under one of the priors that are compared",
        _DATA_SET
        | {"prior": "string", "parameter": "string"}
        | _floats("truth", "mean", "sd", "lower", "upper")
        | _MESSAGE,
        order=("scenario", "replicate", "prior"),
    ),
    "prior_fits": Kind(
        "a NUTS fit under one of the priors that are compared; its message is the fit's own",
        _DATA_SET
        | {"prior": "string", "status": "string", "convention": "bool"}
        | _floats("rhat", "ess", "ess_tail", "divergences", "draws", *LOSSES)
        | _MESSAGE,
        order=("scenario", "replicate", "prior"),
    ),
    "references": Kind(
        "a parameter of a posterior sampled at length, relabelled by mean",
        _DATA_SET
        | {"parameter": "string", "component": "int64"}
        | _floats("mean", "sd", "ess", "rhat", *QUANTILES)
        | _MESSAGE,
    ),
    "criteria": Kind(
        "a criterion at a number of components of a data set",
        _DATA_SET
        | {"criterion": "string", "k": "int64"}
        | _floats("value", "error")
        # Of the value: what speaks against it, or why there is none.
        | _MESSAGE,
        order=("scenario", "replicate", "criterion", "k"),
    ),
    "choices": Kind(
        "the number of components that a criterion chooses of a data set; loss: in Kullback and "
        "Leibler's divergence from the truth, of that many by maximum likelihood",
        _DATA_SET | {"criterion": "string", "k": "Int64"} | _floats("loss") | _MESSAGE,
        order=("scenario", "replicate", "criterion"),
    ),
    "choice_timings": Kind(
        "a criterion on a data set, the fits that all of them share apart",
        _DATA_SET | {"criterion": "string", "seconds": "float64", "passes": "int64"},
        order=("scenario", "replicate", "criterion"),
        timed=True,
    ),
    "ranks": Kind(
        "a quantity of a prior draw among its posterior's draws; no rank where the fit failed",
        {"replicate": "int64", "method": "string", "quantity": "string"}
        | {"truth": "float64", "rank": "Int64", "of": "int64", "autocorrelation": "float64"}
        | {"rhat": "float64", "ess": "float64", "divergences": "Int64"}
        | _MESSAGE,
    ),
    "external": Kind(
        "a fit by another package, judged as this project's own are",
        # word: the package's own on convergence. own_loglik: what it says. stop: nats, the gain
        # below which it ends. top: log-likelihood of the maximum that EM goes to from its end.
        # rate: EM's there.
        _FIT
        | {"n": "float64", "k": "int64", "status": "string", "message": "string"}
        | {"word": "boolean", "own_loglik": "float64", "loglik": "float64"}
        | {"certified": "boolean"}
        | _floats("distance", "gap", "sd_ratio", "smallest")
        | {"place": "string", "believable": "bool", "n_iter": "int64"}
        | _floats("stop", "top", "rate")
        | {"version": "string"},
    ),
    "external_estimates": Kind(
        "a parameter of a package's fit and a kind of interval: its own, Wald by the information "
        "at its end or at the maximum that EM goes to from there, or of its draws relabelled",
        _FIT
        | {"kind": "string", "parameter": "string", "component": "int64"}
        | _floats("truth", "estimate", "se", "lower", "upper"),
    ),
    "external_chains": Kind(
        "a fit by another package's sampler",
        _FIT
        | {"verdict": "string"}
        | _floats("rhat_raw", "rhat_relabelled", "rhat_invariant", "ess_invariant")
        | _counts("switches", "labellings", "divergences", "draws"),
    ),
    "external_orders": Kind(
        "a package's fit of so many components, for BIC; top: as of external",
        _FIT | _counts("k", "free") | _floats("n", "loglik", "top") | _MESSAGE,
    ),
    "external_timings": Kind(
        "a package's fit", _FIT | _floats("n", "seconds", "start_seconds"), timed=True
    ),
    "targets": Kind(
        "a parameter of what a scenario's estimates tend to; bound: Cramer and Rao's on its SE",
        {"scenario": "string", "parameter": "string", "component": "int64"}
        | _floats("target", "bound")
        | _MESSAGE,
        order=("scenario",),
    ),
    "em_rates": Kind(
        "a scenario's target, where EM's error shrinks by so much a step in large samples",
        {"scenario": "string"} | _floats("rate"),
        order=("scenario",),
    ),
}

# The kinds that each step of computing makes.
MADE_BY: dict[str, tuple[str, ...]] = {
    "fit": (
        *("fits", "estimates", "intervals", "losses", "labels", "occupancy", "draws"),
        *("allocations", "timings"),
    ),
    "barrier": ("barriers",),
    "follow": ("reaches", "stops", "rates", "optima"),
    "begin": ("beginnings",),
    "remedies": ("remedies", "remedy_timings"),
    "priors": ("priors", "prior_fits"),
    "refer": ("references",),
    "choose": ("criteria", "choices", "choice_timings"),
    "calibrate": ("ranks",),
    "external": (
        *("external", "external_estimates", "external_chains", "external_orders"),
        "external_timings",
    ),
    "truths": ("targets", "em_rates"),
}


_BLANKS: dict[str, Any] = {"float64": np.nan, "int64": 0, "string": "", "bool": False}


def blank(kind: str, **known: Any) -> dict[str, Any]:
    """A row of the kind of which nothing but `known` is known, such as why: `message`."""
    columns = KINDS[kind].columns
    return {name: _BLANKS.get(dtype) for name, dtype in columns.items()} | known


def empty(step: str) -> Rows:
    """No rows yet of each kind that a step makes."""
    return {kind: [] for kind in MADE_BY[step]}


def frame(kind: str, rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """The rows of a kind as a table with its columns."""
    return _typed(kind, pd.DataFrame(list(rows)))


def frames(rows: Rows) -> dict[str, pd.DataFrame]:
    """`frame` of each kind."""
    return {kind: frame(kind, own) for kind, own in rows.items()}


def gather(design: Design, kind: str, parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """The rows of one kind from all jobs, in the design's order and not in that of the jobs."""
    parts = [part for part in parts if len(part)]
    if not parts:
        return frame(kind, [])
    packages = [external.name for external in design.external]
    named = [*design.unit_names(), *METHODS, *CHOOSING, *packages]
    place = {name: i for i, name in enumerate(named)}
    compared = [] if design.priors is None else design.priors.compared
    places = {"prior": {prior.name: i for i, prior in enumerate(compared)}}
    table = _typed(kind, pd.concat(parts, ignore_index=True))
    by = [name for name in KINDS[kind].order if name in table]
    return table.sort_values(
        by,
        key=lambda c: c if c.name in ("replicate", "k") else c.map(places.get(str(c.name), place)),
        kind="stable",
    ).reset_index(drop=True)


def _typed(kind: str, table: pd.DataFrame) -> pd.DataFrame:
    columns = dict(KINDS[kind].columns)
    return table.reindex(columns=list(columns)).astype(columns)


# Results ---------------------------------------------------------------------------------------


class Results:
    """A study's design and its gathered rows: `results.fits` is the table of that kind.

    source: (kind) -> table; a kind is read when it is first asked for.
    """

    def __init__(self, design: Design, source: Callable[[str], pd.DataFrame]) -> None:
        self.design, self._source = design, source

    def __getattr__(self, kind: str) -> pd.DataFrame:
        if kind not in KINDS:
            raise AttributeError(f"{kind!r} is no kind of row; they are {', '.join(KINDS)}")
        table = self._source(kind)
        setattr(self, kind, table)
        return table

    @property
    def scenario_order(self) -> list[str]:
        """Names of scenarios and data sets, in the design's order."""
        return self.design.unit_names()


def read(design: Design, folder: Path) -> Results:
    """The rows that `gather` left in a folder."""
    return Results(design, lambda kind: pd.read_parquet(folder / f"{kind}.parquet"))


def of_frames(design: Design, given: Mapping[str, pd.DataFrame]) -> Results:
    """Results of tables in memory, by kind; those that are not given have no rows."""
    return Results(design, lambda kind: given[kind] if kind in given else frame(kind, []))


def usable(results: Results) -> pd.DataFrame:
    """Estimates of fits that ended ok or not converged, and whether the fit is believable.

    Singular and failed ones are left out.
    """
    fits = results.fits
    kept = fits.loc[fits["status"].isin(USABLE), [*FIT, "believable"]]
    return results.estimates.merge(kept, on=FIT)


def estimated(model: MixtureModel) -> NDArray[np.bool_]:
    """(3, K): which parameters of a model are estimated, and not known."""
    return model.free.copy()


def standing(model: MixtureModel, target: Mixture) -> NDArray[np.intp]:
    """(K,): which of the model's components stands for each of a mixture's.

    That whose known values are the mixture's own, else in their order.
    """
    other = ~model.free[:, None] & ~np.isclose(target.as_rows()[..., None], model.known[:, None])
    apart = np.subtract.outer(np.arange(model.k), np.arange(model.k)) ** 2
    order: NDArray[np.intp] = linear_sum_assignment(1e6 * other.sum(axis=0) + apart)[1]
    return order


def arranged(model: MixtureModel, target: Mixture) -> MixtureModel:
    """The model, where it knows some components in part, in the order of the target's."""
    return model.permuted(standing(model, target)) if model.partly_known else model


def target_of(results: Results, scenario: str) -> Mixture:
    """What a scenario's estimates are held against."""
    rows = results.targets[results.targets["scenario"] == scenario]
    values = rows.pivot(index="parameter", columns="component", values="target")
    return Mixture(*(values.loc[parameter].to_numpy(float) for parameter in PARAMETERS))


def passes(fits: pd.DataFrame) -> pd.Series[Any]:
    """What each of the rows of fits took, in passes over its data, of whatever kind."""
    return fits["moments"] + fits["second_moments"] + fits["gradients"]


def equivalent_passes(fits: pd.DataFrame) -> pd.Series[Any]:
    """The same in passes that make a value and its gradient: one with a Hessian counts for more."""
    terms = fits["nodes"].where(fits["nodes"] > 0, fits["n"]).to_numpy(float)
    sizes, ratios = np.array([*HESSIAN_PASS.items()]).T
    dear = np.interp(np.log(np.maximum(terms, 1.0)), np.log(sizes), ratios)
    return fits["moments"] + dear * fits["second_moments"] + fits["gradients"]


def trusted(reference: pd.DataFrame) -> bool:
    """Whether R-hat and ESS of all parameters of a `references` posterior are good enough."""
    return bool((reference["rhat"] < MAX_RHAT).all() and (reference["ess"] > MIN_ESS).all())


def probability(reference: pd.Series[Any], lower: float, upper: float) -> float:
    """Probability of an interval by a row of `references`, the distribution linear in between."""
    quantiles = reference[list(QUANTILES)].to_numpy(float)
    low, high = np.interp([lower, upper], quantiles, LEVELS)
    return float(high - low)
