from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from tilewright.contract.workload import Workload
from tilewright_service import migrations
from tilewright_service.store.database import Database
from tilewright_service.store.jobs import get_job
from tilewright_service.store.schema import upgrade
from tilewright_service.store.tables import Table

from .running import workload

WORKLOAD = Workload(**workload())
FIRST_JOB = (
    f"INSERT INTO workloads VALUES ('{WORKLOAD.id}', '{WORKLOAD.canonical_json}')",
    "INSERT INTO jobs (id, request_sha256, state, reason, target, threads, trials, priority, attempt,"
    " attempts_without_progress, created_at)"
    " VALUES (1, '', 'queued', 'it waits: no worker has joined yet', 'auto', 1, 64, 0, 0, 0, 0)",
    "INSERT INTO job_workloads (job_id, workload_id, position, occurrences, state, trials, failed_trials)"
    f" VALUES (1, '{WORKLOAD.id}', 0, 1, 'queued', 7, 0)",
)
"""As they stood before the schema said what was known, and when the reason to wait was stored."""


def test_the_migrations_lead_to_the_tables(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'tilewright.db'}")
    upgrade(database)
    upgrade(database)
    with database.migrating() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []
    database.close()


def test_a_database_of_the_first_schema_keeps_what_it_holds(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'tilewright.db'}")
    with database.migrating() as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        config.attributes["connection"] = connection
        command.upgrade(config, "choices")
        for statement in FIRST_JOB:
            connection.exec_driver_sql(statement)
    upgrade(database)
    with database.reading() as session:
        job = get_job(session, 1, capacity=None)
    assert (job.reason, job.workloads[0].trials) == ("it waits: a worker is being looked for", 7)
    assert job.workloads[0].known_from_job is None
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
