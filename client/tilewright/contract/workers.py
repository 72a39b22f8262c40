"""Where attempts run, and what a worker and the service say to each other through the engine, as JSON."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StrictInt

from tilewright.contract.hosts import Host
from tilewright.contract.message import DatabaseId, Message, PlainName, RowId
from tilewright.contract.target import Isa


class AttemptKey(Message):
    """Names one attempt of one job."""

    job_id: RowId
    attempt: Annotated[StrictInt, Field(ge=1)]


class AttemptIdentity(Message):
    """Names one attempt among those of all databases: services that share a scheduler share its workers."""

    database_id: DatabaseId
    job_id: RowId
    attempt: Annotated[StrictInt, Field(ge=1)]

    @classmethod
    def of(cls, database_id: str, key: AttemptKey) -> Self:
        return cls(database_id=database_id, job_id=key.job_id, attempt=key.attempt)

    @property
    def key(self) -> AttemptKey:
        """For whoever knows the database."""
        return AttemptKey(job_id=self.job_id, attempt=self.attempt)


class WorkerState(StrEnum):
    IDLE = "idle"
    RUNNING = "running"
    BUSY = "busy"
    """Somebody else on its machine measures on its cores."""
    DRAINING = "draining"
    """It was asked to end, and takes nothing more."""
    SET_ASIDE = "set_aside"
    """Its host failed attempts of different workloads, or says itself what ails it; it is probed now and then."""
    SILENT = "silent"
    """It has joined, and does not answer."""


class Worker(Message):
    """A process that runs one attempt at a time, on the cores that its job asks for."""

    name: str
    hostname: str
    host_class: str | None = None
    isas: tuple[Isa, ...] = ()
    cores: int
    state: WorkerState
    reason: str | None = None
    """Why it gets no work, to a person."""
    since: datetime | None = None
    """When that began."""
    running: AttemptKey | None = None


class AttemptEnd(Message):
    """How the child process of an attempt ended, as its worker saw it."""

    exit_code: int | None
    """None when it never started; negative for a signal."""
    reason: str | None = None
    """The end of its standard error, or why it never started."""
    is_of_host: bool = False
    """It never started, and that lies at the worker's host: no memory, no descriptors, no disk."""
    is_of_moment: bool = False
    """Nobody is to blame: the cores were taken, the worker was leaving."""


class EndedAttempt(Message):
    identity: AttemptIdentity
    end: AttemptEnd


class WorkerReport(Message):
    """What a worker says of itself whenever the engine asks."""

    name: Annotated[PlainName, Field(min_length=1)]
    """Its own, and of no other process ever."""
    version: Annotated[str, Field(max_length=64)]
    """Of Tilewright; a service gives work only to workers of its own version."""
    host: Host
    cores: Annotated[StrictInt, Field(ge=1)]
    """That it may use."""
    running: list[AttemptIdentity] = []
    ended: list[EndedAttempt] = []
    """The newest few."""
    is_draining: bool = False
    busy: str | None = None
    """Who has its cores, when that is somebody else."""


class ProbeReport(Message):
    """Whether a worker's host is fit to measure, and finds the way to the service."""

    ailment: str | None
    """What is wrong, to a person, with what to do; None when all is well."""
