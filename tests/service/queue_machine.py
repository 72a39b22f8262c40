"""Queue, leases and blame under whatever may happen, in any order, with a clock that the machine turns itself.

The reconciler and the store are the real ones; workers and attempts are played. What was acknowledged is remembered,
and compared with the database after every step.
"""

import uuid
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count, cycle
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import text

from tilewright.contract.attempts import (
    Cause,
    Failed,
    Finished,
    Interrupted,
    LaunchOrder,
    Publication,
    Renewal,
    Report,
    Start,
    WorkloadFailure,
    WorkloadOutcome,
)
from tilewright.contract.candidates import Choice, candidate_fields
from tilewright.contract.jobs import JobRequest, JobState
from tilewright.contract.records import MeasuredRecord, Provenance, RecordState
from tilewright.contract.schedules import Verification
from tilewright.contract.target import Target
from tilewright.contract.workers import AttemptEnd, AttemptIdentity, AttemptKey
from tilewright.contract.workload import Workload
from tilewright.errors import Conflict, InvalidRequest, StaleAttempt
from tilewright_service.dispatch.reconciler import Reconciler
from tilewright_service.settings import Settings
from tilewright_service.store.assignment import assign_workload
from tilewright_service.store.attempts import (
    conclude_workload,
    fail_workload,
    renew_lease,
    report_result,
    start_attempt,
)
from tilewright_service.store.database import Database
from tilewright_service.store.endings import cancel_job
from tilewright_service.store.jobs import get_job
from tilewright_service.store.record_intake import store_records
from tilewright_service.store.schedules import publish
from tilewright_service.store.submissions import submit

from .played_engine import PlayedEngine, PlayedWorker

LEASE_SECONDS = 10.0
PEOPLE = st.sampled_from(["ada", "grace", ""])
REPORTS: list[Report] = [
    Finished(),
    *(Failed(cause=cause, reason="as it was told") for cause in Cause),
    Interrupted(),
]
ENDS = [
    AttemptEnd(exit_code=-9, reason="it was killed"),
    AttemptEnd(exit_code=1, reason="as it was told"),
    AttemptEnd(exit_code=None, reason="no memory", is_of_host=True),
    AttemptEnd(exit_code=0),
    AttemptEnd(exit_code=None, reason="the cores are taken", is_of_moment=True),
]
PATIENT_ROUNDS = 400
"""So many seconds, at most, after all is well again, until every job has ended."""


class Process:
    """An attempt's, as it knows itself; its worker need not know what became of it."""

    def __init__(self, order: LaunchOrder, worker: PlayedWorker) -> None:
        self.order, self.worker, self.key = order, worker, order.identity.key
        self.nonce = uuid.uuid4().hex
        self.is_started = False
        self.workload: str | None = None
        self.progress = 0

    @property
    def is_alive(self) -> bool:
        return self.order.identity in self.worker.running and self.worker.is_here


