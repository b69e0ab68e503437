"""Random small inputs to fit(), and what must hold of every one: the tests' and the long run's.

PYTHONPATH=. python -m tests.models.fuzz 10000 1            # methods without PyMC, seed 1
PYTHONPATH=. python -m tests.models.fuzz 300 1 map,nuts,nuts-ordered
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from models import METHODS, Fit, Mixture, MixtureModel, fit
from models.priors import Prior
from tests.models.strategies import NUMERIC

# Where a start is as good as the end, both may differ by the rounding of a sum.
ROUNDING = 1e-9


class Case(NamedTuple):
    """One call of fit()."""

    method: str
    x: np.ndarray
    model: MixtureModel
    options: dict[str, Any]


def case(rng: np.random.Generator, methods: tuple[str, ...]) -> Case:
    """Sizes, ties, outliers, offsets, scales, counts, weights, K, models, starts and options.

    Of PyMC's methods few kinds of model: each is compiled for.
    """
    few = not set(methods) <= set(NUMERIC)
    k = int(rng.choice([1, 2, 2, 3] if few else [1, 2, 2, 2, 3, 4, 6]))
    n = int(rng.choice([rng.integers(1, 12), rng.integers(5, 60), rng.integers(20, 400)]))
    centres = rng.normal(0, rng.choice([0.5, 3.0, 20.0]), k)
    x = rng.choice(centres, n) + rng.choice([1.0, 0.1, 5.0]) * rng.standard_normal(n)
    if rng.random() < 0.25:
        x = np.round(x, int(rng.integers(0, 3)))
    if rng.random() < 0.15:
        x[: n // 3] = x[0]
    if rng.random() < 0.15:
        x[-1] = rng.choice([-1.0, 1.0]) * 10.0 ** rng.uniform(1, 40)
    if rng.random() < 0.15:
        x = x * rng.standard_t(1.5, n)
    scale = 10.0 ** rng.uniform(-100, 100) if rng.random() < 0.3 else 1.0
    offset = 10.0 ** rng.uniform(0, 15) * rng.choice([-1, 1]) if rng.random() < 0.3 else 0.0
    known: dict[str, Any] = {}
    if rng.random() < 0.25:
        known["means"] = (centres + offset) * scale
    if rng.random() < 0.25 and not few:
        known["sds"] = 10.0 ** rng.uniform(-1, 1, k) * scale
    elif rng.random() < 0.3:
        known["equal_sds"] = True
    options: dict[str, Any] = {}
    method = str(rng.choice(methods))
    samples = METHODS[method].draws
    how = rng.random()
    if how < 0.2:
        options["counts"] = rng.integers(0, 5, n)
    elif how < 0.3 and not samples:
        options["survey_weights"] = rng.exponential(size=n) * 10.0 ** rng.uniform(-5, 5)
    if rng.random() < 0.3:
        sds = np.exp(rng.normal(0, 1, k)) * scale
        options["start"] = Mixture(rng.dirichlet(np.ones(k)), (centres + offset) * scale, sds)
    elif rng.random() < 0.15 and not samples:
        options["starts"] = int(rng.integers(1, 4))
    if rng.random() < 0.2:
        options["compress"] = True
    if "penalty" in METHODS[method].options and rng.random() < 0.2:
        options["penalty"] = "chen"
    if samples:
        options |= {"draws": 20, "tune": 20, "chains": 2}
    if rng.random() < 0.1:
        options["trace"] = True
    return Case(method, (x + offset) * scale, MixtureModel(k, **known), options)


def wrong(one: Case) -> str | Fit:
    """The fit; or why it was refused; AssertionError where it breaks a promise."""
    try:
        found = fit(one.method, one.x, one.model, rng=0, **one.options)
    except (ValueError, TypeError) as error:
        said = str(error)
        assert said, "an error without a word"
        assert "\n" not in said, f"more than one line: {said}"
        return said
    numbers = [found.loglik, found.objective]
    if found.status == "ok":
        assert found.mixture is not None, "ok without estimate"
        finite = all(np.isfinite(v).all() for v in (found.mixture.as_rows(), found.se, numbers))
        # A component whose weight is 0 has no mean, sd or error to speak of.
        boundary = found.mixture.weights.min() == 0.0
        assert finite or boundary, f"ok, not finite: {found}"
        assert found.certificate is None or np.isfinite(found.certificate.distance)
    if found.mixture is not None and not METHODS[one.method].draws and found.status != "singular":
        below = height(one, found.start) - found.objective
        assert not below > ROUNDING * (1 + abs(found.objective)), (
            f"{below} below the start: {found}"
        )
    return found


def height(one: Case, mixture: Mixture) -> float:
    """The objective at a mixture with components in the order of their means; NaN if not known."""
    if one.model.means is not None or one.model.sds is not None or one.method == "map":
        return np.nan
    x, weights = one.x, one.options.get("counts", one.options.get("survey_weights"))
    weights = np.ones(x.size) if weights is None else np.asarray(weights, dtype=float)
    if "survey_weights" in one.options:
        weights = weights * np.count_nonzero(weights) / weights.sum()
    value = float(weights @ mixture.log_density(x))
    if "penalty" in one.options:
        from models.sample import as_data

        prior = Prior.penalised(as_data(x, weights, one.model))
        value += prior.log_density(mixture, one.model)
    return value


def reason(said: str) -> str:
    """A refusal without its numbers."""
    return " ".join(word for word in said.split() if not any(c.isdigit() for c in word))[:70]


def run(
    count: int, seed: int, methods: tuple[str, ...] = NUMERIC
) -> tuple[Counter[str], list[str]]:
    """How many ended how, and what went wrong, with the number that makes it again."""
    ends, faults = Counter[str](), []
    for number in range(count):
        one = case(np.random.default_rng([seed, number]), methods)
        try:
            with np.errstate(all="ignore"):
                found = wrong(one)
        except Exception as error:
            faults.append(f"{number} {one.method}: {type(error).__name__}: {error}")
            continue
        ends["refused: " + reason(found) if isinstance(found, str) else found.status] += 1
    return ends, faults


if __name__ == "__main__":
    chosen = tuple(sys.argv[3].split(",")) if len(sys.argv) > 3 else NUMERIC
    ended, failed = run(int(sys.argv[1]), int(sys.argv[2]), chosen)
    for name, times in ended.most_common():
        print(f"{times:6d} {name}")
    print(f"{len(failed)} faults")
    for fault in failed[:40]:
        print(fault[:400])
