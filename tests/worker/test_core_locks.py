"""Whoever measures has the cores to himself; and a stranger who plants something in a lock's place gains nothing."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tilewright_worker.core_locks import CoreLocks, CoresTaken, LocksRefused

HOLD = """
import sys
from tilewright_worker.core_locks import CoreLocks
with CoreLocks().held():
    print("held", flush=True)
    sys.stdin.read()
"""
FIRST = f"tilewright-core-{min(os.sched_getaffinity(0))}.lock"
is_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


@pytest.fixture(autouse=True)
def locks_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "locks"
    monkeypatch.setenv("TILEWRIGHT_LOCKS_DIR", str(path))
    return path


@contextmanager
def held_by_another_process(**options: object) -> Iterator[int]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options
    ) as process:  # type: ignore[call-overload]
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process.pid
        process.communicate()


def test_cores_are_held_by_one_process_at_a_time_and_who_has_them_is_told() -> None:
    locks = CoreLocks()
    with held_by_another_process() as pid:
        with pytest.raises(CoresTaken, match=rf"is measured on by process {pid} of "), locks.held():
            pass
        assert f"process {pid} of" in str(locks.holder())
    assert locks.holder() is None
    with locks.held():
        pass


def test_a_look_is_no_hindrance() -> None:
    locks = CoreLocks()
    for _ in range(100):
        assert locks.holder() is None
        with locks.held():
            pass


@is_root
def test_another_user_is_seen_in_a_directory_of_the_machine(locks_dir: Path) -> None:
    locks_dir.mkdir()
    locks_dir.chmod(0o1777)
    for folder in locks_dir.parents[:-2]:
        folder.chmod(0o755)
    CoreLocks().holder()  # the files are ours
    script = HOLD.replace(
        "import sys\n", "import os, sys\nfrom tilewright_worker import core_locks\nos.setuid(65534)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert "of nobody" in str(CoreLocks().holder())
        process.communicate()


def test_a_planted_link_leads_nowhere(locks_dir: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("not to be lost")
    locks_dir.mkdir()
    (locks_dir / FIRST).symlink_to(precious)
    with pytest.raises(LocksRefused, match="is a link; remove it"), CoreLocks().held():
        pass
    (locks_dir / FIRST).unlink()
    os.link(precious, locks_dir / FIRST)
    with pytest.raises(LocksRefused, match="is no file of its own; remove it"), CoreLocks().held():
        pass
    (locks_dir / FIRST).unlink()
    (locks_dir / FIRST).symlink_to(tmp_path / "not there")
    with pytest.raises(LocksRefused), CoreLocks().held():
        pass
    assert precious.read_text() == "not to be lost"
    assert not (tmp_path / "not there").exists()


def test_a_pipe_in_its_place_does_not_hang(locks_dir: Path) -> None:
    locks_dir.mkdir()
    os.mkfifo(locks_dir / FIRST)
    with pytest.raises(LocksRefused, match="is no file of its own"), CoreLocks().held():
        pass


def test_nothing_is_written_into_a_lock(locks_dir: Path) -> None:
    locks_dir.mkdir()
    (locks_dir / FIRST).write_text("text of somebody")
    with CoreLocks().held():
        pass
    assert (locks_dir / FIRST).read_text() == "text of somebody"


@is_root
def test_a_directory_of_somebody_else_is_refused(locks_dir: Path) -> None:
    locks_dir.mkdir()
    os.chown(locks_dir, 65534, 65534)
    with pytest.raises(LocksRefused, match="belongs to nobody; TILEWRIGHT_LOCKS_DIR names another"):
        CoreLocks().holder()
    assert list(locks_dir.iterdir()) == []


def test_a_directory_in_which_others_can_replace_files_is_refused(locks_dir: Path) -> None:
    locks_dir.mkdir()
    locks_dir.chmod(0o777)
    with pytest.raises(LocksRefused, match="chmod go-w"):
        CoreLocks().holder()


def test_a_link_in_place_of_the_directory_is_refused(locks_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    locks_dir.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LocksRefused, match="cannot be opened"):
        CoreLocks().holder()


def test_siblings_of_cores_are_held_too(monkeypatch: pytest.MonkeyPatch, locks_dir: Path) -> None:
    monkeypatch.setattr("tilewright_worker.core_locks.with_siblings", lambda cores: frozenset({*cores, 4000}))
    with CoreLocks().held():
        assert (locks_dir / "tilewright-core-4000.lock").exists()
        assert "core 4000" not in str(CoreLocks().holder())  # the first of them is told


def test_a_lock_that_was_tidied_away_is_made_anew(locks_dir: Path) -> None:
    with CoreLocks().held():
        pass
    for file in locks_dir.iterdir():
        file.unlink()
    with held_by_another_process():
        assert CoreLocks().holder() is not None


def test_a_file_system_without_locks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(LocksRefused, match=r"cannot be locked \(No locks available\); TILEWRIGHT_LOCKS_DIR names"):
        CoreLocks().holder()


def test_what_fails_while_the_cores_are_held_is_not_taken_for_a_lock() -> None:
    with pytest.raises(BlockingIOError), CoreLocks().held():
        raise BlockingIOError(errno.EAGAIN, "no more processes")
    assert CoreLocks().holder() is None
