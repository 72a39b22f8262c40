"""What is served, asked of a local file thousands of times a second: by statements that are compiled once."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, bindparam, select
from sqlalchemy.dialects import sqlite

from tilewright.contract.schedules import Lookup
from tilewright_service.documents import Document
from tilewright_service.store.tables import ScheduleRow

Rows = list[tuple[Any, ...]]


class Served:
    """Answers as `store/schedules.py` does, in microseconds. Of one thread; raises sqlite3.Error."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def current(self, workload_id: str, most: int) -> list[tuple[int, Document]]:
        """Ids and documents of the current schedules of a workload, oldest first."""
        return self._connection.execute(CURRENT, {"workload_id": workload_id}).fetchmany(most)

    def fastest(self, lookup: Lookup) -> list[Document | None]:
        """Of each workload, in the order of the question; of one snapshot."""
        statement = FASTEST[lookup.isa is not None, lookup.host_class is not None]
        narrowed = {"threads": lookup.threads, "isa": lookup.isa, "host_class": lookup.host_class}
        self._connection.execute("BEGIN")
        try:
            return [self._first(statement, {"workload_id": each.id, **narrowed}) for each in lookup.workloads]
        finally:
            self._connection.execute("COMMIT")

    def detail(self, schedule_id: int) -> tuple[Document, str] | None:
        """Document and script."""
        row: tuple[Document, str] | None = self._connection.execute(DETAIL, {"id": schedule_id}).fetchone()
        return row

    def _first(self, statement: str, parameters: dict[str, Any]) -> Document | None:
        rows: Sequence[tuple[Document]] = self._connection.execute(statement, parameters).fetchall()
        return rows[0][0] if rows else None


def _compiled(question: Select[Any, Any] | Select[Any]) -> str:
    return str(question.compile(dialect=sqlite.dialect(paramstyle="named")))


def _fastest(by_isa: bool, by_host_class: bool) -> str:
    columns = [ScheduleRow.workload_id, ScheduleRow.threads]
    columns += [ScheduleRow.isa] if by_isa else []
    columns += [ScheduleRow.host_class] if by_host_class else []
    question = select(ScheduleRow.document).where(*(column == bindparam(column.key) for column in columns))
    return _compiled(question.where(ScheduleRow.is_current).order_by(ScheduleRow.latency_us))


CURRENT = _compiled(
    select(ScheduleRow.id, ScheduleRow.document)
    .where(ScheduleRow.workload_id == bindparam("workload_id"), ScheduleRow.is_current)
    .order_by(ScheduleRow.id)
)
FASTEST = {(isa, host): _fastest(isa, host) for isa in (False, True) for host in (False, True)}
DETAIL = _compiled(select(ScheduleRow.document, ScheduleRow.script).where(ScheduleRow.id == bindparam("id")))
