"""What fails, and why, decides what is tried again, where, and how often."""

from dataclasses import replace
from typing import Any

import pytest

from tilewright.attempt_client import AttemptClient
from tilewright.contract.attempts import Cause, Failed, Finished, RecordBatch, WorkloadFailure, WorkloadOutcome
from tilewright.errors import InvalidRequest, StaleAttempt
from tilewright_service.store.ailing import STRIKES, note_fit_host, put_on_probation, set_aside_hosts
from tilewright_service.store.blame import MAX_INTERRUPTIONS, MAX_TRIES

from .in_thread import WORKER, ServiceInThread
from .running import workload
from .stand_in import HOST, START, invented_record

SECOND = replace(WORKER, name="two", hostname="second")
TEAM = [WORKER, SECOND]


def submit(service: ServiceInThread, *heights: int, **options: Any) -> int:
    body = {"workloads": [workload(height) for height in heights], "trials": 10, **options}
    return int(service.http.post("/v1/jobs", json=body).raise_for_status().json()["id"])


def fail(attempt: AttemptClient, cause: Cause = Cause.WORKLOAD, reason: str = "it broke") -> int:
    """The height of what failed."""
    assigned = attempt.next().workload
    assert assigned is not None
    attempt.report_failure(WorkloadFailure(workload_id=assigned.workload.id, cause=cause, reason=reason))
    return assigned.workload.height


def conclude(attempt: AttemptClient) -> None:
    assigned = attempt.next().workload
    assert assigned is not None
    attempt.report_outcome(
        WorkloadOutcome(workload_id=assigned.workload.id, stop_reason="trials", seconds=1.0, schedule_id=None)
    )


def ailing(service: ServiceInThread) -> list[str]:
    with service.database.reading() as session:
        return list(set_aside_hosts(session))


def forgive(service: ServiceInThread) -> None:
    with service.database.writing() as session:
        note_fit_host(session, WORKER.hostname)


def test_one_bad_workload_fails_and_the_others_go_on(service: ServiceInThread) -> None:
    job_id = submit(service, 8, 9, 10)
    attempt = service.begin_attempt(START)
    heights = [fail(attempt)]
    conclude(attempt)
    conclude(attempt)
    heights += [fail(attempt) for _ in range(MAX_TRIES - 1)]
    assert attempt.next().workload is None
    attempt.report_result(Finished())
    job = service.job(job_id)
    assert heights == [8] * MAX_TRIES
    assert (job["state"], [each["state"] for each in job["workloads"]]) == ("failed", ["failed", "done", "done"])
    assert job["reason"].startswith(
        "1 of its 3 workloads could not be tuned: the last 5 attempts brought no new record"
    )
    assert (job["progress"]["workloads_done"], job["progress"]["workloads_failed"]) == (2, 1)


def test_an_attempt_that_dies_gives_back_what_it_had_and_nothing_else(service: ServiceInThread) -> None:
    job_id = submit(service, 8, 9)
    first, second = (service.begin_attempt(START, [replace(WORKER, name=name)]) for name in "ab")
    service.lose(first, "it crashed")
    job = service.job(job_id)
    assert (job["state"], job["attempts_open"]) == ("running", 1)
    assert [(each["state"], each["tries"]) for each in job["workloads"]] == [("queued", 1), ("running", 0)]
    conclude(second)
    with pytest.raises(StaleAttempt):
        first.next()


def test_a_workload_goes_to_another_host_where_there_is_one(service: ServiceInThread) -> None:
    submit(service, 8)
    service.lose(service.begin_attempt(START), "it crashed")
    assert service.claim([WORKER], TEAM) is None
    claim = service.claim([SECOND], TEAM)
    assert claim is not None
    assert claim.worker == "two"


def test_where_there_is_no_other_host_it_is_tried_again(service: ServiceInThread) -> None:
    submit(service, 8)
    service.lose(service.begin_attempt(START), "it crashed")
    assert service.claim([WORKER], [WORKER]) is not None


