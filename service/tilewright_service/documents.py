"""JSON as text. Documents are stored as they are served, so reading is copying; only this module cuts and joins."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NewType

from pydantic import BaseModel

Document = NewType("Document", str)
"""A JSON object of at least one key, as `model_dump_json` writes it: no space before it or after it."""


def document_of(message: BaseModel) -> Document:
    return Document(message.model_dump_json())


def with_fields(document: Document, **fields: Any) -> Document:
    """The document and keys that it does not have yet."""
    return Document(f"{document[:-1]},{json.dumps(fields)[1:]}")


def pick(values: Mapping[str, Any], model: type[BaseModel]) -> Document:
    """The fields of `model`, of values that were validated before: there may be thousands."""
    return Document(json.dumps({name: values[name] for name in model.model_fields}))


def join(**parts: Document | Sequence[Document | None] | None) -> Document:
    """An object of documents, and of lists of them."""
    members = [f'"{name}":{_text(part)}' for name, part in parts.items()]
    return Document(f"{{{','.join(members)}}}")


def page(items: Sequence[Document], following: str | None) -> Document:
    """A `Page`; `following` is the path of the next one."""
    return with_fields(join(items=items), next=following)


def _text(part: Document | Sequence[Document | None] | None) -> str:
    if part is None:
        return "null"
    return part if isinstance(part, str) else f"[{','.join(each or 'null' for each in part)}]"
