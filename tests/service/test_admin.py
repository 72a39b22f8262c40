"""What an administrator asks of a database, by the commands, on both databases."""

import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from typer.testing import CliRunner

from tilewright.cli.app import app
from tilewright_service.admin.backup_file import read_manifest
from tilewright_service.data_dir import hold_data_dir
from tilewright_service.store.backends.sequences import last_ids
from tilewright_service.store.database import Database
from tilewright_service.store.instant import EPOCH
from tilewright_service.store.leadership import database_id
from tilewright_service.store.opening import open_database
from tilewright_service.store.schema import upgrade
from tilewright_service.store.tables import (
    AttemptRow,
    DatabaseRow,
    JobRow,
    JobWorkloadRow,
    Table,
    WorkloadRow,
)

from .old_rows import insert_old_rows

DIVISOR = 20
RUNNING = (JobWorkloadRow.job_id == 2, JobWorkloadRow.position == 0)
TABLES = [table for table in Table.metadata.sorted_tables if table.name != DatabaseRow.__tablename__]


@pytest.fixture
def filled_url(empty_database_url: str) -> str:
    """Some thousand rows; job 2 runs, in attempt 1."""
    with closing(Database(empty_database_url)) as database:
        upgrade(database, "known")
        with database.migrating() as connection:
            insert_old_rows(connection, DIVISOR)
        upgrade(database)
        with database.writing() as session:
            session.execute(update(AttemptRow).where(AttemptRow.job_id == 2).values(is_open=True))
            session.execute(update(JobRow).where(JobRow.id == 2).values(state="running"))
            session.execute(update(JobWorkloadRow).where(*RUNNING).values(state="running", attempt=1))
    return empty_database_url


def admin(folder: Path, *arguments: str | Path, exit_code: int = 0) -> Any:
    """The JSON that it prints; or what it says on standard error when it fails."""
    command = ["admin", *map(str, arguments), "--json"]
    ended = CliRunner().invoke(app, command, env={"TILEWRIGHT_DATA_DIR": str(folder / "data")})
    assert ended.exit_code == exit_code, ended.output
    return json.loads(ended.stdout) if ended.stdout else ended.stderr


def rows_of(url: str) -> dict[str, Sequence[Any]]:
    """By table, in full."""
    with closing(Database(url)) as database, database.reading() as session:
        return {table.name: session.execute(select(table).order_by(*table.primary_key)).all() for table in TABLES}


def identities(url: str) -> tuple[str, Counter[str]]:
    """The id of the database, and the last numbers that its tables have given."""
    with closing(Database(url)) as database, database.reading() as session:
        return database_id(session), +Counter(last_ids(session.connection()))


def test_a_backup_under_load_is_restored_with_all_that_was_acknowledged_before(tmp_path: Path, filled_url: str) -> None:
    before = rows_of(filled_url)
    file = tmp_path / "backup.db"
    with adding_workloads(filled_url) as added:
        told = admin(tmp_path, "backup", file, "--database", filled_url)
    assert told["rows"]["records"] == len(before["records"])
    assert [each.name for each in tmp_path.glob("backup.db*")] == ["backup.db"]
    assert added
    new_life = f"sqlite:///{tmp_path / 'restored.db'}"
    restored = admin(tmp_path, "restore", file, "--database", new_life)
    after = rows_of(new_life)
    for table in ("records", "schedules"):
        assert after[table] == before[table]
    assert set(before["workloads"]) <= set(after["workloads"])
    assert restored["attempts_ended"] == 1
    assert restored["database_id"] != read_manifest(file).database_id


@contextmanager
def adding_workloads(url: str) -> Iterator[list[str]]:
    """As a service would, which goes on meanwhile."""
    ended = threading.Event()
    added: list[str] = []

    def add() -> None:
        with closing(Database(url)) as database:
            while not ended.wait(0.01):
                with database.writing() as session:
                    session.add(WorkloadRow(id=f"new-{len(added)}", document="{}"))
                added.append(f"new-{len(added)}")

    writer = threading.Thread(target=add)
    writer.start()
    try:
        yield added
    finally:
        ended.set()
        writer.join()


def test_what_was_running_is_queued_again_without_blame_and_no_number_is_given_twice(
    tmp_path: Path, filled_url: str
) -> None:
    file = tmp_path / "backup.db"
    admin(tmp_path, "backup", file, "--database", filled_url)
    with closing(Database(filled_url)) as database, database.reading() as session:
        given, old_id = last_ids(session.connection()), database_id(session)
    admin(tmp_path, "restore", file)
    path = tmp_path / "data" / "tilewright.db"
    with closing(open_database(f"sqlite:///{path}")) as database, database.reading() as session:
        job = session.get_one(JobRow, 2)
        assert (job.state, job.wants_worker, session.get_one(AttemptRow, (2, 1)).is_open) == ("queued", True, False)
        row = session.scalars(select(JobWorkloadRow).where(*RUNNING)).one()
        assert (row.state, row.tries) == ("queued", 0)
        assert database_id(session) != old_id
        for table, number in last_ids(session.connection()).items():
            assert number >= given[table] + 1_000_000


