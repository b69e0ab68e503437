import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def _little_to_collect() -> Iterator[None]:
    """Timings collect garbage before each round, which takes long with everything imported."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
