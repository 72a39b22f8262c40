"""A service that cannot start says what to do, and leaves with 1."""

import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr, ValidationError

from tilewright_service.data_dir import hold_data_dir
from tilewright_service.settings import Settings
from tilewright_service.store.database import Database
from tilewright_service.store.schema import upgrade

from ..services import DidNotStart, ServiceProcess


def refusal(folder: Path, **variables: str) -> str:
    with pytest.raises(DidNotStart) as ended:
        ServiceProcess(folder, **variables)
    assert ended.value.exit_code == 1
    assert "Traceback" not in ended.value.output
    return ended.value.output


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


def test_a_second_service_on_the_same_data_is_refused(tmp_path: Path) -> None:
    with hold_data_dir(tmp_path / "data"):
        assert "another service uses the data directory" in refusal(tmp_path)


def test_a_taken_port_is_refused(tmp_path: Path, taken_port: int) -> None:
    assert f"cannot listen on 127.0.0.1:{taken_port}" in refusal(tmp_path, TILEWRIGHT_PORT=str(taken_port))


def test_a_data_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("this is a file")
    assert "cannot be written" in refusal(tmp_path)


def test_a_service_that_others_can_reach_is_refused_without_a_token(tmp_path: Path) -> None:
    assert "set TILEWRIGHT_TOKEN" in refusal(tmp_path, TILEWRIGHT_HOST="0.0.0.0")


def test_a_token_that_could_be_guessed_is_refused_where_others_can_reach_it(tmp_path: Path) -> None:
    assert "could be guessed" in refusal(tmp_path, TILEWRIGHT_HOST="0.0.0.0", TILEWRIGHT_TOKEN="x")


def test_an_empty_token_is_refused_as_nobody_could_enter() -> None:
    with pytest.raises(ValidationError, match="an empty token lets nobody in"):
        Settings(token=SecretStr(" "))


def test_a_scheduler_that_does_not_answer_is_waited_for_and_said(tmp_path: Path) -> None:
    with ServiceProcess(tmp_path, TILEWRIGHT_ENGINE="tcp://127.0.0.1:1") as service:
        deadline = time.monotonic() + 10
        while (answer := httpx2.get(f"{service.url}/readyz")).is_success and time.monotonic() < deadline:
            time.sleep(0.1)
        assert [each["part"] for each in answer.json()["parts"]] == ["engine"]
        assert "the scheduler at tcp://127.0.0.1:1 is away" in answer.json()["parts"][0]["reason"]


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "tilewright.db").write_text("this is not a database, and never was one " * 100)
    assert "tilewright.db cannot be opened: file is not a database" in refusal(tmp_path)


def test_a_database_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data" / "tilewright.db"
    path.parent.mkdir()
    upgrade(Database(f"sqlite:///{path}"))
    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    assert "tilewright.db is of a newer Tilewright (revision 9999)" in refusal(tmp_path)


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
