"""A backup: one SQLite file, whatever database it was made from, with a manifest of what is in it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from tilewright.contract.message import Message
from tilewright.errors import CannotStart
from tilewright_service.store.backends.sqlite_copy import put_in_place

TABLE = "backup_manifest"


class Manifest(Message):
    version: str
    """Of Tilewright."""
    revision: str
    """Of the schema."""
    database_id: str
    made_at: datetime
    rows: dict[str, int]


@contextmanager
def writing_backup(file: Path) -> Iterator[Path]:
    """Where to make a SQLite file that becomes the backup, if nothing is raised until then."""
    _refuse_other_files(file)
    partial = file.with_name(f"{file.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        yield partial
        put_in_place(partial, file)
    finally:
        for each in file.parent.glob(f"{partial.name}*"):
            each.unlink(missing_ok=True)


def write_manifest(file: Path, manifest: Manifest) -> None:
    """The last thing that is written: the file is one file from then on, without a log beside it."""
    with closing(sqlite3.connect(file)) as backup:
        backup.execute("PRAGMA journal_mode=DELETE").fetchall()
        backup.execute("PRAGMA synchronous=FULL")
        backup.execute(f"CREATE TABLE {TABLE} (manifest TEXT NOT NULL)")
        backup.execute(f"INSERT INTO {TABLE} VALUES (?)", (manifest.model_dump_json(),))
        backup.commit()


def read_manifest(file: Path) -> Manifest:
    """Raises CannotStart where the file is no backup."""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as backup:
            (text,) = backup.execute(f"SELECT manifest FROM {TABLE}").fetchone()
        return Manifest.model_validate_json(text)
    except (sqlite3.Error, ValidationError, TypeError) as error:
        raise CannotStart(f"{file} is no backup that tilewright admin backup has made ({error})") from error


def drop_manifest(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.execute(f"DROP TABLE {TABLE}")
        database.commit()


def _refuse_other_files(file: Path) -> None:
    """An older backup is replaced; anything else, such as the database itself, is not."""
    if file.exists():
        try:
            read_manifest(file)
        except CannotStart as error:
            raise CannotStart(f"{file} is there, and is no backup: choose another name") from error