class QueueMachine(RuleBasedStateMachine):
    database: Database
    """Set by whoever runs it."""

    def __init__(self) -> None:
        super().__init__()
        _empty(self.database)
        self.workers = [
            PlayedWorker("one-1", "one"),
            PlayedWorker("two-1", "two"),
            PlayedWorker("two-2", "two", cores=1),
        ]
        self.engine = PlayedEngine(self.workers)
        self.processes: dict[AttemptIdentity, Process] = {}
        self.jobs: list[int] = []
        self.numbers, self.reports, self.ends = count(), cycle(REPORTS), cycle(ENDS)
        self.stored: Counter[int] = Counter()
        self.done: dict[tuple[int, str], int | None] = {}
        self.final: dict[int, str] = {}

    @initialize(services=st.integers(1, 2))
    def begin(self, services: int) -> None:
        wanted = 1 if self.database.is_sqlite else services
        self.services = [self._service(number) for number in range(wanted)]
        self.submit("ada", [1, 2, 3], 3, 1, 0, "auto")

    # What people do

    @rule(
        user=PEOPLE,
        heights=st.lists(st.integers(1, 6), min_size=1, max_size=3, unique=True),
        trials=st.integers(1, 4),
        threads=st.sampled_from([1, 1, 1, 2, 3]),
        priority=st.sampled_from([0, 0, 5]),
        path=st.sampled_from(["auto", "auto", "x86_64", "avx2"]),
    )
    def submit(self, user: str, heights: list[int], trials: int, threads: int, priority: int, path: Any) -> None:
        request = JobRequest(
            workloads=[workload(height) for height in heights],
            trials=trials,
            threads=threads,
            priority=priority,
            target=path,
        )
        key = uuid.uuid4().hex
        with self.database.writing() as session:
            first = submit(session, request, key, user).job_id
        with self.database.writing() as session:
            assert submit(session, request, key, user).job_id == first, "the same key gave another job"
        if first not in self.jobs:
            self.jobs.append(first)
        self._round()

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), user=PEOPLE, everybody=st.booleans())
    def cancel(self, data: st.DataObject, user: str, everybody: bool) -> None:
        job = data.draw(st.sampled_from(self.jobs))
        try:
            with self.database.writing() as session:
                cancel_job(session, job, user, everybody)
        except Conflict:
            assert user, "nobody in particular acts for all"

    # What time does

    @rule(seconds=st.sampled_from([1, 2, 4, 7]))
    def pass_time(self, seconds: int) -> None:
        """A round a second; attempts that run renew their leases meanwhile."""
        for _ in range(seconds):
            self.engine.now += 1
            for process in self._started():
                self._renew(process)
            self._round()

    @rule(seconds=st.sampled_from([4, 12]))
    def pass_time_in_silence(self, seconds: int) -> None:
        """Attempts are not heard of, and what they have to say comes when it is too late."""
        for _ in range(seconds):
            self.engine.now += 1
            self._round()
        for ghost in self._ghosts():
            self._haunt(ghost)

    @rule(seconds=st.sampled_from([6, 30, 3600]))
    def sleep(self, seconds: int) -> None:
        """The services are stopped so long, or the wall jumps: nothing is heard, nothing is judged."""
        self.engine.now += seconds
        self._round()

    # What attempts do

    @precondition(lambda self: self._alive())
    @rule(data=st.data(), times=st.integers(1, 6))
    def act(self, data: st.DataObject, times: int) -> None:
        """One of them after the other does one of the things that it may do."""
        for _ in range(times):
            alive = self._alive()
            if alive:
                process = data.draw(st.sampled_from(alive))
                data.draw(st.sampled_from(self._acts(process)))(process)

    def _acts(self, process: Process) -> list[Callable[[Process], object]]:
        if not process.is_started:
            return [self._start, self._start_twice, self._crash]
        if process.workload is None:
            return [self._next, self._next, self._end, self._crash, self._write_of_others]
        return [self._measure, self._conclude, self._conclude_empty, self._fail, self._next, self._end, self._crash]

    def _start_twice(self, process: Process) -> None:
        self._start(process)
        twin = Start(host=process.worker.host, process=uuid.uuid4().hex)
        if process.is_started:
            self._expect_refusal(lambda session: start_attempt(session, process.key, twin, LEASE_SECONDS))

    def _end(self, process: Process) -> None:
        self._report(process, next(self.reports))

    def _crash(self, process: Process) -> None:
        process.worker.end(process.order.identity, next(self.ends))

    def _fail(self, process: Process) -> None:
        failure = WorkloadFailure(workload_id=process.workload or "", reason="as it was told")
        self._call(process, lambda session: fail_workload(session, process.key, failure))
        process.workload = None

    def _write_of_others(self, process: Process) -> None:
        """It is confused, and speaks for a workload of its job that it does not have."""
        question = f"SELECT workload_id, state FROM job_workloads WHERE job_id = {process.key.job_id}"
        for foreign, state in self._rows(question):
            if state != "done":
                outcome = WorkloadOutcome(workload_id=foreign, stop_reason="trials", seconds=1.0, schedule_id=None)
                self._expect_refusal(lambda session, said=outcome: conclude_workload(session, process.key, said))

    @precondition(lambda self: self._ghosts())
    @rule(data=st.data())
    def write_late(self, data: st.DataObject) -> None:
        """Of an attempt that was ended, and does not know it."""
        self._haunt(data.draw(st.sampled_from(self._ghosts())))

    def _haunt(self, ghost: Process) -> None:
        capacity = self.services[0].capacity()
        self._expect_refusal(lambda session: assign_workload(session, ghost.key, capacity))
        self._expect_refusal(lambda session: renew_lease(session, ghost.key, Renewal()))
        if ghost.workload is not None:
            self._conclude(ghost)

    @rule(steps=st.integers(1, 4))
    def behave(self, steps: int) -> None:
        """All do what healthy attempts do."""
        for _ in range(steps):
            for process in self._alive():
                self._behave(process)

    # What goes wrong

    @rule(
        which=st.integers(0, 2),
        what=st.sampled_from(
            ["leaves", "falls silent", "ails", "engine away", "orders lost", "restart", "back", "back"]
        ),
    )
    def go_wrong(self, which: int, what: str) -> None:
        worker = self.workers[which]
        match what:
            case "leaves":
                worker.leave()
            case "falls silent":
                worker.silent_since = self.engine.now
            case "ails":
                worker.ails = True
            case "engine away":
                self.engine.away = "the scheduler is away"
            case "orders lost":
                self.engine.is_deaf = True
            case "restart":
                number = which % len(self.services)
                self.services[number] = self._service(number)
            case "back":
                self._mend()

    # What has to hold, always

    @invariant()
    def ends_stay(self) -> None:
        for job, state, finished in self._rows("SELECT id, state, finished_at FROM jobs"):
            assert self.final.get(job) in (None, state), f"job {job} was {self.final[job]}, and is {state}"
            assert JobState(state).is_final == (finished is not None)
            if JobState(state).is_final:
                self.final[job] = state

    @invariant()
    def each_worker_has_one_attempt(self) -> None:
        taken = Counter(worker for (worker,) in self._rows("SELECT worker FROM attempts WHERE is_open"))
        assert not [worker for worker, number in taken.items() if number > 1], taken

    @invariant()
    def each_workload_has_one_attempt(self) -> None:
        """That is open; and an attempt has one workload at a time."""
        held = self._rows("SELECT job_id, attempt FROM job_workloads WHERE state = 'running'")
        assert len(set(held)) == len(held), held
        opened = {tuple(row) for row in self._rows("SELECT job_id, number FROM attempts WHERE is_open")}
        assert {tuple(row) for row in held} <= opened

    @invariant()
    def states_of_jobs_follow(self) -> None:
        question = """
            SELECT j.id, j.state, j.wants_worker, j.cancel_requested_at,
                (SELECT count(*) FROM attempts a WHERE a.job_id = j.id AND a.is_open),
                (SELECT count(*) FROM attempts a WHERE a.job_id = j.id AND a.is_open AND NOT a.has_taken),
                (SELECT count(*) FROM job_workloads w WHERE w.job_id = j.id AND w.state = 'queued'),
                (SELECT count(*) FROM job_workloads w WHERE w.job_id = j.id AND w.state NOT IN ('done', 'failed')),
                (SELECT count(*) FROM job_workloads w WHERE w.job_id = j.id AND w.state = 'failed')
            FROM jobs j"""
        for job, state, wants, cancelled, opened, idle, queued, left, failed in self._rows(question):
            if state in ("finished", "failed"):
                assert left == 0, f"job {job} is {state} with {left} workloads left"
                assert (state == "failed") == (failed > 0)
            elif state == "cancelled":
                assert not wants
            else:
                assert left > 0, f"job {job} is {state}, and nothing is left"
                assert state == ("running" if opened else "queued")
                assert bool(wants) == (cancelled is None and queued > idle), f"job {job}"
                assert not (cancelled and not opened), f"job {job} was cancelled, has no attempt, and is {state}"

    @invariant()
    def nothing_acknowledged_is_lost(self) -> None:
        stored = Counter(dict(self._rows("SELECT job_id, count(*) FROM records GROUP BY job_id")))
        assert stored == self.stored
        trials = Counter(dict(self._rows("SELECT job_id, sum(trials) FROM job_workloads GROUP BY job_id")))
        assert +trials == self.stored
        states = {
            (job, id): (state, schedule)
            for job, id, state, schedule in self._rows(
                "SELECT job_id, workload_id, state, schedule_id FROM job_workloads"
            )
        }
        for (job, id), schedule in self.done.items():
            assert states[job, id] == ("done", schedule)

    @invariant()
    def events_end_once(self) -> None:
        ended: set[int] = set()
        for job, kind in self._rows("SELECT job_id, type FROM events ORDER BY id"):
            assert job not in ended, f"after the end of job {job} came {kind}"
            if kind in ("finished", "failed", "cancelled"):
                ended.add(job)
        assert ended == set(self.final)

    def teardown(self) -> None:
        """All is well again: every job ends, or says what it lacks."""
        if not hasattr(self, "services"):
            return
        self._mend()
        for _ in range(PATIENT_ROUNDS):
            self.engine.now += 1
            self._round()
            for process in list(self.processes.values()):
                if process.is_alive:
                    self._behave(process)
            if not self._alive() and all(_cannot_run(reason) for reason in self._waiting().values()):
                break
        for job, reason in self._waiting().items():
            assert _cannot_run(reason), f"job {job} still waits: {reason}"
        self.ends_stay()
        self.nothing_acknowledged_is_lost()
        self.events_end_once()

    # Their parts

    def _mend(self) -> None:
        self.engine.away, self.engine.is_deaf = None, False
        for worker in self.workers:
            worker.is_here, worker.silent_since, worker.ails = True, None, False

    def _service(self, number: int) -> Reconciler:
        settings = Settings(lease_seconds=LEASE_SECONDS)
        return Reconciler(
            self.database, self.engine, settings, f"service-{number}", lambda: "http://127.0.0.1:8000", self._clock
        )

    def _clock(self) -> float:
        return self.engine.now

    def _round(self) -> None:
        for service in self.services:
            service.reconcile()
        for worker in self.workers:
            for identity, order in worker.running.items():
                self.processes.setdefault(identity, Process(order, worker))

    def _behave(self, process: Process) -> None:
        """As a healthy attempt does, one step."""
        if not process.is_started:
            self._start(process)
        elif process.workload is None:
            self._next(process)
            if process.workload is None and process.is_alive:
                self._report(process, Finished())
        else:
            self._measure(process)
            self._conclude(process)

    def _start(self, process: Process) -> None:
        start = Start(host=process.worker.host, process=process.nonce)
        brief = self._call(process, lambda session: start_attempt(session, process.key, start, LEASE_SECONDS))
        process.is_started = brief is not None

    def _renew(self, process: Process) -> None:
        process.progress += 1
        self._call(process, lambda session: renew_lease(session, process.key, Renewal(progress=process.progress)))

    def _next(self, process: Process) -> None:
        capacity = self.services[0].capacity()
        assignment = self._call(process, lambda session: assign_workload(session, process.key, capacity))
        process.workload = assignment.workload.workload.id if assignment and assignment.workload else None

    def _measure(self, process: Process) -> None:
        assert process.workload is not None
        record = invented_record(process.key, process.workload, process.order.threads, next(self.numbers))
        try:
            stored = self._call(process, lambda session: store_records(session, process.key, [record]))
        except InvalidRequest:  # more than twice the trials that were asked for
            return
        if stored is not None:
            self.stored[process.key.job_id] += stored

    def _conclude_empty(self, process: Process) -> None:
        self._conclude(process, with_schedule=False)

    def _conclude(self, process: Process, with_schedule: bool = True) -> None:
        assert process.workload is not None
        schedule = self._publish(process) if with_schedule else None
        outcome = WorkloadOutcome(workload_id=process.workload, stop_reason="trials", seconds=1.0, schedule_id=schedule)
        had = self._holder(process)

        def conclude(session: Any) -> bool:
            conclude_workload(session, process.key, outcome)
            return True

        if self._call(process, conclude):
            assert had, f"{process.key} had no authority over {process.workload}"
            where = (process.key.job_id, process.workload)
            rows = self._rows(
                f"SELECT schedule_id FROM job_workloads WHERE job_id = {where[0]} AND workload_id = '{where[1]}'"
            )
            self.done[where] = rows[0][0]
            assert schedule is None or self.done[where] == schedule
        process.workload = None

    def _publish(self, process: Process) -> int | None:
        assert process.workload is not None
        rows = self._rows(f"SELECT id FROM schedules WHERE workload_id = '{process.workload}' AND is_current")
        threads = process.order.threads
        current = [row[0] for row in rows if self._threads_of(row[0]) == threads]
        publication = invented_publication(process.key, process.workload, threads, current[0] if current else None)
        published = self._call(process, lambda session: publish(session, process.key, publication))
        return None if published is None else int(published.id)

    def _threads_of(self, schedule: int) -> int:
        return int(self._rows(f"SELECT threads FROM schedules WHERE id = {schedule}")[0][0])

    def _report(self, process: Process, report: Report) -> None:
        self._call(process, lambda session: report_result(session, process.key, report))
        process.worker.end(process.order.identity, AttemptEnd(exit_code=0))
        process.is_started = False
        self._round()

    def _holder(self, process: Process) -> bool:
        """Whether the database says that it is at what it thinks."""
        key = process.key
        return bool(
            self._rows(
                f"SELECT 1 FROM job_workloads w JOIN attempts a ON a.job_id = w.job_id AND a.number = w.attempt "
                f"WHERE w.job_id = {key.job_id} AND w.attempt = {key.attempt} AND a.is_open "
                f"AND w.workload_id = '{process.workload}' AND w.state IN ('running', 'done')"
            )
        )

    def _call(self, process: Process, call: Any) -> Any:
        """What it answers; None where the attempt has no authority any more, and then it ends."""
        try:
            with self.database.writing() as session:
                return call(session)
        except StaleAttempt:
            if not self._is_open(process.key):
                process.worker.end(process.order.identity, AttemptEnd(exit_code=1))
            return None

    def _expect_refusal(self, call: Any) -> None:
        try:
            with self.database.writing() as session:
                call(session)
        except StaleAttempt:
            return
        raise AssertionError("somebody without authority was heard")

    def _is_open(self, key: AttemptKey) -> bool:
        where = f"job_id = {key.job_id} AND number = {key.attempt} AND is_open"
        return bool(self._rows(f"SELECT 1 FROM attempts WHERE {where}"))

    def _alive(self) -> list[Process]:
        return [each for each in self.processes.values() if each.is_alive]

    def _started(self) -> list[Process]:
        return [each for each in self._alive() if each.is_started]

    def _ghosts(self) -> list[Process]:
        """Of attempts that were ended."""
        return [each for each in self.processes.values() if not self._is_open(each.key)]

    def _waiting(self) -> dict[int, str | None]:
        capacity = self.services[0].capacity()
        with self.database.reading() as session:
            found = [get_job(session, job, capacity) for job in self.jobs]
        return {job.id: job.reason for job in found if not job.state.is_final}

    def _rows(self, question: str) -> list[Any]:
        with self.database.reading() as session:
            return list(session.execute(text(question)))


