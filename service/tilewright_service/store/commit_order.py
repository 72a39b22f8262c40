"""Ids that are seen in the order in which they were given, so that a cursor passes over none."""

from sqlalchemy.orm import Session

from tilewright_service.store.backends.postgresql import keep_ids_in_order
from tilewright_service.store.tables import Table


def in_commit_order(session: Session, table: type[Table]) -> None:
    """Before rows are added: nobody else adds any until this transaction ends. SQLite has one writer anyway."""
    if session.get_bind().dialect.name == "postgresql":
        keep_ids_in_order(session, table.__tablename__)
