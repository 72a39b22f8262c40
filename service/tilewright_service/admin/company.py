"""Whether a service is at work on a database that several may share."""

import time

from tilewright.errors import CannotStart
from tilewright_service.store.database import Database
from tilewright_service.store.leadership import Lead, current_lead

WATCH_SECONDS = 3.0
"""A service that leads is seen to do something in less."""


def require_alone(database: Database) -> None:
    """Raises CannotStart. A file of SQLite is held anyway; a server is watched for a while."""
    if database.is_sqlite:
        return
    before = _lead(database)
    if before.leader is None:
        return
    time.sleep(WATCH_SECONDS)
    if _lead(database) != before:
        raise CannotStart(f"a service is at work on {database.name}: stop it first")


def _lead(database: Database) -> Lead:
    with database.reading() as session:
        return current_lead(session)
