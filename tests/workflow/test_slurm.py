"""The cluster profile: what jobs ask for, what they touch, and Slurm itself where it runs."""

import os
import re
import shutil
import subprocess
import sys
import time

import pytest

from study.workflow.recovery import orphans
from tests.workflow.test_workflow import ROOT, account, digests, tiny

pytestmark = pytest.mark.workflow
PROFILE = ["--profile", str(ROOT / "study" / "workflow" / "profiles" / "slurm")]
TABLES = ["results/tiny/tables/estimates.csv"]


def command(*arguments):
    snakefile = ["-s", str(ROOT / "Snakefile"), "--config", "design=tiny.yaml"]
    return [sys.executable, "-m", "snakemake", *snakefile, *arguments]


def run(folder, *arguments, **settings):
    return subprocess.run(
        command(*arguments), cwd=folder, capture_output=True, text=True, timeout=600, **settings
    )


def requests(folder, **changes):
    """By log file of each job in a dry run: its runtime and its mem_mb."""
    done = run(tiny(folder, **changes), *PROFILE, "-n")
    assert done.returncode == 0, done.stderr
    job = re.compile(r"^rule \w+:$.*?^    log: (\S+)$.*?^    resources: ([^\n]*)", re.M | re.S)
    asked = {}
    for log, resources in job.findall(done.stdout):
        values = dict(re.findall(r"(\w+)=(\d+)", resources))
        asked[log] = int(values["runtime"]), int(values["mem_mb"])
    return asked


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return requests(tmp_path_factory.mktemp("small"))


def test_every_job_asks_for_minutes_and_memory_within_reason(small):
    assert len(small) > 14
    for log, (runtime, megabytes) in small.items():
        assert 1 <= runtime <= 60, log
        assert 1000 <= megabytes <= 4000, log


def test_runtime_and_memory_rise_with_the_chunk(small, tmp_path):
    def of(asked, step):
        return max(sizes for log, sizes in asked.items() if f"/{step}/" in log)

    scenarios = [
        {"name": n, "weights": [0.5, 0.5], "means": [0, 2], "sds": [1, 1], "n": 5_000_000}
        for n in ("near", "far")
    ]
    large = requests(
        tmp_path, chunk=1000, replicates={"em": 40, "map": 100, "nuts": 20}, scenarios=scenarios
    )
    for step in ("numeric", "pymc"):
        few, many = of(small, step), of(large, step)
        assert many[0] > 2 * few[0]
        assert many[1] > few[1] + 500


def test_a_job_on_a_cluster_keeps_to_itself(tmp_path):
    """It neither holds the folder as a run does nor looks for other chunks than its run's."""
    folder = tiny(tmp_path / "job")
    new = folder / "results" / "tiny" / "chunks" / "new.json"
    new.parent.mkdir(parents=True)
    new.write_text("[]")
    job = ["--mode", "remote", "--target-jobs", "simulate:", "--nolock", "--no-hooks"]
    done = run(
        folder, *job, "--cores", "1", "--allowed-rules", "simulate",
        env={**os.environ, "STUDY_RUN": "1:0.0"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (folder / "results" / "tiny" / "data" / "near.csv").is_file()
    assert not (folder / ".snakemake" / "runs").exists()
    assert new.read_text() == "[]"


def cluster_answers():
    """Whether there is a Slurm cluster to send jobs to."""
    if not (shutil.which("sbatch") and shutil.which("sinfo")):
        return False
    return subprocess.run(["sinfo"], capture_output=True).returncode == 0


@pytest.mark.skipif(not cluster_answers(), reason="no Slurm cluster answers to sinfo here")
def test_on_slurm_with_a_job_cancelled_the_bytes_are_those_of_a_local_run(tmp_path):
    folder, local = tiny(tmp_path / "cluster"), tiny(tmp_path / "local")
    run(local, "--cores", "2", "--", *TABLES, check=True)
    near = ["--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "20"]
    started = subprocess.Popen(
        command(*PROFILE, *near, "--", *TABLES),
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 300
    while not list(folder.glob("results/tiny/chunks/*/*/record.json")):
        assert started.poll() is None, started.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.2)
    subprocess.run(["scancel", *orphans(folder)], check=True)
    said, _ = started.communicate()
    assert started.returncode == 0, said
    assert "Error in rule compute" in said
    log = account(folder)
    assert set(re.findall(r"^localrule (\w+):", log, re.M)) == {"gather", "tables"}
    assert set(re.findall(r"^rule (\w+):", log, re.M)) == {"compute"}
    assert digests(folder) == digests(local)
