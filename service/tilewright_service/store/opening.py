"""A database, ready to be used; or a sentence on why it is not."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from tilewright.errors import CannotStart
from tilewright_service.store.database import Database
from tilewright_service.store.schema import upgrade


def open_database(url: str) -> Database:
    """Held, and of the newest schema. Raises CannotStart."""
    with said_of(url):
        database = Database(url)
        try:
            database.hold()
            upgrade(database)
        except BaseException:
            database.close()
            raise
        return database


@contextmanager
def said_of(url: str) -> Iterator[None]:
    """Raises CannotStart, with the name of the database, for whatever keeps it from being opened."""
    where = make_url(url).render_as_string(hide_password=True)
    try:
        yield
    except ModuleNotFoundError as error:
        raise CannotStart(f"{where} needs {error.name}: pip install 'tilewright[postgresql]'") from error
    except SQLAlchemyError as error:
        said = str(getattr(error, "orig", error)).strip().partition("\n")[0]
        raise CannotStart(f"the database {where} cannot be opened: {said}") from error
