"""`tilewright admin check`"""

from collections.abc import Iterator

from sqlalchemy import Column, MetaData, Table, func, select
from sqlalchemy.orm import Session

from tilewright_service.admin.opened import as_it_is, revision_of
from tilewright_service.admin.results import Checked
from tilewright_service.settings import Settings
from tilewright_service.store.backends.sequences import last_ids
from tilewright_service.store.database import Database
from tilewright_service.store.leadership import database_id
from tilewright_service.store.schema import VERSION_TABLE, newest_revision
from tilewright_service.store.tables import DatabaseRow


def check(settings: Settings) -> Checked:
    with as_it_is(settings.database_url) as database:
        revision = revision_of(database)
        with database.surveying() as session:
            tables = _tables(session)
            return Checked(
                database=database.name,
                database_id=database_id(session) if DatabaseRow.__tablename__ in tables else None,
                revision=revision,
                is_newest=revision == newest_revision(),
                bytes=database.size(session),
                rows={
                    name: session.scalar(select(func.count()).select_from(table)) or 0 for name, table in tables.items()
                },
                problems=list(_problems(database, session, tables)),
            )


def _tables(session: Session) -> dict[str, Table]:
    """As they are, whichever version has made them."""
    metadata = MetaData()
    metadata.reflect(session.connection())
    return {name: table for name, table in metadata.tables.items() if name != VERSION_TABLE}


def _problems(database: Database, session: Session, tables: dict[str, Table]) -> Iterator[str]:
    yield from database.faults(session)
    for table in tables.values():
        for key in table.foreign_keys:
            if orphans := _count_orphans(session, key.parent, key.column):
                missing = key.column.table.name
                yield f"{orphans:,} {table.name} refer by {key.parent.name} to {missing} that are not there"
    ids = last_ids(session.connection())
    for name, last in ids.items():
        highest = session.scalar(select(func.max(tables[name].c.id))) or 0
        if highest > last:
            yield f"{name} would get numbers a second time: {last:,} is said to be the last, and {highest:,} is there"


def _count_orphans(session: Session, child: Column[object], parent: Column[object]) -> int:
    parents = parent.table.alias()
    question = (
        select(func.count())
        .select_from(child.table.outerjoin(parents, parents.c[parent.name] == child))
        .where(child.is_not(None), parents.c[parent.name].is_(None))
    )
    return session.scalar(question) or 0
