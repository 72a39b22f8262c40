from typing import Any

import pytest

from tilewright.contract.schedules import ScheduleDetail
from tilewright.contract.workload import Workload

from .in_thread import ServiceInThread
from .running import workload
from .stand_in import PROOF, START, invented_publication


@pytest.fixture
def schedule_id(service: ServiceInThread) -> int:
    job = service.submit()
    attempt = service.begin_attempt(START)
    return attempt.publish(invented_publication(job["id"], 1, job["workloads"][0]["workload_id"])).id


def test_a_lookup_answers_in_the_order_of_the_question(service: ServiceInThread, schedule_id: int) -> None:
    question = {"workloads": [workload(9), workload(8)], "threads": 1}
    items = service.http.post("/v1/schedules/lookup", json=question).json()["items"]
    assert [item and item["id"] for item in items] == [None, schedule_id]


@pytest.mark.parametrize("narrowed", [{"isa": "avx2"}, {"host_class": "another"}, {"threads": 2}])
def test_a_lookup_can_be_narrowed(service: ServiceInThread, schedule_id: int, narrowed: dict[str, Any]) -> None:
    question = {"workloads": [workload()], **narrowed}
    assert service.http.post("/v1/schedules/lookup", json=question).json() == {"items": [None]}
    assert service.http.get("/v1/schedules", params=narrowed).json()["items"] == []


def test_a_schedule_is_served_whole_and_then_not_again(service: ServiceInThread, schedule_id: int) -> None:
    answer = service.http.get(f"/v1/schedules/{schedule_id}")
    detail = ScheduleDetail.model_validate_json(answer.content)
    assert (detail.script, detail.workload, detail.proof) == ("# nothing", Workload(**workload()), PROOF)
    etag = answer.headers["etag"]
    again = service.http.get(f"/v1/schedules/{schedule_id}", headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == etag


def test_schedules_of_a_network_are_those_of_its_workloads(service: ServiceInThread, schedule_id: int) -> None:
    assert service.http.get("/v1/schedules?network=resnet18").json()["items"] == []
