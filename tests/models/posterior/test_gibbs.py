"""The Gibbs sampler: against the law that its joint distribution obeys, and known posteriors."""

from itertools import combinations
from math import comb, lgamma

import numpy as np
import pytest
from scipy.special import logsumexp

from models import MixtureModel, fit
from models.posterior import gibbs
from models.priors import Dirichlet, Flat, InverseGamma, Normal, Prior, SharedScale
from models.sample import Data
from tests.models.galaxies import GALAXIES
from tests.models.posterior.settings import mean_and_variance

PRIOR = Prior(Dirichlet(1.0), Normal(0.0, 2.0), InverseGamma(3.0, 2.0))
SHARED = Prior(Dirichlet(2.0), Normal(0.0, 2.0), SharedScale(2.0, 1.5, 0.05, 1.0))


@pytest.mark.parametrize("prior", [PRIOR, SHARED], ids=["inverse gamma", "shared scale"])
def test_with_data_drawn_anew_at_each_step_the_draws_are_the_priors(prior):
    """Geweke (2004): of parameters and data by turns the parameters have their prior.

    400 chains of 12 turns from the prior; means of five functions within 4.5 errors, which a
    right sampler fails once in 15,000 runs.
    """
    rng = np.random.default_rng(1)
    k, n, found, expected = 2, 6, [], []
    for _ in range(400):
        w = rng.dirichlet(np.full(k, prior.weights.concentration))
        mean, v = rng.normal(prior.means.mean, prior.means.sd, k), prior.sds.sample(k, rng)
        expected.append(np.stack([w, mean, v]))
        rows = np.stack([w, mean, np.sqrt(v)])
        for _ in range(12):
            labels = rng.choice(k, size=n, p=rows[0])
            x = rows[1, labels] + rows[2, labels] * rng.standard_normal(n)
            data = np.empty((1, 3, k))
            gibbs.kernels.gibbs(
                gibbs.kernels.fixed(x), gibbs.conjugate(prior), labels.astype(np.int64), data, rng
            )
            rows = data[0].copy()
            rows[2] = np.sqrt(rows[2])
        found.append(data[0])

    def functions(draws):
        w, mean, v = np.moveaxis(np.array(draws), 1, 0)
        return np.stack(
            [w[:, 0] ** 2, mean[:, 0] ** 2, mean.prod(axis=1), np.log(v[:, 0]), v[:, 0] ** -1],
            axis=1,
        )

    one, other = functions(found), functions(expected)
    z = (one.mean(axis=0) - other.mean(axis=0)) / np.sqrt(
        (one.var(axis=0) + other.var(axis=0)) / 400
    )
    assert np.abs(z).max() < 4.5


def test_one_component_has_its_conjugate_posterior():
    x = np.random.default_rng(0).normal(1.0, 1.0, 30)
    found = gibbs.sample(Data(x, np.ones(30)), PRIOR, 1, np.random.default_rng(0), draws=2000)
    assert found.rows.shape == (4, 2000, 3, 1)
    assert np.all(found.occupied == 1.0)
    precision = found.rows[:, :, 2, 0] ** -2
    # E(1/v | mean) = (shape + n/2)/(scale + SS/2), averaged over the draws of the mean.
    squares = ((x[:, None, None] - found.rows[None, :, :, 1, 0]) ** 2).sum(axis=0)
    expected = (3.0 + 15.0) / (2.0 + 0.5 * squares)
    error = (precision - expected).std() / np.sqrt(8000)
    assert abs((precision - expected).mean()) < 4.5 * error


def by_all_partitions(x, prior, k):
    """(K,): posterior probabilities that 1, ..., K components hold observations, exactly.

    Of each block of each partition the marginal likelihood is an integral over its mean.
    """
    e, (m, s), (a, b) = (
        prior.weights.concentration,
        (prior.means.mean, prior.means.sd),
        (prior.sds.shape, prior.sds.scale),
    )
    grid = np.linspace(m - 8 * s, m + 8 * s, 4001)
    weights = -0.5 * ((grid - m) / s) ** 2
    weights -= logsumexp(weights)

    def block(own):
        squares = ((x[list(own)][:, None] - grid) ** 2).sum(axis=0)
        shape = a + 0.5 * len(own)
        value = logsumexp(weights - shape * np.log(b + 0.5 * squares))
        value += lgamma(shape) - 0.5 * len(own) * np.log(2 * np.pi)
        return value + a * np.log(b) - lgamma(a) + lgamma(e + len(own)) - lgamma(e)

    subsets = (own for size in range(1, x.size + 1) for own in combinations(range(x.size), size))
    blocks = {own: block(own) for own in subsets}
    logs = [[] for _ in range(k)]
    partitions = [[[0]]]
    for i in range(1, x.size):
        partitions = [
            [*own[:j], [*own[j], i], *own[j + 1 :]] if j < len(own) else [*own, [i]]
            for own in partitions
            for j in range(len(own) + 1)
        ]
    for own in partitions:
        if (held := len(own)) <= k:  # by any of the components
            labelled = lgamma(k + 1) - lgamma(k - held + 1)
            logs[held - 1].append(labelled + sum(blocks[tuple(part)] for part in own))
    total = np.array([logsumexp(each) if each else -np.inf for each in logs])
    return np.exp(total - logsumexp(total))


