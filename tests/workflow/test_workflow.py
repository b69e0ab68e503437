"""The whole workflow on a tiny design: going on after kills, edits, runs beside each other."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml

from study.rows import KINDS
from study.workflow.pieces import STEPS
from tests.workflow.test_sources import CHECKED, loaded
from tests.workflow.tiny import DESIGN

pytestmark = pytest.mark.workflow
ROOT = Path(__file__).parents[2]
ROWS = [kind for kind, what in KINDS.items() if not what.timed]
COMPUTED = dict.fromkeys(STEPS, 1)


def command(root=ROOT):
    return [sys.executable, "-m", "snakemake", "-s", str(root / "Snakefile"), "--cores", "2"]


def snakemake(folder, *arguments, root=ROOT, check=True, design="tiny.yaml"):
    done = subprocess.run(
        [*command(root), "--config", f"design={design}", *arguments],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0 or not check, done.stderr
    return done


def begun(folder, root=ROOT):
    """A run at work: what it computes first is there, and more is on its way."""
    with (folder.parent / "said").open("w") as said:
        run = subprocess.Popen(
            [*command(root), "--config", "design=tiny.yaml"],
            cwd=folder, start_new_session=True, stdout=said, stderr=said,
        )  # fmt: skip
    deadline = time.monotonic() + 300
    while not list(folder.glob("results/tiny/chunks/*/*/record.json")):
        assert run.poll() is None, (folder.parent / "said").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return run


def digests(folder):
    out = folder / "results" / "tiny"
    files = [out / "rows" / f"{kind}.parquet" for kind in ROWS]
    files += [out / "tables" / f"{t}.csv" for t in ("estimates", "failures", "optimisation")]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def account(folder):
    """What Snakemake wrote into the log file of its last run."""
    return max(folder.glob(".snakemake/log/*.log")).read_text()


def everything(folder):
    """All files by their contents, Snakemake's log and its memory of dates apart."""
    apart = {"log", "iocache"}
    files = (f for f in folder.rglob("*") if f.is_file() and not apart & set(f.parts))
    return {file: file.read_bytes() for file in files}


def to_be_done(folder, *targets, **settings):
    """What a dry run would do: jobs by rule, those of computing by step."""
    said = snakemake(folder, "-n", *targets, **settings).stdout
    jobs = Counter(re.findall(r"^(?:local)?rule (\w+):", said, re.MULTILINE))
    steps = re.findall(r"^    output: \S+/chunks/(\w+)/\w+/record.json", said, re.MULTILINE)
    assert jobs.pop("compute", 0) == len(steps)
    return {**jobs, **Counter(steps)}


def tiny(folder, **changes):
    folder.mkdir(exist_ok=True)
    (folder / "tiny.yaml").write_text(yaml.safe_dump({**DESIGN, **changes}))
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder in which the tiny design has run to its end, and in `said` what the run said."""
    folder = tiny(tmp_path_factory.mktemp("finished"))
    (folder / "said").write_text(snakemake(folder).stderr)
    return folder


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of that folder, whose files keep their dates."""
    return Path(shutil.copytree(finished, tmp_path / "copy"))


@pytest.fixture
def repository(tmp_path):
    """A copy of the repository, to be edited."""
    ignored = shutil.ignore_patterns(".git", ".venv", "results", ".snakemake", ".*_cache")
    return Path(shutil.copytree(ROOT, tmp_path / "repository", ignore=ignored))


def edit(file, text="\n# edited\n"):
    file.write_text(file.read_text() + text)


def test_everything_is_made_and_nothing_is_left_to_do(finished):
    out = finished / "results" / "tiny"
    assert (out / "provenance.json").is_file()
    assert (out / "data" / "near.csv").read_text().count("\n") == 61
    assert (out / "walkthrough" / "walkthrough.html").is_file()
    for name in ("estimates", "failures", "labels", "timings"):
        assert {p.suffix for p in (out / "tables").glob(f"{name}.*")} == {
            ".csv", ".md", ".tex", ".html",
        }  # fmt: skip
    assert to_be_done(finished) == {}


def test_the_terminal_has_a_line_a_job_and_the_log_all(finished):
    lines = (finished / "said").read_text().splitlines()
    counted = [line.split() for line in lines if re.match(r" +\d+ of \d+  ", line)]
    assert [int(words[0]) for words in counted] == list(range(1, int(counted[0][2]) + 1))
    assert len(lines) <= len(counted) + 3
    assert max(map(len, lines)) < 120
    assert "results/tiny/" in lines[-1]
    assert "rule compute:" in account(finished)


