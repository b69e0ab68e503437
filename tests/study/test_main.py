"""The command line, in this process where that is enough."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from models import MixtureModel, fit
from models.selection import NOTHING, Value, select
from study.__main__ import COMMANDS, main
from study.workflow import choice
from study.workflow.choice import several
from study.workflow.terminal import estimate, fits_table


def run(capsys, *arguments):
    code = main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


def test_fit_prints_a_table(capsys, data_folder):
    code, out, err = run(
        capsys, "fit", str(data_folder / "faithful.csv"), "--column", "waiting", "--equal-sds",
        "--methods", "em,lbfgs,newton",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert out.count("0.361 (0.030)") == 3
    assert out.count("-1034.002") == 3
    assert out.count("54.61 (0.65)") == 3
    assert out.count(" certified  ") == 3
    assert out.count("cut-off, where the two are as probable: 66.58 (0.48)") == 3
    assert "…" not in out


def test_estimates_have_as_many_digits_as_their_errors_deserve(capsys, tmp_path):
    x = 2459000.0 + np.random.default_rng(0).normal(np.repeat([0.0, 0.06], 200), 0.01)
    file = tmp_path / "days.csv"
    file.write_text("\n".join(["x", *map(repr, x.tolist())]))
    code, out, _ = run(capsys, "fit", str(file), "--column", "x", "--methods", "em")
    assert code == 0
    assert re.search(r"2459000\.000\d* \(0\.000\d\d\)", out)
    assert re.search(r"2459000\.0[56]\d* \(0\.000\d\d\)", out)
    assert estimate(0.123456, 0.0123) == "0.123 (0.012)"
    assert estimate(0.123456, np.nan) == "0.12346"
    assert estimate(12345.6, 234.5) == "12346 (234)"


def test_fit_writes_what_it_is_asked_for(capsys, tmp_path, data_folder):
    files = {name: tmp_path / f"out.{name}" for name in ("json", "csv", "svg")}
    code, out, err = run(
        *(capsys, "fit", str(data_folder / "faithful.csv"), "--column", "waiting"),
        *("--methods", "newton", "--intervals", "wald,profile", "--level", "0.9", "--starts", "2"),
        *("--json", str(files["json"]), "--responsibilities", str(files["csv"])),
        *("--plot", str(files["svg"])),
    )
    assert (code, err) == (0, "")
    found = json.loads(files["json"].read_text())
    (one,) = found["fits"]
    assert found["n"] == 272
    assert one["verdict"] == "certified"
    assert one["distance"] < 1e-4
    assert one["evaluations"]["starts"] == 2
    ends = {(row["kind"], row["quantity"]): row for row in one["intervals"]}
    assert {kind for kind, _ in ends} == {"wald", "profile"}
    assert ends["wald", "mean 1"]["lower"] == pytest.approx(
        one["means"][0] - 1.6449 * one["se"]["means"][0], rel=1e-4
    )
    assert "Intervals at 0.9." in out
    assert "cut-off" in out
    shares = np.loadtxt(files["csv"], delimiter=",", skiprows=1)
    assert shares.shape == (272, 3)
    np.testing.assert_allclose(shares[:, 1:].sum(axis=1), 1.0, atol=1e-8)
    assert files["svg"].read_text().startswith("<?xml")


def test_counts_known_parameters_and_penalties_are_taken(capsys, tmp_path):
    x = np.random.default_rng(1).integers(0, 9, 300)
    values, seen = np.unique(x, return_counts=True)
    (tmp_path / "all.csv").write_text("\n".join(["x", *map(str, x)]))
    pairs = [f"{v},{c}" for v, c in zip(values, seen, strict=True)]
    (tmp_path / "counted.csv").write_text("\n".join(["x,n", *pairs]))
    how = ["--column", "x", "--methods", "em", "--sds", "1.5", "1.5", "--intervals", "wald"]
    first = run(capsys, "fit", str(tmp_path / "all.csv"), *how)[1]
    second = run(capsys, "fit", str(tmp_path / "counted.csv"), *how, "--counts", "n")[1]
    assert first.count("1.5 (known)") == second.count("1.5 (known)") == 2
    assert first.splitlines()[:3] == second.splitlines()[:3]
    code, out, _ = run(
        *(capsys, "fit", str(tmp_path / "all.csv"), "--column", "x", "--penalty", "chen"),
        *("--methods", "em,newton", "--means", "-1", "5"),
    )
    assert code == 0
    assert out.count("-1 (known)") == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--intervals", "magic"], "--intervals: unknown 'magic'; choose from wald"),
        (["--level", "2"], "--level: 2 is not between 0 and 1"),
        (["--penalty", "much"], "--penalty: 'much' is neither chen nor a number"),
        (["--plot", "a.txt"], "--plot: a.txt is no .pdf, .svg or .png"),
        (["--counts", "no"], "no column 'no'"),
        (["-k", "two"], "k: 'two' is not a whole number of at least 1"),
        (["--means", "1"], "means"),
        (["--starts", "0"], "starts: 0"),
    ],
)
def test_bad_options_of_fit_are_one_line(capsys, data_folder, arguments, says):
    where = [str(data_folder / "faithful.csv"), "--column", "waiting", "--methods", "em"]
    code, _, err = run(capsys, "fit", *where, *arguments)
    assert code == 2
    assert says in err
    assert err.count("\n") == 1


def test_fit_of_several_k_prints_the_choice_and_then_its_fit(capsys, data_folder, tmp_path):
    plot = tmp_path / "k.png"
    code, out, err = run(
        capsys, "fit", str(data_folder / "faithful.csv"), "-c", "waiting", "-k", "1-3",
        "--methods", "newton", "--plot", str(plot),
    )  # fmt: skip
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["K", "log-lik.", "AIC", "AICc", "BIC", "ICL", "ICL,", "hard"]
    assert [line.split()[0] for line in lines[1:4]] == ["1", "2", "3"]
    assert [line.count("*") for line in lines[1:4]] == [0, 5, 0]
    assert "2201.79" in lines[1]
    assert "The fit that BIC chooses, K = 2:" in out
    assert out.count("-1034.002") == 2
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_values_have_their_errors_and_what_has_none_says_why(capsys, data_folder):
    code, out, _ = run(
        capsys, "fit", str(data_folder / "faithful.csv"), "--column", "waiting", "-k", "1,2",
        "--methods", "newton", "--criteria", "cv,lrt,aic,aicc,bic,icl,icl-hard,laplace",
    )  # fmt: skip
    assert code == 0
    first, second = (line.split() for line in out.splitlines()[1:3])
    assert (first[2][:6], first[3][0]) == ("-1096.", "(")
    assert first[4] == "0.010"
    assert second[5:8] == ["not", "tested", "*"]
    assert "…" not in out.partition("The fit")[0]  # wider than a terminal, and not cut off


def test_what_cannot_be_believed_is_a_row_that_says_so_and_keeps_its_posterior():
    x = np.random.default_rng(0).normal(size=40)
    found = select(x, (1, 2), criteria=["bic", "laplace"])
    one, two = found.candidates
    lost = {"bic": Value(np.nan, note=NOTHING), "laplace": Value(-50.25)}
    two = replace(two, verdict=NOTHING, values=lost, higher=3.456)
    found = replace(found, candidates=(one, two), choices={"bic": 0, "laplace": 1})
    columns = [list(column.cells) for column in choice.table(found).columns]
    assert [cells[1].strip() for cells in columns] == ["2", NOTHING, "–", "-50.25 *"]
    assert choice.notes(found) == [
        "A higher maximum was found that cannot be believed, and does not count: K = 2 by 3.46 "
        "nats."
    ]
    assert choice.notes(replace(found, candidates=(one,))) == []


def test_what_the_choice_does_not_take_is_said(capsys, data_folder):
    how = [str(data_folder / "faithful.csv"), "-c", "waiting", "--methods", "em"]
    code, _, err = run(capsys, "fit", *how, "-k", "1,2", "--penalty", "chen")
    assert (code, err) == (
        0,
        "--penalty: is of the fit that is chosen; the choice is made without\n",
    )
    code, _, err = run(capsys, "fit", *how, "--criteria", "bic")
    assert (code, err) == (0, "--criteria: of one K there is nothing to choose; none is computed\n")


@pytest.mark.parametrize(
    ("given", "expected"), [("2", None), ("1-3", [1, 2, 3]), ("4,1-2", [1, 2, 4]), ("1,2", [1, 2])]
)
def test_several_k(given, expected):
    assert several(given) == expected


@pytest.mark.parametrize(
    ("text", "arguments", "says"),
    [
        ("x\n1\nnan\n2\n", [], "column 'x': 1 of 3 values are not finite numbers"),
        ("x\n1\ninf\n2\n", [], "column 'x': 1 of 3 values are not finite numbers"),
        ("x\n1\n", [], "x: 1 observations; 2 components need at least 2"),
        ("x\n1\n2\n", ["-k", "3"], "x: 2 observations; 3 components need at least 3"),
        ("x\n5\n5\n5\n", [], "x: all observations are 5"),
        ("y\n1\n2\n", [], "no column 'x'; it has 'y'"),
        ("", [], "the file is empty"),
        ("x\n1\n2\n4\n", ["--methods", "em,magic"], "--methods: unknown 'magic'"),
        ("x\n1\n2\n4\n", ["--delimiter", ""], "delimiter: '' is no mark between fields"),
        ("x\n1\n2\n4\n", ["--decimal", "'"], 'decimal: "\'" is no decimal mark'),
        ("x\n1\n2\n4\n", ["-k", "3-1"], "-k: '3-1' names no numbers of components; give 2, 1-6"),
        ("x\n1\n2\n4\n", ["-k", "1-9"], "x: 3 observations; 9 components need at least 9"),
        ("x\n1\n2\n4\n", ["-k", "1,2", "--criteria", "a"], "criteria: unknown 'a'"),
        ("x\n1\n2\n4\n", ["-k", "1-1e9"], "-k: '1-1e9' names no numbers"),
        ("x\n1\n2\n4\n", ["-k", "1-9999999999"], "-k: 9999999999 is more than 1000"),
        ("x\n1\n2\n4\n", ["-k", ""], "-k: '' is not a whole number of at least 1; give 2, 1-6"),
        ("x\n1\n2\n2\n", ["-k", "1-3"], "ks: 3 components need at least 3 distinct values; x"),
        ("x\n1\n2\n4\n", ["--plot", "nowhere/a.png"], "--plot: there is no folder nowhere"),
        ("x\n1\n2\n4\n", ["-k", "0"], "k: 0 is not a whole number of at least 1"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(capsys, tmp_path, text, arguments, says):
    path = tmp_path / "data.csv"
    path.write_text(text)
    code, _, err = run(capsys, "fit", str(path), "--column", "x", "--methods", "em", *arguments)
    assert code == 2
    assert says in err
    assert err.count("\n") == 1


def test_missing_values_are_left_out_where_that_is_asked_for(capsys, tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("x;y\n1,5;1\nNA;1\n2;1\n4;1\n9;1\n8;1\n")
    how = ["--delimiter", ";", "--decimal", ",", "--drop-missing"]
    code, _, err = run(capsys, "fit", str(path), "--column", "x", "--methods", "em", *how)
    assert code == 0
    assert err == f"{path}: column 'x': 1 of 6 values missing, left out\n"


def test_what_is_known_has_no_error_of_0(capsys):
    x = np.random.default_rng(0).normal(0.0, 1.0, 50)
    fits_table([fit("em", x, MixtureModel(2, means=[0, 2], sds=[1, 1]))])
    out = capsys.readouterr().out
    assert out.count("(known)") == 4
    assert "(0)" not in out


def test_replay_prints_the_trace_of_the_studys_own_fit(capsys):
    code, out, _ = run(capsys, "replay", "smoke", "birds", "3", "em")
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    logliks = [float(row[1]) for row in rows if row and row[0].isdigit()]
    assert np.all(np.diff(logliks) >= -1e-9)
    again = run(capsys, "replay", "smoke", "birds", "3", "em")[1]
    strip = [line for line in out.splitlines() if not line.startswith("em ")]
    assert strip == [line for line in again.splitlines() if not line.startswith("em ")]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["replay", "smoke", "cats", "0", "em"], "smoke: no scenario or data set is called 'cats'"),
        (["replay", "smoke", "birds", "-1", "em"], "replicate: -1 is negative"),
        (["replay", "smoke", "birds", "0", "magic"], "method: unknown 'magic'"),
        (["check", "nowhere"], "nowhere: no such design"),
        (["benchmark", "magic", "--out", "."], "suite: unknown 'magic'; choose from passes"),
    ],
)
def test_unknown_names_are_one_line_and_exit_code_2(capsys, arguments, says):
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert says in err
    assert err.count("\n") == 1


def test_check_counts_the_fits(capsys):
    code, out, _ = run(capsys, "check", "smoke")
    assert code == 0
    assert "8 scenarios, 2 data sets" in out


def test_check_says_all_problems_of_a_design_at_once(capsys, tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text("seed: -1\nreplicates: {magic: 3}\nscenarios:\n- {name: a, n: 0}\n")
    code, _, err = run(capsys, "check", str(file))
    assert code == 2
    lines = err.splitlines()
    assert all(line.startswith("study check: bad.yaml: ") for line in lines)
    for says in ("seed: ", "unknown method 'magic'", "scenarios[0].n: ", "scenarios[0].means: "):
        assert any(says in line for line in lines), says
    data = "- {name: %s, file: no-%s.csv, column: x}\n"
    file.write_text("data:\n" + data % ("a", "a") + data % ("b", "b"))
    assert run(capsys, "check", str(file))[2].count("there is no file") == 2
    for name in "ab":
        (tmp_path / f"no-{name}.csv").write_text("x\n1\n")
    assert run(capsys, "check", str(file))[2].count("1 observations; 2 components") == 2


def test_a_design_of_three_lines_is_enough(capsys, tmp_path):
    file = tmp_path / "My design.yaml"
    file.write_text(
        "scenarios:\n  - {name: close, weights: [0.6, 0.4], means: [0, 1.5], sds: [1, 1], n: 300}\n"
    )
    code, out, _ = run(capsys, "check", str(file))
    assert code == 0
    assert out.startswith("my-design: 1 scenarios, 0 data sets, 610 fits")


def test_every_command_says_what_it_takes(capsys):
    assert main(["--help"]) == 0
    overview = capsys.readouterr().out
    for command in COMMANDS:
        assert f"\n  {command} " in overview
        with pytest.raises(SystemExit) as end:
            main([command, "--help"])
        assert end.value.code == 0
        (line,) = (line for line in overview.splitlines() if line.startswith(f"  {command} "))
        first = line.removeprefix(f"  {command} ").strip()
        assert first.endswith(".")
        assert first in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["magic"], "study: unknown command 'magic'; choose from fit, check, plan, replay"),
        (["compute", "smoke"], "the following arguments are required: step, pieces, --out"),
        (["compute", "smoke", "numeric", "--out", "."], "pieces: there are none"),
        (["compute", "smoke", "magic", "birds:0-1", "--out", "."], "step: unknown 'magic'"),
        (["compute", "smoke", "numeric", "birds:0-21:em", "--out", "."], "does not ask numeric"),
        (["plan", "smoke", "--cores", "two"], "argument --cores: invalid int value: 'two'"),
        (["check", "smoke", "--fast"], "unrecognized arguments: --fast"),
        (["tables", "smoke", "--rows", ".", "--out", ".", "--only", "x"], "--only: there is no"),
    ],
)
def test_what_a_command_does_not_take_is_one_line_and_exit_code_2(
    capsys, tmp_path, monkeypatch, arguments, says
):
    monkeypatch.chdir(tmp_path)
    try:
        code = main(arguments)
    except SystemExit as end:
        code = end.code
    err = capsys.readouterr().err
    assert code == 2
    assert says in err
    assert err.count("\n") == 1
