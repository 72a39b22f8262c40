"""The service process: from its settings to its end."""

import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from threading import Timer

import uvicorn
from alembic.util import CommandError
from fastapi import FastAPI
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from tilewright.cli.interrupts import EXIT_CODES, end, finish_line
from tilewright.errors import CannotStart
from tilewright_service.app import create_app
from tilewright_service.data_dir import hold_data_dir
from tilewright_service.dispatch.reconciler import Reconciler
from tilewright_service.logs import configure_logs
from tilewright_service.settings import Settings
from tilewright_service.store.database import Database
from tilewright_service.store.schema import upgrade

GRACE_SECONDS = 2
"""For requests that are under way when the end is asked for."""

END_SECONDS = 3
"""For all that is put in order then; what a kill -9 may interrupt, may be cut short by this, too."""

NO_WORKER = (
    "tilewright serve: nothing can be tuned on this machine, so jobs wait: "
    "pip install 'tilewright[worker]', or name a scheduler with --engine"
)


Announce = Callable[[str], None]


def say_address(url: str) -> None:
    print(f"Tilewright serves {url} (process {os.getpid()})", flush=True)


def serve(settings: Settings, announce: Announce = say_address) -> int:
    """Serve until a signal, and give its exit code; 1 when it could not start. `announce` is told once it is open."""
    configure_logs()
    try:
        _refuse_open_door(settings)
        _require_writable_logs(settings)
        with hold_data_dir(settings.data_path) as server_id, _open_listener(settings) as listener:
            return _run(settings, server_id, listener, announce)
    except CannotStart as refusal:
        print(f"tilewright serve: {refusal}", file=sys.stderr)
        return 1


def _refuse_open_door(settings: Settings) -> None:
    if not settings.binds_to_loopback and settings.token is None:
        raise CannotStart(f"{settings.host} can be reached from other machines: set TILEWRIGHT_TOKEN first")


@contextmanager
def _open_listener(settings: Settings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # asyncio turns Nagle's delay off only where it sees that the protocol is TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    with closing(listener):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
        except OSError as error:
            address = f"{settings.host}:{settings.port}"
            raise CannotStart(
                f"cannot listen on {address} ({error.strerror}); choose another --port, or 0 for a free one"
            ) from error
        yield listener


def _run(settings: Settings, server_id: str, listener: socket.socket, announce: Announce) -> int:
    # Dask takes half a second and many megabytes to import; a refusal should not wait for it.
    from tilewright_service.dispatch.cluster import can_tune, start_engine

    if settings.engine is None and not can_tune():
        print(NO_WORKER, file=sys.stderr)
    url = _url(settings, listener)
    with closing(_open(settings)) as database, closing(start_engine(settings)) as engine:
        reconciler = Reconciler(database, engine, settings, server_id, lambda: settings.public_url or url)
        engine.on_change = reconciler.wake
        app = create_app(settings, database, engine, reconciler)
        return _Server(app, url, settings.data_path / "url", announce).run_to_end(listener)


def _open(settings: Settings) -> Database:
    where = make_url(settings.database_url).render_as_string(hide_password=True)
    try:
        database = Database(settings.database_url)
        upgrade(database)
    except ModuleNotFoundError as error:
        raise CannotStart(f"{where} needs {error.name}: pip install 'tilewright[postgresql]'") from error
    except CommandError as error:
        raise CannotStart(
            f"{where} is of another version of Tilewright; choose another --data-dir ({error})"
        ) from error
    except SQLAlchemyError as error:
        raise CannotStart(f"the database {where} cannot be opened: {getattr(error, 'orig', error)}") from error
    return database


def _require_writable_logs(settings: Settings) -> None:
    """Where attempts run on this machine, better now than in every job."""
    if settings.engine is not None:
        return
    try:
        settings.logs_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.logs_dir):
            pass
    except OSError as error:
        raise CannotStart(
            f"the logs directory {settings.logs_dir} cannot be written ({error.strerror}); choose another --logs-dir"
        ) from error


def _url(settings: Settings, listener: socket.socket) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{listener.getsockname()[1]}"


class _Server(uvicorn.Server):
    """Says when it is ready, and returns after a signal instead of dying of it: there is something to clean up."""

    def __init__(self, app: FastAPI, url: str, url_path: Path, announce: Announce) -> None:
        super().__init__(
            uvicorn.Config(
                app, log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE_SECONDS, lifespan="on"
            )
        )
        self._app = app
        self._url = url
        self._url_path = url_path
        self._announce = announce
        self._exit_code = 1

    def run_to_end(self, listener: socket.socket) -> int:
        """The exit code that belongs to the signal."""
        self.run(sockets=[listener])
        return self._exit_code

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._url_path.write_text(self._url)
        if not self.should_exit:
            self._announce(self._url)

    def capture_signals(self) -> nullcontext[None]:  # type: ignore[override]
        for number in EXIT_CODES:
            signal.signal(number, self._stop)
        return nullcontext()

    def _stop(self, number: int, _: object) -> None:
        if self.should_exit:  # somebody is in a hurry
            end(number)
        finish_line(number)
        self._exit_code = EXIT_CODES[signal.Signals(number)]
        _start_timer(END_SECONDS, partial(end, number))
        self._app.state.stopping.set()
        self.should_exit = True


def _start_timer(seconds: float, function: Callable[[], None]) -> None:
    timer = Timer(seconds, function)
    timer.daemon = True
    timer.start()
