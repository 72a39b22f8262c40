import itertools
import time

import pytest

from tilewright import errors, event_stream
from tilewright.contract.events import WorkloadFailedEvent, WorkloadStartedEvent
from tilewright.contract.jobs import JobRequest, JobState
from tilewright.contract.schedules import Lookup
from tilewright.contract.workload import Workload
from tilewright.http import Client

from .conftest import CUT, Reply, ScriptedServer
from .examples import CONV, event, job, job_workload, problem

STREAM = "text/event-stream"
WORKLOAD = Workload.model_validate(CONV)
REQUEST = JobRequest(workloads=[WORKLOAD], seconds=5)


@pytest.fixture
def client(server: ScriptedServer) -> Client:
    return Client(server.url, token="secret")


def test_a_request_is_sent_as_the_contract_says(client: Client, server: ScriptedServer) -> None:
    server.replies(Reply(201, job("queued")))
    assert client.submit(REQUEST, "my-key").state is JobState.QUEUED
    (call,) = server.calls
    assert (call.method, call.path) == ("POST", "/v1/jobs")
    assert call.headers["Authorization"] == "Bearer secret"
    assert call.headers["Idempotency-Key"] == "my-key"
    assert JobRequest.model_validate(call.body) == REQUEST


def test_a_lost_answer_is_asked_for_again_with_the_same_key(client: Client, server: ScriptedServer) -> None:
    server.replies(CUT, Reply(503, problem("unavailable", 503)), Reply(201, job("queued")))
    assert client.submit(REQUEST).id == 7
    assert len({call.headers["Idempotency-Key"] for call in server.calls}) == 1
    assert len(server.calls) == 3


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("invalid-request", 422, errors.InvalidRequest),
        ("unknown-network", 422, errors.UnknownNetwork),
        ("unauthorized", 401, errors.Unauthorized),
        ("not-found", 404, errors.NotFound),
        ("idempotency-conflict", 409, errors.IdempotencyConflict),
        ("too-large", 413, errors.TooLarge),
        ("storage-full", 507, errors.StorageFull),
    ],
)
def test_a_refusal_is_raised_and_the_request_not_repeated(
    client: Client, server: ScriptedServer, code: str, status: int, kind: type[errors.TilewrightError]
) -> None:
    server.replies(Reply(status, problem(code, status, "the reason"), errors.PROBLEM_MEDIA_TYPE))
    with pytest.raises(kind, match="the reason"):
        client.submit(REQUEST)
    assert len(server.calls) == 1


def test_lists_are_read_page_by_page_and_only_as_far_as_needed(client: Client, server: ScriptedServer) -> None:
    first = {"items": [job(id=1), job(id=2)], "next": "/v1/jobs?cursor=two&limit=200"}
    server.replies(Reply(200, first), Reply(200, {"items": [job(id=3)], "next": None}))
    found = client.jobs(JobState.RUNNING)
    assert next(found).id == 1
    assert [call.path for call in server.calls] == ["/v1/jobs?limit=200&state=running"]
    assert [each.id for each in found] == [2, 3]
    assert server.calls[1].path == "/v1/jobs?cursor=two&limit=200"


def test_a_lookup_keeps_the_order_of_the_question(client: Client, server: ScriptedServer) -> None:
    server.replies(Reply(200, {"items": [None, None]}))
    assert client.lookup(Lookup(workloads=[WORKLOAD, WORKLOAD])).items == [None, None]


def test_keys_of_a_newer_service_are_passed_over(client: Client, server: ScriptedServer) -> None:
    server.replies(Reply(200, job(colour="blue")))
    assert client.job(7).id == 7


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, "<html>hello</html>", "text/html"),
        Reply(200, {"id": 7}),
        Reply(200, "[]"),
        Reply(302, "", "text/html"),
    ],
    ids=["html", "incomplete", "array", "redirect"],
)
def test_somebody_else_at_the_address_is_told_apart(client: Client, server: ScriptedServer, reply: Reply) -> None:
    server.replies(reply)
    with pytest.raises(errors.UnexpectedAnswer):
        client.job(7)


def test_a_service_that_is_down_is_named_with_the_remedy() -> None:
    with pytest.raises(errors.ServerUnreachable, match=r"127\.0\.0\.1:1 .*tilewright serve.*TILEWRIGHT_URL"):
        Client("http://127.0.0.1:1", patience_seconds=0).job(7)


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://host", "http://", "http://host:port"])
def test_an_address_that_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(errors.InvalidRequest, match="is not an address"):
        Client(url)


