"""Who gets which worker, and for how long."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, text, update

from tilewright.attempt_client import AttemptClient
from tilewright.contract.attempts import Finished, WorkloadOutcome
from tilewright.contract.target import Isa
from tilewright.contract.workers import Worker, WorkerState
from tilewright_service.store import assignment
from tilewright_service.store.assignment import TURN_SECONDS
from tilewright_service.store.instant import now
from tilewright_service.store.lanes import FEW, FIRST_HEADS, WorkerFacts, lanes
from tilewright_service.store.tables import LANE, AttemptRow, JobRow
from tilewright_service.store.waiting import Capacity

from .in_thread import WORKER, ServiceInThread, key_of
from .running import workload
from .stand_in import HOST, START

LARGE = replace(WORKER, name="large", hostname="large", cores=8)
OTHER = replace(WORKER, name="other", hostname="other", host_class="other", isas=(Isa.AVX2,))

MOST_OF_A_SUBMISSION = 11
"""Statements of a new job: is there one that does the same, is there room, five that write, is it known, and two on
what is before it; on SQLite one that begins.
"""


def ask(service: ServiceInThread, *heights: int, user: str = "ann", **options: Any) -> int:
    body = {"workloads": [workload(height) for height in heights], "trials": 10, **options}
    answer = service.http.post("/v1/jobs", json=body, headers={"Tilewright-User": user})
    return int(answer.raise_for_status().json()["id"])


def claimed(service: ServiceInThread, *workers: WorkerFacts) -> list[tuple[int, str]]:
    """All that is given out to these workers: job and worker."""
    free = {worker.name: worker for worker in workers}
    found = []
    while free and (claim := service.claim(list(free.values()))) is not None:
        found.append((claim.job_id, claim.worker))
        del free[claim.worker]
    return found


def named(*names: str) -> list[WorkerFacts]:
    return [replace(WORKER, name=name) for name in names]


def next_height(service: ServiceInThread, attempt: AttemptClient, *free: str) -> int | None:
    """What the attempt is given while these workers have nothing to do."""
    workers = [
        *(_worker(name, WorkerState.RUNNING) for name in ("one", "two")),
        *(_worker(name, WorkerState.IDLE) for name in free),
    ]
    with service.database.writing() as session:
        given = assignment.assign_workload(session, key_of(attempt), Capacity(tuple(workers))).workload
    return None if given is None else given.workload.height


def conclude(attempt: AttemptClient) -> None:
    assigned = attempt.next().workload
    assert assigned is not None
    attempt.report_outcome(
        WorkloadOutcome(workload_id=assigned.workload.id, stop_reason="trials", seconds=1.0, schedule_id=None)
    )


def _worker(name: str, state: WorkerState) -> Worker:
    return Worker(name=name, hostname=name, host_class=HOST.host_class, isas=WORKER.isas, cores=2, state=state)


def test_several_workers_take_shares_of_one_job_and_no_more_than_it_has_workloads(service: ServiceInThread) -> None:
    job = ask(service, 8, 9)
    assert claimed(service, *named("a", "b", "c")) == [(job, "a"), (job, "b")]


def test_each_attempt_of_a_job_has_a_workload_of_its_own(service: ServiceInThread) -> None:
    job = ask(service, 8, 9, 10)
    first, second = (service.begin_attempt(START, named(name)) for name in "ab")
    assert [each.next().workload.workload.height for each in (first, second)] == [8, 9]  # type: ignore[union-attr]
    conclude(first)
    conclude(second)
    conclude(second)
    assert first.next().workload is None
    first.report_result(Finished())
    second.report_result(Finished())
    assert service.job(job)["state"] == "finished"
    assert {each["attempt"] for each in service.job(job)["workloads"]} == {1, 2}


def test_a_job_goes_only_to_a_worker_that_has_what_it_needs(service: ServiceInThread) -> None:
    threads, path = ask(service, 8, threads=8), ask(service, 9, target="avx_vnni")
    host_class, any_host = ask(service, 10, host_class="other"), ask(service, 11)
    assert claimed(service, WORKER, LARGE, OTHER) == [(threads, "large"), (path, "one"), (host_class, "other")]
    assert claimed(service, LARGE) == [(any_host, "large")]


def test_small_jobs_pass_a_large_one_that_no_worker_can_take(service: ServiceInThread) -> None:
    large, small = ask(service, 8, threads=8, priority=9), ask(service, 9)
    assert claimed(service, WORKER) == [(small, "one")]
    assert claimed(service, LARGE) == [(large, "large")]


def test_a_small_job_takes_the_small_worker_so_that_large_ones_are_free_for_large_jobs(
    service: ServiceInThread,
) -> None:
    small = ask(service, 8)
    assert claimed(service, LARGE, WORKER) == [(small, "one")]


def test_people_take_turns_within_a_priority(service: ServiceInThread) -> None:
    ann = [ask(service, height, user="ann") for height in (8, 9, 10)]
    bob = [ask(service, height, user="bob") for height in (20, 21)]
    order = [job for job, _ in claimed(service, *named("a", "b", "c", "d"))]
    assert order == [ann[0], bob[0], ann[1], bob[1]]


def test_a_higher_priority_comes_before_any_turn(service: ServiceInThread) -> None:
    ask(service, 8, user="ann")
    urgent = [ask(service, height, user="bob", priority=1) for height in (9, 10)]
    assert [job for job, _ in claimed(service, *named("a", "b"))] == urgent


def test_an_attempt_goes_on_while_nobody_else_waits_and_leaves_for_a_higher_priority(service: ServiceInThread) -> None:
    ask(service, 8, 9, 10)
    attempt = service.begin_attempt(START)
    conclude(attempt)
    assert next_height(service, attempt) == 9
    ask(service, 20, priority=5)
    assert next_height(service, attempt) == 9, "what was begun is finished"
    conclude(attempt)
    assert next_height(service, attempt) is None


def test_who_has_more_workers_leaves_one_to_who_has_none_and_of_equals_after_a_while(service: ServiceInThread) -> None:
    ask(service, 8, 9, 10, 11, user="ann")
    first, second = (service.begin_attempt(START, named(name)) for name in ("one", "two"))
    conclude(first)
    ask(service, 20, user="bob")
    assert next_height(service, first) is None
    first.report_result(Finished())
    conclude(second)
    assert next_height(service, second) == 10, "bob has none yet, and ann one: the turn of 30 s is hers"
    conclude(second)
    with service.database.writing() as session:
        session.execute(update(AttemptRow).values(launched_at=now() - timedelta(seconds=TURN_SECONDS + 1)))
    assert next_height(service, second) is None


def test_a_person_does_not_take_turns_with_herself(service: ServiceInThread) -> None:
    ask(service, 8, 9, 10)
    attempt = service.begin_attempt(START)
    ask(service, 20)
    conclude(attempt)
    assert next_height(service, attempt) == 9


@pytest.mark.parametrize("jobs", [3, 60])
def test_a_claim_takes_as_many_statements_however_many_jobs_wait(
    service: ServiceInThread, jobs: int, statements: list[str]
) -> None:
    for height in range(jobs):
        ask(service, height + 1)
    statements.clear()
    assert service.claim() is not None
    assert len(statements) < 25


@pytest.mark.parametrize("people", [1, 12])
def test_a_submission_takes_as_many_statements_however_many_people_wait(
    service: ServiceInThread, people: int, statements: list[str]
) -> None:
    for number in range(people):
        ask(service, number + 1, user=f"user-{number}")
    statements.clear()
    ask(service, 99)
    assert len(statements) <= MOST_OF_A_SUBMISSION


def test_what_another_job_is_at_comes_last(service: ServiceInThread) -> None:
    ask(service, 9)
    service.begin_attempt(START, named("a"))
    ask(service, 9, 10, trials=11)
    assert service.begin_attempt(START, named("b")).next().workload.workload.height == 10  # type: ignore[union-attr]


def test_every_line_is_found_once_and_with_the_first_of_it(service: ServiceInThread) -> None:
    """Of jobs that differ in one thing, in another, or in none."""
    asked: list[tuple[int, str, int, str, str | None]] = [
        (priority, user, threads, target, host_class)
        for priority in (-1, 0, 2)
        for user in ("", "ann", "bob")
        for threads, target, host_class in ((1, "auto", None), (1, "avx2", "a"), (1, "avx2", "b"), (2, "auto", "a"))
    ]
    first: dict[tuple[Any, ...], int] = {}
    names = ("priority", "threads", "target", "host_class")
    for height, place in enumerate([*reversed(asked), *asked], start=8):
        options = dict(zip(names, (place[0], *place[2:]), strict=True))
        job = ask(service, height, user=place[1], **options)
        first.setdefault((*place[:4], place[4] or ""), job)
    with service.database.reading() as session:
        found = list(lanes(session))
    assert [(*each.place, each.first_job) for each in found] == [(*place, first[place]) for place in sorted(first)]


@pytest.mark.parametrize("more", [0, 1])
def test_many_lines_are_found_all_at_once(service: ServiceInThread, more: int, statements: list[str]) -> None:
    row = {"request_sha256": "", "version": "0", "state": "queued", "target": "auto", "threads": 1, "host_class": ""}
    rows = [
        {**row, "trials": 1, "priority": number, "submitter": "ann", "wants_worker": True, "created_at": now()}
        for number in range(FEW + more)
    ]
    with service.database.writing() as session:
        session.execute(insert(JobRow), rows)
        statements.clear()
        assert [lane.priority for lane in lanes(session)] == list(range(FEW + more))
        assert len(statements) == 1 + more


def test_to_find_who_is_next_costs_the_same_however_many_wait(service: ServiceInThread) -> None:
    """By the plan of SQLite: one step in the index, with all that is known of the line before."""
    if not service.database.is_sqlite:
        return
    with service.database.reading() as session:
        question = FIRST_HEADS.compile(session.connection(), compile_kwargs={"literal_binds": True})
        plan = " ".join(str(row) for row in session.execute(text(f"EXPLAIN QUERY PLAN {question}")))
    for shared in range(len(LANE)):
        steps = [*(f"{name}=?" for name in LANE[:shared]), f"{LANE[shared]}>?"]
        assert f"ix_jobs_lane ({' AND '.join(steps)})" in plan
