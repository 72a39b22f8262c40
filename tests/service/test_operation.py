"""What whoever runs a service sees of it: readiness, measures, request ids, log lines."""

import asyncio
import json
import time
from pathlib import Path

import httpx2
import pytest
import structlog

from tilewright_service.dispatch.engine import EngineView
from tilewright_service.logs import Repetitions
from tilewright_service.readiness import KEPT_SECONDS, Readiness
from tilewright_service.store.database import Database
from tilewright_service.store.liveness import write_nothing
from tilewright_service.store.schema import upgrade
from tilewright_service.turns import Turns

from ..services import IdleEngine, ServiceProcess
from .in_thread import ServiceInThread
from .running import workload


def test_a_service_is_ready_while_all_of_its_parts_are(
    service: ServiceInThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert service.http.get("/readyz").json() == {"status": "ok"}
    assert service.http.head("/readyz").status_code == service.http.head("/healthz").status_code == 200

    monkeypatch.setattr(IdleEngine, "view", lambda _: EngineView(away="no scheduler answers at tls://far:8786"))
    time.sleep(KEPT_SECONDS)
    with service.database.writing() as session:
        write_nothing(session)  # and nobody else can write
        answer = service.http.get("/readyz")
    assert answer.status_code == 503
    problem = answer.json()
    assert [part["part"] for part in problem["parts"]] == ["database", "engine"]
    assert "no scheduler answers" in problem["detail"]
    assert all(part["since"] for part in problem["parts"])

    monkeypatch.undo()
    time.sleep(KEPT_SECONDS)
    assert service.http.get("/readyz").status_code == 200


def test_a_service_whose_reconciler_is_stuck_is_not_ready(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'tilewright.db'}")
    upgrade(database)
    seconds = [2.0]
    readiness = Readiness(database, Turns(1), IdleEngine(), tmp_path, lambda: seconds[-1])
    assert asyncio.run(readiness.ailing()) == []
    seconds.append(60.0)
    time.sleep(KEPT_SECONDS)
    assert [part.part for part in asyncio.run(readiness.ailing())] == ["reconciler"]
    database.close()


def test_nobody_can_add_a_label(service: ServiceInThread) -> None:
    for number in range(30):
        service.http.request(f"M{number}", f"/v1/nothing/{number}")
        service.http.get(f"/v1/jobs/{1000 + number}")
    lines = [line for line in service.http.get("/metrics").text.splitlines() if "http_requests_total{" in line]
    assert len(lines) < 8
    assert any('route="/v1/jobs/{job_id}"' in line and line.endswith(" 30.0") for line in lines)
    assert any('method="other",route="none"' in line for line in lines)


def test_the_queue_and_the_database_are_measured(service: ServiceInThread) -> None:
    service.submit()
    text = service.http.get("/metrics").text
    for line in ('tilewright_jobs{state="queued"} 1.0', "tilewright_attempts_open 0.0", "tilewright_engine_away 0.0"):
        assert line in text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(values["tilewright_database_bytes"]) > 0
    assert float(values["tilewright_oldest_queued_seconds"]) >= 0
    assert float(values["tilewright_write_transaction_seconds_count"]) >= 1


def test_a_request_keeps_the_id_that_it_came_with_and_else_gets_one(service: ServiceInThread) -> None:
    named = service.http.get("/v1/jobs/77", headers={"X-Request-ID": "mine-1"})
    assert named.headers["x-request-id"] == named.json()["request_id"] == "mine-1"
    made = [service.http.get("/v1/nothing", headers=headers) for headers in ({}, {"X-Request-ID": 'a"b c'})]
    ids = [answer.headers["x-request-id"] for answer in made]
    assert ids == [answer.json()["request_id"] for answer in made]
    assert len(set(ids)) == 2
    assert 'a"b c' not in ids


def test_an_access_log_says_who_did_what_and_never_a_token(tmp_path: Path) -> None:
    token = "a-token-that-nobody-may-log"
    with ServiceProcess(tmp_path, TILEWRIGHT_TOKEN=token, TILEWRIGHT_ACCESS_LOG="1") as service:
        headers = {"Authorization": f"Bearer {token}", "Tilewright-User": "ann", "X-Request-ID": "one"}
        http = httpx2.Client(base_url=service.url, headers=headers)
        job = http.post("/v1/jobs?secret=1", json={"workloads": [workload()], "threads": 256}).raise_for_status().json()
        http.post(f"/v1/jobs/{job['id']}/cancel").raise_for_status()
    text = (tmp_path / "service.log").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert token not in text
    assert "secret=1" not in text
    asked = [line for line in lines if line["event"] == "request"]
    assert [(line["user"], line["status"], line["request_id"]) for line in asked] == [
        ("ann", 201, "one"),
        ("ann", 200, "one"),
    ]
    assert all(line["ms"] > 0 and line["bytes"] > 0 for line in asked)
    assert [line["event"] for line in lines if line["event"].startswith("job_")] == ["job_submitted", "job_cancelled"]


def test_an_error_that_is_repeated_is_written_once() -> None:
    look = Repetitions()
    assert look(None, "error", {"event": "round_failed", "error": "away"})
    with pytest.raises(structlog.DropEvent):
        look(None, "error", {"event": "round_failed", "error": "away"})
    assert look(None, "error", {"event": "round_failed", "error": "another"})
    assert look(None, "info", {"event": "round_failed", "error": "away"})


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"Origin": "http://localhost:3000"}, b"", 421),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"a=b", 415),
        ({"Content-Type": "text/plain"}, b"{}", 415),
        ({}, b"", 200),
    ],
)
def test_a_form_of_another_page_on_this_machine_cancels_nothing(
    service: ServiceInThread, headers: dict[str, str], content: bytes, status: int
) -> None:
    job = service.submit()
    answer = service.http.post(f"/v1/jobs/{job['id']}/cancel", headers=headers, content=content)
    assert answer.status_code == status
    assert service.job(job["id"])["state"] == ("cancelled" if status == 200 else "queued")


def test_a_page_of_our_own_may_write(service: ServiceInThread) -> None:
    job = service.submit()
    assert service.http.post(f"/v1/jobs/{job['id']}/cancel", headers={"Origin": service.url}).status_code == 200
