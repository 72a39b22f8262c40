"""The lines in which jobs wait for a worker.

Jobs that are alike to the queue wait in one line. The lines are few, so their heads are found one after the other by an
index, and neither the number of jobs nor that of their workloads counts.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, bindparam, func, select, union_all
from sqlalchemy.orm import Session

from tilewright.contract.target import Isa
from tilewright_service.store.tables import LANE, AttemptRow, JobRow, TurnRow

FEW = 64
"""Lines that are looked up one by one."""

ANY_HOST_CLASS = ""


@dataclass(frozen=True)
class WorkerFacts:
    """What the queue has to know of a worker."""

    name: str
    hostname: str
    host_class: str
    isas: tuple[Isa, ...]
    cores: int


class Lane(NamedTuple):
    """A line of jobs, and the first of them."""

    priority: int
    submitter: str
    threads: int
    target: str
    host_class: str
    first_job: int

    @property
    def place(self) -> tuple[int, str, int, str, str]:
        """What its jobs have in common."""
        return self.priority, self.submitter, self.threads, self.target, self.host_class

    def other_hosts(self, team: Sequence[WorkerFacts], hostname: str) -> set[str]:
        """Of all that work: those that could take its jobs instead of this one."""
        return {worker.hostname for worker in team if self.fits(worker)} - {hostname}

    def fits(self, worker: WorkerFacts) -> bool:
        return (
            self.threads <= worker.cores
            and self.target in ("auto", *worker.isas)
            and self.host_class in (ANY_HOST_CLASS, worker.host_class)
        )


def lanes(session: Session) -> list[Lane]:
    """Every line in which somebody wants a worker.

    From one to the next by a step in the index; where there are many lines, all at once instead.
    """
    found: list[Lane] = []
    row = session.execute(FIRST_HEAD).first()
    while row is not None and len(found) < FEW:
        found.append(Lane(*row))
        row = session.execute(NEXT_HEAD, dict(zip(LANE, found[-1].place, strict=True))).first()
    return found if row is None else [Lane(*each) for each in session.execute(ALL_HEADS)]


def lane_of(job: JobRow) -> Lane:
    """The line that a job waits in, as if it were the first of it."""
    return Lane(job.priority, job.submitter, job.threads, job.target, job.host_class, job.id)


def waits_in(lane: Lane) -> ColumnElement[bool]:
    """Whether a job waits in this line."""
    return and_(
        JobRow.wants_worker, *(column == value for column, value in zip(_lane_columns(), lane.place, strict=True))
    )


@dataclass(frozen=True)
class Order:
    """Who comes before whom: people take turns within a priority."""

    workers_of: Counter[str]
    """How many each has now."""
    turn_of: dict[str, int]

    @classmethod
    def of(cls, session: Session) -> "Order":
        running = select(JobRow.submitter, func.count()).join(AttemptRow, AttemptRow.job_id == JobRow.id)
        workers = session.execute(running.where(AttemptRow.is_open).group_by(JobRow.submitter))
        turns = session.execute(select(TurnRow.submitter, TurnRow.taken_at))
        return cls(Counter(dict(workers.all())), dict(turns.all()))

    def sort(self, waiting: Iterable[Lane]) -> list[Lane]:
        return sorted(waiting, key=self._rank)

    def _rank(self, lane: Lane) -> tuple[int, int, int, int]:
        who = lane.submitter
        return -lane.priority, self.workers_of[who], self.turn_of.get(who, 0), lane.first_job


def _lane_columns() -> list[Any]:
    return [getattr(JobRow, name) for name in LANE]


def _head(*conditions: ColumnElement[bool]) -> Select[Any]:
    columns = _lane_columns()
    question = select(*columns, JobRow.id).where(JobRow.wants_worker, *conditions)
    return question.order_by(*columns, JobRow.id).limit(1)


def _next_head() -> Select[Any]:
    """The head of the line that comes after one: the first of those that share with it as much as can be.

    A comparison of tuples would say the same, but SQLite reads through a whole line for it.
    """
    columns = _lane_columns()
    heads = []
    for shared in range(len(columns)):
        same = [column == bindparam(column.key) for column in columns[:shared]]
        heads.append(select(_head(*same, columns[shared] > bindparam(columns[shared].key)).subquery()))
    found = union_all(*heads).subquery()
    return select(*found.c).order_by(*found.c).limit(1)


def _all_heads() -> Select[Any]:
    columns = _lane_columns()
    return select(*columns, func.min(JobRow.id)).where(JobRow.wants_worker).group_by(*columns).order_by(*columns)


FIRST_HEAD, NEXT_HEAD, ALL_HEADS = _head(), _next_head(), _all_heads()
