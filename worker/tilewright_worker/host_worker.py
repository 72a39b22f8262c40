"""A worker: one slot, a door at which it is asked, and a place at a scheduler."""

import asyncio
import os
import secrets
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future

from distributed.security import Security

import tilewright
from tilewright_worker.membership import Membership
from tilewright_worker.scheduler import address_towards
from tilewright_worker.slot import Slot
from tilewright_worker.worker_server import WorkerServer

LEAVE_SECONDS = 3.0
FAREWELL_SECONDS = 0.2
"""For the last report to be fetched."""
WAY_SECONDS = 1.0


def worker_name() -> str:
    """Of this process and no other, ever."""
    return f"{socket.gethostname()}-{secrets.token_hex(4)}"


class HostWorker:
    """Its slot goes on while a scheduler is away, and answers whoever knows its address."""

    def __init__(self, url: str, security: Security, slot: Slot, logs_dir: str, port: int = 0) -> None:
        self.name = worker_name()
        self.slot = slot
        self._url, self._security, self._logs_dir, self._port = url, security, logs_dir, port
        self._membership: Membership | None = None
        self._server: WorkerServer | None = None

    async def work(self, announce: Callable[[], None]) -> None:
        """Until it is cancelled. `announce` is called whenever it has joined. Raises CannotStart."""
        server = WorkerServer(self.name, tilewright.__version__, self.slot, self._logs_dir)
        protocol = self._url.partition("://")[0]
        address = await server.open(await self._own_address(), self._port, protocol, self._security)
        self._membership = Membership(self._url, self._security, self.name, address)
        self._server = server
        await self._membership.stay(announce)

    async def leave(self) -> None:
        """Have the scheduler forget it, and close the door."""
        await asyncio.sleep(FAREWELL_SECONDS)
        if self._membership is not None:
            await self._membership.leave()
        if self._server is not None:
            await self._server.close()

    async def _own_address(self) -> str:
        while True:
            try:
                return address_towards(self._url)
            except OSError:  # no network or no name yet
                await asyncio.sleep(WAY_SECONDS)


class WorkerThread:
    """Runs a worker beside the thread that hears signals."""

    def __init__(self, worker: HostWorker, announce: Callable[[], None], on_end: Callable[[], None]) -> None:
        self.ended: Future[None] = Future()
        self._worker, self._announce, self._on_end = worker, announce, on_end
        self._loop: asyncio.AbstractEventLoop
        self._working: asyncio.Task[None]
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._thread.start()

    def leave(self) -> None:
        """Returns when it has, or after a while."""
        self._loop.call_soon_threadsafe(self._working.cancel)
        self._thread.join(LEAVE_SECONDS)

    def _run(self) -> None:
        try:
            asyncio.run(self._work())
            self.ended.set_result(None)
        except BaseException as error:
            self.ended.set_exception(error)
        self._on_end()

    async def _work(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._working = asyncio.create_task(self._worker.work(self._announce))
        try:
            await self._working
        except asyncio.CancelledError:
            await self._worker.leave()


def logs_directory() -> str:
    return str(os.path.abspath(os.path.expanduser(os.environ.get("TILEWRIGHT_LOGS_DIR") or "tuning_logs")))
