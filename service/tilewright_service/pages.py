"""Pages of documents that are JSON already."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from tilewright_service.dependencies import PageQuery


def next_page(path: str, query: PageQuery, ids: Sequence[int]) -> str | None:
    """The path of the following page; None when this one was not full."""
    if len(ids) < query.limit:
        return None
    parameters: dict[str, Any] = query.model_dump(mode="json", exclude_none=True)
    return f"{path}?{urlencode({**parameters, 'cursor': ids[-1]})}"


def raw_page(path: str, query: PageQuery, rows: Sequence[tuple[int, str]]) -> Response:
    following = next_page(path, query, [row_id for row_id, _ in rows])
    return raw_list([document for _, document in rows], following)


def raw_list(documents: Sequence[str | None], following: str | None = None) -> Response:
    items = ",".join(document or "null" for document in documents)
    end = "null" if following is None else f'"{following}"'
    return Response(f'{{"items":[{items}],"next":{end}}}', media_type="application/json")


def with_id(document: str, row_id: int) -> str:
    """The document of a row, which names its id."""
    return f'{document[:-1]},"id":{row_id}}}'
