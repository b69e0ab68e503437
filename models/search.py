"""The highest maximum that there is evidence for, from many starts: for fits by the hundred.

Where K is in question more components than the data hold are fitted too, whose likelihood has many
maxima. Starts are the shared list and, of a fit with fewer components, each of these split in two,
so that more components are never behind (Ueda, Nakano, Ghahramani and Hinton 2000).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from models.em import em_squarem, em_steps
from models.inference.newton import Point, climb, derivatives, labelled_information
from models.mixture import Floats, Mixture
from models.model import MixtureModel
from models.sample import Data
from models.solution import Collapse
from models.starts import candidates
from models.verdicts import SAME, believable

# Steps of EM by which starts are screened; SQUAREM's step, in unit-free coordinates, and cycles,
# until Newton's method takes over.
SCREENED = 10
NEAR, CYCLES = 1e-2, 30
STEPS = 100
# What SQUAREM is given, and does not draw from.
_UNUSED = np.random.default_rng(0)
# Of a component's sd: how far its halves are put from its mean, and how wide, as two apart, as a
# narrow and a wide one.
APART, WITHIN = 0.8, 0.6
NARROWER, WIDER = 0.6, 1.4


class Top(NamedTuple):
    """The end of a search.

    mixture: of the highest regular maximum that is believed; None if there is none.
    loglik: nats there; -inf if there is none.
    passes: over the data, of all starts.
    other: a regular maximum that is higher but not believed; None if there is none.
    higher: nats by which it is.
    """

    mixture: Mixture | None
    loglik: float
    passes: int
    other: Mixture | None = None
    higher: float = 0.0


def highest(
    data: Data,
    model: MixtureModel,
    rng: np.random.Generator,
    starts: int,
    near: Sequence[Mixture] = (),
) -> Top:
    """The Top of the data from so many of the screened starts, and those near it, all of them.

    near: mixtures of the model's K to start from, or of fewer components, one of which at a time
    is split.
    """
    own = [one for one in near if one.k == model.k]
    split = [half for one in near if one.k == model.k - 1 for half in halved(one)]
    listed = candidates(data, model, rng, 3 * starts) if starts else []
    screened, passes = _screened(data, model, [*split, *listed])
    ends: list[tuple[float, Mixture]] = []
    for start in [*(model.admit(one) for one in own), *screened[: starts or len(split)]]:
        end, taken = _end(data, model, start)
        passes += taken
        if end is not None and all(abs(end[0] - other) > SAME for other, _ in ends):
            ends.append(end)
    ends.sort(key=lambda end: -end[0])
    other = ends[0][1] if ends else None
    for loglik, mixture in ends:
        if believable(mixture, model, data, loglik):
            higher = ends[0][0] - loglik
            return Top(mixture, loglik, passes, other if higher > 0.0 else None, higher)
    return Top(None, -np.inf, passes, other)


def halved(mixture: Mixture) -> Iterator[Mixture]:
    """Mixtures with one component more: each in turn as two apart, and as a narrow and a wide."""
    for j in range(mixture.k):
        w, m, s = mixture.as_rows()[:, j]
        for means, sds in (
            ((m - APART * s, m + APART * s), (WITHIN * s, WITHIN * s)),
            ((m, m + 0.05 * s), (NARROWER * s, WIDER * s)),
        ):
            others = np.delete(mixture.as_rows(), j, axis=1)
            pair = np.array([(0.5 * w, 0.5 * w), means, sds])
            yield Mixture.of_rows(np.hstack([others, pair]))


def _screened(
    data: Data, model: MixtureModel, listed: Sequence[Mixture]
) -> tuple[list[Mixture], int]:
    """Where short runs from the list lead, the best first; none that collapses or is another's."""
    if model.k == 1:
        return [model.admit(one) for one in listed[:1]], 0
    found: dict[float, Mixture] = {}
    passes = 0
    for start in listed:
        end, _, steps = em_steps(data, model, model.admit(start), SCREENED)
        passes += steps + 1
        if not data.collapsed(end, model):
            found.setdefault(data.moments(end).loglik, end)
    return [found[loglik] for loglik in sorted(found, reverse=True)], passes


def _end(
    data: Data, model: MixtureModel, start: Mixture
) -> tuple[tuple[float, Mixture] | None, int]:
    """The regular maximum that a start leads to, with its log-likelihood; passes on the way."""
    passes = 0
    if model.k > 1:
        try:
            run = em_squarem(data, model, start, _UNUSED, tol=NEAR, max_iter=CYCLES)
        except Collapse:
            return None, 3 * CYCLES
        start, passes = run.mixture, run.evaluations["moments"]
    looked = 0

    def evaluate(at: Floats) -> Point | None:
        nonlocal looked
        looked += 1
        return derivatives(data, model, at)

    def labelled(mixture: Mixture) -> Floats:
        return labelled_information(mixture, model, data.n)

    eta = model.pack(start)
    point, regular = climb(evaluate, labelled, eta, np.arange(eta.size), STEPS)
    passes += looked
    return (None if point is None or not regular else (point.loglik, point.mixture)), passes
