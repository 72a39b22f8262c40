"""Schedules: one current one for a workload, target and host class; replaced, never changed."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tilewright.contract.attempts import Publication
from tilewright.contract.events import ScheduleEvent
from tilewright.contract.schedules import Lookup, Schedule
from tilewright.contract.target import Isa
from tilewright.contract.workers import AttemptKey
from tilewright.errors import InvalidRequest, NotFound, ScheduleChanged
from tilewright_service.documents import Document, document_of
from tilewright_service.store.authority import require_authority, require_workload
from tilewright_service.store.events import tell_workloads
from tilewright_service.store.instant import now
from tilewright_service.store.jobs import job_workload_row
from tilewright_service.store.tables import ScheduleRow, WorkloadRow
from tilewright_service.store.workloads import gmacs, parse_workload


def publish(session: Session, key: AttemptKey, publication: Publication) -> Schedule:
    """Replace the incumbent, provided it is still the one that the candidate was compared with. Safe to repeat."""
    attempt, job = require_authority(session, key)
    workload = job_workload_row(session, job.id, publication.workload_id)
    if publication.target.threads != job.threads or publication.target.isa != attempt.isa:
        raise InvalidRequest(f"the schedule is for another target than job {job.id} asks for")
    if publication.provenance.host_class != attempt.host_class:
        raise InvalidRequest("the schedule is of another host class than its attempt")
    published = _published_before(session, key, publication)
    if published is not None:
        return published
    require_workload(attempt, workload)
    _retire(session, publication)
    schedule = _insert(session, key, publication)
    workload.schedule_id = schedule.id
    session.flush()
    tell_workloads(session, job.id, [publication.workload_id], ScheduleEvent)
    return schedule


def current_schedule(
    session: Session, workload_id: str, isa: Isa, threads: int, host_class: str | None
) -> Document | None:
    """The document of the current schedule."""
    return session.scalar(
        select(ScheduleRow.document).where(
            ScheduleRow.workload_id == workload_id,
            ScheduleRow.isa == isa,
            ScheduleRow.threads == threads,
            ScheduleRow.host_class == host_class,
            ScheduleRow.is_current,
        )
    )


def look_up(session: Session, lookup: Lookup) -> list[Document | None]:
    """The document of the fastest schedule of each workload, in the order of the question."""
    ids = [workload.id for workload in lookup.workloads]
    question = select(ScheduleRow.workload_id, ScheduleRow.document).where(
        ScheduleRow.workload_id.in_(ids), ScheduleRow.threads == lookup.threads, ScheduleRow.is_current
    )
    if lookup.isa is not None:
        question = question.where(ScheduleRow.isa == lookup.isa)
    if lookup.host_class is not None:
        question = question.where(ScheduleRow.host_class == lookup.host_class)
    # The slowest first, so that the fastest has the last word.
    rows = session.execute(question.order_by(ScheduleRow.latency_us.desc()))
    found = {row.workload_id: row.document for row in rows}
    return [found.get(workload_id) for workload_id in ids]


def schedule_page(
    session: Session,
    after_id: int,
    limit: int,
    workload_ids: Sequence[str] | None = None,
    isa: Isa | None = None,
    threads: int | None = None,
    host_class: str | None = None,
) -> list[tuple[int, Document]]:
    """Ids and documents of current schedules, oldest first."""
    question = select(ScheduleRow.id, ScheduleRow.document).where(ScheduleRow.is_current)
    if after_id:
        question = question.where(ScheduleRow.id > after_id)
    if workload_ids is not None:
        question = question.where(ScheduleRow.workload_id.in_(workload_ids))
    for column, value in ((ScheduleRow.isa, isa), (ScheduleRow.threads, threads), (ScheduleRow.host_class, host_class)):
        if value is not None:
            question = question.where(column == value)
    return [(row.id, row.document) for row in session.execute(question.order_by(ScheduleRow.id).limit(limit))]


def schedule_row(session: Session, schedule_id: int) -> ScheduleRow:
    row = session.get(ScheduleRow, schedule_id)
    if row is None:
        raise NotFound(f"there is no schedule {schedule_id}")
    return row


def _published_before(session: Session, key: AttemptKey, publication: Publication) -> Schedule | None:
    document = session.scalar(
        select(ScheduleRow.document).where(
            *_is_comparable(publication),
            ScheduleRow.is_current,
            ScheduleRow.candidate == publication.candidate,
            ScheduleRow.job_id == key.job_id,
            ScheduleRow.attempt == key.attempt,
            ScheduleRow.latency_us == publication.latency_us,
        )
    )
    return None if document is None else Schedule.model_validate_json(document)


def _retire(session: Session, publication: Publication) -> None:
    incumbent_id = session.scalar(select(ScheduleRow.id).where(*_is_comparable(publication), ScheduleRow.is_current))
    if incumbent_id != publication.replaces:
        raise ScheduleChanged(f"the current schedule is {incumbent_id}, not {publication.replaces}: compare with it")
    session.execute(update(ScheduleRow).where(ScheduleRow.id == incumbent_id).values(is_current=False))


def _is_comparable(publication: Publication) -> tuple[Any, ...]:
    return (
        ScheduleRow.workload_id == publication.workload_id,
        ScheduleRow.isa == publication.target.isa,
        ScheduleRow.threads == publication.target.threads,
        ScheduleRow.host_class == publication.provenance.host_class,
    )


def _insert(session: Session, key: AttemptKey, publication: Publication) -> Schedule:
    row = ScheduleRow(
        workload_id=publication.workload_id,
        isa=publication.target.isa,
        threads=publication.target.threads,
        host_class=publication.provenance.host_class,
        candidate=publication.candidate,
        is_current=True,
        latency_us=publication.latency_us,
        job_id=key.job_id,
        attempt=key.attempt,
        document=Document("{}"),
        script=publication.script.replace("\0", ""),
    )
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:
        raise ScheduleChanged("another schedule was published at the same moment: compare with it") from error
    schedule = _schedule(session, row.id, publication)
    row.share_of_peak = schedule.share_of_peak
    row.speedup_over_default = schedule.speedup_over_default
    row.document = document_of(schedule)
    return schedule


def _schedule(session: Session, schedule_id: int, publication: Publication) -> Schedule:
    workload = parse_workload(session.get_one(WorkloadRow, publication.workload_id).document)
    speed = gmacs(workload, publication.latency_us)
    default_latency_us = publication.default_latency_us
    return Schedule(
        id=schedule_id,
        name=workload.name,
        workload=workload,
        gmacs=speed,
        share_of_peak=publication.peak_gmacs and speed / publication.peak_gmacs,
        speedup_over_default=default_latency_us and default_latency_us / publication.latency_us,
        published_at=now(),
        **{name: getattr(publication, name) for name in Publication.model_fields.keys() & Schedule.model_fields.keys()},
    )
