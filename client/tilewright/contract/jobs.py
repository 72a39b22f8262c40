"""A request to tune one or more workloads for a target within a budget."""

from datetime import datetime
from enum import StrEnum
from textwrap import shorten
from typing import Annotated, Self

from pydantic import Field, StrictInt, model_validator

from tilewright.contract.hosts import HostClass
from tilewright.contract.message import Input, Message, RowId, Sha256
from tilewright.contract.target import TargetName, Threads
from tilewright.contract.workload import Batch, Workload

DEFAULT_TRIALS = 64


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in (JobState.FINISHED, JobState.FAILED, JobState.CANCELLED)


class JobRequest(Input):
    """Either `workloads` or `network`; `trials` and `seconds` are budgets for each workload."""

    workloads: Annotated[list[Workload], Field(min_length=1, max_length=1000)] | None = None
    network: Annotated[str, Field(max_length=64)] | None = None
    batch: Batch | None = None
    """Batch size of a network; workloads bring their own."""
    trials: Annotated[StrictInt, Field(ge=1, le=100_000)] = DEFAULT_TRIALS
    seconds: Annotated[float, Field(gt=0, le=86_400)] | None = None
    threads: Threads = 1
    target: TargetName = "auto"
    host_class: HostClass | None = None
    """Only hosts of this class may tune it; None is any that has the target."""
    priority: Annotated[StrictInt, Field(ge=-100, le=100)] = 0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.workloads is None) == (self.network is None):
            raise ValueError("give either workloads or network")
        if self.batch is not None and self.network is None:
            raise ValueError("batch goes with network; a workload brings its own batch")
        return self


class WorkloadState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        return self in (WorkloadState.DONE, WorkloadState.FAILED)


class WorkloadProgress(Message):
    """How far a job is with one of its workloads. Figures become known one after the other; until then they are null.

    They do not follow from `state`: after an interruption a queued workload has a best latency, too.
    """

    workload_id: Sha256
    name: str
    occurrences: int = 1
    """How often the network holds this convolution."""
    state: WorkloadState
    trials: int = 0
    """Trials of this job, failures included."""
    failed_trials: int = 0
    seconds: float | None = None
    """Time the search took; known when it has ended."""
    best_latency_us: float | None = None
    """Of this job's schedule, or until there is one of its records; known with the first that was measured."""
    best_gmacs: float | None = None
    share_of_peak: float | None = None
    """Of the schedule, as is what follows."""
    speedup_over_default: float | None = None
    """How many times as fast as TVM's default (untuned) schedule; not a comparison with other libraries."""
    schedule_id: RowId | None = None
    """Known when the attempt has published one, or has found none that is faster than the incumbent."""
    stop_reason: str | None = None
    """Why the search ended; `known` where none was needed."""
    known_from_job: RowId | None = None
    """The job that tuned this for the same target with at least this budget; None where this job does."""
    attempt: int | None = None
    """The one that is at it, or was last."""
    tries: int = 0
    """Attempts in a row that failed at it without a new record; after five it has failed."""
    reason: str | None = None
    """Why it failed, or why the last try did, to a person."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {', '.join([self.state, *self._figures()])}>"

    __str__ = __repr__

    def _figures(self) -> list[str]:
        best = [] if self.best_latency_us is None else [f"best {self.best_latency_us:.1f} us"]
        return [f"{self.trials} trials", *best]


class JobWorkload(WorkloadProgress):
    """One workload of a job, and the best so far."""

    workload: Workload


class Progress(Message):
    workloads: int
    workloads_done: int
    workloads_failed: int = 0
    trials: int
    trials_planned: int
    """An upper bound: the plateau stop usually needs fewer."""
    seconds_left: float | None = None
    """An estimate, not a bound; None before the first trial."""


class JobSummary(Message):
    """A job without its workloads, as lists have it."""

    id: RowId
    state: JobState
    reason: str | None = None
    """Why it waits, failed or was cancelled, to a person."""
    network: str | None = None
    first_workload: str | None = None
    """Its short name; in many jobs it is the only one."""
    target: TargetName
    threads: int
    host_class: str | None = None
    trials: int
    seconds: float | None
    priority: int
    owners: list[str] = []
    """Who wants it, the first one first; whoever withdraws is not in it any more."""
    attempt: int
    """Number of the newest attempt; 0 before the first."""
    attempts_open: int = 0
    """How many are at it now."""
    cancel_requested: bool = False
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    progress: Progress

    def __repr__(self) -> str:
        reason = [shorten(self.reason, 80, placeholder="...")] if self.reason else []
        return f"<Job {self.id}: {', '.join([self.state, *self._figures(), *reason])}>"

    __str__ = __repr__

    def _figures(self) -> list[str]:
        done = f"{self.progress.workloads_done} of {self.progress.workloads} workloads done"
        return [*filter(None, [self.network]), done, f"{self.progress.trials} trials"]


class Job(JobSummary):
    """With all of its workloads."""

    workloads: list[JobWorkload]

    def _figures(self) -> list[str]:
        if len(self.workloads) == 1:
            return [self.workloads[0].name, *self.workloads[0]._figures()]
        return super()._figures()
