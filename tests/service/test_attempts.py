from collections.abc import Iterator

import pytest
from sqlalchemy import select

from tilewright.attempt_client import AttemptClient
from tilewright.contract.attempts import (
    Cause,
    Failed,
    Finished,
    Interrupted,
    RecordBatch,
    Renewal,
    WorkloadOutcome,
)
from tilewright.contract.target import Isa
from tilewright.errors import InvalidRequest, ScheduleChanged, StaleAttempt, Unauthorized
from tilewright_service.store.ailing import set_aside_hosts
from tilewright_service.store.tables import Table

from .in_thread import ServiceInThread
from .stand_in import HOST, START, invented_publication, invented_record


@pytest.fixture
def attempt(service: ServiceInThread) -> Iterator[AttemptClient]:
    service.submit(trials=10)
    attempt = service.begin_attempt(START)
    yield attempt
    attempt.close()


def workload_id(service: ServiceInThread, attempt: AttemptClient) -> str:
    return service.job(attempt.order.job_id)["workloads"][0]["workload_id"]


def outcome(workload: str, schedule_id: int | None) -> WorkloadOutcome:
    return WorkloadOutcome(workload_id=workload, stop_reason="plateau", seconds=1.0, schedule_id=schedule_id)


def batch(service: ServiceInThread, attempt: AttemptClient, *numbers: int) -> RecordBatch:
    order, workload = attempt.order, workload_id(service, attempt)
    return RecordBatch(records=[invented_record(order.job_id, order.attempt, workload, each) for each in numbers])


def test_a_brief_takes_off_what_earlier_attempts_have_done(service: ServiceInThread, attempt: AttemptClient) -> None:
    attempt.send_records(batch(service, attempt, 0, 1, 2))
    service.lose(attempt)
    assigned = service.begin_attempt(START).next().workload
    assert assigned is not None
    assert assigned.trials == 7


def test_a_wrong_token_of_an_attempt_opens_nothing(service: ServiceInThread, attempt: AttemptClient) -> None:
    impostor = AttemptClient(attempt.order.model_copy(update={"token": "guessed"}), patience_seconds=0)
    with pytest.raises(Unauthorized):
        impostor.renew(Renewal())
    with pytest.raises(Unauthorized):
        impostor.send_records(batch(service, attempt, 0))
    path = f"/v1/jobs/{attempt.order.job_id}/attempts/1/renew"
    assert service.http.post(path, json={}).status_code == 401


def test_a_late_attempt_cannot_overwrite_its_successor(service: ServiceInThread, attempt: AttemptClient) -> None:
    service.lose(attempt)
    service.begin_attempt(START)
    workload = workload_id(service, attempt)
    calls = (
        lambda: attempt.start(START),
        lambda: attempt.renew(Renewal()),
        lambda: attempt.history(workload, Isa.X86_64),
        lambda: attempt.publish(invented_publication(attempt.order.job_id, 1, workload)),
        lambda: attempt.report_outcome(
            WorkloadOutcome(workload_id=workload, stop_reason="late", seconds=1, schedule_id=None)
        ),
        lambda: attempt.report_result(Finished()),
    )
    for call in calls:
        with pytest.raises(StaleAttempt):
            call()
    assert service.job(attempt.order.job_id)["state"] == "running"


def test_a_late_record_is_stored_and_counted_once(service: ServiceInThread, attempt: AttemptClient) -> None:
    service.lose(attempt)
    successor = service.begin_attempt(START)
    assert attempt.send_records(batch(service, attempt, 1, 2)).stored == 2
    assert attempt.send_records(batch(service, attempt, 1, 2)).stored == 0
    assert successor.send_records(batch(service, successor, 2, 3)).stored == 1
    job = service.job(attempt.order.job_id)
    assert job["progress"]["trials"] == 3
    assert job["workloads"][0]["best_latency_us"] == 101.0


def test_a_record_has_to_belong_to_the_attempt_that_brings_it(service: ServiceInThread, attempt: AttemptClient) -> None:
    other = invented_record(attempt.order.job_id, 7, workload_id(service, attempt), 0)
    with pytest.raises(InvalidRequest, match="provenance"):
        attempt.send_records(RecordBatch(records=[other]))
    stranger = invented_record(attempt.order.job_id, 1, "0" * 64, 0)
    with pytest.raises(InvalidRequest, match="not part of job"):
        attempt.send_records(RecordBatch(records=[stranger]))


def test_a_resumed_attempt_knows_what_was_measured(service: ServiceInThread, attempt: AttemptClient) -> None:
    attempt.send_records(batch(service, attempt, 5, 4, 6))
    service.lose(attempt)
    history = service.begin_attempt(START).history(workload_id(service, attempt), Isa.X86_64)
    assert [record.latency_us for record in history.records] == [104.0, 105.0, 106.0]
    assert history.incumbent is None


