import numpy as np
import pytest
from scipy import stats

from models.theory import quadrature
from study.design import DesignError, load
from study.simulate import check_data, data_set, generator, read_column

HARD = [s for s in load("default").scenarios if s.n < 5000]


def test_a_data_set_depends_on_seed_scenario_and_replicate_alone():
    design = load("smoke")
    unit = design.scenario("birds")
    first = data_set(design, unit, 3)
    np.testing.assert_array_equal(first, data_set(design, unit, 3))
    assert not np.array_equal(first, data_set(design, unit, 4))
    other = design.model_copy(update={"seed": 1})
    assert not np.array_equal(first, data_set(other, unit, 3))


def test_names_and_numbers_are_different_keys():
    draws = {generator(0, *key).random() for key in (("a", 1), ("a", "1"), ("a",), ("b", 1))}
    assert len(draws) == 4


def test_data_sets_do_not_change_between_releases():
    """The stream itself is fixed: NumPy keeps PCG64 and standard_normal stable."""
    design = load("smoke")
    x = data_set(design, design.scenario("birds"), 0)
    assert x.shape == (100,)
    assert abs(x.mean() - design.scenario("birds").truth().components.mean) < 5 * 4.8 / 10


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the file is empty"),
        ("y\n1\n", "no column 'x'; it has y"),
        ("x\n1\nred\n", "1 of 2 values are not finite numbers, the first is red in data row 2"),
        ("x\n1\n\nnan\n", "1 of 2 values are not finite"),
        ("x\n1\ninf\n", "1 of 2 values are not finite"),
        ("x\n", "column 'x' has no values"),
    ],
)
def test_bad_files_are_named(tmp_path, text, says):
    path = tmp_path / "data.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=says) as caught:
        read_column(path, "x")
    assert "data.csv" in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"no.csv: there is no such file"):
        read_column(tmp_path / "no.csv", "x")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("velocity\n1\nnan\n", "not finite"),
        ("x\n1\n", "no column 'velocity'"),
        ("velocity\n7\n", "1 obs"),
    ],
)
def test_a_designs_bad_data_are_found_before_anything_runs(tmp_path, text, says):
    file = tmp_path / "data.csv"
    file.write_text(text)
    design = load("smoke")
    last = design.data[-1].model_copy(update={"file": file})
    with pytest.raises(DesignError, match=rf"smoke: data\[1\] \(galaxies\): .*{says}"):
        check_data(design.model_copy(update={"data": [*design.data[:-1], last]}))
    check_data(design)


def test_real_data_are_divided(data_folder):
    design = load("smoke")
    x = data_set(design, design.scenario("galaxies"), 0)
    assert x.size == 82
    assert 9 < x.min() < x.max() < 35


@pytest.mark.parametrize("scenario", HARD, ids=lambda s: s.name)
def test_data_sets_follow_the_scenarios_distribution(scenario):
    """Fifteen tests of ten data sets each, by Kolmogorov and Smirnov's or, of rounded data, by the
    chi-squared test: false alarms 2e-5."""
    design, truth = load("default"), scenario.truth()
    x = np.concatenate([data_set(design, scenario, replicate) for replicate in range(10)])
    assert x.shape == (10 * scenario.n,)
    if truth.round_to is None:
        assert stats.kstest(x, truth.cdf).pvalue > 1e-6
        return
    points = quadrature(truth)
    expected = x.size * points.counts
    common = expected >= 5
    observed = np.array([np.count_nonzero(x == point) for point in points.x[common]])
    found = np.append(observed, x.size - observed.sum())
    wanted = np.append(expected[common], x.size - expected[common].sum())
    assert stats.chisquare(found, wanted).pvalue > 1e-6
