"""A service of a few lines behind a real socket: what the client does when answers are odd, late or missing."""

import json
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import tilewright
from tilewright.contract.hosts import Host
from tilewright.contract.schedules import Schedule
from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload


class Call(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Reply(NamedTuple):
    status: int = 200
    body: Any = None
    content_type: str = "application/json"


CUT = Reply(status=0)
"""Closes the connection without an answer."""


class ScriptedServer:
    """Answers the calls one after the other with the replies it was given; the last one stays."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._replies: list[Reply | Callable[[Call], Reply]] = []
        script = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                script._answer(self)

            def do_POST(self) -> None:
                script._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def replies(self, *replies: Reply | Callable[[Call], Reply]) -> None:
        self._replies = list(replies)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        content = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        call = Call(handler.command, handler.path, dict(handler.headers), json.loads(content) if content else None)
        self.calls.append(call)
        next_reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        reply = next_reply(call) if callable(next_reply) and not isinstance(next_reply, Reply) else next_reply
        if reply.status == 0:
            handler.close_connection = True
            return
        text = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
        handler.send_response(reply.status)
        handler.send_header("Content-Type", reply.content_type)
        handler.send_header("Content-Length", str(len(text.encode())))
        handler.end_headers()
        handler.wfile.write(text.encode())


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scripted = ScriptedServer()
    yield scripted
    scripted.close()


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where `load` keeps what it was served: not the developer's, whose settings are left out as well."""
    for name in ("TILEWRIGHT_URL", "TILEWRIGHT_TOKEN", "TILEWRIGHT_USER", "TILEWRIGHT_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "cache" / "tilewright"
    monkeypatch.setenv("TILEWRIGHT_CACHE_DIR", str(folder))
    return folder


HOST = Host(
    host_class="test-cpu",
    hostname="here",
    cpu_model="Test CPU",
    cores=2,
    isas=(Isa.AVX512_VNNI, Isa.AVX2, Isa.X86_64),
)


class StandIn(tilewright.Kernel):
    """A kernel that is only what it was built from."""

    def __init__(self, workload: Workload, target: Target, schedule: Schedule | None) -> None:
        self.workload, self.target, self.schedule = workload, target, schedule

    def pack(self, *_: Any, **__: Any) -> tilewright.PackedConv:
        raise NotImplementedError


@pytest.fixture
def _kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for the compiler."""
    host, kernel = (
        types.ModuleType("tilewright_kernels.isa.host"),
        types.ModuleType("tilewright_kernels.runtime.kernel"),
    )
    host.this_host = lambda: HOST  # type: ignore[attr-defined]
    kernel.load_kernel = StandIn  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, host.__name__, host)
    monkeypatch.setitem(sys.modules, kernel.__name__, kernel)


@pytest.fixture(autouse=True)
def _signals_stay_those_of_pytest() -> Iterator[None]:
    """`serve` and `worker` take them, also where they run in this process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
