"""The OpenAPI document as people read it: what `templates/reference.html` shows."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup, escape

from tilewright_service.schema_words import type_in_words

SECTIONS = {
    "jobs": "Jobs",
    "schedules": "Schedules",
    "records": "Records",
    "networks": "Networks",
    "hosts": "Hosts and workers",
    "health": "Health",
    "attempts": "Attempts",
}
"""By tag, in the order of the page."""

EXAMPLE_ID = "1"


@dataclass(frozen=True)
class Field:
    name: str
    type: Markup
    default: str | None
    """As JSON; None where there is none."""
    is_required: bool
    text: str


@dataclass(frozen=True)
class Operation:
    anchor: str
    method: str
    path: str
    summary: str
    text: str
    parameters: list[Field]
    body: Markup | None
    answers: list[tuple[str, Markup]]
    """Status, and what comes with it."""
    command: str | None
    """None for workers only: an attempt has a token of its own."""


@dataclass(frozen=True)
class NamedSchema:
    name: str
    text: str
    fields: list[Field]
    type: Markup | None
    """Of what has no fields."""


def operations_of(document: dict[str, Any], needs_token: bool) -> dict[str, list[Operation]]:
    """By section."""
    found: dict[str, list[Operation]] = {title: [] for title in SECTIONS.values()}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            section = found[SECTIONS[operation["tags"][0]]]
            section.append(_operation(path, method.upper(), operation, needs_token))
    return found


def schemas_of(document: dict[str, Any]) -> list[NamedSchema]:
    return [_named_schema(name, schema) for name, schema in sorted(document["components"]["schemas"].items())]


def _operation(path: str, method: str, operation: dict[str, Any], needs_token: bool) -> Operation:
    return Operation(
        anchor=operation["operationId"],
        method=method,
        path=path,
        summary=operation["summary"].capitalize(),
        text=operation.get("description", ""),
        parameters=[_parameter(each) for each in operation.get("parameters", [])],
        body=type_in_words(_json(operation["requestBody"])) if "requestBody" in operation else None,
        answers=list(_answers(operation["responses"])),
        command=None if "security" in operation else _command(path, method, operation, needs_token),
    )


def _parameter(parameter: dict[str, Any]) -> Field:
    field = _field(parameter["name"], parameter["schema"], parameter["required"])
    return replace(field, type=Markup("in the {}: {}").format(parameter["in"], field.type))


def _answers(responses: dict[str, Any]) -> Iterator[tuple[str, Markup]]:
    """Without the problems, which are the same everywhere."""
    for status, response in responses.items():
        if not status.endswith("XX"):
            ((media_type, content),) = response.get("content", {"": {}}).items()
            yield status, _answer(media_type, content) or escape(response["description"])


def _answer(media_type: str, content: dict[str, Any]) -> Markup:
    if "itemSchema" in content:
        event = content["itemSchema"]["properties"]["data"]["contentSchema"]
        return Markup("{}, its data {}").format(media_type, type_in_words(event))
    return type_in_words(content["schema"]) if media_type.endswith("json") else escape(media_type)


def _json(body: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = body["content"]["application/json"]["schema"]
    return schema


def _command(path: str, method: str, operation: dict[str, Any], needs_token: bool) -> str:
    """For a shell, on one line."""
    options = ["-N"] if "text/event-stream" in operation["responses"]["200"].get("content", {}) else []
    if needs_token:
        options += ["-H", '"Authorization: Bearer $TILEWRIGHT_TOKEN"']
    if "requestBody" in operation:
        (example,) = _json(operation["requestBody"])["examples"]
        options += ["-H", '"Content-Type: application/json"', "-d", shlex.quote(json.dumps(example))]
    elif method != "GET":
        options += ["-X", method]
    names = [each["name"] for each in operation.get("parameters", []) if each["in"] == "path"]
    filled = path.format_map(dict.fromkeys(names, EXAMPLE_ID))
    return " ".join(["curl", *options, f'"$TILEWRIGHT_URL{filled}"'])


def _named_schema(name: str, schema: dict[str, Any]) -> NamedSchema:
    required = schema.get("required", [])
    fields = [_field(key, value, key in required) for key, value in schema.get("properties", {}).items()]
    return NamedSchema(name, schema.get("description", ""), fields, None if fields else type_in_words(schema))


def _field(name: str, schema: dict[str, Any], is_required: bool) -> Field:
    default = json.dumps(schema["default"]) if "default" in schema else None
    return Field(name, type_in_words(schema), default, is_required, schema.get("description", ""))
