import gzip

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
        ("y z,b\n1,2\n", "no column 'x'; it has 'y z', 'b'$"),
        ("x;y\n1;2\n", "no column 'x'; it has 'x;y' .--delimiter ';'.$"),
        ("x\n1\nred\n", "1 of 2 values are not finite numbers, the first is 'red' in line 3$"),
        ("x,y\n1,2,\n3,4,\n", "line 2 has 3 fields where the header has 2"),
        ("x,y\n1,2\n\n3,4,5\n", "line 4 has 3 fields where the header has 2"),
        ("x,y\n1,2\n3\n", "line 3 has 1 fields where the header has 2"),
        ("x\n1,5\n2,7\n", "line 2 has 2 fields .* or say how they stand by --delimiter and --dec"),
        ('x\n"1,5"\n"2"\n', r"the first is '1,5' in line 2 .--decimal ',' reads decimal commas"),
        ("x,y,x\n1,2,3\n", "column 'x' is in the header 2 times"),
        ("x,y\n1,2\nx,y\n3,4\n", "line 3 is the header once more"),
        (
            "1.5,2\n3,4\n",
            "line 1 has numbers alone .'1.5', '2'., so that it may be",
        ),
        ("x\n1\nNA\n", r"1 of 2 .* 'NA' in line 3 .--drop-missing leaves missing values out"),
        ("x\n1e999\n2\n", "beyond what floating point can hold"),
        ("x\n1_000\n2\n", "the first is '1_000' in line 2"),
        ('x\n"1\n2\n', "not a CSV file: unexpected end of data"),
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


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("x,y\n1.5,8\n-2e1,9\n", {}),
        ("\ufeffy, x\r\n8,1.5\r\n\r\n9, -20\r\n", {}),
        ('y,"x"\n"a\nb","1,5"\nc,-20\n', {"decimal": ","}),
        ("x;y\n1,5;8\n-20;9\n", {"delimiter": ";", "decimal": ","}),
        ("x\ty\n1.5\t\n-20\t9\n", {"delimiter": "tab"}),
        ("x,2020\n1.5,1\nNA,2\n,3\n-20,4\n", {"drop_missing": True}),
    ],
)
def test_a_column_is_read_as_it_is_said_to_stand(tmp_path, text, options):
    path = tmp_path / "data.csv"
    path.write_text(text, encoding="utf-8", newline="")
    found = read_column(path, "x", **options)
    np.testing.assert_array_equal(found.values, [1.5, -20.0])
    assert found.dropped == (2 if "NA" in text else 0)


def test_a_compressed_file_is_read(tmp_path):
    with gzip.open(tmp_path / "data.csv.gz", "wt") as file:
        file.write("x\n1\n2\n")
    assert read_column(tmp_path / "data.csv.gz", "x").values.tolist() == [1.0, 2.0]
    (tmp_path / "bad.gz").write_text("x\n1\n")
    with pytest.raises(ValueError, match=r"bad.gz: not a CSV file: Not a gzipped file"):
        read_column(tmp_path / "bad.gz", "x")


def test_how_a_designs_file_is_written_is_said_in_the_design(tmp_path):
    file = tmp_path / "data.csv"
    file.write_text("v;w\n1,5;0\n;0\n2,5;0\n4;1\n")
    how = {"column": "v", "delimiter": ";", "decimal": ",", "drop_missing": True}
    unit = load("smoke").data[0].model_copy(update={"file": file, **how})
    said = []
    check_data(load("smoke").model_copy(update={"data": [unit]}), said.append)
    assert said == ["faithful-common: 1 of 4 values missing, left out"]
    assert data_set(load("smoke"), unit, 0).tolist() == [1.5, 2.5, 4.0]


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
