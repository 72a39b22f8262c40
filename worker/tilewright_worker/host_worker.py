"""Joins this machine to a Dask scheduler: one worker process that runs one attempt at a time."""

import asyncio
import logging
import os
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import dask
from distributed import Nanny
from distributed.security import Security

from tilewright.errors import CannotStart
from tilewright_worker.scheduler import require_listener, require_scheduler, scheduler_was_lost, security_of
from tilewright_worker.terminal import spared_by_ctrl_c

JOIN_SECONDS = 60
NOTICE_SECONDS = 3
QUIET_WORKER = {
    "distributed.admin.tick.interval": "2s",
    "distributed.admin.tick.limit": "30s",
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.worker.profile.enabled": False,
    "distributed.worker.http.routes": [],
    "distributed.diagnostics.nvml": False,
    # Read by the worker process when it loads Dask. What its end means to an attempt is told by the engine.
    "distributed.nanny.pre-spawn-environ.DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "critical",
}


def run(engine_url: str) -> int:
    """Work until the end of the scheduler, which is 1; the certificates for `tls://` are set up as Dask has them.

    Raises CannotStart. Signals are heard by the calling thread alone, and are its business.
    """
    dask.config.set(QUIET_WORKER)
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    security = security_of(engine_url, "worker")
    _await_listener(engine_url)
    require_scheduler(engine_url, security, "worker")
    with spared_by_ctrl_c():
        working = ThreadPoolExecutor(1).submit(asyncio.run, _serve(engine_url, security))
    return working.result()


def _await_listener(engine_url: str) -> None:
    """Hosts start in any order, so the scheduler may come later."""
    started, said = time.monotonic(), False
    while True:
        try:
            return require_listener(engine_url)
        except CannotStart as refusal:
            seconds = time.monotonic() - started
            if seconds > JOIN_SECONDS:
                raise
            if seconds > NOTICE_SECONDS and not said:
                print(f"{refusal}; waiting for it, {JOIN_SECONDS} s at most", file=sys.stderr)
                said = True
        time.sleep(0.5)


async def _serve(engine_url: str, security: Security) -> int:
    try:
        worker = await _worker(engine_url, security)
    except (OSError, RuntimeError) as error:
        raise scheduler_was_lost(engine_url) from error
    async with worker:
        print(f"{worker.name} works for {engine_url}", flush=True)
        await worker.finished()
    print(f"the scheduler at {engine_url} is gone", file=sys.stderr)
    return 1


def _worker(engine_url: str, security: Security) -> Nanny:
    return Nanny(
        engine_url,
        nthreads=1,
        name=f"{socket.gethostname()}-{os.getpid()}",
        resources={"slot": 1, "cores": len(os.sched_getaffinity(0))},
        memory_limit=0,
        silence_logs=logging.CRITICAL,
        security=security,
        death_timeout=JOIN_SECONDS,
        dashboard_address="127.0.0.1:0",
    )
