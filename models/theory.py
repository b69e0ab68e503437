"""What theory says of a mixture without simulating it: information, efficiency bound, EM's rate.

Expectations over one observation are integrals, taken by quadrature: a sample whose points are
the nodes and whose counts are the weights times the density.
"""

from __future__ import annotations

import numpy as np
from scipy.special import roots_jacobi

from models.inference.certificate import standard_errors
from models.likelihood import (
    SecondMoments,
    complete_information,
    score,
    score_and_information,
)
from models.mixture import Floats, Mixture
from models.model import MixtureModel
from models.sample import Data, Sample
from models.truth import DEGREE, StudentT, Truth, legendre


def quadrature(truth: Mixture | Truth) -> Data:
    """Nodes and weights that stand for one observation from the truth; the counts sum to 1.

    Gauss-Legendre in cells no wider than a quarter of the sd of any component near them; beyond
    the cells of t components Gauss-Jacobi in 1/x, which takes up to second moments exactly. Of
    rounded observations, the points that they fall on and their probabilities.
    """
    truth = Truth(truth) if isinstance(truth, Mixture) else truth
    parts = truth.components
    edges = np.unique(parts.means + parts.sds * truth.family.edges[:, None])
    if truth.round_to is not None:
        step = truth.round_to
        x = step * np.arange(np.floor(edges[0] / step), np.ceil(edges[-1] / step) + 1)
        edges = np.append(x - 0.5 * step, x[-1] + 0.5 * step)
        counts = np.diff(truth.cdf(edges))
    else:
        x, weights = legendre(edges)
        counts = weights * truth.density(x)
    if isinstance(truth.family, StudentT):
        tails = [_tail(truth, truth.family.df, edge) for edge in edges[[0, -1]]]
        x, counts = (np.concatenate(arrays) for arrays in zip((x, counts), *tails, strict=True))
    kept = counts > 0
    return Data(x[kept], counts[kept])


def _tail(truth: Truth, df: float, edge: float) -> tuple[Floats, Floats]:
    """Nodes from the edge outwards, at u = reach/(x - mean) in (0, 1), and their weights.

    The density times x^2 dx is u^(df - 3) du times what is smooth.
    """
    mean, power = truth.components.mean, df - 3.0
    nodes, weights = roots_jacobi(DEGREE, 0.0, power)
    u, reach = 0.5 * (1.0 + nodes), edge - mean
    x = mean + reach / u
    return x, weights / (1.0 + nodes) ** power * truth.density(x) * abs(0.5 * reach) / u**2


def expected_information(truth: Mixture, model: MixtureModel) -> Floats:
    """(p, p): Fisher information of one observation, in the model's unconstrained coordinates."""
    second = quadrature(truth).second_moments(truth)
    return score_and_information(truth, model, second)[1]


def efficiency_bound(truth: Mixture, model: MixtureModel, n: float) -> Floats:
    """(3, K): Cramer and Rao's bound on the standard errors from n observations."""
    return standard_errors(truth, model, n * expected_information(truth, model))


def labelled_bound(truth: Mixture, model: MixtureModel, n: float) -> Floats:
    """(3, K): the same bound where each observation comes with its component's label."""
    return standard_errors(
        truth, model, n * _complete(truth, model, quadrature(truth).second_moments(truth))
    )


def _complete(mixture: Mixture, model: MixtureModel, second: SecondMoments) -> Floats:
    """(p, p): the expected complete-data information in the model's coordinates."""
    slope = score(mixture, second.t)  # Fisher's identity
    return model.pulled(mixture, slope, complete_information(mixture, second))[1]


def missing_information(mixture: Mixture, model: MixtureModel, data: Sample) -> Floats:
    """(p,), descending: the fractions of information that the labels held, by direction.

    Eigenvalues of I - Ic^-1 Io (Dempster, Laird and Rubin 1977, section 3): near a maximum each
    EM step shrinks the error along a direction by its fraction, so that the first is EM's rate,
    and differences of the log-likelihood shrink by its square. data: a sample, or `quadrature`.
    """
    second = data.second_moments(mixture)
    observed = score_and_information(mixture, model, second)[1]
    complete = _complete(mixture, model, second)
    # Of the symmetric form Ic^-1/2 Io Ic^-1/2, which has the same eigenvalues.
    root = np.linalg.inv(np.linalg.cholesky(complete))
    return 1.0 - np.linalg.eigvalsh(root @ observed @ root.T)
