"""What a process takes: shares of a core, and memory over time."""

import asyncio
import os
import time
from types import TracebackType
from typing import Self

import psutil

SAMPLE_SECONDS = 1.0


class Usage:
    """Of the service, with what it started, and of this process, while the block runs."""

    def __init__(self, process_id: int) -> None:
        self._service = psutil.Process(process_id)
        self.megabytes: list[float] = []

    async def __aenter__(self) -> Self:
        self._began, self._cpu = time.monotonic(), self._seconds()
        self._sampling = asyncio.create_task(self._sample())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sampling.cancel()
        elapsed = time.monotonic() - self._began
        service, own = (after - before for before, after in zip(self._cpu, self._seconds(), strict=True))
        self.service_seconds = service
        self.service_cores, self.own_cores = service / elapsed, own / elapsed

    @property
    def growth_megabytes(self) -> float:
        """From the median of the second quarter to that of the last one."""
        quarter = max(len(self.megabytes) // 4, 1)
        return _median(self.megabytes[-quarter:]) - _median(self.megabytes[quarter : 2 * quarter] or self.megabytes)

    async def _sample(self) -> None:
        while True:
            self.megabytes.append(self._service.memory_info().rss / 1e6)
            await asyncio.sleep(SAMPLE_SECONDS)

    def _seconds(self) -> tuple[float, float]:
        family = [self._service, *self._service.children(recursive=True)]
        return sum(_cpu_seconds(each) for each in family), _cpu_seconds(psutil.Process(os.getpid()))


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
