from pathlib import Path

import pytest
from hypothesis import settings

# Compiled code makes the first example slow; the same examples on every run.
settings.register_profile("study", deadline=None, derandomize=True)
settings.load_profile("study")


@pytest.fixture
def data_folder() -> Path:
    """The folder of real data sets."""
    return Path(__file__).parent.parent / "study" / "data"
