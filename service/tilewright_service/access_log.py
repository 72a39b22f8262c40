"""One line for each request, where that is wanted; and always one for each that changes what others see."""

import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tilewright_service.callers import address_of, user_of
from tilewright_service.gate import ATTEMPT
from tilewright_service.metrics import route_of
from tilewright_service.straight_way import way_of

AUDITED = {
    ("POST", "/v1/jobs"): "job_submitted",
    ("POST", "/v1/jobs/{job_id}/cancel"): "job_cancelled",
    ("POST", "/v1/imports"): "imported",
}
"""The route, and what is said when it was answered with 2xx."""

log = structlog.get_logger()


class AccessLog:
    """Never logs what a request carries: no header but the user's name, no query, no body."""

    def __init__(self, app: ASGIApp, is_on: bool) -> None:
        self._app = app
        self._is_on = is_on

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        started = time.perf_counter()
        try:
            await self._app(scope, receive, answer)
        finally:
            self._tell(scope, answer, time.perf_counter() - started)

    def _tell(self, scope: Scope, answer: "_Answer", seconds: float) -> None:
        audit = AUDITED.get((scope["method"], route_of(scope)))
        if audit and 200 <= answer.status < 300:
            log.info(audit, **_who(scope), path=scope["path"], location=answer.location, status=answer.status)
        if self._is_on:
            way = way_of(scope)
            log.info(
                "request",
                **_who(scope),
                method=scope["method"][:16],
                path=scope["path"][:200],
                status=answer.status,
                ms=round(seconds * 1e3, 1),
                bytes=answer.bytes + (way.bytes if way else 0),
            )


class _Answer:
    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        """0: there was none."""
        self.location: str | None = None
        self.bytes = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.location = next((value.decode() for name, value in message["headers"] if name == b"location"), None)
        else:
            self.bytes += len(message.get("body", b""))
        await self._send(message)


def _who(scope: Scope) -> dict[str, object]:
    attempt = scope.get("state", {}).get(ATTEMPT)
    caller = {"attempt": f"{attempt.job_id}/{attempt.attempt}"} if attempt else {"user": user_of(scope)}
    return {**caller, "address": address_of(scope)}
