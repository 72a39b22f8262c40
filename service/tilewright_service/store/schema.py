"""Brings a database to the newest schema, and refuses one that is not ours to touch."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, inspect

from tilewright.errors import CannotStart
from tilewright_service import migrations
from tilewright_service.store.database import Database
from tilewright_service.store.tables import Table

VERSION_TABLE = "alembic_version"
NAMED_TABLES = 5


def upgrade(database: Database, revision: str = "head") -> None:
    """Raises CannotStart where the database is of a newer Tilewright, or of somebody else."""
    with database.migrating() as connection:
        present = known_revision(database, connection)
        config = _config(connection)
        if present == _resolved(config, revision):
            return
        if present is not None:
            database.keep_copy(present)
        command.upgrade(config, revision)


def newest_revision() -> str:
    head = ScriptDirectory(str(Path(migrations.__file__).parent)).get_current_head()
    assert head is not None
    return head


def known_revision(database: Database, connection: Connection) -> str | None:
    """Of the schema that is there; None of an empty database."""
    present = MigrationContext.configure(connection).get_current_revision()
    tables = sorted(set(inspect(connection).get_table_names()) - {VERSION_TABLE})
    if present is None and not tables:
        return None
    if not set(tables) & set(Table.metadata.tables):
        raise CannotStart(f"the database {database.name} is not one of Tilewright's: {_has(tables)}")
    if present is None:
        raise CannotStart(
            f"the database {database.name} is not one of Tilewright's: it names no revision, and {_has(tables)}"
        )
    try:
        _script(_config(connection)).get_revision(present)
    except CommandError as error:
        raise CannotStart(
            f"the database {database.name} is of a newer Tilewright (revision {present}): "
            "install that version, or choose another database"
        ) from error
    return present


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["connection"] = connection
    return config


def _script(config: Config) -> ScriptDirectory:
    return ScriptDirectory.from_config(config)


def _resolved(config: Config, revision: str) -> str | None:
    found = _script(config).get_revision(revision)
    return found.revision if found else None


def _has(tables: list[str]) -> str:
    if not tables:
        return "it names a revision and has no table"
    more = f" and {len(tables) - NAMED_TABLES} more" if len(tables) > NAMED_TABLES else ""
    return f"it has the tables {', '.join(tables[:NAMED_TABLES])}{more}"
