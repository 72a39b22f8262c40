"""Bodies are read up to a limit, in limited time; of a larger one the sender still gets to read why it was refused."""

import asyncio
from collections.abc import AsyncIterator

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tilewright.errors import RequestTimeout, TilewrightError, TooLarge, Unavailable
from tilewright_service.problems import problem_response

MAX_BODY_BYTES = 8 * 2**20
DRAINED_BYTES = 64 * 2**20
"""So much more is read and thrown away: to close at once would reset the connection before the answer arrives."""

FIRST_SECONDS = 10.0
BYTES_PER_SECOND = 32 * 2**10
"""The least pace: a body of so many bytes may take this many seconds, and FIRST_SECONDS more."""

MOST_HELD_BYTES = 128 * 2**20
"""Of all bodies that are being read."""

CLOSE = {"Connection": "close"}


class BodyLimit:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        body = _Body(receive)
        try:
            self._check_room(scope)
            await self._read(body)
        except TilewrightError as error:
            headers = {} if isinstance(error, TooLarge) else CLOSE
            await problem_response(error, headers)(scope, receive, send)
            return
        await self._app(scope, body.replay, send)

    def _check_room(self, scope: Scope) -> None:
        declared = Headers(scope=scope).get("content-length", "")
        size = int(declared) if declared.isdecimal() else MAX_BODY_BYTES
        if self._held and self._held + min(size, MAX_BODY_BYTES) > MOST_HELD_BYTES:
            raise Unavailable("too many large requests arrive at the moment").after(2)

    async def _read(self, body: "_Body") -> None:
        """Raises TooLarge, or RequestTimeout."""
        held = 0
        try:
            async for size in body.read():
                self._held += size - held
                held = size
        finally:
            self._held -= held
        if body.size > MAX_BODY_BYTES:
            raise TooLarge(f"a request may have at most {MAX_BODY_BYTES // 2**20} MiB")


class _Body:
    """What was read; `replay` gives it, then what comes."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._messages: list[Message] = []
        self.size = 0

    async def read(self) -> AsyncIterator[int]:
        """Yields how many bytes are held."""
        started = asyncio.get_running_loop().time()
        while self.size <= DRAINED_BYTES:
            message = await self._next(started + FIRST_SECONDS + self.size / BYTES_PER_SECOND)
            self.size += len(message.get("body", b""))
            if self.size > MAX_BODY_BYTES:
                self._messages.clear()
            else:
                self._messages.append(message)
            yield min(self.size, MAX_BODY_BYTES) if self._messages else 0
            if not message.get("more_body", False):
                break
        self._messages.reverse()

    async def _next(self, deadline: float) -> Message:
        try:
            async with asyncio.timeout_at(deadline):
                return await self._receive()
        except TimeoutError:
            raise RequestTimeout(f"after {self.size} bytes the rest of the request did not come in time") from None

    async def replay(self) -> Message:
        return self._messages.pop() if self._messages else await self._receive()
