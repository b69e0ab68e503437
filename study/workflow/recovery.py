"""Going on after a kill: what Snakemake would otherwise ask a person to do by hand.

A run that is killed leaves Snakemake's lock on the folder, and marks on the files that it was
writing, and Snakemake then refuses to start without --unlock and --rerun-incomplete.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import IO

_HELD: list[IO[str]] = []


def recover(root: Path = Path()) -> bool:
    """Drop what a killed run left in the folder: locks, half-written files and their marks.

    A run holds an operating system's lock on .snakemake/run for as long as it lives. Where that
    lock can be had, no other run is alive in this folder; where it cannot, nothing is touched. Not
    for jobs that Snakemake starts through itself, as on a cluster, whose file system may keep such
    locks on each machine alone. Returns whether it was had; RuntimeError if a killed run left jobs
    in Slurm's queue, which would write what this one writes.
    """
    folder = root / ".snakemake"
    folder.mkdir(exist_ok=True)
    handle = (folder / "run").open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        return False
    if left := orphans(root):
        handle.close()
        raise RuntimeError(
            "Slurm jobs of a run that was killed still work in this folder; wait until they end, "
            f"or end them by: scancel {' '.join(left)}"
        )
    _HELD.append(handle)
    for lock in (folder / "locks").glob("*"):
        lock.unlink()
    marks = folder / "incomplete"
    for mark in [path for path in marks.rglob("*") if path.is_file()]:
        # A mark is named after its file, in base64; long names are cut into folders with an @.
        parts = mark.relative_to(marks).parts
        name = urlsafe_b64decode("".join(part.removeprefix("@") for part in parts)).decode()
        (root / name).unlink(missing_ok=True)
        mark.unlink()
    return True


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
