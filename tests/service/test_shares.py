"""Nobody gets more than his share: of requests, readers, queued jobs and turns; and no document costs much."""

import asyncio
import json
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tilewright_service import admission
from tilewright_service.callers import Caller, CallerKind
from tilewright_service.settings import Settings
from tilewright_service.store.liveness import write_nothing
from tilewright_service.turns import Turns

from .in_thread import ServiceInThread, serving
from .running import workload

JSON = {"Content-Type": "application/json"}


def ask_at_once(service: ServiceInThread, count: int) -> Counter[int]:
    """Statuses of so many requests that are under way at the same time, as the writer is held meanwhile."""
    statuses: Counter[int] = Counter()

    def submit(number: int) -> None:
        answer = httpx2.post(f"{service.url}/v1/jobs", json={"workloads": [workload(100 + number)]}, timeout=20)
        statuses[answer.status_code] += 1
        if answer.status_code in (429, 503):
            assert int(answer.headers["retry-after"]) >= 1

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(count)]
    with service.database.writing() as session:
        write_nothing(session)
        for thread in threads:
            thread.start()
        time.sleep(1.0)
    for thread in threads:
        thread.join()
    return statuses


def test_an_address_has_so_many_requests_under_way(tmp_path: Path) -> None:
    with serving(tmp_path, Settings(max_requests_per_address=4)) as service:
        statuses = ask_at_once(service, 10)
        assert statuses == {201: 4, 429: 6}
        assert service.submit()["state"] == "queued"


def test_all_people_together_have_so_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(admission.MOST_UNDER_WAY, CallerKind.PERSON, 4)
    with serving(tmp_path) as service:
        assert ask_at_once(service, 10) == {201: 4, 503: 6}


def test_a_caller_has_so_many_jobs_in_the_queue(tmp_path: Path) -> None:
    with serving(tmp_path, Settings(max_queued_jobs=5, max_queued_jobs_per_caller=3)) as service:

        def submit(height: int, user: str) -> httpx2.Response:
            body = {"workloads": [workload(height)]}
            return service.http.post("/v1/jobs", json=body, headers={"Tilewright-User": user})

        assert [submit(8 + number, "ann").status_code for number in range(4)] == [201, 201, 201, 429]
        assert submit(8, "ann").status_code == 200, "to join a job that is there makes none"
        assert [submit(20 + number, "bob").status_code for number in range(3)] == [201, 201, 429]
        refused = submit(30, "eve")
        assert refused.json()["type"] == "urn:tilewright:problem:too-many-requests"
        assert int(refused.headers["retry-after"]) > 1
        service.http.post("/v1/jobs/1/cancel?everybody=true").raise_for_status()
        assert submit(30, "eve").status_code == 201


def test_a_caller_has_so_many_streams_of_events(tmp_path: Path) -> None:
    with serving(tmp_path, Settings(max_streams=3, max_streams_per_caller=2)) as service:
        path = f"/v1/jobs/{service.submit()['id']}/events"

        def follow(user: str) -> Any:
            return service.http.stream("GET", path, headers={"Tilewright-User": user})

        with follow("ann") as one, follow("ann") as two, follow("ann") as three:
            assert [one.status_code, two.status_code, three.status_code] == [200, 200, 429]
            with follow("bob") as other, follow("eve") as last:
                assert [other.status_code, last.status_code] == [200, 503]
                assert int(last.headers["retry-after"]) > 1
        time.sleep(0.3)
        with follow("ann") as again:
            assert again.status_code == 200


HOSTILE = {
    "8 MiB of unknown fields": json.dumps({f"k{number:06d}": 1 for number in range(590_000)}),
    "as many as are parsed": json.dumps({f"k{number:06d}": 1 for number in range(50_000)}),
    "unknown fields in workloads": json.dumps({"workloads": [{f"k{i}": 1 for i in range(60)}] * 900}),
    "8 MiB of empty lists": json.dumps([[]] * 1_900_000),
    "a field with a long name": json.dumps({"a" * 4_000_000: 1}),
    "a long name, deep within": json.dumps({"workloads": [{"a" * 4_000_000: 1}]}),
    "wrong values": json.dumps({"workloads": [dict.fromkeys(workload(), "x")] * 1000}),
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_document_is_refused_soon_and_in_few_words(tmp_path: Path, body: str) -> None:
    with serving(tmp_path) as service:
        assert service.http.get("/openapi.json").status_code == 200  # which is made once
        started = time.perf_counter()
        answer = service.http.post("/v1/jobs", content=body, headers=JSON)
        assert time.perf_counter() - started < 1.0
        assert answer.status_code in (413, 422)
        assert len(answer.content) < 30_000


def test_the_largest_legal_document_is_taken(tmp_path: Path) -> None:
    every_field = {"stride": [1, 1], "dilation": [1, 1], "padding": [0, 0, 0, 0], "groups": 1, "bias": True}
    workloads = [{**workload(8 + number), **every_field} for number in range(1000)]
    with serving(tmp_path) as service:
        assert service.http.post("/v1/jobs", json={"workloads": workloads}).status_code == 201


def test_turns_go_round_by_kind_and_then_by_caller() -> None:
    """One has ten requests before all others; he is the only one who waits for them."""
    order = []

    async def wait(turns: Turns, caller: Caller) -> None:
        async with turns.take(caller):
            order.append(caller.name)
            await asyncio.sleep(0)

    async def all_at_once() -> None:
        turns = Turns(1)
        hasty, calm = Caller(CallerKind.PERSON, "hasty"), Caller(CallerKind.PERSON, "calm")
        attempts = [Caller(CallerKind.ATTEMPT, f"attempt {number}") for number in range(2)]
        await asyncio.gather(*(wait(turns, caller) for caller in [hasty] * 10 + [calm] * 2 + attempts))

    asyncio.run(all_at_once())
    assert order[:6] == ["hasty", "hasty", "attempt 0", "calm", "attempt 1", "hasty"]
    assert Counter(order) == {"hasty": 10, "calm": 2, "attempt 0": 1, "attempt 1": 1}


def test_a_turn_is_passed_on_by_whoever_gives_up() -> None:
    async def give_up() -> None:
        turns, caller = Turns(1), Caller(CallerKind.PERSON, "one")
        async with turns.take(caller):
            waiting = [asyncio.create_task(turns.take(caller).__aenter__()) for _ in range(3)]
            await asyncio.sleep(0.01)
            waiting[0].cancel()
            await asyncio.sleep(0)
        waiting[1].cancel()  # it may have the turn at this very moment
        await asyncio.wait_for(waiting[2], 1)

    asyncio.run(give_up())
