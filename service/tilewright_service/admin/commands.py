"""The commands of `tilewright admin`; found by an entry point, they import what they need when they are called."""

from typing import Annotated

import typer

from tilewright.cli.once import App
from tilewright.cli.options import AsJson
from tilewright.parts import needing
from tilewright_service.admin.certificates import certificates
from tilewright_service.admin.options import BackupFile, DatabaseUrl, DataDir, TargetUrl

admin = App(
    help="Look after the database of a service: back it up, restore, check, prune and move it.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


def backup(file: BackupFile, data_dir: DataDir = None, database: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Write all there is, as of one moment, into FILE; services may go on.

    FILE is the same for both databases, and is there whole or not at all. An older one is replaced.
    """
    with needing("service"):
        from tilewright_service.admin import backup as work
        from tilewright_service.admin.options import settings_of
        from tilewright_service.admin.results import show
    show(work.backup(settings_of(data_dir, database), file), as_json)


def restore(file: BackupFile, data_dir: DataDir = None, database: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Put a backup into a database that is empty; no service may run on it.

    Numbers that were given after the backup are not given again, and attempts that were open go back to the queue.
    """
    with needing("service"):
        from tilewright_service.admin import restore as work
        from tilewright_service.admin.options import settings_of
        from tilewright_service.admin.results import show
    show(work.restore(settings_of(data_dir, database), file), as_json)


def prune(
    data_dir: DataDir = None,
    database: DatabaseUrl = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be deleted.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete at once what the service deletes once an hour: what is older than TILEWRIGHT_KEEP_... say.

    TILEWRIGHT_KEEP_EVENTS_DAYS (7), _ATTEMPTS_DAYS (30), _RECORDS_DAYS (90) and _RECORDS (200, the best of a workload,
    for ever), _SCHEDULES_DAYS (90, those that are not served), _JOBS_DAYS (365, those that tuned nothing).
    A SQLite file has one writer: stop its service first, or leave it to the service.
    """
    with needing("service"):
        from tilewright_service.admin import prune as work
        from tilewright_service.admin.options import settings_of
        from tilewright_service.admin.results import show
    show(work.prune(settings_of(data_dir, database), dry_run), as_json)


def check(data_dir: DataDir = None, database: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Say whether the database is whole, and what is in it; services may go on. Exits with 1 when it is not."""
    with needing("service"):
        from tilewright_service.admin import check as work
        from tilewright_service.admin.options import settings_of
        from tilewright_service.admin.results import show
    checked = work.check(settings_of(data_dir, database))
    show(checked, as_json)
    raise typer.Exit(0 if checked.is_whole else 1)


def copy(target: TargetUrl, data_dir: DataDir = None, database: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Move to another database, which has to be empty: all keep their numbers. Stop the services first."""
    with needing("service"):
        from tilewright_service.admin import move as work
        from tilewright_service.admin.options import settings_of
        from tilewright_service.admin.results import show
    show(work.copy(settings_of(data_dir, database), target), as_json)


for command in (backup, restore, prune, check, copy, certificates):
    admin.command(command.__name__)(command)
