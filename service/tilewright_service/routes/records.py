from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from tilewright.contract import Page, Record
from tilewright.contract.message import Sha256
from tilewright_service.dependencies import PageQuery, Reading
from tilewright_service.pages import raw_page, with_id
from tilewright_service.store.records import record_page

router = APIRouter(prefix="/v1/records", tags=["records"])


class RecordQuery(PageQuery):
    workload_id: Sha256 | None = None


@router.get("", response_model=Page[Record])
def list_records(query: Annotated[RecordQuery, Query()], session: Reading) -> Response:
    """Oldest first, so that an export can go on where it stopped."""
    rows = record_page(session, query.after_id, query.limit, workload_id=query.workload_id)
    return raw_page("/v1/records", query, [(row_id, with_id(text, row_id)) for row_id, text in rows])
