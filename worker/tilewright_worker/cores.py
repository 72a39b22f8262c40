"""Which cores measure, and which may build meanwhile."""

import os
from dataclasses import dataclass


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
