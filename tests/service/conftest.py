from collections.abc import Iterator
from pathlib import Path

import pytest

from .in_thread import ServiceInThread, serving


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceInThread]:
    with serving(tmp_path) as service:
        yield service
