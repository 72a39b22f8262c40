"""`tilewright admin copy`"""

from contextlib import closing

from tilewright_service.admin.company import require_alone
from tilewright_service.admin.opened import as_it_is
from tilewright_service.admin.options import settings_of
from tilewright_service.admin.results import Copied
from tilewright_service.admin.rows import copy_rows, require_empty
from tilewright_service.settings import Settings
from tilewright_service.store.opening import open_database


def copy(settings: Settings, target_url: str) -> Copied:
    """Both are held, or watched, so that nothing is written that would be left behind."""
    target_settings = settings_of(settings.data_dir, target_url)
    with as_it_is(settings.database_url):
        pass
    with (
        closing(open_database(settings.database_url)) as source,
        closing(open_database(target_settings.database_url)) as target,
    ):
        require_alone(source)
        require_alone(target)
        require_empty(target)
        with source.surveying() as rows, target.writing() as session:
            copied = copy_rows(rows, session)
        return Copied(source=source.name, target=target.name, rows=copied)
