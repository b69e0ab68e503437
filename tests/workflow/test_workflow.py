"""The workflow on a tiny design: resuming, chunks, cores, and what an edit re-makes."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from study.report.contents import FIGURES
from study.workflow import plan
from study.workflow.recovery import recover

ROOT = Path(__file__).parents[2]
DESIGN = {
    "name": "tiny",
    "title": "Tiny",
    "seed": 7,
    "chunk": 6,
    "closely": 1,
    "replicates": {"em": 12, "lbfgs": 12, "map": 4, "nuts": 1},
    "options": {"nuts": {"draws": 50, "tune": 50}},
    "scenarios": [
        {"name": "near", "weights": [0.5, 0.5], "means": [0, 2], "sds": [1, 1], "n": 60},
        {"name": "far", "weights": [0.3, 0.7], "means": [0, 6], "sds": [1, 2], "n": 60},
    ],
    "calibration": {
        "replicates": 8,
        "n": 20,
        "of": 9,
        "prior": {"weights": 2, "means": [0, 2], "variances": [2, 1]},
        "methods": ["nuts", "nuts-ordered"],
        "options": {"nuts": {"draws": 50, "tune": 50}, "nuts-ordered": {"draws": 50, "tune": 50}},
    },
}
ROWS = (
    "fits",
    "estimates",
    "labels",
    "occupancy",
    "barriers",
    "draws",
    "reaches",
    "stops",
    "rates",
    "optima",
    "ranks",
)


def snakemake(folder, *arguments, **settings):
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile")]
    return subprocess.run(
        [*command, "--cores", "2", "--config", "design=tiny.yaml", *arguments],
        cwd=folder, capture_output=True, text=True, check=True, **settings,
    )  # fmt: skip


def digests(folder):
    out = folder / "results" / "tiny"
    files = [out / "rows" / f"{kind}.parquet" for kind in ROWS]
    files += [out / "tables" / f"{t}.csv" for t in ("estimates", "failures", "optimisation")]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def tiny(folder):
    folder.mkdir(exist_ok=True)
    (folder / "tiny.yaml").write_text(yaml.safe_dump(DESIGN))
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder in which the tiny design has run to its end."""
    folder = tiny(tmp_path_factory.mktemp("finished"))
    snakemake(folder)
    return folder


def test_everything_is_made(finished):
    out = finished / "results" / "tiny"
    assert (out / "provenance.json").is_file()
    assert (out / "data" / "near.csv").read_text().count("\n") == 61
    assert (out / "walkthrough" / "walkthrough.html").is_file()
    for name in ("estimates", "failures", "labels", "timings"):
        assert {p.suffix for p in (out / "tables").glob(f"{name}.*")} == {
            ".csv", ".md", ".tex", ".html",
        }  # fmt: skip


def test_where_the_cpu_time_went(finished):
    """Every job once, and what plans take for given to a factor of three of what it was."""
    out = finished / "results" / "tiny"
    table = pd.read_csv(out / "tables" / "stages.csv").set_index("stage")
    jobs = {"simulate": 1, "fit": 2 * 3, "follow": 2, "walkthrough": 1, "gather": 1, "tables": 1}
    jobs |= {"draw": len(FIGURES), "provenance": 1, "stages": 1, "calibrate": 2, "paper": 1}
    assert dict(table["jobs"][table["jobs"] > 0].drop(["overhead", "all"])) == jobs
    assert len(list((out / "costs").iterdir())) == sum(jobs.values())
    took, stated = table["cpu_seconds"], plan.SECONDS
    number = sum(jobs.values())
    for stage, expected in {
        "workflow": stated["Snakemake"] + number * stated["Snakemake, a job"],
        "start": number * stated["a job's start"],
        "import": stated["imports and loading"],
        "walkthrough": stated["walkthrough"],
        "gather": jobs["fit"] * stated["chunk gathered"],
        "tables": stated["tables"],
        "draw": len(FIGURES) * stated["figure"],
    }.items():
        assert 1 / 3 < took[stage] / expected < 3, stage


