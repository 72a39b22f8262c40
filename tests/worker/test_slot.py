"""A slot runs one attempt at a time, has the next process ready, and blames a host for what lies at it."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tilewright.contract.attempts import LaunchOrder
from tilewright.contract.workers import AttemptEnd, AttemptIdentity
from tilewright_worker.slot import Slot

from ..engine.bench import key, order, wait_for

BROKEN = """
import sys, time
from tilewright_worker.slot import Slot

def fail(_):
    raise RuntimeError("nobody expected this")

Slot._next_order = fail
Slot("tests.engine.stand_in", sys.argv[1])
time.sleep(60)
"""

MakeSlot = Callable[[], Slot]


@pytest.fixture
def make_slot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeSlot]:
    monkeypatch.setenv("TILEWRIGHT_LOCKS_DIR", str(tmp_path / "locks"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    slots: list[Slot] = []

    def make() -> Slot:
        slots.append(Slot("tests.engine.stand_in", str(tmp_path)))
        return slots[-1]

    yield make
    for slot in slots:
        slot.end()


def stand_ins() -> set[int]:
    found = set()
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # it has just ended
            if "tests.engine.stand_in" in child.cmdline():
                found.add(child.pid)
    return found


def launches(folder: Path) -> list[int]:
    """The processes that got an order."""
    file = folder / "launches"
    return [int(line.split()[2]) for line in file.read_text().splitlines()] if file.exists() else []


def end_of(slot: Slot, what: AttemptIdentity) -> AttemptEnd:
    return wait_for(lambda: next((each.end for each in slot.state().ended if each.identity == what), None))


def test_the_process_of_an_attempt_stands_by_before_there_is_an_order(make_slot: MakeSlot, tmp_path: Path) -> None:
    before = stand_ins()
    slot = make_slot()
    wait_for(lambda: stand_ins() - before)
    (standby,) = stand_ins() - before
    slot.launch(order(1))
    assert wait_for(lambda: launches(tmp_path)) == [standby]
    slot.kill(key(1))
    assert end_of(slot, key(1)).exit_code == -9
    wait_for(lambda: stand_ins() - before - {standby})


def test_an_attempt_that_is_killed_before_it_began_does_not_begin(make_slot: MakeSlot, tmp_path: Path) -> None:
    slot = make_slot()
    slot.launch(order(1))
    slot.kill(key(1))
    end_of(slot, key(1))
    assert slot.state().running is None


def test_a_host_that_starts_no_process_is_to_blame(make_slot: MakeSlot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/not/there")
    slot = make_slot()
    slot.launch(order(1))
    end = end_of(slot, key(1))
    assert (end.exit_code, end.is_of_host) == (None, True)
    assert "no process could be started on" in str(end.reason)


def test_a_host_whose_locks_cannot_be_trusted_is_to_blame_and_says_so(make_slot: MakeSlot, tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks").chmod(0o777)
    slot = make_slot()
    assert "others can replace files in" in str(slot.state().busy)
    slot.launch(order(1))
    assert end_of(slot, key(1)).is_of_host


def test_the_newest_ends_are_kept(make_slot: MakeSlot) -> None:
    slot = make_slot()
    slot.drain()
    for job in range(1, 41):
        slot.launch(order(job))
    state = slot.state()
    assert state.is_draining
    assert [each.identity.job_id for each in state.ended] == list(range(9, 41))
    assert all(each.end.is_of_moment for each in state.ended)


def test_an_attempt_for_more_cores_than_there_are_is_not_begun(make_slot: MakeSlot, tmp_path: Path) -> None:
    slot = make_slot()
    slot.launch(LaunchOrder(**{**order(1).model_dump(), "threads": 256}))
    assert "256 cores are asked for; this worker has" in str(end_of(slot, key(1)).reason)
    time.sleep(0.1)
    assert launches(tmp_path) == []


def test_an_attempt_knows_whom_to_believe_and_no_secret(make_slot: MakeSlot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/ssl/company.pem")
    monkeypatch.setenv("TILEWRIGHT_TOKEN", "a-token-of-people")
    make_slot()
    told = wait_for(lambda: [each for each in environments() if each.get("SSL_CERT_FILE") == "/etc/ssl/company.pem"])
    assert not any("TILEWRIGHT_TOKEN" in each for each in told)


def environments() -> Iterator[dict[str, str]]:
    for pid in stand_ins():
        with suppress(psutil.Error):  # it has just ended
            yield psutil.Process(pid).environ()


def test_a_process_whose_slot_has_failed_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILEWRIGHT_LOCKS_DIR", str(tmp_path / "locks"))
    done = subprocess.run(
        [sys.executable, "-c", BROKEN, str(tmp_path)], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert "RuntimeError: nobody expected this" in done.stderr
