from pydantic import TypeAdapter

from tilewright.attempt_client import AttemptClient
from tilewright.contract.attempts import Finished, RecordBatch, Renewal, WorkloadOutcome
from tilewright.contract.events import EVENTS, CancelledEvent, Event, FailedEvent
from tilewright_service.store.blame import MAX_TRIES

from .in_thread import ServiceInThread
from .stand_in import START, invented_publication, invented_record

EVENT: TypeAdapter[Event] = TypeAdapter(Event)
"""As the contract has them: a kind or a key that is not in it is an error."""


def read(service: ServiceInThread, job_id: int, headers: dict[str, str] | None = None) -> list[Event]:
    text = service.http.get(f"/v1/jobs/{job_id}/events", headers=headers or {}).raise_for_status().text
    data = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [EVENT.validate_json(each) for each in data]


def kinds(service: ServiceInThread, job_id: int) -> list[str]:
    return [event.type for event in read(service, job_id)]


def cancel(service: ServiceInThread, job_id: int) -> None:
    service.http.post(f"/v1/jobs/{job_id}/cancel").raise_for_status()


def tune(attempt: AttemptClient, workload_id: str) -> None:
    """What an attempt says while it tunes a workload."""
    job_id, number = attempt.order.job_id, attempt.order.attempt
    attempt.renew(Renewal(progress=1))
    attempt.send_records(RecordBatch(records=[invented_record(job_id, number, workload_id, 1)]))
    schedule = attempt.publish(invented_publication(job_id, number, workload_id))
    attempt.report_outcome(
        WorkloadOutcome(workload_id=workload_id, stop_reason="plateau", seconds=1.0, schedule_id=schedule.id)
    )


def test_events_of_a_job_that_has_ended_are_replayed_and_end(service: ServiceInThread) -> None:
    job = service.submit()
    cancel(service, job["id"])
    assert kinds(service, job["id"]) == ["queued", "cancelled"]


def test_every_kind_of_event_is_told_and_each_is_as_the_contract_has_it(service: ServiceInThread) -> None:
    job = service.submit()
    service.lose(service.begin_attempt(), "it was \0 killed")
    with service.begin_attempt(START) as attempt:
        tune(attempt, job["workloads"][0]["workload_id"])
        attempt.report_result(Finished())
    story = read(service, job["id"])
    assert [event.type for event in story] == [
        "queued",
        "requeued",
        "started",
        "workload_started",
        "progress",
        "schedule",
        "workload_done",
        "finished",
    ]
    assert [event.data.reason for event in story if event.type == "requeued"] == ["it was  killed"]
    assert [event.data.stop_reason for event in story if event.type == "workload_done"] == ["plateau"]

    failing, cancelled = service.submit(9), service.submit(10)
    for _ in range(MAX_TRIES):
        service.lose(service.begin_attempt(START), "no such path")
    cancel(service, cancelled["id"])
    others = [*read(service, failing["id"])[-2:], read(service, cancelled["id"])[-1]]
    ends = [event for event in others if isinstance(event, FailedEvent | CancelledEvent)]
    assert [event.data.reason for event in ends] == [
        "its workload could not be tuned: the last 5 attempts brought no new record; the last one: no such path",
        "cancelled before it ran",
    ]
    assert {event.type for event in [*story, *others]} == set(EVENTS)


def test_a_reader_goes_on_after_the_last_event_it_has_seen(service: ServiceInThread) -> None:
    job = service.submit()
    cancel(service, job["id"])
    first, last = read(service, job["id"])
    assert read(service, job["id"], {"Last-Event-ID": str(first.id)}) == [last]
    assert read(service, job["id"], {"Last-Event-ID": str(last.id)}) == []


def test_events_reach_a_reader_while_they_happen(service: ServiceInThread) -> None:
    job = service.submit()
    with service.http.stream("GET", f"/v1/jobs/{job['id']}/events") as answer:
        kinds = (line.removeprefix("event: ") for line in answer.iter_lines() if line.startswith("event: "))
        assert next(kinds) == "queued"
        service.http.post(f"/v1/jobs/{job['id']}/cancel")
        assert list(kinds) == ["cancelled"]


def test_there_are_no_events_of_a_job_that_does_not_exist(service: ServiceInThread) -> None:
    assert service.http.get("/v1/jobs/77/events").status_code == 404
