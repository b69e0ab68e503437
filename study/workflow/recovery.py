"""Going on after a kill, and keeping apart the runs that live in one folder.

Snakemake's lock stays behind where a run is killed, is taken from every run in the folder where one
of them ends, and needs a person to remove it. In its place each run has a file of its own in
.snakemake/runs, named after where it writes, and no two runs that live write to one place. Nothing
has to be cleared away: a chunk without its record is unmade, and what else a killed run was writing
Snakemake's own marks tell.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
from snakemake.exceptions import WorkflowError

RUNS = Path(".snakemake", "runs")
# Seconds between two signs of life of a run, by which runs on other machines know of it.
BEAT = 10.0


def attend(workflow: Any, places: Callable[[], Iterable[str]], begin: Callable[[], None]) -> None:
    """Have Snakemake go on from what a killed run left, and refuse what another run is writing.

    Changes nothing on the disk until the workflow is executed, and nothing for a dry run. It
    stands for `snakemake --nolock --rerun-incomplete`, which no Snakefile can ask for: Snakemake
    is told when it starts to execute the workflow, by this object's `execute`, which is no
    documented place. Where that is no longer called, people give the two options by hand.

    places: what the run writes to, asked when it starts. begin: called when those are its own.
    """
    execute = workflow.execute

    def attended(*given: Any, **named: Any) -> Any:
        workflow.execution_settings.lock = False
        workflow.dag_settings.force_incomplete = True
        if named["executor_plugin"].common_settings.dryrun_exec:
            return execute(*given, **named)
        if left := orphans():
            raise WorkflowError(
                "Slurm jobs of a run that was killed still work in this folder; wait until they "
                f"end, or end them by: scancel {' '.join(left)}"
            )
        with ExitStack() as held:
            for place in places():
                held.enter_context(alone(place))
            begin()
            return execute(*given, **named)

    workflow.execute = attended


def stop_after(minutes: float) -> None:
    """Have Snakemake begin no job once so many minutes are over: those at work come to their end.

    By the signal that it documents for that, to this process alone.
    """
    if not minutes > 0.0:
        raise WorkflowError(f"minutes: {minutes:g} leaves no time; give more, such as 55")
    timer = threading.Timer(60.0 * minutes, os.kill, (os.getpid(), signal.SIGTERM))
    timer.daemon = True
    timer.start()


@contextmanager
def alone(place: str, runs: Path = RUNS, beat: float = BEAT) -> Iterator[None]:
    """Be the one run of this folder that writes there; WorkflowError if another one lives."""
    own = psutil.Process()
    file = runs / place / f"{platform.node()}.{own.pid}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    run = {"host": platform.node(), "pid": own.pid, "born": own.create_time()}
    file.write_text(json.dumps(run), encoding="utf-8")
    done = threading.Event()
    threading.Thread(target=_live, args=(file, done, beat), daemon=True).start()
    try:
        for other in sorted(file.parent.glob("*.json")):
            if other != file and _lives(other, beat):
                raise WorkflowError(
                    f"another run is writing results of {place} in this folder, see {other}; "
                    "wait until it ends"
                )
        yield
    finally:
        done.set()
        file.unlink(missing_ok=True)


def _live(file: Path, done: threading.Event, beat: float) -> None:
    """Give signs of life until the run is done."""
    while not done.wait(beat):
        if file.exists():
            os.utime(file)


def _lives(file: Path, beat: float) -> bool:
    """Whether the run of a file is alive; the file of one that is not is deleted.

    On this machine by its process; on another one by the signs of life that it gives in the time
    of three, which no clock but this one measures.
    """
    try:
        run, seen = json.loads(file.read_text(encoding="utf-8")), file.stat().st_mtime_ns
    except FileNotFoundError:  # It has just ended.
        return False
    except ValueError:  # It has just begun, or never came further.
        run, seen = {"host": None}, file.stat().st_mtime_ns
    if run["host"] == platform.node():
        alive = _is(run)
    else:
        print(f"waiting for a sign of life of the run of {file}", file=sys.stderr, flush=True)
        time.sleep(3.0 * beat)
        alive = file.exists() and file.stat().st_mtime_ns != seen
    if not alive:
        file.unlink(missing_ok=True)
    return alive


def _is(run: dict[str, Any]) -> bool:
    try:
        return psutil.Process(run["pid"]).create_time() == run["born"]
    except psutil.Error:
        return False


def orphans(root: Path = Path()) -> list[str]:
    """Ids of this person's jobs in Slurm's queue that a run has sent there from the folder."""
    # The plugin's logs tell whether there was one: squeue takes seconds where no Slurm answers.
    if not (root / ".snakemake" / "slurm_logs").is_dir() or shutil.which("squeue") is None:
        return []
    # Snakemake's jobs have a comment that starts with what they do; other jobs may be here too.
    command = ["squeue", "--me", "--noheader", "--format=%A|%k|%Z"]
    queue = subprocess.run(command, capture_output=True, text=True)
    jobs = [line.split("|", 2) for line in queue.stdout.splitlines()]
    return [
        number
        for number, comment, folder in jobs
        if comment.startswith(("rule_", "group_")) and Path(folder).resolve() == root.resolve()
    ]
