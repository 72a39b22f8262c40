from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from tilewright.contract.message import Sha256
from tilewright.contract.pages import Page
from tilewright.contract.records import Record
from tilewright_service.dependencies import PageQuery, Reading
from tilewright_service.pages import document_page
from tilewright_service.store.records import record_page
from tilewright_service.strict_json import StrictRoute

router = APIRouter(prefix="/v1/records", tags=["records"], route_class=StrictRoute)


class RecordQuery(PageQuery):
    workload_id: Sha256 | None = None


@router.get("", response_model=Page[Record])
def list_records(query: Annotated[RecordQuery, Query()], session: Reading) -> Response:
    """Oldest first, so that an export can go on where it stopped."""
    rows = record_page(session, query.after_id, query.limit, workload_id=query.workload_id)
    return document_page("/v1/records", query, rows)
