"""Under whose name a program or a person asks."""

import getpass
import re
from typing import Any

import pytest
from typer.testing import CliRunner

import tilewright
from tilewright.caller import caller_name
from tilewright.cli.app import app
from tilewright.http import Client

from .conftest import Reply, ScriptedServer
from .examples import event, job, summary


def asked_as(server: ScriptedServer) -> str | None:
    return server.calls[-1].headers.get("Tilewright-User")


@pytest.fixture
def server(server: ScriptedServer) -> ScriptedServer:
    server.replies(Reply(200, job("finished")))
    return server


def test_the_name_is_the_one_given_then_that_of_the_environment_then_the_login_name(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "login")
    tilewright.connect(server.url).job(7)
    assert asked_as(server) == "login"
    monkeypatch.setenv("TILEWRIGHT_USER", "bea")
    tilewright.connect(server.url).job(7)
    assert asked_as(server) == "bea"
    tilewright.connect(server.url, user="carl").job(7)
    assert asked_as(server) == "carl"


def test_every_request_says_who_asks_also_that_for_events(server: ScriptedServer) -> None:
    hub = tilewright.connect(server.url, user="bea")
    handle = hub.submit(network="resnet18")
    handle.cancel()
    server.replies(Reply(200, event(1) + event(2, "finished"), "text/event-stream"))
    list(handle.events())
    assert len(server.calls) == 3
    assert {call.headers.get("Tilewright-User") for call in server.calls} == {"bea"}


def test_the_command_line_says_who_asks(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILEWRIGHT_USER", "bea")
    server.replies(Reply(200, {"items": [summary()], "next": None}))
    assert CliRunner().invoke(app, ["jobs", "--url", server.url]).exit_code == 0
    assert asked_as(server) == "bea"


@pytest.mark.parametrize("error", [KeyError("uid not found: 12345"), OSError("No username set in the environment")])
def test_without_a_login_name_nobody_asks(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail() -> str:
        raise error

    monkeypatch.setattr(getpass, "getuser", fail)
    tilewright.connect(server.url).job(7)
    assert asked_as(server) is None


def test_a_client_that_is_told_no_name_sends_none(server: ScriptedServer) -> None:
    Client(server.url).job(7)
    assert asked_as(server) is None


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("bea", "bea"),
        ("  Bea van Dam \n", "Bea_van_Dam"),
        ("Zoë", "Zoe"),
        ("Ж", "\\u0416"),
        ("a\r\nX-Evil: 1\0", "a_X-Evil:_1"),
        ("x" * 1000, "x" * 64),
        ("x" * 63 + " y", "x" * 63 + "_"),
        ("\ud800", "\\ud800"),
        ("", ""),
        ("\n", ""),
    ],
)
def test_any_name_becomes_what_a_header_can_hold(given: str, name: str, server: ScriptedServer) -> None:
    assert caller_name(given) == name
    tilewright.connect(server.url, user=given).job(7)
    assert asked_as(server) == (name or None)


def test_names_are_printable_ascii_and_short(monkeypatch: pytest.MonkeyPatch) -> None:
    for code in range(0x3000):
        monkeypatch.setenv("TILEWRIGHT_USER", chr(code) * 9 if code else "x")
        assert re.fullmatch(r"[!-~]{0,64}", caller_name())


def test_one_name_is_one_name_however_often_it_is_told() -> None:
    for name in ("Zoë", "Ж", "x" * 70, " a b "):
        assert caller_name(caller_name(name)) == caller_name(name)


def requests(server: ScriptedServer) -> list[Any]:
    return [call.path for call in server.calls]


def test_withdrawing_and_cancelling_for_everybody_are_two_requests(server: ScriptedServer) -> None:
    handle = tilewright.connect(server.url, user="bea").job(7)
    handle.cancel()
    handle.cancel(everybody=True)
    assert requests(server)[1:] == ["/v1/jobs/7/cancel", "/v1/jobs/7/cancel?everybody=true"]
