import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _all_cores_again() -> Iterator[None]:
    """An attempt leaves those that measure."""
    cores = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, cores)
