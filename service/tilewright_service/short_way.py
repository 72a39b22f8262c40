"""Answers what is asked most, what is served for a workload, before the framework sees it.

There a look-up costs many times what it costs here. Whatever is unusual about a request takes the long way, which
answers in the same words; so does everything where the database is not a file of this machine.
"""

import re
import sqlite3
from collections.abc import Mapping
from json import JSONDecodeError

from pydantic import TypeAdapter, ValidationError
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tilewright.contract.schedules import Lookup
from tilewright.errors import TilewrightError
from tilewright_service.documents import join
from tilewright_service.pages import DocumentResponse, document_page
from tilewright_service.routes.schedules import ScheduleQuery, detail_response, router
from tilewright_service.store.served import Served
from tilewright_service.strict_json import StrictRequest, is_json

LIST, LOOKUP, DETAIL = "/v1/schedules", "/v1/schedules/lookup", "/v1/schedules/{schedule_id}"
ONE_WORKLOAD = re.compile(rb"workload_id=([0-9a-f]{64})")
ONE_SCHEDULE = re.compile(r"/v1/schedules/([1-9]\d{0,17})", re.ASCII)
MOST_BYTES = 4096
"""Of a question: a few dozen workloads, which keep nobody waiting."""

LOOKUPS = TypeAdapter(Lookup)
ROUTES: Mapping[str, BaseRoute] = {
    f"{method} {route.path_format}": route  # type: ignore[attr-defined]
    for route in router.routes
    for method in route.methods  # type: ignore[attr-defined]
}


class ShortWay:
    def __init__(self, app: ASGIApp, served: Served) -> None:
        self._app = app
        self._served = served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = None
        if scope["type"] == "http" and scope["path"].startswith(LIST):
            try:
                if scope["method"] == "GET":
                    answer = self._get(scope)
                elif scope["method"] == "POST" and scope["path"] == LOOKUP:
                    message = await receive()
                    receive = _again(message, receive)
                    answer = await self._look_up(scope, message)
            except (sqlite3.Error, ValidationError, JSONDecodeError, TilewrightError):
                pass  # the long way has words for it
        await (self._app if answer is None else answer)(scope, receive, send)

    def _get(self, scope: Scope) -> Response | None:
        if scope["path"] == LIST:
            asked = ONE_WORKLOAD.fullmatch(scope["query_string"])
            return None if asked is None else self._list(scope, asked[1].decode())
        schedule = ONE_SCHEDULE.fullmatch(scope["path"])
        return None if schedule is None or scope["query_string"] else self._detail(scope, int(schedule[1]))

    def _list(self, scope: Scope, workload_id: str) -> Response | None:
        rows = self._served.current(workload_id, DEFAULT.limit)
        if len(rows) == DEFAULT.limit:  # and another page may follow
            return None
        scope["route"] = ROUTES[f"GET {LIST}"]
        return document_page(LIST, DEFAULT, rows)

    def _detail(self, scope: Scope, schedule_id: int) -> Response | None:
        tags = [value for name, value in scope["headers"] if name == b"if-none-match"]
        found = self._served.detail(schedule_id) if len(tags) < 2 else None
        if found is None:
            return None
        scope["route"] = ROUTES[f"GET {DETAIL}"]
        return detail_response(schedule_id, *found, tags[0].decode("latin-1") if tags else None)

    async def _look_up(self, scope: Scope, message: Message) -> Response | None:
        if message["type"] != "http.request" or message.get("more_body") or scope["query_string"]:
            return None
        request = StrictRequest(scope, _again(message))
        if len(message["body"]) > MOST_BYTES or not is_json(request.headers.get("content-type", "")):
            return None
        lookup = LOOKUPS.validate_python(await request.json())
        scope["route"] = ROUTES[f"POST {LOOKUP}"]
        return DocumentResponse(join(items=self._served.fastest(lookup)))


DEFAULT = ScheduleQuery()


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


def _again(message: Message, receive: Receive = _nothing) -> Receive:
    """Gives the message that was read, then what comes."""
    messages = [message]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay
