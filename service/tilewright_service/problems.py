"""Every error leaves the service as an RFC 9457 problem document."""

from collections.abc import Mapping
from http import HTTPStatus
from math import ceil
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tilewright.complaints import complaints
from tilewright.errors import (
    PROBLEM_MEDIA_TYPE,
    PROBLEM_PREFIX,
    InvalidRequest,
    TilewrightError,
    Unauthorized,
    Unavailable,
)
from tilewright.expectations import Expectation
from tilewright_service.request_ids import current_request_id
from tilewright_service.store.failures import failure_of

SENTENCES = {
    "Not Found": "there is nothing at {path}; /docs lists what there is",
    "Method Not Allowed": "{path} does not take {method}; the header Allow names what it takes",
}
"""For what the framework says."""

log = structlog.get_logger()


def install_problem_handlers(app: FastAPI) -> None:
    app.add_exception_handler(TilewrightError, _domain)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(SQLAlchemyError, _storage)
    app.add_exception_handler(Exception, _unexpected)


class Failures:
    """Answers what nobody has caught, so that also such an answer is counted and has an id."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_started = False

        async def note(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            await self._app(scope, receive, note)
        except Exception as error:
            if has_started or scope["type"] != "http":
                raise
            answer = _storage if isinstance(error, SQLAlchemyError) else _unexpected
            await answer(Request(scope), error)(scope, receive, send)


def problem_response(
    error: TilewrightError, headers: Mapping[str, str] | None = None, extras: Mapping[str, Any] | None = None
) -> Response:
    """`extras` are members that only this problem has."""
    return _response({**error.problem(), **(extras or {})}, {**_headers(error), **(headers or {})})


def media_type_problem() -> Response:
    return _http_problem(415, "the body has to be application/json")


def _response(document: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
    request_id = current_request_id()
    said = {**document, "request_id": request_id} if request_id else document
    return JSONResponse(said, document["status"], headers, media_type=PROBLEM_MEDIA_TYPE)


def _headers(error: TilewrightError) -> dict[str, str]:
    match error:
        case Unauthorized():
            return {"WWW-Authenticate": "Bearer"}
        case Unavailable():
            return {"Retry-After": str(ceil(error.retry_after_seconds or 1))}
    return {}


def _http_problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    phrase = HTTPStatus(status).phrase
    document = {
        "type": PROBLEM_PREFIX + phrase.lower().replace(" ", "-"),
        "title": phrase,
        "status": status,
        "detail": detail,
    }
    return _response(document, headers or {})


def _domain(_: Request, error: Exception) -> Response:
    assert isinstance(error, TilewrightError)
    return problem_response(error)


def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [{**each, "loc": ("body",)} if each["type"] == "json_invalid" else each for each in error.errors()]
    return problem_response(InvalidRequest.of(complaints(errors, _expected(request), "the body", places=True)))


def _expected(request: Request) -> Expectation:
    """Of the parts of a request, each under the name that the framework gives to it."""
    document = request.app.openapi()
    operation = document["paths"][request.scope["route"].path_format][request.method.lower()]
    parts: dict[str, Any] = {}
    for each in operation.get("parameters", ()):
        part = parts.setdefault(each["in"], {"properties": {}})
        part["properties"][each["name"]] = each["schema"]
    if "requestBody" in operation:
        parts["body"] = operation["requestBody"]["content"]["application/json"]["schema"]
    return Expectation(document, {"properties": parts})


def _http(request: Request, error: Exception) -> Response:
    """What the framework itself refuses: unknown paths, wrong methods, wrong media types."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 405 and (methods := _allowed_methods(request)):
        headers["Allow"] = methods
    return _http_problem(error.status_code, _sentence(error.detail, request), headers)


def _sentence(detail: str, request: Request) -> str:
    known = SENTENCES.get(detail)
    return known.format(method=request.method, path=request.url.path) if known else detail


def _allowed_methods(request: Request) -> str:
    """Of all documented routes with this path; the framework names only those of the first."""
    paths, path = request.app.openapi()["paths"], request.url.path
    templates = [path] if path in paths else [each for each in paths if compile_path(each)[0].match(path)]
    return ", ".join(sorted({method.upper() for template in templates for method in paths[template]}))


def _storage(request: Request, error: Exception) -> Response:
    failure = failure_of(error)
    if failure is None:
        return _unexpected(request, error)
    log.warning("database_failed", path=request.url.path, error=str(error), answer=failure.detail)
    return problem_response(failure)


def _unexpected(request: Request, error: Exception) -> Response:
    log.error("request_failed", path=request.url.path, error=repr(error), exc_info=error)
    return problem_response(TilewrightError("this is a bug of the service; its log says more"))
