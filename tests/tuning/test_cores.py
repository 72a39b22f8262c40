"""Hyperthreads of one physical core share its units: none builds while its sibling measures."""

import os
from pathlib import Path

import pytest

from tilewright_tuning import cores
from tilewright_tuning.cores import Cores, siblings_of, with_siblings


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Machine":
    return Machine(tmp_path, monkeypatch)


class Machine:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._monkeypatch = folder, monkeypatch
        monkeypatch.setattr(cores, "CPUS", folder)

    def has(self, siblings: dict[int, str], allowed: set[int] | None = None) -> None:
        for core, text in siblings.items():
            folder = self._folder / f"cpu{core}" / "topology"
            folder.mkdir(parents=True)
            (folder / "thread_siblings_list").write_text(text + "\n")
        self._monkeypatch.setattr(os, "sched_getaffinity", lambda _: allowed or set(siblings))


def test_siblings_are_read_as_the_system_writes_them(machine: Machine) -> None:
    machine.has({0: "0,4", 1: "1", 2: "2-3", 3: "0-1,6-7"})
    assert [siblings_of(core) for core in range(5)] == [{0, 4}, {1}, {2, 3}, {0, 1, 3, 6, 7}, {4}]
    assert with_siblings({0, 1}) == {0, 1, 4}


def test_a_sibling_of_a_measuring_core_is_not_spare(machine: Machine) -> None:
    machine.has({0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"})
    assert Cores.of_this_process(1) == Cores(frozenset({0}), frozenset({1, 3}))
    assert Cores.of_this_process(2) == Cores(frozenset({0, 1}), frozenset())


def test_threads_measure_on_physical_cores_of_their_own_where_there_are_enough(machine: Machine) -> None:
    machine.has({0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3"})
    assert Cores.of_this_process(2).measuring == {0, 2}
    assert Cores.of_this_process(3).measuring == {0, 1, 2}
    assert Cores.of_this_process(4).measuring == {0, 1, 2, 3}


def test_a_machine_without_siblings_is_as_before(machine: Machine) -> None:
    machine.has({0: "0", 1: "1", 2: "2"}, allowed={1, 2})
    assert Cores.of_this_process(1) == Cores(frozenset({1}), frozenset({2}))
