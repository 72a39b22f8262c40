"""JSON as the standard has it: no NaN, no lone surrogates, no bottomless nesting; and nothing else than JSON."""

import json
import re
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from pydantic_core import from_json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tilewright.errors import InvalidRequest

NO_NUL = "text may not hold the character NUL"


class StrictRequest(Request):
    async def json(self) -> Any:
        body = await self.body()
        if b"\\u0000" in body:
            raise json.JSONDecodeError(NO_NUL, "", 0)
        try:
            return from_json(body, allow_inf_nan=False)
        except ValueError as error:
            raise json.JSONDecodeError(_reason(str(error)), "", 0) from error


class StrictRoute(APIRoute):
    """A route whose body has to be strict JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        has_body = self.body_field is not None

        async def handle_strictly(request: Request) -> Response:
            if b"%00" in request.scope["query_string"] or "\0" in request.scope["path"]:
                raise InvalidRequest(NO_NUL)
            if has_body and not _is_json(request.headers.get("content-type", "")):
                raise HTTPException(415, "the body has to be application/json")
            return await handle(StrictRequest(request.scope, request.receive))

        return handle_strictly


def _reason(message: str) -> str:
    reason = re.sub(r" at line (\d+) column (\d+)$", r" (line \1, column \2)", message)
    return reason.replace("EOF while parsing", "it ends within")


def _is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "application/json"
