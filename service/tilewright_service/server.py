"""The HTTP server, and how it ends."""

import asyncio
import signal
import socket
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from threading import Timer
from typing import cast

import uvicorn
from fastapi import FastAPI

from tilewright.cli.interrupts import EXIT_CODES, end, finish_line, on_signal
from tilewright_service.connections import Connections
from tilewright_service.http_protocol import HEAD_SECONDS, HttpProtocol

GRACE_SECONDS = 2
"""For requests that are under way when the end is asked for."""

END_SECONDS = 3
"""For all that is put in order then. This may cut it short: a kill -9 may come at any moment, too."""


WAITING_CONNECTIONS = 2048
"""For the service to accept them."""

ACCEPTED_AT_ONCE = 32
"""Before whatever else is to do gets its turn."""


class HttpServer(uvicorn.Server):
    """With the limits of this service."""

    def __init__(self, app: FastAPI, grace_seconds: int) -> None:
        super().__init__(_config(app, grace_seconds))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        for listener in sockets or ():
            listener.listen(WAITING_CONNECTIONS)


class Server(HttpServer):
    """Says when it is ready, and returns after a signal instead of dying of it: there is something to clean up."""

    def __init__(self, app: FastAPI, announce: Callable[[], None]) -> None:
        super().__init__(app, GRACE_SECONDS)
        self._app = app
        self._announce = announce
        self._exit_code = 1

    def run_to_end(self, listener: socket.socket) -> int:
        """The exit code that belongs to the signal."""
        self.run(sockets=[listener])
        return self._exit_code

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if not self.should_exit:
            self._announce()

    def capture_signals(self) -> nullcontext[None]:  # type: ignore[override]
        for number in EXIT_CODES:
            on_signal(number, self._stop)
        return nullcontext()

    def _stop(self, number: int, _: object) -> None:
        if self.should_exit:  # somebody is in a hurry
            end(number)
        finish_line(number)
        self._exit_code = EXIT_CODES[signal.Signals(number)]
        _start_timer(END_SECONDS, partial(end, number))
        self._app.state.stopping.set()
        self.should_exit = True


def _config(app: FastAPI, grace_seconds: int) -> uvicorn.Config:
    settings, metrics = app.state.settings, app.state.metrics
    connections = Connections(settings.max_connections, settings.max_connections_per_address, metrics)
    return uvicorn.Config(
        app,
        http=cast(type[asyncio.Protocol], partial(HttpProtocol, connections=connections, metrics=metrics)),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        backlog=ACCEPTED_AT_ONCE,
        timeout_keep_alive=2 * int(HEAD_SECONDS),  # the protocol is stricter by itself
        timeout_graceful_shutdown=grace_seconds,
    )


def _start_timer(seconds: float, function: Callable[[], None]) -> None:
    timer = Timer(seconds, function)
    timer.daemon = True
    timer.start()
