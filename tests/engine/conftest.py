from collections.abc import Iterator
from pathlib import Path

import pytest

from .bench import Bench, running_bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with running_bench(tmp_path) as bench:
        yield bench
