from typing import Annotated

from fastapi import APIRouter, Body, Header, Query, Response
from sqlalchemy.orm import Session

from tilewright.contract.jobs import Job, JobRequest, JobState, JobSummary
from tilewright.contract.pages import Page
from tilewright.contract.records import Record
from tilewright_service.dependencies import (
    Capacity,
    Dispatching,
    JobId,
    PageQuery,
    Paging,
    Reading,
    Settings,
    User,
    Writing,
    WritingAtOnce,
)
from tilewright_service.documents import document_of
from tilewright_service.pages import DocumentResponse, document_page, next_page
from tilewright_service.store import endings
from tilewright_service.store import jobs as store
from tilewright_service.store.limits import QueueLimits
from tilewright_service.store.records import record_page
from tilewright_service.store.submissions import submit
from tilewright_service.strict_json import StrictRoute

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=StrictRoute)

IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=255)]
SubmittedJob = Annotated[JobRequest, Body(examples=[{"network": "resnet18", "trials": 32}])]


class JobQuery(PageQuery):
    state: JobState | None = None


@router.post("", status_code=201, dependencies=[Dispatching], response_model=Job, responses={200: {"model": Job}})
async def submit_job(
    request: SubmittedJob,
    writer: WritingAtOnce,
    capacity: Capacity,
    settings: Settings,
    user: User = "",
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """201 with a new job that has something to do. 200 with one that is open, or has spent this budget already, for the
    same workloads; and with a new one that is finished, where jobs before it have tuned all of its workloads.
    """
    limits = QueueLimits(settings.max_queued_jobs, settings.max_queued_jobs_per_caller)

    def answer(session: Session) -> Response:
        submission = submit(session, request, idempotency_key, user, limits)
        return DocumentResponse(
            document_of(submission.job(session, capacity)),
            status_code=201 if submission.adds_work else 200,
            headers={"Location": f"/v1/jobs/{submission.job_id}"},
        )

    return await writer.write(answer)


@router.get("")
def list_jobs(query: Annotated[JobQuery, Query()], session: Reading, capacity: Capacity) -> Page[JobSummary]:
    """Newest first, without their workloads."""
    jobs = store.job_page(session, query.state, query.cursor, query.limit, capacity)
    return Page(items=jobs, next=next_page("/v1/jobs", query, [job.id for job in jobs]))


@router.get("/{job_id}")
def get_job(job_id: JobId, session: Reading, capacity: Capacity) -> Job:
    return store.get_job(session, job_id, capacity)


@router.post("/{job_id}/cancel", dependencies=[Dispatching])
def cancel_job(job_id: JobId, session: Writing, capacity: Capacity, user: User = "", everybody: bool = False) -> Job:
    """Whoever asks does not want it any more, or with `everybody` nobody does. Then it ends within seconds, and keeps
    its records. To cancel a job that has ended changes nothing. 409 for who is none of those who want it.
    """
    endings.cancel_job(session, job_id, user, everybody)
    return store.get_job(session, job_id, capacity)


@router.get("/{job_id}/records", response_model=Page[Record])
def list_job_records(job_id: JobId, query: Paging, session: Reading) -> Response:
    """Oldest first."""
    store.job_row(session, job_id)
    rows = record_page(session, query.after_id, query.limit, job_id=job_id)
    return document_page(f"/v1/jobs/{job_id}/records", query, rows)
