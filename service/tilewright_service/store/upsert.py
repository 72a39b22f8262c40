"""`INSERT ... ON CONFLICT`, which SQLite and PostgreSQL spell alike and SQLAlchemy keeps apart."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import FromClause
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from tilewright_service.store.tables import Table

DIALECTS: dict[str, Any] = {"sqlite": sqlite, "postgresql": postgresql}


def insert(session: Session, table: type[Table] | FromClause) -> Any:
    """An insert with `on_conflict_do_nothing` and `on_conflict_do_update`.

    Into a class it can return its rows; into the bare table it takes half the time.
    """
    return insert_on(session.get_bind().dialect.name, table)


def insert_on(database: str, table: type[Table] | FromClause) -> Any:
    """For who puts a statement together once."""
    return DIALECTS[database].insert(table)


class Upsert:
    """One that is asked for often: built once, in either spelling."""

    def __init__(self, table: type[Table], build: Callable[[Any], Any]) -> None:
        self._spelled = {name: build(insert_on(name, table.__table__)) for name in DIALECTS}

    def of(self, session: Session) -> Any:
        return self._spelled[session.get_bind().dialect.name]
