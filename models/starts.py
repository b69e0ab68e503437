"""Starting points shared by every method that needs one.

The list is the same for all methods: a quantile split, k-means, an equal-means split by scale,
and random centres with random scales. `several_starts` runs a few EM steps from each and keeps the
best (Biernacki, Celeux and Govaert 2003, "em-EM"). Of a large sample a random part serves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from models.em import e_step, em_steps
from models.mixture import Floats, Mixture
from models.model import MixtureModel
from models.sample import CompressedData, Data, Sample

# Rows of a large sample that the start and the pilot are found from.
START_SIZE = 50_000
PILOT_SIZE = 5_000
# Candidates that the shared start is the best of, its random ones among them.
RANDOM = 6
ALONE = 3 + RANDOM


@dataclass(frozen=True, eq=False)
class Start:
    """A start, and what it took.

    mixture: the best of the list after short EM runs.
    passes: passes over the data behind it.
    """

    mixture: Mixture
    passes: int


def candidates(
    data: Data, model: MixtureModel, rng: np.random.Generator, n_random: int = 6
) -> list[Mixture]:
    """The shared list, none with two equal components (a stationary subspace of EM)."""
    k = model.k
    weights = np.full(k, 1.0 / k)
    spread = np.full(k, data.sd / k)
    levels = (np.arange(k) + 0.5) / k
    split = data.quantiles(levels)
    found = [
        Mixture.trusted(weights, _apart(split, data), spread),
        _from_centres(data, _k_means(data, *_with_known(split, model))),
        Mixture.trusted(
            weights, np.full(k, data.mean), data.sd * np.exp2(np.arange(k) - (k - 1) / 2.0)
        ),
    ]
    for _ in range(n_random if k > 1 else 0):
        centres = data.quantiles(rng.random(k))
        scales: Floats = data.sd * np.exp(rng.uniform(np.log(0.1), np.log(1.5), k))
        found.append(Mixture.trusted(weights, _apart(centres, data), scales))
    return [model.admit(_placed(mixture, model)) for mixture in found]


def k_means_plus_plus(data: Data, model: MixtureModel, rng: np.random.Generator) -> Mixture:
    """K-means from centres drawn apart, and the moments of its clusters; nothing is tried twice.

    Each centre is an observation, drawn with its squared distance from the nearest centre before
    it (Arthur and Vassilvitskii 2007), as scikit-learn and others start from.
    """
    centres = rng.choice(data.x, 1, p=data.counts / data.n)
    while centres.size < model.k:
        away = data.counts * ((data.x[:, None] - centres) ** 2).min(axis=1)
        chance = away / away.sum() if away.sum() > 0 else data.counts / data.n
        centres = np.append(centres, rng.choice(data.x, p=chance))
    apart = _apart(np.sort(centres), data)
    found = _from_centres(data, _k_means(data, *_with_known(apart, model)))
    return model.admit(_placed(found, model))


def random_assignment(data: Data, model: MixtureModel, rng: np.random.Generator) -> Mixture:
    """The moments of K parts that each observation is put in one of at random.

    These are nearly equal, so near the subspace of equal components where EM stands still.
    """
    part = rng.integers(model.k, size=data.x.size)
    share = np.bincount(part, data.counts, model.k)
    safe = np.where(share > 0, share, 1.0)
    means = np.bincount(part, data.counts * data.x, model.k) / safe
    squares = np.bincount(part, data.counts * (data.x - means[part]) ** 2, model.k) / safe
    sds = np.maximum(np.sqrt(squares), 0.05 * data.sd)
    order = np.argsort(means, kind="stable")
    weights = np.maximum(share, 0.01 * data.n / model.k)[order]
    found = Mixture.trusted(weights / weights.sum(), _apart(means[order], data), sds[order])
    return model.admit(found)


def by_moments(data: Data, model: MixtureModel) -> Mixture:
    """Two components with the data's mean, variance and third moment; ValueError unless K = 2.

    Half of the variance is between the means, on the two points that have the third moment; the
    other half is that of each component. Nothing is drawn.
    """
    if model.k != 2:
        raise ValueError(f"model: has {model.k} components; moments start mixtures of 2")
    centred = data.x - data.mean
    between = 0.5 * data.sd**2
    skewness = float(data.counts @ centred**3) / data.n / between**1.5
    low = 0.5 * (1.0 + skewness / np.sqrt(skewness**2 + 4.0))
    low = min(max(low, 1e-3), 1.0 - 1e-3)
    weights = np.array([low, 1.0 - low])
    means = data.mean + np.sqrt(between) * np.array([-1.0, 1.0]) * np.sqrt(weights[::-1] / weights)
    return model.admit(Mixture.trusted(weights, means, np.full(2, np.sqrt(between))))


def shared_start(
    data: Sample,
    model: MixtureModel,
    rng: np.random.Generator,
    n_random: int = RANDOM,
    short: int = 5,
) -> Start:
    """The candidate with the highest log-likelihood after `short` EM steps.

    Candidates that collapse or leave a component fewer than two observations on the way are
    passed over, unless all do: then the quantile split itself is the start. Passes are over the
    data, or a random START_SIZE of them. A streamed sample's start is the estimate from its first
    chunks that its cells were made for, as long as that has the model's K.
    """
    return several_starts(data, model, rng, 1, n_random, short)[0]


def several_starts(
    data: Sample,
    model: MixtureModel,
    rng: np.random.Generator,
    count: int,
    n_random: int | None = None,
    short: int = 5,
) -> list[Start]:
    """The `count` best candidates as `shared_start` has them, the best first, its own among them.

    n_random: of the list, default 6 or three times the count. Ends of short runs that are the
    same start count once, so there may be fewer. All passes are in the first one's.
    """
    if isinstance(data, CompressedData) and data.streamed_for(model.k):
        return [Start(model.admit(data.compressed.cells.pilot), 0)]
    part = data.thinned(START_SIZE, rng)
    if model.n_free == 0 or model.k == 1:
        return [Start(candidates(part, model, rng, 0)[0], 0)]
    ends: list[tuple[float, int, Mixture]] = []
    passes = 0
    alone = ALONE if n_random is None else None
    n_random = max(RANDOM, 3 * count) if n_random is None else n_random
    everything = candidates(part, model, rng, n_random)
    for place, mixture in enumerate(everything):
        mixture, _, steps = em_steps(part, model, mixture, short)
        passes += steps
        if part.collapsed(mixture, model):
            continue
        expected = e_step(mixture, part)
        passes += 1
        regular = expected.t[model.free[2], 0].min(initial=np.inf) >= 2.0
        if regular and all(expected.loglik != end[0] for end in ends):
            ends.append((expected.loglik, place, mixture))
    ends.sort(key=lambda end: -end[0])
    # The start that is taken where one is asked for, whatever longer lists hold.
    first = next((e for e in ends if alone is None or e[1] < alone), (-np.inf, 0, everything[0]))
    kept = ends[:count]
    if first not in kept:
        kept[count - 1 :] = [first]
    chosen = [mixture for *_, mixture in kept]
    return [Start(mixture, passes if i == 0 else 0) for i, mixture in enumerate(chosen)]


def pilot(data: Sample, model: MixtureModel, start: Mixture, size: int = PILOT_SIZE) -> Mixture:
    """A fit near the optimum from `start`, by EM on a random `size` of the data."""
    part = data.thinned(size, np.random.default_rng(0))
    end, before, _ = em_steps(part, model, start, 100)
    return before if part.collapsed(end, model) else end


def _apart(centres: Floats, data: Data) -> Floats:
    """The centres, those that ties made equal moved apart by hundredths of an sd."""
    if len(set(centres.tolist())) == centres.size:
        return centres + 0.0
    earlier = np.tril(centres[:, None] == centres, k=-1).sum(axis=1)
    moved: Floats = centres + 0.01 * data.sd * earlier
    return moved


def _placed(mixture: Mixture, model: MixtureModel) -> Mixture:
    """The components in an order in which known means are put in for near ones.

    As they are where no mean is known, or all are.
    """
    if model.means is None or not model.n_free_means:
        return mixture
    far = np.where(model.free[1], 0.0, np.abs(mixture.means[:, None] - model.means))
    return mixture.permuted(linear_sum_assignment(far.T)[1])


def _with_known(split: Floats, model: MixtureModel) -> tuple[Floats, NDArray[np.bool_]]:
    """Ascending centres (K,) with known means in the place of near ones, and which these are."""
    if model.means is None or not model.n_free_means:
        return split, np.zeros(model.k, dtype=bool)
    rows = Mixture.trusted(np.full(model.k, 1.0 / model.k), split, np.ones(model.k))
    centres = model.admit(_placed(rows, model)).means
    order = np.argsort(centres, kind="stable")
    return centres[order], ~model.free[1][order]


def _k_means(data: Data, centres: Floats, fixed: NDArray[np.bool_], max_iter: int = 50) -> Floats:
    """Lloyd's algorithm on the line: between sorted centres the cuts are the midpoints.

    Centres of the mask `fixed` (K,) stay; the order does not change.
    """
    x, counts = data.ascending
    mass = np.concatenate([[0.0], np.cumsum(counts)])
    sums = np.concatenate([[0.0], np.cumsum(counts * x)])
    for _ in range(max_iter):
        cuts = np.searchsorted(x, 0.5 * (centres[1:] + centres[:-1]))
        edges = np.concatenate([[0], cuts, [x.size]])
        share = np.diff(mass[edges])
        moved = np.where(share > 0, np.diff(sums[edges]) / np.where(share > 0, share, 1), centres)
        moved[fixed] = centres[fixed]
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def _from_centres(data: Data, centres: Floats) -> Mixture:
    """Weights, means and sds of the points nearest to each centre."""
    k = centres.size
    nearest = np.searchsorted(0.5 * (centres[1:] + centres[:-1]), data.x)
    share = np.bincount(nearest, data.counts, k)
    safe = np.where(share > 0, share, 1.0)
    means = np.where(share > 0, np.bincount(nearest, data.counts * data.x, k) / safe, centres)
    squares = np.bincount(nearest, data.counts * (data.x - means[nearest]) ** 2, k) / safe
    sds = np.maximum(np.sqrt(squares), 0.05 * data.sd)
    weights = np.maximum(share, 0.01 * data.n / k)
    return Mixture.trusted(weights / weights.sum(), _apart(means, data), sds)
