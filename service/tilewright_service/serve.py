"""The service process: from its settings to its end."""

import os
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from functools import partial

from sqlalchemy import make_url

from tilewright.errors import CannotStart
from tilewright_service.addresses import open_listener, urls
from tilewright_service.app import create_app
from tilewright_service.data_dir import hold_data_dir
from tilewright_service.dispatch.housekeeping import Housekeeping
from tilewright_service.dispatch.reconciler import Reconciler
from tilewright_service.dispatch.way_home import require_way_home
from tilewright_service.logs import configure_logs
from tilewright_service.metrics import Metrics
from tilewright_service.server import Server
from tilewright_service.settings import Settings
from tilewright_service.store.opening import open_database

NO_WORKER = (
    "tilewright serve: nothing can be tuned on this machine, so jobs wait: "
    "pip install 'tilewright[worker]', or name a scheduler with --engine"
)


LEAST_TOKEN = 16

Announce = Callable[[str, str | None], None]
"""Takes the address for this machine, and that for others where it is another."""


def say_address(settings: Settings, url: str, public_url: str | None = None) -> None:
    """To whoever has just started it: where everything is, and how to end it."""
    data = make_url(settings.database).render_as_string(hide_password=True) if settings.database else settings.data_path
    logs = settings.logs_dir.absolute() if settings.engine is None else "on the machines of the workers"
    print(
        f"Tilewright serves {url} (process {os.getpid()}); Ctrl-C ends it\n"
        + (f"  also  {public_url} from other machines\n" if public_url else "")
        + f"  page  {url} in a browser: its state, what to type, its HTTP API\n"
        f"  data  {data}\n"
        f"  logs  {logs}",
        flush=True,
    )


def serve(settings: Settings, announce: Announce) -> int:
    """Serve until a signal, and give its exit code; 1 when it could not start. `announce` is told once it is open."""
    configure_logs()
    try:
        _refuse_open_door(settings)
        require_way_home(settings)
        _require_writable_logs(settings)
        with hold_data_dir(settings.data_path) as server_id, open_listener(settings) as listener:
            return _run(settings, server_id, listener, announce)
    except CannotStart as refusal:
        print(f"tilewright serve: {refusal}", file=sys.stderr)
        return 1


def _refuse_open_door(settings: Settings) -> None:
    if settings.binds_to_loopback:
        return
    if settings.token is None:
        raise CannotStart(f"{settings.host} can be reached from other machines: set TILEWRIGHT_TOKEN first")
    if len(settings.token.get_secret_value()) < LEAST_TOKEN:
        raise CannotStart(
            f"{settings.host} can be reached from other machines, and TILEWRIGHT_TOKEN could be guessed: "
            f"take {LEAST_TOKEN} characters or more, such as those of `openssl rand -hex 32`"
        )


def _run(settings: Settings, server_id: str, listener: socket.socket, announce: Announce) -> int:
    # Dask takes half a second and many megabytes to import; a refusal should not wait for it.
    from tilewright_service.dispatch.cluster import can_tune, start_engine

    if settings.engine is None and not can_tune():
        print(NO_WORKER, file=sys.stderr)
    url, public_url = urls(settings, listener)
    attempts_url = (public_url if settings.engine else settings.public_url) or url
    with closing(open_database(settings.database_url)) as database, closing(start_engine(settings)) as engine:
        metrics = Metrics()
        reconciler = Reconciler(database, engine, settings, server_id, lambda: attempts_url, metrics=metrics)
        engine.on_change = reconciler.wake
        app = create_app(settings, database, engine, reconciler, metrics)
        with Housekeeping(database, settings, lambda: reconciler.leads):
            return Server(app, partial(_tell, settings, url, public_url, announce)).run_to_end(listener)


def _tell(settings: Settings, url: str, public_url: str | None, announce: Announce) -> None:
    (settings.data_path / "url").write_text(url)
    announce(url, public_url)


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
