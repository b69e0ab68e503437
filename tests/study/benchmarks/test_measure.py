"""Suites at tiny sizes, and the tables and the figure made of their rows."""

import functools

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from models import METHODS
from study.__main__ import main
from study.benchmarks import measure as benchmarks
from study.benchmarks.measure import COMPRESSED, SCHEMA, SUITES, Plan, Rows
from study.benchmarks.peers import OURS, PEERS, Absent, Peer
from study.benchmarks.scaling import BENCHMARK_FIGURES
from study.benchmarks.tables import BENCHMARK_TABLES, Measured, agreement, slopes_of

pytestmark = pytest.mark.workflow

TINY = {
    "passes": {"sizes": (500, 1000), "components": (2, 3), "repeats": 3},
    "fits": {"sizes": (200, 400), "separations": (3.0,), "repeats": 2},
    "peers": {"sizes": (200, 400), "repeats": 2},
    "posterior": {
        "plans": (
            Plan(200, 40, 40, 2, (OURS, COMPRESSED)),
            Plan(400, 20, 40, 1, (OURS, COMPRESSED)),
        ),
        "mode_repeats": 2,
    },
}


# Peers and modes that tell the rows of a suite; test_peers.py and test_samplers.py have them all.
FEW = {OURS, COMPRESSED, "NumPy, logaddexp"}


@functools.cache
def frames(suite):
    with pytest.MonkeyPatch.context() as patch:
        for name in ("PEERS", "MODES"):
            all_of_them = getattr(benchmarks, name)
            few = {name: made for name, made in all_of_them.items() if name in FEW}
            patch.setattr(benchmarks, name, few)
        return SUITES[suite](lambda line: None, **TINY[suite]).frames()


@functools.cache
def measured():
    return Measured(
        *(pd.concat([frames(s)[kind] for s in SUITES], ignore_index=True) for kind in SCHEMA)
    )


@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_gives_the_rows_of_the_schema(suite):
    for kind, frame in frames(suite).items():
        assert list(frame.columns) == list(SCHEMA[kind])
        assert frame.dtypes.astype(str).to_dict() == SCHEMA[kind]
    timings = frames(suite)["timings"]
    assert (timings["suite"] == suite).all()
    timed = timings["seconds"].notna()
    assert (timings.loc[timed, "seconds"] > 0).all()
    assert (timings.loc[~timed, "note"] != "").all()
    key = ["task", "implementation", "n", "k", "separation", "draws", "tune", "repeat"]
    assert not timings.duplicated(key).any()


def test_passes_count_a_row_a_repeat():
    found = frames("passes")["timings"]
    assert len(found) == 2 * 2 * (3 + 2) * 3
    assert set(found["implementation"]) == {OURS, COMPRESSED, "NumPy, logaddexp"}


def test_fits_are_by_every_optimiser_exact_and_compressed_and_end_at_an_optimum():
    found = frames("fits")["timings"]
    labels = {m.label for m in METHODS.values() if not m.draws}
    assert set(found["implementation"]) == labels | {f"{name}, compressed" for name in labels}
    # Certified: a Newton decrement of at most 1e-4 standard errors.
    assert (found["distance"] <= 1e-4).all()


def test_peers_agree_and_have_estimates():
    timings, estimates = frames("peers")["timings"], frames("peers")["estimates"]
    ran = timings.dropna(subset=["seconds"])
    em = ran[~ran["implementation"].str.endswith("NUTS")]
    # What is left after a gain of 1e-5 nats is a few times that: see test_peers.py.
    assert (em["distance"] < np.sqrt(2e-4)).all()
    counts = estimates.groupby(["task", "n", "implementation"]).size()
    assert set(counts["weights only"]) == {2}
    assert set(counts["five parameters"]) == {6}


def test_samplers_have_five_parameters_a_repeat():
    timings, estimates = frames("posterior")["timings"], frames("posterior")["estimates"]
    assert set(estimates.groupby(["implementation", "n", "repeat"]).size()) == {5}
    sampled = timings[timings["task"] == "NUTS"].set_index(["implementation", "n", "repeat"])
    least = estimates.groupby(["implementation", "n", "repeat"])["ess"].min()
    assert sampled["ess"].sort_index().tolist() == least.sort_index().tolist()


def test_what_is_absent_is_a_row_with_a_note_and_nothing_fails(monkeypatch):
    def absent(what):
        raise Absent("it is not installed")

    for name in PEERS:
        if name not in (OURS, "NumPy, logaddexp"):
            monkeypatch.setitem(PEERS, name, Peer(PEERS[name].does, absent))
    monkeypatch.setattr(benchmarks, "SAMPLERS", {**benchmarks.SAMPLERS, COMPRESSED: absent})
    monkeypatch.setattr(benchmarks, "MODES", {OURS: benchmarks.MODES[OURS]})
    rows = benchmarks.peers(lambda line: None, sizes=(200,), repeats=1).frames()["timings"]
    gone = rows[rows["note"] == "it is not installed"]
    assert set(gone["implementation"]) == set(PEERS) - {OURS, "NumPy, logaddexp"}
    assert gone["seconds"].isna().all()
    found = benchmarks.posterior(lambda line: None, TINY["posterior"]["plans"], 1).frames()
    timings = found["timings"]
    sampled = timings[(timings["task"] == "NUTS") & (timings["implementation"] == COMPRESSED)]
    assert set(sampled["note"]) == {"it is not installed"}
    partial = Measured(pd.concat([rows, timings], ignore_index=True), found["estimates"])
    for table in BENCHMARK_TABLES:
        if table.name.endswith(("peers", "nuts", "modes")):
            built = table.make(partial)
            assert built["median"].notna().any()
    notes = BENCHMARK_TABLES[2].make(partial)["note"]
    assert (notes == "it is not installed").sum() == len(gone)


