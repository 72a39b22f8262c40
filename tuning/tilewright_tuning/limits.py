"""What a process that runs generated code may take of its host."""

import resource
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tilewright.workloads.memory import SHARE_OF_HOST
from tilewright_tuning.system_calls import refuse_system_calls

MOST_FILE_BYTES = 2**20
"""Of what it prints, too. It has no file of its own to write."""

MOST_DESCRIPTORS = 256
MOST_THREADS = 16_384
"""Counted over the user, and not for root; a job has 256 at most."""

OOM_SCORE = "1000"
"""When the host has no memory left, the kernel ends these processes first."""


@dataclass(frozen=True)
class Limits:
    memory_bytes: int
    file_bytes: int = MOST_FILE_BYTES

    @classmethod
    def of_this_host(cls) -> "Limits":
        return cls(int(host_memory_bytes() * SHARE_OF_HOST))

    def apply(self) -> None:
        """To this process, for good. Where the kernel has no filter of system calls, the other limits hold."""
        lower(resource.RLIMIT_DATA, self.memory_bytes)
        # Memory that is shared counts as nobody's data. Threads reserve far more addresses than they use.
        lower(resource.RLIMIT_AS, address_space_bytes() + 2 * self.memory_bytes)
        lower(resource.RLIMIT_FSIZE, self.file_bytes)
        lower(resource.RLIMIT_NOFILE, MOST_DESCRIPTORS)
        lower(resource.RLIMIT_NPROC, MOST_THREADS)
        lower(resource.RLIMIT_CORE, 0)
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
        with suppress(OSError):
            refuse_system_calls()


def lower(limit: int, most: int) -> None:
    """Both the limit and what it may be raised to; never above what they are."""
    soft, hard = (most if each == resource.RLIM_INFINITY else min(most, each) for each in resource.getrlimit(limit))
    resource.setrlimit(limit, (min(soft, hard), hard))


def host_memory_bytes() -> int:
    """Of this machine, or of the container that this process is in."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    [total] = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemTotal:")]
    return min([total, *container_limits()])


def container_limits(cgroups: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> list[int]:
    """In bytes, of the control group of this process and of those around it."""
    found = []
    with suppress(OSError):
        for line in membership.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            root = cgroups / "memory" if controllers else cgroups
            name = "memory.limit_in_bytes" if controllers else "memory.max"
            group = root / path.lstrip("/")
            for folder in [group, *(each for each in group.parents if each.is_relative_to(root))]:
                with suppress(OSError, ValueError):  # no such folder as seen from here; "max"
                    found.append(int((folder / name).read_text()))
    return found


def address_space_bytes() -> int:
    """Of this process, now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()
