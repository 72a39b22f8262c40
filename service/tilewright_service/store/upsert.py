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
    return DIALECTS[session.get_bind().dialect.name].insert(table)


class Upsert:
    """One that is asked for often: built once, in either spelling."""

    def __init__(self, table: type[Table], build: Callable[[Any], Any]) -> None:
        self._spelled = {name: build(dialect.insert(table.__table__)) for name, dialect in DIALECTS.items()}

    def of(self, session: Session) -> Any:
        return self._spelled[session.get_bind().dialect.name]
