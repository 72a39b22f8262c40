"""One suite, two databases: what asks for one of these fixtures runs on both."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tilewright_service.store.database import Database
from tilewright_service.store.schema import upgrade

from .postgresql import PostgresServer, postgres_server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Of a database without a table, that is there for one test."""
    yield from _database(request, tmp_path, PostgresServer.create_database)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Of a database of the newest schema, that is there for one test."""
    for url in _database(request, tmp_path, PostgresServer.create_migrated_database):
        _migrate(url)
        yield url


def _database(request: pytest.FixtureRequest, folder: Path, create: Callable[[PostgresServer], str]) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{folder / 'tilewright.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgresql")
    url = create(server)
    yield url
    server.drop_database(url)


def _migrate(url: str) -> None:
    database = Database(url)
    upgrade(database)
    database.close()
