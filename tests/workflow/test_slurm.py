"""The cluster profile: what jobs ask for, what they touch, and Slurm itself where it runs."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time

import pytest
import yaml

from study.workflow.recovery import orphans, recover
from tests.workflow.test_workflow import DESIGN, ROOT, digests, tiny

PROFILE = ["--profile", str(ROOT / "study" / "profiles" / "slurm")]
TABLES = ["results/tiny/tables/estimates.csv"]


def run(folder, *arguments, **settings):
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=600, **settings
    )


def requests(folder, **changes):
    """By log file of each job in a dry run: runtime, mem_mb, and whether it is of a group."""
    folder.mkdir(exist_ok=True)
    (folder / "tiny.yaml").write_text(yaml.safe_dump({**DESIGN, **changes}))
    done = run(folder, *PROFILE, "-n", "--config", "design=tiny.yaml")
    assert done.returncode == 0, done.stderr
    asked = {}
    job = re.compile(r"^( *)log: (\S+)$.*?^ *resources: ([^\n]*)", re.MULTILINE | re.DOTALL)
    for indent, log, resources in job.findall(done.stdout):
        values = dict(re.findall(r"(\w+)=(\d+)", resources))
        asked[log] = int(values["runtime"]), int(values["mem_mb"]), len(indent) > 4
    return asked


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return requests(tmp_path_factory.mktemp("small"))


def test_every_job_asks_for_minutes_and_memory_within_reason(small):
    assert len(small) > 20
    for log, (runtime, megabytes, _) in small.items():
        assert 1 <= runtime <= 60, log
        assert 1000 <= megabytes <= 4000, log


def test_what_computes_is_grouped_for_slurm_and_what_presents_is_local(small):
    grouped = {log for log, (_, _, group) in small.items() if group}
    # Chunks of both engines, following; walkthrough; chunks of the calibration.
    assert len(grouped) == 2 * (2 + 1 + 1) + 1 + 2
    computing = "/fits/|/closely/|/calibration/|walkthrough"
    assert all(re.search(computing, log) for log in grouped)
    assert not any(re.search(computing, log) for log in small.keys() - grouped)


def test_runtime_and_memory_rise_with_the_chunk(small, tmp_path):
    replicates = {"em": 100_000, "map": 100_000, "nuts": 1000}
    large = requests(tmp_path, chunk=100_000, closely=50, replicates=replicates)
    logs = "results/tiny/logs"
    for engine, chunk in (("numeric", "0-6"), ("pymc", "0-4")):
        few = small[f"{logs}/fits/near/{engine}.{chunk}.log"]
        many = large[f"{logs}/fits/near/{engine}.0-100000.log"]
        assert many[0] > 10 * few[0]
        assert many[1] > few[1] + 1000
    assert large[f"{logs}/closely/near.log"][0] > small[f"{logs}/closely/near.log"][0]


def test_a_job_on_a_cluster_keeps_to_itself(tmp_path):
    """Neither the folder's lock, nor half-written files, nor the server of the run is its own."""
    folder = tiny(tmp_path / "job")
    lock = folder / ".snakemake" / "locks" / "0.input.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    address = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        server.setblocking(False)
        job = ["--mode", "remote", "--target-jobs", "simulate:", "--nolock", "--no-hooks"]
        done = run(
            folder, *job, "--cores", "1", "--allowed-rules", "simulate",
            "--config", "design=tiny.yaml", env={**os.environ, "STUDY_WORKER": address},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        with pytest.raises(BlockingIOError):
            server.accept()
    assert (folder / "results" / "tiny" / "data" / "near.csv").is_file()
    assert lock.exists()


def test_jobs_that_a_killed_run_left_in_the_queue_are_named(tmp_path, monkeypatch):
    folder = tmp_path / "study"
    lock = folder / ".snakemake" / "locks" / "0.input.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    (folder / ".snakemake" / "slurm_logs").mkdir()
    queue = tmp_path / "squeue"
    queue.write_text(
        "#!/bin/sh\n"
        f"echo '11|rule_fits_fit|{folder}'\n"
        f"echo '12|(null)|{folder}'\n"
        f"echo '13|rule_fits_fit|{tmp_path}/elsewhere'\n"
        f"echo '14|rule_walkthrough|{folder}'\n"
    )
    queue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert orphans(folder) == ["11", "14"]
    with pytest.raises(RuntimeError, match="scancel 11 14"):
        recover(folder)
    assert lock.exists()
    queue.write_text("#!/bin/sh\n")
    assert recover(folder)
    assert not lock.exists()


def cluster_answers():
    """Whether there is a Slurm cluster to send jobs to."""
    if not (shutil.which("sbatch") and shutil.which("sinfo")):
        return False
    return subprocess.run(["sinfo"], capture_output=True).returncode == 0


@pytest.fixture
def cluster(tmp_path):
    """A function that runs the tiny design's tables on Slurm, and a folder for it."""
    folder = tiny(tmp_path / "cluster")
    near = ["--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "20"]

    def start():
        command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile")]
        design = ["--config", "design=tiny.yaml", "--"]
        return subprocess.Popen(
            [*command, *PROFILE, *near, *design, *TABLES],
            cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    return folder, start


@pytest.mark.skipif(not cluster_answers(), reason="no Slurm cluster answers to sinfo here")
def test_on_slurm_with_a_job_cancelled_the_bytes_are_those_of_a_local_run(cluster, tmp_path):
    folder, start = cluster
    local = tiny(tmp_path / "local")
    run(local, "--cores", "2", "--config", "design=tiny.yaml", "--", *TABLES, check=True)
    started = start()
    deadline = time.monotonic() + 300
    while not list(folder.glob("results/tiny/fits/*/*/*/fits.parquet")):
        assert started.poll() is None, started.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.2)
    subprocess.run(["scancel", *orphans(folder)], check=True)
    said, _ = started.communicate()
    assert started.returncode == 0, said
    assert "Error in group fits" in said
    assert digests(folder) == digests(local)
