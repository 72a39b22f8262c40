"""The schema, from whatever there was; cut off anywhere, it is the old one or the new one."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from tilewright.errors import CannotStart
from tilewright_service import migrations
from tilewright_service.store.backends.sequences import last_ids, raise_last_ids
from tilewright_service.store.database import Database
from tilewright_service.store.schema import upgrade
from tilewright_service.store.tables import Table

from .old_rows import COUNTS, JOBS, counts, insert_old_rows

SCRIPTS = ScriptDirectory(str(Path(migrations.__file__).parent))
HEAD = SCRIPTS.get_current_head()
REVISIONS = [each.revision for each in reversed(list(SCRIPTS.walk_revisions()))]
"""Oldest first."""
OF_OLD_ROWS = REVISIONS[:2]


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        database.close()


def revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def migrate_and_die(url: str, before: str) -> None:
    command = [sys.executable, "-m", "tests.service.killed_migration", url, before]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == -9, ended.stderr


def test_the_migrations_lead_to_the_tables(empty_database_url: str) -> None:
    with opened(empty_database_url) as database:
        upgrade(database)
        upgrade(database)
        with database.migrating() as connection:
            assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []


@pytest.mark.parametrize("old", REVISIONS[:-1])
def test_a_database_of_an_earlier_schema_keeps_what_it_holds(empty_database_url: str, old: str) -> None:
    with opened(empty_database_url) as database:
        upgrade(database, old if old in OF_OLD_ROWS else OF_OLD_ROWS[-1])
        with database.migrating() as connection:
            insert_old_rows(connection)
            raise_last_ids(connection, {"jobs": 2 * JOBS})
            assert counts(connection) == COUNTS
        upgrade(database, old)
        for before in ("UPDATE alembic_version", f"version_num='{HEAD}'"):
            migrate_and_die(empty_database_url, before)
            with database.migrating() as connection:
                assert revision(connection) == old
                assert counts(connection) == COUNTS
        upgrade(database)
        with database.migrating() as connection:
            assert revision(connection) == HEAD
            assert counts(connection) == COUNTS
            assert last_ids(connection)["jobs"] == 2 * JOBS


def test_a_first_migration_that_is_killed_leaves_an_empty_database(empty_database_url: str) -> None:
    migrate_and_die(empty_database_url, before="INSERT INTO alembic_version")
    with opened(empty_database_url) as database:
        with database.migrating() as connection:
            assert counts(connection) == {}
        upgrade(database)


def test_services_that_start_at_once_on_an_empty_database_all_find_it_migrated(empty_database_url: str) -> None:
    def start(_: int) -> None:
        with opened(empty_database_url) as database:
            upgrade(database)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(start, range(4)))
    with opened(empty_database_url) as database, database.migrating() as connection:
        assert revision(connection) == HEAD


def test_a_database_of_a_newer_version_is_refused_and_left_alone(database_url: str) -> None:
    with opened(database_url) as database:
        with database.migrating() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'later'")
        with pytest.raises(CannotStart, match=r"is of a newer Tilewright \(revision later\)"):
            upgrade(database)


def test_a_database_of_somebody_else_is_refused_by_the_names_of_its_tables(empty_database_url: str) -> None:
    with opened(empty_database_url) as database:
        with database.migrating() as connection:
            connection.exec_driver_sql("CREATE TABLE invoices (id INTEGER)")
            connection.exec_driver_sql("CREATE TABLE customers (id INTEGER)")
        with pytest.raises(CannotStart, match="not one of Tilewright's: it has the tables customers, invoices"):
            upgrade(database)


def test_a_file_is_copied_before_it_is_migrated_and_the_last_copy_is_kept(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'tilewright.db'}"
    for old in OF_OLD_ROWS:
        with opened(url) as database:
            upgrade(database, old)
    with opened(url) as database:
        upgrade(database)
    copies = list(tmp_path.glob("*.before-*"))
    assert [copy.name for copy in copies] == [f"tilewright.db.before-{OF_OLD_ROWS[-1]}"]
    with opened(f"sqlite:///{copies[0]}") as copy, copy.migrating() as connection:
        assert revision(connection) == OF_OLD_ROWS[-1]


def test_ids_that_were_given_once_are_not_given_again_after_a_migration(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path / 'tilewright.db'}") as database:
        for each in REVISIONS:
            upgrade(database, each)
        with database.migrating() as connection:
            made = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'table'").all()
    statements: dict[str, str] = dict(made)
    for table in Table.metadata.tables.values():
        if table.dialect_options["sqlite"]["autoincrement"]:
            assert "AUTOINCREMENT" in statements[table.name]


def test_sqlite_is_set_up_to_keep_what_it_has_acknowledged(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path / 'tilewright.db'}") as database:
        upgrade(database)
        with database.writing() as session:
            connection = session.connection()
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        with database.reading() as session:
            assert session.connection().exec_driver_sql("PRAGMA query_only").scalar() == 1
