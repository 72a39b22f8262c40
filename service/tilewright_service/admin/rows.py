"""All rows of one database, put into another of the same schema."""

from collections import Counter

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from tilewright.errors import CannotStart
from tilewright_service.store.backends.sequences import last_ids, raise_last_ids
from tilewright_service.store.database import Database
from tilewright_service.store.tables import DatabaseRow, Table

ROWS_AT_A_TIME = 1000


def copy_rows(source: Session, target: Session) -> Counter[str]:
    """How many of each table. All keep their numbers, and the next ones follow them."""
    copied: Counter[str] = Counter()
    target.execute(delete(DatabaseRow))
    for table in Table.metadata.sorted_tables:
        found = source.connection().execute(select(table), execution_options={"yield_per": ROWS_AT_A_TIME})
        for rows in found.mappings().partitions():
            target.connection().execute(insert(table), [dict(row) for row in rows])
            copied[table.name] += len(rows)
    raise_last_ids(target.connection(), last_ids(source.connection()))
    return copied


def count_rows(session: Session) -> Counter[str]:
    return Counter(
        {
            table.name: session.scalar(select(func.count()).select_from(table)) or 0
            for table in Table.metadata.sorted_tables
        }
    )


def require_empty(database: Database) -> None:
    """Raises CannotStart where it holds anything but its own name."""
    with database.surveying() as session:
        filled = [name for name, count in count_rows(session).items() if count and name != DatabaseRow.__tablename__]
    if filled:
        raise CannotStart(f"the database {database.name} is not empty: there are {', '.join(sorted(filled))}")
