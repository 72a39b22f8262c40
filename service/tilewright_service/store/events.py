"""What happened to a job, in order."""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from tilewright.contract import Event
from tilewright_service.store.instant import now
from tilewright_service.store.tables import EventRow

FINAL_EVENTS = ("finished", "failed", "cancelled")


def tell(session: Session, job_id: int, kind: str, data: Mapping[str, Any] | None = None) -> None:
    """Add an event to the story of a job."""
    session.add(EventRow(job_id=job_id, type=kind, data=json.dumps(data or {}), created_at=now()))


def events_after(session: Session, job_id: int, last_id: int, limit: int = 500) -> list[Event]:
    question = (
        select(EventRow).where(EventRow.job_id == job_id, EventRow.id > last_id).order_by(EventRow.id).limit(limit)
    )
    return [_event(row) for row in session.scalars(question)]


def _event(row: EventRow) -> Event:
    return Event(id=row.id, job_id=row.job_id, type=row.type, data=json.loads(row.data), created_at=row.created_at)
