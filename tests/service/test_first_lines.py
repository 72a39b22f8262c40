"""What somebody reads who has just started a service."""

import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tilewright_service.serve import say_address
from tilewright_service.settings import Settings

from ..environment import environment
from ..services import ServiceProcess


def test_a_service_that_has_started_says_where_everything_is(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tilewright.cli", "serve", "--port", "0", "--data-dir", "data"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment(TILEWRIGHT_LOCKS_DIR=str(tmp_path / "locks")),
        stdout=subprocess.PIPE,
        text=True,
    ) as service:
        assert service.stdout is not None
        address, page, data, logs = (service.stdout.readline().split() for _ in range(4))
        try:
            assert (address[:2], address[-3:]) == (["Tilewright", "serves"], ["Ctrl-C", "ends", "it"])
            assert httpx2.get(page[1]).status_code == 200
            assert page[1] == address[2]
            assert data == ["data", str(tmp_path / "data")]
            assert logs == ["logs", str(tmp_path / "tuning_logs")]
        finally:
            service.send_signal(signal.SIGTERM)


def test_the_password_of_a_database_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(database="postgresql://tilewright:secret@db/tilewright", engine="tls://scheduler:8786")
    say_address(settings, "http://127.0.0.1:8000")
    printed = capsys.readouterr().out
    assert "secret" not in printed
    assert "@db/tilewright" in printed
    assert "logs  on the machines of the workers" in printed


def test_a_service_on_all_addresses_names_one_for_this_machine_and_one_for_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ServiceProcess(tmp_path, TILEWRIGHT_HOST="0.0.0.0", TILEWRIGHT_TOKEN="sixteen-letters-or-more") as service:
        assert service.url.startswith("http://127.0.0.1:")
        assert service.public_url is not None
        assert service.public_url.rpartition(":")[2] == service.url.rpartition(":")[2]
        for url in (service.url, service.public_url):
            assert httpx2.get(f"{url}/healthz").status_code == 200
        say_address(Settings(), service.url, service.public_url)
    assert f"{service.public_url} from other machines" in capsys.readouterr().out


def test_a_service_on_loopback_names_no_address_for_others(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path) as service:
        assert service.public_url is None
