"""Simulation-based calibration of the samplers: prior draws, data, posterior ranks, to rows.

If parameters come from the prior and data from the parameters, then the rank of a quantity of the
parameters among L independent draws of its posterior is uniform on 0, ..., L: Talts, Betancourt,
Simpson, Vehtari and Gelman (2018), arXiv:1804.06788, theorem 1. Whether the ranks are uniform is
asked in uniformity.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from models import Mixture, MixtureModel, fit
from models.inference.functionals import density_at, mean, quantile_at, variance
from models.kernels import LOG_2PI, Floats
from models.mixture import draws_by_mean
from models.priors import Dirichlet, InverseGamma, Normal, Prior, SharedScale
from study.compute.guard import Say, guarded, silent
from study.design import Calibration
from study.rows import Rows, blank
from study.simulate import generator

# No scenario can have this name.
_KEY = "prior draw"


def prior_draw(prior: Prior, k: int, rng: np.random.Generator) -> Mixture:
    """A mixture from the prior, components in the order of their means.

    That is a draw of the prior restricted to ascending means as well: the exchangeable density is
    the same on each of the K! orders, and the restricted one K! times it on one of them.
    """
    weights, means, variances = prior.weights, prior.means, prior.sds
    if not (
        isinstance(weights, Dirichlet)
        and isinstance(means, Normal)
        and isinstance(variances, InverseGamma | SharedScale)
    ):
        raise ValueError(
            f"prior: {prior!r} is not of Dirichlet, Normal and InverseGamma or SharedScale"
        )
    return Mixture(
        rng.dirichlet(np.full(k, weights.concentration)),
        rng.normal(means.mean, means.sd, k),
        np.sqrt(variances.sample(k, rng)),
    ).by_mean()


def quantities(rows: Floats, x: Floats, point: float) -> dict[str, Floats]:
    """What is ranked, by name: functions (...) of rows (..., 3, K), components by mean.

    The parameters, the last weight apart; four quantities without labels, one of them the density
    at `point`; and the log-likelihood of the data x (n,), which sees what parameters miss (Modrak
    and others 2023, Bayesian Analysis 20, 461).
    """
    k = rows.shape[-1]
    parameters = {
        f"{name} {j + 1}": rows[..., i, j]
        for i, name in enumerate(("weight", "mean", "sd"))
        for j in range(k - 1 if name == "weight" else k)
    }
    return parameters | {
        "mixture mean": mean(rows),
        "mixture variance": variance(rows),
        "quantile 0.9": quantile_at(0.9)(rows),
        f"density at {point:g}": density_at(point)(rows),
        "log-likelihood": loglik(rows, x),
    }


def loglik(rows: Floats, x: Floats) -> Floats:
    """(...): log-likelihood of x (n,) at rows (..., 3, K), in nats."""
    w, m, s = (rows[..., i, None, :] for i in range(3))
    z = (x[:, None] - m) / s
    terms = np.log(w / s) - 0.5 * z * z
    return (np.logaddexp.reduce(terms, axis=-1) - 0.5 * LOG_2PI).sum(axis=-1)


def rank(truth: float, draws: Floats, rng: np.random.Generator) -> int:
    """How many of the draws (L,) lie below the truth, 0 to L; ties are broken at random."""
    less, equal = (draws < truth).sum(), (draws == truth).sum()
    return int(less + rng.integers(equal + 1))


def thinned(draws: Floats, count: int) -> Floats:
    """(count, ...): so many of the draws (chains, draws, ...), evenly spread over all chains."""
    flat = draws.reshape(-1, *draws.shape[2:])
    if count > len(flat):
        raise ValueError(f"of: {count} is more than the {len(flat)} draws of all chains; give less")
    return flat[np.linspace(0, len(flat) - 1, count).round().astype(int)]


def calibrate(
    spec: Calibration,
    seed: int,
    replicates: Sequence[int],
    say: Say = silent,
    fitted: Prior | None = None,
) -> Rows:
    """The rows of some replicates, each method on the same data sets; they depend on the seed,
    the replicate and the method alone.

    fitted: the prior of the fits, where it is to be another one than the parameters' own. No
    replicate is left out, whatever its chains look like: which ones converge depends on the
    parameters, and without those the ranks would not be uniform. `say` gets a line for a failure.
    """
    prior = spec.prior.build()
    rows: list[dict[str, Any]] = []
    for replicate in replicates:
        rng = generator(seed, _KEY, replicate)
        truth = prior_draw(prior, spec.k, rng)
        x, _ = truth.sample(spec.n, rng)
        true = quantities(truth.as_rows(), x, spec.prior.means[0])
        for method in spec.methods:
            key = {"replicate": replicate, "method": method, "of": spec.of}
            found = guarded(
                lambda: _fitted(spec, seed, fitted or prior, key, x, true),  # noqa: B023
                lambda why: [
                    blank("ranks", quantity=name, truth=true[name], message=why)  # noqa: B023
                    for name in true  # noqa: B023
                ],
                say, f"replicate {replicate} {method}",
            )  # fmt: skip
            rows += [row | key for row in found]
    return {"ranks": rows}


def _fitted(
    spec: Calibration,
    seed: int,
    prior: Prior,
    key: dict[str, Any],
    x: Floats,
    true: dict[str, Floats],
) -> list[dict[str, Any]]:
    """The rows of a fit under the prior; RuntimeError if it has no draws."""
    method = key["method"]
    rng = generator(seed, _KEY, key["replicate"], method)
    options: dict[str, Any] = {"prior": prior, **spec.options.get(method, {})}
    result = fit(method, x, MixtureModel(spec.k), rng=rng, **options)
    if result.draws is None:
        raise RuntimeError(result.message)
    draws = draws_by_mean(result.relabelled_draws)
    return [{**row, **result.diagnostics} for row in _ranks(true, draws, x, spec, rng)]


def _ranks(
    true: dict[str, Floats], draws: Floats, x: Floats, spec: Calibration, rng: np.random.Generator
) -> Iterator[dict[str, Any]]:
    """A row a quantity: its truth, its rank, and the autocorrelation of the draws it is among."""
    found = quantities(thinned(draws, spec.of), x, spec.prior.means[0])
    for name, values in found.items():
        truth = float(true[name])
        yield {
            "quantity": name,
            "truth": truth,
            "rank": rank(truth, values, rng),
            "autocorrelation": autocorrelation(values),
        }


def autocorrelation(draws: Floats) -> float:
    """Of neighbours among the draws (L,), -1/L in the mean if they are independent."""
    centred = draws - draws.mean()
    return float((centred[1:] * centred[:-1]).sum() / (centred**2).sum())
