from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, ExitStack, aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from tilewright_service.callers import caller_of
from tilewright_service.dependencies import MAX_ID, Events, JobId
from tilewright_service.openapi import EVENT_STREAM
from tilewright_service.straight_way import way_of

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

LastEventId = Annotated[int | None, Header(alias="Last-Event-ID", ge=0, le=MAX_ID)]
After = Annotated[int, Query(ge=0, le=MAX_ID)]

STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": EVENT_STREAM}}}


@router.get("/{job_id}/events", response_class=StreamingResponse, responses=STREAM)
async def follow_job(
    job_id: JobId, request: Request, events: Events, last_event_id: LastEventId = None, after: After = 0
) -> StreamingResponse:
    """Server-sent events, each an `Event`: what happened after the given id, then what happens, until the job ends.

    A reader that is too slow is cut off, and goes on with `Last-Event-ID`. Who follows too many jobs gets 429.
    """
    caller = caller_of(request.scope)
    with ExitStack() as stack:
        stack.enter_context(events.place(caller))
        last_id = after if last_event_id is None else last_event_id
        first = await events.look(job_id, last_id, caller)
        told = events.follow(job_id, last_id, first, caller, way_of(request.scope))
        return Stream(told, stack.pop_all())


class Stream(StreamingResponse):
    """Keeps a place for its reader until he has gone."""

    def __init__(self, told: AsyncGenerator[str], place: AbstractContextManager[Any]) -> None:
        super().__init__(told, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        self._told = told
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._place:
            async with aclosing(self._told):
                await super().__call__(scope, receive, send)