def times(values, **key):
    rows = Rows()
    for name, seconds in values.items():
        own = {"suite": "passes", "task": "moments", "implementation": name, "k": 2}
        rows.add_times(own | key, seconds, [{"passes": 1}] * len(seconds))
    return rows.timings


def test_ratios_are_paired_and_slopes_of_medians():
    rows = Rows()
    rows.timings.extend(
        times({OURS: [1.0, 2.0, 4.0], "NumPy, logaddexp": [10.0, 10.0, 44.0]}, n=100)
    )
    rows.timings.extend(times({OURS: [20.0], "NumPy, logaddexp": [1000.0]}, n=1000))
    found = rows.frames()
    table = BENCHMARK_TABLES[0].make(Measured(found["timings"], found["estimates"]))
    row = table[(table["implementation"] != OURS) & (table["n"] == 100)].iloc[0]
    assert row["ratio"] == 10.0  # of 10, 5 and 11; the ratio of the medians is 5
    assert (row["R"], row["median"]) == (3, 1e9 * 10.0 / 100)
    assert (row["q25"], row["q75"]) == (1e9 * 10.0 / 100, 1e9 * 27.0 / 100)
    by_name = table.groupby("implementation")["slope"].first()
    assert by_name[OURS] == pytest.approx(1.0)
    assert by_name["NumPy, logaddexp"] == pytest.approx(2.0)
    assert slopes_of(found["timings"], ["k"], "seconds").shape == (1, 2)


def test_agreement_is_in_monte_carlo_errors():
    rows = []
    for name, mean, sd in ((OURS, 0.0, 1.0), (COMPRESSED, 0.3, 1.2)):
        for repeat in range(2):
            key = {"suite": "posterior", "task": "NUTS", "implementation": name, "n": 10, "k": 2}
            more = {"draws": 5, "tune": 5, "repeat": repeat, "parameter": "mean", "component": 1}
            rows.append(key | more | {"estimate": mean, "se": sd, "ess": 50.0})
    found = agreement(Measured(pd.DataFrame(), Rows(estimates=rows).frames()["estimates"]))
    row = found.set_index("implementation").loc[COMPRESSED]
    # Two repeats of 50 effective draws are 100: errors .1 and .12 of the means, and
    # 1/sqrt(200) of each log sd.
    assert row["z_mean"] == pytest.approx(0.3 / np.hypot(0.1, 0.12))
    assert row["z_sd"] == pytest.approx(np.log(1.2) / np.sqrt(2 / 200))


@pytest.mark.parametrize("table", BENCHMARK_TABLES, ids=lambda t: t.name)
def test_every_table_has_its_columns_and_a_base_of_ratio_one(table):
    built = table.make(measured())
    assert {"implementation", "n", "R", "median", "q25", "q75", "ratio", "slope"} <= set(built)
    ran = built["median"].notna()
    assert (built.loc[ran, "q25"] <= built.loc[ran, "median"]).all()
    assert (built.loc[ran, "median"] <= built.loc[ran, "q75"]).all()
    base = built[built["implementation"] == ("EM" if table.name.endswith("fits") else OURS)]
    assert (base["ratio"] == 1.0).all()
    assert len(table.caption.split()) > 40


@pytest.mark.parametrize("exhibit", BENCHMARK_FIGURES, ids=lambda e: e.name)
def test_the_figure_draws_what_there_is(exhibit):
    figure = exhibit.make(measured())
    assert isinstance(figure, Figure)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert len(shown) == 4
    assert all(axes.get_xscale() == axes.get_yscale() == "log" for axes in shown)
    figure.draw_without_rendering()
    empty = Measured(*(frame.iloc[:0] for frame in frames("passes").values()))
    assert exhibit.make(empty).texts[0].get_text() == "Nothing was timed."
    alone = Measured(frames("passes")["timings"], frames("passes")["estimates"])
    exhibit.make(alone).draw_without_rendering()


def test_the_command_line_writes_rows_and_exhibits(tmp_path, monkeypatch, capsys):
    for name in SUITES:
        monkeypatch.setitem(
            SUITES,
            name,
            lambda say, name=name: (
                say(name),
                Rows(*(frame.to_dict("records") for frame in frames(name).values())),
            )[1],
        )
        assert main(["benchmark", name, "--out", str(tmp_path / "rows" / name)]) == 0
        assert name in capsys.readouterr().err
        again = pd.read_parquet(tmp_path / "rows" / name / "timings.parquet")
        pd.testing.assert_frame_equal(again, frames(name)["timings"])
        assert (tmp_path / "rows" / name / "provenance.json").is_file()
    rows = str(tmp_path / "rows")
    assert main(["benchmark-exhibits", "--rows", rows, "--out", str(tmp_path)]) == 0
    for table in BENCHMARK_TABLES:
        endings = {p.suffix for p in (tmp_path / "tables").glob(f"{table.name}.*")}
        assert endings == {".csv", ".md", ".tex", ".html"}
    for figure in BENCHMARK_FIGURES:
        endings = {p.suffix for p in (tmp_path / "figures").glob(f"{figure.name}.*")}
        assert endings == {".pdf", ".svg", ".png"}
