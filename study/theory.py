"""What theory says of a mixture without simulating it: information, efficiency bound, EM's rate.

Expectations over one observation are integrals, taken by quadrature: a sample whose points are
the nodes and whose counts are the weights times the density.
"""

from __future__ import annotations

import numpy as np

from models.likelihood import complete_information
from models.mixture import Floats, Mixture
from models.model import MixtureModel
from models.problem import Data
from models.uncertainty import score_and_information, standard_errors

# Beyond REACH sds a component has no mass that doubles can hold beside 1.
REACH, CELLS, DEGREE = 12.0, 96, 16


def quadrature(truth: Mixture) -> Data:
    """Nodes and weights that stand for one observation from the mixture; the counts sum to 1."""
    x, weights = nodes(truth)
    counts = weights * truth.density(x)
    kept = counts > 0
    return Data(x[kept], counts[kept])


def nodes(*mixtures: Mixture, cells: int = CELLS) -> tuple[Floats, Floats]:
    """Points (m,) and weights (m,) of integrals over the line of what the mixtures' densities make.

    Gauss-Legendre in `cells` cells a component, with the default no wider than a quarter of the sd
    of any component near them.
    """
    reach = np.linspace(-REACH, REACH, cells + 1)[:, None]
    edges = np.unique(np.concatenate([(m.means + m.sds * reach).ravel() for m in mixtures]))
    points, weights = np.polynomial.legendre.leggauss(DEGREE)
    half = 0.5 * np.diff(edges)[:, None]
    return (edges[:-1, None] + half + half * points).ravel(), (half * weights).ravel()


def expected_information(truth: Mixture, model: MixtureModel) -> Floats:
    """(p, p): Fisher information of one observation, in the model's unconstrained coordinates."""
    second = quadrature(truth).second_moments(truth)
    return score_and_information(truth, model, second)[1]


def efficiency_bound(truth: Mixture, model: MixtureModel, n: float) -> Floats:
    """(3, K): Cramer and Rao's bound on the standard errors from n observations."""
    return standard_errors(truth, model, n * expected_information(truth, model))


def labelled_bound(truth: Mixture, model: MixtureModel, n: float) -> Floats:
    """(3, K): the same bound where each observation comes with its component's label."""
    complete = complete_information(truth, quadrature(truth).second_moments(truth))
    selected = model.selection.T @ complete @ model.selection
    return standard_errors(truth, model, n * selected)


def missing_information(mixture: Mixture, model: MixtureModel, data: Data) -> Floats:
    """(p,), descending: the fractions of information that the labels held, by direction.

    Eigenvalues of I - Ic^-1 Io (Dempster, Laird and Rubin 1977, section 3): near a maximum each
    EM step shrinks the error along a direction by its fraction, so that the first is EM's rate,
    and differences of the log-likelihood shrink by its square. data: a sample, or `quadrature`.
    """
    second = data.second_moments(mixture)
    observed = score_and_information(mixture, model, second)[1]
    complete = model.selection.T @ complete_information(mixture, second) @ model.selection
    # Of the symmetric form Ic^-1/2 Io Ic^-1/2, which has the same eigenvalues.
    root = np.linalg.inv(np.linalg.cholesky(complete))
    return 1.0 - np.linalg.eigvalsh(root @ observed @ root.T)
