"""Who may come in, judged by the head of a request: nothing of its body is read before.

With a token all but front page and health checks needs it. Attempts show their own instead, with or without.
"""

import asyncio
import hmac
import time
from collections import OrderedDict
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from tilewright.contract.workers import AttemptKey
from tilewright.errors import Misdirected, TilewrightError, Unauthorized
from tilewright_service.callers import ATTEMPT_PATH
from tilewright_service.metrics import Metrics
from tilewright_service.problems import media_type_problem, problem_response
from tilewright_service.store.authority import require_token, stored_digest
from tilewright_service.store.database import Database

KNOWN_SECONDS = 60.0
"""The token of an attempt never changes; but attempts of long ago are deleted."""

MOST_KNOWN = 4096

OPEN_PATHS = ("/", "/healthz", "/readyz")
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
NO_TOKEN = "this service needs a token: set TILEWRIGHT_TOKEN"
WRONG_TOKEN = "the token in TILEWRIGHT_TOKEN (or connect(token=...)) is not the one of this service"
ATTEMPT = "attempt"
"""Of the state of a request: the attempt that calls, as an `AttemptKey`."""


REFUSED_AT_ONCE = 16
REFUSAL_SECONDS = 0.1
"""Who is refused waits a little: else a stranger who asks again at once has a turn for each of an attempt's."""


class Refusals:
    """So many a second at most, however many strangers ask; nobody else waits for them."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(REFUSED_AT_ONCE)

    async def answer(self, error: TilewrightError, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._turns:
            await asyncio.sleep(REFUSAL_SECONDS)
        await problem_response(error)(scope, receive, send)


class Gate:
    def __init__(self, app: ASGIApp, token: str, metrics: Metrics) -> None:
        self._app = app
        self._refusals = Refusals()
        self._expected = f"Bearer {token}".encode()
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reason = self._refuses(scope) if scope["type"] == "http" else None
        if reason is not None:
            self._metrics.refused.labels("token").inc()
            await self._refusals.answer(Unauthorized(reason), scope, receive, send)
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


class AttemptGate:
    """Looks up the token of the attempt that calls: one row, read and not locked, and known for a while."""

    def __init__(self, app: ASGIApp, database: Database, metrics: Metrics) -> None:
        self._app = app
        self._refusals = Refusals()
        self._database = database
        self._metrics = metrics
        self._digests: OrderedDict[AttemptKey, tuple[str, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = ATTEMPT_PATH.match(scope["path"]) if scope["type"] == "http" else None
        if path is not None:
            try:
                scope.setdefault("state", {})[ATTEMPT] = await self._authenticate(scope, int(path[1]), int(path[2]))
            except TilewrightError as error:
                self._metrics.refused.labels("attempt").inc()
                await self._refusals.answer(error, scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _authenticate(self, scope: Scope, job_id: int, number: int) -> AttemptKey:
        scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthorized("an attempt has to show its token")
        if not 1 <= job_id < 2**63 or not 1 <= number < 2**31:
            raise Unauthorized("there is no such attempt")
        key = AttemptKey(job_id=job_id, attempt=number)
        require_token(key, self._known(key) or await self._look_up(key), token)
        return key

    def _known(self, key: AttemptKey) -> str | None:
        digest, read_at = self._digests.get(key, (None, 0.0))
        return digest if time.monotonic() - read_at < KNOWN_SECONDS else None

    async def _look_up(self, key: AttemptKey) -> str | None:
        digest = await self._database.look_up(lambda session: stored_digest(session, key))
        if digest is not None:
            self._digests[key] = digest, time.monotonic()
            self._digests.move_to_end(key)
            if len(self._digests) > MOST_KNOWN:
                self._digests.popitem(last=False)
        return digest


class NameGate:
    """Keeps a web page elsewhere from speaking to a service on loopback in the name of its reader.

    A browser says what host it believes it speaks to, and what page asks: that has to be a page of our own. What a form
    can send is no request: to send JSON, a page elsewhere has to ask for permission first, and gets none.
    """

    def __init__(self, app: ASGIApp, names: tuple[str, ...], metrics: Metrics) -> None:
        self._app = app
        self._names = (*LOOPBACK_NAMES, *names)
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" else None
        if headers is not None and not self._is_for_us(headers):
            self._metrics.refused.labels("name").inc()
            error = Misdirected(
                "this service is for this machine alone: ask for 127.0.0.1 or localhost, and from no page elsewhere"
            )
            await problem_response(error)(scope, receive, send)
        elif headers is not None and _is_form(scope["method"], headers):
            self._metrics.refused.labels("form").inc()
            await media_type_problem()(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_for_us(self, headers: Headers) -> bool:
        asked = _address(f"//{headers.get('host', LOOPBACK_NAMES[0])}")
        if asked is None or asked[0] not in self._names:
            return False
        origin = headers.get("origin")
        page = asked if origin is None else _address(origin)
        return page is not None and page[0] in self._names and page[1] == asked[1]


def _is_form(method: str, headers: Headers) -> bool:
    """Or anything else that is not JSON. Without a body there is nothing to name."""
    if method in ("GET", "HEAD", "OPTIONS"):
        return False
    if headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
        return False
    is_empty = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
    return "content-type" in headers or not is_empty


def _address(url: str) -> tuple[str | None, int] | None:
    """Name and port."""
    try:
        parts = urlsplit(url)
        return parts.hostname, parts.port or 80
    except ValueError:
        return None
