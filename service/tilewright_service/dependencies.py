"""What handlers ask for: a transaction, a snapshot, the attempt that calls, what the service is made of."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, Path, Query, Request
from fastapi.concurrency import contextmanager_in_threadpool
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import Field
from sqlalchemy.orm import Session

from tilewright.contract.message import Message
from tilewright.errors import Unauthorized
from tilewright_service.dispatch.engine import Engine
from tilewright_service.metrics import Metrics
from tilewright_service.settings import Settings
from tilewright_service.store.attempts import Attempt, require_token
from tilewright_service.store.database import Database

MAX_ID = 2**63 - 1
MAX_NUMBER = 2**31 - 1


def _of_app(name: str) -> Any:
    # async, or each would take a trip to another thread
    async def get(request: Request) -> Any:
        return getattr(request.app.state, name)

    return Depends(get)


async def write(request: Request) -> AsyncIterator[Session]:
    """One transaction, committed before the answer is sent."""
    state = request.app.state
    async with state.writing.taken(), contextmanager_in_threadpool(state.database.writing()) as session:
        yield session


async def read(request: Request) -> AsyncIterator[Session]:
    state = request.app.state
    async with state.reading.taken(), contextmanager_in_threadpool(state.database.reading()) as session:
        yield session


async def wake_dispatcher(request: Request) -> AsyncIterator[None]:
    """Put on a route: after the transaction, the reconciler looks at once."""
    yield
    request.app.state.wake_dispatcher()


Store = Annotated[Database, _of_app("database")]
Config = Annotated[Settings, _of_app("settings")]
Workers = Annotated[Engine, _of_app("engine")]
Counters = Annotated[Metrics, _of_app("metrics")]
Writing = Annotated[Session, Depends(write, scope="function")]
Reading = Annotated[Session, Depends(read, scope="function")]
Dispatching = Depends(wake_dispatcher, scope="function")

JobId = Annotated[int, Path(ge=1, le=MAX_ID)]
AttemptNumber = Annotated[int, Path(ge=1, le=MAX_NUMBER)]
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]


async def shown_token(database: Store, job_id: JobId, number: AttemptNumber, bearer: Bearer) -> str:
    """The token of the calling attempt, checked before the request waits for anything or writes."""
    if bearer is None:
        raise Unauthorized("an attempt has to show its token")
    token = bearer.credentials
    await database.look_up(lambda session: require_token(session, job_id, number, token))
    return token


Token = Annotated[str, Depends(shown_token)]


def calling_attempt(token: Token, session: Writing, job_id: JobId, number: AttemptNumber) -> Attempt:
    return Attempt(session, job_id, number, token)


def reading_attempt(token: Token, session: Reading, job_id: JobId, number: AttemptNumber) -> Attempt:
    return Attempt(session, job_id, number, token)


CallingToRead = Annotated[Attempt, Depends(reading_attempt)]
Calling = Annotated[Attempt, Depends(calling_attempt)]


class PageQuery(Message):
    """Which part of a list; `cursor` comes from the `next` of the page before."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[int, Field(ge=1, le=MAX_ID)] | None = None

    @property
    def after_id(self) -> int:
        return self.cursor or 0


Paging = Annotated[PageQuery, Query()]
