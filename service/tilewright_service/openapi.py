"""The OpenAPI document. `python -m tilewright_service.openapi` writes it to docs/openapi.json."""

import json
import sys
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from fastapi import FastAPI
from pydantic import TypeAdapter

from tilewright.contract.events import Event
from tilewright.errors import PROBLEM_MEDIA_TYPE
from tilewright_service.field_docs import field_docs, messages

PATH = Path("docs/openapi.json")

PROBLEM = {
    "title": "Problem",
    "description": "RFC 9457 problem details; `type` is stable.",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:tilewright:problem:not-found"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}


# What OpenAPI 3.2 has for streams; a reader of 3.1 sees a string.
EVENT_STREAM = {
    "schema": {"type": "string"},
    "itemSchema": {
        "type": "object",
        "required": ["id", "event", "data"],
        "properties": {
            "id": {"type": "string"},
            "event": {"type": "string"},
            "data": {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": {"$ref": "#/components/schemas/Event"},
            },
        },
    },
}


def describe(app: FastAPI) -> None:
    """Let the document say what the framework cannot know: problem documents, events, and what the source says."""
    generate, lock = app.openapi, Lock()  # requests come in threads, and a document half done is no document

    @cache
    def document() -> dict[str, Any]:
        return _with_field_docs(_with_events(_with_problems(generate())))

    def openapi() -> dict[str, Any]:
        with lock:
            return document()

    app.openapi = openapi  # type: ignore[method-assign]


def _with_problems(document: dict[str, Any]) -> dict[str, Any]:
    schemas = document["components"]["schemas"]
    schemas["Problem"] = PROBLEM
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = {
        "description": "A problem",
        "content": {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            operation["responses"] |= {"4XX": problem, "5XX": problem}
    return document


def _with_events(document: dict[str, Any]) -> dict[str, Any]:
    """Events leave as text, so no route has them as its answer; EVENT_STREAM refers to them."""
    events = TypeAdapter(list[Event]).json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    document["components"]["schemas"] |= events["$defs"]
    return document


def _with_field_docs(document: dict[str, Any]) -> dict[str, Any]:
    schemas = document["components"]["schemas"]
    for name, message in messages().items():
        for field, text in field_docs(message).items() if name in schemas else ():
            schemas[name]["properties"][field]["description"] = text
    return document


def render() -> str:
    from tilewright_service.app import create_app
    from tilewright_service.settings import Settings

    return json.dumps(create_app(Settings()).openapi(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PATH
    path.write_text(render())
