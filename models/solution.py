"""What a method gives back: a Solution with its Trace, or a Collapse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.frame import Frame
from models.mixture import Floats, Mixture

if TYPE_CHECKING:
    from models.priors import Prior


class Collapse(ArithmeticError):
    """A component collapsed onto a point: the likelihood is unbounded there.

    mixture: where it was given up, its sds raised to the floor that stopped it.
    """

    def __init__(self, mixture: Mixture, floor: float) -> None:
        j = int(np.argmin(mixture.sds))
        self._where = mixture.means[j], mixture.sds[j], floor
        self.mixture = Mixture.trusted(
            mixture.weights, mixture.means, np.maximum(mixture.sds, floor)
        )
        super().__init__(self.said(Frame()))

    def said(self, frame: Frame) -> str:
        """What happened, in the data's units, of a fit that ran in the frame."""
        mean, (sd, floor) = frame.outside(self._where[0]), frame.widths(np.array(self._where[1:]))
        return (
            f"component at {mean:.6g} collapsed: sd {sd:.3g} is below {floor:.3g}, a billionth of "
            "the data's scale"
        )


@dataclass(frozen=True, eq=False)
class Solution:
    """The end of one method's run, components in the model's own order.

    mixture: the estimate.
    converged: the method's own word.
    message: what it says of that.
    n_iter: iterations, as the method counts them.
    evaluations: how often each kind of evaluation was made; "moments" and "second_moments" are
        passes over the data.
    trace: if it was asked for.
    se: (3, K) standard errors where the method has its own (posterior sds); else None.
    draws: of samplers, an ArviZ DataTree.
    permutations: of samplers, (chains, draws, K), that give the draws the components of mixture.
    convention: whether those are a convention, for components that nothing known tells apart
        overlap.
    diagnostics: of samplers, R-hat, ESS, divergences and the length of the chains; of methods with
        a prior, its pull.
    prior: what the objective has beside the log-likelihood, a penalty included; None where that
        is all.
    exchangeable: False where a prior tells the components apart, so that labels mean something.
    compile_seconds: how much of the running time went into compilation.
    """

    mixture: Mixture
    converged: bool
    message: str
    n_iter: int
    evaluations: dict[str, int]
    trace: Trace | None = None
    se: Floats | None = None
    draws: Any = None
    permutations: NDArray[np.intp] | None = None
    convention: bool = False
    diagnostics: dict[str, float] = field(default_factory=dict)
    prior: Prior | None = None
    exchangeable: bool = True
    compile_seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class Trace:
    """A method's way, by iteration from the start.

    loglik: (m,), nats.
    parameters: (m, 3, K), weights, means and sds in data units.
    passes: (m,), over the data, counted until the log-likelihood there was known.
    """

    loglik: Floats
    parameters: Floats = field(repr=False)
    passes: NDArray[np.int64] = field(repr=False)

    @classmethod
    def of(cls, logliks: Sequence[float], path: Sequence[Mixture], passes: Sequence[int]) -> Trace:
        """From a list each."""
        rows = np.stack([mixture.as_rows() for mixture in path])
        return cls(np.array(logliks), rows, np.array(passes))
