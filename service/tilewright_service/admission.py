"""How many requests are under way at a time: a bounded number in all, and of one address.

Whoever is over it is told so at once, and costs no more than that. Attempts have a share of their own, so that people
cannot keep them from their leases. Health checks and streams of events, which have limits of their own, pass.
"""

import re
from collections import Counter

from starlette.types import ASGIApp, Receive, Scope, Send

from tilewright.errors import TooManyRequests, Unavailable
from tilewright_service.callers import CallerKind, address_of, caller_of
from tilewright_service.metrics import Metrics
from tilewright_service.problems import problem_response

MOST_UNDER_WAY = {CallerKind.PERSON: 256, CallerKind.ATTEMPT: 512}
"""The database answers hundreds a second: so many are answered within a second or two."""

FREE_PATHS = ("/healthz", "/readyz", "/version")
STREAM_PATH = re.compile(r"/v1/jobs/\d+/events")


class Admission:
    def __init__(self, app: ASGIApp, per_address: int, metrics: Metrics) -> None:
        self._app = app
        self._per_address = per_address
        self._metrics = metrics
        self._of_kind: Counter[CallerKind] = Counter()
        self._of_address: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in FREE_PATHS or STREAM_PATH.fullmatch(scope["path"]):
            await self._app(scope, receive, send)
            return
        kind = caller_of(scope).kind
        address = address_of(scope) if kind == CallerKind.PERSON else ""
        refusal = self._refusal(kind, address)
        if refusal is not None:
            self._metrics.refused.labels(refusal.code).inc()
            await problem_response(refusal)(scope, receive, send)
            return
        self._of_kind[kind] += 1
        self._of_address[address] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._of_kind[kind] -= 1
            self._of_address[address] -= 1
            if not self._of_address[address]:
                del self._of_address[address]

    def _refusal(self, kind: CallerKind, address: str) -> Unavailable | None:
        if address and self._of_address[address] >= self._per_address:
            limit = f"{self._per_address} requests of {address} are under way; send one when another is answered"
            return TooManyRequests(limit).after(1)
        if self._of_kind[kind] >= MOST_UNDER_WAY[kind]:
            return Unavailable(f"{MOST_UNDER_WAY[kind]} requests are under way").after(2)
        return None
