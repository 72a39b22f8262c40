"""Machines that measure."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from tilewright.contract.hosts import Host
from tilewright_service.documents import document_of
from tilewright_service.store.instant import now
from tilewright_service.store.tables import HostRow
from tilewright_service.store.upsert import insert


def keep_host(session: Session, host: Host) -> None:
    row = {
        "host_class": host.host_class,
        "hostname": host.hostname,
        "document": document_of(host),
        "seen_at": now(),
    }
    statement = insert(session, HostRow).values(row)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["host_class", "hostname"],
            set_={"document": statement.excluded.document, "seen_at": statement.excluded.seen_at},
        )
    )


def host_page(session: Session, after_id: int, limit: int) -> list[tuple[int, Host]]:
    rows = session.scalars(select(HostRow).where(HostRow.id > after_id).order_by(HostRow.id).limit(limit))
    return [(row.id, Host.model_validate_json(row.document)) for row in rows]