def test_benchmarks_are_a_target_apart(finished):
    assert not (finished / "results" / "benchmarks").exists()
    jobs = snakemake(finished, "-n", "--", "benchmarks").stdout
    stats = jobs[jobs.index("Job stats") :].split("\n\n")[0].splitlines()[3:]
    counts = {line.split()[0]: int(line.split()[1]) for line in stats if line.strip()}
    assert counts == {"benchmark": 4, "benchmark_exhibits": 1, "benchmarks": 1, "total": 6}


def test_one_core_and_other_chunks_give_the_same_bytes(finished, tmp_path):
    folder = tiny(tmp_path / "other")
    snakemake(folder, "chunk=5", "--cores", "1", "--", "tables")
    assert digests(folder) == digests(finished)


def test_killed_and_started_again_it_ends_with_the_same_bytes(finished, tmp_path):
    folder = tiny(tmp_path / "killed")
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "2"]
    run = subprocess.Popen(
        [*command, "--config", "design=tiny.yaml", "chunk=3"],
        cwd=folder,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    fits = folder / "results" / "tiny" / "fits"
    deadline = time.monotonic() + 120
    while not list(fits.glob("*/*/*/fits.parquet")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert list(fits.glob("*/*/*/fits.parquet"))
    assert not (folder / "results" / "tiny" / "tables").exists()
    snakemake(folder, "chunk=3", "--", "tables")
    assert digests(folder) == digests(finished)


def jobs_after_touching(finished, file):
    """Names of the rules that a dry run would run if a source had changed."""
    copy = finished.parent / f"repository-{Path(file).stem}"
    shutil.copytree(
        ROOT,
        copy,
        ignore=shutil.ignore_patterns(".git", ".venv", "results", ".snakemake", ".*_cache"),
    )
    path = copy / file
    work = copy / "work"
    shutil.copytree(finished, work, symlinks=True)
    command = [sys.executable, "-m", "snakemake", "-s", str(copy / "Snakefile"), "--cores", "2"]
    settings = {"cwd": work, "capture_output": True, "text": True, "check": True}
    target = ["--config", "design=tiny.yaml"]
    # The copy stands elsewhere: its files are taken as they are before one of them is edited.
    subprocess.run([*command, "--touch", *target], **settings)
    text = path.read_text()
    path.write_text(text + "\n# edited\n")
    later = time.time() + 5
    os.utime(path, (later, later))
    done = subprocess.run([*command, "-n", "--rerun-triggers", "mtime", *target], **settings)
    stats = done.stdout[done.stdout.index("Job stats") :].split("\n\n")[0].splitlines()[3:]
    return {line.split()[0]: int(line.split()[1]) for line in stats if line.strip()}


def test_editing_a_table_remakes_tables_and_what_reads_them(finished):
    jobs = jobs_after_touching(finished, "study/measures.py")
    assert "fit" not in jobs
    assert "gather" not in jobs
    assert jobs["tables"] == 1


def test_editing_an_optimiser_remakes_the_fits(finished):
    jobs = jobs_after_touching(finished, "models/direct.py")
    assert (
        jobs["fit"] == 2 * 3
    )  # PyMC's as well: the barrier between labellings takes its objective
    assert jobs["tables"] == 1


def test_editing_em_remakes_the_fits(finished):
    jobs = jobs_after_touching(finished, "models/em.py")
    assert jobs["fit"] == 2 * 3  # PyMC's as well: their starts take EM steps


def test_a_living_run_is_left_alone(tmp_path):
    folder = tmp_path / ".snakemake"
    (folder / "locks").mkdir(parents=True)
    (folder / "locks" / "0.input.lock").touch()
    holder = subprocess.Popen(
        [
            sys.executable, "-c",
            "import fcntl, time; f = open('.snakemake/run', 'w'); fcntl.flock(f, fcntl.LOCK_EX);"
            "print('held', flush=True); time.sleep(60)",
        ],
        cwd=tmp_path, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout.readline().strip() == b"held"
    assert not recover(tmp_path)
    assert (folder / "locks" / "0.input.lock").exists()
    holder.kill()
    holder.wait()
    assert recover(tmp_path)
    assert not (folder / "locks" / "0.input.lock").exists()


def test_the_workflow_is_clean_but_for_the_answered_demand():
    from tests.workflow.lint import findings

    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--lint"], cwd=ROOT, capture_output=True, text=True
    )
    assert "Lints for rule" in done.stderr + done.stdout
    assert findings(done.stderr + done.stdout) == []
