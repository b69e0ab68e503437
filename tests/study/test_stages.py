"""Records of jobs, and the table made of them."""

import argparse
import json
import time
from collections import defaultdict

import pytest

from study.design import load
from study.workflow import costs
from study.workflow.stages import of_design, stages


def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def record(command, arguments=(), run=("r", 1.0), server=(1, 2.0, 3.0), **seconds):
    return {
        "command": command,
        "arguments": list(arguments),
        "seconds": {"start": 0.1, **seconds},
        "megabytes": seconds["work"],
        "server": server and dict(zip(("process", "import", "compile"), server, strict=True)),
        "run": run and dict(zip(("process", "seconds"), run, strict=True)),
    }


def test_every_second_is_counted_once():
    records = [
        record("chunk", work=10.0, compile=0.5),
        record("chunk", work=20.0, run=("r", 4.0)),
        record("follow", work=5.0, run=("again", 2.0), server=(2, 1.0, 1.0)),
        record("figures", work=3.0, run=None, server=None),
    ]
    table = stages(records).set_index("stage")
    assert dict(table["cpu_seconds"]) == pytest.approx(
        {
            "workflow": 4.0 + 2.0, "start": 0.4, "import": 3.0, "compile": 0.5 + 4.0, "fit": 30.0,
            "follow": 5.0, "draw": 3.0, "overhead": 16.9, "all": 51.9,
        }
    )  # fmt: skip
    assert dict(table["jobs"])["fit"] == 2
    assert table["megabytes"]["fit"] == 20.0
    assert table["share"][:-2].sum() == pytest.approx(1.0)
    assert table["share"]["overhead"] == pytest.approx(16.9 / 51.9)


def test_other_chunks_and_the_benchmarks_are_left_out():
    design = load("smoke")
    kept = [record("chunk", ["birds", "numeric", "0", "20"], work=1.0), record("gather", work=1.0)]
    other = [record("chunk", ["birds", "numeric", "0", "5"], work=1.0)]
    assert of_design(design, [*kept, *other, record("benchmark", work=1.0)]) == kept


def test_a_record_has_the_jobs_parts(tmp_path, monkeypatch):
    """The parts are bounded by what was burnt in them; a tenth of a second is far above what else
    goes on."""
    monkeypatch.setattr(costs, "JOB", job := defaultdict(float))
    monkeypatch.setenv(costs.FOLDER, str(tmp_path / "costs"))
    before = costs.cpu()
    with costs.recorded(argparse.Namespace(command="chunk", design="d", scenario="a/b", first=3)):
        with costs.part("import", job):
            burn(0.25)
        burn(0.1)
    (file,) = (tmp_path / "costs").iterdir()
    found = json.loads(file.read_text())
    assert file.name == "chunk-a_b-3.json"
    assert (found["command"], found["arguments"]) == ("chunk", ["a/b", "3"])
    assert found["seconds"]["start"] == pytest.approx(before, abs=0.2)
    assert 0.25 <= found["seconds"]["import"] < 0.45
    assert 0.1 <= found["seconds"]["work"] < 0.25
    assert costs.read(tmp_path / "costs") == [found]


def test_no_record_without_a_folder_or_of_a_job_that_failed(tmp_path, monkeypatch):
    job = argparse.Namespace(command="gather")
    monkeypatch.delenv(costs.FOLDER, raising=False)
    with costs.recorded(job):
        pass
    monkeypatch.setenv(costs.FOLDER, str(tmp_path))
    with pytest.raises(OSError, match="broken"), costs.recorded(job):
        raise OSError("broken")
    assert not list(tmp_path.iterdir())
