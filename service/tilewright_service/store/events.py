"""What happened to a job, in order."""

import json
from collections.abc import Mapping, Sequence
from typing import TypeVar

from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.orm import Session

from tilewright.contract.events import AnyEvent, EventFields, event_class, kind_of
from tilewright.contract.jobs import WorkloadProgress
from tilewright.contract.message import Message
from tilewright_service.store.instant import now
from tilewright_service.store.jobs import job_workloads
from tilewright_service.store.tables import EventRow

Data = TypeVar("Data", bound=Message)

NEWS = """
SELECT events.* FROM {known}
JOIN events ON events.job_id = CAST(known.key AS BIGINT) AND events.id > CAST(known.value AS BIGINT)
ORDER BY events.id LIMIT :limit
"""
SQLITE_NEWS = select(EventRow).from_statement(text(NEWS.format(known="json_each(:known) AS known")))
SERVER_NEWS = select(EventRow).from_statement(text(NEWS.format(known="json_each_text(CAST(:known AS JSON)) AS known")))
ADDED = insert(EventRow.metadata.tables[EventRow.__tablename__]).inline()


def tell(session: Session, job_id: int, event: type[EventFields[Data]], data: Data) -> None:
    """Add an event to the story of a job."""
    session.flush()
    session.connection().execute(ADDED, _values(job_id, event, data))


def tell_workloads(
    session: Session, job_id: int, workload_ids: Sequence[str], event: type[EventFields[WorkloadProgress]]
) -> None:
    """One event for each of these workloads of the job, with all that is known of it."""
    known = job_workloads(session, job_id, workload_ids)
    progress = [WorkloadProgress(**each.model_dump(exclude={"workload"})) for each in known]
    session.execute(ADDED, [_values(job_id, event, each) for each in progress])


def tell_many(connection: Connection, event: type[EventFields[Data]], news: Sequence[tuple[int, Data]]) -> None:
    """Of several jobs, one event each."""
    if news:
        connection.execute(ADDED, [_values(job_id, event, data) for job_id, data in news])


def events_after(session: Session, job_id: int, last_id: int, limit: int = 500) -> list[AnyEvent]:
    question = (
        select(EventRow).where(EventRow.job_id == job_id, EventRow.id > last_id).order_by(EventRow.id).limit(limit)
    )
    return [_event(row) for row in session.scalars(question)]


def events_of_jobs(session: Session, last_ids: Mapping[int, int], limit: int = 2000) -> list[AnyEvent]:
    """What happened to each of these jobs after an id of its own, oldest first. One look into the index for each."""
    known = json.dumps({str(job_id): last_id for job_id, last_id in last_ids.items()})
    question = SQLITE_NEWS if session.get_bind().dialect.name == "sqlite" else SERVER_NEWS
    return [_event(row) for row in session.scalars(question, {"known": known, "limit": limit})]


def newest_event_id(session: Session, job_id: int) -> int:
    return session.scalar(select(func.max(EventRow.id)).where(EventRow.job_id == job_id)) or 0


def _values(job_id: int, event: type[EventFields[Data]], data: Data) -> dict[str, object]:
    return {"job_id": job_id, "type": kind_of(event), "data": data.model_dump_json(), "created_at": now()}


def _event(row: EventRow) -> AnyEvent:
    return event_class(row.type)(
        id=row.id, job_id=row.job_id, type=row.type, data=json.loads(row.data), created_at=row.created_at
    )
