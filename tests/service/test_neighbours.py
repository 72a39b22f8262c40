"""An attempt is told what the team measured of workloads like the one that it tunes."""

from dataclasses import replace
from typing import Any

from tilewright.attempt_client import AttemptClient
from tilewright.contract.attempts import Finished, Neighbour, RecordBatch, WorkloadOutcome
from tilewright.contract.candidates import GenericTrace, candidate_fields
from tilewright.contract.records import FailureKind, NewRecord, RecordState, parse_record
from tilewright.contract.target import Isa, Target
from tilewright_service.store import neighbours as store

from .in_thread import WORKER, ServiceInThread
from .running import workload
from .stand_in import HOST, START, invented_choice, invented_record


def measured(
    service: ServiceInThread, height: int, *numbers: int, host_class: str = HOST.host_class, **changes: Any
) -> str:
    """A job of one workload that is finished, its records made up; gives the id of the workload."""
    target = changes.get("target", Target(isa=Isa.X86_64))
    service.submit(height, threads=target.threads, target=target.isa, trials=max(len(numbers), 10))
    host = HOST.model_copy(update={"host_class": host_class})
    workers = [replace(WORKER, host_class=host_class)]
    with service.begin_attempt(START.model_copy(update={"host": host}), workers) as attempt:
        workload_id = the_workload(service, attempt)
        records = [record(attempt, workload_id, number, host_class, **changes) for number in numbers]
        attempt.send_records(RecordBatch(records=records))
        conclude(attempt, workload_id)
    return workload_id


def conclude(attempt: AttemptClient, workload_id: str) -> None:
    """Without a schedule, so that nothing is known."""
    attempt.report_outcome(
        WorkloadOutcome(workload_id=workload_id, stop_reason="trials", seconds=1.0, schedule_id=None)
    )
    attempt.report_result(Finished())


def record(attempt: AttemptClient, workload_id: str, number: int, host_class: str, **changes: Any) -> NewRecord:
    invented = invented_record(attempt.order.job_id, attempt.order.attempt, workload_id, number)
    provenance = invented.provenance.model_copy(update={"host_class": host_class})
    fields = invented.model_copy(update={"provenance": provenance, **changes}).model_dump_json(warnings="none")
    return parse_record(fields)


def the_workload(service: ServiceInThread, attempt: AttemptClient) -> str:
    identity: str = service.job(attempt.order.job_id)["workloads"][0]["workload_id"]
    return identity


def told(service: ServiceInThread, height: int = 64, threads: int = 1) -> list[Neighbour]:
    """What the attempt of a new job hears of the neighbours of its workload."""
    service.submit(height, threads=threads, trials=100)
    with service.begin_attempt(START) as attempt:
        workload_id = the_workload(service, attempt)
        neighbours = attempt.history(workload_id, Isa.X86_64, neighbours=True).neighbours
        conclude(attempt, workload_id)
    return neighbours


def heights(neighbours: list[Neighbour]) -> list[int]:
    return [neighbour.workload.height for neighbour in neighbours]


def test_the_nearest_workloads_come_first_and_their_best_records(service: ServiceInThread) -> None:
    for height in (10, 60, 30):
        measured(service, height, 7, 5, 6)
    neighbours = told(service)
    assert heights(neighbours) == [60, 30, 10]
    assert [record.latency_us for record in neighbours[0].records] == [105, 106, 107]
    assert {record.choice.space for record in neighbours[0].records} == {"invented"}


def test_choices_of_neighbours_are_told_as_they_are_stored(service: ServiceInThread) -> None:
    measured(service, 60, 1)
    [neighbour] = told(service)
    assert neighbour.records[0].choice == invented_choice(1)


def test_neighbours_bring_no_traces_of_the_generic_space(service: ServiceInThread) -> None:
    trace = [[["SamplePerfectTile", ["l1"], [2, 32], ["v1", "v2"]]], [[0, [4, 2]]]]
    measured(service, 60, 1, **candidate_fields(GenericTrace(trace=trace)))
    assert told(service) == []


def test_a_workload_is_not_its_own_neighbour(service: ServiceInThread) -> None:
    measured(service, 64, 1)
    measured(service, 32, 1)
    assert heights(told(service, height=64)) == [32]


def test_records_of_another_host_class_path_or_number_of_threads_are_not_told(service: ServiceInThread) -> None:
    measured(service, 60, 1, host_class="another")
    measured(service, 61, 1, target=Target(isa=Isa.AVX2))
    measured(service, 62, 1, target=Target(isa=Isa.X86_64, threads=2))
    assert told(service) == []
    assert heights(told(service, height=65, threads=2)) == [62]


def test_failures_teach_nothing_across_workloads(service: ServiceInThread) -> None:
    nothing = dict.fromkeys(("latency_us", "spread_us", "slowdown"))
    failed: dict[str, Any] = {**nothing, "state": RecordState.FAILED, "latencies_us": [], "failure": FailureKind.CRASH}
    measured(service, 60, 1, 2, **failed)
    assert told(service) == []


def test_an_attempt_is_told_of_a_bounded_number_of_neighbours_and_records(service: ServiceInThread) -> None:
    for height in range(20, 20 + store.NEAREST + 3):
        measured(service, height, 1)
    measured(service, 60, *range(store.RECORDS_OF_EACH + 9))
    neighbours = told(service)
    assert len(neighbours) == store.NEAREST
    assert heights(neighbours[:2]) == [60, 20 + store.NEAREST + 2]
    best = [100.0 + number for number in range(store.RECORDS_OF_EACH)]
    assert [record.latency_us for record in neighbours[0].records] == best


def test_an_attempt_that_does_not_ask_for_neighbours_is_told_of_none(service: ServiceInThread) -> None:
    measured(service, 60, 1)
    service.submit(64)
    attempt = service.begin_attempt(START)
    assert attempt.history(the_workload(service, attempt), Isa.X86_64).neighbours == []


def test_a_later_workload_of_a_job_hears_of_an_earlier_one(service: ServiceInThread) -> None:
    body = {"workloads": [workload(30), workload(32)]}
    service.http.post("/v1/jobs", json=body).raise_for_status()
    with service.begin_attempt(START) as attempt:
        first, second = (each["workload_id"] for each in service.job(attempt.order.job_id)["workloads"])
        attempt.send_records(RecordBatch(records=[record(attempt, first, 1, HOST.host_class)]))
        assert heights(attempt.history(second, Isa.X86_64, neighbours=True).neighbours) == [30]
