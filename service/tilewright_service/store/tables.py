"""The tables. Documents are JSON text exactly as it is served, so that reading is copying."""

from datetime import datetime

from sqlalchemy import BigInteger, Double, ForeignKey, Index, Integer, MetaData, String, Text, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tilewright_service.documents import Document
from tilewright_service.store.instant import Instant

# SQLite numbers rows by itself only in a column that is declared exactly INTEGER PRIMARY KEY.
Id = BigInteger().with_variant(Integer, "sqlite")
HexDigest = String(64)
Name = String(128)

LANE = ("priority", "submitter", "threads", "target", "host_class")
"""Jobs that are equal in these wait in one line. The lines are few, so whoever is next is found without a sort."""

FOR_CHANGE = {"key_share": True}
"""How a row is locked that will change: others may go on to refer to it (FOR NO KEY UPDATE). SQLite has none."""


class Table(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class WorkloadRow(Table):
    __tablename__ = "workloads"

    id: Mapped[str] = mapped_column(HexDigest, primary_key=True)
    document: Mapped[Document] = mapped_column(Text)


class JobRow(Table):
    __tablename__ = "jobs"
    __table_args__ = (
        Index(
            "ix_jobs_lane",
            *LANE,
            "id",
            sqlite_where=text("wants_worker = 1"),
            postgresql_where=text("wants_worker"),
        ),
        Index("ix_jobs_state", "state", "id"),
        Index("ix_jobs_request", "request_sha256", "state"),
        Index("uq_jobs_open_request", "open_request_sha256", unique=True),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    request_sha256: Mapped[str] = mapped_column(HexDigest)
    """What is asked for, without the budget: equal for jobs that may coalesce."""
    open_request_sha256: Mapped[str | None] = mapped_column(HexDigest)
    """What is asked for, with the budget, while others may join: so two at once cannot make two jobs. Null after."""
    version: Mapped[str] = mapped_column(String(64))
    """Of Tilewright, when it was made: a later one may find more."""
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(Text)
    network: Mapped[str | None] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(String(16))
    threads: Mapped[int]
    trials: Mapped[int]
    seconds: Mapped[float | None] = mapped_column(Double)
    host_class: Mapped[str] = mapped_column(Name)
    """The only one that may tune it; "" is any."""
    priority: Mapped[int]
    submitter: Mapped[str] = mapped_column(Name)
    """Whose turn it takes: the first of its owners."""
    wants_worker: Mapped[bool]
    """Whether it has more queued workloads than attempts that have yet to take one."""
    attempt: Mapped[int] = mapped_column(default=0)
    """Number of the newest."""
    created_at: Mapped[datetime] = mapped_column(Instant)
    started_at: Mapped[datetime | None] = mapped_column(Instant)
    finished_at: Mapped[datetime | None] = mapped_column(Instant)
    cancel_requested_at: Mapped[datetime | None] = mapped_column(Instant)


class JobWorkloadRow(Table):
    __tablename__ = "job_workloads"
    __table_args__ = (
        Index("ix_job_workloads_state", "job_id", "state"),
        Index(
            "ix_job_workloads_running",
            "workload_id",
            sqlite_where=text("state = 'running'"),
            postgresql_where=text("state = 'running'"),
        ),
        Index("ix_job_workloads_schedule", "schedule_id"),
        Index("ix_job_workloads_known_from_job", "known_from_job"),
        Index(
            "ix_job_workloads_tuned",
            "workload_id",
            "job_id",
            sqlite_where=text("schedule_id IS NOT NULL AND seconds IS NOT NULL"),
            postgresql_where=text("schedule_id IS NOT NULL AND seconds IS NOT NULL"),
        ),
    )

    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    workload_id: Mapped[str] = mapped_column(ForeignKey("workloads.id"), primary_key=True)
    position: Mapped[int]
    occurrences: Mapped[int]
    state: Mapped[str] = mapped_column(String(16))
    trials: Mapped[int] = mapped_column(default=0)
    failed_trials: Mapped[int] = mapped_column(default=0)
    seconds: Mapped[float | None] = mapped_column(Double)
    """Null unless the search ended by itself."""
    best_latency_us: Mapped[float | None] = mapped_column(Double)
    schedule_id: Mapped[int | None] = mapped_column(ForeignKey("schedules.id"))
    stop_reason: Mapped[str | None] = mapped_column(String(200))
    known_from_job: Mapped[int | None] = mapped_column(ForeignKey("jobs.id"))
    attempt: Mapped[int | None] = mapped_column(default=None)
    """Of this job: the one that is at it while it is running, or was last."""
    tries: Mapped[int] = mapped_column(default=0)
    """In a row that ended with blame for it and without a new record."""
    interruptions: Mapped[int] = mapped_column(default=0)
    """In a row that ended without a new record, and with blame for nobody."""
    failed_on: Mapped[str | None] = mapped_column(String(255))
    """The host of the last try, which another takes over if there is one."""
    reason: Mapped[str | None] = mapped_column(Text)


class AttemptRow(Table):
    __tablename__ = "attempts"
    __table_args__ = (Index("ix_attempts_open", "is_open"),)

    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    token_sha256: Mapped[str] = mapped_column(HexDigest)
    worker: Mapped[str] = mapped_column(String(255))
    """Which is taken as long as this is open."""
    hostname: Mapped[str] = mapped_column(String(255))
    host_class: Mapped[str] = mapped_column(Name)
    isa: Mapped[str] = mapped_column(String(16))
    is_open: Mapped[bool]
    has_taken: Mapped[bool] = mapped_column(default=False)
    """Whether it was assigned a workload yet."""
    process: Mapped[str | None] = mapped_column(String(32))
    """The one process that started it; another is refused."""
    beats: Mapped[int] = mapped_column(default=0)
    """Grows with every call: whoever watches over leases sees it by a clock of their own."""
    progress: Mapped[int] = mapped_column(default=0)
    stored_records: Mapped[int] = mapped_column(default=0)
    """Of the workload that it is at."""
    launched_at: Mapped[datetime] = mapped_column(Instant)
    started_at: Mapped[datetime | None] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    outcome: Mapped[str | None] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(Text)


class RecordRow(Table):
    __tablename__ = "records"
    __table_args__ = (
        Index("uq_records_candidate", "workload_id", "isa", "threads", "host_class", "candidate", unique=True),
        Index("ix_records_job", "job_id", "id"),
        Index("ix_records_workload", "workload_id", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    workload_id: Mapped[str] = mapped_column(ForeignKey("workloads.id"))
    isa: Mapped[str] = mapped_column(String(16))
    threads: Mapped[int]
    host_class: Mapped[str] = mapped_column(Name)
    candidate: Mapped[str] = mapped_column(HexDigest)
    state: Mapped[str] = mapped_column(String(16))
    latency_us: Mapped[float | None] = mapped_column(Double)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"))
    document: Mapped[Document] = mapped_column(Text)
    """A `NewRecord`."""


class ScheduleRow(Table):
    """Never changed but for `is_current`: whoever holds an id holds what it named."""

    __tablename__ = "schedules"
    __table_args__ = (
        Index(
            "uq_schedules_current",
            "workload_id",
            "isa",
            "threads",
            "host_class",
            unique=True,
            sqlite_where=text("is_current = 1"),
            postgresql_where=text("is_current"),
        ),
        Index("ix_schedules_job", "job_id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    workload_id: Mapped[str] = mapped_column(ForeignKey("workloads.id"))
    isa: Mapped[str] = mapped_column(String(16))
    threads: Mapped[int]
    host_class: Mapped[str] = mapped_column(Name)
    candidate: Mapped[str] = mapped_column(HexDigest)
    is_current: Mapped[bool]
    latency_us: Mapped[float] = mapped_column(Double)
    share_of_peak: Mapped[float | None] = mapped_column(Double)
    speedup_over_default: Mapped[float | None] = mapped_column(Double)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"))
    attempt: Mapped[int]
    document: Mapped[Document] = mapped_column(Text)
    """A `Schedule`."""
    script: Mapped[str] = mapped_column(Text)


class EventRow(Table):
    __tablename__ = "events"
    __table_args__ = (Index("ix_events_job", "job_id", "id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"))
    type: Mapped[str] = mapped_column(String(32))
    data: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)


class HostRow(Table):
    __tablename__ = "hosts"
    __table_args__ = (Index("uq_hosts_name", "host_class", "hostname", unique=True), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)
    host_class: Mapped[str] = mapped_column(Name)
    hostname: Mapped[str] = mapped_column(String(255))
    document: Mapped[Document] = mapped_column(Text)
    """A `Host`."""
    seen_at: Mapped[datetime] = mapped_column(Instant)


class InterestRow(Table):
    """Who wants a job. Without anybody it is cancelled."""

    __tablename__ = "interests"

    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    caller: Mapped[str] = mapped_column(Name, primary_key=True)
    created_at: Mapped[datetime] = mapped_column(Instant)
    withdrawn_at: Mapped[datetime | None] = mapped_column(Instant)


class TurnRow(Table):
    """Who had a worker last: people take turns."""

    __tablename__ = "turns"

    submitter: Mapped[str] = mapped_column(Name, primary_key=True)
    taken_at: Mapped[int] = mapped_column(BigInteger)
    """A number that grows with every turn."""


class AilingHostRow(Table):
    """A host that fails attempts, or that was set aside for it."""

    __tablename__ = "ailing_hosts"

    hostname: Mapped[str] = mapped_column(String(255), primary_key=True)
    failed_at: Mapped[str] = mapped_column(Text)
    """The workloads, as a JSON list, at which attempts failed there in a row; null where one had none yet."""
    reason: Mapped[str] = mapped_column(Text)
    set_aside_at: Mapped[datetime | None] = mapped_column(Instant)
    probes: Mapped[int] = mapped_column(default=0)
    """Since it last tuned something."""


class DatabaseRow(Table):
    """One row: what this database is, and which service brings its jobs to their end."""

    __tablename__ = "database"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    """Random; a restored copy that lives on gets another."""
    leader: Mapped[str | None] = mapped_column(String(64))
    beats: Mapped[int] = mapped_column(BigInteger, default=0)
    """Grows while the leader is well: the others see it by clocks of their own."""


class IdempotencyKeyRow(Table):
    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("ix_idempotency_keys_job", "job_id"),)

    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_sha256: Mapped[str] = mapped_column(HexDigest)
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id"))
    """Null only within the transaction that makes the job."""
    created_at: Mapped[datetime] = mapped_column(Instant)
