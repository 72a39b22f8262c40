"""A caller can slow down only himself: what a stranger holds open, or sends slowly, changes nothing for others."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from pydantic import SecretStr

from tilewright_service import body_limit, gate, http_protocol
from tilewright_service.settings import Settings

from .in_thread import serving
from .running import workload

TOKEN = "a-token-of-this-service"
STRANGERS = 1000
HEALTH_SECONDS = 0.05


@contextmanager
def held(url: str, count: int, start: bytes = b"", source: str = "127.0.0.1") -> Iterator[list[socket.socket]]:
    """So many connections, on each of which nothing but `start` is sent."""
    address = urlsplit(url)
    with ExitStack() as stack:
        connections = []
        for _ in range(count):
            connection = socket.create_connection(
                (address.hostname or "", address.port or 0), timeout=20, source_address=(source, 0)
            )
            connections.append(stack.enter_context(connection))
            if start:
                connection.sendall(start)
        yield connections


def health_seconds(url: str) -> float:
    """On new connections: the median of a few, as the machine is shared."""
    times = []
    for _ in range(15):
        started = time.perf_counter()
        with held(url, 1, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n") as asked:
            assert read_all(asked[0]).startswith(b"HTTP/1.1 200 ")
        times.append(time.perf_counter() - started)
    return sorted(times)[len(times) // 2]


def read_all(connection: socket.socket) -> bytes:
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


@pytest.mark.parametrize("start", [b"", b"GET /v1/jobs HT"], ids=["silent", "half a head"])
def test_a_thousand_connections_of_a_stranger_change_nothing_for_others(tmp_path: Path, start: bytes) -> None:
    settings = Settings(token=SecretStr(TOKEN), max_connections=200, max_connections_per_address=150)
    with serving(tmp_path, settings) as service:
        with held(service.url, STRANGERS, start, source="127.0.0.2"):
            assert health_seconds(service.url) < HEALTH_SECONDS
        with held(service.url, STRANGERS, start):  # of the very address of the others
            assert health_seconds(service.url) < HEALTH_SECONDS


def test_where_all_connections_are_busy_a_new_one_is_told_to_come_again(tmp_path: Path) -> None:
    with serving(tmp_path, Settings(max_connections=16)) as service:
        job = service.submit()
        service.http.close()
        request = f"GET /v1/jobs/{job['id']}/events HTTP/1.1\r\nHost: localhost:{urlsplit(service.url).port}\r\n\r\n"
        with held(service.url, 16, request.encode()) as readers:
            assert all(reader.recv(12) == b"HTTP/1.1 200" for reader in readers)
            with held(service.url, 1) as late:
                answer = read_all(late[0])
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 2\r\n" in answer
        assert b"urn:tilewright:problem:unavailable" in answer
        assert httpx2.get(f"{service.url}/healthz").status_code == 200


def test_a_slow_head_is_answered_with_408_and_silence_with_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.5)
    with serving(tmp_path) as service:
        with held(service.url, 1, b"GET /healthz HTTP/1.1\r\nHost: ") as slow:
            time.sleep(0.3)
            slow[0].sendall(b"loc")  # a letter now and then does not help
            assert b" 408 " in read_all(slow[0])
        with held(service.url, 1) as silent:
            assert read_all(silent[0]) == b""
        with held(service.url, 1, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") as kept:
            answer = read_all(kept[0])  # which ends as the service closes it
            assert answer.startswith(b"HTTP/1.1 200 ")


def test_a_slow_body_is_answered_with_408(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limit, "FIRST_SECONDS", 0.5)
    with serving(tmp_path) as service:
        head = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost:%d\r\nContent-Type: application/json\r\n"
        head = head % (urlsplit(service.url).port or 0) + b"Content-Length: 1000\r\n\r\n{"
        started = time.monotonic()
        with held(service.url, 1, head) as slow:
            answer = read_all(slow[0])
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"urn:tilewright:problem:request-timeout" in answer
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/1/attempts/1/records"])
def test_the_body_of_a_stranger_is_not_read(tmp_path: Path, path: str) -> None:
    """He is answered before he has sent it."""
    with serving(tmp_path, Settings(token=SecretStr(TOKEN))) as service:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        with held(service.url, 1, f"{head}Content-Length: {8 * 2**20}\r\n\r\n".encode()) as stranger:
            assert stranger[0].recv(12) == b"HTTP/1.1 401"


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/1/attempts/1/renew"])
def test_strangers_who_ask_again_at_once_are_refused_a_few_at_a_time(tmp_path: Path, path: str) -> None:
    """Each refusal is a turn that somebody else does not have."""
    with serving(tmp_path, Settings(token=SecretStr(TOKEN))) as service, ThreadPoolExecutor(40) as strangers:
        began = time.monotonic()
        answers = list(strangers.map(lambda _: httpx2.post(f"{service.url}{path}", json={}).status_code, range(80)))
        assert time.monotonic() - began > 80 / gate.REFUSED_AT_ONCE * gate.REFUSAL_SECONDS * 0.9
        assert set(answers) == {401}


def test_what_a_stranger_sends_after_his_answer_is_drained_and_bounded(tmp_path: Path) -> None:
    with serving(tmp_path, Settings(token=SecretStr(TOKEN))) as service:
        answer = service.http.post("/v1/jobs", content=b"[],[]," * 1_300_000)
        assert answer.status_code == 401
        head = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n"
        with held(service.url, 1, head) as stranger, pytest.raises(OSError):
            stranger[0].sendall(b" " * 100 * 2**20)


def test_a_reader_who_does_not_read_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "UNREAD_SECONDS", 1.0)
    with serving(tmp_path) as service:
        workloads = [workload(8 + number) for number in range(900)]
        job = service.http.post("/v1/jobs", json={"workloads": workloads}).raise_for_status().json()
        port = urlsplit(service.url).port
        request = f"GET /v1/jobs/{job['id']} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode()
        with held(service.url, 1, request * 20) as lazy:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                if 'connections_closed_total{reason="unread answer"} 1.0' in service.http.get("/metrics").text:
                    break
                time.sleep(0.2)
            else:
                raise AssertionError("it is still served")
            assert lazy
