"""What the team knows of workloads like one: what a search starts from when its own workload is new."""

import heapq
import json
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, select
from sqlalchemy.orm import Session

from tilewright.contract import Isa
from tilewright.contract.neighbourhood import Place, distance, place_of
from tilewright_service.store.tables import RecordRow, WorkloadRow
from tilewright_service.store.workloads import parse_workload

NEAREST = 24
RECORDS_OF_EACH = 64
"""Together some 1,500 records at most: more teach a search nothing new, and cost it time."""


def neighbours(session: Session, workload_id: str, isa: Isa, threads: int, host_class: str | None) -> Iterator[str]:
    """Each a `Neighbour` as JSON, the nearest first: two questions, however many workloads and records there are."""
    is_comparable = and_(
        RecordRow.isa == isa,
        RecordRow.threads == threads,
        RecordRow.host_class == host_class,
        RecordRow.latency_us.is_not(None),
    )
    nearest = _nearest(session, workload_id, is_comparable)
    records = _best_of_each(session, list(nearest), is_comparable)
    for neighbour_id, document in nearest.items():
        if records[neighbour_id]:
            yield f'{{"workload":{document},"records":{json.dumps(records[neighbour_id])}}}'


def _nearest(session: Session, workload_id: str, is_comparable: ColumnElement[bool]) -> dict[str, str]:
    """Documents of measured workloads by id. Every one that is stored is looked at: microseconds each."""
    here = _place(session.get_one(WorkloadRow, workload_id).document)
    is_measured = exists().where(RecordRow.workload_id == WorkloadRow.id, is_comparable)
    question = select(WorkloadRow.id, WorkloadRow.document).where(WorkloadRow.id != workload_id, is_measured)
    rows = heapq.nsmallest(NEAREST, session.execute(question), lambda row: (distance(here, _place(row[1])), row[0]))
    return {row.id: row.document for row in rows}


@lru_cache(maxsize=16384)
def _place(document: str) -> Place:
    return place_of(parse_workload(document))


def _best_of_each(
    session: Session, workload_ids: list[str], is_comparable: ColumnElement[bool]
) -> dict[str, list[dict[str, Any]]]:
    order = (RecordRow.latency_us, RecordRow.id)
    place = func.row_number().over(partition_by=RecordRow.workload_id, order_by=order).label("place")
    ranked = select(RecordRow.id, place).where(RecordRow.workload_id.in_(workload_ids), is_comparable).subquery()
    question = (
        select(RecordRow.workload_id, RecordRow.document)
        .join(ranked, RecordRow.id == ranked.c.id)
        .where(ranked.c.place <= RECORDS_OF_EACH)
        .order_by(*order)
    )
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for workload_id, document in session.execute(question):
        record = json.loads(document)
        if record["choice"] is not None:
            found[workload_id].append(_cut(record))
    return found


def _cut(record: dict[str, Any]) -> dict[str, Any]:
    """A `NeighbourRecord`."""
    return {"choice": record["choice"], "latency_us": record["latency_us"]}
