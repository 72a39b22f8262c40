"""Which of several services on one database brings its jobs to their end.

The leader's number grows while it is well. The others watch it by clocks of their own, and whoever has seen it stand
still for long enough takes over, if it still has that value. So no two clocks are ever compared.
"""

from typing import NamedTuple

from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session

from tilewright_service.store.tables import DatabaseRow


class Lead(NamedTuple):
    leader: str | None
    beats: int


def database_id(session: Session) -> str:
    return session.scalars(select(DatabaseRow.id)).one()


def current_lead(session: Session) -> Lead:
    return Lead(*session.execute(select(DatabaseRow.leader, DatabaseRow.beats)).one())


def keep_lead(session: Session, server_id: str) -> bool:
    """Say that this leader is well; False when another leads."""
    return _change(session, DatabaseRow.leader == server_id, server_id)


def take_lead(session: Session, server_id: str, seen: Lead) -> bool:
    """Take over from a leader that was seen to stand still; False when it has not, after all."""
    return _change(session, DatabaseRow.leader.is_not_distinct_from(seen.leader), server_id, seen.beats)


def leave_lead(session: Session, server_id: str) -> None:
    session.execute(update(DatabaseRow).where(DatabaseRow.leader == server_id).values(leader=None))


def holds_lead(session: Session, server_id: str) -> bool:
    """And nobody takes it before this transaction ends."""
    question = select(DatabaseRow.id).where(DatabaseRow.leader == server_id).with_for_update(read=True)
    return session.scalar(question) is not None


def _change(session: Session, condition: object, server_id: str, beats: int | None = None) -> bool:
    question = update(DatabaseRow).where(condition)  # type: ignore[arg-type]
    if beats is not None:
        question = question.where(DatabaseRow.beats == beats)
    result = session.execute(question.values(leader=server_id, beats=DatabaseRow.beats + 1))
    assert isinstance(result, CursorResult)
    return result.rowcount == 1
