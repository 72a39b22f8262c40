"""`tilewright doctor --url`: can a service tune now, and what is away."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from tilewright import __version__
from tilewright.cli.app import app
from tilewright.errors import PROBLEM_MEDIA_TYPE

from .conftest import Call, Reply, ScriptedServer
from .examples import NOON, problem, worker

READY = Reply(200, {"status": "ok"})


def examine(url: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code, and the checks by name."""
    result = CliRunner().invoke(app, ["doctor", "--url", url, "--json"])
    assert result.stderr == ""
    document = json.loads(result.stdout)
    assert document["ok"] is (result.exit_code == 0)
    assert document["checks"][-1]["name"] == "tuning"
    return result.exit_code, {check["name"]: check for check in document["checks"]}


def serve(
    server: ScriptedServer,
    *workers: dict[str, Any],
    readiness: Reply = READY,
    found: Reply | None = None,
    version: str = __version__,
) -> None:
    answers = {
        "/version": Reply(200, {"version": version}),
        "/readyz": readiness,
        "/v1/workers?limit=200": found or Reply(200, {"items": list(workers), "next": None}),
    }

    def answer(call: Call) -> Reply:
        return answers[call.path]

    server.replies(answer)


def test_a_service_with_a_worker_can_tune(server: ScriptedServer) -> None:
    serve(server, worker("rack1"), worker("rack2", "running", running={"job_id": 3, "attempt": 2}))
    code, found = examine(server.url)
    assert code == 0
    assert all(check["ok"] and check["remedy"] is None for check in found.values())
    assert found["service"]["detail"] == f"Tilewright {__version__} at {server.url}"
    assert found["worker rack1"]["detail"] == "idle; 8 cores, test-cpu"
    assert found["worker rack2"]["detail"] == "runs attempt 2 of job 3; 8 cores, test-cpu"
    assert found["tuning"]["detail"] == "2 of 2 workers can tune"


@pytest.mark.parametrize(
    ("state", "reason", "words", "remedy"),
    [
        ("set_aside", "its disk is full", "set aside since 2026-01-01 1", "mend what is said there"),
        ("set_aside", "it is of Tilewright 0.0.9, the service of 0.1.0", "of Tilewright 0.0.9", "mend"),
        ("silent", "no answer for 40 s", "silent since 2026-01-01 1", "comes back by itself"),
        ("draining", None, "draining since 2026-01-01 1", "start it again"),
    ],
)
def test_a_worker_that_takes_no_work_is_named_with_its_reason_and_the_others_tune(
    server: ScriptedServer, state: str, reason: str | None, words: str, remedy: str
) -> None:
    ill = worker("rack2", state, reason=reason, since=NOON)
    serve(server, worker("rack1"), ill)
    code, found = examine(server.url)
    assert code == 0
    check = found["worker rack2"]
    assert not check["ok"]
    assert words in check["detail"]
    assert (reason or "") in check["detail"]
    assert remedy in check["remedy"]
    assert found["tuning"]["detail"] == "1 of 2 workers can tune"
    serve(server, ill)
    code, found = examine(server.url)
    assert code == 1
    assert "none takes work (1 " in found["tuning"]["detail"]


def test_a_worker_whose_cores_others_measure_on_can_tune_later(server: ScriptedServer) -> None:
    serve(server, worker("rack1", "busy", reason="bea measures there"))
    code, found = examine(server.url)
    assert (code, found["worker rack1"]["ok"]) == (0, True)
    assert "busy: bea measures there" in found["worker rack1"]["detail"]


def test_a_service_without_a_worker_cannot_tune_and_is_told_how_to_get_one(server: ScriptedServer) -> None:
    serve(server)
    code, found = examine(server.url)
    assert code == 1
    assert found["tuning"]["detail"] == "nothing can be tuned now: it has no worker; jobs that wait are kept"
    assert "tilewright worker --engine URL" in found["workers"]["remedy"]


