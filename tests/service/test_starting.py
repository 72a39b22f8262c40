"""A service that cannot start says what to do, and leaves with 1."""

import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import SERVE

from tilewright_service.data_dir import hold_data_dir
from tilewright_service.store.database import Database
from tilewright_service.store.schema import upgrade


def refusal(**settings: object) -> str:
    environment = {**os.environ, **{f"TILEWRIGHT_{name.upper()}": str(value) for name, value in settings.items()}}
    ended = subprocess.run(
        [sys.executable, "-c", SERVE], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    return ended.stderr


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


def test_a_second_service_on_the_same_data_is_refused(tmp_path: Path) -> None:
    with hold_data_dir(tmp_path):
        assert "another service uses the data directory" in refusal(data_dir=tmp_path, port=0)


def test_a_taken_port_is_refused(tmp_path: Path, taken_port: int) -> None:
    assert f"cannot listen on 127.0.0.1:{taken_port}" in refusal(data_dir=tmp_path, port=taken_port)


def test_a_data_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refusal(data_dir=tmp_path / "file" / "data", port=0)


def test_an_open_door_without_a_token_is_refused(tmp_path: Path) -> None:
    assert "set TILEWRIGHT_TOKEN" in refusal(data_dir=tmp_path, port=0, host="0.0.0.0")


def test_a_scheduler_that_does_not_answer_is_refused(tmp_path: Path) -> None:
    assert "no scheduler answers at tcp://127.0.0.1:1" in refusal(data_dir=tmp_path, port=0, engine="tcp://127.0.0.1:1")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tilewright.db").write_text("this is not a database, and never was one " * 100)
    assert "tilewright.db cannot be opened: file is not a database" in refusal(data_dir=tmp_path, port=0)


def test_a_database_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tilewright.db"
    upgrade(Database(f"sqlite:///{path}"))
    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    assert "tilewright.db is of another version of Tilewright" in refusal(data_dir=tmp_path, port=0)


def test_a_service_keeps_its_identity_in_its_data_directory(tmp_path: Path) -> None:
    with hold_data_dir(tmp_path) as first:
        pass
    with hold_data_dir(tmp_path) as second:
        assert first == second


def test_a_directory_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o755)
    with hold_data_dir(shared):
        assert shared.stat().st_mode & 0o777 == 0o755
    with hold_data_dir(tmp_path / "new"):
        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