def test_a_host_that_fails_at_different_workloads_is_set_aside_and_one_that_fails_at_one_is_not(
    service: ServiceInThread,
) -> None:
    submit(service, 8)
    for _ in range(MAX_TRIES - 1):
        service.lose(service.begin_attempt(START))
        assert ailing(service) == []
    for height in range(9, 9 + STRIKES - 1):
        submit(service, height, priority=height)
        assert ailing(service) == []
        service.lose(service.begin_attempt(START))
    assert ailing(service) == [WORKER.hostname]


def test_a_host_that_tunes_something_is_well(service: ServiceInThread) -> None:
    for height in (8, 9):
        submit(service, height, priority=height)
        service.lose(service.begin_attempt(START))
    submit(service, 30, priority=50)
    conclude(service.begin_attempt(START))
    submit(service, 31, priority=60)
    service.lose(service.begin_attempt(START))
    assert ailing(service) == []


def test_a_host_that_is_set_aside_gets_nothing_more_for_the_attempts_that_it_has(service: ServiceInThread) -> None:
    submit(service, 8, 9)
    first, second = (service.begin_attempt(START, [replace(WORKER, name=name)]) for name in "ab")
    first.report_result(Failed(cause=Cause.HOST, reason="the disk is full"))
    conclude(second)
    forgive(service)
    submit(service, 10)
    assert ailing(service) == []


def test_what_nobody_is_to_blame_for_is_tried_often_but_not_for_ever(service: ServiceInThread) -> None:
    job_id = submit(service, 8)
    for _ in range(MAX_INTERRUPTIONS):
        assert service.job(job_id)["state"] == "queued"
        service.lose(service.begin_attempt(START), "the service was stopped", Cause.MOMENT)
    job = service.job(job_id)
    assert (job["state"], job["workloads"][0]["tries"]) == ("failed", 0)
    assert ailing(service) == []


def test_a_cause_of_the_host_costs_the_workload_no_try(service: ServiceInThread) -> None:
    job_id = submit(service, 8)
    for _ in range(MAX_INTERRUPTIONS):
        job = service.job(job_id)
        assert (job["state"], job["workloads"][0]["tries"]) == ("queued", 0)
        service.begin_attempt(START).report_result(Failed(cause=Cause.HOST, reason="no memory is left"))
        forgive(service)
    assert service.job(job_id)["state"] == "failed", "what no host can do is not tried for ever"


def test_a_host_that_was_found_well_is_set_aside_at_its_next_failure_and_for_longer(service: ServiceInThread) -> None:
    for height in range(8, 8 + STRIKES):
        submit(service, height, priority=height)
        service.lose(service.begin_attempt(START))
    with service.database.writing() as session:
        put_on_probation(session, WORKER.hostname)
    assert ailing(service) == []
    service.lose(service.begin_attempt(START))
    with service.database.reading() as session:
        assert set_aside_hosts(session)[WORKER.hostname].probes == 1


def test_a_host_at_which_attempts_die_after_a_record_is_set_aside_too(service: ServiceInThread) -> None:
    for height in range(8, 8 + STRIKES):
        job_id = submit(service, height, priority=height)
        attempt = service.begin_attempt(START)
        workload_id = service.job(job_id)["workloads"][0]["workload_id"]
        attempt.send_records(RecordBatch(records=[invented_record(job_id, 1, workload_id, 1)]))
        service.lose(attempt)
    assert ailing(service) == [WORKER.hostname]


def test_attempts_that_die_before_they_take_a_workload_do_not_go_on_for_ever(service: ServiceInThread) -> None:
    job_id = submit(service, 8)
    for _ in range(MAX_INTERRUPTIONS):
        assert service.job(job_id)["state"] == "queued"
        service.lose(service.begin_attempt(), "it cannot even begin")
    job = service.job(job_id)
    assert (job["state"], "it cannot even begin" in job["reason"]) == ("failed", True)


