"""Laws of models/priors.py: densities against scipy, derivatives against finite differences."""

import itertools
import math
from functools import cache

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from models.mixture import Mixture
from models.model import MixtureModel
from models.priors import (
    Dirichlet,
    Flat,
    HalfNormal,
    HalfStudentT,
    InverseGamma,
    LogInverseGamma,
    LogNormal,
    Normal,
    Prior,
    SharedScale,
    StudentT,
    resolution,
)
from models.sample import Data

SD_PRIORS = [
    InverseGamma(2.5, 1.7),
    LogInverseGamma(0.01, 0.03),
    LogNormal(0.3, 0.8),
    HalfNormal(1.9),
    HalfStudentT(3.0, 2.5),
    SharedScale(2.5, 0.3, 0.02, 3.0),
    Flat(),
]
MODELS = {
    "free": MixtureModel(3),
    "equal_sds": MixtureModel(3, equal_sds=True),
    "known_means": MixtureModel(3, means=[-1.0, 0.5, 2.0]),
    "known_sds": MixtureModel(3, sds=[0.4, 1.0, 2.5]),
    "weights_only": MixtureModel(2, means=[0.0, 2.0], sds=1.0),
    "one_component": MixtureModel(1),
}
models = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
sd_priors = pytest.mark.parametrize("sds", SD_PRIORS, ids=lambda p: type(p).__name__)


def random_mixture(model: MixtureModel, seed: int) -> Mixture:
    rng = np.random.default_rng(seed)
    return model.admit(
        Mixture(
            rng.dirichlet(np.full(model.k, 3.0)),
            rng.normal(0.0, 2.0, model.k),
            rng.lognormal(0.0, 0.5, model.k),
        )
    )


def scipy_log_density(prior: Prior, mixture: Mixture, model: MixtureModel) -> float:
    total = 0.0
    if isinstance(prior.weights, Dirichlet) and model.k > 1:
        alpha = np.full(model.k, prior.weights.concentration)
        total += stats.dirichlet(alpha).logpdf(mixture.weights)
    if isinstance(prior.means, Normal) and model.means is None:
        total += stats.norm(prior.means.mean, prior.means.sd).logpdf(mixture.means).sum()
    if isinstance(prior.means, StudentT) and model.means is None:
        df, location, scale = prior.means.df, prior.means.location, prior.means.scale
        total += stats.t(df, location, scale).logpdf(mixture.means).sum()
    sds = mixture.sds[:1] if model.equal_sds else mixture.sds
    if model.sds is None:
        match prior.sds:
            case InverseGamma(shape, scale):
                total += stats.invgamma(shape, scale=scale).logpdf(sds**2).sum()
            case LogInverseGamma(shape, scale):
                variance = stats.invgamma(shape, scale=scale)
                total += (variance.logpdf(sds**2) + np.log(2.0 * sds**2)).sum()
            case LogNormal(mu, sigma):
                total += stats.lognorm(sigma, scale=np.exp(mu)).logpdf(sds).sum()
            case HalfNormal(scale):
                total += stats.halfnorm(scale=scale).logpdf(sds).sum()
            case HalfStudentT(df, scale):
                total += (stats.t(df, scale=scale).logpdf(sds) + math.log(2.0)).sum()
            case SharedScale(shape, tail, finest, widest):
                s, m = (sds**-2.0).sum(), sds.size
                total += stats.gamma(shape, scale=1.0).logpdf(sds**-2.0).sum() + s
                total += 2.0 * np.log(sds**-2.0).sum() - finest * s
                total -= (m * shape + tail) * np.log(1.0 / widest + s)
                total += math.lgamma(shape * m + tail) - math.lgamma(tail)
                total -= tail * np.log(widest) + np.log(_kept(prior.sds, m))
    return float(total)


@cache
def _kept(prior: SharedScale, m: int) -> float:
    """Share of m variances from the prior without its `finest` factor that the factor leaves."""
    a, b = m * prior.shape, prior.tail

    def of(t: float) -> float:  # the sum of the precisions is beta prime, in units of 1/widest
        return float(stats.betaprime(a, b).pdf(np.exp(t)) * np.exp(t - ratio * np.exp(t)))

    ratio = prior.finest / prior.widest
    return float(quad(of, -60.0, 60.0, limit=500, epsabs=0.0, epsrel=1e-13)[0])