def test_a_schedule_replaces_only_the_one_that_it_was_compared_with(
    service: ServiceInThread, attempt: AttemptClient
) -> None:
    workload, job_id = workload_id(service, attempt), attempt.order.job_id
    first = attempt.publish(invented_publication(job_id, 1, workload))
    with pytest.raises(ScheduleChanged):
        attempt.publish(invented_publication(job_id, 1, workload, replaces=None, latency_us=80))
    second = attempt.publish(invented_publication(job_id, 1, workload, replaces=first.id, latency_us=70))
    items = service.http.get("/v1/schedules", params={"workload_id": workload}).json()["items"]
    assert [each["id"] for each in items] == [second.id]
    assert service.job(job_id)["workloads"][0]["best_latency_us"] == 70


def test_to_publish_again_after_a_lost_answer_changes_nothing(service: ServiceInThread, attempt: AttemptClient) -> None:
    publication = invented_publication(attempt.order.job_id, 1, workload_id(service, attempt))
    assert attempt.publish(publication) == attempt.publish(publication)


def test_cancel_reaches_the_attempt_with_its_renewal(service: ServiceInThread, attempt: AttemptClient) -> None:
    assert not attempt.renew(Renewal()).cancel
    assert service.job(attempt.order.job_id)["workloads"][0]["state"] == "running"
    service.http.post(f"/v1/jobs/{attempt.order.job_id}/cancel")
    assert attempt.renew(Renewal()).cancel
    attempt.report_result(Interrupted())
    assert service.job(attempt.order.job_id)["state"] == "cancelled"


def test_a_finished_job_says_what_came_out(service: ServiceInThread, attempt: AttemptClient) -> None:
    workload = workload_id(service, attempt)
    attempt.send_records(batch(service, attempt, 0))
    schedule = attempt.publish(invented_publication(attempt.order.job_id, 1, workload))
    attempt.report_outcome(
        WorkloadOutcome(workload_id=workload, stop_reason="plateau", seconds=2.5, schedule_id=schedule.id)
    )
    assert attempt.next().workload is None
    attempt.report_result(Finished())
    attempt.report_result(Finished())
    job = service.job(attempt.order.job_id)
    [result] = job["workloads"]
    assert (job["state"], result["state"], result["stop_reason"]) == ("finished", "done", "plateau")
    assert result["speedup_over_default"] == 10.0
    assert job["progress"] == {
        "workloads": 1,
        "workloads_done": 1,
        "workloads_failed": 0,
        "trials": 1,
        "trials_planned": 1,
        "seconds_left": 0.0,
    }


def test_a_finished_job_that_spent_enough_answers_for_an_identical_one(
    service: ServiceInThread, attempt: AttemptClient
) -> None:
    job_id, workload = attempt.order.job_id, workload_id(service, attempt)
    schedule = attempt.publish(invented_publication(job_id, 1, workload))
    attempt.report_outcome(outcome(workload, schedule.id))
    assert service.submit(trials=10)["id"] == attempt.order.job_id
    assert service.submit(trials=11)["id"] != attempt.order.job_id


def test_a_job_that_finished_without_a_schedule_answers_for_nobody(
    service: ServiceInThread, attempt: AttemptClient
) -> None:
    attempt.report_outcome(outcome(workload_id(service, attempt), None))
    assert service.job(attempt.order.job_id)["state"] == "finished"
    assert service.submit(trials=10)["id"] != attempt.order.job_id


def test_a_host_that_says_what_ails_it_is_set_aside_and_its_job_is_not_to_blame(
    service: ServiceInThread, attempt: AttemptClient
) -> None:
    attempt.report_result(Failed(cause=Cause.HOST, reason="the disk is full"))
    job = service.job(attempt.order.job_id)
    assert (job["state"], job["workloads"][0]["tries"]) == ("queued", 0)
    with service.database.reading() as session:
        assert set_aside_hosts(session)[HOST.hostname].reason == "the disk is full"


def test_a_record_between_two_losses_starts_the_count_again(service: ServiceInThread, attempt: AttemptClient) -> None:
    for number in range(12):
        if number % 4 == 0:
            attempt.send_records(batch(service, attempt, number))
        service.lose(attempt)
        assert service.job(attempt.order.job_id)["state"] == "queued"
        attempt = service.begin_attempt(START)


def test_a_job_without_progress_is_given_up_after_five_attempts(
    service: ServiceInThread, attempt: AttemptClient
) -> None:
    for _ in range(4):
        service.lose(attempt)
        attempt = service.begin_attempt(START)
    service.lose(attempt, "it crashed")
    job = service.job(attempt.order.job_id)
    assert (job["state"], job["attempt"]) == ("failed", 5)
    assert "it crashed" in job["reason"]


def test_hosts_that_measured_are_listed(service: ServiceInThread, attempt: AttemptClient) -> None:
    assert service.http.get("/v1/hosts").json()["items"] == [HOST.model_dump(mode="json")]


def test_the_token_of_an_attempt_is_not_in_the_database(service: ServiceInThread, attempt: AttemptClient) -> None:
    with service.database.reading() as session:
        dump = [str(session.execute(select(table)).all()) for table in Table.metadata.sorted_tables]
    assert not any(attempt.order.token in each for each in dump)
