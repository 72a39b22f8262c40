"""Who wants a job. Several people may want the same one; it is cancelled when the last of them withdraws."""

from collections.abc import Sequence

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from tilewright.errors import NotYours
from tilewright_service.store.instant import now
from tilewright_service.store.tables import InterestRow, JobRow
from tilewright_service.store.upsert import Upsert

NOBODY = ""
"""Who does not say who he is: he acts for all."""


def add_interest(session: Session, job_id: int, caller: str) -> None:
    row = {"job_id": job_id, "caller": caller, "created_at": now()}
    session.connection().execute(WANTED.of(session), row)


def withdraw(session: Session, job: JobRow, caller: str, everybody: bool) -> bool:
    """Whether nobody wants the job any more. Safe to repeat. Raises NotYours for a caller who never wanted it."""
    names = owners(session, [job.id]).get(job.id, [])
    acts_for_all = everybody or caller == NOBODY or not names
    if not acts_for_all and session.get(InterestRow, (job.id, caller)) is None:
        raise NotYours(f"job {job.id} is wanted by {', '.join(names)}, not by {caller}")
    whose = InterestRow.job_id == job.id
    if not acts_for_all:
        whose &= InterestRow.caller == caller
    session.execute(update(InterestRow).where(whose, InterestRow.withdrawn_at.is_(None)).values(withdrawn_at=now()))
    still = select(InterestRow.caller).where(InterestRow.job_id == job.id, InterestRow.withdrawn_at.is_(None))
    return session.scalar(still.limit(1)) is None


def owners(session: Session, job_ids: Sequence[int]) -> dict[int, list[str]]:
    """By job, the first one first; without those who did not say who they are, or have withdrawn."""
    found: dict[int, list[str]] = {}
    for job_id, caller in session.execute(OWNERS, {"job_ids": job_ids}):
        found.setdefault(job_id, []).append(caller)
    return found


WANTED = Upsert(
    InterestRow,
    lambda insert: insert.on_conflict_do_update(index_elements=["job_id", "caller"], set_={"withdrawn_at": None}),
)
OWNERS = (
    select(InterestRow.job_id, InterestRow.caller)
    .where(
        InterestRow.job_id.in_(bindparam("job_ids", expanding=True)),
        InterestRow.caller != NOBODY,
        InterestRow.withdrawn_at.is_(None),
    )
    .order_by(InterestRow.created_at, InterestRow.caller)
)
