"""Which cores measure, which may build meanwhile, and which thread has which core."""

import os
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TASKS = Path("/proc/self/task")


@dataclass(frozen=True)
class Cores:
    """Cores of this process: those that a job measures on, exclusively, and the others."""

    measuring: frozenset[int]
    spare: frozenset[int]

    @classmethod
    def of_this_process(cls, threads: int) -> "Cores":
        """The first cores that the process may use measure: always the same ones, so that latencies compare."""
        allowed = os.sched_getaffinity(0)
        measuring = set(sorted(allowed)[:threads])
        return cls(frozenset(measuring), frozenset(allowed - measuring))

    @property
    def all(self) -> frozenset[int]:
        return self.measuring | self.spare


def pin_threads(cores: Collection[int]) -> None:
    """The busiest threads of this process, each on a core of its own.

    Left to itself the scheduler may keep two that spin on one core while the other idles, and a kernel then takes as
    long as the slices of time that they take in turns.
    """
    threads = sorted(TASKS.iterdir(), key=lambda task: read_scheduled_ns(task)[0], reverse=True)
    for task, core in zip(threads, sorted(cores), strict=False):
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), {core})


def read_scheduled_ns(task: Path) -> tuple[int, int]:
    """Time of a thread on a core, and time that it waited for one; zeros where the system does not tell."""
    try:
        running, waiting, _ = (task / "schedstat").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    return int(running), int(waiting)
