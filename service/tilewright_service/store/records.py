"""Records as they are read."""

import json

from sqlalchemy import select
from sqlalchemy.orm import Session

from tilewright.contract.attempts import KnownRecord
from tilewright.contract.target import Isa
from tilewright.contract.workers import AttemptKey
from tilewright_service.documents import Document, join, pick, with_fields
from tilewright_service.store.authority import see_authority
from tilewright_service.store.jobs import job_workload_row
from tilewright_service.store.neighbours import neighbours
from tilewright_service.store.schedules import current_schedule
from tilewright_service.store.tables import RecordRow

HISTORY_LIMIT = 2000


def history(session: Session, key: AttemptKey, workload_id: str, isa: Isa, with_neighbours: bool) -> Document:
    """A `History`: what is known of a workload on this path and the host class of the attempt, best first."""
    attempt, job = see_authority(session, key)
    job_workload_row(session, job.id, workload_id)
    question = (
        select(RecordRow.document)
        .where(
            RecordRow.workload_id == workload_id,
            RecordRow.isa == isa,
            RecordRow.threads == job.threads,
            RecordRow.host_class == attempt.host_class,
        )
        .order_by(RecordRow.latency_us.is_(None), RecordRow.latency_us, RecordRow.id)
        .limit(HISTORY_LIMIT)
    )
    found = session.scalars(question)
    return join(
        records=[pick(json.loads(document), KnownRecord) for document in found],
        incumbent=current_schedule(session, workload_id, isa, job.threads, attempt.host_class),
        neighbours=neighbours(session, workload_id, isa, job.threads, attempt.host_class) if with_neighbours else [],
    )


def record_page(
    session: Session, after_id: int, limit: int, job_id: int | None = None, workload_id: str | None = None
) -> list[tuple[int, Document]]:
    """Ids and documents, each a `Record`, oldest first."""
    question = select(RecordRow.id, RecordRow.document).where(RecordRow.id > after_id)
    if job_id is not None:
        question = question.where(RecordRow.job_id == job_id)
    if workload_id is not None:
        question = question.where(RecordRow.workload_id == workload_id)
    rows = session.execute(question.order_by(RecordRow.id).limit(limit))
    return [(row.id, with_fields(row.document, id=row.id)) for row in rows]
