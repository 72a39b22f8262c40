"""`tilewright admin prune`"""

from contextlib import closing

from tilewright_service.admin.opened import as_it_is, require_newest
from tilewright_service.admin.results import Pruned
from tilewright_service.settings import Settings
from tilewright_service.store import retention
from tilewright_service.store.opening import open_database


def prune(settings: Settings, is_dry_run: bool) -> Pruned:
    """A file of SQLite has one writer, so its service may not run; beside those on a server this may."""
    with as_it_is(settings.database_url) as database:
        require_newest(database)
        if is_dry_run:
            return Pruned(is_dry_run=True, rows=retention.count_overdue(database, settings))
    with closing(open_database(settings.database_url)) as database:
        rows = retention.prune(database, settings)
        while database.give_back_space():
            pass
    return Pruned(is_dry_run=False, rows=rows)
