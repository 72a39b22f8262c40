"""What handlers ask for: a transaction, a snapshot, the attempt that calls, what the service is made of."""

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import Depends, Path, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import Field
from sqlalchemy.orm import Session

from tilewright.contract.message import Message
from tilewright.errors import Unauthorized
from tilewright_service.dispatch.engine import Engine
from tilewright_service.metrics import Metrics
from tilewright_service.settings import Settings
from tilewright_service.store.attempts import Attempt
from tilewright_service.store.database import Database

MAX_ID = 2**63 - 1
MAX_NUMBER = 2**31 - 1


def _of_app(name: str) -> Any:
    # async, or each would take a trip to another thread
    async def get(request: Request) -> Any:
        return getattr(request.app.state, name)

    return Depends(get)


def write(request: Request) -> Iterator[Session]:
    """One transaction, committed before the answer is sent."""
    with request.app.state.database.writing() as session:
        yield session


def read(request: Request) -> Iterator[Session]:
    with request.app.state.database.reading() as session:
        yield session


def wake_dispatcher(request: Request) -> Iterator[None]:
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


def calling_attempt(session: Writing, job_id: JobId, number: AttemptNumber, bearer: Bearer) -> Attempt:
    if bearer is None:
        raise Unauthorized("an attempt has to show its token")
    return Attempt(session, job_id, number, bearer.credentials)


def reading_attempt(session: Reading, job_id: JobId, number: AttemptNumber, bearer: Bearer) -> Attempt:
    return calling_attempt(session, job_id, number, bearer)


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
