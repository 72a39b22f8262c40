"""`python -m tilewright_worker.embedded`: a scheduler on loopback and the worker of a service, in one process.

The first line of standard input says how they are set up. It ends when standard input does, as its service does.
"""

import asyncio
import os
import sys
import threading
import traceback

from distributed import Scheduler
from distributed.security import Security

from tilewright.contract.message import Message
from tilewright_worker.host_worker import HostWorker
from tilewright_worker.quiet import quieten_dask
from tilewright_worker.scratch import scratch_directory
from tilewright_worker.slot import Slot
from tilewright_worker.unpickling import refuse_unpickling


class EmbeddedSetup(Message):
    """Certificates are in PEM format, and nowhere on disk: the port is of no use to others."""

    authority: str
    certificate: str
    key: str
    module: str
    logs_dir: str


class EmbeddedReady(Message):
    scheduler: str
    """Its address."""


def embedded_security(setup: EmbeddedSetup) -> Security:
    """For every role."""
    pairs = {f"tls_{role}_cert": setup.certificate for role in ("client", "worker", "scheduler")}
    keys = {f"tls_{role}_key": setup.key for role in ("client", "worker", "scheduler")}
    return Security(tls_ca_file=setup.authority, require_encryption=True, **pairs, **keys)


def main() -> int:
    line = sys.stdin.readline()
    if not line:
        return 0
    setup = EmbeddedSetup.model_validate_json(line)
    quieten_dask()
    refuse_unpickling()
    # The parent of every attempt is the thread of the slot, so it starts here and nowhere else.
    slot = Slot(setup.module, setup.logs_dir)
    working = threading.Thread(target=_work, args=(setup, slot), daemon=True)
    working.start()
    sys.stdin.read()
    slot.end()
    os._exit(0)


def _work(setup: EmbeddedSetup, slot: Slot) -> None:
    try:
        asyncio.run(_serve(setup, slot))
    except BaseException:
        traceback.print_exc()
    os._exit(1)  # the service starts another


async def _serve(setup: EmbeddedSetup, slot: Slot) -> None:
    security = embedded_security(setup)
    with scratch_directory() as scratch:
        scheduler = Scheduler(
            host="127.0.0.1",
            port=0,
            protocol="tls",
            security=security,
            dashboard=False,
            dashboard_address="127.0.0.1:0",
            local_directory=scratch,
        )
    await scheduler
    worker = HostWorker(scheduler.address, security, slot, setup.logs_dir)
    await worker.work(lambda: print(EmbeddedReady(scheduler=scheduler.address).model_dump_json(), flush=True))


if __name__ == "__main__":
    sys.exit(main())
