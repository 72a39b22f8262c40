"""One HTTP connection, and how long it may keep silent."""

import asyncio
import json
from functools import partial
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from tilewright.errors import PROBLEM_MEDIA_TYPE, RequestTimeout, TilewrightError, Unavailable
from tilewright_service.connections import Connections
from tilewright_service.metrics import Metrics
from tilewright_service.straight_way import open_way

HEAD_SECONDS = 10.0
"""For the head of a request, and for the next one to begin."""

UNREAD_SECONDS = 30.0
"""For an answer that nobody reads."""

UNWANTED_SECONDS = 5.0
UNWANTED_BYTES = 16 * 2**20
"""Of a body that came with a request that was answered already. To close at once would reset the connection, before the
answer is read.
"""


class HttpProtocol(H11Protocol):
    """Beyond uvicorn's: it is counted, and whoever leaves it waiting is told so, where that is possible, and left."""

    def __init__(self, *args: Any, connections: Connections, metrics: Metrics, **options: Any) -> None:
        super().__init__(*args, **options)
        self.address = ""
        self._open_connections = connections
        self._metrics = metrics
        self._is_counted = False
        self._has_begun = False
        """A head has begun to arrive."""
        self._unwanted_bytes = 0
        self._patience: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    @property
    def is_fresh(self) -> bool:
        return self.cycle is None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self._is_counted = self._open_connections.enter(self)
        if not self._is_counted:
            self._refuse(Unavailable("too many connections are open").after(2))
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        for timer in (self._patience, self._unread):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._is_answered:
            self._take_unwanted(len(data))
        elif not self._has_begun and not self._is_busy:
            self._has_begun = True
            self._wait(HEAD_SECONDS, "slow head")
        super().data_received(data)
        self._follow_state()

    def handle_events(self) -> None:
        super().handle_events()
        if self._is_busy:
            open_way(self.scope, self.cycle)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._unread = self._unread or self.loop.call_later(UNREAD_SECONDS, self.transport.abort)
            return
        self._has_begun = False
        if self._is_answered:
            self._unwanted_bytes = 0
            self._wait(UNWANTED_SECONDS, "unwanted body")
            self._open_connections.note_idle(self)
        elif not self._is_busy:
            self._await_head()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self._unread or self.loop.call_later(UNREAD_SECONDS, self._abort, "unread answer")

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None and not self.transport.is_closing():
            self._unread.cancel()
            self._unread = None

    def end(self, reason: str) -> None:
        """Without an answer, unless a head has begun to arrive in vain."""
        self._metrics.connections_closed.labels(reason).inc()
        self._leave()
        if reason == "slow head":
            self._refuse(RequestTimeout(f"the head of the request did not come within {HEAD_SECONDS:g} s"))
        else:
            self._close()

    @property
    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _is_answered(self) -> bool:
        """While its body still comes."""
        return self.cycle is not None and self.cycle.response_complete and self.conn.their_state is h11.SEND_BODY

    def _follow_state(self) -> None:
        if self.transport.is_closing() or not self._is_counted:
            return
        if self._is_busy:
            self._has_begun = False
            self._stop_waiting()
            self._open_connections.note_busy(self)
        elif not self._is_answered and self._unwanted_bytes:
            self._unwanted_bytes = 0
            self._await_head()

    def _await_head(self) -> None:
        self._open_connections.note_idle(self)
        self._wait(HEAD_SECONDS, "no request")

    def _take_unwanted(self, size: int) -> None:
        self._unwanted_bytes += size
        if self._unwanted_bytes > UNWANTED_BYTES:
            self.end("unwanted body")

    def _wait(self, seconds: float, reason: str) -> None:
        self._stop_waiting()
        self._patience = self.loop.call_later(seconds, partial(self.end, reason))

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _leave(self) -> None:
        if self._is_counted:
            self._is_counted = False
            self._open_connections.leave(self)

    def _refuse(self, error: TilewrightError) -> None:
        self.transport.write(_answer(error))
        self._close()

    def _close(self) -> None:
        self._stop_waiting()
        self.transport.close()
        self._unread = self._unread or self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def _abort(self, reason: str) -> None:
        self._metrics.connections_closed.labels(reason).inc()
        self.transport.abort()


def _answer(error: TilewrightError) -> bytes:
    """For when there is no request that the application could answer."""
    body = json.dumps(error.problem()).encode()
    seconds = error.retry_after_seconds if isinstance(error, Unavailable) else None
    head = [
        f"HTTP/1.1 {error.status} {error.title}",
        f"Content-Type: {PROBLEM_MEDIA_TYPE}",
        f"Content-Length: {len(body)}",
        f"Retry-After: {seconds or 1:g}",
        "Connection: close",
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body
