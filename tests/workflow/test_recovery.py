"""Runs that live side by side, runs that were killed, and jobs that outlive them: no study here."""

import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from snakemake.exceptions import WorkflowError

from study.workflow.recovery import alone, orphans, stop_after

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def run_file(runs, **other):
    """The file of a run of `a` as another process would have left it."""
    own = psutil.Process()
    run = {"host": platform.node(), "pid": own.pid, "born": own.create_time(), **other}
    file = runs / "a" / "other.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(run))
    return file


def test_one_run_writes_to_a_place_and_another_one_beside_it(tmp_path):
    with alone("a", tmp_path), alone("b", tmp_path):
        assert len(list(tmp_path.glob("*/*.json"))) == 2
    assert not list(tmp_path.glob("*/*.json"))


def test_a_living_run_is_not_disturbed(tmp_path):
    file = run_file(tmp_path)
    with pytest.raises(WorkflowError, match="another run is writing results of a"):
        alone("a", tmp_path).__enter__()
    assert list(tmp_path.glob("*/*.json")) == [file]
    with alone("a.b", tmp_path):
        assert file.exists()


@pytest.mark.parametrize("other", [{"born": 1.0}, {"pid": 2**22 + 1}])
def test_what_a_killed_run_left_is_no_run(tmp_path, other):
    file = run_file(tmp_path, **other)
    with alone("a", tmp_path):
        assert not file.exists()


def test_a_run_on_another_machine_lives_while_it_gives_signs_of_life(tmp_path):
    file = run_file(tmp_path, host="elsewhere")
    text = f"import os, time\nfor _ in range(300): os.utime({str(file)!r}); time.sleep(.02)"
    with subprocess.Popen([sys.executable, "-c", text]) as beating:
        with pytest.raises(WorkflowError, match="another run"):
            alone("a", tmp_path, beat=0.1).__enter__()
        beating.kill()
    with alone("a", tmp_path, beat=0.1):
        assert not file.exists()


def test_a_run_gives_signs_of_life(tmp_path):
    with alone("a", tmp_path, beat=0.01):
        (file,) = tmp_path.glob("*/*.json")
        os.utime(file, (1, 1))
        deadline = time.monotonic() + 10
        while file.stat().st_mtime < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert file.stat().st_mtime > 2


def test_a_file_that_is_not_whole_is_given_time(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "half.json").write_text('{"ho')
    with alone("a", tmp_path, beat=0.01):
        assert len(list(tmp_path.glob("*/*.json"))) == 1


JOB = """
import time
from study.workflow import run
run.end_with_it(0.05)
print("up", flush=True)
time.sleep(60)
"""
RUN = """
import subprocess, sys
from study.workflow import run
run.announce(".")
subprocess.run(["sh", "-c", f"{sys.executable} job.py; true"])
"""


def test_a_job_ends_with_its_run(tmp_path):
    """The run is killed outright; the shell between it and the job is not, as with Snakemake."""
    (tmp_path / "job.py").write_text(JOB)
    with subprocess.Popen(
        [sys.executable, "-c", RUN], cwd=tmp_path, stdout=subprocess.PIPE, env=ENVIRONMENT
    ) as parent:
        assert parent.stdout.readline() == b"up\n"
        family = psutil.Process(parent.pid).children(recursive=True)
        assert len(family) == 2
        parent.kill()
        parent.wait()
        _, alive = psutil.wait_procs(family, timeout=20)
        assert not alive


def test_a_command_without_a_run_goes_on():
    environment = {k: v for k, v in os.environ.items() if k != "STUDY_RUN"}
    job = "import time; from study.workflow import run; run.end_with_it(.01); time.sleep(.3)"
    done = subprocess.run([sys.executable, "-c", job], cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0


# The door in Snakemake ---------------------------------------------------------------------------

SNAKEFILE = """
from study.workflow.recovery import attend
attend(workflow, lambda: ["a"], lambda: None)
rule all:
    input: "made/a"
rule a:
    output: "made/a"
    shell: "echo whole > {output}; sleep {config[sleep]}"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    return tmp_path


def snakemake(folder, *arguments, sleep=0):
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
    return subprocess.Popen(
        [*command, "--config", f"sleep={sleep}"], cwd=folder, text=True, start_new_session=True,
        env=ENVIRONMENT, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip


def everything(folder):
    """All files by their contents, Snakemake's log and its memory of dates apart."""
    apart = {"log", "iocache"}
    files = (f for f in folder.rglob("*") if f.is_file() and not apart & set(f.parts))
    return {file: file.read_bytes() for file in files}


def killed(folder):
    """A run that was killed while it was writing."""
    run = snakemake(folder, sleep=60)
    deadline = time.monotonic() + 60
    while not (folder / "made" / "a").exists():
        assert run.poll() is None, run.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return run


@pytest.mark.workflow
def test_a_killed_run_is_gone_on_with_and_a_living_one_left_alone(folder):
    """Fails where Snakemake no longer calls `workflow.execute`, or takes its settings elsewhere:
    then people have to give --nolock --rerun-incomplete, and see `recovery.attend`."""
    run = killed(folder)
    second = snakemake(folder)
    said, _ = second.communicate(timeout=60)
    assert second.returncode == 1
    assert "another run is writing results of a" in said
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    (folder / "made" / "a").write_text("ha")
    before = everything(folder)
    for nothing in (["-n"], ["--lint"], ["--list-rules"]):
        snakemake(folder, *nothing).communicate(timeout=60)
        assert everything(folder) == before, nothing
    third = snakemake(folder)
    said, _ = third.communicate(timeout=60)
    assert third.returncode == 0, said
    assert (folder / "made" / "a").read_text() == "whole\n"
    assert not list((folder / ".snakemake" / "runs").glob("*/*"))


def test_time_that_is_up_is_told_to_the_run_by_the_signal_for_it():
    told = []
    before = signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    try:
        stop_after(1e-4)
        deadline = time.monotonic() + 30
        while not told and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert told == [signal.SIGTERM]


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan")])
def test_no_time_at_all_is_refused(minutes):
    with pytest.raises(WorkflowError, match="leaves no time"):
        stop_after(minutes)


@pytest.mark.workflow
def test_the_public_way_that_attending_stands_for(folder):
    """The two options, for the day when Snakemake closes the door."""
    (folder / "Snakefile").write_text(SNAKEFILE.replace("attend(", "(lambda *a: None)("))
    os.killpg(killed(folder).pid, signal.SIGKILL)
    refused = snakemake(folder)
    assert "--rerun-incomplete" in refused.communicate(timeout=60)[0]
    by_hand = snakemake(folder, "--nolock", "--rerun-incomplete")
    said, _ = by_hand.communicate(timeout=60)
    assert by_hand.returncode == 0, said


def test_jobs_that_a_killed_run_left_in_the_queue_are_named(tmp_path, monkeypatch):
    folder = tmp_path / "study"
    (folder / ".snakemake" / "slurm_logs").mkdir(parents=True)
    queue = tmp_path / "squeue"
    queue.write_text(
        "#!/bin/sh\n"
        f"echo '11|rule_compute|{folder}'\n"
        f"echo '12|(null)|{folder}'\n"
        f"echo '13|rule_compute|{tmp_path}/elsewhere'\n"
        f"echo '14|rule_walkthrough|{folder}'\n"
    )
    queue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert orphans(folder) == ["11", "14"]
    queue.write_text("#!/bin/sh\n")
    assert orphans(folder) == []
