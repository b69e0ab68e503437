"""Going on after a kill: what Snakemake would otherwise ask a person to do by hand.

A run that is killed leaves Snakemake's lock on the folder, and marks on the files that it was
writing, and Snakemake then refuses to start without --unlock and --rerun-incomplete.
"""

from __future__ import annotations

import fcntl
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import IO

_HELD: list[IO[str]] = []


def recover(root: Path = Path()) -> bool:
    """Drop what a killed run left in the folder: locks, half-written files and their marks.

    A run holds an operating system's lock on .snakemake/run for as long as it lives. Where that
    lock can be had, no other run is alive in this folder; where it cannot (another run, or a job
    that Snakemake starts through itself), nothing is touched. Returns whether it was had.
    """
    folder = root / ".snakemake"
    folder.mkdir(exist_ok=True)
    handle = (folder / "run").open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        return False
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
