"""Pages for people in browsers; the OpenAPI document does not list them."""

from collections.abc import Callable
from typing import TypeVar

from fastapi import APIRouter, Request
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from tilewright.errors import Unavailable
from tilewright_service.api_reference import operations_of, schemas_of
from tilewright_service.callers import caller_of
from tilewright_service.dependencies import Capacity, Database, Settings
from tilewright_service.store.database import answers
from tilewright_service.store.jobs import count_jobs
from tilewright_service.store.waiting import Capacity as AnyCapacity
from tilewright_service.web_page import typed_address, web_page

Answer = TypeVar("Answer")

READING = ["GET", "HEAD"]
NO_ANSWER = "the engine does not answer"

router = APIRouter(include_in_schema=False)


@router.api_route("/", methods=READING)
async def show_front_page(request: Request, settings: Settings, database: Database, capacity: Capacity) -> Response:
    """Open to everybody; where a token is needed it says no more than that the service is there."""
    needs_token = settings.token is not None
    jobs = None if needs_token else await _ask(request, database, count_jobs)
    is_ready = await _ask(request, database, answers) if needs_token else jobs is not None
    return web_page(
        "front.html",
        address=typed_address(request),
        needs_token=needs_token,
        is_ready=is_ready,
        jobs=jobs,
        workers=None if needs_token else _count_workers(capacity),
    )


@router.api_route("/docs", methods=READING)
def show_reference(request: Request, settings: Settings) -> Response:
    """As closed as the document that it shows."""
    needs_token = settings.token is not None
    document = request.app.openapi()
    return web_page(
        "reference.html",
        address=typed_address(request),
        needs_token=needs_token,
        sections=operations_of(document, needs_token),
        schemas=schemas_of(document),
    )


async def _ask(request: Request, database: Database, question: Callable[[Session], Answer]) -> Answer | None:
    """None while the database does not answer."""

    def answer() -> Answer:
        with database.reading() as session:
            return question(session)

    try:
        async with request.app.state.reading.take(caller_of(request.scope)):
            return await run_in_threadpool(answer)
    except (Unavailable, SQLAlchemyError):
        return None


def _count_workers(capacity: AnyCapacity | None) -> int | str:
    return NO_ANSWER if capacity is None or capacity.away else len(capacity.workers)