@models
@sd_priors
@pytest.mark.parametrize("weights", [Dirichlet(1.0), Dirichlet(2.5), Flat()], ids=repr)
def test_log_density_is_scipys(model: MixtureModel, sds, weights):
    prior = Prior(weights, _means_beside(sds), sds)
    for seed in range(5):
        mixture = random_mixture(model, seed)
        expected = scipy_log_density(prior, mixture, model)
        assert prior.log_density(mixture, model) == pytest.approx(expected, rel=1e-12, abs=1e-12)


def _means_beside(sds) -> Normal | StudentT:
    """Student's with Student's, for one case more of each is enough."""
    return StudentT(4.0, 0.7, 3.0) if isinstance(sds, HalfStudentT) else Normal(0.7, 3.0)


@models
@sd_priors
def test_score_and_information_are_derivatives_of_the_log_density(model: MixtureModel, sds):
    prior = Prior(Dirichlet(2.5), _means_beside(sds), sds)
    eta = model.pack(random_mixture(model, 7))
    step = 1e-5

    def central(function):
        moves = step * np.eye(model.n_free)
        ends = [(function(eta + move), function(eta - move)) for move in moves]
        return np.array([(up - down) / (2 * step) for up, down in ends])

    score = central(lambda e: prior.log_density(model.unpack(e), model))
    hessian = central(lambda e: prior.score(model.unpack(e), model))
    mixture = model.unpack(eta)
    np.testing.assert_allclose(prior.score(mixture, model), score, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(prior.information(mixture, model), -hessian, rtol=1e-7, atol=1e-8)


@models
def test_flat_priors_add_nothing(model: MixtureModel):
    mixture = random_mixture(model, 3)
    assert Prior.flat().log_density(mixture, model) == 0.0
    assert not Prior.flat().score(mixture, model).any()
    assert not Prior.flat().information(mixture, model).any()


@sd_priors
def test_standardising_keeps_the_prior(sds):
    """Differences of the log density between two mixtures do not depend on the data's units."""
    model, prior = MixtureModel(3), Prior(Dirichlet(2.0), _means_beside(sds), sds)
    shift, scale = -4.0, 2.5
    pair = [random_mixture(model, seed) for seed in (1, 2)]
    moved = [Mixture(m.weights, (m.means - shift) / scale, m.sds / scale) for m in pair]
    standard = prior.standardised(shift, scale)
    before = np.subtract(*(prior.log_density(m, model) for m in pair))
    after = np.subtract(*(standard.log_density(m, model) for m in moved))
    assert after == pytest.approx(before, rel=1e-12)
    gained = standard.log_density(moved[0], model) - prior.log_density(pair[0], model)
    assert gained == pytest.approx(prior.units(model) * np.log(scale), rel=1e-12, abs=1e-12)


def test_default_moves_with_the_data():
    x = np.random.default_rng(0).normal(3.0, 2.0, 50)
    data, standard = Data(x, np.ones(50)), Data((x - 5.0) / 4.0, np.ones(50))
    moved, own = Prior.default(data).standardised(5.0, 4.0), Prior.default(standard)
    assert moved.weights == own.weights
    assert moved.means.mean == pytest.approx(own.means.mean)
    assert moved.means.sd == pytest.approx(own.means.sd)
    assert moved.sds.finest == pytest.approx(own.sds.finest)
    assert moved.sds.widest == pytest.approx(own.sds.widest)


def test_the_priors_of_others_are_what_their_packages_make_of_the_data():
    """By hand: of 0 to 6 and 10 the range is 10, the median 3.5, the median deviation 2.

    In R: mad(c(0:6, 10)) is 2.9652, to one decimal 3.0. Values seen twice are two of them.
    """
    x = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 10.0])
    data = Data(x, np.ones(8))
    prior = Prior.richardson_and_green(data)
    assert prior == Prior(Dirichlet(1.0), Normal(5.0, 10.0), InverseGamma(2.0, 2.0))
    assert Prior.brms(data) == Prior(Dirichlet(1.0), StudentT(3, 3.5, 3.0), HalfStudentT(3, 3.0))
    twice = Data(x, np.full(8, 2.0))
    assert Prior.brms(twice) == Prior.brms(data)
    small = Prior.brms(Data(0.2 * x, np.ones(8)))  # the scale is never below 2.5
    assert small == Prior(Dirichlet(1.0), StudentT(3, 0.7, 2.5), HalfStudentT(3, 2.5))


