"""The HTTP server, and how it ends."""

import signal
import socket
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from threading import Timer

import uvicorn
from fastapi import FastAPI

from tilewright.cli.interrupts import EXIT_CODES, end, finish_line, on_signal

GRACE_SECONDS = 2
"""For requests that are under way when the end is asked for."""

END_SECONDS = 3
"""For all that is put in order then. This may cut it short: a kill -9 may come at any moment, too."""


class Server(uvicorn.Server):
    """Says when it is ready, and returns after a signal instead of dying of it: there is something to clean up."""

    def __init__(self, app: FastAPI, announce: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app, log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE_SECONDS, lifespan="on"
            )
        )
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


def _start_timer(seconds: float, function: Callable[[], None]) -> None:
    timer = Timer(seconds, function)
    timer.daemon = True
    timer.start()
