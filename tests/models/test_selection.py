"""How many components: published numbers, laws of the criteria, and what is refused."""

import numpy as np
import pytest

from models import MixtureModel, compress, fit, selection
from models.criteria import CRITERIA, INFORMATION
from models.mixture import Mixture
from models.sample import Data
from models.selection import NOTHING, allocation_terms, select
from tests.models.galaxies import FAITHFUL, GALAXIES

X, _ = Mixture([0.4, 0.6], [0, 4], [1, 1]).sample(150, np.random.default_rng(5))


@pytest.fixture(scope="module")
def faithful():
    return select(FAITHFUL, range(1, 4), equal_sds=(False, True))


@pytest.fixture(scope="module")
def galaxies():
    return select(GALAXIES, range(1, 5))


def values(found, criterion):
    return {(one.k, one.equal_sds): one.values[criterion].value for one in found.candidates}


# mclust 6, whose BIC and ICL are minus these. It stops at a relative gain of 1e-5, up to .006 nats
# below the maximum; ICL, no stationary function there, moves more.
def test_the_numbers_of_mclust_where_it_is_at_the_same_maximum(faithful):
    bic, icl = values(faithful, "bic"), values(faithful, "icl-hard")
    assert bic[1, False] == icl[1, False] == pytest.approx(2201.7892, abs=5e-5)
    assert bic[2, True] == pytest.approx(2090.4273, abs=1e-3)
    assert icl[2, True] == pytest.approx(2099.5757, abs=0.03)
    assert bic[2, False] == pytest.approx(2096.0437, abs=0.012)
    chosen = faithful.chosen("bic")
    assert (chosen.k, chosen.equal_sds) == (2, True)


def test_better_maxima_than_mclusts_where_there_are(faithful, galaxies):
    free = {one.k: one.fit.loglik for one in faithful.candidates if not one.equal_sds}
    assert free[2] == pytest.approx(-1034.00175, abs=5e-6)  # mclust: -1034.00736
    assert galaxies.candidates[2].fit.loglik == pytest.approx(-203.17923, abs=5e-6)  # -212.083
    assert values(galaxies, "bic")[4, False] < 443.382  # 446.9829


def test_the_local_maximum_that_mclust_takes_for_four_galaxies_has_its_numbers():
    start = Mixture(
        [0.084411, 0.386812, 0.366506, 0.162271],
        [9.707477, 19.807408, 22.881419, 24.408716],
        [0.421065, 0.660772, 1.107899, 5.807298],
    )
    one = fit("newton", GALAXIES, MixtureModel(4), start=start)
    _, hard = allocation_terms(one.mixture, Data(GALAXIES, np.ones(82)))
    assert one.bic == pytest.approx(446.9829, abs=5e-3)
    assert one.bic + 2.0 * hard == pytest.approx(466.2640, abs=0.2)


def test_the_criteria_are_their_formulas(faithful):
    n = FAITHFUL.size
    for one in faithful.candidates:
        p = 2 * one.k if one.equal_sds and one.k > 1 else 3 * one.k - 1
        deviance = -2.0 * one.fit.loglik
        assert one.fit.n_parameters == p
        assert one.values["aic"].value == pytest.approx(deviance + 2 * p)
        assert one.values["bic"].value == pytest.approx(deviance + p * np.log(n))
        assert one.values["aicc"].value == pytest.approx(
            deviance + 2 * p + 2 * p * (p + 1) / (n - p - 1)
        )
        t = one.fit.mixture.responsibilities(FAITHFUL)
        entropy = -np.sum(t * np.log(np.maximum(t, 1e-300)))
        hard = -np.log(t.max(axis=1)).sum()
        icl = one.values["icl"].value, one.values["icl-hard"].value
        assert icl == pytest.approx((one.fit.bic + 2 * entropy, one.fit.bic + 2 * hard), abs=1e-7)


def test_no_correction_is_left_where_n_is_too_small():
    one = fit("newton", [0.0, 1.0, 2.5], MixtureModel(1))
    assert selection.aicc(one) == np.inf


def test_units_and_offset_shift_what_they_must_and_change_no_choice():
    plain, moved = select(X, range(1, 4)), select(1e9 + 1000.0 * X, range(1, 4))
    assert plain.choices == moved.choices
    shift = 2.0 * X.size * np.log(1000.0)
    for name in INFORMATION:
        np.testing.assert_allclose(moved.values(name) - shift, plain.values(name), atol=1e-4)


