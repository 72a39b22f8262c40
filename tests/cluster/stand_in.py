"""Stands in for an attempt: invents a record every 20 ms, follows the protocol to the letter, and notes all it does.

It writes down what the service acknowledged and when it measured on which cores, so that `history.py` can check it
against what the database says in the end. It knows its machine by the `sitecustomize` that `machine.py` has put there.
"""

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from tilewright.attempt_client import AttemptClient
from tilewright.contract.attempts import (
    BriefedWorkload,
    Cause,
    Failed,
    Finished,
    Interrupted,
    LaunchOrder,
    Publication,
    RecordBatch,
    Renewal,
    Start,
    WorkloadFailure,
    WorkloadOutcome,
)
from tilewright.contract.candidates import Choice, candidate_fields
from tilewright.contract.hosts import Host
from tilewright.contract.records import MeasuredRecord, Provenance, RecordState
from tilewright.contract.schedules import Verification
from tilewright.contract.target import Target
from tilewright.errors import Conflict, ScheduleChanged, TilewrightError
from tilewright_kernels.isa.host import this_host

from . import directions
from .directions import Directions
from .observations import Notebook

RENEW_SECONDS = 0.5
TWIN = "STAND_IN_TWIN"


class Interruption(Exception):
    """Nobody wants the job any more."""


class StandIn:
    def __init__(self, order: LaunchOrder, machine: Path) -> None:
        self.order, self.machine = order, machine
        self.host = this_host()
        self.client = AttemptClient(order)
        self.progress, self.cancelled = 0, threading.Event()
        name = f"{order.job_id}-{order.attempt}-{os.getpid()}.jsonl"
        self._notebook = Notebook(machine / "notes" / name)

    def run(self) -> None:
        brief = self.client.start(Start(host=self.host, process=uuid.uuid4().hex))
        self.note("started")
        isa = self.host.isas[0] if brief.target == "auto" else brief.target
        self.target = Target(isa=isa, threads=brief.threads)
        threading.Thread(target=self._renew, name="lease", daemon=True).start()
        try:
            while (briefed := self._next()) is not None:
                self._tune(briefed)
            self.client.report_result(Finished())
        except Interruption:
            self.client.report_result(Interrupted())
        self.note("ended")

    def note(self, kind: str, at: float | None = None, **facts: object) -> float:
        key = {"host": self.machine.name, "job": self.order.job_id, "attempt": self.order.attempt, "pid": os.getpid()}
        return self._notebook.note(kind, at, **key, **facts)

    def _next(self) -> BriefedWorkload | None:
        asked = time.monotonic()
        briefed = self.client.next().workload
        if briefed is not None:
            self.note("assigned", workload=briefed.workload.id, asked=asked)
        return briefed

    def _renew(self) -> None:
        while Directions.read(self.machine).fault != directions.SILENCE:
            try:
                if self.client.renew(Renewal(progress=self.progress)).cancel:
                    self.cancelled.set()
            except Conflict:  # somebody else has the job now
                os._exit(3)
            except TilewrightError:
                os._exit(4)
            time.sleep(RENEW_SECONDS)

    def _tune(self, briefed: BriefedWorkload) -> None:
        workload, began = briefed.workload, time.monotonic()
        fault = Directions.read(self.machine).fault_at(workload.height)
        if fault == directions.FAIL_WORKLOAD:
            failure = WorkloadFailure(workload_id=workload.id, reason="the stand-in fails as it was told")
            self.client.report_failure(failure)
            return
        self._misbehave(workload.height)
        history = self.client.history(workload.id, self.target.isa)
        known, number = {record.candidate for record in history.records}, 0
        for _ in range(briefed.trials):
            while (record := self._record(workload.id, number)).candidate in known:
                number += 1
            self._measure(workload.id)
            self._send(record)
            number += 1
            self._misbehave(workload.height)
        schedule_id = self._publish(workload.id)
        asked = time.monotonic()
        self.client.report_outcome(
            WorkloadOutcome(
                workload_id=workload.id,
                stop_reason="budget",
                seconds=time.monotonic() - began,
                schedule_id=schedule_id,
            )
        )
        self.note("outcome", workload=workload.id, asked=asked, schedule=schedule_id)

    def _measure(self, workload_id: str) -> None:
        cores = sorted(os.sched_getaffinity(0))[: self.order.threads]
        began = self.note("measure", workload=workload_id, cores=cores)
        time.sleep(Directions.read(self.machine).trial_seconds)
        self.note("measured", workload=workload_id, cores=cores, began=began)

    def _send(self, record: MeasuredRecord) -> None:
        stored = self.client.send_records(RecordBatch(records=[record])).stored
        self.note(
            "record", workload=record.workload_id, candidate=record.candidate, isa=record.target.isa, stored=stored
        )
        self.progress += 1

    def _misbehave(self, height: int) -> None:
        fault = Directions.read(self.machine).fault_at(height)
        match fault:
            case directions.CRASH:
                sys.exit("the stand-in crashes as it was told")
            case directions.HANG | directions.SILENCE:
                time.sleep(3600)
            case directions.OUT_OF_MEMORY:
                os.kill(os.getpid(), signal.SIGKILL)
            case directions.FAIL_HOST:
                self.client.report_result(Failed(cause=Cause.HOST, reason="the disk of the stand-in is full"))
                sys.exit()
        if self.cancelled.is_set() and fault != directions.IGNORE_CANCEL:
            raise Interruption

    def _publish(self, workload_id: str) -> int:
        """The schedule that is served from now on."""
        for _ in range(5):
            incumbent = self.client.history(workload_id, self.target.isa).incumbent
            if incumbent is not None and incumbent.latency_us <= 90.0:
                return incumbent.id
            asked = time.monotonic()
            try:
                schedule = self.client.publish(self._publication(workload_id, incumbent.id if incumbent else None))
            except ScheduleChanged:
                continue
            self.note("published", workload=workload_id, asked=asked, schedule=schedule.id)
            return schedule.id
        raise AssertionError("five others published meanwhile")

    def _record(self, workload_id: str, number: int) -> MeasuredRecord:
        return MeasuredRecord(
            workload_id=workload_id,
            target=self.target,
            **candidate_fields(invented_choice(number)),
            state=RecordState.MEASURED,
            latencies_us=[100.0 + number],
            latency_us=100.0 + number,
            spread_us=0.5,
            seconds=0.02,
            provenance=provenance(self.order, self.host),
        )

    def _publication(self, workload_id: str, replaces: int | None) -> Publication:
        return Publication(
            workload_id=workload_id,
            target=self.target,
            **candidate_fields(invented_choice(0)),
            latencies_us=[90.0],
            latency_us=90.0,
            spread_us=0.5,
            peak_gmacs=100.0,
            default_latency_us=900.0,
            verification=Verification(reference="none", inputs=["none"], elements=1),
            script="# nothing",
            replaces=replaces,
            provenance=provenance(self.order, self.host),
        )


