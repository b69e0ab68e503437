"""Chains of NUTS that go on until what they are asked for is known well enough.

Everything is on the scale of the standardised data, so that no offset costs digits.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice, permutations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.inference.chains import MAX_DIVERGENT, Convergence, convergence
from models.labels.algorithms import Relabelling, ordering, permuted
from models.labels.fits import condensed
from models.labels.switching import invariants, meaning, parameters
from models.mixture import Floats, Mixture, draws_by_mean, order_by_mean
from models.sample import Sample

if TYPE_CHECKING:
    from models.posterior.compiled import Sampler
    from models.posterior.density import Posterior

type Permutations = NDArray[np.intp]

# Spread of the chains' starting points, in standardised unconstrained coordinates.
JITTER = 0.1

# Effective draws that chains which go on aim for: R-hat scatters by MAX_RHAT - 1 at 400.
AIM = 800.0
# A chain grows by no less and no more in one step, whatever its effective draws promise.
GROWTH = (1.5, 4.0)
# Warm-up of a chain that goes on: it is there already, and only step size and metric are to find.
AGAIN = 200

# How much nearer to 1 the acceptance that NUTS aims for comes where draws diverge: .9, .975, .994.
CAREFUL = 4.0

# Observations of a large sample by which draws are judged.
JUDGED_BY = 20_000

# R-hat of what labels cannot touch, above which chains that have gone on to the end are in
# different modes rather than too short.
APART = 1.1

# nutpie's statistics that are kept, under their names in the ArviZ schema.
_STATISTICS = {
    "diverging": "diverging",
    "n_steps": "n_steps",
    "depth": "tree_depth",
    "maxdepth_reached": "reached_max_treedepth",
    "energy": "energy",
    "energy_error": "energy_error",
    "logp": "lp",
    "mean_tree_accept": "acceptance_rate",
    "step_size_bar": "step_size",
}


@dataclass(frozen=True)
class Settings:
    """How chains are run: see `methods.nuts`."""

    draws: int
    tune: int
    chains: int
    cores: int
    target_accept: float
    max_draws: int | None


class Chains(NamedTuple):
    """What chains came to.

    points: (chains, draws, d), after warm-up.
    stats: by name (chains, draws).
    iterations: of a chain, warm-up in.
    gradients: of all chains, warm-up in.
    """

    points: Floats
    stats: dict[str, NDArray[Any]]
    iterations: int
    gradients: int

    def followed_by(self, other: Chains) -> Chains:
        """Both, one after the other."""
        stats = {n: np.concatenate([v, other.stats[n]], axis=1) for n, v in self.stats.items()}
        return Chains(
            np.concatenate([self.points, other.points], axis=1),
            stats,
            self.iterations + other.iterations,
            self.gradients + other.gradients,
        )

    def in_place_of(self, other: Chains) -> Chains:
        """These, with what the others took."""
        iterations, gradients = self.iterations + other.iterations, self.gradients + other.gradients
        return self._replace(iterations=iterations, gradients=gradients)


class Judgement(NamedTuple):
    """What draws are worth.

    draws: (chains, draws, 3, K), of standardised data, as sampled or, if asked for, sorted.
    permutations: (chains, draws, K), that give them the components of the estimate: in the order
        of their means, or the model's own where something known tells them apart.
    convention: whether parameters by component are a convention: components that nothing known
        tells apart, whose modes overlap.
    label_free: the worst of what labels cannot touch.
    worst: the worst of all that is asked for: with the parameters by component, but where Stephens'
        relabelling of them is no more than a convention.
    divergent: share of the draws that diverged.
    """

    draws: Floats
    permutations: Permutations
    convention: bool
    label_free: Convergence
    worst: Convergence
    divergent: float

    @property
    def good(self) -> bool:
        """Whether the criterion holds."""
        return self.worst.good and self.divergent <= MAX_DIVERGENT


def sample(
    posterior: Posterior,
    sampler: Sampler,
    start: Mixture,
    rng: np.random.Generator,
    settings: Settings,
    *,
    ordered: bool,
) -> tuple[Chains, Judgement]:
    """Chains that go on until the criterion of `Judgement` holds, or to settings.max_draws.

    nutpie cannot be given a chain's state. A chain that goes on starts where it was, with a short
    warm-up of its own, whose draws are no part of it: each stretch is a chain of the same
    posterior. How much it grows hangs on the effective draws so far. Where too many draws diverge
    the chains have not gone where steps must be short: all are dropped, and longer ones made with
    shorter steps, CAREFUL times nearer to never rejecting.
    """
    k, chains = posterior.model.k, settings.chains
    numbered = np.broadcast_to(np.arange(k), (chains, k))
    if posterior.exchangeable:
        numbered = labellings(chains, k, rng)
    elif _switching(posterior.kinds):
        numbered = labellings_within(posterior.kinds, chains, rng)
    run, first = _Runner(posterior, sampler, rng, settings), starting_points(posterior, start)
    found = run([first] * chains, settings.tune, settings.draws, settings.target_accept)
    judge = _Judge(posterior, numbered, ordered)
    judged, accept = judge(found), settings.target_accept
    most = settings.draws if settings.max_draws is None else settings.max_draws
    while not judged.good and (so_far := found.points.shape[1]) < most:
        last = [_at(end) for end in found.points[:, -1]]
        longer = int(min(so_far * _growth(judged.worst), most))
        if judged.divergent > MAX_DIVERGENT:
            accept = 1.0 - (1.0 - accept) / CAREFUL
            found = run(last, settings.tune, longer, accept).in_place_of(found)
        else:
            more = run(last, min(settings.tune, AGAIN), longer - so_far, accept)
            found = found.followed_by(more)
        judged = judge(found)
    return found, judged


def _at(end: Floats) -> Callable[[int], Floats]:
    return lambda seed: end


def _growth(worst: Convergence) -> float:
    effective = np.nanmin([worst.ess_bulk, worst.ess_tail, AIM])
    return float(np.clip(AIM / max(effective, 1.0), *GROWTH))


def said(found: Chains, judged: Judgement) -> str:
    """What a fit says of its chains: how long they are, and why they ended."""
    chains, draws = found.points.shape[:2]
    worst = judged.worst
    length = (
        f"{chains} x {draws:,} draws: R-hat {worst.rhat:.4f}, ESS {worst.ess_bulk:.0f} (bulk) and "
        f"{worst.ess_tail:.0f} (tail), {found.stats['diverging'].sum()} divergences"
    )
    if judged.good:
        reason = "sampled to the end"
    elif judged.label_free.rhat > APART:
        reason = "not sampled to the end: chains are in modes between which they do not cross"
    elif judged.divergent > MAX_DIVERGENT:
        reason = "not sampled to the end: too many divergences"
    else:
        reason = "not sampled to the end: more draws are needed"
    overlap = "; components overlap, so that which is which is a convention"
    return f"{length}; {reason}{overlap if judged.convention else ''}"


class _Judge:
    """`Judgement` of chains, of one posterior and data set."""

    def __init__(self, posterior: Posterior, numbered: Permutations, ordered: bool) -> None:
        self.posterior, self.numbered, self.ordered = posterior, numbered, ordered
        self.x, self.counts = _stand_ins(posterior.data)

    def __call__(self, found: Chains) -> Judgement:
        draws = self.posterior.rows(found.points)
        draws = np.take_along_axis(draws, self.numbered[:, None, None, :], axis=-1)
        kinds = self.posterior.kinds
        switching = _switching(kinds)
        if switching and self.ordered:
            draws = draws_by_mean(draws, kinds)
        watched = invariants(draws, self.x, self.counts) | {"log posterior": found.stats["lp"]}
        chosen = np.broadcast_to(np.arange(draws.shape[-1]), draws[:, :, 0].shape)
        convention = False
        if switching:
            meant = meaning(draws, self.x, self.counts, loglik=watched["loglik"], kinds=kinds)
            convention = meant.convention
            if not self.ordered:
                chosen = meant.relabelling.permutations
            elif not convention:
                as_ordered = Relabelling(chosen, np.ones(draws.shape[:2]))
                convention = meant.at_odds(
                    ordering(draws) if self.posterior.exchangeable else as_ordered
                )
        if switching:
            means = permuted(draws, chosen).mean(axis=(0, 1))
            chosen = chosen[..., order_by_mean(means, kinds)]
        label_free = np.stack(list(watched.values()), axis=-1)
        asked = [label_free]
        if self.ordered or not convention:
            asked.append(parameters(permuted(draws, chosen)))
        return Judgement(
            draws,
            chosen,
            convention,
            convergence(label_free),
            convergence(np.concatenate(asked, axis=-1)),
            float(found.stats["diverging"].mean()),
        )


def _stand_ins(data: Sample) -> tuple[Floats, Floats]:
    """Standardised observations, and counts, by which draws are judged in place of all data."""
    part = data.thinned(JUDGED_BY, np.random.default_rng(0))
    return condensed((part.x - data.mean) / data.sd, part.counts * (data.n / part.n))


class _Runner:
    """Chains by nutpie, each by itself and with a seed of its own, whatever runs beside it."""

    def __init__(
        self, posterior: Posterior, sampler: Sampler, rng: np.random.Generator, settings: Settings
    ) -> None:
        self.shared, self.sampler, self.rng = posterior.shared, sampler, rng
        self.cores = min(settings.cores, settings.chains)

    def __call__(
        self, starts: list[Callable[[int], Floats]], tune: int, draws: int, target_accept: float
    ) -> Chains:
        import nutpie

        def chain(start: Callable[[int], Floats], seed: int) -> Any:
            try:
                return nutpie.sample(
                    self.sampler.with_data(self.shared, start),
                    draws=draws,
                    tune=tune,
                    chains=1,
                    cores=1,
                    target_accept=target_accept,
                    seed=seed,
                    progress_bar=False,
                    return_raw_trace=True,
                )
            except BaseException as error:  # a panic of Rust is no Exception, and ends the process
                if type(error).__name__ != "PanicException":
                    raise
                raise RuntimeError(f"the sampler cannot go on from here: {error}") from None

        seeds = self.rng.integers(2**63, size=len(starts)).tolist()
        if self.cores == 1:
            traces = [chain(*job) for job in zip(starts, seeds, strict=True)]
        else:
            with ThreadPoolExecutor(self.cores) as pool:
                traces = list(pool.map(chain, starts, seeds))
        return _chains(traces, tune)


def _chains(traces: list[Any], tune: int) -> Chains:
    """Of nutpie's raw traces of one chain each.

    Its own reading into a DataTree, with all that it stores, takes as long as sampling a small
    data set.
    """
    import pyarrow

    parts, batches = (
        [pyarrow.record_batch(part) for (part,) in side]
        for side in zip(*(trace.get_arrow_trace() for trace in traces), strict=True)
    )
    points = np.stack([p["point"].flatten().to_numpy().reshape(len(p), -1) for p in parts])
    stats = {
        new: np.stack([batch[old].to_numpy(zero_copy_only=False) for batch in batches])
        for old, new in _STATISTICS.items()
    }
    return Chains(
        points[:, tune:],
        {name: values[:, tune:] for name, values in stats.items()},
        points.shape[1],
        int(stats["n_steps"].sum()),
    )


def starting_points(posterior: Posterior, start: Mixture) -> Callable[[int], Floats]:
    """A chain's starting point (d,) by its seed: `start` and jitter."""
    centre = posterior.point(posterior.oriented(start))

    def point(seed: int) -> Floats:
        return centre + JITTER * np.random.default_rng(seed).standard_normal(centre.size)

    return point


def _switching(kinds: NDArray[np.intp]) -> bool:
    """Whether some components may change places."""
    return np.unique(kinds).size < kinds.size


def labellings_within(
    kinds: NDArray[np.intp], chains: int, rng: np.random.Generator
) -> Permutations:
    """(chains, K): the same where only components of one kind (K,) may change places."""
    found = np.tile(np.arange(kinds.size), (chains, 1))
    for kind in np.unique(kinds):
        own = np.flatnonzero(kinds == kind)
        found[:, own] = own[labellings(chains, own.size, rng)]
    return found


def labellings(chains: int, k: int, rng: np.random.Generator) -> Permutations:
    """(chains, K): the order in which each chain numbers the components, spread evenly.

    No labelling twice before each of the K! has come once: of two components, half of the chains
    have each. An exchangeable posterior is the same function whatever the numbering, so that a
    chain numbered otherwise is one that starts in another labelling.
    """
    return np.array(list(islice(cycle(permutations(rng.permutation(k))), chains)))
