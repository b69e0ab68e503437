"""How high the ridge is between the labellings of two components, in nats of log-likelihood."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.optimize import minimize

from models import Mixture, MixtureModel
from models.mixture import Floats
from models.sample import Sample, framed

# Ends with an sd below this share of the other, or with fewer observations than these in a
# component, sit on the unbounded part of the likelihood and are no ridge.
LEAST_RATIO = 0.02
LEAST_COUNT = 5.0

type Parameter = Literal["means", "sds"]


def barrier(data: Sample, model: MixtureModel, best: Mixture) -> float:
    """The log-likelihood at `best` less that of the lower of the two ridges, in nats.

    Every path from one labelling to the other crosses mean_1 = mean_2 and, where they are free,
    sd_1 = sd_2, and so falls by at least as much as the lower ridge lies below the maximum. Where
    components differ in their sds alone, it is the second that keeps the labellings apart. Where
    only their weights are free nothing does.
    ValueError unless the model has two components that nothing known tells apart.
    """
    _, data, model, best = framed(data, model, best)
    ridges = [ridge(data, model, best, parameter) for parameter in _free(model)]
    return data.moments(best).loglik - min(ridges) if ridges else 0.0


def ridge(data: Sample, model: MixtureModel, best: Mixture, parameter: Parameter) -> float:
    """The supremum of the log-likelihood where both components have the same mean or sd, in nats.

    Over regular mixtures (see LEAST_RATIO), one component among them, by L-BFGS-B with the
    closed-form score from `best` and from several mixtures that differ in the other parameter.
    """
    from models.direct import Objective  # what relabelling alone has no use for

    objective = Objective(data, model)
    first = _free(model)[parameter]
    # theta = merge @ phi: of two coordinates that share unit and origin, one is left.
    merge = np.delete(np.eye(model.n_free), first + 1, axis=1)
    merge[first + 1, first] = 1.0
    bounds = objective.bounds()
    del bounds[first + 1]

    def value_and_gradient(phi: Floats) -> tuple[float, Floats]:
        value, gradient = objective.value_and_gradient(merge @ phi)
        return value, merge.T @ gradient

    highest = data.moments(_one_component(data, model)).loglik
    for start in _starts(data, best, parameter):
        theta = objective.theta(model.admit(start))
        found = minimize(
            value_and_gradient,
            np.delete(theta, first + 1),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"gtol": 1e-9, "ftol": 1e-13, "maxiter": 1000},
        )
        end = objective.mixture(merge @ found.x)
        if _regular(end, data):
            highest = max(highest, data.moments(end).loglik)
    return highest


def _free(model: MixtureModel) -> dict[Parameter, int]:
    """The place of the first component's coordinate among the free ones, by parameter."""
    if model.k != 2 or not model.exchangeable:
        raise ValueError(
            f"model: has k = {model.k}, means {model.means}, sds {model.sds}; the barrier is of "
            "two components that nothing known tells apart"
        )
    found: dict[Parameter, int] = {}
    if model.means is None:
        found["means"] = model.n_free_weights
    if model.n_free_sds == 2:
        found["sds"] = model.n_free - 2
    return found


def _one_component(data: Sample, model: MixtureModel) -> Mixture:
    """A single normal, written as two that are the same."""
    mean, sd = np.full(2, data.mean), np.full(2, data.sd)
    return model.admit(Mixture.trusted(np.array([0.5, 0.5]), mean, sd))


def _starts(data: Sample, best: Mixture, parameter: Parameter) -> list[Mixture]:
    """Equal means, with the sds of `best` and several ratios; or equal sds, and means likewise."""
    mean, sd = data.mean, data.sd
    if parameter == "means":
        return [
            Mixture.trusted(best.weights, np.full(2, mean), best.sds),
            *(
                Mixture.trusted(np.array([w, 1.0 - w]), np.full(2, mean), sd * np.array([1, ratio]))
                for ratio in (1.5, 4.0)
                for w in (0.3, 0.7)
            ),
        ]
    pooled = np.sqrt(best.weights @ best.sds**2)
    return [
        Mixture.trusted(best.weights, best.means, np.full(2, pooled)),
        *(
            Mixture.trusted(
                np.array([w, 1.0 - w]),
                mean + sd * np.array([w - 1.0, w]) * 1.8,  # the data's mean stays
                np.full(2, 0.6 * sd),
            )
            for w in (0.2, 0.5, 0.8)
        ),
    ]


def _regular(mixture: Mixture, data: Sample) -> bool:
    """Whether both components are regular, or both are the same one."""
    counts = data.n * mixture.weights
    ratio = mixture.sds.min() / mixture.sds.max()
    same = ratio > 0.999 and np.ptp(mixture.means) < 1e-3 * data.sd
    return bool(same or (ratio >= LEAST_RATIO and counts.min() >= LEAST_COUNT))
