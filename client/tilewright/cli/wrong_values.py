"""Values of options that are refused when they are read, in our words: typer passes on those of pydantic."""

from typing import Any

import typer
from pydantic import ValidationError

from tilewright.complaints import complaints, summary
from tilewright.expectations import Expectation

TYPES = {"int": "integer", "float": "number", "bool": "boolean"}
BOUNDS = {"ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum"}


def reword(error: typer.TyperException) -> None:
    if isinstance(error.__cause__, ValidationError):
        said = error.__cause__.errors(include_url=False)[:1]
        error.message = summary(complaints(said, _expected(**said[0]), "it"))


def _expected(type: str, ctx: dict[str, Any] | None = None, **_: Any) -> Expectation:
    """As far as the error itself tells it."""
    bounds = {BOUNDS[name]: bound for name, bound in (ctx or {}).items() if name in BOUNDS}
    schema = {"type": TYPES.get(type.partition("_")[0], "string"), **bounds}
    return Expectation(schema, schema)