def test_what_is_away_is_named_part_by_part(server: ScriptedServer) -> None:
    parts = [
        {"part": "engine", "reason": "no scheduler answers at tls://scheduler:8786", "since": NOON},
        {"part": "database", "reason": "the database takes no writes", "since": NOON},
    ]
    away = Reply(503, {**problem("unavailable", 503), "parts": parts, "request_id": "x"}, PROBLEM_MEDIA_TYPE)
    nobody = Reply(503, problem("unavailable", 503, "the scheduler does not answer"), PROBLEM_MEDIA_TYPE)
    serve(server, readiness=away, found=nobody)
    code, found = examine(server.url)
    assert code == 1
    assert found["engine"]["detail"].startswith("no scheduler answers at tls://scheduler:8786, since 2026-01-01 1")
    assert not found["database"]["ok"]
    assert found["workers"]["detail"] == "the scheduler does not answer"
    assert "its engine is not well and its database is not well" in found["tuning"]["detail"]


def test_workers_that_are_there_do_not_help_while_the_database_is_away(server: ScriptedServer) -> None:
    parts = [{"part": "database", "reason": "the database takes no writes", "since": NOON}]
    away = Reply(503, {**problem("unavailable", 503), "parts": parts}, PROBLEM_MEDIA_TYPE)
    serve(server, worker("rack1"), readiness=away)
    code, found = examine(server.url)
    assert (code, found["worker rack1"]["ok"]) == (1, True)


@pytest.mark.parametrize(
    "answer",
    [
        Reply(503, problem("unavailable", 503, "it is starting"), PROBLEM_MEDIA_TYPE),
        Reply(503, "<html>it is starting</html>", "text/html"),
    ],
    ids=["a problem", "a proxy"],
)
def test_a_service_that_is_not_ready_and_says_no_more_cannot_tune(server: ScriptedServer, answer: Reply) -> None:
    serve(server, worker("rack1"), readiness=answer)
    assert examine(server.url)[0] == 1


def test_a_service_of_another_version_is_named_and_no_fault(server: ScriptedServer) -> None:
    serve(server, worker("rack1"), version="9.9.9")
    code, found = examine(server.url)
    assert code == 0
    assert f"Tilewright 9.9.9 at {server.url}; this client is {__version__}" in found["service"]["detail"]
    assert "tilewright==9.9.9" in found["service"]["remedy"]


def test_a_service_that_does_not_answer_is_a_finding() -> None:
    code, found = examine("http://127.0.0.1:1")
    assert code == 1
    assert "no service answers at http://127.0.0.1:1" in found["service"]["detail"]


def test_a_service_that_wants_a_token_is_a_finding(server: ScriptedServer) -> None:
    refusal = problem("unauthorized", 401, "this service needs its token: set TILEWRIGHT_TOKEN")
    server.replies(Reply(401, refusal, PROBLEM_MEDIA_TYPE))
    code, found = examine(server.url)
    assert code == 1
    assert "set TILEWRIGHT_TOKEN" in found["service"]["detail"]


def test_the_table_has_a_row_a_finding_and_the_remedies_below(server: ScriptedServer) -> None:
    serve(server, worker("rack1"), worker("rack2", "set_aside", reason="its disk is full"))
    result = CliRunner().invoke(app, ["doctor", "--url", server.url])
    assert result.exit_code == 0
    assert "no  worker rack2  set aside: its disk is full; 8 cores, test-cpu" in result.stdout
    assert "\nworker rack2: mend what is said there" in result.stdout


def test_an_address_that_is_none_is_wrong_usage() -> None:
    assert CliRunner().invoke(app, ["doctor", "--url", "nowhere"]).exit_code == 2


def test_the_environment_does_not_make_the_doctor_look_elsewhere(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TILEWRIGHT_URL", server.url)
    monkeypatch.setattr("tilewright.doctor.run_checks", lambda: iter(()))
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 0
    assert server.calls == []
