"""Records on their way in, thousands a second: stored once, whoever brings them and however late.

Each question is put together once, and nothing is loaded as an object that is written back: what a batch costs is what
its few statements cost.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, bindparam, select, update
from sqlalchemy.orm import Session

from tilewright.contract.events import ProgressEvent
from tilewright.contract.jobs import JobState, WorkloadProgress, WorkloadState
from tilewright.contract.records import NewRecord, RecordState
from tilewright.contract.workers import AttemptKey
from tilewright.errors import InvalidRequest, TilewrightError
from tilewright_service.documents import document_of
from tilewright_service.store.authority import require_open
from tilewright_service.store.commit_order import in_commit_order
from tilewright_service.store.events import tell_at_once
from tilewright_service.store.tables import (
    AttemptRow,
    JobRow,
    JobWorkloadRow,
    RecordRow,
    ScheduleRow,
    WorkloadRow,
)
from tilewright_service.store.upsert import insert_on
from tilewright_service.store.workloads import gmacs, parse_workload

LOST = "lost"
"""The outcome of attempts that did not say how they ended: what they measured still counts."""

SLACK = 2
"""So many times its trials a job may have of a workload: one attempt may measure what another has not delivered yet."""


class AttemptOwner(NamedTuple):
    """The attempt that made a record."""

    job_id: int
    attempt: int


class Batch(NamedTuple):
    """What one attempt sends at a time."""

    key: AttemptKey
    records: Sequence[NewRecord]

    @property
    def job_ids(self) -> set[int]:
        return {self.key.job_id, *(record.provenance.job_id for record in self.records)}


def store_batches(session: Session, batches: Sequence[Batch]) -> list[int | Exception | None]:
    """Of each: how many were new, or why it is refused; none where somebody is at its job, and nobody waits for him."""
    wanted = set[int]().union(*(batch.job_ids for batch in batches))
    free = set(session.connection().execute(FREE_JOBS, {"job_ids": sorted(wanted)}).scalars())
    return [_store_if_free(session, batch, free) for batch in batches]


def _store_if_free(session: Session, batch: Batch, free: set[int]) -> int | Exception | None:
    if not batch.job_ids <= free:
        return None
    try:
        return store_records(session, *batch)
    except TilewrightError as refusal:  # which comes before the first of its writes
        return refusal


def store_records(session: Session, key: AttemptKey, records: Sequence[NewRecord]) -> int:
    """How many were new. Counts them to their jobs, once each.

    Takes those of the attempt itself, also after it was given up, and those that attempts before it left on its host.
    Raises StaleAttempt once it has ended by itself, and InvalidRequest for what is not its own.
    """
    connection = session.connection()
    groups = _by_owner(records)
    jobs = {
        job_id: connection.execute(LOCKED_JOB, {"job_id": job_id}).one_or_none()
        for job_id in sorted({key.job_id, *(owner.job_id for owner in groups)})  # so that nobody waits for each other
    }
    attempt: Any = connection.execute(ATTEMPT, {"job_id": key.job_id, "number": key.attempt}).one()
    if attempt.outcome not in (None, LOST):
        require_open(attempt, jobs[key.job_id])  # type: ignore[arg-type]
    rows: Rows = {}
    for owner, group in sorted(groups.items()):
        rows |= _check(connection, attempt, jobs[owner.job_id], owner, group)
    stored = _insert(session, connection, records)
    of_held = sum(_count(connection, jobs[row.job_id], row, new, attempt) for row, new in _by_workload(rows, stored))
    connection.execute(HEARD, {"its_job": key.job_id, "its_number": key.attempt, "new": of_held})
    return len(stored)


Rows = dict[tuple[int, str], Row[Any]]


def _check(
    connection: Connection, attempt: Row[Any], job: Any, owner: AttemptOwner, records: Sequence[NewRecord]
) -> Rows:
    """The workloads of these, if they are of an attempt that this one may speak for, and within what that was to do."""
    made_by = _maker(connection, attempt, owner)
    if made_by is None:
        raise InvalidRequest("provenance names an attempt that did not run on this host, or one that is later")
    for record in records:
        if record.target.threads != job.threads or record.target.isa != made_by.isa:
            raise InvalidRequest(f"the record is for another target than job {job.id} asks for")
        if record.provenance.host_class != made_by.host_class:
            raise InvalidRequest("the record is of another host class than its attempt")
    return {
        (job.id, workload_id): _workload(connection, job, workload_id, count)
        for workload_id, count in Counter(record.workload_id for record in records).items()
    }


def _workload(connection: Connection, job: Any, workload_id: str, count: int) -> Row[Any]:
    row = connection.execute(WORKLOAD, {"job_id": job.id, "workload_id": workload_id}).one_or_none()
    if row is None:
        raise InvalidRequest(f"workload {workload_id} is not part of job {job.id}")
    if row.trials + count > SLACK * job.trials:
        raise InvalidRequest(f"job {job.id} asks for {job.trials} trials of a workload, and has {row.trials}")
    return row


def _maker(connection: Connection, attempt: Row[Any], owner: AttemptOwner) -> Row[Any] | None:
    if owner == AttemptOwner(attempt.job_id, attempt.number):
        return attempt
    before = connection.execute(ATTEMPT, {"job_id": owner.job_id, "number": owner.attempt}).one_or_none()
    return before if before is not None and not before.is_open and before.hostname == attempt.hostname else None


def _insert(session: Session, connection: Connection, records: Sequence[NewRecord]) -> Sequence[Row[Any]]:
    in_commit_order(session, RecordRow)
    return connection.execute(_new_records(connection.dialect.name), [_values(record) for record in records]).all()


def _values(record: NewRecord) -> dict[str, object]:
    return {
        "workload_id": record.workload_id,
        "isa": record.target.isa,
        "threads": record.target.threads,
        "host_class": record.provenance.host_class,
        "candidate": record.candidate,
        "state": record.state,
        "latency_us": record.latency_us,
        "job_id": record.provenance.job_id,
        "document": document_of(record),
    }


def _by_owner(records: Iterable[NewRecord]) -> dict[AttemptOwner, list[NewRecord]]:
    groups: dict[AttemptOwner, list[NewRecord]] = defaultdict(list)
    for record in records:
        groups[AttemptOwner(record.provenance.job_id, record.provenance.attempt)].append(record)
    return groups


def _by_workload(rows: Rows, stored: Iterable[Row[Any]]) -> Iterable[tuple[Row[Any], list[Row[Any]]]]:
    groups: dict[tuple[int, str], list[Row[Any]]] = defaultdict(list)
    for each in stored:
        groups[each.job_id, each.workload_id].append(each)
    return ((rows[place], new) for place, new in groups.items())


def _count(connection: Connection, job: Any, row: Row[Any], new: Sequence[Row[Any]], attempt: Row[Any]) -> int:
    """How many are of the workload that the attempt is at."""
    latencies = [each.latency_us for each in (row, *new) if each.latency_us is not None]
    counted = {
        "trials": row.trials + len(new),
        "failed_trials": row.failed_trials + sum(each.state == RecordState.FAILED for each in new),
        "best_latency_us": min(latencies, default=None),
    }
    connection.execute(COUNTED, {"its_job": row.job_id, "its_workload": row.workload_id, **counted})
    if not JobState(job.state).is_final:
        tell_at_once(connection, row.job_id, ProgressEvent, _progress(row, **counted))
    is_held = (row.job_id, row.attempt, row.state) == (attempt.job_id, attempt.number, WorkloadState.RUNNING)
    return len(new) if is_held else 0


def _progress(row: Row[Any], trials: int, failed_trials: int, best_latency_us: float | None) -> WorkloadProgress:
    workload = parse_workload(row.document)
    best = row.published_latency_us or best_latency_us
    return WorkloadProgress(
        workload_id=row.workload_id,
        name=workload.name,
        occurrences=row.occurrences,
        state=WorkloadState(row.state),
        trials=trials,
        failed_trials=failed_trials,
        seconds=row.seconds,
        best_latency_us=best,
        best_gmacs=gmacs(workload, best) if best else None,
        share_of_peak=row.share_of_peak,
        speedup_over_default=row.speedup_over_default,
        schedule_id=row.schedule_id,
        stop_reason=row.stop_reason,
        known_from_job=row.known_from_job,
        attempt=row.attempt,
        tries=row.tries,
        reason=row.reason,
    )


def _select_workload() -> Select[Any]:
    own = [column for column in JobWorkloadRow.__table__.c if column.name != "best_latency_us"]
    return (
        select(
            *own,
            JobWorkloadRow.best_latency_us.label("latency_us"),
            WorkloadRow.document,
            ScheduleRow.latency_us.label("published_latency_us"),
            ScheduleRow.share_of_peak,
            ScheduleRow.speedup_over_default,
        )
        .join(WorkloadRow, WorkloadRow.id == JobWorkloadRow.workload_id)
        .outerjoin(ScheduleRow, ScheduleRow.id == JobWorkloadRow.schedule_id)
        .where(JobWorkloadRow.job_id == bindparam("job_id"), JobWorkloadRow.workload_id == bindparam("workload_id"))
    )


@lru_cache
def _new_records(dialect: str) -> Any:
    found = RecordRow.job_id, RecordRow.workload_id, RecordRow.state, RecordRow.latency_us
    return insert_on(dialect, RecordRow).on_conflict_do_nothing().returning(*found)


FREE_JOBS = (
    select(JobRow.id)
    .where(JobRow.id.in_(bindparam("job_ids", expanding=True)))
    .with_for_update(key_share=True, skip_locked=True)
)
LOCKED_JOB = (
    select(JobRow.id, JobRow.state, JobRow.threads, JobRow.trials)
    .where(JobRow.id == bindparam("job_id"))
    .with_for_update(key_share=True)
)
ATTEMPT = select(*AttemptRow.__table__.c).where(
    AttemptRow.job_id == bindparam("job_id"), AttemptRow.number == bindparam("number")
)
WORKLOAD = _select_workload()
COUNTED = update(JobWorkloadRow).where(
    JobWorkloadRow.job_id == bindparam("its_job"), JobWorkloadRow.workload_id == bindparam("its_workload")
)
HEARD = (
    update(AttemptRow)
    .where(AttemptRow.job_id == bindparam("its_job"), AttemptRow.number == bindparam("its_number"))
    .values(beats=AttemptRow.beats + 1, stored_records=AttemptRow.stored_records + bindparam("new"))
)
