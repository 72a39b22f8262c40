"""The two databases, and all that differs between them: connections, locks, time limits, copies."""

from sqlalchemy import make_url

from tilewright_service.store.backends.backend import Backend
from tilewright_service.store.backends.postgresql import PostgreSQL
from tilewright_service.store.backends.sqlite import SQLite


def backend_of(url: str) -> Backend:
    return SQLite(url) if make_url(url).get_backend_name() == "sqlite" else PostgreSQL(url)
