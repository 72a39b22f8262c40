from collections.abc import Iterator
from pathlib import Path

import pytest

from .in_thread import ServiceInThread, serving


@pytest.fixture
def service(tmp_path: Path, database_url: str) -> Iterator[ServiceInThread]:
    with serving(tmp_path, database_url=database_url) as service:
        yield service
