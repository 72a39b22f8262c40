"""SQLite: one writer, which also owns checkpointing, and many readers that can only read.

SQLite before 3.51.3 can lose pages when two connections write or checkpoint a WAL at the same moment
(the "WAL-reset bug"); with a single connection that may do either, that moment never comes.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

from tilewright.errors import CannotStart
from tilewright_service.store.backends.backend import BUSY_SECONDS
from tilewright_service.store.backends.sequences import last_ids, raise_last_ids
from tilewright_service.store.backends.sqlite_copy import copy_file
from tilewright_service.store.backends.sqlite_file import HeldFile
from tilewright_service.store.served import Served

READERS = 8
WAL_BYTES = 64 * 2**20
"""To which the write-ahead log shrinks after a checkpoint, however large a transaction was."""
PAGES_GIVEN_BACK = 1000
INCREMENTAL = 2
MIGRATION_SECONDS = 600
"""For another service that migrates the same file."""


class SQLite:
    writers = 1
    readers = READERS
    is_local = True

    def __init__(self, url: str) -> None:
        self.path = Path(make_url(url).database or "")
        self.writer = _writer(self.path)
        self.reader = _reader(self.path, READERS)
        self.local = _reader(self.path, 1)
        self._served: list[sqlite3.Connection] = []
        self._held: HeldFile | None = None

    def be_patient(self, session: Session) -> None:
        """Its limit is on locks, which a reader does not wait for."""

    def served(self) -> Served:
        """On a connection of its own, which never waits for another."""
        connection = sqlite3.connect(read_only_uri(self.path), uri=True, check_same_thread=False)
        _prepare_reader(connection, None)
        self._served.append(connection)
        return Served(connection)

    def hold(self) -> None:
        self._held = HeldFile(self.path)

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """Tables are rebuilt without foreign keys, which are looked at before it ends."""
        with self.writer.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            _pragmas(driver, "foreign_keys=OFF", f"busy_timeout={MIGRATION_SECONDS * 1000}")
            try:
                with connection.begin():
                    ids = last_ids(connection)
                    yield connection
                    raise_last_ids(connection, ids)  # a table that is rebuilt begins again with its rows
                    _require_whole(connection)
            finally:
                _pragmas(driver, "foreign_keys=ON", f"busy_timeout={BUSY_SECONDS * 1000}")

    def keep_copy(self, revision: str) -> None:
        copy = self.path.with_name(f"{self.path.name}.before-{revision}")
        copy_file(self.path, copy)
        for other in self.path.parent.glob(f"{self.path.name}.before-*"):
            if other != copy:
                other.unlink(missing_ok=True)

    def give_back_space(self) -> bool:
        """Outside of a transaction, in one of its own: only a script is gone through to its end, page by page."""
        with closing(self.writer.raw_connection()) as connection:
            driver = connection.driver_connection
            assert driver is not None
            driver.executescript(f"PRAGMA incremental_vacuum({PAGES_GIVEN_BACK})")
            (left,) = driver.execute("PRAGMA freelist_count").fetchone()
            (kind,) = driver.execute("PRAGMA auto_vacuum").fetchone()
        return bool(left) and kind == INCREMENTAL

    def faults(self, connection: Connection) -> list[str]:
        found = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
        return [] if found == ["ok"] else [f"the file is damaged: {each}" for each in found]

    def size(self, connection: Connection) -> int:
        files = (self.path, self.path.with_name(f"{self.path.name}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def close(self) -> None:
        for connection in self._served:
            connection.close()
        for engine in (self.reader, self.local, self.writer):
            engine.dispose()
        if self._held is not None:
            self._held.close()


def read_only_uri(path: Path) -> str:
    return f"file:{quote(str(path))}?mode=ro"


def _writer(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}", poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=BUSY_SECONDS
    )
    event.listen(engine, "connect", _prepare_writer)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def _reader(path: Path, connections: int) -> Engine:
    engine = create_engine(
        f"sqlite:///{read_only_uri(path)}&uri=true",
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=BUSY_SECONDS,
    )
    event.listen(engine, "connect", _prepare_reader)
    event.listen(engine, "begin", _begin_deferred)
    return engine


def _prepare_writer(connection: sqlite3.Connection, _: Any) -> None:
    _prepare(
        connection,
        # Of a new file only: one that is there keeps its layout, and uses again what was freed.
        "auto_vacuum=INCREMENTAL",
        "journal_mode=WAL",
        f"journal_size_limit={WAL_BYTES}",
        "synchronous=FULL",
        "foreign_keys=ON",
        "cache_size=-8000",
    )


def _prepare_reader(connection: sqlite3.Connection, _: Any) -> None:
    _prepare(connection, "query_only=ON", "cache_size=-1000")


def _prepare(connection: sqlite3.Connection, *pragmas: str) -> None:
    # The driver would begin transactions by itself, too late for a snapshot and too weak for a writer.
    connection.isolation_level = None
    _pragmas(connection, f"busy_timeout={BUSY_SECONDS * 1000}", *pragmas)


def _pragmas(connection: Any, *pragmas: str) -> None:
    for pragma in pragmas:
        with closing(connection.execute(f"PRAGMA {pragma}")) as cursor:
            cursor.fetchall()


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_deferred(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _require_whole(connection: Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if broken:
        tables = ", ".join(sorted({row[0] for row in broken}))
        raise CannotStart(f"the migration was undone: rows of {tables} would refer to what is not there")