def test_a_backup_goes_into_a_server_too(tmp_path: Path, filled_url: str, postgresql: Any) -> None:
    file = tmp_path / "backup.db"
    admin(tmp_path, "backup", file, "--database", filled_url)
    target = postgresql.create_database()
    admin(tmp_path, "restore", file, "--database", target)
    assert rows_of(target)["records"] == rows_of(filled_url)["records"]
    assert "is not empty" in admin(tmp_path, "restore", file, "--database", target, exit_code=1)
    assert admin(tmp_path, "check", "--database", target)["problems"] == []
    postgresql.drop_database(target)


def test_a_database_is_moved_to_a_server_and_back_with_all_numbers(
    tmp_path: Path, filled_url: str, postgresql: Any
) -> None:
    before = rows_of(filled_url)
    target, back = postgresql.create_database(), f"sqlite:///{tmp_path / 'back.db'}"
    admin(tmp_path, "copy", target, "--database", filled_url)
    assert rows_of(target) == before
    admin(tmp_path, "copy", back, "--database", target)
    assert rows_of(back) == before
    assert identities(back) == identities(filled_url)
    assert "is not empty" in admin(tmp_path, "copy", target, "--database", filled_url, exit_code=1)
    postgresql.drop_database(target)


def test_a_check_counts_and_finds_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "data" / "tilewright.db"
    path.parent.mkdir()
    open_database(f"sqlite:///{path}").close()
    assert admin(tmp_path, "check")["problems"] == []
    with closing(sqlite3.connect(path)) as database:
        database.execute("INSERT INTO events (id, job_id, type, data, created_at) VALUES (1, 77, 'queued', '{}', 0)")
        database.commit()
    checked = admin(tmp_path, "check", exit_code=1)
    assert checked["problems"] == ["1 events refer by job_id to jobs that are not there"]
    assert checked["rows"]["events"] == 1


def test_a_damaged_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "data" / "tilewright.db"
    path.parent.mkdir()
    with closing(open_database(f"sqlite:///{path}")) as database, database.writing() as session:
        session.add_all([WorkloadRow(id=str(number), document="{}" * 500) for number in range(200)])
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 8192)
    assert "damaged" in json.dumps(admin(tmp_path, "check", exit_code=1))


def test_pruning_counts_first_and_then_deletes(tmp_path: Path, filled_url: str) -> None:
    with closing(Database(filled_url)) as database, database.writing() as session:
        session.execute(update(JobRow).where(JobRow.state == "finished").values(finished_at=EPOCH))
    dry = admin(tmp_path, "prune", "--dry-run", "--database", filled_url)
    assert dry["rows"]["events"] == 790
    assert admin(tmp_path, "prune", "--database", filled_url)["rows"]["events"] == 790
    assert admin(tmp_path, "prune", "--dry-run", "--database", filled_url)["rows"] == {}


def test_a_file_that_a_service_holds_is_backed_up_but_neither_pruned_nor_restored_nor_moved(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with hold_data_dir(data), closing(open_database(f"sqlite:///{data / 'tilewright.db'}")):
        file = tmp_path / "backup.db"
        admin(tmp_path, "backup", file)
        admin(tmp_path, "check")
        for command in (("prune",), ("restore", file), ("copy", f"sqlite:///{tmp_path / 'other.db'}")):
            assert "another service uses the data" in admin(tmp_path, *command, exit_code=1)


def test_only_a_backup_is_restored_and_only_a_backup_is_replaced(tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("not a backup")
    open_database(f"sqlite:///{tmp_path / 'tilewright.db'}").close()
    database = f"sqlite:///{tmp_path / 'tilewright.db'}"
    assert "is no backup" in admin(tmp_path, "restore", other, exit_code=1)
    assert "is there, and is no backup" in admin(tmp_path, "backup", other, "--database", database, exit_code=1)
    assert other.read_text() == "not a backup"
    for _ in range(2):
        admin(tmp_path, "backup", tmp_path / "backup.db", "--database", database)
    assert "there is no database" in admin(tmp_path, "backup", tmp_path / "new.db", exit_code=1)
    assert not (tmp_path / "data" / "tilewright.db").exists()


def test_usage_is_2(tmp_path: Path) -> None:
    assert "this is no database URL" in admin(tmp_path, "check", "--database", "mysql://here", exit_code=2)
