"""A database as an administrator wants it: as it is, neither made nor changed by looking at it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import make_url

from tilewright.errors import CannotStart
from tilewright_service.store.database import Database
from tilewright_service.store.opening import said_of
from tilewright_service.store.schema import known_revision, newest_revision


@contextmanager
def as_it_is(url: str) -> Iterator[Database]:
    """Raises CannotStart where there is none."""
    path = sqlite_path(url)
    if path is not None and not path.is_file():
        raise CannotStart(f"there is no database {path}: name its --data-dir, or --database")
    with said_of(url), closing(Database(url)) as database:
        yield database


def revision_of(database: Database) -> str:
    """Raises CannotStart where it is not one of Tilewright's, or of a newer one."""
    with database.reading() as session:
        revision = known_revision(database, session.connection())
    if revision is None:
        raise CannotStart(f"the database {database.name} is empty")
    return revision


def require_newest(database: Database) -> None:
    """Raises CannotStart where a service of this version has yet to migrate it."""
    revision = revision_of(database)
    if revision != newest_revision():
        raise CannotStart(
            f"the database {database.name} is of an older Tilewright (revision {revision}): "
            "use that version, or start a service of this one first"
        )


def sqlite_path(url: str) -> Path | None:
    parsed = make_url(url)
    return Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None
