"""Several people may want one job; each withdraws for himself."""

import httpx2

from .in_thread import ServiceInThread
from .running import workload


def ask(service: ServiceInThread, user: str | None, height: int = 8) -> int:
    answer = service.http.post("/v1/jobs", json={"workloads": [workload(height)]}, headers=header(user))
    return int(answer.raise_for_status().json()["id"])


def cancel(service: ServiceInThread, job_id: int, user: str | None, **question: str) -> httpx2.Response:
    return service.http.post(f"/v1/jobs/{job_id}/cancel", headers=header(user), params=question)


def header(user: str | None) -> dict[str, str]:
    return {} if user is None else {"Tilewright-User": user}


def test_a_job_that_several_want_goes_on_until_the_last_one_withdraws(service: ServiceInThread) -> None:
    job_id = ask(service, "ann")
    assert ask(service, "bob") == job_id
    assert service.job(job_id)["owners"] == ["ann", "bob"]
    answer = cancel(service, job_id, "ann").json()
    assert (answer["state"], answer["owners"]) == ("queued", ["bob"])
    assert cancel(service, job_id, "ann").json() == answer, "to say it twice is to say it once"
    assert cancel(service, job_id, "bob").json()["state"] == "cancelled"


def test_who_does_not_want_it_cannot_withdraw_unless_he_says_for_everybody(service: ServiceInThread) -> None:
    job_id = ask(service, "ann")
    answer = cancel(service, job_id, "eve")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:tilewright:problem:not-yours")
    assert answer.json()["detail"] == f"job {job_id} is wanted by ann, not by eve"
    assert cancel(service, job_id, "eve", everybody="true").json()["state"] == "cancelled"


def test_who_does_not_say_who_he_is_acts_for_all(service: ServiceInThread) -> None:
    job_id = ask(service, "ann")
    ask(service, "bob")
    assert cancel(service, job_id, None).json()["state"] == "cancelled"
    nobodys = ask(service, None, 9)
    assert cancel(service, nobodys, "ann").json()["state"] == "cancelled"


def test_a_name_that_could_be_something_else_is_refused(service: ServiceInThread) -> None:
    answer = service.http.post("/v1/jobs", json={"workloads": [workload()]}, headers={"Tilewright-User": "a b\tc"})
    assert answer.status_code == 422
