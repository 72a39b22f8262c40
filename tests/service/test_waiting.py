"""A job that waits says what for, as it is when somebody asks."""

import pytest

from tilewright.contract.attempts import Finished, WorkloadOutcome
from tilewright.contract.workers import Worker, WorkerState
from tilewright_service.store.jobs import get_job
from tilewright_service.store.waiting import FRONT, Capacity

from .in_thread import ServiceInThread
from .running import workload
from .stand_in import HOST, START

ONE = Worker(
    name="one",
    hostname=HOST.hostname,
    host_class=HOST.host_class,
    isas=HOST.isas,
    cores=2,
    state=WorkerState.RUNNING,
)
BUSY, FREE = (Capacity((ONE.model_copy(update={"state": state}),)) for state in (WorkerState.RUNNING, WorkerState.IDLE))


def reason(service: ServiceInThread, job_id: int, capacity: Capacity | None = BUSY) -> str | None:
    """As the service says it when the dispatcher has seen such workers."""
    with service.database.reading() as session:
        return get_job(session, job_id, capacity).reason


@pytest.fixture
def queue(service: ServiceInThread) -> list[int]:
    return [service.submit(height=height)["id"] for height in (8, 9, 10, 11)]


def test_without_workers_it_says_so_and_without_enough_cores_too(service: ServiceInThread) -> None:
    job = service.submit(threads=4)["id"]
    assert reason(service, job, Capacity()) == "it waits: no worker has joined yet"
    words = "it waits: it asks for more threads than the 2 cores of the largest worker"
    assert reason(service, job) == words


def test_it_says_how_many_jobs_come_first(service: ServiceInThread, queue: list[int]) -> None:
    assert [reason(service, job) for job in queue[1:]] == [
        "it waits: 1 job is before it",
        "it waits: 2 jobs are before it",
        "it waits: 3 jobs are before it",
    ]
    urgent = service.submit(height=12, priority=5)["id"]
    assert reason(service, queue[0]) == "it waits: 1 job is before it"
    assert reason(service, urgent) == "it waits: no worker is free"


def test_jobs_that_no_worker_can_take_are_not_in_the_way(service: ServiceInThread, queue: list[int]) -> None:
    service.submit(height=12, priority=5, threads=4)
    assert reason(service, queue[1]) == "it waits: 1 job is before it"


def test_a_long_queue_is_not_counted_to_its_end(service: ServiceInThread) -> None:
    bodies = [{"workloads": [workload(1 + number)]} for number in range(FRONT + 2)]
    jobs = [service.http.post("/v1/jobs", json=body).json()["id"] for body in bodies]
    assert reason(service, jobs[FRONT - 1]) == f"it waits: {FRONT - 1} jobs are before it"
    assert reason(service, jobs[-1]) == f"it waits: at least {FRONT} jobs are before it"


def test_the_next_one_names_the_jobs_that_have_the_workers(service: ServiceInThread, queue: list[int]) -> None:
    said = []
    for _ in range(3):
        service.begin_attempt(START)
        waiting = [each for each in queue if service.job(each)["state"] == "queued"]
        said.append(reason(service, waiting[0]))
    assert said == [
        f"it waits: job {queue[0]} is running",
        f"it waits: jobs {queue[0]} and {queue[1]} are running",
        f"it waits: jobs {queue[0]}, {queue[1]} and {queue[2]} are running",
    ]
    service.begin_attempt(START)
    assert reason(service, service.submit(height=12)["id"]) == "it waits: 4 jobs are running"


def test_it_waits_for_its_worker_until_the_attempt_has_started(service: ServiceInThread, queue: list[int]) -> None:
    ready = "it waits: a worker is being made ready"
    assert reason(service, queue[0], None) == "it waits: a worker is being looked for"
    assert reason(service, queue[0], FREE) == ready
    attempt = service.begin_attempt()
    assert service.job(queue[0])["state"] == "running"
    assert reason(service, queue[0]) == ready.removeprefix("it waits: ")
    attempt.start(START)
    assert reason(service, queue[0]) is None


def test_why_the_last_attempt_ended_is_not_forgotten(service: ServiceInThread, queue: list[int]) -> None:
    service.lose(service.begin_attempt(START), "the worker was lost")
    assert reason(service, queue[0], FREE) == (
        "it waits: a worker is being made ready; its last attempt ended: the worker was lost"
    )
    assert service.begin_attempt(START).order.job_id == queue[0]
    assert reason(service, queue[0]) is None


def test_a_page_says_it_of_each_job(service: ServiceInThread, queue: list[int]) -> None:
    service.begin_attempt(START)
    with service.begin_attempt(START) as attempt:
        workload_id = service.job(attempt.order.job_id)["workloads"][0]["workload_id"]
        attempt.report_outcome(
            WorkloadOutcome(workload_id=workload_id, stop_reason="trials", seconds=1.0, schedule_id=None)
        )
        attempt.report_result(Finished())
    items = service.http.get("/v1/jobs").json()["items"]
    assert [each["reason"] for each in items] == [
        "it waits: 1 job is before it",
        "it waits: a worker is being made ready",
        None,
        None,
    ]


def test_a_job_that_has_ended_keeps_its_own_reason(service: ServiceInThread, queue: list[int]) -> None:
    service.http.post(f"/v1/jobs/{queue[2]}/cancel")
    assert reason(service, queue[2]) == "cancelled before it ran"