def test_an_attempt_speaks_for_the_host_that_it_was_given_to(service: ServiceInThread) -> None:
    submit(service, 8)
    attempt = service.begin_attempt()
    for change in ({"host_class": "another"}, {"hostname": "another"}, {"isas": ("avx2",)}):
        with pytest.raises(InvalidRequest, match="this attempt is for x86_64 on host"):
            attempt.start(START.model_copy(update={"host": HOST.model_copy(update=change)}))


def test_what_only_this_host_can_do_is_tried_again_here(service: ServiceInThread) -> None:
    other = replace(SECOND, host_class="other")
    submit(service, 8, host_class=WORKER.host_class)
    service.lose(service.begin_attempt(START, team=[WORKER, other]))
    assert service.claim([WORKER], [WORKER, other]) is not None


def test_jobs_that_are_for_another_host_hold_up_nobody(service: ServiceInThread) -> None:
    for height in range(1, 4):
        submit(service, height, priority=1)
        service.lose(service.begin_attempt(START, team=TEAM))
    forgive(service)
    healthy = submit(service, 50)
    claim = service.claim([WORKER], TEAM)
    assert claim is not None
    assert claim.job_id == healthy


def test_workloads_that_cannot_be_tuned_set_no_host_aside(service: ServiceInThread) -> None:
    submit(service, *range(8, 8 + STRIKES + 2))
    attempt = service.begin_attempt(START)
    for _ in range(STRIKES + 2):
        fail(attempt)
    assert ailing(service) == []


def test_an_attempt_is_one_process(service: ServiceInThread) -> None:
    submit(service, 8)
    attempt = service.begin_attempt(START)
    attempt.start(START)
    with pytest.raises(StaleAttempt, match="another process"):
        attempt.start(START.model_copy(update={"process": "f" * 32}))


def test_an_attempt_that_said_how_it_ended_stores_nothing_more(service: ServiceInThread) -> None:
    job_id = submit(service, 8)
    attempt = service.begin_attempt(START)
    record = invented_record(job_id, 1, service.job(job_id)["workloads"][0]["workload_id"], 1)
    conclude(attempt)
    attempt.report_result(Finished())
    with pytest.raises(StaleAttempt):
        attempt.send_records(RecordBatch(records=[record]))


def test_records_beyond_the_budget_or_of_another_host_class_are_refused(service: ServiceInThread) -> None:
    job_id = submit(service, 8)
    attempt = service.begin_attempt(START)
    workload_id = service.job(job_id)["workloads"][0]["workload_id"]
    records = [invented_record(job_id, 1, workload_id, number) for number in range(21)]
    attempt.send_records(RecordBatch(records=records[:10]))
    with pytest.raises(InvalidRequest, match="asks for 10 trials"):
        attempt.send_records(RecordBatch(records=records[10:]))
    elsewhere = records[10].provenance.model_copy(update={"host_class": "elsewhere"})
    with pytest.raises(InvalidRequest, match="host class"):
        attempt.send_records(RecordBatch(records=[records[10].model_copy(update={"provenance": elsewhere})]))


def test_what_an_attempt_left_on_its_host_is_brought_by_the_next_one_there_of_any_job(
    service: ServiceInThread,
) -> None:
    before, after = submit(service, 8), submit(service, 9)
    service.lose(service.begin_attempt(START))
    left = invented_record(before, 1, service.job(before)["workloads"][0]["workload_id"], 1)
    service.http.post(f"/v1/jobs/{before}/cancel")
    heir = service.begin_attempt(START)
    assert heir.order.job_id == after
    assert heir.send_records(RecordBatch(records=[left])).stored == 1
    assert service.job(before)["progress"]["trials"] == 1
    service.lose(heir)
    elsewhere = START.model_copy(update={"host": HOST.model_copy(update={"hostname": SECOND.hostname})})
    stranger = service.begin_attempt(elsewhere, [SECOND])
    with pytest.raises(InvalidRequest, match="did not run on this host"):
        stranger.send_records(RecordBatch(records=[left]))
