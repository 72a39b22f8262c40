"""Whether the database takes what is written to it."""

from sqlalchemy import text
from sqlalchemy.orm import Session


def write_nothing(session: Session) -> None:
    """Writes what is there already, to a row that nobody waits for. Raises what the database has against it."""
    session.execute(text("UPDATE alembic_version SET version_num = version_num"))
