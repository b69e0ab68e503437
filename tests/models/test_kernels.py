"""Laws of models/kernels.py: all that is compiled stands there, and no edit leaves old code."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import models

MODELS = Path(models.__file__).parent
COMPILERS = {"njit", "jit", "cfunc", "vectorize", "guvectorize", "stencil", "intrinsic", "overload"}
COMPILERS |= {"numba_njit", "register_jitable", "generated_jit"}
# What PyTensor and nutpie are given is compiled by them, from sources that their keys look at.
ELSEWHERE = {Path("posterior/op.py"), Path("posterior/compiled.py")}

# A fit, and the error bound of two cells of a compressed sample.
FIT = """
import sys
import numpy as np
from models import kernels
from models.em import em
from models.mixture import Mixture
from models.model import MixtureModel
from models.sample import Data
x = np.concatenate([np.linspace(-4.0, 1.0, 60), np.linspace(2.0, 9.0, 90)])
start = Mixture([0.5, 0.5], [-1.0, 6.0], [1.0, 3.0])
data, rng = Data(x, np.ones(x.size)), np.random.default_rng(0)
found = em(data, MixtureModel(), start, rng, max_iter=30, trace=True)
cells = np.array([[-1.0, 0.05, 60.0], [6.0, 0.1, 90.0]])
bound = kernels.error_bound(*start.as_rows(), cells)
print(found.trace.loglik[-1].hex(), found.mixture.as_rows().tobytes().hex(), bound.hex())
assert "pymc" not in sys.modules
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of models/, and the machine code of its fit in the cache "warm"."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(MODELS, folder / "models", ignore=shutil.ignore_patterns("__pycache__"))
    fitted(folder, "warm")
    return folder


def fitted(folder: Path, cache: str) -> str:
    """What a new process finds with the machine code of a cache, and what it lacks compiled."""
    environment = {
        **os.environ,
        "NUMBA_CACHE_DIR": str(folder / cache),
        "NUMBA_OPT": "0",  # half the time to compile
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-c", FIT]
    run = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.workflow
def test_edits_are_compiled_anew(copy):
    """Of a constant, a callee and a default: with the machine code of before a process finds what
    one without any finds, bit for bit, so that nothing old is left of any of them.
    """
    kernels = copy / "models" / "kernels.py"
    text = old = kernels.read_text()
    for before, after in (
        ("LOG_2PI = math.log(2.0 * math.pi)", "LOG_2PI = math.log(3.0 * math.pi)"),
        ("shift = s1 / n if", "shift = 0.9 * s1 / n if"),
        ("limit: float = np.inf", "limit: float = -1.0"),
    ):
        assert text.count(before) == 1
        text = text.replace(before, after)
    before = fitted(copy, "warm").split()
    kernels.write_text(text)
    try:
        found = fitted(copy, "warm")
        assert all(new != of_old for new, of_old in zip(found.split(), before, strict=True))
        assert found == fitted(copy, "cold")
    finally:
        kernels.write_text(old)


def test_what_is_compiled_stands_in_kernels():
    """But for what PyTensor and nutpie compile; and kernels imports nothing of the repository."""
    users = set()
    for file in MODELS.rglob("*.py"):
        names = {
            node.id if isinstance(node, ast.Name) else node.attr
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Name | ast.Attribute)
        }
        if names & COMPILERS:
            users.add(file.relative_to(MODELS))
    assert Path("kernels.py") in users
    assert users - {Path("kernels.py")} <= ELSEWHERE
    imports = [
        node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(ast.parse((MODELS / "kernels.py").read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert {str(name).split(".")[0] for name in imports} <= {
        *sys.stdlib_module_names,
        "numpy",
        "numba",
        "llvmlite",
    }
