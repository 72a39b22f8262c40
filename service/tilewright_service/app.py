"""The HTTP application, put together."""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio.to_thread
from fastapi import FastAPI

from tilewright import __version__
from tilewright_service.body_limit import BodyLimit
from tilewright_service.dispatch.engine import Engine
from tilewright_service.dispatch.reconciler import Reconciler
from tilewright_service.gate import Gate, NameGate
from tilewright_service.metrics import Metrics, MetricsMiddleware
from tilewright_service.openapi import describe
from tilewright_service.problems import install_problem_handlers
from tilewright_service.routes import attempts, events, health, hosts, jobs, networks, records, schedules, web
from tilewright_service.settings import Settings
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
    app.state.writing = Turns(database.writers if database else 0)
    app.state.reading = Turns(database.readers if database else 0)
    app.state.engine = engine
    app.state.metrics = Metrics()
    app.state.stopping = threading.Event()
    app.state.capacity = reconciler.capacity if reconciler else lambda: None
    app.state.wake_dispatcher = reconciler.wake if reconciler else lambda: None
    for module in ROUTERS:
        app.include_router(module.router)
    install_problem_handlers(app)
    _add_middleware(app, settings)
    describe(app)
    return app


def _add_middleware(app: FastAPI, settings: Settings) -> None:
    """The last one added is the first one to see a request."""
    app.add_middleware(BodyLimit)
    if settings.token is not None:
        app.add_middleware(Gate, token=settings.token.get_secret_value())
    elif settings.binds_to_loopback:
        app.add_middleware(NameGate, names=settings.names)
    app.add_middleware(MetricsMiddleware, metrics=app.state.metrics)


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
