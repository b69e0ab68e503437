"""Records of jobs, and the table made of them."""

import json
import time
from collections import defaultdict
from pathlib import Path

import pytest

from study.workflow import costs
from study.workflow.pieces import write_record
from study.workflow.stages import of_design, stages
from tests.workflow.test_chunks import design, made, plan


def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def record(command, run=("r", 1.0), **seconds):
    return {
        "command": command,
        "seconds": {"start": 0.1, **seconds},
        "megabytes": seconds["work"],
        "run": run and dict(zip(("process", "seconds"), run, strict=True)),
    }


def test_every_second_is_counted_once():
    records = [
        record("numeric", work=10.0, compile=0.5),
        record("pymc", work=20.0, run=("r", 4.0)),
        record("follow", work=5.0, run=("again", 2.0), **{"import": 3.0}),
        record("figures", work=3.0, run=None),
    ]
    table = stages(records).set_index("stage")
    assert dict(table["cpu_seconds"]) == pytest.approx(
        {
            "workflow": 4.0 + 2.0, "start": 0.4, "import": 3.0, "compile": 0.5, "fit": 30.0,
            "follow": 5.0, "draw": 3.0, "overhead": 12.9, "all": 47.9,
        }
    )  # fmt: skip
    assert dict(table["jobs"])["fit"] == 2
    assert table["megabytes"]["fit"] == 20.0
    assert table["share"][:-2].sum() == pytest.approx(1.0)
    assert table["share"]["overhead"] == pytest.approx(12.9 / 47.9)


def test_a_memory_that_no_one_counts_is_none():
    assert stages([record("gather", work=1.0) | {"megabytes": None}])["megabytes"].max() == 0.0


def test_the_records_are_those_of_the_chunks_that_the_design_uses(tmp_path):
    """One of its own, one taken over, one of another design; and of all else its own alone."""
    new = plan(design(), []).new
    other = plan(design(seed=8), []).new[0]
    left = {"d": [new[0], other], "e": new[1:]}
    for name, own in left.items():
        for one in made(own, tmp_path / name / "chunks"):
            one.folder.mkdir(parents=True)
            write_record(one.folder, one.chunk, {}, {})
            keep(tmp_path / name, one.folder, {"command": one.chunk.step, "of": one.chunk.digest})
        keep(tmp_path / name, Path("rows"), {"command": "gather", "of": name})
    found = [one["of"] for one in of_design(design(), tmp_path)]
    assert sorted(found) == sorted([*(chunk.digest for chunk in new), "d"])


def keep(design_folder, out, content):
    file = design_folder / "costs" / costs.named(out)
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content))


@pytest.fixture
def job(monkeypatch):
    """The parts of a job that has just begun."""
    monkeypatch.setattr(costs, "JOB", parts := defaultdict(float))
    return parts


def test_a_record_has_the_jobs_parts(tmp_path, monkeypatch, job):
    """The parts are bounded by what was burnt in them; a tenth of a second is far above what else
    goes on."""
    monkeypatch.setenv(costs.FOLDER, str(tmp_path / "costs"))
    before = costs.cpu()
    with costs.part("import"):
        burn(0.25)
    with costs.recorded("follow", Path("results/d/chunks/follow/0a")):
        burn(0.1)
    (file,) = (tmp_path / "costs").iterdir()
    found = json.loads(file.read_text())
    assert file.name == "results_d_chunks_follow_0a.json"
    assert found["command"] == "follow"
    assert found["seconds"]["start"] == pytest.approx(before, abs=0.2)
    assert 0.25 <= found["seconds"]["import"] < 0.45
    assert 0.1 <= found["seconds"]["work"] < 0.25
    assert costs.read(tmp_path / "costs") == [found]


def test_no_record_without_a_folder_or_of_a_job_that_failed(tmp_path, monkeypatch, job):
    monkeypatch.delenv(costs.FOLDER, raising=False)
    with costs.recorded("gather", Path("rows")):
        pass
    monkeypatch.setenv(costs.FOLDER, str(tmp_path))
    with costs.recorded("check", None):
        pass
    with pytest.raises(OSError, match="broken"), costs.recorded("gather", Path("rows")):
        raise OSError("broken")
    assert not list(tmp_path.iterdir())
