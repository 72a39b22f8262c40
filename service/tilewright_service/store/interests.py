"""Who wants a job. Several people may want the same one; it is cancelled when the last of them withdraws."""

from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from tilewright.errors import NotYours
from tilewright_service.store.instant import now
from tilewright_service.store.tables import InterestRow, JobRow
from tilewright_service.store.upsert import insert

NOBODY = ""
"""Who does not say who he is: he acts for all."""


def add_interest(session: Session, job: JobRow, caller: str) -> None:
    row = {"job_id": job.id, "caller": caller, "created_at": now()}
    session.execute(insert(session, InterestRow).values(row).on_conflict_do_nothing())


def withdraw(session: Session, job: JobRow, caller: str, everybody: bool) -> bool:
    """Whether nobody wants the job any more. Raises NotYours for a caller who is none of those who do."""
    own = InterestRow.job_id == job.id
    names = owners(session, [job.id]).get(job.id, [])
    if names and caller != NOBODY and not everybody:
        if caller not in names:
            raise NotYours(f"job {job.id} is wanted by {', '.join(names)}, not by {caller}")
        own &= InterestRow.caller == caller
    session.execute(delete(InterestRow).where(own))
    return session.scalar(select(InterestRow.caller).where(InterestRow.job_id == job.id).limit(1)) is None


def owners(session: Session, job_ids: Sequence[int]) -> dict[int, list[str]]:
    """By job, the first one first; without those who did not say who they are."""
    found: dict[int, list[str]] = {}
    question = select(InterestRow.job_id, InterestRow.caller).where(
        InterestRow.job_id.in_(job_ids), InterestRow.caller != NOBODY
    )
    for job_id, caller in session.execute(question.order_by(InterestRow.created_at, InterestRow.caller)):
        found.setdefault(job_id, []).append(caller)
    return found
