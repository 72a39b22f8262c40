"""Two years of rows: what is old goes, what is open, current or among the best stays, and nobody waits for it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import and_, func, insert, select, update
from sqlalchemy.orm import Session

from tilewright.contract.jobs import JobState
from tilewright_service.dispatch.housekeeping import Housekeeping
from tilewright_service.settings import Settings
from tilewright_service.store.database import Database
from tilewright_service.store.instant import EPOCH
from tilewright_service.store.retention import count_overdue, prune
from tilewright_service.store.schema import upgrade
from tilewright_service.store.tables import (
    AttemptRow,
    EventRow,
    IdempotencyKeyRow,
    JobRow,
    JobWorkloadRow,
    RecordRow,
    ScheduleRow,
    TurnRow,
)

from . import old_rows
from .old_rows import insert_old_rows

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAYS = 730
DIVISOR = 10
JOBS, RECORDS, WORKLOADS = (each // DIVISOR for each in (old_rows.JOBS, old_rows.RECORDS, old_rows.WORKLOADS))
SETTINGS = Settings(keep_records=20)
FINAL = [state for state in JobState if state.is_final]
LONGEST_WAIT_SECONDS = 1.0


@pytest.fixture
def database(empty_database_url: str) -> Iterator[Database]:
    """Two years of it: jobs end one after the other, a tenth is still open, every second one has tuned something."""
    database = Database(empty_database_url)
    upgrade(database, "known")
    with database.migrating() as connection:
        insert_old_rows(connection, DIVISOR)
    upgrade(database)
    with database.writing() as session:
        _spread_over_time(session)
        _replace_schedules(session)
    yield database
    database.close()


def _spread_over_time(session: Session) -> None:
    microseconds = int((NOW - EPOCH) / timedelta(microseconds=1))
    step = int(timedelta(days=DAYS) / timedelta(microseconds=1)) // JOBS
    ended = microseconds - step * (JOBS - JobRow.id)
    session.execute(update(JobRow).where(JobRow.state.in_(FINAL)).values(finished_at=ended))
    session.execute(update(JobWorkloadRow).where(JobWorkloadRow.job_id % 2 == 1).values(seconds=1.0))
    session.execute(update(AttemptRow).values(is_open=AttemptRow.job_id % 10 == 1))
    session.execute(update(RecordRow).values(latency_us=RecordRow.id))


def _replace_schedules(session: Session) -> None:
    fields = [column for column in ScheduleRow.__table__.columns if column.name not in ("id", "is_current")]
    replaced = select(*(column for column in fields), ScheduleRow.id < 0)
    names = [*(column.name for column in fields), "is_current"]
    session.execute(insert(ScheduleRow).from_select(names, replaced))


def test_what_is_old_goes_and_what_counts_stays_and_who_writes_meanwhile_hardly_waits(database: Database) -> None:
    expected = count_overdue(database, SETTINGS, NOW)
    with writing_meanwhile(database) as waits:
        pruned = prune(database, SETTINGS, NOW)
    assert len(waits) > 10
    assert max(waits) < LONGEST_WAIT_SECONDS
    for table, count in expected.items():
        assert pruned[table] >= count > 0, table
    assert prune(database, SETTINGS, NOW) == {}
    with database.reading() as session:
        _require_open_jobs_whole(session)
        _require_only_young(session)
        _require_best_records(session)
        current = session.scalar(select(func.count()).select_from(ScheduleRow).where(ScheduleRow.is_current))
        assert current == WORKLOADS


@contextmanager
def writing_meanwhile(database: Database) -> Iterator[list[float]]:
    """Seconds that each of many transactions took."""
    ended = threading.Event()
    waits: list[float] = []

    def write() -> None:
        while not ended.is_set():
            started = time.monotonic()
            with database.writing() as session:
                session.add(TurnRow(submitter=str(len(waits)), taken_at=0))
            waits.append(time.monotonic() - started)
            time.sleep(0.005)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield waits
    finally:
        ended.set()
        writer.join()


def _require_open_jobs_whole(session: Session) -> None:
    for table, count in ((EventRow, 2 * JOBS), (AttemptRow, JOBS // 5), (RecordRow, RECORDS // 5)):
        is_open = select(JobRow.id).where(JobRow.state.not_in(FINAL))
        found = session.scalar(select(func.count()).select_from(table).where(table.job_id.in_(is_open))) or 0
        assert found >= count, table


def _require_only_young(session: Session) -> None:
    for table, days in ((EventRow, 7), (AttemptRow, 30)):
        old = and_(JobRow.state.in_(FINAL), JobRow.finished_at < NOW - timedelta(days=days))
        question = select(func.count()).select_from(table).join(JobRow, JobRow.id == table.job_id).where(old)
        assert session.scalar(question) == 0
    assert session.scalar(select(func.count()).select_from(IdempotencyKeyRow)) == 0
    replaced = select(func.count()).select_from(ScheduleRow).join(JobRow, JobRow.id == ScheduleRow.job_id)
    is_old = JobRow.finished_at < NOW - timedelta(days=90)
    assert session.scalar(replaced.where(~ScheduleRow.is_current, JobRow.state.in_(FINAL), is_old)) == 0


def _require_best_records(session: Session) -> None:
    """The twenty best of each workload, which have the lowest numbers here."""
    best = session.scalar(select(func.count()).select_from(RecordRow).where(RecordRow.id <= WORKLOADS * 20))
    assert best == WORKLOADS * 20
    worse = select(func.count()).select_from(RecordRow).join(JobRow, JobRow.id == RecordRow.job_id)
    is_old = and_(JobRow.state.in_(FINAL), JobRow.finished_at < NOW - timedelta(days=90))
    assert session.scalar(worse.where(RecordRow.id > WORKLOADS * 20, is_old)) == 0


@pytest.mark.parametrize("empty_database_url", ["sqlite"], indirect=True)
def test_a_file_gives_back_what_was_deleted(database: Database) -> None:
    housekeeping = Housekeeping(database, SETTINGS, leads=lambda: True)
    with database.reading() as session:
        pages = session.connection().exec_driver_sql("PRAGMA page_count").scalar_one()
    housekeeping.tidy()
    with database.reading() as session:
        assert session.connection().exec_driver_sql("PRAGMA page_count").scalar_one() < pages * 0.7
        assert session.connection().exec_driver_sql("PRAGMA freelist_count").scalar_one() == 0


@pytest.mark.parametrize("empty_database_url", ["sqlite"], indirect=True)
def test_only_the_service_that_leads_deletes(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tilewright_service.dispatch.housekeeping.FIRST_SECONDS", 0.0)
    asked = threading.Event()

    def leads() -> bool:
        asked.set()
        return False

    with Housekeeping(database, SETTINGS, leads):
        assert asked.wait(5)
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(RecordRow)) == RECORDS