def test_the_resolution_of_rounded_data_is_the_variance_of_rounding_times_half_their_ties():
    """u^2/12 times m/2, u the unit and m the most ties; a few other values change no more than m.

    Of values that are all different u is their least distance, and counts are ties.
    """
    x = 0.5 * np.random.default_rng(0).integers(-4, 5, 90)
    most = np.unique(x, return_counts=True)[1].max()
    assert resolution(Data(x, np.ones(90))) == pytest.approx(0.25 * most / 24.0)
    values, counts = np.unique(x, return_counts=True)
    assert resolution(Data(values, counts.astype(float))) == pytest.approx(0.25 * most / 24.0)
    assert resolution(Data(np.append(x, 0.123), np.ones(91))) == pytest.approx(0.25 * most / 24.0)
    assert resolution(Data(np.array([0.0, 0.1, 3.0]), np.ones(3))) == pytest.approx(0.01 / 24.0)
    large = 0.5 * np.random.default_rng(0).integers(-4, 5, 90_000)
    assert resolution(Data(large, np.ones(90_000))) == pytest.approx(0.25 * 10_000 / 24.0, rel=0.1)


def test_draws_of_a_shared_scale_have_its_density():
    """Mean log variance and mean of the log of the ratio's size, by quadrature.

    At a shape of 2 the share of one precision is Beta(2, 2). False-alarm rate of the two at 4
    standard errors 1.3e-4.
    """
    prior, rng = SharedScale(2.0, 0.2, 0.05, 3.0), np.random.default_rng(1)
    draws = np.log([prior.sample(2, rng) for _ in range(4000)])
    grid = np.linspace(-12.0, 12.0, 241)
    pairs = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    density = [float(prior.terms(np.exp(p / 2)).log_density.sum() + p.sum()) for p in pairs]
    p = np.exp(density) / np.exp(density).sum()
    for of in (lambda v: v.mean(axis=-1), lambda v: np.abs(v[..., 0] - v[..., 1])):
        mean = p @ of(pairs)
        assert abs(of(draws).mean() - mean) < 4 * of(draws).std() / np.sqrt(4000)


def test_the_penalty_is_chen_tan_and_zhangs():
    """Differences of its log density are those of -a sum [s^2/sd^2 + log(sd^2/s^2)]."""
    x = np.random.default_rng(0).normal(3.0, 2.0, 50)
    data, model = Data(x, np.ones(50)), MixtureModel(3)
    pair = [random_mixture(model, seed) for seed in (1, 2)]
    ratios = [np.var(x) / m.sds**2 for m in pair]
    paper = [np.sum(ratio - np.log(ratio)) for ratio in ratios]
    for given, a in (("chen", 1.0 / 50.0), (0.3, 0.3)):
        prior = Prior.penalised(data, given)
        found = np.subtract(*(prior.log_density(m, model) for m in pair))
        assert found == pytest.approx(-a * np.subtract(*paper), rel=1e-12)


