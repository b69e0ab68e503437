"""What theory says of a mixture without simulating it: information, efficiency bound, EM's rate.

Expectations over one observation are integrals, taken by quadrature: a sample whose points are
the nodes and whose counts are the weights times the density.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
from scipy.special import roots_jacobi

from models import fit
from models.likelihood import complete_information
from models.mixture import Floats, Mixture
from models.model import MixtureModel
from models.problem import Data
from models.starts import candidates
from models.uncertainty import score_and_information, standard_errors
from study.truth import Normal, StudentT, Truth

DEGREE = 16

# Observations that a quadrature stands for in a search for the target, for the search's certificate
# is in standard errors: it is good for samples of up to this size.
LARGE = 1e6


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
        x, weights = _legendre(edges)
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


def target(truth: Truth, model: MixtureModel) -> Mixture | None:
    """What the model's estimates tend to in large samples, components in the order of their means.

    The truth itself where the model holds; else the parameters at which the Kullback-Leibler
    divergence from the truth to the model is least (White 1982), by EM on `quadrature` from the
    shared list of starts. As in samples, that is the highest regular
    maximum: the expected log-likelihood of rounded observations is unbounded at their points.
    None where the target is not identified: fewer normal components than the model's are the
    truth, maxima are equally high, or no search ends in a certified one.
    """
    if isinstance(truth.family, Normal) and truth.round_to is None:
        parts = truth.components.as_rows()[:, truth.components.weights > 0]
        if np.unique(parts[1:], axis=1).shape[1] < model.k:
            return None
        if _holds(model, truth.components):
            return truth.components.by_mean()
    nodes = quadrature(truth)
    nodes = Data(nodes.x, LARGE * nodes.counts)
    starts = candidates(nodes, model, np.random.default_rng(0))
    found = [end for end in (_maximum(nodes, model, start) for start in starts) if end is not None]
    best = max((loglik for loglik, _ in found), default=0.0)
    highest = [_tied(mixture) for loglik, mixture in found if loglik > best - 1e-9 * LARGE]
    rows = [mixture.as_rows() / [[1.0], [nodes.sd], [nodes.sd]] for mixture in highest]
    same = all(np.allclose(other, rows[0], rtol=0.0, atol=1e-3) for other in rows)
    return highest[0] if highest and same else None


def _maximum(nodes: Data, model: MixtureModel, start: Mixture) -> tuple[float, Mixture] | None:
    """(log-likelihood, mixture) of the certified maximum that EM ends in, if it ends in one."""
    found = fit(
        "em-squarem",
        nodes.x,
        model,
        counts=nodes.counts,
        start=start,
        compress=False,
        tol=1e-11,
        max_iter=1000,
    )
    certain = found.certificate is not None and found.certificate.certified
    return (found.loglik, found.mixture) if certain and found.mixture is not None else None


def _tied(mixture: Mixture) -> Mixture:
    """The mixture with means that rounding alone tells apart made equal, in the order of means."""
    means = mixture.means.copy()
    for j in range(1, mixture.k):
        if means[j] - means[j - 1] < 1e-6 * mixture.variance**0.5:
            means[j] = means[j - 1]
    return Mixture(mixture.weights, means, mixture.sds).by_mean()


def _holds(model: MixtureModel, truth: Mixture) -> bool:
    """Whether the truth, its components in some order, is one of the model's mixtures."""
    orders = permutations(range(truth.k)) if truth.k == model.k else ()
    return any(
        np.allclose(model.admit(truth.permuted(o)).as_rows(), truth.permuted(o).as_rows(), 1e-12, 0)
        for o in orders
    )


def nodes(*mixtures: Mixture, cells: int = 96) -> tuple[Floats, Floats]:
    """Points (m,) and weights (m,) of integrals over the line of what the mixtures' densities make.

    Gauss-Legendre in `cells` cells a component, with the default no wider than a quarter of the sd
    of any component near them.
    """
    reach = np.linspace(-12.0, 12.0, cells + 1)[:, None]
    edges = np.concatenate([(m.means + m.sds * reach).ravel() for m in mixtures])
    return _legendre(np.unique(edges))


def _legendre(edges: Floats) -> tuple[Floats, Floats]:
    """Gauss-Legendre points and weights of the cells between ascending edges."""
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