def invented_choice(number: int) -> Choice:
    return Choice(space="invented", version=1, decisions={"number": number})


def provenance(order: LaunchOrder, host: Host) -> Provenance:
    return Provenance(
        job_id=order.job_id,
        attempt=order.attempt,
        host_class=host.host_class,
        tvm_version="0",
        llvm_version="0",
        tilewright_version="0",
        measured_at=datetime.now(UTC),
    )


def end_with_parent() -> None:
    """Standard input ends when the launching process does."""
    sys.stdin.read()
    os._exit(1)


def main() -> int:
    machine = Path(import_module("sitecustomize").MACHINE)
    line = sys.stdin.readline()
    if not line:
        return 0
    threading.Thread(target=end_with_parent, name="parent", daemon=True).start()
    _deliver_to_twins(line, Directions.read(machine).twins)
    try:
        StandIn(LaunchOrder.model_validate_json(line), machine).run()
    except TilewrightError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _deliver_to_twins(line: str, count: int) -> None:
    """The order reaches so many more processes, as from an engine that delivers a message again."""
    if TWIN in os.environ:
        return
    for _ in range(count):
        command = [sys.executable, "-m", "tests.cluster.stand_in"]
        twin = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, env={**os.environ, TWIN: "1"})
        assert twin.stdin is not None
        twin.stdin.write(line)
        twin.stdin.flush()


if __name__ == "__main__":
    sys.exit(main())
