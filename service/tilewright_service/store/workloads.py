"""Workloads, stored once each."""

from collections.abc import Iterable
from functools import lru_cache

from sqlalchemy.orm import Session

from tilewright.contract.workload import Workload
from tilewright_service.store.tables import WorkloadRow
from tilewright_service.store.upsert import Upsert

KEPT = Upsert(WorkloadRow, lambda insert: insert.on_conflict_do_nothing())


def keep_workloads(session: Session, workloads: Iterable[Workload]) -> None:
    # In the same order everywhere, so that two who store the same do not wait for each other.
    ordered = sorted(workloads, key=lambda each: each.id)
    rows = [{"id": workload.id, "document": workload.canonical_json} for workload in ordered]
    session.connection().execute(KEPT.of(session), rows)


@lru_cache(maxsize=2048)
def parse_workload(document: str) -> Workload:
    return Workload.model_validate_json(document)


def gmacs(workload: Workload, latency_us: float) -> float:
    """10^9 multiply-adds per second."""
    return workload.macs / latency_us / 1000
