from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from tilewright.contract.attempts import (
    Assignment,
    AttemptBrief,
    History,
    Next,
    Publication,
    RecordBatch,
    Renewal,
    RenewalAnswer,
    Report,
    Start,
    Stored,
    WorkloadFailure,
    WorkloadOutcome,
)
from tilewright.contract.message import Sha256
from tilewright.contract.schedules import Schedule
from tilewright.contract.target import Isa
from tilewright_service.callers import caller_of
from tilewright_service.dependencies import (
    Caller,
    Capacity,
    Dispatching,
    Gathering,
    Metrics,
    Reading,
    Settings,
    Writing,
    WritingAtOnce,
    authenticate,
)
from tilewright_service.pages import DocumentResponse
from tilewright_service.store import assignment, attempts
from tilewright_service.store.records import history
from tilewright_service.store.schedules import publish
from tilewright_service.strict_json import StrictRoute

router = APIRouter(
    prefix="/v1/jobs/{job_id}/attempts/{number}",
    tags=["attempts"],
    route_class=StrictRoute,
    # Of the router, so that it comes before all else: nobody waits for the database, or writes, without the token.
    dependencies=[Depends(authenticate)],
)


@router.post("/start")
def start(start: Start, attempt: Caller, session: Writing, settings: Settings) -> AttemptBrief:
    """409 for any process but the first."""
    return attempts.start_attempt(session, attempt, start, settings.lease_seconds)


@router.post("/next", dependencies=[Dispatching])
def assign_workload(next: Next, attempt: Caller, session: Writing, capacity: Capacity) -> Assignment:
    """The workload that the attempt is to tune now; none when it should end, and leave its worker to others."""
    return assignment.assign_workload(session, attempt, capacity)


@router.get("/history", response_model=History)
def get_history(
    workload_id: Annotated[Sha256, Query()], isa: Isa, attempt: Caller, session: Reading, neighbours: bool = False
) -> Response:
    """What is known of a workload on this path, number of threads and host class, and if wanted of those like it."""
    return DocumentResponse(history(session, attempt, workload_id, isa, neighbours))


@router.post("/records")
async def add_records(
    batch: RecordBatch, attempt: Caller, request: Request, gathering: Gathering, metrics: Metrics
) -> Stored:
    """Records are facts: those of an attempt that was overtaken are stored too, and each is stored once."""
    stored = await gathering.store(attempt, batch.records, caller_of(request.scope))
    metrics.note_trials(stored, [record.seconds for record in batch.records])
    return Stored(stored=stored)


@router.post("/renew")
async def renew(renewal: Renewal, attempt: Caller, writer: WritingAtOnce, settings: Settings) -> RenewalAnswer:
    cancel = await writer.write(lambda session: attempts.renew_lease(session, attempt, renewal))
    return RenewalAnswer(cancel=cancel, lease_seconds=settings.lease_seconds)


@router.post("/schedules")
def publish_schedule(publication: Publication, attempt: Caller, session: Writing) -> Schedule:
    """409 when `replaces` is not the current schedule any more."""
    return publish(session, attempt, publication)


@router.post("/outcomes", status_code=204, dependencies=[Dispatching])
def conclude_workload(outcome: WorkloadOutcome, attempt: Caller, session: Writing) -> None:
    attempts.conclude_workload(session, attempt, outcome)


@router.post("/failures", status_code=204, dependencies=[Dispatching])
def fail_workload(failure: WorkloadFailure, attempt: Caller, session: Writing) -> None:
    """It has so many tries; the attempt goes on with another."""
    attempts.fail_workload(session, attempt, failure)


@router.post("/result", status_code=204, dependencies=[Dispatching])
def report_result(report: Report, attempt: Caller, session: Writing) -> None:
    attempts.report_result(session, attempt, report)
