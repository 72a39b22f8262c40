from collections.abc import Iterator

import pytest

from tilewright_kernels.runtime.thread_pool import use_threads


@pytest.fixture
def _one_thread_afterwards() -> Iterator[None]:
    """For tests that change how many threads the kernels of this process have."""
    yield
    use_threads(1)
