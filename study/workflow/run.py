"""The run of the workflow that a job is of: a job knows its process, and ends when that has ended.

Snakemake's own jobs go on where it is killed outright, and would write what the next run writes.
Every job loads this, so that it stays small.
"""

from __future__ import annotations

import os
import sys
import threading
import time

import psutil

# The environment's name for the process of Snakemake that starts jobs: its id and its birth.
RUN = "STUDY_RUN"


def announce(modules: str) -> None:
    """Tell the jobs that this process starts that they are its jobs.

    modules: the folder that they import the repository's modules from, whatever is installed.
    """
    own = psutil.Process()
    os.environ[RUN] = f"{own.pid}:{own.create_time()}"
    places = [modules, os.environ.get("PYTHONPATH")]
    os.environ["PYTHONPATH"] = os.pathsep.join(place for place in places if place)


def process() -> psutil.Process | None:
    """Snakemake's process, alive; None if this is no job of it, or it has ended."""
    pid, _, born = os.environ.get(RUN, "").partition(":")
    try:
        found = psutil.Process(int(pid))
        return found if found.create_time() == float(born) else None
    except (ValueError, psutil.Error):
        return None


def end_with_it(interval: float = 1.0) -> None:
    """End this process and its children, without a word, soon after the run's process has ended."""
    if os.environ.get(RUN):
        threading.Thread(target=_watch, args=(process(), interval), daemon=True).start()


def _watch(run: psutil.Process | None, interval: float) -> None:
    while run is not None and run.is_running() and run.status() != psutil.STATUS_ZOMBIE:
        time.sleep(interval)
    for child in psutil.Process().children(recursive=True):
        child.kill()
    os._exit(1)


def say(line: str) -> None:
    """A line of progress, in the job's log."""
    print(line, file=sys.stderr, flush=True)
