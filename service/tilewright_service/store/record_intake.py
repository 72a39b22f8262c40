"""Records on their way in, thousands a second: stored once, whoever brings them and however late.

Those of many attempts are stored by as few statements as those of one, each put together once.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Connection, Executable, Row, bindparam, select, update
from sqlalchemy.orm import Session

from tilewright.contract.events import ProgressEvent
from tilewright.contract.jobs import JobState, WorkloadProgress
from tilewright.contract.records import NewRecord, RecordState
from tilewright.contract.workers import AttemptKey
from tilewright.errors import TilewrightError
from tilewright_service.documents import document_of
from tilewright_service.store.commit_order import in_commit_order
from tilewright_service.store.events import tell_many
from tilewright_service.store.progress import progress_fields
from tilewright_service.store.record_checks import Batch, Known
from tilewright_service.store.tables import AttemptRow, JobRow, JobWorkloadRow, RecordRow
from tilewright_service.store.upsert import Upsert
from tilewright_service.store.workloads import parse_workload

Outcome = int | TilewrightError
Stored = dict[tuple[int, str], list[Row[Any]]]
"""New records, by job and workload."""


def store_records(session: Session, key: AttemptKey, records: Sequence[NewRecord]) -> int:
    """How many were new. Counts them to their jobs, once each.

    Takes those of the attempt itself, also after it was given up, and those that attempts before it left on its host.
    Raises StaleAttempt once it has ended by itself, and InvalidRequest for what is not its own.
    """
    batch = Batch(key, records)
    jobs = _lock_jobs(session, [batch], LOCKED_JOBS)
    (outcome,) = _store(session, [batch], jobs)
    if isinstance(outcome, TilewrightError):
        raise outcome
    return outcome


def store_batches(session: Session, batches: Sequence[Batch]) -> list[Outcome | None]:
    """As `store_records`, of each batch; none where somebody else is at its job, for whom nobody waits here."""
    jobs = _lock_jobs(session, batches, FREE_JOBS)
    taken = [batch for batch in batches if batch.job_ids <= jobs.keys()]
    outcomes = dict(zip(map(id, taken), _store(session, taken, jobs) if taken else [], strict=True))
    return [outcomes.get(id(batch)) for batch in batches]


def _lock_jobs(session: Session, batches: Iterable[Batch], question: Executable) -> dict[int, Row[Any]]:
    """Always in this order, so that no two wait for each other."""
    job_ids = sorted(set[int]().union(*(batch.job_ids for batch in batches)))
    return {row.id: row for row in session.connection().execute(question, {"job_ids": job_ids})}


def _store(session: Session, batches: Sequence[Batch], jobs: Mapping[int, Row[Any]]) -> list[Outcome]:
    connection = session.connection()
    known = Known.of(connection, batches, jobs)
    refusals = [_refusal(known, batch) for batch in batches]
    taken = [batch for batch, refusal in zip(batches, refusals, strict=True) if refusal is None]
    if not taken:
        return [refusal for refusal in refusals if refusal is not None]
    in_commit_order(session, RecordRow)
    rows = _insert(session, taken)
    _count(connection, known, _by_workload(rows))
    senders = _senders(taken)
    new = Counter(id(senders[_identity(row)]) for row in rows)
    _note_heard(connection, known, taken, rows, senders)
    return [new[id(batch)] if refusal is None else refusal for batch, refusal in zip(batches, refusals, strict=True)]


def _refusal(known: Known, batch: Batch) -> TilewrightError | None:
    try:
        known.take(batch)
    except TilewrightError as refusal:
        return refusal
    return None


def _insert(session: Session, batches: Iterable[Batch]) -> Sequence[Row[Any]]:
    values = [_values(record) for batch in batches for record in batch.records]
    return session.connection().execute(NEW_RECORDS.of(session), values).all()


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


def _identity(row: Any) -> tuple[object, ...]:
    """What is stored once."""
    return row.workload_id, row.isa, row.threads, row.host_class, row.candidate


def _senders(batches: Iterable[Batch]) -> dict[tuple[object, ...], Batch]:
    """Who brought a record first."""
    found: dict[tuple[object, ...], Batch] = {}
    for batch in batches:
        for record in batch.records:
            target, host_class = record.target, record.provenance.host_class
            what = (record.workload_id, target.isa, target.threads, host_class, record.candidate)
            found.setdefault(what, batch)
    return found


def _by_workload(rows: Iterable[Row[Any]]) -> Stored:
    stored: Stored = defaultdict(list)
    for row in rows:
        stored[row.job_id, row.workload_id].append(row)
    return stored


def _count(connection: Connection, known: Known, stored: Stored) -> None:
    """To their jobs, which tell it unless they have ended."""
    if not stored:
        return
    counted = {place: _counted(known.workloads[place], new) for place, new in stored.items()}
    changes = [{"its_job": job_id, "its_workload": own_id, **each} for (job_id, own_id), each in counted.items()]
    connection.execute(COUNTED, changes)
    tell_many(
        connection,
        ProgressEvent,
        [
            (place[0], _progress(known.workloads[place], each))
            for place, each in counted.items()
            if not JobState(known.jobs[place[0]].state).is_final
        ],
    )


def _counted(row: Row[Any], new: Sequence[Row[Any]]) -> dict[str, Any]:
    latencies = [row.best_latency_us, *(each.latency_us for each in new)]
    return {
        "trials": row.trials + len(new),
        "failed_trials": row.failed_trials + sum(each.state == RecordState.FAILED for each in new),
        "best_latency_us": min((each for each in latencies if each is not None), default=None),
    }


def _progress(row: Row[Any], changed: dict[str, Any]) -> WorkloadProgress:
    now = SimpleNamespace(**{**row._mapping, **changed})
    workload = parse_workload(row.document)
    best = row.latency_us, row.share_of_peak, row.speedup_over_default
    return WorkloadProgress(**progress_fields(now, workload, *best))


def _note_heard(
    connection: Connection,
    known: Known,
    batches: Iterable[Batch],
    rows: Iterable[Row[Any]],
    senders: Mapping[tuple[object, ...], Batch],
) -> None:
    """Of every attempt; new records of what it is at show that it gets on."""
    of_held = Counter({batch.sender: 0 for batch in batches})
    for row in rows:
        sender = senders[_identity(row)].sender
        of_held[sender] += known.holds(sender, (row.job_id, row.workload_id))
    changes = [{"its_job": job_id, "its_number": number, "new": new} for (job_id, number), new in of_held.items()]
    connection.execute(HEARD, changes)


def _new_records(insert: Any) -> Any:
    row = RecordRow
    found = row.job_id, row.workload_id, row.isa, row.threads, row.host_class, row.candidate, row.state, row.latency_us
    return insert.on_conflict_do_nothing().returning(*found)


NEW_RECORDS = Upsert(RecordRow, _new_records)
JOBS = (
    select(JobRow.id, JobRow.state, JobRow.threads, JobRow.trials)
    .where(JobRow.id.in_(bindparam("job_ids", expanding=True)))
    .order_by(JobRow.id)
)
LOCKED_JOBS = JOBS.with_for_update(key_share=True)
FREE_JOBS = JOBS.with_for_update(key_share=True, skip_locked=True)
COUNTED = (
    update(JobWorkloadRow.__table__)  # type: ignore[arg-type]
    .where(JobWorkloadRow.job_id == bindparam("its_job"), JobWorkloadRow.workload_id == bindparam("its_workload"))
    .values({name: bindparam(name) for name in ("trials", "failed_trials", "best_latency_us")})
)
HEARD = (
    update(AttemptRow.__table__)  # type: ignore[arg-type]
    .where(AttemptRow.job_id == bindparam("its_job"), AttemptRow.number == bindparam("its_number"))
    .values(beats=AttemptRow.beats + 1, stored_records=AttemptRow.stored_records + bindparam("new"))
)
