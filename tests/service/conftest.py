"""One suite, two databases: what asks for `service` or `database_url` runs on both."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..postgresql import PostgresServer, postgres_server
from .in_thread import ServiceInThread, serving


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Of a database that is there for one test."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'tilewright.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgresql")
    url = server.create_migrated_database()
    yield url
    server.drop_database(url)


@pytest.fixture
def service(tmp_path: Path, database_url: str) -> Iterator[ServiceInThread]:
    with serving(tmp_path, database_url=database_url) as service:
        yield service
