"""`tilewright admin backup`"""

import time
from contextlib import closing
from pathlib import Path

from sqlalchemy.orm import Session

from tilewright import __version__
from tilewright_service.admin.backup_file import Manifest, write_manifest, writing_backup
from tilewright_service.admin.opened import as_it_is, require_newest, sqlite_path
from tilewright_service.admin.results import BackedUp
from tilewright_service.admin.rows import copy_rows, count_rows
from tilewright_service.settings import Settings
from tilewright_service.store.backends.sqlite_copy import copy_file
from tilewright_service.store.database import Database
from tilewright_service.store.instant import now
from tilewright_service.store.leadership import database_id
from tilewright_service.store.schema import newest_revision, upgrade


def backup(settings: Settings, file: Path) -> BackedUp:
    """As of one moment; whoever writes meanwhile hardly waits."""
    started = time.monotonic()
    with as_it_is(settings.database_url) as database, writing_backup(file) as partial:
        require_newest(database)
        path = sqlite_path(settings.database_url)
        if path is not None:
            copy_file(path, partial)
        else:
            _copy_all(database, partial)
        manifest = _describe(partial)
        write_manifest(partial, manifest)
    return BackedUp(
        file=str(file), bytes=file.stat().st_size, seconds=round(time.monotonic() - started, 3), rows=manifest.rows
    )


def _copy_all(database: Database, partial: Path) -> None:
    with closing(Database(f"sqlite:///{partial}")) as copy:
        upgrade(copy)
        with database.surveying() as source, copy.writing() as target:
            copy_rows(source, target)


def _describe(partial: Path) -> Manifest:
    with closing(Database(f"sqlite:///{partial}")) as copy, copy.writing() as session:
        return _manifest(session)


def _manifest(session: Session) -> Manifest:
    return Manifest(
        version=__version__,
        revision=newest_revision(),
        database_id=database_id(session),
        made_at=now(),
        rows=+count_rows(session),
    )
