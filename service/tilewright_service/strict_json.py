"""JSON as the standard has it: no NaN, no lone surrogates, no bottomless nesting; and nothing else than JSON."""

import json
import re
from collections.abc import Callable, Coroutine
from functools import lru_cache
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic_core import from_json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tilewright.errors import InvalidRequest, TooLarge
from tilewright_service.callers import is_attempt

NO_NUL = "text may not hold the character NUL"

MOST_VALUES = 60_000
"""Of what a person sends: a thousand workloads have 20,000. What is wrong with a document is told field by field, so a
hostile one would keep the service from everything else.
"""

MOST_VALUES_OF_ATTEMPT = 600_000
"""Records hold traces."""

MOST_FIELDS = 64
"""Of one object: none has so many."""

MOST_NAME = 256
MOST_UNKNOWN = 200
"""Fields that there are nowhere. A few are told one by one, with what was meant."""

VALUE_MARKS = (b",", b"[", b"{")


class StrictRequest(Request):
    async def json(self) -> Any:
        body = await self.body()
        if b"\\u0000" in body:
            raise json.JSONDecodeError(NO_NUL, "", 0)
        try:
            document = from_json(body, allow_inf_nan=False)
        except ValueError as error:
            raise json.JSONDecodeError(_reason(str(error)), "", 0) from error
        excess = _excess(document, None if is_attempt(self.scope) else known_names(self.app))
        if excess is not None:
            raise json.JSONDecodeError(excess, "", 0)
        return document


class StrictRoute(APIRoute):
    """A route whose body has to be strict JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        has_body = self.body_field is not None

        async def handle_strictly(request: Request) -> Response:
            if b"%00" in request.scope["query_string"] or "\0" in request.scope["path"]:
                raise InvalidRequest(NO_NUL)
            if has_body and not is_json(request.headers.get("content-type", "")):
                raise HTTPException(415, "the body has to be application/json")
            strict = StrictRequest(request.scope, request.receive)
            if has_body:
                _check_extent(await strict.body(), MOST_VALUES_OF_ATTEMPT if is_attempt(request.scope) else MOST_VALUES)
            return await handle(strict)

        return handle_strictly


def _check_extent(body: bytes, most: int) -> None:
    """Counts what may be values, also within texts: before any is made."""
    if sum(map(body.count, VALUE_MARKS)) > most:
        raise TooLarge(f"a request may hold at most {most} values")


def _excess(document: Any, names: frozenset[str] | None) -> str | None:
    """What no document of ours has, be it right or wrong. Without `names` any name may be one."""
    left, unknown = [document], 0
    while left:
        value = left.pop()
        if isinstance(value, list):
            left.extend(value)
        elif isinstance(value, dict):
            if len(value) > MOST_FIELDS:
                return f"an object has {len(value)} fields; none may have more than {MOST_FIELDS}"
            if any(len(name) > MOST_NAME for name in value):
                return f"the name of a field has more than {MOST_NAME} characters"
            unknown += 0 if names is None else sum(name not in names for name in value)
            if unknown > MOST_UNKNOWN:
                return f"there are no such fields as more than {MOST_UNKNOWN} of these"
            left.extend(value.values())
    return None


@lru_cache(maxsize=8)
def known_names(app: FastAPI) -> frozenset[str]:
    """Of all fields that the contract has anywhere."""
    schemas = app.openapi()["components"]["schemas"].values()
    return frozenset(name for schema in schemas for name in schema.get("properties", ()))


def _reason(message: str) -> str:
    reason = re.sub(r" at line (\d+) column (\d+)$", r" (line \1, column \2)", message)
    return reason.replace("EOF while parsing", "it ends within")


def is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "application/json"
