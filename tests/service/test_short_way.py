"""What is asked most is answered before the framework sees it: in the same words, and never from before."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tilewright_service.short_way import ShortWay

from .in_thread import ServiceInThread, serving
from .running import workload
from .stand_in import START, invented_publication

JSON = {"Content-Type": "application/json"}
SHORT = ("_get", "_look_up")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ServiceInThread]:
    with serving(tmp_path) as service:
        job = service.submit()
        attempt = service.begin_attempt(START)
        attempt.publish(invented_publication(job["id"], 1, job["workloads"][0]["workload_id"]))
        yield service


def lookup(**fields: Any) -> dict[str, Any]:
    return {
        "method": "POST",
        "content": json.dumps({"workloads": [workload(8), workload(9)], **fields}),
        "headers": JSON,
    }


KNOWN = "the id of the workload that is known"
LIST, DETAIL, LOOKUP = "/v1/schedules", "/v1/schedules/1", "/v1/schedules/lookup"
QUESTIONS: list[tuple[str, dict[str, Any]]] = [
    (f"{LIST}?workload_id={KNOWN}", {}),
    (f"{LIST}?workload_id={'0' * 64}", {}),
    (f"{LIST}?workload_id={'0' * 63}G", {}),
    (f"{LIST}?workload_id={KNOWN}&limit=1", {}),
    (f"{LIST}?workload_id={KNOWN}&isa=avx2", {}),
    (f"{LIST}?workload_id={KNOWN}", {"method": "HEAD"}),
    (f"{LIST}?workload_id={KNOWN}", {"method": "DELETE"}),
    (DETAIL, {}),
    (DETAIL, {"headers": {"If-None-Match": '"schedule-1"'}}),
    (DETAIL, {"headers": {"If-None-Match": 'W/"schedule-1", "x"'}}),
    (DETAIL, {"headers": {"If-None-Match": "*"}}),
    (DETAIL, {"headers": {"If-None-Match": '"schedule-2"'}}),
    (DETAIL, {"headers": [("If-None-Match", '"x"'), ("If-None-Match", '"schedule-1"')]}),
    (DETAIL, {"method": "HEAD"}),
    ("/v1/schedules/2", {}),
    ("/v1/schedules/01", {}),
    ("/v1/schedules/0", {}),
    ("/v1/schedules/one", {}),
    (f"/v1/schedules/{2**63}", {}),
    (LOOKUP, lookup()),
    (LOOKUP, lookup(isa="x86_64")),
    (LOOKUP, lookup(isa="avx2")),
    (LOOKUP, lookup(host_class="another")),
    (LOOKUP, lookup(threads=2)),
    (LOOKUP, lookup(threads=0)),
    (LOOKUP, lookup(treads=1)),
    (LOOKUP, lookup(isa="a toaster")),
    (LOOKUP, lookup(workloads=[])),
    (LOOKUP, lookup(workloads=[workload(8, groups=3)])),
    (LOOKUP, lookup(workloads=[workload(8 + number) for number in range(200)])),
    (LOOKUP, {**lookup(), "headers": {"Content-Type": "text/plain"}}),
    (LOOKUP, {**lookup(), "headers": {}}),
    (LOOKUP, {**lookup(), "content": '{"workloads": [NaN]}'}),
    (LOOKUP, {**lookup(), "content": '{"workloads": "\\u0000"}'}),
    (LOOKUP, {**lookup(), "content": "{"}),
    (LOOKUP, {**lookup(), "content": ""}),
    (f"{LOOKUP}?x=%00", lookup()),
    (LOOKUP, {"method": "GET"}),
]


@pytest.mark.parametrize(("path", "question"), QUESTIONS)
def test_both_ways_give_the_same_answer(
    served: ServiceInThread, monkeypatch: pytest.MonkeyPatch, path: str, question: dict[str, Any]
) -> None:
    asked = {"method": "GET", "url": path.replace(KNOWN, served.job(1)["workloads"][0]["workload_id"]), **question}
    short = answer(served, asked)
    for name in SHORT:
        monkeypatch.setattr(ShortWay, name, nothing if name == "_get" else nothing_yet)
    assert answer(served, asked) == short


def nothing(*_: object) -> None:
    """Leaves a question to the long way."""


async def nothing_yet(*_: object) -> None:
    """The same, where it is waited for."""


def answer(service: ServiceInThread, asked: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body, with nothing that differs from answer to answer; and what was counted of it."""
    headers = httpx2.Headers(asked.get("headers", {}))
    headers["X-Request-ID"] = "same"
    got = service.http.request(**{**asked, "headers": headers})
    kept = {name: value for name, value in got.headers.items() if name != "date"}
    return got.status_code, kept, got.content


def test_the_short_way_is_counted_as_the_route_that_it_stands_for(served: ServiceInThread) -> None:
    for path, question in ((LIST + "?workload_id=" + "0" * 64, {}), (DETAIL, {}), (LOOKUP, lookup())):
        served.http.request(**{"method": "GET", "url": path, **question}).raise_for_status()
    measures = served.http.get("/metrics").text
    for method, route in (("GET", LIST), ("GET", LIST + "/{schedule_id}"), ("POST", LOOKUP)):
        assert f'tilewright_http_requests_total{{method="{method}",route="{route}",status="200"}} 1.0' in measures


def test_what_was_published_is_served_by_the_next_look_up(tmp_path: Path) -> None:
    """While others ask all the time; nobody sees an older one after a newer one."""
    with serving(tmp_path) as service:
        job = service.submit()
        workload_id = job["workloads"][0]["workload_id"]
        attempt = service.begin_attempt(START)
        stop, faults = threading.Event(), list[str]()
        askers = [threading.Thread(target=watch, args=(service.url, workload_id, stop, faults)) for _ in range(3)]
        for asker in askers:
            asker.start()
        newest = None
        for number in range(100):
            newest = attempt.publish(invented_publication(job["id"], 1, workload_id, newest, 90.0 - 0.5 * number)).id
            assert seen(service.http, workload_id) == [newest] * 3
        stop.set()
        for asker in askers:
            asker.join()
    assert faults == []


def seen(http: httpx2.Client, workload_id: str) -> list[int | None]:
    """The schedule that is served, by each way to ask for it."""
    listed = http.get(LIST, params={"workload_id": workload_id}).raise_for_status().json()["items"]
    looked_up = http.post(LOOKUP, json={"workloads": [workload()]}).raise_for_status().json()["items"]
    found = listed[0]["id"] if listed else None
    whole = http.get(f"{LIST}/{found}").raise_for_status().json()["id"] if found else None
    return [found, looked_up[0] and looked_up[0]["id"], whole]


def watch(url: str, workload_id: str, stop: threading.Event, faults: list[str]) -> None:
    newest = 0
    with httpx2.Client(base_url=url) as http:
        while not stop.is_set():
            for each in seen(http, workload_id)[:2]:
                if (each or 0) < newest:
                    faults.append(f"{each} after {newest}")
                newest = max(newest, each or 0)
