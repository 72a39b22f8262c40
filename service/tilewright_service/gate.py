"""Who may come in. With a token, all but front page and health checks needs it; attempts show their own instead."""

import hmac
import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from tilewright.errors import Misdirected, Unauthorized
from tilewright_service.problems import problem_response

OPEN_PATHS = ("/", "/healthz", "/readyz")
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
NO_TOKEN = "this service needs a token: set TILEWRIGHT_TOKEN"
WRONG_TOKEN = "the token in TILEWRIGHT_TOKEN (or connect(token=...)) is not the one of this service"
ATTEMPT_PATH = re.compile(r"/v1/jobs/\d+/attempts/")


class Gate:
    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reason = self._refuses(scope) if scope["type"] == "http" else None
        if reason is not None:
            await problem_response(Unauthorized(reason))(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refuses(self, scope: Scope) -> str | None:
        """Why, to whoever asks; None lets in."""
        if scope["path"] in OPEN_PATHS or ATTEMPT_PATH.match(scope["path"]):
            return None
        given = Headers(scope=scope).get("authorization")
        if given is None:
            return NO_TOKEN
        return None if hmac.compare_digest(given.encode("latin-1"), self._expected) else WRONG_TOKEN


class NameGate:
    """Keeps a web page elsewhere from speaking to a service on loopback in the name of its reader.

    A browser says what host it believes it speaks to, and what page asks. Both have to be known here.
    """

    def __init__(self, app: ASGIApp, names: tuple[str, ...]) -> None:
        self._app = app
        self._names = (*LOOPBACK_NAMES, *names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_for_us(Headers(scope=scope)):
            error = Misdirected("this service listens on loopback only: ask for 127.0.0.1 or localhost")
            await problem_response(error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_for_us(self, headers: Headers) -> bool:
        asked = f"//{headers.get('host', LOOPBACK_NAMES[0])}"
        return all(_name(address) in self._names for address in (asked, headers.get("origin", asked)))


def _name(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
