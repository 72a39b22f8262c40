"""Connections. SQLite gets one writer, which also owns checkpointing, and many readers that can only read.

SQLite before 3.51.3 can lose pages when two connections write or checkpoint a WAL at the same moment
(the "WAL-reset bug"); with a single connection that may do either, that moment never comes.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool
from starlette.concurrency import run_in_threadpool

BUSY_SECONDS = 2
"""For a connection, or for what another process or transaction has locked: well under the lease of an attempt."""

READERS = 8
SERVER_WRITERS = 8
"""Transactions at a time on a database server; SQLite has one writer."""

Answer = TypeVar("Answer")


class Database:
    """`writing` is one transaction, on disk when it ends without an error; `reading` is one snapshot."""

    def __init__(self, url: str) -> None:
        self.is_sqlite = make_url(url).get_backend_name() == "sqlite"
        if self.is_sqlite:
            path = Path(make_url(url).database or "")
            self._writer = _sqlite_writer(path)
            self._reader = _sqlite_reader(path, READERS)
            self._local = _sqlite_reader(path, 1)
        else:
            self._writer = self._reader = self._local = _server(url)

    @property
    def writers(self) -> int:
        """How many transactions may write at a time."""
        return 1 if self.is_sqlite else SERVER_WRITERS

    @property
    def readers(self) -> int:
        """How many snapshots there may be at a time."""
        return READERS

    @contextmanager
    def writing(self) -> Iterator[Session]:
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        with Session(self._reader, expire_on_commit=False) as session:
            yield session

    async def look_up(self, question: Callable[[Session], Answer]) -> Answer:
        """Ask something that takes microseconds, from the event loop.

        A local file answers sooner than another thread would; a server elsewhere is asked from a thread.
        """
        if self.is_sqlite:
            return self._look_up(question)
        return await run_in_threadpool(self._look_up, question)

    def _look_up(self, question: Callable[[Session], Answer]) -> Answer:
        with Session(self._local) as session:
            return question(session)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """For migrations."""
        with self._writer.begin() as connection:
            yield connection

    def close(self) -> None:
        self._reader.dispose()
        self._local.dispose()
        self._writer.dispose()


def answers(session: Session) -> bool:
    """Raises what the database has against it."""
    session.execute(text("SELECT 1"))
    return True


def _server(url: str) -> Engine:
    """PostgreSQL: room for all turns, and for what is asked outside of them."""
    engine = create_engine(
        url, pool_size=SERVER_WRITERS + READERS, max_overflow=READERS, pool_timeout=BUSY_SECONDS, pool_pre_ping=True
    )
    event.listen(engine, "connect", _limit_waiting)
    return engine


def _limit_waiting(connection: Any, _: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{BUSY_SECONDS}s'")
    connection.commit()


def _sqlite_writer(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}", poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=BUSY_SECONDS
    )
    event.listen(engine, "connect", _prepare_writer)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def _sqlite_reader(path: Path, connections: int) -> Engine:
    engine = create_engine(
        f"sqlite:///file:{quote(str(path))}?mode=ro&uri=true",
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=BUSY_SECONDS,
    )
    event.listen(engine, "connect", _prepare_reader)
    event.listen(engine, "begin", _begin_deferred)
    return engine


def _prepare_writer(connection: sqlite3.Connection, _: Any) -> None:
    _prepare(connection, "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-8000")


def _prepare_reader(connection: sqlite3.Connection, _: Any) -> None:
    _prepare(connection, "query_only=ON", "cache_size=-1000")


def _prepare(connection: sqlite3.Connection, *pragmas: str) -> None:
    # The driver would begin transactions by itself, too late for a snapshot and too weak for a writer.
    connection.isolation_level = None
    for pragma in (f"busy_timeout={BUSY_SECONDS * 1000}", *pragmas):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_deferred(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")
