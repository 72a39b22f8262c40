"""What one job has tuned costs the next one nothing, workload by workload."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tilewright.attempt_client import AttemptClient
from tilewright.contract.attempts import (
    Cause,
    Failed,
    Finished,
    Interrupted,
    RecordBatch,
    Report,
    Start,
    WorkloadFailure,
    WorkloadOutcome,
)
from tilewright.contract.target import Target
from tilewright.contract.workload import Workload

from .in_thread import WORKER, ServiceInThread
from .running import workload
from .stand_in import HOST, START, invented_publication, invented_record
from .test_events import read


def ask(service: ServiceInThread, *heights: int, **options: Any) -> tuple[int, dict[str, Any]]:
    """The status of the answer, and the job."""
    body = {"workloads": [workload(height) for height in heights], "trials": 10, **options}
    answer = service.http.post("/v1/jobs", json=body)
    return answer.status_code, answer.raise_for_status().json()


def conclude(
    attempt: AttemptClient,
    height: int,
    stop_reason: str = "trials",
    isa: str = "x86_64",
    host_class: str = HOST.host_class,
    latency_us: float = 90.0,
) -> None:
    """What an attempt says at the end of a search."""
    order, workload_id = attempt.order, id_of(height)
    assigned = attempt.next().workload
    assert assigned is not None
    assert assigned.workload.id == workload_id
    publication = invented_publication(order.job_id, order.attempt, workload_id, latency_us=latency_us)
    target = Target(isa=isa, threads=order.threads)
    provenance = publication.provenance.model_copy(update={"host_class": host_class})
    schedule = attempt.publish(publication.model_copy(update={"target": target, "provenance": provenance}))
    attempt.report_outcome(
        WorkloadOutcome(workload_id=workload_id, stop_reason=stop_reason, seconds=1.0, schedule_id=schedule.id)
    )


def tune(service: ServiceInThread, *heights: int, ended: dict[str, Any] | None = None, **options: Any) -> int:
    """A job that has tuned these; its id."""
    _, job = ask(service, *heights, **options)
    host_class = (ended or {}).get("host_class", HOST.host_class)
    with service.begin_attempt(start_on(host_class), [replace(WORKER, host_class=host_class)]) as attempt:
        assert attempt.order.job_id == job["id"]
        for height in heights:
            conclude(attempt, height, **(ended or {}))
        attempt.report_result(Finished())
    return int(job["id"])


def start_on(host_class: str) -> Start:
    return START.model_copy(update={"host": HOST.model_copy(update={"host_class": host_class})})


def id_of(height: int) -> str:
    return Workload(**workload(height)).id


def sources(job: dict[str, Any]) -> list[int | None]:
    return [each["known_from_job"] for each in job["workloads"]]


def states(job: dict[str, Any]) -> list[str]:
    return [each["state"] for each in job["workloads"]]


def heights_to_tune(attempt: AttemptClient) -> list[int]:
    """The attempt ends with it: it gives up what it gets."""
    heights = []
    attempt.start(START)
    while (assigned := attempt.next().workload) is not None and assigned.workload.height not in heights:
        heights.append(assigned.workload.height)
        reason = WorkloadFailure(workload_id=assigned.workload.id, reason="looked at", cause=Cause.MOMENT)
        attempt.report_failure(reason)
    return heights


def test_one_layer_of_a_tuned_list_is_known_at_once(service: ServiceInThread) -> None:
    tuned = tune(service, 8, 9)
    status, job = ask(service, 9)
    assert (status, job["state"], job["attempt"]) == (200, "finished", 0)
    assert job["id"] != tuned
    [layer] = job["workloads"]
    assert (layer["state"], layer["stop_reason"], layer["trials"], layer["seconds"]) == ("done", "known", 0, None)
    assert (layer["known_from_job"], layer["best_latency_us"], layer["speedup_over_default"]) == (tuned, 90.0, 10.0)
    assert job["progress"] == {
        "workloads": 1,
        "workloads_done": 1,
        "workloads_failed": 0,
        "trials": 0,
        "trials_planned": 0,
        "seconds_left": 0.0,
    }


def test_a_job_that_is_known_tells_its_whole_story(service: ServiceInThread) -> None:
    tuned = tune(service, 8, 9, 10)
    _, job = ask(service, 10, 8)
    story = read(service, job["id"])
    assert [each.type for each in story] == ["queued", "workload_done", "workload_done", "finished"]
    done = [each.data for each in story if each.type == "workload_done"]
    assert [each.workload_id for each in done] == [id_of(10), id_of(8)]
    assert {(each.known_from_job, each.best_latency_us) for each in done} == {(tuned, 90.0)}


def test_of_an_overlapping_list_only_the_rest_is_tuned(service: ServiceInThread) -> None:
    tuned = tune(service, 8, 9)
    status, job = ask(service, 9, 20, 8)
    assert (status, job["state"]) == (201, "queued")
    assert sources(job) == [tuned, None, tuned]
    assert (job["progress"]["workloads_done"], job["progress"]["trials_planned"]) == (2, 10)
    with service.begin_attempt() as attempt:
        assert heights_to_tune(attempt) == [20]
        conclude(attempt, 20)
        attempt.report_result(Finished())
    assert service.job(job["id"])["state"] == "finished"


def test_what_is_known_is_named_after_the_job_that_tuned_it(service: ServiceInThread) -> None:
    first = tune(service, 8, 9)
    ask(service, 9)
    second = tune(service, 20)
    _, job = ask(service, 9, 20)
    assert sources(job) == [first, second]
    assert sources(ask(service, 20, 9, 8)[1]) == [second, first, first]


def test_the_same_list_again_is_still_the_job_that_did_it(service: ServiceInThread) -> None:
    tuned = tune(service, 8, 9)
    assert ask(service, 8, 9)[1]["id"] == tuned
    known = ask(service, 9)[1]["id"]
    assert ask(service, 9) == (200, service.job(known))


@pytest.mark.parametrize(
    "asked",
    [{"trials": 11}, {"seconds": 6}, {"seconds": None}, {"threads": 2}, {"target": "avx2"}],
    ids=lambda asked: next(iter(asked)),
)
def test_a_larger_budget_or_another_target_is_tuned(service: ServiceInThread, asked: dict[str, Any]) -> None:
    tune(service, 8, 9, seconds=5, ended={"stop_reason": "seconds"})
    status, job = ask(service, 9, **{"seconds": 5, **asked})
    assert (status, sources(job), states(job)) == (201, [None], ["queued"])
    assert ask(service, 9, seconds=4)[0] == 200


@pytest.mark.parametrize("stop_reason", ["trials", "plateau", "exhausted"])
def test_a_search_that_seconds_did_not_end_is_known_for_any_seconds(service: ServiceInThread, stop_reason: str) -> None:
    tune(service, 8, 9, seconds=5, ended={"stop_reason": stop_reason})
    assert [ask(service, 9, seconds=seconds)[0] for seconds in (6, None)] == [200, 200]
    assert ask(service, 9, trials=11)[0] == 201


def test_threads_are_known_apart(service: ServiceInThread) -> None:
    on_two, _ = tune(service, 8, 9, threads=2), tune(service, 8, 9, trials=5)
    assert sources(ask(service, 9)[1]) == [None]
    assert sources(ask(service, 9, threads=2)[1]) == [on_two]


def test_an_explicit_target_is_known_where_auto_found_schedules_of_it(service: ServiceInThread) -> None:
    """The host of these attempts has x86_64 only."""
    tuned = tune(service, 8, 9)
    assert sources(ask(service, 9, target="x86_64")[1]) == [tuned]
    assert sources(ask(service, 9, target="avx512_vnni")[1]) == [None]


def test_auto_is_not_known_from_an_explicit_target(service: ServiceInThread) -> None:
    """Which path is the strongest of a host that is to come is not known here."""
    tuned = tune(service, 8, 9, target="x86_64")
    assert sources(ask(service, 9)[1]) == [None]
    assert sources(ask(service, 9, target="x86_64")[1]) == [tuned]


def test_each_path_is_known_from_the_job_that_tuned_for_it(service: ServiceInThread) -> None:
    """Auto found x86_64 here; avx2 was asked for by name, with fewer trials."""
    on_auto, on_avx2 = tune(service, 8, 9), tune(service, 8, 9, target="avx2", trials=5, ended={"isa": "avx2"})
    assert sources(ask(service, 9)[1]) == [on_auto]
    assert sources(ask(service, 9, target="avx2", trials=5)[1]) == [on_avx2]
    assert sources(ask(service, 9, target="avx2")[1]) == [None]


def test_each_host_class_is_known_from_the_job_that_ran_there(service: ServiceInThread) -> None:
    """The other one is faster, and its search has not ended."""
    tuned = tune(service, 8, 9)
    _, job = ask(service, 9, trials=11)
    with service.begin_attempt(start_on("fast"), [replace(WORKER, host_class="fast")]) as attempt:
        faster = invented_publication(job["id"], 1, id_of(9), latency_us=10.0)
        elsewhere = faster.provenance.model_copy(update={"host_class": "fast"})
        attempt.publish(faster.model_copy(update={"provenance": elsewhere}))
        attempt.report_result(Interrupted())
    _, job = ask(service, 9, 8)
    assert (sources(job), job["workloads"][0]["best_latency_us"]) == ([tuned, tuned], 90.0)


@pytest.mark.parametrize("latencies", [(10.0, 90.0), (90.0, 10.0)])
def test_of_two_host_classes_that_have_tuned_it_the_faster_is_known(
    service: ServiceInThread, latencies: tuple[float, float]
) -> None:
    tuned = {
        latency_us: tune(service, 8, 9, trials=trials, ended={"host_class": name, "latency_us": latency_us})
        for name, trials, latency_us in zip(("first", "second"), (10, 11), latencies, strict=True)
    }
    _, job = ask(service, 9, 8)
    assert (sources(job), job["workloads"][0]["best_latency_us"]) == ([tuned[10.0]] * 2, 10.0)


@pytest.mark.parametrize(
    "end", [Interrupted(), Failed(cause=Cause.HOST, reason="the disk is full")], ids=lambda end: end.outcome
)
def test_what_was_tuned_before_a_job_was_cancelled_or_interrupted_is_known(
    service: ServiceInThread, end: Report
) -> None:
    _, job = ask(service, 8, 9)
    with service.begin_attempt(START) as attempt:
        conclude(attempt, 8)
        attempt.send_records(RecordBatch(records=[invented_record(job["id"], 1, id_of(9), 1)]))
        if isinstance(end, Interrupted):
            service.http.post(f"/v1/jobs/{job['id']}/cancel")
        attempt.report_result(end)
    assert service.job(job["id"])["state"] in ("cancelled", "queued")
    assert sources(ask(service, 9, 8)[1]) == [None, job["id"]]


def test_a_workload_without_an_outcome_or_a_schedule_is_tuned_again(service: ServiceInThread) -> None:
    _, job = ask(service, 8, 9)
    with service.begin_attempt(START) as attempt:
        attempt.report_outcome(
            WorkloadOutcome(workload_id=id_of(8), stop_reason="exhausted", seconds=1.0, schedule_id=None)
        )
        attempt.next()
        attempt.publish(invented_publication(job["id"], 1, id_of(9)))
        attempt.report_result(Finished())
    assert states(service.job(job["id"])) == ["done", "queued"]
    assert [sources(ask(service, height)[1]) for height in (8, 9)] == [[None], [None]]


def test_the_schedule_that_is_served_now_is_the_known_one(service: ServiceInThread) -> None:
    tuned = tune(service, 8, 9)
    ask(service, 9, trials=20)
    with service.begin_attempt(START) as attempt:
        [served] = service.http.get(f"/v1/schedules?workload_id={id_of(9)}").json()["items"]
        better = invented_publication(attempt.order.job_id, 1, id_of(9), replaces=served["id"], latency_us=95.0)
        schedule = attempt.publish(better)
        service.lose(attempt)
    _, job = ask(service, 9, 8)
    layer = job["workloads"][0]
    assert (layer["known_from_job"], layer["schedule_id"], layer["best_latency_us"]) == (tuned, schedule.id, 95.0)


def test_a_key_gives_the_same_known_job_again(service: ServiceInThread) -> None:
    tune(service, 8, 9)
    headers, body = {"Idempotency-Key": "key"}, {"workloads": [workload(9)], "trials": 10}
    answers = [service.http.post("/v1/jobs", json=body, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()


def test_of_two_overlapping_jobs_the_second_tunes_what_the_first_has_not(service: ServiceInThread) -> None:
    first, second, third = (ask(service, *heights)[1]["id"] for heights in ((8, 9), (9, 20), (9,)))
    with service.begin_attempt(START) as attempt:
        conclude(attempt, 8)
        conclude(attempt, 9)
        attempt.report_result(Finished())
    with service.begin_attempt() as attempt:
        assert (attempt.order.job_id, heights_to_tune(attempt)) == (second, [20])
        conclude(attempt, 20)
        attempt.report_result(Finished())
    fourth = ask(service, 30)[1]["id"]
    with service.begin_attempt() as attempt:
        assert attempt.order.job_id == fourth
    job = service.job(third)
    assert (job["state"], job["attempt"], sources(job)) == ("finished", 0, [first])
    assert [each.type for each in read(service, third)] == ["queued", "workload_done", "finished"]


def test_a_job_whose_attempt_was_lost_after_its_last_outcome_is_finished(service: ServiceInThread) -> None:
    _, job = ask(service, 8)
    with service.begin_attempt(START) as attempt:
        conclude(attempt, 8)
        service.lose(attempt)
    _, other = ask(service, 9)
    with service.begin_attempt() as attempt:
        assert attempt.order.job_id == other["id"]
    assert (service.job(job["id"])["state"], service.job(job["id"])["attempt"]) == ("finished", 1)


def test_many_known_workloads_take_as_many_statements_as_two(service: ServiceInThread, statements: list[str]) -> None:
    def count(heights: Sequence[int]) -> int:
        statements.clear()
        assert ask(service, *heights)[0] == 200
        return len(statements)

    tune(service, *range(1, 41))
    assert count(range(1, 40)) == count([1, 2]) < 26
