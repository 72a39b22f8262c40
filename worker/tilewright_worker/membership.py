"""A worker's place at a Dask scheduler, where services learn of it: taken again, for as long as it takes."""

import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from distributed import Worker
from distributed.security import Security

from tilewright_worker.scheduler import host_and_port, require_scheduler
from tilewright_worker.scratch import scratch_directory

ADDRESS = "tilewright"
"""Under this key a scheduler passes on where the worker itself is asked."""
NOTICE_SECONDS = 3.0
REMINDER_SECONDS = 60.0
RETRY_SECONDS = 0.5
JOIN_SECONDS = 20.0
CLOSE_SECONDS = 2.0
STREAM = frozenset({"close", "worker-status-change", "remove-worker"})
"""What a scheduler may say to it. Dask's workers also run code, for whoever asks: not this one."""


class Membership:
    """Of one worker; the scheduler may go and come."""

    def __init__(self, url: str, security: Security, name: str, address: str) -> None:
        self._url, self._security, self._name, self._address = url, security, name, address
        self._times = 0
        self._worker: Entry | None = None

    async def stay(self, announce: Callable[[], None]) -> None:
        """`announce` is called whenever it has joined. Raises CannotStart when it is not let in the first time."""
        waiting = Waiting(self._url)
        while True:
            if await self._is_listening():
                if self._times == 0:
                    await asyncio.to_thread(require_scheduler, self._url, self._security, "worker")
                if await self._join():
                    announce()
                    assert self._worker is not None
                    await self._worker.finished()
                    waiting = Waiting(self._url)
            waiting.say_now_and_then()
            await asyncio.sleep(RETRY_SECONDS)

    async def leave(self) -> None:
        if self._worker is not None:
            with suppress(OSError, TimeoutError, RuntimeError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._worker.close(timeout=1, executor_wait=False)

    async def _is_listening(self) -> bool:
        try:
            async with asyncio.timeout(RETRY_SECONDS * 10):
                _, writer = await asyncio.open_connection(*host_and_port(self._url))
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

    async def _join(self) -> bool:
        # A name is taken for as long as the scheduler has not noticed that its bearer is gone.
        self._times += 1
        host = self._address.partition("://")[2].rpartition(":")[0]
        with scratch_directory() as scratch:
            worker = Entry(
                self._url,
                nthreads=1,
                name=f"{self._name}/{self._times}",
                security=self._security,
                host=host,
                memory_limit=0,
                local_directory=scratch,
                dashboard_address="127.0.0.1:0",
                death_timeout=JOIN_SECONDS,
                startup_information={ADDRESS: self._tell_address},
            )
        worker.handlers = {}
        worker.stream_handlers = {name: worker.stream_handlers[name] for name in STREAM}
        self._worker = worker
        try:
            await worker
        except (OSError, TimeoutError, RuntimeError, ValueError):
            return False
        worker.close_doors()
        return True

    async def _tell_address(self, _: "Entry") -> str:
        return self._address


class Entry(Worker):  # type: ignore[misc]
    """Of this worker in the scheduler's list, kept up by Dask; nothing is run in it."""

    async def plugin_add(self, *_: Any, **__: Any) -> dict[str, str]:
        """Every scheduler hands some out, which are code."""
        return {"status": "OK"}

    def close_doors(self) -> None:
        """Its scheduler hears it over the connection that it has opened itself; nobody needs to reach it."""
        for listener in self.listeners:
            listener.stop()
        self.http_server.stop()


class Waiting:
    """Says that the scheduler is away, after a moment and then once a minute."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._next = time.monotonic() + NOTICE_SECONDS

    def say_now_and_then(self) -> None:
        if time.monotonic() > self._next:
            self._next = time.monotonic() + REMINDER_SECONDS
            print(
                f"no scheduler answers at {self._url}; this worker waits for it, and joins as soon as it is there",
                file=sys.stderr,
                flush=True,
            )
