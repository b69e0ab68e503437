"""How high the ridge is between the labellings of two components, in nats of log-likelihood."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

from models import Mixture, MixtureModel
from models.direct import Objective
from models.mixture import Floats
from models.problem import Data

# Ends with an sd below this share of the other, or with fewer observations than these in a
# component, sit on the unbounded part of the likelihood and are no ridge.
LEAST_RATIO = 0.02
LEAST_COUNT = 5.0


def barrier(data: Data, model: MixtureModel, best: Mixture) -> float:
    """The log-likelihood at `best` less its supremum over equal means, in nats.

    Every path from one labelling to the other crosses mean_1 = mean_2, and so has to fall by at
    least this much; where the sds tell the components apart it falls by more, at equal sds. The
    supremum is over regular mixtures (see LEAST_RATIO), by L-BFGS-B with the closed-form
    score from several ratios of the sds. ValueError unless the model has two components that
    nothing known tells apart.
    """
    if model.k != 2 or not model.exchangeable:
        raise ValueError(
            f"model: has k = {model.k}, means {model.means}, sds {model.sds}; the barrier is of "
            "two components that nothing known tells apart"
        )
    return data.moments(best).loglik - _ridge(data, model, best)


def _ridge(data: Data, model: MixtureModel, best: Mixture) -> float:
    """The supremum of the log-likelihood over equal means, at least that of one component."""
    objective = Objective(data, model)
    # theta = merge @ phi: coordinates 1 and 2, the means, are one. They share unit and origin.
    merge = np.delete(np.eye(model.n_free), 2, axis=1)
    merge[2, 1] = 1.0
    bounds = objective.bounds()
    del bounds[2]

    def value_and_gradient(phi: Floats) -> tuple[float, Floats]:
        value, gradient = objective.value_and_gradient(merge @ phi)
        return value, merge.T @ gradient

    highest = -np.inf
    for start in _starts(data, best):
        theta = objective.theta(model.admit(start))
        found = minimize(
            value_and_gradient,
            np.delete(theta, 2),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"gtol": 1e-9, "ftol": 0.0, "maxiter": 1000},
        )
        end = objective.mixture(merge @ found.x)
        if _regular(end, data):
            highest = max(highest, data.moments(end).loglik)
    return highest


def _starts(data: Data, best: Mixture) -> list[Mixture]:
    """Equal means with the sds of `best`, several ratios of the sds, and one component twice."""
    mean, sd = np.full(2, data.mean), data.sd
    return [
        Mixture.trusted(best.weights, mean, best.sds),
        *(
            Mixture.trusted(np.array([w, 1.0 - w]), mean, sd * np.array([1.0, ratio]))
            for ratio in (1.0, 2.0, 4.0)
            for w in (0.2, 0.5, 0.8)
        ),
    ]


def _regular(mixture: Mixture, data: Data) -> bool:
    """Whether both components are regular, or both are the same one."""
    counts = data.n * mixture.weights
    ratio = mixture.sds.min() / mixture.sds.max()
    return bool(ratio > 0.999 or (ratio >= LEAST_RATIO and counts.min() >= LEAST_COUNT))
