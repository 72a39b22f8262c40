"""One suite, two databases: what asks for one of these fixtures runs on both."""

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tilewright_service.store.database import Database
from tilewright_service.store.schema import upgrade

from .postgresql import PostgresServer, postgres_server

KINDS = ["sqlite", "postgresql"]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """To be copied, which is faster than to migrate another."""
    path = tmp_path_factory.mktemp("migrated") / "tilewright.db"
    with closing(Database(f"sqlite:///{path}")) as database:
        upgrade(database)
    return path


@pytest.fixture(params=KINDS)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Of a database without a table, that is there for one test."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'tilewright.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgresql")
    url = server.create_database()
    yield url
    server.drop_database(url)


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Of a database of the newest schema, that is there for one test."""
    with migrated_database(request, tmp_path) as url:
        yield url


@contextmanager
def migrated_database(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """For fixtures that live longer than a test; their parameter is one of KINDS."""
    if request.param == "sqlite":
        path = folder / "tilewright.db"
        shutil.copy(request.getfixturevalue("migrated_file"), path)
        yield f"sqlite:///{path}"
        return
    server: PostgresServer = request.getfixturevalue("postgresql")
    url = server.create_migrated_database()
    yield url
    server.drop_database(url)
