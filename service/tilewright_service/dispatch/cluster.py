"""Dask, set up to be quiet: an idle service and its idle worker leave the cores to the measurements."""

import importlib.util
import logging
import os
import tempfile

import dask
from distributed import Client, LocalCluster
from distributed.security import Security
from distributed.utils import LoopRunner

from tilewright_service.dispatch.dask_engine import DaskEngine
from tilewright_service.settings import Settings
from tilewright_worker.host_worker import QUIET_WORKER
from tilewright_worker.scheduler import require_listener, require_scheduler, scheduler_was_lost, security_of
from tilewright_worker.terminal import spared_by_ctrl_c

QUIET = {
    # Dask looks again this long after a worker was lost; were it away again just then, it would give it up for ever.
    "distributed.deploy.lost-worker-timeout": "1000d",
    **QUIET_WORKER,
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.scheduler.http.routes": [],
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.worker-ttl": "60s",
}


def start_engine(settings: Settings) -> DaskEngine:
    dask.config.set(QUIET)
    return _embedded(settings) if settings.engine is None else _external(settings, settings.engine)


def _embedded(settings: Settings) -> DaskEngine:
    """A cluster on loopback, with certificates that exist only in memory: its port is of no use to others."""
    with spared_by_ctrl_c():
        runner = LoopRunner()
        runner.start()
    cluster = LocalCluster(
        loop=runner.loop,
        n_workers=1 if can_tune() else 0,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        protocol="tls://",
        security=Security.temporary(),
        dashboard_address="127.0.0.1:0",
        worker_dashboard_address="127.0.0.1:0",
        memory_limit=0,
        silence_logs=logging.CRITICAL,
        local_directory=tempfile.gettempdir(),
        resources={"slot": 1, "cores": len(os.sched_getaffinity(0))},
    )
    client = Client(cluster, set_as_default=False)
    engine = DaskEngine(client, settings.attempt_module, _logs_dir(settings), is_embedded=True, stop=cluster.close)
    if can_tune():
        engine.stand_by()
    return engine


def can_tune() -> bool:
    """Whether what an attempt needs is installed here; without it the jobs wait."""
    return all(importlib.util.find_spec(name) is not None for name in ("tvm", "xgboost"))


def _external(settings: Settings, address: str) -> DaskEngine:
    security = security_of(address, "client")
    require_listener(address)
    require_scheduler(address, security, "client")
    try:
        client = Client(address, security=security, set_as_default=False, timeout="10s")
    except OSError as error:
        raise scheduler_was_lost(address) from error
    return DaskEngine(client, settings.attempt_module, _logs_dir(settings), is_embedded=False)


def _logs_dir(settings: Settings) -> str:
    return str(settings.logs_dir.expanduser().absolute())
