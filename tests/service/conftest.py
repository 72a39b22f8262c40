from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from .in_thread import ServiceInThread, serving


@pytest.fixture
def service(tmp_path: Path, database_url: str) -> Iterator[ServiceInThread]:
    with serving(tmp_path, database_url=database_url) as service:
        yield service


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """What was sent to the database, by whoever."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield sent
    event.remove(Engine, "before_cursor_execute", note)
