"""A probe finds what would fail every attempt on a host, and says what to do."""

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tilewright_worker import host_probe
from tilewright_worker.host_probe import probe_host


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Healthy)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_fit_host_has_no_ailment(url: str, tmp_path: Path) -> None:
    assert probe_host(url, str(tmp_path / "logs")).ailment is None


def test_a_service_that_answers_something_else_is_not_reached(url: str, tmp_path: Path) -> None:
    ailment = probe_host(f"{url}/elsewhere", str(tmp_path)).ailment
    assert ailment is not None
    assert ailment.startswith(f"this worker does not reach the service at {url}/elsewhere (")
    assert "set TILEWRIGHT_PUBLIC_URL" in ailment


def test_a_logs_directory_that_cannot_be_written_is_an_ailment(url: str, tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("no directory")
    ailment = probe_host(url, str(tmp_path / "logs")).ailment
    assert ailment is not None
    assert ailment.startswith(f"{tmp_path / 'logs'} cannot be written (")


def test_a_full_disk_and_little_memory_are_ailments(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(host_probe, "FREE_BYTES", 2**62)
        assert "MiB left, which is too little" in str(probe_host(url, str(tmp_path)).ailment)
    monkeypatch.setattr(host_probe, "FREE_MEMORY_BYTES", 2**62)
    assert "MiB of memory are available, which is too little" in str(probe_host(url, str(tmp_path)).ailment)


def test_a_host_on_which_no_process_starts_is_ailing(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/not/there")
    assert probe_host(url, str(tmp_path)).ailment == "no process can be started (No such file or directory)"
