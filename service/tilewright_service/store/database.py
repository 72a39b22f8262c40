"""Transactions and snapshots, on either database."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from sqlalchemy import Connection, make_url, text
from sqlalchemy.orm import Session

from tilewright_service.store.backends import backend_of
from tilewright_service.store.served import Served

Answer = TypeVar("Answer")

LOOK_UPS = 4
"""At a time, of a server elsewhere: in threads of their own, as strangers may be the cause of them."""


class Database:
    """`writing` is one transaction, on disk when it ends without an error; `reading` is one snapshot."""

    def __init__(self, url: str) -> None:
        self.name = make_url(url).render_as_string(hide_password=True)
        self.is_sqlite = make_url(url).get_backend_name() == "sqlite"
        """A file, of one service at a time."""
        self._backend = backend_of(url)
        self._look_ups = CapacityLimiter(LOOK_UPS)

    @property
    def writers(self) -> int:
        """How many transactions may write at a time."""
        return self._backend.writers

    @property
    def readers(self) -> int:
        """How many snapshots there may be at a time."""
        return self._backend.readers

    @contextmanager
    def writing(self) -> Iterator[Session]:
        with Session(self._backend.writer, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        with Session(self._backend.reader, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def surveying(self) -> Iterator[Session]:
        """A snapshot for questions that may take minutes: nobody waits for it."""
        with self.reading() as session:
            self._backend.be_patient(session)
            yield session

    async def look_up(self, question: Callable[[Session], Answer]) -> Answer:
        """Ask something that takes microseconds, from the event loop.

        A local file answers sooner than another thread would; a server elsewhere is asked from a thread.
        """
        if self._backend.is_local:
            return self._look_up(question)
        return await to_thread.run_sync(self._look_up, question, limiter=self._look_ups)

    def _look_up(self, question: Callable[[Session], Answer]) -> Answer:
        with Session(self._backend.local) as session:
            return question(session)

    def served(self) -> Served | None:
        """For one thread, where the database is a file of this machine."""
        return self._backend.served()

    def hold(self) -> None:
        """For this service alone, where the database can have one only. Raises CannotStart."""
        self._backend.hold()

    def migrating(self) -> AbstractContextManager[Connection]:
        """One transaction for the schema; whoever else migrates waits for its end."""
        return self._backend.migrating()

    def keep_copy(self, revision: str) -> None:
        """Of a file, before it is migrated from this revision."""
        self._backend.keep_copy(revision)

    def give_back_space(self) -> bool:
        """Some of what deleted rows have left, to the disk; whether there is more."""
        return self._backend.give_back_space()

    def faults(self, session: Session) -> list[str]:
        """What the database itself finds wrong with what it stores."""
        return self._backend.faults(session.connection())

    def size(self, session: Session) -> int:
        """Bytes on disk."""
        return self._backend.size(session.connection())

    def close(self) -> None:
        self._backend.close()


def answers(session: Session) -> bool:
    """Raises what the database has against it."""
    session.execute(text("SELECT 1"))
    return True
