"""Whose results a folder holds: two designs of one name would write over each other's."""

from __future__ import annotations

import os
from pathlib import Path

from study.design import Design, DesignError, contents

RECORD = "made-from.txt"


def check_owner(design: Design, file: Path, folder: Path) -> None:
    """DesignError if the folder of the design's results is that of another file of this name.

    A file that is gone, or is called otherwise by now, owns nothing.
    """
    try:
        owner = Path((folder / RECORD).read_text(encoding="utf-8").rstrip("\n"))
    except OSError:
        return
    if owner.is_file() and not owner.samefile(file) and _name(owner) in (design.name, None):
        raise DesignError(
            f"{file.name}: name: {folder} holds the results of {owner}, another design called "
            f"{design.name!r}; give one of them another name"
        )


def own(file: Path, folder: Path) -> None:
    """Record that the folder holds what is made from the design file."""
    folder.mkdir(parents=True, exist_ok=True)
    half = folder / f".{RECORD}.{os.getpid()}"
    near = file.resolve().is_relative_to(Path.cwd())
    place = os.path.relpath(file) if near else file.resolve()
    half.write_text(f"{place}\n", encoding="utf-8")
    half.replace(folder / RECORD)


def _name(file: Path) -> str | None:
    """What a design file calls itself; None where it cannot be read."""
    try:
        return str(contents(file)["name"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
