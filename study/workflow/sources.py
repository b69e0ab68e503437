"""What a job's numbers come from: the repository's modules that its step loads, read off imports.

Snakemake does not see imported modules. The modules that a step names are closed under their
module-level imports, by the syntax tree and without what stands under TYPE_CHECKING, so that no
list is kept by hand. A step names what it imports itself while it runs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from pathlib import Path

from models import METHODS

ROOT = Path(__file__).parents[2]


def of_engine(engine: str) -> tuple[str, ...]:
    """The modules of an engine's methods."""
    places = [method.place for method in METHODS.values() if method.engine == engine]
    return tuple(dict.fromkeys(place.partition(":")[0] for place in places))


def closure(modules: Iterable[str]) -> set[Path]:
    """The repository's files that importing the modules loads, their packages' own included."""
    found: set[Path] = set()
    waiting = list(modules)
    while waiting:
        new = set(files(waiting.pop())) - found
        found |= new
        waiting += (module for file in new for module in imported(file))
    return found


def digest(sources: Iterable[Path]) -> str:
    """Twelve hex digits of the files' contents and of their places in the repository."""
    parts = [
        f"{file.relative_to(ROOT)} {sha256(file.read_bytes()).hexdigest()}" for file in sources
    ]
    return sha256("\n".join(sorted(parts)).encode()).hexdigest()[:12]


@cache
def files(module: str) -> tuple[Path, ...]:
    """The file of a module and those of its packages; none if it is not the repository's."""
    parts = module.split(".")
    places = [ROOT.joinpath(*parts[:n]) for n in range(1, len(parts) + 1)]
    pairs = ((place / "__init__.py", place.with_suffix(".py")) for place in places)
    return tuple(file for pair in pairs for file in pair if file.is_file())


@cache
def imported(file: Path) -> tuple[str, ...]:
    """What a file imports when it is loaded; a name from a package may be a module of it."""
    found: list[str] = []
    waiting: list[ast.stmt] = list(ast.parse(file.read_text(encoding="utf-8")).body)
    while waiting:
        statement = waiting.pop()
        if isinstance(statement, ast.Import):
            found += [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom) and statement.module is not None:
            found.append(statement.module)
            found += [f"{statement.module}.{alias.name}" for alias in statement.names]
        elif isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            waiting += statement.orelse
        elif isinstance(statement, ast.If | ast.Try | ast.With):
            waiting += [s for s in ast.iter_child_nodes(statement) if isinstance(s, ast.stmt)]
    return tuple(found)
