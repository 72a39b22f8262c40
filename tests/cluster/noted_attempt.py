"""What makes a real attempt one of the bench: it notes what was acknowledged to it.

Where its machine's directions say so, its evaluators misbehave: every few builds one runs a function of
`misbehaviours.py` in the place of TVM, behind all limits that hold for whatever a candidate does.
"""

import os
import time
from dataclasses import dataclass
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import tilewright.attempt_client
from tilewright.attempt_client import AttemptClient
from tilewright.contract.attempts import (
    Assignment,
    AttemptBrief,
    Publication,
    RecordBatch,
    Start,
    Stored,
    WorkloadOutcome,
)
from tilewright.contract.candidates import Candidate
from tilewright.contract.schedules import Schedule
from tilewright_tuning import evaluation, pool, trials
from tilewright_tuning.limits import Limits

from . import misbehaviours
from .directions import Directions
from .observations import Notebook

MACHINE = Path(import_module("sitecustomize").MACHINE)
LIMITS = Limits.of_this_host()


class NotingClient(AttemptClient):
    """Writes down what the service has said."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        name = f"{self.order.job_id}-{self.order.attempt}-{os.getpid()}.jsonl"
        self._notebook = Notebook(MACHINE / "notes" / name)

    def start(self, start: Start) -> AttemptBrief:
        brief = super().start(start)
        self.note("started")
        return brief

    def next(self) -> Assignment:
        asked = time.monotonic()
        assignment = super().next()
        if assignment.workload is not None:
            BUILDS.workload_id = assignment.workload.workload.id
            self.note("assigned", workload=assignment.workload.workload.id, asked=asked)
        return assignment

    def send_records(self, batch: RecordBatch) -> Stored:
        stored = super().send_records(batch)
        for record in batch.records:
            self.note("record", workload=record.workload_id, candidate=record.candidate, isa=record.target.isa)
        return stored

    def publish(self, publication: Publication) -> Schedule:
        asked = time.monotonic()
        schedule = super().publish(publication)
        self.note(
            "published",
            workload=publication.workload_id,
            asked=asked,
            schedule=schedule.id,
            candidate=schedule.candidate,
        )
        return schedule

    def report_outcome(self, outcome: WorkloadOutcome) -> None:
        asked = time.monotonic()
        super().report_outcome(outcome)
        self.note("outcome", workload=outcome.workload_id, asked=asked, schedule=outcome.schedule_id)

    def note(self, kind: str, **facts: Any) -> None:
        key: dict[str, Any] = {
            "host": MACHINE.name,
            "job": self.order.job_id,
            "attempt": self.order.attempt,
            "pid": os.getpid(),
        }
        self._notebook.note(kind, **key, **facts)


@dataclass(frozen=True)
class Misbehave(evaluation.Build):
    """A build that never comes to an end by itself."""

    answer: ClassVar[Any] = None
    function: str = ""
    folder: str = ""

    def execute(self, _: evaluation.Evaluation, /) -> None:
        getattr(misbehaviours, self.function)(Path(self.folder))


class Builds:
    """Makes the commands of builds, and notes them."""

    workload_id: str
    """That is being tuned."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._notebook = Notebook(MACHINE / "notes" / f"builds-{os.getpid()}.jsonl")

    def of_trial(self, candidate: Candidate) -> evaluation.Build:
        """As directed, every few of them misbehave."""
        directions = Directions.read(MACHINE)
        if directions.evaluators is None or next(self._numbers) % directions.one_build_in:
            return self.of_final(candidate)
        self._notebook.note("misbehaved", how=directions.evaluators, workload=self.workload_id, candidate=candidate.id)
        return Misbehave(candidate, directions.evaluators, str(MACHINE / "files"))

    def of_final(self, candidate: Candidate) -> evaluation.Build:
        self._notebook.note("build", workload=self.workload_id, candidate=candidate.id)
        return evaluation.Build(candidate)


BUILDS = Builds()


def limits() -> Limits:
    memory_bytes = Directions.read(MACHINE).evaluator_bytes
    return LIMITS if memory_bytes is None else Limits(memory_bytes)


def install() -> None:
    """In this process, before it imports the attempt."""
    tilewright.attempt_client.AttemptClient = NotingClient  # type: ignore[misc]
    trials.Build = BUILDS.of_trial  # type: ignore[attr-defined, assignment]
    pool.Build = BUILDS.of_final  # type: ignore[attr-defined, assignment]
    Limits.of_this_host = limits  # type: ignore[method-assign]
