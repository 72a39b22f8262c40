"""A JSON schema in words, with links to the schemas that have a name."""

import json
from collections.abc import Iterator
from typing import Any

from markupsafe import Markup, escape

Schema = dict[str, Any]

LARGEST = 2**63 - 1
"""Of a column, which is no limit that a reader has to know."""


def type_in_words(schema: Schema) -> Markup:
    """Such as `integer, 1 to 256` or `array of 1 to 1000 Workload`."""
    match schema:
        case {"$ref": reference}:
            return Markup('<a href="#{0}">{0}</a>').format(reference.rpartition("/")[2])
        case {"anyOf": choices} | {"oneOf": choices}:
            return Markup(" or ").join(map(type_in_words, choices))
        case {"const": value}:
            return _code(value)
        case {"enum": values}:
            return Markup(" or ").join(map(_code, values))
        case {"prefixItems": items}:
            return Markup("array of {}: each {}").format(len(items), type_in_words(items[0]))
        case {"type": "array", "items": items}:
            return Markup("array of {}{}").format(_count(schema), type_in_words(items))
        case {"type": "object", "patternProperties": values}:
            return Markup("object, each value {}").format(type_in_words(next(iter(values.values()))))
    return escape(", ".join(filter(None, (schema.get("type", "anything"), *_limits(schema)))))


def _count(schema: Schema) -> str:
    span = _span(schema.get("minItems"), schema.get("maxItems"))
    return f"{span} " if span else ""


def _limits(schema: Schema) -> Iterator[str]:
    characters = _span(schema.get("minLength"), schema.get("maxLength"))
    yield schema.get("format", "")
    yield f"{characters} characters" if characters else ""
    yield f"matching {schema['pattern']}" if "pattern" in schema else ""
    yield f"above {schema['exclusiveMinimum']:g}" if "exclusiveMinimum" in schema else ""
    yield _span(schema.get("minimum"), schema.get("maximum"))


def _span(least: float | None, most: float | None) -> str:
    if most is None or most >= LARGEST:
        return "" if least is None else f"at least {least:.15g}"
    return f"at most {most:.15g}" if least is None else f"{least:.15g} to {most:.15g}"


def _code(value: Any) -> Markup:
    return Markup("<code>{}</code>").format(value if isinstance(value, str) else json.dumps(value))