def test_events_are_read_to_the_last_one(client: Client, server: ScriptedServer) -> None:
    server.replies(Reply(200, ": hello\n\n" + event(1) + event(2, "finished"), STREAM))
    assert [each.id for each in client.events(7)] == [1, 2]
    assert len(server.calls) == 1


def test_a_broken_stream_goes_on_after_the_last_event_seen(client: Client, server: ScriptedServer) -> None:
    server.replies(
        Reply(200, event(1) + event(2), STREAM),
        Reply(200, job("running")),
        CUT,
        Reply(503, problem("unavailable", 503)),
        Reply(200, event(3) + event(4, "failed"), STREAM),
    )
    assert [each.id for each in client.events(7)] == [1, 2, 3, 4]
    streams = [call for call in server.calls if call.path.endswith("/events")]
    assert [call.headers.get("Last-Event-ID") for call in streams] == [None, "2", "2", "2"]


def test_events_of_a_job_that_ended_come_to_an_end(client: Client, server: ScriptedServer) -> None:
    server.replies(Reply(200, "", STREAM), Reply(200, job("cancelled")))
    assert list(client.events(7, last_event_id=9)) == []
    assert server.calls[0].headers["Last-Event-ID"] == "9"


def test_events_of_a_job_that_does_not_exist_are_not_waited_for(client: Client, server: ScriptedServer) -> None:
    server.replies(Reply(404, problem("not-found", 404, "there is no job 7")))
    with pytest.raises(errors.NotFound, match="there is no job 7"):
        list(client.events(7))


def test_a_reader_of_events_gives_up_in_the_end(
    client: Client, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "PATIENCE_SECONDS", 0.3)
    server.replies(Reply(200, event(1), STREAM), CUT)
    began = time.monotonic()
    with pytest.raises(errors.ServerUnreachable):
        list(client.events(7))
    assert time.monotonic() - began < 3


def test_a_service_that_is_down_is_unhealthy_and_no_error(client: Client, server: ScriptedServer) -> None:
    server.replies(Reply(200, {"status": "ok"}))
    assert client.is_healthy()
    assert not Client("http://127.0.0.1:1", patience_seconds=0).is_healthy()


def test_a_reader_may_leave_a_stream_early(client: Client, server: ScriptedServer) -> None:
    server.replies(Reply(200, event(1) + event(2) + event(3), STREAM))
    assert [each.id for each in itertools.islice(client.events(7), 2)] == [1, 2]


def test_somebody_else_at_the_address_tells_no_events(client: Client, server: ScriptedServer) -> None:
    server.replies(Reply(200, "<html>hello</html>", "text/html"))
    with pytest.raises(errors.UnexpectedAnswer, match="not with events"):
        list(client.events(7))
    assert len(server.calls) == 1


def test_a_reader_of_events_comes_back_when_the_service_says_and_not_before(
    client: Client, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errors.Unavailable, "retry_after_seconds", 0.6, raising=False)
    server.replies(
        Reply(200, event(1), STREAM),
        Reply(200, job("running")),
        Reply(503, problem("unavailable", 503)),
        Reply(200, event(2, "finished"), STREAM),
    )
    began = time.monotonic()
    assert [each.id for each in client.events(7)] == [1, 2]
    assert 0.6 < time.monotonic() - began < 5


def test_progress_of_several_workloads_comes_interleaved_as_it_was_told(client: Client, server: ScriptedServer) -> None:
    told = [
        event(at, kind, **{**job_workload(batch=batch), "workload": None, "attempt": batch})
        for at, (kind, batch) in enumerate([("workload_started", 1), ("workload_started", 2), ("progress", 1)] * 2, 1)
    ]
    failed = event(7, "workload_failed", **job_workload("failed", 2, reason="it crashed", attempt=2, tries=5))
    server.replies(Reply(200, "".join([*told, failed, event(8, "failed")]), STREAM))
    story = list(client.events(7))
    assert [each.type for each in story[:3]] == ["workload_started", "workload_started", "progress"]
    last = story[6]
    assert isinstance(last, WorkloadFailedEvent)
    assert (last.data.reason, last.data.attempt, last.data.tries) == ("it crashed", 2, 5)
    assert [each.data.attempt for each in story[:3] if isinstance(each, WorkloadStartedEvent)] == [1, 2]
