"""What is deleted when it is old enough, a few hundred rows at a time; never what is open, current, or referred to.

What is overdue is looked for in a snapshot, where it may take a while. A transaction that writes takes milliseconds,
and deletes only what is overdue still.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, CursorResult, and_, delete, exists, func, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from tilewright.contract.jobs import JobState
from tilewright_service.settings import Settings
from tilewright_service.store.database import Database
from tilewright_service.store.instant import now
from tilewright_service.store.tables import (
    AttemptRow,
    EventRow,
    HostRow,
    IdempotencyKeyRow,
    InterestRow,
    JobRow,
    JobWorkloadRow,
    RecordRow,
    ScheduleRow,
    Table,
)

ROWS_AT_A_TIME = 500
PAUSE_SECONDS = 0.02
"""In which others may write."""
KEYS_DAYS, HOSTS_DAYS = 1.0, 180.0
FINAL = [state for state in JobState if state.is_final]
GROUP = (RecordRow.workload_id, RecordRow.isa, RecordRow.threads, RecordRow.host_class)
"""Records that compare with each other."""

Column = InstrumentedAttribute[Any]


class Rule(NamedTuple):
    """Which rows of a table may go, and those of others that go with them."""

    table: type[Table]
    key: tuple[Column, ...]
    condition: ColumnElement[bool]
    parts: tuple[type[JobWorkloadRow | InterestRow], ...] = ()


def prune(database: Database, settings: Settings, moment: datetime | None = None) -> Counter[str]:
    """How many rows of each table were deleted. It may be cut off anywhere, and gone on with."""
    pruned: Counter[str] = Counter()
    with database.surveying() as session:
        rules = list(_rules(session, settings, moment or now()))
    for rule in rules:
        while keys := _find(database, rule):
            with database.writing() as session:
                pruned[rule.table.__tablename__] += prune_some(session, rule, keys)
            if len(keys) < ROWS_AT_A_TIME:
                break
            time.sleep(PAUSE_SECONDS)
    return +pruned


def count_overdue(database: Database, settings: Settings, moment: datetime | None = None) -> Counter[str]:
    """What `prune` would delete now; what only then is referred to no more comes on top."""
    counted: Counter[str] = Counter()
    with database.surveying() as session:
        for rule in _rules(session, settings, moment or now()):
            question = select(func.count()).select_from(rule.table).where(rule.condition)
            counted[rule.table.__tablename__] += session.scalar(question) or 0
    return +counted


def prune_some(session: Session, rule: Rule, keys: Sequence[tuple[Any, ...]]) -> int:
    """Delete those of these rows that are overdue still."""
    left = session.execute(select(*rule.key).where(_is_one_of(rule.key, keys), rule.condition)).all()
    for part in rule.parts:
        session.execute(delete(part).where(part.job_id.in_([key[0] for key in left])))
    deleted = session.execute(delete(rule.table).where(_is_one_of(rule.key, left)))
    assert isinstance(deleted, CursorResult)
    return deleted.rowcount


def _find(database: Database, rule: Rule) -> Sequence[tuple[Any, ...]]:
    question = select(*rule.key).where(rule.condition).order_by(*rule.key).limit(ROWS_AT_A_TIME)
    with database.surveying() as session:
        return session.execute(question).all()


def _is_one_of(columns: tuple[Column, ...], keys: Sequence[tuple[Any, ...]]) -> ColumnElement[bool]:
    if len(columns) == 1:
        return columns[0].in_([key[0] for key in keys])
    return tuple_(*columns).in_([tuple(key) for key in keys])


def _rules(session: Session, settings: Settings, moment: datetime) -> Iterator[Rule]:
    """In an order in which what refers goes before what is referred to."""

    def ago(days: float) -> datetime:
        return moment - timedelta(days=days)

    yield Rule(EventRow, (EventRow.id,), _job_ended(EventRow.job_id, ago(settings.keep_events_days)))
    yield Rule(
        AttemptRow,
        (AttemptRow.job_id, AttemptRow.number),
        ~AttemptRow.is_open & _job_ended(AttemptRow.job_id, ago(settings.keep_attempts_days)),
    )
    yield Rule(IdempotencyKeyRow, (IdempotencyKeyRow.key,), IdempotencyKeyRow.created_at < ago(KEYS_DAYS))
    for group in _large_groups(session, settings.keep_records):
        yield _surplus(group, settings.keep_records, ago(settings.keep_records_days))
    yield _replaced_schedules(ago(settings.keep_schedules_days))
    yield _idle_jobs(ago(settings.keep_jobs_days))
    yield Rule(HostRow, (HostRow.id,), HostRow.seen_at < ago(HOSTS_DAYS))


def _job_ended(job_id: Column, before: datetime) -> ColumnElement[bool]:
    return exists().where(JobRow.id == job_id, JobRow.state.in_(FINAL), JobRow.finished_at < before)


def _large_groups(session: Session, keep: int) -> Sequence[tuple[Any, ...]]:
    return session.execute(select(*GROUP).group_by(*GROUP).having(func.count() > keep)).all()


def _surplus(group: tuple[Any, ...], keep: int, before: datetime) -> Rule:
    """Records of old jobs that are not among the best of their group."""
    best_first = (RecordRow.latency_us.is_(None), RecordRow.latency_us, RecordRow.id)
    is_of_group = and_(*(column == value for column, value in zip(GROUP, group, strict=True)))
    rank = func.row_number().over(order_by=best_first).label("rank")
    ranked = select(RecordRow.id, rank).where(is_of_group).subquery()
    condition = RecordRow.id.in_(select(ranked.c.id).where(ranked.c.rank > keep))
    return Rule(RecordRow, (RecordRow.id,), condition & _job_ended(RecordRow.job_id, before))


def _replaced_schedules(before: datetime) -> Rule:
    """Which no job names."""
    is_named = exists().where(JobWorkloadRow.schedule_id == ScheduleRow.id)
    condition = and_(~ScheduleRow.is_current, ~is_named, _job_ended(ScheduleRow.job_id, before))
    return Rule(ScheduleRow, (ScheduleRow.id,), condition)


def _idle_jobs(before: datetime) -> Rule:
    """Which tuned nothing: all was known, or they were cancelled, or failed. Nothing refers to them any more."""
    refers = [
        exists().where(column == JobRow.id)
        for column in (
            EventRow.job_id,
            AttemptRow.job_id,
            RecordRow.job_id,
            ScheduleRow.job_id,
            IdempotencyKeyRow.job_id,
            JobWorkloadRow.known_from_job,
        )
    ]
    tuned = exists().where(JobWorkloadRow.job_id == JobRow.id, JobWorkloadRow.seconds.is_not(None))
    condition = and_(JobRow.state.in_(FINAL), JobRow.finished_at < before, ~tuned, *(~each for each in refers))
    return Rule(JobRow, (JobRow.id,), condition, parts=(InterestRow, JobWorkloadRow))
