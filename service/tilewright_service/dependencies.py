"""What handlers ask for: a transaction, a snapshot, the attempt that calls, what the service is made of."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Annotated, Any, TypeVar

from anyio import CancelScope, CapacityLimiter, to_thread
from fastapi import Depends, Header, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import Field
from sqlalchemy.orm import Session

from tilewright.contract.message import Message
from tilewright.contract.workers import AttemptKey
from tilewright_service import event_hub, metrics, readiness, record_gathering, settings
from tilewright_service.callers import caller_of
from tilewright_service.dispatch import engine
from tilewright_service.gate import ATTEMPT
from tilewright_service.store import database, waiting

Answer = TypeVar("Answer")

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
    async with state.writing.take(caller_of(request.scope)):
        with state.metrics.write_seconds.time():
            async with _ending_in_thread(state.database.writing()) as session:
                yield session


class Writer:
    """For what is written often: one trip to another thread, where a handler with a session takes three."""

    def __init__(self, request: Request) -> None:
        self._state = request.app.state
        self._caller = caller_of(request.scope)

    async def write(self, work: Callable[[Session], Answer]) -> Answer:
        """One transaction, on disk when this returns."""
        async with self._state.writing.take(self._caller):
            with self._state.metrics.write_seconds.time():
                return await run_in_threadpool(self._write, work)

    def _write(self, work: Callable[[Session], Answer]) -> Answer:
        with self._state.database.writing() as session:
            return work(session)


async def get_writer(request: Request) -> Writer:
    return Writer(request)


async def read(request: Request) -> AsyncIterator[Session]:
    state = request.app.state
    turn = state.reading.take(caller_of(request.scope))
    async with turn, _ending_in_thread(state.database.reading()) as session:
        yield session


@asynccontextmanager
async def _ending_in_thread(context: AbstractContextManager[Session]) -> AsyncIterator[Session]:
    """A connection is taken with the first statement, so that to begin waits for nothing, and only the end does."""
    session = context.__enter__()
    try:
        yield session
    except BaseException as error:
        if not await _end(context, error):
            raise
    else:
        await _end(context, None)


async def _end(context: AbstractContextManager[Session], error: BaseException | None) -> bool:
    """Whatever becomes of who asked. It waits for no thread that handlers have: one of them may wait for this end."""
    kind, trace = (None, None) if error is None else (type(error), error.__traceback__)
    is_handled = None
    with CancelScope(shield=True):
        is_handled = await to_thread.run_sync(context.__exit__, kind, error, trace, limiter=CapacityLimiter(1))
    return bool(is_handled)


async def wake_dispatcher(request: Request) -> AsyncIterator[None]:
    """Put on a route: after the transaction, the reconciler looks at once."""
    yield
    request.app.state.wake_dispatcher()


async def seen_capacity(request: Request) -> waiting.Capacity | None:
    """What the dispatcher last saw of the workers, so that no request has to ask them."""
    capacity: waiting.Capacity | None = request.app.state.capacity()
    return capacity


Database = Annotated[database.Database, _of_app("database")]
Settings = Annotated[settings.Settings, _of_app("settings")]
Engine = Annotated[engine.Engine, _of_app("engine")]
Capacity = Annotated[waiting.Capacity | None, Depends(seen_capacity)]
Metrics = Annotated[metrics.Metrics, _of_app("metrics")]
Readiness = Annotated[readiness.Readiness, _of_app("readiness")]
Gathering = Annotated[record_gathering.RecordGathering, _of_app("gathering")]
Events = Annotated[event_hub.EventHub, _of_app("events")]
Writing = Annotated[Session, Depends(write, scope="function")]
Reading = Annotated[Session, Depends(read, scope="function")]
WritingAtOnce = Annotated[Writer, Depends(get_writer)]
Dispatching = Depends(wake_dispatcher, scope="function")

User = Annotated[str, Header(alias="Tilewright-User", pattern=r"^[!-~]{0,64}$")]
"""Who asks, by his own word; who does not say acts for all."""

JobId = Annotated[int, Path(ge=1, le=MAX_ID)]
AttemptNumber = Annotated[int, Path(ge=1, le=MAX_NUMBER)]
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]


async def authenticate(request: Request, job_id: JobId, number: AttemptNumber, bearer: Bearer) -> AttemptKey:
    """The attempt that calls; `AttemptGate` has seen its token before the body was read."""
    key: AttemptKey = request.scope["state"][ATTEMPT]
    return key


Caller = Annotated[AttemptKey, Depends(authenticate)]


class PageQuery(Message):
    """Which part of a list; `cursor` comes from the `next` of the page before."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[int, Field(ge=1, le=MAX_ID)] | None = None

    @property
    def after_id(self) -> int:
        return self.cursor or 0


Paging = Annotated[PageQuery, Query()]
