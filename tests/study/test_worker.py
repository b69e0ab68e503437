"""Jobs in forks of a server: the same as without, and nothing is left when either side ends."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from study.workflow import worker

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the server is for Linux")


def study(*arguments, module="study.workflow.worker", **settings):
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **settings)


@pytest.fixture(scope="module")
def server():
    """A server of this process; its first job loads what all need."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(worker.ADDRESS, "")
        worker.start()
        process = worker._HELD.pop()
        yield process
        process.stdin.close()
        assert process.wait(timeout=20) == 0
        assert not Path(os.environ[worker.ADDRESS]).parent.exists()


def children(process):
    return Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()


def test_a_job_does_what_it_does_without_a_server(server, tmp_path):
    (tmp_path / "mine.yaml").write_text("name: mine")
    for arguments in (["check", "default"], ["check", "mine.yaml"], ["check", "none"], ["nothing"]):
        shared, alone = (
            study(
                *arguments,
                module=module,
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": os.getcwd()},
            )
            for module in ("study.workflow.worker", "study")
        )
        assert (shared.returncode, shared.stdout) == (alone.returncode, alone.stdout)
        assert shared.stderr.splitlines()[-1:] == alone.stderr.splitlines()[-1:]


def test_without_its_server_a_job_runs_by_itself(monkeypatch):
    for address in ("", "/nowhere/socket"):
        monkeypatch.setenv(worker.ADDRESS, address)
        assert study("check", "smoke").stdout.startswith("smoke: ")


def test_a_job_ends_with_its_client(server, tmp_path):
    """Here a thousand fits; the server serves on."""
    job = ["chunk", "default", "birds", "numeric", "0", "100000", "--out", str(tmp_path / "out")]
    with subprocess.Popen(
        [sys.executable, "-m", "study.workflow.worker", *job], stderr=subprocess.PIPE
    ) as client:
        assert b"birds" in client.stderr.readline()
        assert len(children(server)) == 1
        client.kill()
    deadline = time.monotonic() + 10
    while children(server) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not children(server)
    assert study("check", "smoke").returncode == 0
