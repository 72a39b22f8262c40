"""Every request has an id, from the caller or made here: in its answer, in problem documents, and in every log line."""

import re
import secrets
from contextvars import ContextVar

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, clear_contextvars

HEADER = "X-Request-ID"
VALID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
"""What a caller may send; anything else could break a log, and is not repeated."""

_current: ContextVar[str | None] = ContextVar("request_id", default=None)


def current_request_id() -> str | None:
    return _current.get()


class RequestIds:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope).get(HEADER))
        _current.set(request_id)
        clear_contextvars()  # a connection hands the ones of its last request on
        bind_contextvars(request_id=request_id)

        async def name(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        await self._app(scope, receive, name)


def _request_id(given: str | None) -> str:
    return given if given is not None and VALID.fullmatch(given) else secrets.token_hex(8)
