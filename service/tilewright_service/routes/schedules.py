from functools import lru_cache
from typing import Annotated

from fastapi import APIRouter, Body, Header, Path, Query
from pydantic import Field
from starlette.responses import Response

from tilewright.contract.message import Sha256
from tilewright.contract.pages import Page
from tilewright.contract.schedules import Lookup, LookupResult, Schedule, ScheduleDetail
from tilewright.contract.target import Isa
from tilewright.workloads.zoo import NETWORKS, network_workloads
from tilewright_service.dependencies import MAX_ID, Database, PageQuery, Reading
from tilewright_service.documents import Document, join, with_fields
from tilewright_service.pages import DocumentResponse, document_page
from tilewright_service.store.schedules import look_up, schedule_page, schedule_row
from tilewright_service.strict_json import StrictRoute

EXAMPLE = {"batch": 1, "in_channels": 64, "height": 56, "width": 56, "out_channels": 64, "kernel_size": [3, 3]}

router = APIRouter(prefix="/v1/schedules", tags=["schedules"], route_class=StrictRoute)

ScheduleId = Annotated[int, Path(ge=1, le=MAX_ID)]
Question = Annotated[Lookup, Body(examples=[{"workloads": [EXAMPLE]}])]
ETags = Annotated[str | None, Header()]


class ScheduleQuery(PageQuery):
    workload_id: Sha256 | None = None
    network: Annotated[str, Field(max_length=64, json_schema_extra={"enum": list(NETWORKS)})] | None = None
    isa: Isa | None = None
    threads: Annotated[int, Field(ge=1, le=256)] | None = None
    host_class: Annotated[str, Field(max_length=128)] | None = None

    def workload_ids(self) -> list[str] | None:
        named = [] if self.workload_id is None else [self.workload_id]
        if self.network is None:
            return named or None
        of_network = _workload_ids(self.network)
        return [each for each in of_network if each in named] if named else of_network


@router.get("", response_model=Page[Schedule])
async def list_schedules(query: Annotated[ScheduleQuery, Query()], database: Database) -> Response:
    """Current schedules, oldest first."""
    rows = await database.look_up(
        lambda session: schedule_page(
            session, query.after_id, query.limit, query.workload_ids(), query.isa, query.threads, query.host_class
        )
    )
    return document_page("/v1/schedules", query, rows)


@router.post("/lookup", response_model=LookupResult)
def look_up_schedules(lookup: Question, session: Reading) -> Response:
    """The fastest schedule of each workload, or null."""
    return DocumentResponse(join(items=look_up(session, lookup)))


@router.get("/{schedule_id}", response_model=ScheduleDetail, responses={304: {"description": "Not modified"}})
def get_schedule(schedule_id: ScheduleId, session: Reading, if_none_match: ETags = None) -> Response:
    """With its script. A schedule never changes; a better one gets another id."""
    row = schedule_row(session, schedule_id)
    return detail_response(row.id, row.document, row.script, if_none_match)


def detail_response(schedule_id: int, document: Document, script: str, if_none_match: str | None) -> Response:
    headers = {"ETag": f'"schedule-{schedule_id}"', "Cache-Control": "private, max-age=31536000, immutable"}
    if if_none_match is not None and _matches(if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return DocumentResponse(with_fields(document, script=script), headers=headers)


@lru_cache
def _workload_ids(network: str) -> list[str]:
    return [workload.id for workload, _ in network_workloads(network)]


def _matches(if_none_match: str, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or etag in tags
