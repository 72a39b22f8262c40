"""`tilewright admin restore`"""

import uuid
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from tilewright.contract.attempts import Cause
from tilewright.contract.workers import AttemptKey
from tilewright_service.admin.backup_file import drop_manifest, read_manifest
from tilewright_service.admin.company import require_alone
from tilewright_service.admin.opened import sqlite_path
from tilewright_service.admin.results import Restored
from tilewright_service.admin.rows import copy_rows, count_rows, require_empty
from tilewright_service.data_dir import hold_data_dir
from tilewright_service.settings import Settings
from tilewright_service.store.backends.sequences import last_ids, raise_last_ids
from tilewright_service.store.backends.sqlite_copy import copy_file, put_in_place
from tilewright_service.store.database import Database
from tilewright_service.store.endings import end_attempt
from tilewright_service.store.opening import open_database
from tilewright_service.store.schema import upgrade
from tilewright_service.store.tables import AttemptRow, DatabaseRow

LEAP = {"jobs": 1_000_000}
OTHER_LEAP = 1_000_000_000
"""More numbers than can have been given between the backup and the loss: caches and cursors out there know them."""
REASON = "the database was restored from a backup"


def restore(settings: Settings, file: Path) -> Restored:
    """All is prepared in a copy of the backup; the database has all of it then, or nothing."""
    read_manifest(file)
    with (
        hold_data_dir(settings.data_path),
        TemporaryDirectory(dir=settings.data_path, prefix="restoring-") as folder,
    ):
        prepared = Path(folder) / "prepared.db"
        copy_file(file, prepared)
        drop_manifest(prepared)
        restored = _begin_new_life(settings, prepared)
        path = sqlite_path(settings.database_url)
        if path is not None:
            _put(prepared, path)
        else:
            _pour(prepared, settings.database_url)
    return restored


def _begin_new_life(settings: Settings, prepared: Path) -> Restored:
    with closing(Database(f"sqlite:///{prepared}")) as database:
        upgrade(database)
        with database.writing() as session:
            attempts = _end_attempts(session)
            identity = uuid.uuid4().hex
            session.execute(update(DatabaseRow).values(id=identity, leader=None, beats=0))
            _leap_ahead(session)
            rows = +count_rows(session)
        name = Database(settings.database_url).name
    return Restored(database=name, database_id=identity, rows=rows, attempts_ended=attempts)


def _end_attempts(session: Session) -> int:
    """Without blame: nobody knows what became of them."""
    keys = session.execute(select(AttemptRow.job_id, AttemptRow.number).where(AttemptRow.is_open)).all()
    for job_id, number in keys:
        end_attempt(session, AttemptKey(job_id=job_id, attempt=number), Cause.MOMENT, REASON)
    return len(keys)


def _leap_ahead(session: Session) -> None:
    connection = session.connection()
    ids = last_ids(connection)
    raise_last_ids(connection, {table: number + LEAP.get(table, OTHER_LEAP) for table, number in ids.items()})


def _put(prepared: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(open_database(f"sqlite:///{path}")) as database:
        require_empty(database)
    with closing(Database(f"sqlite:///{path}")) as held:
        held.hold()
        for log in ("-wal", "-shm"):
            path.with_name(path.name + log).unlink(missing_ok=True)
        put_in_place(prepared, path)


def _pour(prepared: Path, url: str) -> None:
    with closing(open_database(url)) as database, closing(Database(f"sqlite:///{prepared}")) as source:
        require_empty(database)
        require_alone(database)
        with source.reading() as rows, database.writing() as session:
            copy_rows(rows, session)
