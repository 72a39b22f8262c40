"""What the evaluators of real attempts take of their machines, looked at a few times a second."""

import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from .cluster import Cluster

LOOK_SECONDS = 0.2
MIB = 2**20


class Consumption:
    """The most that was seen: of one look for processes and memory, in the end for the disk."""

    def __init__(self, cluster: Cluster) -> None:
        self.processes = 0
        self.threads = 0
        self.megabytes = 0.0
        self.disk_megabytes = 0.0
        self._cluster = cluster
        self._folders = [machine.folder for machine in cluster.machines]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="consumption", daemon=True)

    def __enter__(self) -> Self:
        self._before = self._disk_bytes()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            family = self._family()
            self.processes = max(self.processes, len(family))
            self.threads = max(self.threads, sum(_threads_of(each) for each in family))
            self.megabytes = max(self.megabytes, sum(_bytes_of(each) for each in family) / MIB)
            self.disk_megabytes = max(self.disk_megabytes, (self._disk_bytes() - self._before) / MIB)

    def _family(self) -> list[psutil.Process]:
        """Evaluators, and whatever they have started: also what has left them since."""
        found = {}
        for attempt in self._cluster.stand_ins():
            with suppress(psutil.NoSuchProcess):
                for server in attempt.children():
                    found.update({each.pid: each for each in server.children(recursive=True)})
        return list(found.values())

    def _disk_bytes(self) -> int:
        return sum(_size_of(path) for folder in self._folders for path in folder.rglob("*"))


def _threads_of(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        return int(process.num_threads())
    return 0


def _bytes_of(process: psutil.Process) -> int:
    """The most that it ever had, without the files that it shares with the server that it was forked from."""
    with suppress(OSError, ValueError):
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        kilobytes = {
            name: value.split()[0] for name, _, value in (line.partition(":") for line in lines) if value.split()
        }
        return 1024 * (int(kilobytes.get("VmHWM", 0)) - int(kilobytes.get("RssFile", 0)))
    return 0


def _size_of(path: Path) -> int:
    with suppress(OSError):
        if path.is_file():
            return path.stat().st_blocks * 512
    return 0
