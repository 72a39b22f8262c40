"""The HTTP application, put together."""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import anyio.to_thread
from fastapi import FastAPI

from tilewright import __version__
from tilewright_service.access_log import AccessLog
from tilewright_service.admission import Admission
from tilewright_service.body_limit import BodyLimit
from tilewright_service.dispatch.engine import Engine
from tilewright_service.dispatch.reconciler import Reconciler
from tilewright_service.event_hub import EventHub
from tilewright_service.gate import AttemptGate, Gate, NameGate
from tilewright_service.measures import gauges
from tilewright_service.metrics import Metrics, MetricsMiddleware
from tilewright_service.openapi import describe
from tilewright_service.problems import Failures, install_problem_handlers
from tilewright_service.readiness import Readiness
from tilewright_service.record_gathering import RecordGathering
from tilewright_service.request_ids import RequestIds
from tilewright_service.routes import attempts, events, health, hosts, jobs, networks, records, schedules, web
from tilewright_service.settings import Settings
from tilewright_service.short_way import ShortWay
from tilewright_service.store.database import Database
from tilewright_service.turns import Turns

THREADS = 24
"""For handlers that talk to the database: more than have a turn at once, so that whoever has one also has a thread."""

ROUTERS = (jobs, events, attempts, records, schedules, hosts, networks, health, web)


def create_app(
    settings: Settings,
    database: Database | None = None,
    engine: Engine | None = None,
    reconciler: Reconciler | None = None,
    metrics: Metrics | None = None,
) -> FastAPI:
    """Without database and engine it only describes itself."""
    app = FastAPI(
        title="Tilewright",
        version=__version__,
        summary="A tuning service for quantized 2-D convolutions on CPUs",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan(reconciler),
    )
    app.state.settings = settings
    app.state.database = database
    app.state.engine = engine
    app.state.metrics = metrics or Metrics()
    app.state.stopping = threading.Event()
    if database is not None and engine is not None:
        _add_state(app, settings, database, engine, reconciler)
    app.state.capacity = reconciler.capacity if reconciler else lambda: None
    app.state.wake_dispatcher = reconciler.wake if reconciler else lambda: None
    for module in ROUTERS:
        app.include_router(module.router)
    install_problem_handlers(app)
    _add_middleware(app, settings, database)
    describe(app)
    return app


def _add_state(
    app: FastAPI, settings: Settings, database: Database, engine: Engine, reconciler: Reconciler | None
) -> None:
    state, metrics = app.state, app.state.metrics
    state.writing = Turns(database.writers, metrics.turn_seconds.labels("write").observe)
    state.reading = Turns(database.readers, metrics.turn_seconds.labels("read").observe)
    state.events = EventHub(
        database, state.reading, metrics, state.stopping.is_set, settings.max_streams, settings.max_streams_per_caller
    )
    state.gathering = RecordGathering(database, state.writing, metrics.write_seconds)
    state.readiness = Readiness(
        database,
        state.writing,
        engine,
        settings.data_path,
        lambda: None if reconciler is None else reconciler.last_round_seconds,
    )
    metrics.collect(partial(gauges, database, lambda: app.state.capacity()))


def _add_middleware(app: FastAPI, settings: Settings, database: Database | None) -> None:
    """The last one added is the first one to see a request: who calls is known before its body is read."""
    metrics = app.state.metrics
    served = None if database is None else database.served()
    if served is not None:
        app.add_middleware(ShortWay, served=served)
    app.add_middleware(BodyLimit)
    app.add_middleware(Admission, per_address=settings.max_requests_per_address, metrics=metrics)
    app.add_middleware(Failures)
    app.add_middleware(MetricsMiddleware, metrics=metrics)
    if database is not None:
        app.add_middleware(AttemptGate, database=database, metrics=metrics)
    if settings.token is not None:
        app.add_middleware(Gate, token=settings.token.get_secret_value(), metrics=metrics)
    elif settings.binds_to_loopback:
        app.add_middleware(NameGate, names=settings.names, metrics=metrics)
    app.add_middleware(Failures)
    app.add_middleware(AccessLog, is_on=settings.access_log)
    app.add_middleware(RequestIds)


def _lifespan(reconciler: Reconciler | None) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        if reconciler is not None:
            reconciler.start()
        yield
        if reconciler is not None:
            reconciler.stop()

    return lifespan
