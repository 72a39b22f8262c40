import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from tilewright.contract.events import AnyEvent
from tilewright.contract.jobs import JobState
from tilewright.errors import Unavailable
from tilewright_service.dependencies import MAX_ID, Database, JobId
from tilewright_service.openapi import EVENT_STREAM
from tilewright_service.store.events import events_after, has_events_after
from tilewright_service.store.jobs import job_row

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

POLL_SECONDS = 0.1
"""Between looks for something new, which cost microseconds; only where there is, a turn to read it is waited for."""

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
    has_news = True  # the job may have ended before
    while not request.app.state.stopping.is_set():
        events, is_over = list[AnyEvent](), False
        if has_news:
            with suppress(Unavailable):  # then it looks again in the next round
                async with request.app.state.reading.take():
                    events, is_over = await run_in_threadpool(_news, database, job_id, last_id)
                has_news = False
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
        has_news = has_news or await database.look_up(partial(has_events_after, job_id=job_id, last_id=last_id))


def _news(database: Database, job_id: int, last_id: int) -> tuple[list[AnyEvent], bool]:
    """What is new, and whether nothing will come after it."""
    with database.reading() as session:
        events = events_after(session, job_id, last_id)
        if events:
            return events, events[-1].is_final
        return events, JobState(job_row(session, job_id).state).is_final


def _render(event: AnyEvent) -> str:
    return f"id: {event.id}\nevent: {event.type}\ndata: {event.model_dump_json()}\n\n"
