from typing import Annotated

from fastapi import APIRouter, Query, Response

from tilewright.contract import (
    AttemptBrief,
    History,
    Isa,
    Publication,
    RecordBatch,
    Renewal,
    RenewalAnswer,
    Report,
    Schedule,
    Start,
    Stored,
    WorkloadOutcome,
)
from tilewright.contract.message import Sha256
from tilewright_service.dependencies import Calling, CallingToRead, Config, Dispatching
from tilewright_service.store.records import history, store_records
from tilewright_service.store.schedules import publish
from tilewright_service.strict_json import StrictRoute

router = APIRouter(prefix="/v1/jobs/{job_id}/attempts/{number}", tags=["attempts"], route_class=StrictRoute)


@router.post("/start")
def start(start: Start, attempt: Calling, settings: Config) -> AttemptBrief:
    return attempt.start(start.host, settings.lease_seconds)


@router.get("/history", response_model=History)
def get_history(
    workload_id: Annotated[Sha256, Query()], isa: Isa, attempt: CallingToRead, neighbours: bool = False
) -> Response:
    """What is known of a workload on this path, number of threads and host class, and if wanted of those like it."""
    attempt.require_authority()
    return Response(history(attempt, workload_id, isa, neighbours), media_type="application/json")


@router.post("/records")
def add_records(batch: RecordBatch, attempt: Calling) -> Stored:
    """Records are facts: those of an attempt that was overtaken are stored too, and each is stored once."""
    return Stored(stored=store_records(attempt, batch.records))


@router.post("/renew")
def renew(renewal: Renewal, attempt: Calling, settings: Config) -> RenewalAnswer:
    cancel = attempt.renew(renewal, settings.lease_seconds)
    return RenewalAnswer(cancel=cancel, lease_seconds=settings.lease_seconds)


@router.post("/schedules")
def publish_schedule(publication: Publication, attempt: Calling) -> Schedule:
    """409 when `replaces` is not the current schedule any more."""
    return publish(attempt, publication)


@router.post("/outcomes", status_code=204)
def conclude_workload(outcome: WorkloadOutcome, attempt: Calling) -> None:
    attempt.conclude(outcome)


@router.post("/result", status_code=204, dependencies=[Dispatching])
def report_result(report: Report, attempt: Calling) -> None:
    attempt.report(report)
