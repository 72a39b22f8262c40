"""PostgreSQL: many writers and readers, each wait of them bounded by the server itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.orm import Session

from tilewright_service.store.backends.backend import BUSY_SECONDS
from tilewright_service.store.served import Served

WRITERS = 8
READERS = 8
TRANSACTION_SECONDS = 4
"""For a statement, and for a transaction that says nothing: well under the lease of an attempt."""
MIGRATION_SECONDS = 600
"""For another service that migrates the same database."""
MIGRATION_LOCK = 0x7113
IDS_LOCK = 0x7114
LIMITS = {
    "lock_timeout": f"{BUSY_SECONDS}s",
    "statement_timeout": f"{TRANSACTION_SECONDS}s",
    "idle_in_transaction_session_timeout": f"{TRANSACTION_SECONDS}s",
}
CONNECTION = {
    "connect_timeout": BUSY_SECONDS,
    "tcp_user_timeout": TRANSACTION_SECONDS * 1000,
    "keepalives_idle": TRANSACTION_SECONDS,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "application_name": "tilewright",
}


class PostgreSQL:
    writers = WRITERS
    readers = READERS
    is_local = False

    def __init__(self, url: str) -> None:
        # Room for all turns, and for what is asked outside of them. A connection is tried before it is used: those of
        # before are gone when the server was away.
        self.writer = create_engine(
            url,
            pool_size=WRITERS + READERS,
            max_overflow=READERS,
            pool_timeout=BUSY_SECONDS,
            pool_pre_ping=True,
            connect_args=CONNECTION,
            isolation_level="READ COMMITTED",
        )
        event.listen(self.writer, "connect", _limit)
        self.reader: Engine = self.writer.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self.local: Engine = self.reader

    def be_patient(self, session: Session) -> None:
        for name in LIMITS:
            session.execute(text(f"SET LOCAL {name} = 0"))

    def served(self) -> Served | None:
        """A server elsewhere is asked from threads."""
        return None

    def hold(self) -> None:
        """Several services may share it."""

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        with self.writer.begin() as connection:
            connection.execute(text(f"SET LOCAL lock_timeout = '{MIGRATION_SECONDS}s'"))
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
            yield connection

    def keep_copy(self, revision: str) -> None:
        """The server has its own ways, and a migration is one transaction."""

    def give_back_space(self) -> bool:
        """The server does so by itself."""
        return False

    def faults(self, connection: Connection) -> list[str]:
        """The server checks each page that it reads, and refuses references to nothing."""
        return []

    def size(self, connection: Connection) -> int:
        return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())

    def close(self) -> None:
        self.writer.dispose()


def keep_ids_in_order(session: Session, table: str) -> None:
    """Until this transaction ends, no other one takes ids of the table."""
    session.execute(text("SELECT pg_advisory_xact_lock(:lock, hashtext(:name))"), {"lock": IDS_LOCK, "name": table})


def _limit(connection: Any, _: Any) -> None:
    with connection.cursor() as cursor:
        for name, value in LIMITS.items():
            cursor.execute(f"SET {name} = '{value}'")
    connection.commit()
