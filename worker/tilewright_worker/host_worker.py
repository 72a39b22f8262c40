"""Joins this machine to a Dask scheduler: one worker process that runs one attempt at a time."""

import asyncio
import logging
import os
import signal
import socket
import sys

import dask
from distributed import Nanny
from distributed.security import Security

JOIN_SECONDS = 60
QUIET_WORKER = {
    "distributed.admin.tick.interval": "2s",
    "distributed.admin.tick.limit": "30s",
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.worker.profile.enabled": False,
    "distributed.worker.http.routes": [],
    "distributed.diagnostics.nvml": False,
    "distributed.logging": {"distributed": "error"},
}


def run(engine_url: str) -> int:
    """Work until a signal or the end of the scheduler; the certificates for `tls://` are set up as Dask has them."""
    dask.config.set(QUIET_WORKER)
    try:
        return asyncio.run(_serve(engine_url))
    except (OSError, RuntimeError, ValueError) as error:
        print(f"cannot join {engine_url}: {error.__cause__ or error}", file=sys.stderr)
        return 1


async def _serve(engine_url: str) -> int:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with _worker(engine_url) as worker:
        print(f"{worker.name} works for {engine_url}", flush=True)
        endings = [asyncio.create_task(stopped.wait()), asyncio.create_task(worker.finished())]
        await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
    if stopped.is_set():
        return 0
    print(f"the scheduler at {engine_url} is gone", file=sys.stderr)
    return 1


def _worker(engine_url: str) -> Nanny:
    return Nanny(
        engine_url,
        nthreads=1,
        name=f"{socket.gethostname()}-{os.getpid()}",
        resources={"slot": 1, "cores": len(os.sched_getaffinity(0))},
        memory_limit=0,
        silence_logs=logging.ERROR,
        security=Security(),
        death_timeout=JOIN_SECONDS,
        dashboard_address="127.0.0.1:0",
    )
