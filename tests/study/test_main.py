"""The command line, in this process where that is enough."""

import numpy as np
import pytest

from models import MixtureModel, fit
from study.__main__ import COMMANDS, main
from study.workflow.terminal import fits_table


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
    assert out.count("0.36085 (0.03)") == 3
    assert out.count("-1034.002") == 3
    assert out.count("54.614 (0.65)") == 3


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