def test_counts_are_repetitions_and_compression_changes_nothing():
    values, counts = np.unique(np.round(X, 1), return_counts=True)
    given = select(values, range(1, 4), counts=counts)
    repeated = select(np.repeat(values, counts), range(1, 4))
    stream = compress([np.repeat(values, counts)])
    through = select(stream, range(1, 3), criteria=["aic", "bic"])
    assert given.n == repeated.n == through.n == X.size
    for name in ("aic", "bic"):
        np.testing.assert_allclose(given.values(name), repeated.values(name), rtol=1e-9)
        # What a stream is searched by are its cells, which lead to the same maximum of two.
        two = through.values(name), repeated.values(name)[:2]
        np.testing.assert_allclose(*two, rtol=1e-9)


def test_a_criterion_does_not_depend_on_those_beside_it():
    alone = select(X, range(1, 3), criteria="cv", rng=3)
    beside = select(X, range(1, 3), criteria=["lrt", "bic", "cv"], replicates=3, rng=3)
    np.testing.assert_array_equal(alone.values("cv"), beside.values("cv"))
    assert set(beside.costs) == {"fits", "lrt", "bic", "cv"}
    assert beside.costs["cv"].passes > 0


def test_cross_validation_and_tests_find_two_components():
    found = select(X, range(1, 4), criteria=["cv", "lrt"], replicates=19)
    assert found.chosen("cv").k == found.chosen("lrt").k == 2
    p = [one.values["lrt"] for one in found.candidates]
    assert p[0].value == 1 / 20  # no sample of one component gains as much as these data
    assert p[1].value > 0.05
    assert (p[2].note, np.isnan(p[2].value)) == ("not tested", True)
    assert p[1].error == pytest.approx(np.sqrt(p[1].value * (1 - p[1].value) / 20))


def test_a_k_without_a_believable_fit_is_a_row_that_says_so():
    """Five values, three of them nearly one: every fit of two has a component on these."""
    x = np.array([0.0, 1e-7, 2e-7, 1.0, 2.0])
    found = select(x, (1, 2))
    assert [one.verdict for one in found.candidates] == ["certified", NOTHING]
    assert np.isnan(found.candidates[1].values["bic"].value)
    assert found.candidates[1].values["bic"].note == NOTHING
    assert found.chosen("bic").k == 1


def test_the_overfitted_mixture_chooses_nothing_where_its_mode_is_beyond():
    found = select(GALAXIES, (1, 2), criteria=["overfitted", "overfitted-half"])
    for name in ("overfitted", "overfitted-half"):
        assert found.choices[name] is None
        assert found.candidates[0].values[name].note.startswith("most probable: ")
    with pytest.raises(ValueError, match="overfitted chooses nothing"):
        found.chosen("overfitted")
    common = select(X, (1, 2), criteria="overfitted", equal_sds=True)
    assert common.candidates[1].values["overfitted"].note == "free sds alone"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ks": []}, "ks: is empty; give numbers of components, such as range"),
        ({"ks": [0, 1]}, "ks: 0 is not a whole number of at least 1"),
        ({"ks": [1, 9]}, "ks: 9 components need at least 9 distinct values; x has 3"),
        ({"criteria": ["bic", "best"]}, "criteria: unknown 'best'; choose from aic, aicc"),
        ({"criteria": []}, "criteria: is empty; choose from aic"),
        ({"equal_sds": []}, "equal_sds: is empty; give True, False, or both"),
        ({"ks": [1, 3], "criteria": "lrt"}, "ks: have a gap"),
        ({"starts": 0}, "starts: 0 is not a whole number"),
        ({"prior": 3}, "prior: 3 is not a Prior"),
    ],
)
def test_bad_input_is_one_line(options, words):
    x = np.repeat([0.0, 1.0, 3.0], 20)
    with pytest.raises(ValueError, match=words) as raised:
        select(x, **{"ks": (1, 2)} | options)
    assert "\n" not in str(raised.value)


def test_what_was_not_computed_is_not_chosen(galaxies):
    with pytest.raises(ValueError, match="'cv' was not computed; give it in criteria"):
        galaxies.chosen("cv")
    with pytest.raises(ValueError, match="'bic' is no evidence; give bridge or laplace"):
        galaxies.probabilities("bic")


def test_a_stream_has_no_observations_for_what_needs_them():
    with pytest.raises(ValueError, match="criteria: icl needs every observation"):
        select(compress([X]), (1, 2))


def test_every_criterion_is_computed():
    assert set(selection._COMPUTED) == set(CRITERIA)