def test_every_job_is_in_the_table_of_stages_once(finished):
    table = pd.read_csv(finished / "results/tiny/tables/stages.csv").set_index("stage")
    jobs = dict(table["jobs"][table["jobs"] > 0].drop(["overhead", "all"]))
    presented = ("simulate", "walkthrough", "gather", "tables", "draw", "paper", "provenance")
    presented += ("index",)
    computed = Counter(step.makes for name, step in STEPS.items() if name != "external")
    assert jobs == {**computed, **dict.fromkeys((*presented, "stages"), 1)}


def test_what_presenting_steps_load_is_among_their_rules_inputs(finished, tmp_path):
    said = snakemake(finished, "-n", "--forceall").stdout
    rules = re.findall(r"^(?:local)?rule (\w+):\n    input: (.*)$", said, re.MULTILINE)
    inputs = {
        rule: {os.path.relpath(finished / f, ROOT) for f in files.split(", ")}
        for rule, files in rules
    }
    out = "results/tiny"
    rows = ["--rows", f"{out}/rows"]
    shown = ["--tables", f"{out}/tables", "--figures", f"{out}/figures"]
    shown += ["--provenance", f"{out}/provenance.json"]
    for rule, arguments in {
        "simulate": ["tiny.yaml"],
        "gather": ["tiny.yaml", "--results", "results"],
        "tables": ["tiny.yaml", *rows],
        "figures": ["tiny.yaml", *rows],
        "paper": ["tiny.yaml", *shown],
        "index": ["tiny.yaml", *shown],
        "walkthrough": [],
        "provenance": ["tiny.yaml", *rows],
        "stages": ["tiny.yaml", "--results", "results"],
    }.items():
        found = loaded(finished, rule, *arguments, "--out", str(tmp_path / rule))
        assert found <= inputs[rule] | CHECKED, rule


def test_benchmarks_are_a_target_apart(finished):
    assert not (finished / "results" / "benchmarks").exists()
    said = snakemake(finished, "-n", "--", "benchmarks").stdout
    jobs = Counter(re.findall(r"^(?:local)?rule (\w+):", said, re.MULTILINE))
    assert jobs == {"benchmark": 4, "benchmark_exhibits": 1, "benchmarks": 1}


def test_one_core_and_shorter_pieces_give_the_same_bytes(finished, tmp_path):
    folder = tiny(tmp_path / "other")
    snakemake(folder, "chunk=5", "--cores", "1", "--", "tables")
    assert digests(folder) == digests(finished)


# Kills and neighbours ----------------------------------------------------------------------------


def test_killed_and_started_again_it_ends_with_the_same_bytes(finished, tmp_path):
    folder = tiny(tmp_path / "killed")
    run = begun(folder)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    before = everything(folder)
    snakemake(folder, "-n")
    assert everything(folder) == before
    done = {file: file.stat() for file in folder.glob("results/tiny/chunks/*/*/record.json")}
    snakemake(folder, "--", "tables")
    assert done
    assert done == {file: file.stat() for file in done}
    assert digests(folder) == digests(finished)


def test_jobs_end_where_snakemake_alone_is_killed(tmp_path):
    run = begun(tiny(tmp_path / "orphans"))
    family = psutil.Process(run.pid).children(recursive=True)
    assert family
    run.kill()
    run.wait()
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive


