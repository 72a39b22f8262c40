from typing import Any

import pytest

from .in_thread import ServiceInThread
from .running import workload


def test_a_job_is_queued_and_can_be_read(service: ServiceInThread) -> None:
    answer = service.http.post("/v1/jobs", json={"workloads": [workload()], "trials": 10})
    job = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert service.job(job["id"]) == job
    assert (job["state"], job["progress"]["trials_planned"]) == ("queued", 10)


@pytest.mark.parametrize("user", ["", "ann"])
@pytest.mark.parametrize(
    "asked",
    [
        {"workloads": [workload(9), workload(10), workload(9)], "trials": 7, "seconds": 2.5, "priority": 3},
        {"workloads": [workload(11)], "threads": 2, "target": "avx2", "host_class": "other"},
        {"network": "resnet18", "batch": 2},
    ],
)
def test_a_new_job_is_answered_as_it_is_found_afterwards(
    service: ServiceInThread, asked: dict[str, Any], user: str
) -> None:
    service.submit()
    answer = service.http.post("/v1/jobs", json=asked, headers={"Tilewright-User": user})
    assert answer.status_code == 201
    assert answer.json() == service.job(answer.json()["id"])
    assert answer.json()["reason"].startswith("it waits: ")


def test_an_identical_job_that_is_open_is_joined(service: ServiceInThread) -> None:
    job = service.submit(trials=20)
    answer = service.http.post("/v1/jobs", json={"workloads": [workload()], "trials": 10, "priority": 5})
    assert (answer.status_code, answer.json()["id"]) == (200, job["id"])
    assert service.job(job["id"])["priority"] == 5


def test_a_larger_budget_another_target_or_other_workloads_make_another_job(service: ServiceInThread) -> None:
    jobs = [
        service.submit(trials=10, seconds=5),
        service.submit(trials=11, seconds=5),
        service.submit(trials=10, seconds=6),
        service.submit(trials=10, seconds=5, threads=2),
        service.submit(trials=10, seconds=5, target="avx2"),
        service.submit(height=9, trials=10, seconds=5),
    ]
    assert len({job["id"] for job in jobs}) == len(jobs)


def test_a_workload_that_is_named_twice_is_tuned_once(service: ServiceInThread) -> None:
    job = service.http.post("/v1/jobs", json={"workloads": [workload(), workload(9), workload()]}).json()
    assert [each["occurrences"] for each in job["workloads"]] == [2, 1]


def test_a_network_becomes_its_workloads(service: ServiceInThread) -> None:
    job = service.http.post("/v1/jobs", json={"network": "resnet18", "batch": 2}).json()
    assert job["network"] == "resnet18"
    assert len(job["workloads"]) == 11
    assert {each["workload"]["batch"] for each in job["workloads"]} == {2}


def test_an_idempotency_key_gives_the_same_job_again(service: ServiceInThread) -> None:
    body, headers = {"workloads": [workload()], "trials": 10}, {"Idempotency-Key": "key"}
    first = service.http.post("/v1/jobs", json=body, headers=headers)
    service.http.post(f"/v1/jobs/{first.json()['id']}/cancel")
    again = service.http.post("/v1/jobs", json=body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == first.json()["id"]


def test_an_idempotency_key_with_another_request_is_a_conflict(service: ServiceInThread) -> None:
    headers = {"Idempotency-Key": "key"}
    service.http.post("/v1/jobs", json={"workloads": [workload()]}, headers=headers)
    answer = service.http.post("/v1/jobs", json={"workloads": [workload(9)]}, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:tilewright:problem:idempotency-conflict")


def test_a_queued_job_is_cancelled_at_once_and_only_once(service: ServiceInThread) -> None:
    job = service.submit()
    answers = [service.http.post(f"/v1/jobs/{job['id']}/cancel").json() for _ in range(2)]
    assert answers[0]["state"] == "cancelled"
    assert answers[0] == answers[1]


def test_a_cancelled_job_is_not_joined(service: ServiceInThread) -> None:
    job = service.submit()
    service.http.post(f"/v1/jobs/{job['id']}/cancel")
    assert service.submit()["id"] != job["id"]


def test_pages_hold_every_job_once_and_the_newest_first(service: ServiceInThread) -> None:
    ids = [service.submit(height=height)["id"] for height in range(8, 15)]
    found, path = [], "/v1/jobs?limit=3&state=queued"
    while path:
        page = service.http.get(path).json()
        found += [job["id"] for job in page["items"]]
        path = page["next"]
    assert found == sorted(ids, reverse=True)


def test_the_list_of_networks_gives_their_size(service: ServiceInThread) -> None:
    networks = {each["name"]: each for each in service.http.get("/v1/networks").json()["items"]}
    assert (networks["resnet18"]["workloads"], networks["resnet18"]["convolutions"]) == (11, 20)
