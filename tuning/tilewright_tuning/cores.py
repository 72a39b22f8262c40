"""Which cores measure, which may build meanwhile, and which thread has which core."""

import os
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TASKS = Path("/proc/self/task")
CPUS = Path("/sys/devices/system/cpu")


@dataclass(frozen=True)
class Cores:
    """Cores of this process: those that a job measures on, exclusively, and the others.

    A core here is what the system numbers as one: two of them may share the units of one physical core.
    """

    measuring: frozenset[int]
    spare: frozenset[int]
    """None of them shares its units with one that measures."""

    @classmethod
    def of_this_process(cls, threads: int) -> "Cores":
        """Always the same ones measure, so that latencies compare: the first, each with units of its own if it can."""
        allowed = os.sched_getaffinity(0)
        measuring = _apart(allowed)[:threads]
        return cls(frozenset(measuring), frozenset(allowed - with_siblings(measuring)))

    @property
    def all(self) -> frozenset[int]:
        return self.measuring | self.spare


def with_siblings(cores: Iterable[int]) -> frozenset[int]:
    """These, and all that share their units."""
    return frozenset().union(*(siblings_of(core) for core in cores))


def siblings_of(core: int) -> frozenset[int]:
    """This one, and those that share its units; the system writes `0,4` or `0-1`."""
    try:
        text = (CPUS / f"cpu{core}" / "topology" / "thread_siblings_list").read_text()
        return frozenset({core}).union(*(_range(part) for part in text.strip().split(",")))
    except (OSError, ValueError):
        return frozenset({core})


def _range(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def _apart(allowed: Collection[int]) -> list[int]:
    """One of each physical core, then their siblings."""
    firsts = {min(siblings_of(core) & set(allowed)) for core in allowed}
    return sorted(allowed, key=lambda core: (core not in firsts, core))


PINNING_TRIES = 10


def pin_threads(cores: Collection[int], run: Callable[[], object]) -> None:
    """The busiest threads of this process, each on a core of its own, until they stay there while they `run`.

    Left to itself the scheduler may keep two that spin on one core while the other idles, and a kernel then takes as
    long as the slices of time that they take in turns. A thread that the pool has just moved out of the caller's way is
    set free by the pool with the next launch, and with it what was chosen here.
    """
    for _ in range(PINNING_TRIES):
        pinned = _pin_threads(cores)
        run()
        if all(_may_run_on(thread) == {core} for thread, core in pinned.items()):
            return


def _pin_threads(cores: Collection[int]) -> dict[int, int]:
    """The core of each thread."""
    pinned = {}
    threads = sorted(TASKS.iterdir(), key=lambda task: read_scheduled_ns(task)[0], reverse=True)
    for task, core in zip(threads, sorted(cores), strict=False):
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), {core})
            pinned[int(task.name)] = core
    return pinned


def _may_run_on(thread: int) -> set[int]:
    """Nothing for one that has ended."""
    with suppress(ProcessLookupError):
        return os.sched_getaffinity(thread)
    return set()


def read_scheduled_ns(task: Path) -> tuple[int, int]:
    """Time of a thread on a core, and time that it waited for one; zeros where the system does not tell."""
    try:
        running, waiting, _ = (task / "schedstat").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    return int(running), int(waiting)
