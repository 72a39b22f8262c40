"""The commands of the compose files, run as processes of this machine with its addresses in place of the names."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from ..environment import environment
from ..postgresql import PostgresServer

ROOT = Path(__file__).parents[2]
PLAIN, WITH_POSTGRESQL = "docker-compose.yml", "docker-compose.postgresql.yml"
TOKEN = "for-the-test-of-compose"
JOIN_SECONDS = 60
BIN = Path(sys.executable).parent


def services(file: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / file).read_text())["services"]
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@pytest.mark.parametrize(("file", "workers"), [(PLAIN, 1), (WITH_POSTGRESQL, 2)])
def test_what_compose_starts_finds_each_other(
    tmp_path: Path, file: str, workers: int, postgresql: PostgresServer
) -> None:
    database = postgresql.create_database()
    scheduler, service = free_port(), free_port()
    names = {
        "tcp://scheduler:8786": f"tcp://127.0.0.1:{scheduler}",
        "8786": str(scheduler),
        "0.0.0.0": "127.0.0.1",
        "http://service:8000": f"http://127.0.0.1:{service}",
    }
    (tmp_path / "locks").mkdir(mode=0o700)
    settings = {
        "TILEWRIGHT_TOKEN": TOKEN,
        "TILEWRIGHT_PORT": str(service),
        "TILEWRIGHT_DATA_DIR": str(tmp_path / "data"),
        "TILEWRIGHT_LOGS_DIR": str(tmp_path / "logs"),
        "TILEWRIGHT_LOCKS_DIR": str(tmp_path / "locks"),
    }
    with ExitStack() as running:
        for name, described in services(file).items():
            if "command" not in described:
                continue  # the database, which is there already
            told = {key: names.get(value, value) for key, value in described.get("environment", {}).items() if value}
            if "TILEWRIGHT_DATABASE" in told:
                told["TILEWRIGHT_DATABASE"] = database
            command = [names.get(word, word) for word in described["command"]]
            running.enter_context(process(tmp_path / name, command, told | settings))
        with httpx2.Client(
            base_url=f"http://127.0.0.1:{service}", headers={"Authorization": f"Bearer {TOKEN}"}
        ) as http:
            wait_for_workers(http, workers, tmp_path)
            assert http.get("/readyz").status_code == 200
    postgresql.drop_database(database)


def wait_for_workers(http: httpx2.Client, count: int, folder: Path) -> None:
    deadline = time.monotonic() + JOIN_SECONDS
    while time.monotonic() < deadline:
        try:
            if len(http.get("/v1/workers").json()["items"]) == count:
                return
        except (httpx2.TransportError, json.JSONDecodeError, KeyError):
            pass
        time.sleep(0.2)
    raise AssertionError("\n".join(f"{log.name}: {log.read_text()[-2000:]}" for log in folder.glob("*.log")))


@contextmanager
def process(folder: Path, command: list[str], variables: Mapping[str, str]) -> Iterator[None]:
    log = folder.with_suffix(".log")
    with log.open("w") as output:
        started = subprocess.Popen(
            [str(BIN / command[0]), *command[1:]],
            env=environment(**variables),
            cwd=folder.parent,
            stdout=output,
            stderr=output,
        )
    try:
        yield
    finally:
        started.terminate()
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


@pytest.mark.parametrize("file", [PLAIN, WITH_POSTGRESQL])
def test_what_runs_for_years_is_started_again_and_keeps_its_logs_short(file: str) -> None:
    described = yaml.safe_load((ROOT / file).read_text())
    for name, service in described["services"].items():
        assert service["restart"] == "unless-stopped", name
        assert service["logging"]["options"]["max-size"], name
        assert set(service.get("depends_on", {})) <= set(described["services"])
        for volume in service.get("volumes", ()):
            assert volume.partition(":")[0] in described["volumes"], name
        for network in service.get("networks", ()):
            assert network in described["networks"], name
