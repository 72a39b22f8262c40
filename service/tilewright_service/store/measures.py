"""How much there is of what, from indices: no question here grows with what was ever stored."""

import os
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from tilewright.contract.jobs import JobState
from tilewright_service.store.instant import now
from tilewright_service.store.tables import AttemptRow, JobRow


class Measures(NamedTuple):
    jobs: dict[JobState, int]
    """Of the states that are not final."""
    oldest_seconds: float
    """0 while nothing is queued."""
    open_attempts: int
    database_bytes: int
    wal_bytes: int


def measure(session: Session, is_sqlite: bool) -> Measures:
    database_bytes, wal_bytes = _sqlite_sizes(session) if is_sqlite else (_server_size(session), 0)
    return Measures(
        jobs={state: _count(session, state) for state in JobState if not state.is_final},
        oldest_seconds=_oldest_seconds(session),
        open_attempts=session.scalar(select(func.count()).where(AttemptRow.is_open)) or 0,
        database_bytes=database_bytes,
        wal_bytes=wal_bytes,
    )


def _count(session: Session, state: JobState) -> int:
    return session.scalar(select(func.count()).where(JobRow.state == state)) or 0


def _oldest_seconds(session: Session) -> float:
    """Ids are given in the order of age."""
    queued = select(JobRow.created_at).where(JobRow.state == JobState.QUEUED).order_by(JobRow.id).limit(1)
    created_at: datetime | None = session.scalar(queued)
    return 0.0 if created_at is None else max((now() - created_at).total_seconds(), 0.0)


def _sqlite_sizes(session: Session) -> tuple[int, int]:
    path = session.execute(text("PRAGMA database_list")).one()[2]
    return _size(path), _size(f"{path}-wal")


def _size(path: str) -> int:
    return os.stat(path).st_size if os.path.exists(path) else 0


def _server_size(session: Session) -> int:
    return session.scalar(text("SELECT pg_database_size(current_database())")) or 0
