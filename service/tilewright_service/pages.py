"""Lists in pages, as HTTP has them."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from tilewright_service.dependencies import PageQuery
from tilewright_service.documents import Document, page


class DocumentResponse(Response):
    """JSON that is text already."""

    media_type = "application/json"


def next_page(path: str, query: PageQuery, ids: Sequence[int]) -> str | None:
    """The path of the following page; None when this one was not full."""
    if len(ids) < query.limit:
        return None
    parameters: dict[str, Any] = query.model_dump(mode="json", exclude_none=True)
    return f"{path}?{urlencode({**parameters, 'cursor': ids[-1]})}"


def document_page(path: str, query: PageQuery, rows: Sequence[tuple[int, Document]]) -> Response:
    """Of rows of ids and documents."""
    following = next_page(path, query, [row_id for row_id, _ in rows])
    return DocumentResponse(page([document for _, document in rows], following))
