import time
from threading import Event, Timer

import pytest

from tilewright.attempt_client import HURRY_SECONDS, AttemptClient
from tilewright.contract.attempts import (
    Cause,
    Failed,
    Finished,
    LaunchOrder,
    Renewal,
    WorkloadFailure,
    WorkloadOutcome,
)
from tilewright.contract.target import Isa
from tilewright.errors import ScheduleChanged, ServerUnreachable, StaleAttempt, Unavailable

from .conftest import CUT, Reply, ScriptedServer
from .examples import CHOICE, CONV, problem

RENEWED = {"cancel": False, "lease_seconds": 10.0}


def order_to(url: str) -> LaunchOrder:
    return LaunchOrder(url=url, database_id="0" * 32, job_id=7, attempt=2, token="attempt-token", threads=1)


def attempt(url: str, patience_seconds: float = 5.0) -> AttemptClient:
    return AttemptClient(order_to(url), patience_seconds)


def test_every_call_carries_the_attempt_and_its_token(server: ScriptedServer) -> None:
    server.replies(Reply(200, RENEWED))
    assert not attempt(server.url).renew(Renewal()).cancel
    (call,) = server.calls
    assert call.path == "/v1/jobs/7/attempts/2/renew"
    assert call.headers["Authorization"] == "Bearer attempt-token"


def test_a_restart_of_the_service_is_sat_out(server: ScriptedServer) -> None:
    server.replies(CUT, Reply(503, problem("unavailable", 503)), Reply(502, ""), Reply(200, RENEWED))
    assert attempt(server.url).renew(Renewal()).lease_seconds == 10.0
    assert len(server.calls) == 4


def test_a_full_disk_of_the_service_is_waited_for(server: ScriptedServer) -> None:
    server.replies(Reply(507, problem("storage-full", 507)), Reply(200, {"workload": None}))
    assert attempt(server.url).next().workload is None
    assert len(server.calls) == 2


def test_who_was_told_to_end_does_not_wait_for_long() -> None:
    order = LaunchOrder(
        url="http://127.0.0.1:1", database_id="0" * 32, job_id=7, attempt=2, token="attempt-token", threads=1
    )
    told = Event()
    client = AttemptClient(order, patience_seconds=60, is_hurried=told.is_set)
    Timer(1.0, told.set).start()
    began = time.monotonic()
    with pytest.raises(ServerUnreachable):
        client.next()
    assert 0.9 < time.monotonic() - began < 1 + HURRY_SECONDS


def test_a_renewal_is_tried_once_where_its_caller_wants_it_so(server: ScriptedServer) -> None:
    server.replies(Reply(503, problem("unavailable", 503)))
    with pytest.raises(Unavailable):
        attempt(server.url).renew(Renewal(progress=3), patience_seconds=0)
    assert [call.body for call in server.calls] == [{"progress": 3}]


def test_a_service_that_stays_away_is_given_up() -> None:
    began = time.monotonic()
    with pytest.raises(ServerUnreachable):
        attempt("http://127.0.0.1:1", patience_seconds=0.5).renew(Renewal())
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(("code", "kind"), [("stale-attempt", StaleAttempt), ("schedule-changed", ScheduleChanged)])
def test_an_attempt_that_lost_its_authority_is_told_at_once(
    server: ScriptedServer, code: str, kind: type[Exception]
) -> None:
    server.replies(Reply(409, problem(code, 409)))
    with pytest.raises(kind):
        attempt(server.url).renew(Renewal())
    assert len(server.calls) == 1


def test_the_history_is_asked_for_by_workload(server: ScriptedServer) -> None:
    server.replies(Reply(200, {"records": [], "incumbent": None}))
    assert attempt(server.url).history("a" * 64, Isa.X86_64).records == []
    assert server.calls[0].path == f"/v1/jobs/7/attempts/2/history?workload_id={'a' * 64}&isa=x86_64"


def test_neighbours_are_asked_for_only_where_they_are_wanted(server: ScriptedServer) -> None:
    record = {"choice": CHOICE.model_dump(), "latency_us": 10.0}
    neighbour = {"workload": CONV, "records": [record]}
    server.replies(Reply(200, {"records": [], "incumbent": None, "neighbours": [neighbour]}))
    [known] = attempt(server.url).history("a" * 64, Isa.X86_64, neighbours=True).neighbours
    assert known.records[0].choice == CHOICE
    assert server.calls[0].path.endswith("&isa=x86_64&neighbours=true")


def test_outcomes_and_results_need_no_answer(server: ScriptedServer) -> None:
    server.replies(Reply(204, ""))
    with attempt(server.url) as client:
        client.report_outcome(WorkloadOutcome(workload_id="a" * 64, stop_reason="plateau", seconds=1, schedule_id=None))
        client.report_result(Finished())
        client.report_failure(WorkloadFailure(workload_id="a" * 64, reason="no evaluator was ready for it"))
        client.report_result(Failed(cause=Cause.HOST, reason="out of memory"))
    assert [call.path.rpartition("/")[2] for call in server.calls] == ["outcomes", "result", "failures", "result"]
    assert server.calls[3].body == {"outcome": "failed", "cause": "host", "reason": "out of memory"}
