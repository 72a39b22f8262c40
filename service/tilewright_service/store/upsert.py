"""`INSERT ... ON CONFLICT`, which SQLite and PostgreSQL spell alike and SQLAlchemy keeps apart."""

from typing import Any

from sqlalchemy import FromClause
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from tilewright_service.store.tables import Table


def insert(session: Session, table: type[Table] | FromClause) -> Any:
    """An insert with `on_conflict_do_nothing` and `on_conflict_do_update`.

    Into a class it can return its rows; into the bare table it takes half the time.
    """
    return insert_on(session.get_bind().dialect.name, table)


def insert_on(database: str, table: type[Table] | FromClause) -> Any:
    """For who puts a statement together once."""
    return (postgresql if database == "postgresql" else sqlite).insert(table)
