"""Bodies are read up to a limit; of a larger one the sender still gets to read why it was refused."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tilewright.errors import TooLarge
from tilewright_service.problems import problem_response

MAX_BODY_BYTES = 8 * 2**20
DRAINED_BYTES = 64 * 2**20
"""So much more is read and thrown away: to close at once would reset the connection before the answer arrives."""


class BodyLimit:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        messages = await _read(receive)
        if messages is None:
            error = TooLarge(f"a request may have at most {MAX_BODY_BYTES // 2**20} MiB")
            await problem_response(error)(scope, receive, send)
            return
        await self._app(scope, _Replay(messages, receive), send)


class _Replay:
    """Gives what was read, then what comes."""

    def __init__(self, messages: list[Message], receive: Receive) -> None:
        self._messages = messages[::-1]
        self._receive = receive

    async def __call__(self) -> Message:
        return self._messages.pop() if self._messages else await self._receive()


async def _read(receive: Receive) -> list[Message] | None:
    """The whole body; None if it is too large."""
    messages: list[Message] = []
    size = 0
    while size <= DRAINED_BYTES:
        message = await receive()
        size += len(message.get("body", b""))
        if size > MAX_BODY_BYTES:
            messages.clear()
        else:
            messages.append(message)
        if not message.get("more_body", False):
            break
    return messages if size <= MAX_BODY_BYTES else None
