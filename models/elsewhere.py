"""Compilation in a process of its own, so that what is used is always loaded from a cache on disk.

Where machine code is compiled it is linked with what else its process has compiled, and where it
is loaded with nothing: without this the process that compiles and those that load would differ in
the last digits of the same fit.
"""

from __future__ import annotations

import os
import subprocess
import sys
import warnings

# In the environment of a process that only compiles.
_COMPILING = "MIXTURES_COMPILING"


def compiling() -> bool:
    """Whether this process is one that only compiles."""
    return _COMPILING in os.environ


def compile_elsewhere(command: str, told: str = "", flags: str = "") -> None:
    """Run a line of Python that leaves what it compiles in the caches on disk.

    told: what `order` gives it. flags: for PyTensor, beside those in force. Where the caches
    cannot be written nothing is left, and the caller has to compile for itself.
    """
    given = ",".join(part for part in (os.environ.get("PYTENSOR_FLAGS"), flags) if part)
    done = subprocess.run(
        [sys.executable, "-c", command],
        env=os.environ
        | {_COMPILING: told, "PYTENSOR_FLAGS": given}
        | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        why = done.stderr.strip().rpartition("\n")[2]
        warnings.warn(f"compiling in a process of its own failed: {why}", stacklevel=2)


def order() -> str:
    """What this process is told to compile."""
    return os.environ[_COMPILING]
