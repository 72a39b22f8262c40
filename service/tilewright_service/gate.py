"""Who may come in. With a token, everything but the health checks needs it; attempts show their own instead."""

import hmac
import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from tilewright.errors import Unauthorized
from tilewright_service.problems import problem_response

OPEN_PATHS = ("/healthz", "/readyz")
ATTEMPT_PATH = re.compile(r"/v1/jobs/\d+/attempts/")


class Gate:
    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._lets_in(scope):
            error = Unauthorized("this service needs its token: set TILEWRIGHT_TOKEN")
            await problem_response(error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _lets_in(self, scope: Scope) -> bool:
        if scope["path"] in OPEN_PATHS or ATTEMPT_PATH.match(scope["path"]):
            return True
        given = Headers(scope=scope).get("authorization", "").encode("latin-1")
        return hmac.compare_digest(given, self._expected)
