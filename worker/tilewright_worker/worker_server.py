"""The door of a worker: a service asks it for reports, hands it orders, and has it look at its host.

It is open as long as the worker runs, whether or not there is a scheduler where others learn of it.
"""

import asyncio
from contextlib import suppress
from typing import Any, Literal

from distributed.core import Server
from distributed.security import Security

from tilewright.contract.attempts import LaunchOrder
from tilewright.contract.workers import AttemptIdentity, WorkerReport
from tilewright.errors import CannotStart
from tilewright_kernels.isa.host import this_host
from tilewright_worker.host_probe import probe_host
from tilewright_worker.scratch import scratch_directory
from tilewright_worker.slot import Slot

HOLD_SECONDS = 1.0
"""A question for news waits for some so long."""

Operation = Literal["tilewright_report", "tilewright_launch", "tilewright_kill", "tilewright_probe"]
"""What can be asked, with text for arguments, and a dict of text and numbers for an answer."""


class WorkerServer:
    """Speaks for a slot."""

    def __init__(self, name: str, version: str, slot: Slot, logs_dir: str) -> None:
        self.name = name
        self._version, self._slot, self._logs_dir = version, slot, logs_dir
        self._loop = asyncio.get_running_loop()
        self._revision = 1
        self._changed = asyncio.Event()
        self._server: Server | None = None
        slot.on_change = self._announce

    async def open(self, host: str, port: int, protocol: str, security: Security) -> str:
        """Its address. Raises CannotStart when somebody else listens there."""
        with scratch_directory() as scratch:
            server = Server({}, local_directory=scratch, needs_workdir=False, deserialize=False)
        # Nothing of what a Dask server answers by itself.
        server.handlers = {
            "tilewright_report": self._report,
            "tilewright_launch": self._launch,
            "tilewright_kill": self._kill,
            "tilewright_probe": self._probe,
        }
        try:
            await server.listen(f"{protocol}://{host}:{port}", **security.get_listen_args("worker"))
        except OSError as error:
            reason = error.strerror or error
            raise CannotStart(f"a worker cannot listen on {host}:{port}: {reason}; --port names another") from error
        await server
        self._server = server
        address: str = server.address
        return address

    async def close(self) -> None:
        if self._server is not None:
            await self._server.close()

    async def _report(self, seen: int = 0) -> dict[str, Any]:
        """At once when there is something new, and else after a moment."""
        if seen == self._revision:
            try:
                async with asyncio.timeout(HOLD_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                pass
        return {"revision": self._revision, "report": self._state().model_dump_json()}

    async def _launch(self, order: str) -> dict[str, Any]:
        self._slot.launch(LaunchOrder.model_validate_json(order))
        return {}

    async def _kill(self, identity: str) -> dict[str, Any]:
        self._slot.kill(AttemptIdentity.model_validate_json(identity))
        return {}

    async def _probe(self, url: str) -> dict[str, Any]:
        report = await asyncio.to_thread(probe_host, url, self._logs_dir)
        return {"report": report.model_dump_json()}

    def _state(self) -> WorkerReport:
        state, host = self._slot.state(), this_host()
        return WorkerReport(
            name=self.name,
            version=self._version,
            host=host,
            cores=host.cores,
            running=[] if state.running is None else [state.running],
            ended=list(state.ended),
            is_draining=state.is_draining,
            busy=state.busy,
        )

    def _announce(self) -> None:
        """From any thread."""
        with suppress(RuntimeError):  # it was closed: nobody asks any more
            self._loop.call_soon_threadsafe(self._bump)

    def _bump(self) -> None:
        self._revision += 1
        self._changed.set()
        self._changed.clear()
