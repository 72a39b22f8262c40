"""What the store needs of a database."""

from contextlib import AbstractContextManager
from typing import Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session

from tilewright_service.store.served import Served

BUSY_SECONDS = 2
"""For a connection, or for what another process or transaction has locked: well under the lease of an attempt."""


class Backend(Protocol):
    writers: int
    """Transactions that may write at a time."""
    readers: int
    """Snapshots that there may be at a time."""
    is_local: bool
    """Whether it answers sooner than another thread would."""
    writer: Engine
    reader: Engine
    local: Engine
    """For what is asked outside of the turns of writers and readers."""

    def be_patient(self, session: Session) -> None:
        """Lift the limits on the time of this transaction."""

    def served(self) -> Served | None:
        """Where it is local."""

    def hold(self) -> None:
        """Raises CannotStart where the database can have one service only, and has it."""

    def migrating(self) -> AbstractContextManager[Connection]:
        """One transaction for the schema. Others who migrate wait; nothing of it stays where it is cut off."""

    def keep_copy(self, revision: str) -> None:
        """Of what there is before it is migrated from this revision."""

    def give_back_space(self) -> bool:
        """Some of what deleted rows have left, to the disk; whether there is more."""

    def faults(self, connection: Connection) -> list[str]:
        """What the database itself finds wrong with what it stores."""

    def size(self, connection: Connection) -> int:
        """Bytes on disk."""

    def close(self) -> None: ...
