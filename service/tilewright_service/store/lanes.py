"""The lines in which jobs wait for a worker.

Jobs that are alike to the queue wait in one line. The lines are few, so their heads are found one after the other by an
index, and neither the number of jobs nor that of their workloads counts.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, bindparam, func, literal, select
from sqlalchemy.orm import Session, aliased

from tilewright.contract.target import Isa
from tilewright_service.store.tables import LANE, AttemptRow, JobRow, TurnRow

FEW = 256
"""Lines that are found one by one."""

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

    @property
    def parameters(self) -> dict[str, int | str]:
        """For `WAITS_IN_LANE`."""
        return dict(zip(LANE, self.place, strict=True))

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
    heads = session.execute(FIRST_HEADS).all()
    return [Lane(*each) for each in (heads if len(heads) <= FEW else session.execute(ALL_HEADS))]


def lane_of(job: JobRow) -> Lane:
    """The line that a job waits in, as if it were the first of it."""
    return Lane(job.priority, job.submitter, job.threads, job.target, job.host_class, job.id)


@dataclass(frozen=True)
class Order:
    """Who comes before whom: people take turns within a priority."""

    workers_of: Counter[str]
    """How many each has now."""
    turn_of: dict[str, int]

    @classmethod
    def of(cls, session: Session) -> "Order":
        workers, turns = session.execute(WORKERS_OF).all(), session.execute(TURNS).all()
        return cls(Counter(dict(workers)), dict(turns))

    def sort(self, waiting: Iterable[Lane]) -> list[Lane]:
        return sorted(waiting, key=self._rank)

    def _rank(self, lane: Lane) -> tuple[int, int, int, int]:
        who = lane.submitter
        return -lane.priority, self.workers_of[who], self.turn_of.get(who, 0), lane.first_job


def _lane_columns() -> list[Any]:
    return [getattr(JobRow, name) for name in LANE]


def _first_heads() -> Select[Any]:
    """The head of the first line, that of the next, and so on, of one line more than are few."""
    first = select(JobRow.id).where(JobRow.wants_worker).order_by(*_lane_columns(), JobRow.id).limit(1)
    heads = select(first.scalar_subquery().label("id"), literal(1).label("number")).cte("heads", recursive=True)
    head = aliased(JobRow)
    following = select(_next_head(head), heads.c.number + 1).join(head, head.id == heads.c.id)
    heads = heads.union_all(following.where(heads.c.number <= FEW))
    return select(*_lane_columns(), JobRow.id).join(heads, heads.c.id == JobRow.id).order_by(heads.c.number)


def _next_head(head: type[JobRow]) -> ColumnElement[int]:
    """The head of the line that comes after one: the first of those that share with it as much as can be.

    A comparison of tuples would say the same, but SQLite reads through a whole line for it.
    """
    columns = _lane_columns()
    heads = []
    for shared in reversed(range(len(columns))):
        same = [column == getattr(head, column.key) for column in columns[:shared]]
        is_after = columns[shared] > getattr(head, columns[shared].key)
        question = select(JobRow.id).where(JobRow.wants_worker, *same, is_after)
        heads.append(question.order_by(*columns[shared:], JobRow.id).limit(1).correlate(head).scalar_subquery())
    return func.coalesce(*heads)


def _all_heads() -> Select[Any]:
    columns = _lane_columns()
    return select(*columns, func.min(JobRow.id)).where(JobRow.wants_worker).group_by(*columns).order_by(*columns)


FIRST_HEADS, ALL_HEADS = _first_heads(), _all_heads()
WAITS_IN_LANE = and_(JobRow.wants_worker, *(column == bindparam(column.key) for column in _lane_columns()))
"""Whether a job waits in the line of the parameters."""
WORKERS_OF = (
    select(JobRow.submitter, func.count())
    .join(AttemptRow, AttemptRow.job_id == JobRow.id)
    .where(AttemptRow.is_open)
    .group_by(JobRow.submitter)
)
TURNS = select(TurnRow.submitter, TurnRow.taken_at)