def test_a_study_goes_on_from_its_parts_elsewhere_and_ends_with_the_same_bytes(
    copy, finished, tmp_path
):
    """All that is made there is the fits, for the only ones by NUTS keep their draws."""
    done = subprocess.run(
        [sys.executable, "-m", "study", "publish", "tiny.yaml", "--part"],
        cwd=copy, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    there = tiny(tmp_path / "there")
    shutil.copytree(copy / "results" / "published", there / "results" / "published")
    fits = {step: 1 for step, what in STEPS.items() if what.makes == "fit"}
    jobs = to_be_done(there)
    assert {step: jobs[step] for step in jobs if step in STEPS} == fits
    snakemake(there)
    assert digests(there) == digests(finished)


def test_what_parts_keep_is_a_target(tmp_path):
    """Which is all but the fits: those by NUTS, one a scenario, keep their draws."""
    folder = tiny(tmp_path / "new")
    every, kept = to_be_done(folder), to_be_done(folder, "--", "part")
    fits = {step for step, what in STEPS.items() if what.makes == "fit"}
    assert kept == {s: n for s, n in every.items() if s in STEPS.keys() - fits} | {"part": 1}


def test_another_designs_run_beside_a_living_one_leaves_it_alone(finished, tmp_path):
    folder = tiny(tmp_path / "beside")
    (folder / "short.yaml").write_text(yaml.safe_dump({**DESIGN, "name": "short", "seed": 8}))
    run = begun(folder)
    for arguments in (["--", "simulate"], ["-n"], ["--", "simulate"]):
        snakemake(folder, *arguments, design="short.yaml")
    assert run.poll() is None
    second = snakemake(folder, check=False)
    assert second.returncode == 1
    assert "another run is writing results of tiny" in second.stderr
    assert run.wait() == 0, (tmp_path / "said").read_text()
    assert digests(folder) == digests(finished)


# Edits -------------------------------------------------------------------------------------------


def test_a_design_that_is_extended_makes_what_is_new(copy):
    tiny(copy, replicates={**DESIGN["replicates"], "em": 14})
    made = to_be_done(copy)
    assert {step: made[step] for step in STEPS if step in made} == {"numeric": 1}
    snakemake(copy, "--", "tables")
    tiny(copy)
    assert not to_be_done(copy).keys() & STEPS.keys()


def test_another_design_takes_over_the_chunks_that_it_shares(copy, finished):
    shared = {**DESIGN, "name": "second", "title": "Second"}
    (copy / "second.yaml").write_text(yaml.safe_dump(shared))
    assert not to_be_done(copy, design="second.yaml").keys() & STEPS.keys()
    snakemake(copy, "--", "gather", design="second.yaml")
    first, second = (copy / "results" / name / "rows" for name in ("tiny", "second"))
    for kind in ROWS:
        name = f"{kind}.parquet"
        assert (first / name).read_bytes() == (second / name).read_bytes(), kind


@pytest.mark.parametrize(
    ("file", "steps"),
    [
        ("study/report/measures.py", set()),
        ("study/workflow/chunks.py", set()),
        ("study/compute/follow.py", {"follow"}),
        ("models/em.py", set(STEPS) - {"external"}),  # the shared starts take EM steps
    ],
)
def test_an_edit_of_the_sources_makes_what_loads_them(copy, repository, file, steps):
    assert not to_be_done(copy, root=repository).keys() & STEPS.keys()
    edit(repository / file)
    assert to_be_done(copy, root=repository).keys() & STEPS.keys() == steps


def test_a_design_that_is_edited_under_a_run_mixes_nothing(finished, tmp_path):
    folder = tiny(tmp_path / "edited")
    run = begun(folder)
    near, far = DESIGN["scenarios"]
    tiny(folder, scenarios=[{**near, "n": 30}, {**far, "n": 30}])
    assert run.wait() == 1
    logs = (file.read_text() for file in folder.glob("results/tiny/logs/*/*.log"))
    assert any("were edited since the run began" in log for log in logs)
    tiny(folder)
    snakemake(folder, "--", "tables")
    assert digests(folder) == digests(finished)


def test_sources_that_are_edited_under_a_run_mix_nothing(finished, repository, tmp_path):
    folder = tiny(tmp_path / "edited")
    run = begun(folder, repository)
    edit(repository / "models" / "mixture.py")
    assert run.wait() == 1
    snakemake(folder, "--", "tables", root=repository)
    assert digests(folder) == digests(finished)
    chunks = Counter(file.parts[-3] for file in folder.glob("results/tiny/chunks/*/*/record.json"))
    assert 2 in chunks.values()  # what was done before the edit stands beside what was made after


def test_a_damaged_file_of_a_chunk_says_which_folder_to_delete(copy):
    (file,) = copy.glob("results/tiny/chunks/follow/*/stops.parquet")
    file.write_bytes(file.read_bytes()[:100])
    said = snakemake(copy, "--forcerun", "gather", "--", "gather", check=False)
    assert said.returncode == 1
    assert f"delete the folder {file.parent.relative_to(copy)}" in said.stderr
    shutil.rmtree(file.parent)
    snakemake(copy, "--", "tables")


def test_the_workflow_is_clean_but_for_the_answered_demand():
    from tests.workflow.lint import findings

    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--lint"], cwd=ROOT, capture_output=True, text=True
    )
    assert "Lints for rule" in done.stderr + done.stdout
    assert findings(done.stderr + done.stdout) == []