@pytest.mark.parametrize(("k", "concentration"), [(3, 0.5), (10, 0.5), (10, 0.01)])
def test_the_number_that_hold_observations_is_that_of_a_sum_over_all_partitions(k, concentration):
    """Of seven observations, 877 partitions; 4.5 errors of 20 numbers: a false alarm in 7,000."""
    x = np.array([-1.5, -1.1, -0.2, 0.3, 0.9, 2.8, 3.4])
    prior = Prior(Dirichlet(concentration), Normal(0.0, 2.0), InverseGamma(3.0, 1.0))
    exact = by_all_partitions(x, prior, k)
    assert exact.max() < 0.6
    found = gibbs.overfitted(
        Data(x, np.ones(7)), np.random.default_rng(0), concentration,
        k=k, prior=prior, draws=10_000,
    )  # fmt: skip
    seen = found.error > 0.0
    assert exact[~seen].sum() < 1e-3
    assert np.all(np.abs(found.probability - exact)[seen] < 4.5 * found.error[seen])
    assert found.error.max() < 0.02


def label_free(rows, x):
    """{name: (chains, draws)} of what labels cannot touch, of draws (chains, draws, 3, K).

    Given a draw, that all observations are in some of the components is a product over them;
    inclusion and exclusion give how many hold observations.
    """
    w, mean, sd = (row[..., None, :] for row in np.moveaxis(rows, 2, 0))

    def joint(at):
        return w / sd * np.exp(-0.5 * ((at[:, None] - mean) / sd) ** 2) / np.sqrt(2 * np.pi)

    found = {
        f"density at the {level:.0%} point": joint(np.quantile(x, [level])).sum(axis=(-1, -2))
        for level in (0.02, 0.5, 0.98)
    }
    parts = joint(x)
    t = parts / parts.sum(axis=-1, keepdims=True)
    overall = (w * mean).sum(axis=-1, keepdims=True)
    variance = (w * (sd**2 + (mean - overall) ** 2)).sum(axis=(-1, -2))
    found |= {
        "sum of squared weights": (w**2).sum(axis=(-1, -2)),
        "mean": overall[..., 0, 0],
        "log variance": np.log(variance),
        "log-likelihood": np.log(parts.sum(axis=-1)).sum(axis=-1),
        "entropy": -(t * np.log(np.maximum(t, 1e-300))).sum(axis=(-1, -2)),
    }
    k = t.shape[-1]
    inside = [
        sum(t[..., list(own)].sum(axis=-1).prod(axis=-1) for own in combinations(range(k), held))
        for held in range(1, k + 1)
    ]
    for held in range(1, k + 1):
        found[f"{held} hold observations"] = sum(
            (-1) ** (held - few) * comb(k - few, held - few) * inside[few - 1]
            for few in range(1, held + 1)
        )
    return found


@pytest.mark.workflow
@pytest.mark.parametrize(
    ("k", "sds"), [(2, InverseGamma(3.0, 2.0)), (3, SharedScale(2.0, 0.2, 1e-4, 1.0))]
)
def test_an_overfitted_mixture_is_sampled_as_by_nuts(k, sds):
    """Sixty normal observations, weights Dirichlet(.5), of which one component or more are empty
    in a fifth to a half of the posterior. 4.5 errors of 13 and 14 numbers: a false alarm in 5,000.
    """
    x = np.random.default_rng(19).normal(size=60)
    prior = Prior(Dirichlet(0.5), Normal(0.0, 3.0), sds)
    one = fit("nuts", x, MixtureModel(k), prior=prior, draws=2000)
    assert one.verdict() == "sampled"
    rng = np.random.default_rng(0)
    held = gibbs.sample(Data(x, np.ones(60)), prior, k, rng, draws=10_000, thin=2)
    theirs, ours = label_free(one.relabelled_draws, x), label_free(held.rows, x)
    ours |= {f"{i} hold observations": (held.occupied == i).astype(float) for i in range(1, k + 1)}
    assert 0.1 < theirs[f"{k} hold observations"].mean() < 0.9
    for name, draws in ours.items():
        (own, variance), (other, more) = map(mean_and_variance, (draws, theirs[name]))
        assert abs(own - other) < 4.5 * np.sqrt(variance + more), name
        if "hold" in name:
            assert np.sqrt(variance + more) < 0.02, name


def test_counts_are_repetitions():
    x, counts = np.array([0.0, 1.0, 4.0]), np.array([3.0, 2.0, 4.0])
    one = gibbs.sample(Data(x, counts), PRIOR, 2, np.random.default_rng(0), draws=20)
    other = gibbs.sample(
        Data(np.repeat(x, counts.astype(int)), np.ones(9)), PRIOR, 2,
        np.random.default_rng(0), draws=20,
    )  # fmt: skip
    np.testing.assert_array_equal(one.rows, other.rows)
    with pytest.raises(ValueError, match="counts: are not whole numbers"):
        gibbs.sample(Data(x, counts + 0.5), PRIOR, 2, np.random.default_rng(0))


def test_components_that_are_not_needed_empty_where_the_weights_prior_is_small():
    data, rng = Data(GALAXIES, np.ones(82)), np.random.default_rng(0)
    few = gibbs.overfitted(data, rng, 0.01, draws=500)
    many = gibbs.overfitted(data, rng, 0.5, draws=500)
    assert few.probability.sum() == pytest.approx(1.0)
    assert few.probability[:5].sum() > 0.95  # of the galaxies' 3 to 5
    assert many.probability[5:].sum() > 0.8
    assert np.all(few.error >= 0.0)


def test_only_conjugate_priors():
    with pytest.raises(ValueError, match="is not of Dirichlet, one Normal, and InverseGamma"):
        gibbs.conjugate(Prior(Dirichlet(), Flat(), InverseGamma(1.0, 1.0)))
