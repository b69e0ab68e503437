"""One fit of the study, and the rows that tell of it: how it ended, its estimates, its seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import Fit, Mixture, MixtureModel, fit
from models.inference.certificate import condition
from models.mixture import Floats
from models.sample import as_data
from models.starts import Start, shared_start
from models.verdicts import sd_ratio
from study.design import DataSet, Design, Scenario
from study.rows import PARAMETERS, blank, estimated, standing
from study.simulate import generator


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


def fit_row(result: Fit, start: Start) -> dict[str, Any]:
    """How a fit ended, what was certified of it, and what it took."""
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
        "place": None if certificate is None else certificate.place,
        "sd_ratio": np.nan if mixture is None else sd_ratio(mixture, result.model),
        "condition": np.nan if mixture is None else condition(result.covariance, result.model),
        "smallest": np.nan if mixture is None else result.n * mixture.weights.min(),
        "believable": result.believable,
        "n_iter": result.n_iter,
        "moments": result.evaluations.get("moments", 0),
        "second_moments": result.evaluations.get("second_moments", 0),
        "gradients": result.evaluations.get("gradients", 0),
        "start_passes": start.passes,
        "nodes": result.evaluations.get("nodes", 0),
        "exact_passes": result.evaluations.get("exact_passes", 0),
    }


def failed_row(message: str, n: float, k: int, passes: int) -> dict[str, Any]:
    """The same of a fit that broke off with an error; passes: that its start took."""
    found = blank("fits", n=n, k=k, status="failed", message=message, start_passes=passes)
    return found | {"converged": False, "certified": False}


def estimate_rows(result: Fit, target: Mixture | None, level: float) -> Iterator[dict[str, Any]]:
    """A row a free parameter: truth, estimate, standard error and interval."""
    if result.mixture is None:
        return iter(())
    se, ends = result.se, result.interval(level)
    return parameter_rows(result.mixture, result.model, target, se, *ends)


def parameter_rows(
    mixture: Mixture,
    model: MixtureModel,
    target: Mixture | None,
    se: Floats,
    lower: Floats,
    upper: Floats,
) -> Iterator[dict[str, Any]]:
    """A row a free parameter, its component that which stands for the target's."""
    values = mixture.as_rows()
    truth = np.full_like(values, np.nan) if target is None else target.as_rows()
    order, free = components(mixture, target, model), estimated(model)
    for row, parameter in enumerate(PARAMETERS):
        for j, own in enumerate(order):
            if free[row, own]:
                yield {
                    "parameter": parameter,
                    "component": j + 1,
                    "truth": truth[row, j],
                    "estimate": values[row, own],
                    "se": se[row, own],
                    "lower": lower[row, own],
                    "upper": upper[row, own],
                }


def components(estimate: Mixture, target: Mixture | None, model: MixtureModel) -> NDArray[np.intp]:
    """(K,): `matching`, or the components as they are where there is no target.

    Where something known tells some components apart, by that.
    """
    if target is None:
        return np.arange(estimate.k)
    return standing(model, target) if model.partly_known else matching(estimate, target)


def matching(estimate: Mixture, target: Mixture) -> NDArray[np.intp]:
    """(K,): which component of the estimate stands for each of the target's.

    They match in the order of their means; among components whose target means are equal, and
    which means therefore cannot tell apart, in the order of their sds. Both mixtures have their
    components in the order of their means, ties by sd.
    """
    group = np.unique(target.means, return_inverse=True)[1]
    return np.lexsort((estimate.sds, group))


def timing_row(result: Fit, start_seconds: float) -> dict[str, Any]:
    """What a fit took, and when it ended, in seconds since 1970."""
    return {
        "n": result.n,
        "seconds": result.seconds,
        "compile_seconds": result.compile_seconds,
        "start_seconds": start_seconds,
        "ended": time.time(),
    }