def _cannot_run(reason: str | None) -> bool:
    """No worker will ever fit, and the job says so."""
    return reason is not None and ("asks for more threads" in reason or "no worker has" in reason)


def workload(height: int) -> Workload:
    return Workload(batch=1, in_channels=8, height=height, width=8, out_channels=8, kernel_size=(1, 1))


def invented_record(key: AttemptKey, workload_id: str, threads: int, number: int) -> MeasuredRecord:
    return MeasuredRecord(
        workload_id=workload_id,
        target=Target(isa="x86_64", threads=threads),
        **candidate_fields(Choice(space="invented", version=1, decisions={"number": number})),
        state=RecordState.MEASURED,
        latency_us=100.0,
        seconds=0.1,
        provenance=_provenance(key),
    )


def invented_publication(key: AttemptKey, workload_id: str, threads: int, replaces: int | None) -> Publication:
    return Publication(
        workload_id=workload_id,
        target=Target(isa="x86_64", threads=threads),
        **candidate_fields(Choice(space="invented", version=1, decisions={"number": 0})),
        latencies_us=[90.0],
        latency_us=90.0,
        spread_us=0.5,
        peak_gmacs=100.0,
        default_latency_us=900.0,
        verification=Verification(reference="none", inputs=["none"], elements=1),
        script="# nothing",
        replaces=replaces,
        provenance=_provenance(key),
    )


def _provenance(key: AttemptKey) -> Provenance:
    return Provenance(
        job_id=key.job_id,
        attempt=key.attempt,
        host_class="played",
        tvm_version="0",
        llvm_version="0",
        tilewright_version="0",
        measured_at=datetime.now(UTC),
    )


def _empty(database: Database) -> None:
    """As new, but for the numbers of rows."""
    kept = {"database", "alembic_version"}
    with database.writing() as session:
        if database.is_sqlite:
            session.execute(text("PRAGMA defer_foreign_keys = ON"))
        names = _tables(session)
        if not database.is_sqlite:
            session.execute(text(f"TRUNCATE {', '.join(sorted(names - kept))}"))
        for name in sorted(names - kept) if database.is_sqlite else ():
            session.execute(text(f"DELETE FROM {name}"))
        session.execute(text("UPDATE database SET leader = NULL"))


def _tables(session: Any) -> set[str]:
    from tilewright_service.store.tables import Table

    return set(Table.metadata.tables)
