"""Which cores measure, which may build meanwhile, and which thread has which core."""

import os
from collections.abc import Collection, Mapping
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
        """TILEWRIGHT_CORES names the measuring ones; without it, the first cores that the process may use."""
        allowed = os.sched_getaffinity(0)
        named = os.environ.get("TILEWRIGHT_CORES")
        measuring = {int(core) for core in named.split(",")} if named else set(sorted(allowed)[:threads])
        return cls(frozenset(measuring), frozenset(allowed - measuring))

    @property
    def all(self) -> frozenset[int]:
        return self.measuring | self.spare


def pin_threads(cores: Collection[int], before: Mapping[str, int] | None = None) -> None:
    """The busiest threads of this process since `before`, each on a core of its own.

    Left to itself the scheduler may keep two that spin on one core while the other idles, and a kernel then takes as
    long as the slices of time that they take in turns.
    """
    now = thread_times_ns()
    busiest = sorted(now, key=lambda thread: (before or {}).get(thread, 0) - now[thread])
    for thread, core in zip(busiest, sorted(cores), strict=False):
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread), {core})


def thread_times_ns() -> dict[str, int]:
    """How long each thread of this process was on a core, by its id."""
    return {task.name: scheduled_ns(task)[0] for task in TASKS.iterdir()}


def scheduled_ns(task: Path) -> tuple[int, int]:
    """Time of a thread on a core, and time that it waited for one; zeros where the system does not tell."""
    try:
        running, waiting, _ = (task / "schedstat").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    return int(running), int(waiting)
