"""What the team knows of workloads like one: what a search starts from when its own workload is new."""

import heapq
import json
from collections import defaultdict
from functools import lru_cache

from sqlalchemy import ColumnElement, and_, exists, func, select
from sqlalchemy.orm import Session

from tilewright.contract.attempts import NeighbourRecord
from tilewright.contract.target import Isa
from tilewright.workloads.similarity import Position, distance, position_of
from tilewright_service.documents import Document, join, pick
from tilewright_service.store.tables import RecordRow, WorkloadRow
from tilewright_service.store.workloads import parse_workload

NEAREST = 24
RECORDS_OF_EACH = 64
"""Together some 1,500 records at most: more teach a search nothing new, and cost it time."""


def neighbours(session: Session, workload_id: str, isa: Isa, threads: int, host_class: str | None) -> list[Document]:
    """Each a `Neighbour`, the nearest first: two questions, however many workloads and records there are."""
    is_comparable = and_(
        RecordRow.isa == isa,
        RecordRow.threads == threads,
        RecordRow.host_class == host_class,
        RecordRow.latency_us.is_not(None),
    )
    nearest = _nearest(session, workload_id, is_comparable)
    records = _best_of_each(session, list(nearest), is_comparable)
    return [join(workload=nearest[each], records=records[each]) for each in nearest if records[each]]


def _nearest(session: Session, workload_id: str, is_comparable: ColumnElement[bool]) -> dict[str, Document]:
    """Documents of measured workloads by id. Every one that is stored is looked at: microseconds each."""
    here = _position(session.get_one(WorkloadRow, workload_id).document)
    is_measured = exists().where(RecordRow.workload_id == WorkloadRow.id, is_comparable)
    question = select(WorkloadRow.id, WorkloadRow.document).where(WorkloadRow.id != workload_id, is_measured)
    rows = heapq.nsmallest(NEAREST, session.execute(question), lambda row: (distance(here, _position(row[1])), row[0]))
    return {row.id: row.document for row in rows}


@lru_cache(maxsize=16384)
def _position(document: str) -> Position:
    return position_of(parse_workload(document))


def _best_of_each(
    session: Session, workload_ids: list[str], is_comparable: ColumnElement[bool]
) -> dict[str, list[Document]]:
    order = (RecordRow.latency_us, RecordRow.id)
    rank = func.row_number().over(partition_by=RecordRow.workload_id, order_by=order).label("rank")
    ranked = select(RecordRow.id, rank).where(RecordRow.workload_id.in_(workload_ids), is_comparable).subquery()
    question = (
        select(RecordRow.workload_id, RecordRow.document)
        .join(ranked, RecordRow.id == ranked.c.id)
        .where(ranked.c.rank <= RECORDS_OF_EACH)
        .order_by(*order)
    )
    found: dict[str, list[Document]] = defaultdict(list)
    for workload_id, document in session.execute(question):
        record = json.loads(document)
        if record["choice"] is not None:
            found[workload_id].append(pick(record, NeighbourRecord))
    return found