def test_zero_weights():
    mixture, model = Mixture([0.0, 1.0], [0.0, 1.0], [1.0, 1.0]), MixtureModel()
    assert Prior(Dirichlet(1.0), Flat(), Flat()).log_density(mixture, model) == 0.0
    assert Prior(Dirichlet(2.0), Flat(), Flat()).log_density(mixture, model) == -np.inf


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Dirichlet(0.0), "Dirichlet concentration"),
        (lambda: Normal(np.nan, 1.0), "Normal mean"),
        (lambda: Normal(0.0, -1.0), "Normal sd"),
        (lambda: Normal((0.0, np.inf), 1.0), "Normal mean"),
        (lambda: Normal((), 1.0), "Normal mean"),
        (lambda: Normal(0.0, (1.0, 1.0)), "Normal sd"),  # type: ignore[arg-type]
        (lambda: InverseGamma(2.0, 0.0), "InverseGamma scale"),
        (lambda: LogInverseGamma(0.0, 1.0), "LogInverseGamma shape"),
        (lambda: LogNormal(0.0, "1"), "LogNormal sigma"),  # type: ignore[arg-type]
        (lambda: HalfNormal(np.inf), "HalfNormal scale"),
        (lambda: HalfStudentT(0.0, 1.0), "HalfStudentT df"),
        (lambda: StudentT(3.0, np.nan, 1.0), "StudentT location"),
        (lambda: Prior(Normal(0.0, 1.0), Flat(), Flat()), "weights"),  # type: ignore[arg-type]
        (lambda: Prior(Flat(), HalfNormal(1.0), Flat()), "means"),  # type: ignore[arg-type]
        (lambda: Prior(Flat(), Flat(), Normal(0.0, 1.0)), "sds"),  # type: ignore[arg-type]
    ],
)
def test_bad_values_are_named(make, named):
    with pytest.raises(ValueError, match=rf"^{named}: "):
        make()


ASYMMETRIC = Prior(Dirichlet(2.5), Normal((4.0, -1.0, 0.5), 3.0), InverseGamma(2.5, 1.7))


def test_a_location_for_each_mean_is_a_product_of_normals():
    model = MixtureModel(3)
    mixture = random_mixture(model, 4)
    symmetric = Prior(Dirichlet(2.5), Flat(), InverseGamma(2.5, 1.7))
    normals = stats.norm([4.0, -1.0, 0.5], 3.0).logpdf(mixture.means).sum()
    expected = symmetric.log_density(mixture, model) + normals
    assert ASYMMETRIC.log_density(mixture, model) == pytest.approx(expected, rel=1e-12)
    standard = ASYMMETRIC.standardised(2.0, 4.0).means
    assert standard == Normal((0.5, -0.75, -0.375), 0.75)
    score, step = ASYMMETRIC.score(mixture, model), 1e-5
    eta = model.pack(mixture)
    moves = step * np.eye(model.n_free)
    ends = [
        [ASYMMETRIC.log_density(model.unpack(eta + sign * move), model) for sign in (1, -1)]
        for move in moves
    ]
    np.testing.assert_allclose(score, -np.diff(ends)[:, 0] / (2 * step), rtol=1e-7, atol=1e-8)


def test_oriented_is_the_permutation_of_highest_prior_density():
    model = MixtureModel(3)
    for seed in range(5):
        mixture = random_mixture(model, seed)
        orders = [mixture.permuted(order) for order in itertools.permutations(range(3))]
        best = max(orders, key=lambda m: ASYMMETRIC.log_density(m, model))
        assert ASYMMETRIC.oriented(mixture) == best
    assert Prior.flat().oriented(mixture) == mixture


def test_a_prior_is_exchangeable_if_its_means_are_equal():
    sds = InverseGamma(2.5, 1.7)
    assert Prior(Flat(), Normal((1.0, 1.0), 2.0), sds).exchangeable
    assert Prior(Flat(), Normal(1.0, 2.0), sds).exchangeable
    assert not ASYMMETRIC.exchangeable
    with pytest.raises(ValueError, match=r"^prior: has 3 means; the model has 2 components"):
        ASYMMETRIC.check(MixtureModel(2))


def test_the_asymmetric_prior_is_about_the_quartiles_of_the_data():
    x = np.arange(8.0)
    prior = Prior.asymmetric(Data(x, np.ones(8)), 2, 0.5)
    assert prior.means == Normal((1.0, 5.0), x.std())
    default = Prior.default(Data(x, np.ones(8)), 2)
    assert (prior.weights, prior.sds) == (default.weights, default.sds)
