import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from tilewright.contract.events import AnyEvent
from tilewright.errors import Unavailable
from tilewright_service.dependencies import MAX_ID, Database, JobId
from tilewright_service.openapi import EVENT_STREAM
from tilewright_service.store.events import events_after
from tilewright_service.store.jobs import get_job, job_row

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

POLL_SECONDS = 0.25
HEARTBEAT_SECONDS = 10.0

LastEventId = Annotated[int | None, Header(alias="Last-Event-ID", ge=0, le=MAX_ID)]
After = Annotated[int, Query(ge=0, le=MAX_ID)]

STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": EVENT_STREAM}}}


@router.get("/{job_id}/events", response_class=StreamingResponse, responses=STREAM)
async def follow_job(
    job_id: JobId, request: Request, database: Database, last_event_id: LastEventId = None, after: After = 0
) -> StreamingResponse:
    """Server-sent events, each an `Event`: what happened after the given id, then what happens, until the job ends."""
    async with request.app.state.reading.take():
        await run_in_threadpool(_require_job, database, job_id)
    events = _follow(request, database, job_id, after if last_event_id is None else last_event_id)
    return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def _require_job(database: Database, job_id: int) -> None:
    with database.reading() as session:
        job_row(session, job_id)


async def _follow(request: Request, database: Database, job_id: int, last_id: int) -> AsyncIterator[str]:
    silence = 0.0
    yield ": here it comes\n\n"
    while not request.app.state.stopping.is_set():
        events, is_over = list[AnyEvent](), False
        with suppress(Unavailable):  # then it looks again in the next round
            async with request.app.state.reading.take():
                events, is_over = await run_in_threadpool(_news, database, job_id, last_id)
        for event in events:
            yield _render(event)
            last_id = event.id
        if is_over:
            return
        silence = 0.0 if events else silence + POLL_SECONDS
        if silence >= HEARTBEAT_SECONDS:
            yield ": still here\n\n"
            silence = 0.0
        await asyncio.sleep(POLL_SECONDS)


def _news(database: Database, job_id: int, last_id: int) -> tuple[list[AnyEvent], bool]:
    """What is new, and whether nothing will come after it."""
    with database.reading() as session:
        events = events_after(session, job_id, last_id)
        if events:
            return events, events[-1].is_final
        return events, get_job(session, job_id).state.is_final


def _render(event: AnyEvent) -> str:
    return f"id: {event.id}\nevent: {event.type}\ndata: {event.model_dump_json()}\n\n"
