import json
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import select

from tilewright.contract import ScheduleDetail, Start
from tilewright_service import migrations
from tilewright_service.store.database import Database
from tilewright_service.store.schema import upgrade
from tilewright_service.store.tables import ScheduleRow, Table

from .in_thread import serving
from .running import workload
from .stand_in import HOST, invented_publication


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


def test_a_schedule_of_the_first_version_is_served_after_the_upgrade_without_a_proof(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        job = service.submit()
        attempt = service.begin_attempt(Start(host=HOST))
        published = attempt.publish(invented_publication(job["id"], 1, job["workloads"][0]["workload_id"]))
    database = Database(f"sqlite:///{tmp_path / 'tilewright.db'}")
    downgrade(database, "0001")
    with database.reading() as session:
        old = json.loads(session.scalars(select(ScheduleRow.document)).one())
    database.close()
    assert old == {key: value for key, value in published.model_dump(mode="json").items() if key != "proof"}
    with serving(tmp_path) as service:
        served = service.http.get(f"/v1/schedules/{published.id}").json()
        assert served == {**old, "proof": None, "script": "# nothing"}
        assert ScheduleDetail.model_validate(served).proof is None
        found = service.http.post("/v1/schedules/lookup", json={"workloads": [workload()]}).json()["items"]
        assert found == [{**old, "proof": None}]


def downgrade(database: Database, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with database.connection() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
