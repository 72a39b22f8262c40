from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from tilewright_service.store.database import Database
from tilewright_service.store.schema import upgrade
from tilewright_service.store.tables import Table


def test_the_migrations_lead_to_the_tables(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'tilewright.db'}")
    upgrade(database)
    upgrade(database)
    with database.connection() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []
    database.close()


def test_sqlite_is_set_up_to_keep_what_it_has_acknowledged(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'tilewright.db'}")
    upgrade(database)
    with database.writing() as session:
        connection = session.connection()
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    with database.reading() as session:
        assert session.connection().exec_driver_sql("PRAGMA query_only").scalar() == 1
    database.close()
